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
from explorer.network.transitions import Host, Lacking, Rows, widened

Numbers = NDArray[np.uint64]
Lanes = tuple[int, ...]

_FACTORS: Numbers = np.random.default_rng(1).integers(1, 2**63, 2**12, np.uint64) * np.uint64(
    2
) + np.uint64(1)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of some lanes.

    Attributes:
        numbers: of the different ones, ascending.
        times: how often each is there.
        steps: numbers of what lanes have beyond the first one: layouts have few of these, and no
            vector in common where none of them is.
        digest: of the vectors and how often they are there, in whatever order.
    """

    numbers: Numbers
    times: NDArray[np.int64]
    steps: frozenset[int]
    digest: bytes

    @classmethod
    def of(cls, rows: Rows, lanes: Lanes) -> Vectors:
        """Those of an array (vectors, lanes)."""
        factors = _FACTORS[list(lanes)]
        wide = rows.astype(np.int64).view(np.uint64)
        numbers = np.zeros(len(rows), np.uint64)
        for lane, factor in enumerate(factors):
            numbers += wide[:, lane] * factor
        steps = np.unique(numbers - wide[:, 0] * factors.sum(dtype=np.uint64))
        unique, first, times = np.unique(numbers, return_index=True, return_counts=True)
        text = hashlib.blake2b(repr(lanes).encode(), digest_size=16)
        text.update(np.ascontiguousarray(rows[first]).tobytes() + times.tobytes())
        return cls(unique, times.astype(np.int64), frozenset(steps.tolist()), text.digest())

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
        held: what lanes hold, those that stand for nothing included; None for the plain tensor.
        offered: what there is in some lanes, as far as that was asked.
    """

    size: int
    held: Rows | None = None
    offered: dict[Lanes, Vectors] = field(default_factory=dict)

    @classmethod
    def of(cls, held: Rows, size: int, *, alike: bool) -> Written:
        """A layout; lanes without meaning hold zeros where that is alike, else garbage."""
        return cls(size, np.where(held < 0, np.int32(ZERO if alike else GARBAGE), held))

    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same vectors."""
        if self.held is None:
            return (self.size,)
        return self.size, self.vectors(tuple(range(self.held.shape[1]))).digest

    def vectors(self, lanes: Lanes) -> Vectors:
        """What there is in some lanes."""
        assert self.held is not None
        if lanes not in self.offered:
            self.offered[lanes] = Vectors.of(self.held[:, lanes], lanes)
        return self.offered[lanes]


@dataclass(frozen=True, slots=True)
class Wide:
    """What the host makes of a tensor as int32, maybe with others added to it.

    Attributes:
        parts: of each summand its form, its shift and the number of its layout.
        const: what is added to all of it.
        further: whether it is added to what is made of another tensor, in one copy.
        besides: bytes of constants that are added to it.
    """

    parts: tuple[tuple[str, int, int], ...]
    const: int = 0
    further: bool = False
    besides: int = 0


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
    def of(cls, held: Rows, size: int, vector: int, *, alike: bool) -> Read:
        """A layout; zeros are there where lanes without meaning are alike, else the host's."""
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
        return cls(size, vector, held.shape[1], tuple(asked), mixed, blank, alike)

    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same vectors."""
        asked = tuple(vectors.digest for _, vectors in self.asked)
        counts = self.mixed, self.blank, self.alike
        return self.size, self.vector, self.lanes, counts, asked, self.wide


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
    if (wide := read.wide) is not None:
        further, besides = wide.further, wide.besides
        return widened(written.size, read.size, host, further=further, besides=besides)[1].cycles
    plain = written.held is None, not read.lanes
    if any(plain):
        return 0 if all(plain) else host.cost(written.size + read.size, 0).cycles
    assert written.held is not None
    live = read.mixed + sum(int(v.times.sum()) for _, v in read.asked)
    made = live
    if written.held.shape[1] == read.lanes:
        made = read.mixed + sum(written.vectors(lanes).lacking(v) for lanes, v in read.asked)
    missing = Lacking(made, read.blank, live)
    moved = missing.moved * read.vector
    if not read.alike and missing.kind(written.size, read.size, read.vector) == "host":
        moved = written.size + read.size
    return host.cost(moved, 0).cycles
