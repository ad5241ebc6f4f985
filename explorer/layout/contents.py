"""What a packed tensor holds: how many elements, and of how many different ones.

The same as counting in `Layout.gather`, without making that array. Loops that no row, guard or
pair of lanes ties together vary independently: what they hold multiplies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.virtual_loops import Row
from explorer.layout.packed import Layout


@dataclass(frozen=True, slots=True)
class Contents:
    """What a packed tensor holds.

    Attributes:
        size: its elements.
        held: those that hold an element of the tensor, and not zero.
        distinct: how many different ones these are.
    """

    size: int
    held: int
    distinct: int

    @property
    def duplication(self) -> int:
        """Elements beyond one copy of each."""
        return self.held - self.distinct


def contents(layout: Layout) -> Contents:
    """What the packed tensor of a layout holds."""
    ranges = {c.name: (c.low, c.high) for c in layout.coordinates}
    ranges |= {loop.name: (0, loop.extent) for loop in layout.lanes}
    bounds = [*layout.guards, *zip(layout.rows, layout.tensor.shape, strict=True)]
    # A row without loops is inside everywhere, or nowhere, as where an operator reads only padding.
    held = distinct = int(all(0 <= row.at({}) < n for row, n in bounds if not row.loops))
    for tied in _components(layout, ranges):
        mine, different = _counts(
            tuple((name, *ranges[name]) for name in tied),
            tuple(pair for pair in layout.equal if pair[0] in tied),
            tuple((row, n) for row, n in layout.guards if row.loops & set(tied)),
            tuple((row, n) for row, n in bounds[len(layout.guards) :] if row.loops & set(tied)),
        )
        held, distinct = held * mine, distinct * different
    lanes = math.prod(extent for _, extent in layout.axes)
    return Contents(layout.entries * lanes, held, distinct)


def is_in_place(layout: Layout) -> bool:
    """Whether the packed tensor is the tensor itself, so that the host moves nothing."""
    found = contents(layout)
    if not found.size == found.held == found.distinct == layout.tensor.size:
        return False
    return bool((layout.gather().reshape(-1) == np.arange(found.size)).all())


def _components(layout: Layout, names: Mapping[str, object]) -> Iterator[list[str]]:
    """The loops in groups of which no condition ties one to another, each in order."""
    group = {name: {name} for name in names}
    conditions = [row.loops for row in layout.rows]
    conditions += [row.loops for row, _ in layout.guards]
    conditions += [set(pair) for pair in layout.equal]
    for condition in conditions:
        joined = set().union(*(group[name] for name in condition))
        for name in joined:
            group[name] = joined
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen |= group[name]
            yield sorted(group[name])


@lru_cache(maxsize=4096)  # layouts of a ranking differ in few of their loops
def _counts(
    ranges: tuple[tuple[str, int, int], ...],
    equal: tuple[tuple[str, str], ...],
    guards: tuple[tuple[Row, int], ...],
    rows: tuple[tuple[Row, int], ...],
) -> tuple[int, int]:
    """Points of tied loops that hold something, and how many different things.

    Args:
        ranges: the loops, each with its first value and the one past its last.
        equal: pairs of loops that are equal where something is held.
        guards: rows that are within an extent there.
        rows: those that say what is held, with the tensor's extents.
    """
    shape = [high - low for _, low, high in ranges]
    point: dict[str, NDArray[np.int64]] = {
        name: np.arange(low, high).reshape([-1 if k == i else 1 for k in range(len(shape))])
        for i, (name, low, high) in enumerate(ranges)
    }
    live = np.ones((1,) * len(shape), np.bool_)
    for left, right in equal:
        live = live & (point[left] == point[right])
    for row, extent in guards:
        value = row.at(point)
        live = live & (value >= 0) & (value < extent)
    flat = np.zeros((1,) * len(shape), np.int64)
    for row, extent in rows:
        value = row.at(point)
        live = live & (value >= 0) & (value < extent)
        flat = flat * extent + value
    live, flat = np.broadcast_to(live, shape), np.broadcast_to(flat, shape)
    seen = np.zeros(math.prod(extent for _, extent in rows), np.bool_)
    seen[flat[live]] = True
    return int(live.sum()), int(seen.sum())
