"""Moving a box of a packed tensor between DRAM and a scratchpad in as few instructions as possible.

A LOAD or STORE moves rows of consecutive DRAM elements that lie a constant stride apart; in the
scratchpad the box is dense. Coordinates that are taken whole fold into their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.jit import jit

MAX_SIZE = 65_535  # x_size, y_size and x_stride have 16 bits
MAX_PAD = 15  # pads have 4 bits
MAX_ORDERED = 5  # coordinates of which every order is tried

Array = NDArray[np.int64]


class Infeasible(Exception):  # noqa: N818 - a verdict on a candidate, not an error
    """The schedule is not in the space: a capacity or field limit rules it out."""


class Fault(IntEnum):
    """Why compiled code finds a schedule infeasible; negative, so that no count is one."""

    ALL_PADDING = -1
    THIRD_PAD = -2
    SIZE = -3
    PAD = -4
    TILE = -5
    UOPS = -6
    LOOP = -7

    @property
    def reason(self) -> Infeasible:
        """The fault as an exception."""
        return Infeasible(_REASONS[self])


_REASONS = {
    Fault.ALL_PADDING: "a tile lies wholly in the padding",
    Fault.THIRD_PAD: "padding along a third coordinate",
    Fault.SIZE: "a DMA size or stride exceeds 16 bits",
    Fault.PAD: "a DMA pad exceeds 4 bits",
    Fault.TILE: "a tile exceeds its scratchpad",
    Fault.UOPS: "the micro-op scratchpad is full",
    Fault.LOOP: "a loop exceeds 14 bits",
}


# --- Compiled ------------------------------------------------------------------------------------


class Part(IntEnum):
    """Column of a box: its sides, one a coordinate."""

    FIRST = 0  # index in DRAM
    COUNT = 1  # entries in DRAM
    EXTENT = 2  # of the DRAM tensor that the side is cut from
    BEFORE = 3  # zeros before it in the scratchpad
    AFTER = 4


class _Run(IntEnum):
    """Column of folded sides: pieces a stride apart in DRAM, and the zeros around them."""

    COUNT = 0
    STRIDE = 1
    BEFORE = 2
    AFTER = 3


PARTS, RUNS = len(Part), len(_Run)


class Pattern(NamedTuple):
    """The instructions that move a box: all alike, each at its own place.

    Attributes:
        instructions: how many, or a `Fault`.
        base: DRAM entry of the first.
        y_size, x_size, x_stride: as in the instruction.
        y_before, y_after, x_before, x_after: its pads.
        first: of the folded sides, the first over which instructions repeat.
        last: one past the last of them.
    """

    instructions: int
    base: int
    y_size: int
    x_size: int
    x_stride: int
    y_before: int
    y_after: int
    x_before: int
    x_after: int
    first: int
    last: int


@jit
def fold(box: Array, order: Array, runs: Array) -> tuple[int, int]:
    """Join sides where one runs on into the next, the fastest first.

    Args:
        box: sides, (coordinates, parts).
        order: the coordinates in DRAM, the slowest first.
        runs: filled in, (coordinates, 4).

    Returns:
        How many runs there are, and the box's DRAM offset.
    """
    n, stride, base = 0, 1, 0
    for place in range(len(order) - 1, -1, -1):
        side = order[place]
        count, before, after = box[side, Part.COUNT], box[side, Part.BEFORE], box[side, Part.AFTER]
        base += box[side, Part.FIRST] * stride
        if before + count + after > 1:
            unpadded = before == 0 and after == 0
            if (
                n > 0
                and unpadded
                and stride == runs[n - 1, _Run.STRIDE] * runs[n - 1, _Run.COUNT]
                and runs[n - 1, _Run.BEFORE] == 0
                and runs[n - 1, _Run.AFTER] == 0
            ):
                runs[n - 1, _Run.COUNT] *= count
            else:
                runs[n, _Run.COUNT], runs[n, _Run.STRIDE] = count, stride
                runs[n, _Run.BEFORE], runs[n, _Run.AFTER] = before, after
                n += 1
        stride *= box[side, Part.EXTENT]
    return n, base


@jit
def pattern(box: Array, order: Array, runs: Array) -> Pattern:
    """How a box is moved; `runs` is filled in as by `fold`."""
    n, base = fold(box, order, runs)
    used, width, x_before, x_after = 0, 1, 0, 0
    if n > 0 and runs[0, _Run.STRIDE] == 1:
        used, width = 1, runs[0, _Run.COUNT]
        x_before, x_after = runs[0, _Run.BEFORE], runs[0, _Run.AFTER]
    height, stride, y_before, y_after = 1, width, 0, 0
    if used < n:
        height = runs[used, _Run.COUNT]
        y_before, y_after = runs[used, _Run.BEFORE], runs[used, _Run.AFTER]
        if height > 1:
            stride = runs[used, _Run.STRIDE]
        used += 1
    instructions = 1
    for run in range(used, n):
        instructions *= runs[run, _Run.COUNT]
        if runs[run, _Run.BEFORE] > 0 or runs[run, _Run.AFTER] > 0:
            instructions = Fault.THIRD_PAD.value
            break
    if instructions > 0 and max(width, height, stride) > MAX_SIZE:
        instructions = Fault.SIZE.value
    if instructions > 0 and max(x_before, x_after, y_before, y_after) > MAX_PAD:
        instructions = Fault.PAD.value
    return Pattern(
        instructions,
        base,
        height,
        width,
        stride,
        y_before,
        y_after,
        x_before,
        x_after,
        used,
        n,
    )


@jit
def place(p: Pattern, runs: Array, index: int) -> tuple[int, int]:
    """Scratchpad and DRAM entry of an instruction, relative to the box and to the tensor."""
    block = (p.y_before + p.y_size + p.y_after) * (p.x_before + p.x_size + p.x_after)
    dram, rest = p.base, index
    for run in range(p.first, p.last):
        dram += rest % runs[run, _Run.COUNT] * runs[run, _Run.STRIDE]
        rest //= runs[run, _Run.COUNT]
    return index * block, dram


@jit
def best_order(box: Array) -> Array:
    """The order of coordinates in DRAM, slowest first, that moves a box in fewest instructions.

    Of equal ones, the first in tensor order; sides of one entry cost nothing and stay outermost.
    """
    sides = len(box)
    order, runs = np.arange(sides), np.zeros((sides, RUNS), np.int64)
    best = order.copy()
    still = 0
    for side in range(sides):
        if box[side, Part.EXTENT] <= 1:
            order[still] = side
            still += 1
    n = still
    for whole in range(2):
        for side in range(sides):
            is_whole = box[side, Part.COUNT] == box[side, Part.EXTENT]
            if box[side, Part.EXTENT] > 1 and (whole == 1) == is_whole:
                order[n] = side
                n += 1
    if sides - still > MAX_ORDERED:  # the whole ones innermost
        return order if pattern(box, order, runs).instructions > 0 else best
    order[still:].sort()
    least = 0
    while True:
        cost = pattern(box, order, runs).instructions
        if cost > 0 and (least == 0 or cost < least):
            least = cost
            best[:] = order
        if not _next_permutation(order, still):
            return best


@jit
def _next_permutation(order: Array, first: int) -> bool:
    """Turn what stands from `first` on into the next permutation; whether there is one."""
    pivot = len(order) - 2
    while pivot >= first and order[pivot] > order[pivot + 1]:
        pivot -= 1
    if pivot < first:
        return False
    other = len(order) - 1
    while order[other] < order[pivot]:
        other -= 1
    order[pivot], order[other] = order[other], order[pivot]
    order[pivot + 1 :] = order[pivot + 1 :][::-1].copy()
    return True


# --- As objects ----------------------------------------------------------------------------------


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


def _box(sides: list[Side]) -> Array:
    parts = [[s.first, s.count, s.extent, s.before, s.after] for s in sides]
    return np.array(parts, np.int64).reshape(-1, PARTS)


def transfers(sides: list[Side]) -> list[Transfer]:
    """The instructions that move a box; sides in DRAM order, the slowest first.

    Raises:
        Infeasible: a size, stride or pad exceeds its field, or a third coordinate is padded.
    """
    runs = np.zeros((len(sides), RUNS), np.int64)
    p = pattern(_box(sides), np.arange(len(sides)), runs)
    if p.instructions < 0:
        raise Fault(p.instructions).reason
    pads = (p.y_before, p.y_after, p.x_before, p.x_after)
    places = (place(p, runs, index) for index in range(p.instructions))
    return [Transfer(sram, dram, p.y_size, p.x_size, p.x_stride, pads) for sram, dram in places]


def order_for(sides: list[Side]) -> tuple[int, ...]:
    """The order of coordinates in DRAM, slowest first, that moves a box in fewest instructions."""
    return tuple(best_order(_box(sides)).tolist())
