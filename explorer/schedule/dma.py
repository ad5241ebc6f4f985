"""Moving a box of a packed tensor between DRAM and a scratchpad in as few instructions as possible.

A LOAD or STORE moves rows of consecutive DRAM elements that lie a constant stride apart; in the
scratchpad the box is dense. Coordinates that are taken whole fold into their neighbours.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

MAX_SIZE = 65_535  # x_size, y_size and x_stride have 16 bits
MAX_PAD = 15  # pads have 4 bits


class Infeasible(Exception):  # noqa: N818 - a verdict on a candidate, not an error
    """The schedule is not in the space: a capacity or field limit rules it out."""


@dataclass(frozen=True, slots=True)
class Side:
    """The part of a box along one coordinate, the DRAM extent it is cut from, and its padding."""

    first: int
    count: int
    extent: int
    before: int = 0
    after: int = 0

    @property
    def length(self) -> int:
        """Entries in the scratchpad."""
        return self.before + self.count + self.after

    @property
    def is_padded(self) -> bool:
        """Whether the DMA engine writes zeros along this side."""
        return self.before > 0 or self.after > 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """One LOAD or STORE of a box, relative to the tensor in DRAM and the box in the scratchpad."""

    sram: int
    dram: int
    y_size: int
    x_size: int
    x_stride: int
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """y before, y after, x before, x after"""


@dataclass(slots=True)
class _Run:
    """Several folded sides: `count` pieces that are `stride` apart in DRAM, within `extent`."""

    count: int
    stride: int
    extent: int
    before: int = 0
    after: int = 0


def transfers(sides: list[Side]) -> list[Transfer]:
    """The instructions that move a box; sides in DRAM order, the slowest first.

    Raises:
        Infeasible: a size, stride or pad exceeds its field, or a third coordinate is padded.
    """
    runs, base = _folded(sides)
    row = runs.pop(0) if runs and runs[0].stride == 1 else _Run(1, 1, 1)
    column = runs.pop(0) if runs else _Run(1, row.count, 1)
    if any(run.before or run.after for run in runs):
        raise Infeasible("padding along a third coordinate")
    stride = column.stride if column.count > 1 else row.count
    if max(row.count, column.count, stride) > MAX_SIZE:
        raise Infeasible("a DMA size or stride exceeds 16 bits")
    pads = (column.before, column.after, row.before, row.after)
    if max(pads) > MAX_PAD:
        raise Infeasible("a DMA pad exceeds 4 bits")
    block = (column.before + column.count + column.after) * (row.before + row.count + row.after)
    runs.reverse()
    result = []
    for place, index in enumerate(itertools.product(*(range(run.count) for run in runs))):
        dram = base + sum(i * run.stride for i, run in zip(index, runs, strict=True))
        result.append(Transfer(place * block, dram, column.count, row.count, stride, pads))
    return result


def _folded(sides: list[Side]) -> tuple[list[_Run], int]:
    """Sides joined where one runs on into the next, the fastest first, and the DRAM offset."""
    runs: list[_Run] = []
    stride, base = 1, 0
    for side in reversed(sides):
        base += side.first * stride
        run = _Run(side.count, stride, side.extent, side.before, side.after)
        stride *= side.extent
        if side.length == 1:
            continue
        last = runs[-1] if runs else None
        if (
            last is not None
            and run.stride == last.stride * last.count
            and not (last.before or last.after or run.before or run.after)
        ):
            last.count *= run.count
        else:
            runs.append(run)
    return runs, base


@lru_cache(maxsize=65_536)
def order_for(sides: tuple[Side, ...]) -> tuple[int, ...]:
    """The order of coordinates in DRAM, slowest first, that moves a box in fewest instructions.

    Of equal ones, the first in tensor order; sides of one entry cost nothing and stay outermost.
    """
    moving = [i for i, side in enumerate(sides) if side.extent > 1]
    still = [i for i in range(len(sides)) if i not in moving]
    wide = len(moving) > 5
    orders = [_whole_innermost(moving, sides)] if wide else itertools.permutations(moving)
    best: tuple[float, tuple[int, ...]] = (math.inf, tuple(range(len(sides))))
    for order in orders:
        whole = (*still, *order)
        try:
            cost = len(transfers([sides[i] for i in whole]))
        except Infeasible:
            continue
        if cost < best[0]:
            best = (cost, whole)
    return best[1]


def _whole_innermost(moving: list[int], sides: tuple[Side, ...]) -> tuple[int, ...]:
    return tuple(sorted(moving, key=lambda i: (sides[i].count == sides[i].extent, i)))
