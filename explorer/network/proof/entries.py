"""What the lanes of a layout's entries hold, by entries alone.

In most layouts the element in a lane is what the coordinates add up to, plus what the lane adds.
Which lanes of an entry stand for anything, and which of them lie inside the tensor, is one of few
patterns. So all that is asked of vectors follows without an array of all lanes of all entries,
which has as many times the elements of the tensor as windows overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.virtual_loops import Row
from explorer.layout.packed import Layout
from isa.computation import Affine

Array = NDArray[np.int64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.uint64]
Lanes = tuple[int, ...]

FACTORS: Numbers = np.random.default_rng(1).integers(1, 2**63, 2**12, np.uint64) * np.uint64(
    2
) + np.uint64(1)
"""Of each lane: a vector's number is the sum of what lanes hold, times these. It wraps."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a layout whose lanes add the same to each of them.

    Attributes:
        base: the element that a lane of offset 0 would hold, (entries,).
        offsets: what lanes add to that, (lanes,).
        pattern: which of the patterns an entry has, (entries,).
        live: the lanes that may stand for work, (patterns, lanes).
        inside: of those, the ones that hold an element; the others hold zero, (patterns, lanes).
    """

    base: Array
    offsets: Array
    pattern: NDArray[np.intp]
    live: Mask
    inside: Mask

    @property
    def lanes(self) -> int:
        """Lanes of an entry."""
        return len(self.offsets)

    def where(self, chosen: Mask) -> Entries:
        """The entries of some patterns, (patterns,)."""
        if chosen.all():
            return self
        kept = chosen[self.pattern]
        return replace(self, base=self.base[kept], pattern=self.pattern[kept])

    def count(self, chosen: Mask) -> int:
        """How many entries are of some patterns, (patterns,)."""
        return int(np.count_nonzero(chosen[self.pattern])) if chosen.any() else 0

    def numbers(self, lanes: Lanes, empty: int) -> tuple[Numbers, Numbers]:
        """The numbers of the vectors in some lanes, and those beyond the first lane's, (entries,).

        The same as of arrays of these lanes; see `explorer.network.proof.vectors.Vectors`.

        Args:
            lanes: at least one.
            empty: what stands in lanes that hold no element.
        """
        factors, own = FACTORS[list(lanes)], _unsigned(self.offsets[list(lanes)])
        fill, whole = _unsigned(np.array([empty], np.int64)), factors.sum(dtype=np.uint64)
        there = self.inside[:, lanes]
        weights = (there * factors).sum(axis=1, dtype=np.uint64)
        added = (there * (factors * own)).sum(axis=1, dtype=np.uint64) + fill * (whole - weights)
        base, pattern = _unsigned(self.base), self.pattern
        numbers = base * weights[pattern] + added[pattern]
        first = np.where(there[:, 0][pattern], base + own[0], fill)
        return numbers, numbers - first * whole


def entries_of(layout: Layout, *, strict: bool) -> Entries | None:
    """The entries of a layout; None where lanes do not add the same to each.

    Args:
        layout: the layout, of elements that are numbered in the order of its tensor.
        strict: whether lanes that stand for nothing have to hold zero.
    """
    rows = list(zip(layout.rows, layout.tensor.shape, strict=True))
    if any(row.terms for row, _ in (*rows, *layout.guards)):
        return None
    point, possible = _lanes(layout)
    base, offsets = np.zeros((1,) * len(layout.coordinates), np.int64), np.zeros_like(possible, int)
    stride = layout.tensor.size
    codes, kinds = base, list[Mask]()
    for i, (row, extent) in enumerate((*rows, *layout.guards)):
        outer, inner = _coordinates(layout, row), _inner(row.affine, point, len(possible))
        if i < len(rows):
            stride //= extent
            base, offsets = base + outer * stride, offsets + inner * stride
        which, kept = _within(outer, inner, extent)
        codes = codes * len(kept) + which
        kinds.append(kept)
    shape = tuple(c.stored for c in layout.coordinates)
    known, pattern = _different(
        np.broadcast_to(codes, shape).reshape(-1), math.prod(map(len, kinds))
    )
    places = np.unravel_index(known, [len(kept) for kept in kinds])
    held = [kept[place] for kept, place in zip(kinds, places, strict=True)]
    live = np.broadcast_to(possible, (len(known), len(possible)))
    live = reduce(np.logical_and, held[len(rows) :], live)
    inside = reduce(np.logical_and, held[: len(rows)], live)
    live = np.ones_like(live) if strict else live
    return Entries(np.broadcast_to(base, shape).reshape(-1), offsets, pattern, live, inside)


def _lanes(layout: Layout) -> tuple[dict[str, Array], Mask]:
    """The values of the loops over lanes, (lanes,), and which lanes may stand for anything."""
    extents = [extent for _, extent in layout.axes]
    grid = np.indices(extents).reshape(len(extents), -1)
    point: dict[str, Array] = {}
    possible = np.ones(math.prod(extents), np.bool_)
    for (axis, _), index in zip(layout.axes, grid, strict=True):
        width = 1
        for loop in (lane for lane in layout.lanes if lane.axis == axis):
            point[loop.name] = index // loop.stride % loop.extent
            width *= loop.extent
        possible &= index < width
    for left, right in layout.equal:
        possible &= point[left] == point[right]
    return point, possible


def _coordinates(layout: Layout, row: Row) -> Array:
    """What coordinates make of a row, in an array that broadcasts to all of them."""
    rank = len(layout.coordinates)
    value = np.full((1,) * rank, row.affine.const, np.int64)
    for i, c in enumerate(layout.coordinates):
        factor = row.affine.coefficient(c.name)
        if factor:
            along = np.arange(c.low, c.high, dtype=np.int64) * factor
            value = value + along.reshape([-1 if i == j else 1 for j in range(rank)])
    return value


def _inner(affine: Affine, point: Mapping[str, Array], lanes: int) -> Array:
    """What lanes add to a row, (lanes,)."""
    value = np.zeros(lanes, np.int64)
    for name, factor in affine.terms:
        if name in point:
            value = value + factor * point[name]
    return value


def _within(outer: Array, inner: Array, extent: int) -> tuple[Array, Mask]:
    """For which lanes a row stays inside its extent: which pattern each is, and the patterns."""
    low = int(outer.min())
    values = np.arange(low, int(outer.max()) + 1)[:, None] + inner
    kept, which = patterns((values >= 0) & (values < extent))
    return which[outer - low], kept


def patterns(rows: Mask) -> tuple[Mask, Array]:
    """The different rows, and which of them each is."""
    # There are few rows, of many columns: NumPy's own sorts records of so many fields.
    packed = np.packbits(rows, axis=1)
    number: dict[bytes, int] = {}
    which = np.array([number.setdefault(r.tobytes(), len(number)) for r in packed], np.int64)
    first = np.zeros(len(number), np.intp)
    first[which[::-1]] = np.arange(len(rows))[::-1]
    return rows[first], which


def _different(codes: Array, end: int) -> tuple[Array, NDArray[np.intp]]:
    """The different ones of numbers below an end, and which of them each is."""
    if end > len(codes) + 2**16:
        found, which = np.unique(codes, return_inverse=True)
        return found, which.reshape(-1)
    there = np.zeros(end, np.bool_)  # sorting takes most of the time otherwise
    there[codes] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _unsigned(values: Array) -> Numbers:
    found: Numbers = values.view(np.uint64)
    return found
