"""What transitions cost at the least, of many layouts, by numbers that stand for their vectors.

The same costs as in `explorer.network.plan.transitions`, but the vectors of a layout are only kept
as numbers of 64 bits. Should two vectors ever share one, a reader seems to find more than there is:
a transition is never taken to cost more than it does, which is all that a bound needs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from explorer.layout.canonical import ZERO
from explorer.layout.held import Held
from explorer.network.plan.copying import GARBAGE
from explorer.network.plan.transitions import Host, Lacking, widened

Numbers = NDArray[np.uint64]
Lanes = tuple[int, ...]

_FACTORS: Numbers = np.random.default_rng(1).integers(1, 2**63, 2**12, np.uint64) * np.uint64(
    2
) + np.uint64(1)
"""Of each lane: a vector's number is the sum of what lanes hold, times these. It wraps."""


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
    def of(cls, held: Held, lanes: Lanes, patterns: NDArray[np.bool_], empty: int) -> Vectors:
        """Those that entries hold in some lanes.

        Args:
            held: what all lanes hold.
            lanes: the lanes that count, at least one.
            patterns: which entries count, by their patterns, (patterns,).
            empty: what stands in lanes that hold no element.
        """
        factors = _FACTORS[list(lanes)]
        fill, whole = np.int64(empty).astype(np.uint64), factors.sum(dtype=np.uint64)
        element = held.element[:, lanes]
        steps = np.where(element, held.patterns[:, lanes], 0).astype(np.int64).view(np.uint64)
        weights = (element * factors).sum(axis=1, dtype=np.uint64)
        added = (steps * factors).sum(axis=1, dtype=np.uint64) + fill * (whole - weights)
        kept = slice(None) if patterns.all() else patterns[held.which]
        which, first = held.which[kept], held.first[kept].astype(np.int64).view(np.uint64)
        numbers = first * weights[which] + added[which]
        begin = np.where(element[which, 0], first + steps[which, 0], fill)
        different = np.unique(numbers - begin * whole)
        unique, times = np.unique(numbers, return_counts=True)
        text = hashlib.blake2b(repr(lanes).encode(), digest_size=16)
        text.update(unique.tobytes() + times.astype(np.int64).tobytes())
        steps_of = frozenset(different.tolist())
        return cls(unique, times.astype(np.int64), steps_of, text.digest())

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
        return cls(size, held, held.shape[1], ZERO if alike else GARBAGE)

    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same vectors."""
        if self.held is None:
            return (self.size,)
        return self.size, self.vectors(tuple(range(self.lanes))).digest

    def vectors(self, lanes: Lanes) -> Vectors:
        """What there is in some lanes."""
        assert self.held is not None
        if lanes not in self.offered:
            every = np.ones(len(self.held.patterns), np.bool_)
            self.offered[lanes] = Vectors.of(self.held, lanes, every, self.empty)
        return self.offered[lanes]


@dataclass(frozen=True, slots=True)
class Wide:
    """What the host makes of a tensor as int32, maybe with others added to it.

    Attributes:
        parts: of each summand its form, its shift and the number of its layout.
        const: what is added to all of it.
        besides: bytes of what is added as `explorer.network.plan.transitions.widened` takes them.
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
        asked, mixed, blank = [], 0, 0
        some, zeroed, times = held.some, held.zeroed, held.times
        for used, own in held.groups():
            lanes = tuple(used.tolist())
            empty = ~some[own]
            # Where both are alike, empty ones are always there, and lanes that are empty are zero.
            partly = zeroed[own] & ~empty & (not alike)
            blank += 0 if alike else int(times[own[empty]].sum())
            mixed += int(times[own[partly]].sum())
            left = np.zeros(len(held.patterns), np.bool_)
            left[own[~(empty | partly)]] = True
            if left.any():
                asked.append((lanes, Vectors.of(held, lanes, left, ZERO)))
        # In one order, whichever an entry had first: keys depend on it.
        ordered = tuple(sorted(asked, key=lambda each: each[0]))
        return cls(size, vector, held.shape[1], ordered, mixed, blank, alike)

    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same vectors."""
        asked = tuple(vectors.digest for _, vectors in self.asked)
        counts = self.mixed, self.blank, self.alike
        return self.size, self.vector, self.lanes, counts, asked, self.wide


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
