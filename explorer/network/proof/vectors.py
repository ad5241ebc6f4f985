"""What transitions cost at the least, of many layouts, by numbers that stand for their vectors.

The same costs as in `explorer.network.transitions`, but the vectors of a layout are only kept as
numbers of 64 bits. Should two vectors ever share one, a reader seems to find more than there is: a
transition is never taken to cost more than it does, which is all that a bound needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from explorer.layout.canonical import IDLE, ZERO
from explorer.network.copying import GARBAGE
from explorer.network.proof.entries import FACTORS, Entries, Lanes, Numbers, patterns
from explorer.network.transitions import Host, Lacking, Rows, widened

Held = Rows | Entries
"""What the lanes of entries hold, (entries, lanes), or the same by entries alone."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of some lanes.

    Attributes:
        numbers: of the different ones, ascending.
        times: how often each is there.
        steps: numbers of what lanes have beyond the first one: layouts have few of these, and no
            vector in common where none of them is.
        digest: of the numbers and how often they are there.
    """

    numbers: Numbers
    times: NDArray[np.int64]
    steps: frozenset[int]
    digest: bytes

    @classmethod
    def of(cls, rows: Rows, lanes: Lanes) -> Vectors:
        """Those of an array (vectors, lanes)."""
        factors = FACTORS[list(lanes)]
        wide = rows.astype(np.int64).view(np.uint64)
        numbers = np.zeros(len(rows), np.uint64)
        for lane, factor in enumerate(factors):
            numbers += wide[:, lane] * factor
        return cls._of(numbers, numbers - wide[:, 0] * factors.sum(dtype=np.uint64), lanes)

    @classmethod
    def among(cls, held: Entries, lanes: Lanes, empty: int) -> Vectors:
        """Those in some lanes of entries; `empty` stands in lanes that hold no element."""
        return cls._of(*held.numbers(lanes, empty), lanes)

    @classmethod
    def _of(cls, numbers: Numbers, steps: Numbers, lanes: Lanes) -> Vectors:
        unique, times = np.unique(numbers, return_counts=True)
        text = hashlib.blake2b(repr(lanes).encode(), digest_size=16)
        text.update(unique.tobytes() + times.astype(np.int64).tobytes())
        different = frozenset(np.unique(steps).tolist())
        return cls(unique, times.astype(np.int64), different, text.digest())

    def lacking(self, other: Vectors) -> int:
        """How many of the other's vectors are none of these."""
        if self.steps.isdisjoint(other.steps):
            return int(other.times.sum())
        place = np.minimum(np.searchsorted(self.numbers, other.numbers), len(self.numbers) - 1)
        return int(other.times[self.numbers[place] != other.numbers].sum())


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """A layout in which a tensor is written.

    Attributes:
        size: bytes in DRAM.
        held: what lanes hold; None for the plain tensor.
        lanes: of an entry; 0 for the plain tensor.
        empty: what stands in lanes without an element.
        offered: what there is in some lanes, as far as that was asked.
    """

    size: int
    held: Held | None = None
    lanes: int = 0
    empty: int = GARBAGE
    offered: dict[Lanes, Vectors] = field(default_factory=dict)

    @classmethod
    def of(cls, held: Held, size: int, *, alike: bool) -> Written:
        """A layout; lanes without meaning hold zeros where that is alike, else garbage."""
        empty = ZERO if alike else GARBAGE
        if isinstance(held, Entries):
            return cls(size, held, held.lanes, empty)
        return cls(size, np.where(held < 0, np.int32(empty), held), held.shape[1], empty)

    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same vectors."""
        if self.held is None:
            return (self.size,)
        return self.size, self.vectors(tuple(range(self.lanes))).digest

    def vectors(self, lanes: Lanes) -> Vectors:
        """What there is in some lanes."""
        assert self.held is not None
        if lanes not in self.offered:
            self.offered[lanes] = (
                Vectors.among(self.held, lanes, self.empty)
                if isinstance(self.held, Entries)
                else Vectors.of(self.held[:, lanes], lanes)
            )
        return self.offered[lanes]


@dataclass(frozen=True, slots=True)
class Wide:
    """What the host makes of a tensor as int32, maybe with others added to it.

    Attributes:
        parts: of each summand its form, its shift and the number of its layout.
        const: what is added to all of it.
        besides: bytes of what is added as `explorer.network.transitions.widened` takes them.
    """

    parts: tuple[tuple[str, int, int], ...]
    const: int = 0
    besides: int | None = 0


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """A layout in which a tensor is read.

    Attributes:
        size: bytes in DRAM.
        vector: bytes of an entry.
        lanes: of an entry; 0 for the plain tensor.
        asked: of each set of lanes that are not idle together, the vectors that are wanted there.
        mixed: vectors with zeros beside elements, which no program writes.
        blank: vectors of nothing but zeros, as far as nobody has them.
        alike: whether what stands for nothing is zero: then what is lacking is always filled.
        wide: what the host makes of it as int32, if that is how it is read.
    """

    size: int
    vector: int = 1
    lanes: int = 0
    asked: tuple[tuple[Lanes, Vectors], ...] = ()
    mixed: int = 0
    blank: int = 0
    alike: bool = False
    wide: Wide | None = None

    @classmethod
    def of(cls, held: Held, size: int, vector: int, *, alike: bool) -> Read:
        """A layout; zeros are there where lanes without meaning are alike, else the host's."""
        if isinstance(held, Entries):
            return cls._of_entries(held, size, vector, alike=alike)
        asked, mixed, blank = [], 0, 0
        for lanes, rows in _used_together(held):
            zero = rows == ZERO
            empty = zero.all(axis=1)
            # Where both are alike, empty ones are always there, and lanes that are empty are zero.
            partly = zero.any(axis=1) & ~empty & (not alike)
            blank += 0 if alike else int(np.count_nonzero(empty))
            mixed += int(np.count_nonzero(partly))
            left = rows[~(empty | partly)]
            if len(left):
                asked.append((lanes, Vectors.of(left, lanes)))
        return cls(size, vector, held.shape[1], _ordered(asked), mixed, blank, alike)

    @classmethod
    def _of_entries(cls, held: Entries, size: int, vector: int, *, alike: bool) -> Read:
        """The same of entries."""
        asked, mixed, blank = [], 0, 0
        for live in patterns(held.live)[0]:
            lanes = tuple(np.flatnonzero(live).tolist())
            if not lanes:
                continue
            own = (held.live == live).all(axis=1)
            empty = own & ~held.inside.any(axis=1)
            partly = own & (held.inside != live).any(axis=1) & ~empty & (not alike)
            blank += 0 if alike else held.count(empty)
            mixed += held.count(partly)
            left = held.where(own & ~(empty | partly))
            if len(left.base):
                asked.append((lanes, Vectors.among(left, lanes, ZERO)))
        return cls(size, vector, held.lanes, _ordered(asked), mixed, blank, alike)

    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same vectors."""
        asked = tuple(vectors.digest for _, vectors in self.asked)
        counts = self.mixed, self.blank, self.alike
        return self.size, self.vector, self.lanes, counts, asked, self.wide


def _ordered(asked: list[tuple[Lanes, Vectors]]) -> tuple[tuple[Lanes, Vectors], ...]:
    """Sets of lanes in one order, whichever an entry had first: keys depend on it."""
    return tuple(sorted(asked, key=lambda each: each[0]))


def _used_together(held: Rows) -> Iterator[tuple[Lanes, Rows]]:
    """Of each set of lanes that are not idle together, what entries hold in them."""
    used = held != IDLE
    if used.all():
        yield tuple(range(held.shape[1])), held
        return
    # Few sets are different: going through them is quicker than sorting.
    left = np.arange(len(used))
    while len(left):
        mask = used[left[0]]
        alike = (used[left] == mask).all(axis=1)
        if mask.any():
            lanes = np.flatnonzero(mask)
            yield tuple(lanes.tolist()), held[np.ix_(left[alike], lanes)]
        left = left[~alike]


def cycles(written: Written, read: Read, host: Host) -> int:
    """Cycles of the cheapest transition, where STORE can write in the reader's order.

    Args:
        written: the tensor as it is written.
        read: the tensor as it is wanted.
        host: what its work costs.
    """
    if read.wide is not None:
        return widened(written.size, read.size, host, read.wide.besides)[1].cycles
    plain = written.held is None, not read.lanes
    if any(plain):
        return 0 if all(plain) else host.cost(written.size + read.size, 0).cycles
    assert written.held is not None
    live = read.mixed + sum(int(v.times.sum()) for _, v in read.asked)
    made = live
    if written.lanes == read.lanes:
        made = read.mixed + sum(written.vectors(lanes).lacking(v) for lanes, v in read.asked)
    missing = Lacking(made, read.blank, live)
    moved = missing.moved * read.vector
    if not read.alike and missing.kind(written.size, read.size, read.vector) == "host":
        moved = written.size + read.size
    return host.cost(moved, 0).cycles
