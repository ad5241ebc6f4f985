"""What the lanes of a packed layout hold, entry by entry, in a form that is small.

Entries differ in where they begin, but hardly in how they go on. So an entry is the element in its
first lane that holds one, and a **pattern**: how far the elements of the other lanes are from that
one, and which lanes hold none. There are few patterns, those of the tensor's borders among them:
what is asked of all lanes is asked of the patterns, and only beginnings are compared one by one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.virtual_loops import Row
from explorer.layout.canonical import IDLE, ZERO, contents
from explorer.layout.packed import Layout

Rows = NDArray[np.int32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_IDLE, _ZERO = -(2**31), -(2**31) + 1
"""What patterns have in place of a distance: no two elements of a tensor are so far apart."""

_BLOCK = 2**15
"""Entries that are looked at together where all their lanes are: some megabytes."""

_TABLE = 2**24
"""Numbers that a table may have, in place of sorting: they are found at once."""


@dataclass(frozen=True, eq=False)
class Held:
    """What each lane of each entry holds: an element by its row-major number, `ZERO` or `IDLE`.

    Attributes:
        first: each entry's element in the first lane that holds one, 0 where none does, (entries,).
        which: the number of each entry's pattern, (entries,).
        patterns: how far each lane's element is from the first one, (patterns, lanes). All differ,
            each is some entry's, and they are sorted, so that equal layouts are equal arrays.
    """

    first: Rows
    which: NDArray[Any]
    patterns: Rows

    @classmethod
    def of(cls, layout: Layout) -> Held:
        """What a layout's lanes hold, as `explorer.layout.canonical.contents` has it."""
        rows = [*layout.rows, *(row for row, _ in layout.guards)]
        if any(row.terms for row in rows):
            # Fused loops cross the borders of dimensions: only the array tells what they do.
            return cls.of_rows(_blocks(layout))
        return _affine(layout)

    @classmethod
    def of_rows(cls, blocks: Iterable[NDArray[Any]]) -> Held:
        """What arrays (entries, lanes) hold, one after the other, of elements' numbers."""
        firsts, numbers = [], []
        known: dict[bytes, int] = {}
        lanes = 0
        for whole in blocks:
            lanes = whole.shape[1]
            for begin in range(0, len(whole), _BLOCK):
                rows = whole[begin : begin + _BLOCK]
                element = rows >= 0
                place = element.argmax(axis=1)
                first = np.where(element.any(axis=1), rows[np.arange(len(rows)), place], 0)
                distances = np.where(element, rows - first[:, None], _IDLE)
                distances[~element & (rows != IDLE)] = _ZERO
                different, which = _distinct(distances.astype(np.int32))
                codes = [known.setdefault(row.tobytes(), len(known)) for row in different]
                firsts.append(first.astype(np.int32))
                numbers.append(np.array(codes, np.int64)[which])
        if not firsts:
            return cls(
                np.zeros(0, np.int32), np.zeros(0, np.uint16), np.zeros((0, lanes), np.int32)
            )
        patterns = np.frombuffer(b"".join(known), np.int32).reshape(len(known), lanes)
        return _sorted(np.concatenate(firsts), np.concatenate(numbers), patterns)

    @property
    def shape(self) -> tuple[int, int]:
        """Entries and lanes."""
        return len(self.first), self.patterns.shape[1]

    @cached_property
    def digest(self) -> str:
        """Equal for layouts that hold the same, lane by lane."""
        found = hashlib.blake2b(repr((self.shape, len(self.patterns))).encode(), digest_size=16)
        for array in (self.first, self.which, self.patterns):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    @cached_property
    def times(self) -> Numbers:
        """How many entries each pattern has."""
        return np.bincount(self.which, minlength=len(self.patterns))

    @property
    def some(self) -> Mask:
        """Which patterns hold an element in some lane, (patterns,)."""
        return _any(self.element)

    @property
    def zeroed(self) -> Mask:
        """Which patterns have a lane that has to hold zero, (patterns,)."""
        return _any(self.patterns == _ZERO)

    @property
    def element(self) -> Mask:
        """Which lanes of each pattern hold an element, (patterns, lanes)."""
        found: Mask = self.patterns > _ZERO
        return found

    def rows(self, entries: slice | NDArray[Any] = slice(None)) -> Rows:
        """What the lanes of some entries hold, (entries, lanes)."""
        codes = np.where(self.patterns == _ZERO, np.int32(ZERO), np.int32(IDLE))
        plain = np.where(self.element, self.patterns, codes)
        which = self.which[entries]
        found: Rows = plain[which]
        begin = self.first[entries][:, None]
        np.add(found, begin, out=found, where=self.element[which])
        return found

    def blocks(self) -> Iterator[Rows]:
        """What all lanes hold, some entries at a time."""
        for begin in range(0, len(self.first), _BLOCK):
            yield self.rows(slice(begin, begin + _BLOCK))

    def strict(self) -> Held:
        """The same with zeros where lanes hold nothing that counts."""
        patterns = np.where(self.patterns == _IDLE, np.int32(_ZERO), self.patterns)
        return _sorted(self.first, self.which, patterns)

    def moved(self, elements: NDArray[Any]) -> Held:
        """The same of a tensor whose elements have other numbers: ``elements`` of those here."""
        return Held.of_rows(
            np.where(rows >= 0, elements[np.maximum(rows, 0)], rows) for rows in self.blocks()
        )

    def groups(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Patterns in which the same lanes are not idle: those lanes, and the patterns' numbers."""
        masks, group = _unique(self.patterns != _IDLE)
        for number, mask in enumerate(masks):
            if mask.any():
                yield np.flatnonzero(mask), np.flatnonzero(group == number)

    def _cut(self, lanes: NDArray[np.intp], zeros: bool) -> tuple[list[bytes], Numbers, Mask]:
        """Of each pattern, what it is in some lanes; as far as it can be found there.

        Returns:
            Bytes that are equal for equal ones, none for those with lanes that hold no element
            (with `zeros`: such lanes hold zero); how far the first element there is from the
            pattern's; and whether there is any.
        """
        steps = self.patterns[:, lanes].astype(np.int64)
        element = steps > _ZERO
        some = _any(element)
        begin = np.where(some, steps[np.arange(len(steps)), element.argmax(axis=1)], 0)
        plain = np.where(element, steps - begin[:, None], _ZERO)
        whole = some if zeros else ~_any(~element)
        names = [
            row.tobytes() if zeros or fine else b"" for row, fine in zip(plain, whole, strict=True)
        ]
        return names, begin, some

    def find(
        self, other: Held, lanes: NDArray[np.intp], patterns: NDArray[np.intp], *, zeros: bool
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where this has what another layout's entries hold in some lanes.

        Args:
            other: whose entries are looked for.
            lanes: which of their lanes count.
            patterns: the entries of these patterns are looked for, all of whose lanes there hold
                elements, or zeros.
            zeros: whether a lane here that holds no element holds zero, and else garbage.

        Returns:
            Which entries these are, and of each the last one here that holds the same, or -1.
        """
        named, offset, some = other._cut(lanes, zeros=True)
        numbers: dict[bytes, int] = {}
        code = np.full(len(named), -1)
        for pattern in patterns.tolist():
            code[pattern] = numbers.setdefault(named[pattern], len(numbers))
        names, own_offset, own_some = self._cut(lanes, zeros)
        own_code = np.array([numbers.get(name, -1) for name in names], np.int64)
        asked = np.flatnonzero(code[other.which] >= 0)
        own = np.flatnonzero(own_code[self.which] >= 0)
        if not len(own):
            return asked, np.full(len(asked), -1)
        wanted = _values(other, asked, offset, some)
        there = _values(self, own, own_offset, own_some)
        size = int(max(wanted.max(initial=0), there.max(initial=0))) + 1
        wanted += code[other.which[asked]] * size
        there += own_code[self.which[own]] * size
        place = _last(there, wanted, len(numbers) * size)
        return asked, np.where(place >= 0, own[place], -1)

    def serves(self, read: Held, *, zeros: bool) -> bool:
        """Whether a reader's entries lie here one by one: what it has idle may be anything.

        Args:
            read: what is wanted.
            zeros: whether a lane that holds no element holds zero, and else garbage.
        """
        if self.shape != read.shape:
            return False
        # Most layouts differ in their first entries already.
        parts = (slice(0, 16), slice(None))
        return all(_alike(self, read, part, zeros=zeros) for part in parts)


def _any(mask: Mask) -> Mask:
    """Which rows of a mask have something."""
    return np.asarray(mask.any(axis=1), np.bool_)


def _values(held: Held, entries: NDArray[np.intp], offset: Numbers, some: Mask) -> Numbers:
    """The elements with which entries begin in some lanes; 0 where these hold only zeros."""
    which = held.which[entries]
    return np.where(some[which], held.first[entries] + offset[which], 0)


def _last(there: Numbers, wanted: Numbers, size: int) -> NDArray[np.intp]:
    """The last place in which each number stands, -1 where it does not; all are below a size."""
    if size <= _TABLE:
        table = np.full(size, -1, np.int32)
        table[there] = np.arange(len(there), dtype=np.int32)  # of equal ones the last is kept
        return table[wanted].astype(np.intp)
    order = np.argsort(there, kind="stable")
    ordered = there[order]
    place = np.searchsorted(ordered, wanted, side="right") - 1
    found = (place >= 0) & (ordered[np.maximum(place, 0)] == wanted)
    return np.where(found, order[np.maximum(place, 0)], -1)


def _alike(written: Held, read: Held, entries: slice, *, zeros: bool) -> bool:
    """Whether some entries hold what the same entries of a reader want."""
    count = max(len(read.patterns), 1)
    codes = written.which[entries].astype(np.int64) * count + read.which[entries]
    pairs, which = np.unique(codes, return_inverse=True)
    there, here = (
        held.patterns[part].astype(np.int64)
        for held, part in zip((written, read), np.divmod(pairs, count), strict=True)
    )
    element = here > _ZERO
    some = _any(element)
    # Elements are the same if the first ones are as far apart as these distances.
    apart = there - here
    far = np.where(some, apart[np.arange(len(pairs)), element.argmax(axis=1)], 0)
    fine = (here == _IDLE) | (element & (there > _ZERO) & (apart == far[:, None]))
    if zeros:
        fine |= (here == _ZERO) & (there <= _ZERO)
    if not fine.all():
        return False
    which = which.reshape(-1)
    distance = read.first[entries].astype(np.int64) - written.first[entries]
    return bool(np.all((distance == far[which]) | ~some[which]))


def _sorted(first: Rows, which: NDArray[Any], patterns: Rows) -> Held:
    """The same with the patterns sorted, each once."""
    patterns, number = _unique(patterns)
    small = np.uint16 if len(patterns) <= 2**16 else np.int32
    return Held(first, number.astype(small)[which], patterns)


def _unique(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The different rows, sorted by their bytes, and which of them each row is."""
    if len(rows) == 1:
        return rows, np.zeros(1, np.intp)
    rows = np.ascontiguousarray(rows)
    whole = rows.view(f"V{rows.shape[1] * rows.itemsize}").reshape(-1)
    _, place, which = np.unique(whole, return_index=True, return_inverse=True)
    return rows[place], which.reshape(-1)


def _distinct(rows: Rows) -> tuple[Rows, NDArray[np.intp]]:
    """The different rows, and which of them each row is."""
    factors = np.random.default_rng(1).integers(1, 2**63, rows.shape[1], np.uint64) | np.uint64(1)
    # Sorting a number a row is quicker than sorting rows; sums wrap.
    codes = rows.astype(np.int64).view(np.uint64) @ factors
    _, place, which = np.unique(codes, return_index=True, return_inverse=True)
    found, which = rows[place], which.reshape(-1)
    if not np.array_equal(found[which], rows):  # two share a number by chance
        return _unique(rows)
    return found, which


def _blocks(layout: Layout) -> Iterator[NDArray[np.int64]]:
    """What a layout holds, some entries at a time."""
    stored = [c.stored for c in layout.coordinates]
    place = next((i for i, extent in enumerate(stored) if extent > 1), None)
    if place is None:
        yield contents(layout)
        return
    # All before it have one value, so that its parts follow each other.
    cut = layout.coordinates[place]
    step = max(_BLOCK // math.prod(stored[place + 1 :]), 1)
    for low in range(cut.low, cut.high, step):
        part = replace(cut, low=low, high=min(low + step, cut.high))
        whole = (*layout.coordinates[:place], part, *layout.coordinates[place + 1 :])
        yield contents(replace(layout, coordinates=whole))


def _affine(layout: Layout) -> Held:
    """What a layout holds whose rows are sums of a part of the entry and a part of the lane.

    Which lanes are live and inside the tensor then depends, for each row and guard, on the entry's
    part alone: on few numbers, of which each has its lanes.
    """
    shape = tuple(c.stored for c in layout.coordinates)
    lanes, live = _lanes(layout)
    outer = {
        c.name: np.arange(c.low, c.high, dtype=np.int64).reshape(_along(i, len(shape)))
        for i, c in enumerate(layout.coordinates)
    }
    code = np.zeros((1,) * len(shape), np.int64)
    masks: list[tuple[Mask, bool]] = []  # of each class of entries the lanes, and if of a guard
    begin, beyond = np.zeros((1,) * len(shape), np.int64), np.zeros(len(live), np.int64)
    for row, extent in layout.guards:
        code = _told(code, masks, *_parts(row, outer, lanes), extent, guard=True)
    for row, extent in zip(layout.rows, layout.tensor.shape, strict=True):
        entry, lane = _parts(row, outer, lanes)
        begin, beyond = begin * extent + entry, beyond * extent + lane
        code = _told(code, masks, entry, lane, extent, guard=False)
    used, number = np.unique(code, return_inverse=True)
    number = number.reshape(code.shape)
    alive, inside, left = live[None, :], np.ones((1, len(live)), np.bool_), used
    for mask, guard in reversed(masks):
        left, digit = np.divmod(left, len(mask))
        alive, inside = (alive & mask[digit], inside) if guard else (alive, inside & mask[digit])
    alive, inside = (np.broadcast_to(m, (len(used), len(live))) for m in (alive, inside))
    element = alive & inside
    some = _any(element)
    offset = np.where(some, beyond[element.argmax(axis=1)], 0)
    distances = np.where(element, beyond - offset[:, None], np.where(alive, _ZERO, _IDLE))
    # An entry without elements begins with 0.
    first = np.where(some[number], begin + offset[number], 0).astype(np.int32)
    whole = np.broadcast_to(first, shape).reshape(-1)
    return _sorted(whole, np.broadcast_to(number, shape).reshape(-1), distances.astype(np.int32))


def _along(axis: int, rank: int) -> list[int]:
    return [-1 if i == axis else 1 for i in range(rank)]


def _lanes(layout: Layout) -> tuple[dict[str, Numbers], Mask]:
    """The loops' values in each lane, and whether it may stand for work, both (lanes,)."""
    widths = [extent for _, extent in layout.axes]
    places = np.indices(widths).reshape(len(widths), -1)
    point: dict[str, Numbers] = {}
    live = np.ones(math.prod(widths), np.bool_)
    for (axis, _), index in zip(layout.axes, places, strict=True):
        width = 1
        for loop in (lane for lane in layout.lanes if lane.axis == axis):
            point[loop.name] = index // loop.stride % loop.extent
            width *= loop.extent
        live &= index < width
    for left, right in layout.equal:
        live &= point[left] == point[right]
    return point, live


def _parts(
    row: Row, outer: dict[str, Numbers], lanes: dict[str, Numbers]
) -> tuple[Numbers, Numbers]:
    """A row's part of the entry, which broadcasts, and its part of the lane."""
    entry, lane = np.array(row.affine.const, np.int64), np.array(0, np.int64)
    for name, factor in row.affine.terms:
        if name in outer:
            entry = entry + factor * outer[name]
        else:
            lane = lane + factor * lanes[name]
    return entry, lane


def _told(
    code: Numbers,
    masks: list[tuple[Mask, bool]],
    entry: Numbers,
    lane: Numbers,
    extent: int,
    *,
    guard: bool,
) -> Numbers:
    """The classes of entries so far, told apart by the lanes that stay inside an extent, too."""
    if entry.min() + lane.min() >= 0 and entry.max() + lane.max() < extent:
        return code  # all do
    values, which = np.unique(entry, return_inverse=True)
    value = values[:, None] + np.atleast_1d(lane)
    mask, number = _unique((value >= 0) & (value < extent))
    masks.append((mask, guard))
    return code * len(mask) + number[which.reshape(-1)].reshape(entry.shape)
