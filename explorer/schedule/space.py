"""What a schedule is: tiles of the outer loops, their order, and how the scratchpads are shared.

The tile loops run over the outputs first and the reductions inside them, so that an accumulator
tile is finished before the next begins (VTA stores only int8 and cannot spill partial sums). A
tensor's tile is loaded when it changes; each scratchpad holds one tile of it, or two that
alternate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explorer.design import Design
from explorer.layout import Layout
from explorer.schedule.dma import Infeasible, Side, order_for

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """One point of the schedule space.

    Attributes:
        tile: iterations of each outer loop that a tile takes, in the nest's order.
        order: the outer loops as tile loops, the slowest first; reductions come last.
        load_contexts: tiles of inp and of wgt that are held at once, 1 or 2.
        acc_contexts: accumulator tiles that are held at once, 1 or 2.
    """

    tile: tuple[int, ...]
    order: tuple[int, ...]
    load_contexts: int
    acc_contexts: int


@dataclass(frozen=True, slots=True)
class Boxes:
    """The box of entries that each tile touches of one tensor, tiles in execution order.

    Attributes:
        first: lowest coordinates, (tiles, coordinates).
        size: extents, (tiles, coordinates).
        changed: whether a loop that moves the tensor has stepped since the tile before, (tiles,).
        moves: how far each coordinate moves with each outer loop, (coordinates, loops).
    """

    first: Array
    size: Array
    changed: NDArray[np.bool_]
    moves: Array

    @property
    def volume(self) -> int:
        """Entries of the largest box."""
        return int(self.size.prod(axis=1).max())

    def contexts(self, wanted: int) -> int:
        """How many tiles it pays to hold: no more than are ever loaded."""
        return min(wanted, int(self.changed.sum()))

    def context(self, count: int) -> Array:
        """Which of `count` contexts each tile finds its box in, (tiles,)."""
        return (np.cumsum(self.changed) - 1) % count


@dataclass(frozen=True, slots=True)
class Tiles:
    """Every tile of a schedule, in execution order: the first iteration and length of each loop."""

    first: Array
    length: Array

    def boxes(self, design: Design, layout: Layout) -> Boxes:
        """The boxes these tiles touch of a tensor."""
        matrix = coefficients(design, layout)
        first = self.first @ matrix.T
        size = (self.length - 1) @ matrix.T + 1
        stepped = np.diff(self.first[:, matrix.any(axis=0)], axis=0) != 0
        return Boxes(first, size, np.concatenate([[True], stepped.any(axis=1)]), matrix)


def coefficients(design: Design, layout: Layout) -> Array:
    """How far each coordinate moves with each outer loop, (coordinates, loops)."""
    loops = [loop.name for loop in design.nest.outer]
    matrix = np.zeros((len(layout.coordinates), len(loops)), np.int64)
    for row, coordinate in enumerate(layout.coordinates):
        for name, factor in coordinate.terms:
            matrix[row, loops.index(name)] = factor
    return matrix


def tiles(design: Design, schedule: Schedule) -> Tiles:
    """The tiles of a schedule in execution order; those at the end of a loop may be shorter."""
    extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
    tile = np.array(schedule.tile, np.int64)
    counts = -(-extents // tile)
    total = math.prod(counts.tolist())
    index = np.zeros((total, len(extents)), np.int64)
    grid = np.indices([counts[i] for i in schedule.order]).reshape(len(extents), total)
    index[:, list(schedule.order)] = grid.T
    first = index * tile
    return Tiles(first, np.minimum(tile, extents - first))


def sides(layout: Layout, first: Array, size: Array) -> list[Side]:
    """A box of entries as the DMA engine sees it: what is stored, and the zeros around it."""
    result = []
    for c, low, count in zip(layout.coordinates, first.tolist(), size.tolist(), strict=True):
        begin, end = max(low, c.low), min(low + count, c.high)
        if end <= begin:
            raise Infeasible("a tile lies wholly in the padding")
        result.append(Side(begin - c.low, end - begin, c.stored, begin - low, low + count - end))
    return result


def arranged(design: Design, schedule: Schedule) -> Design:
    """The design with its tensors' coordinates in the DRAM order that suits the schedule."""
    if design.fixed_order:
        return design
    length = np.minimum(schedule.tile, [loop.extent for loop in design.nest.outer])
    first_tile = Tiles(np.zeros((1, len(length)), np.int64), length.reshape(1, -1).astype(np.int64))

    def order(layout: Layout) -> Layout:
        box = first_tile.boxes(design, layout)
        return layout.reordered(order_for(tuple(sides(layout, box.first[0], box.size[0]))))

    return replace(design, inp=order(design.inp), wgt=order(design.wgt), acc=order(design.acc))


def output_loops(design: Design) -> list[int]:
    """Outer loops that move the output."""
    used = {name for c in design.acc.coordinates for name, _ in c.terms}
    return [i for i, loop in enumerate(design.nest.outer) if loop.name in used]
