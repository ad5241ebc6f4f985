"""Moving a box of a packed tensor between DRAM and a scratchpad in as few instructions as possible.

A LOAD or STORE moves rows of consecutive DRAM elements that lie a constant stride apart; in the
scratchpad the box is dense. Coordinates that are taken whole fold into their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from simulator.jit import helper, jit, maker

MAX_SIZE = 65_535  # x_size, y_size and x_stride have 16 bits
MAX_PAD = 15  # pads have 4 bits
MAX_PADDED = 2  # coordinates: an instruction has pads for its rows and for what stands in a row
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
    PART = -8

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
    Fault.PART: "a further term's reductions are not whole in a tile",
}


# --- Compiled ------------------------------------------------------------------------------------


class Part(IntEnum):
    """Column of a box: its sides, one a coordinate."""

    FIRST = 0  # index in DRAM
    COUNT = 1  # entries in DRAM
    EXTENT = 2  # of the DRAM tensor that the side is cut from
    BEFORE = 3  # zeros before it in the scratchpad
    AFTER = 4


PARTS = len(Part)
# Plain integers for compiled code: members of enumerations take long to compile.
_FIRST, _COUNT, _EXTENT = int(Part.FIRST), int(Part.COUNT), int(Part.EXTENT)
_BEFORE, _AFTER = int(Part.BEFORE), int(Part.AFTER)
_THIRD_PAD, _SIZE, _PAD = int(Fault.THIRD_PAD), int(Fault.SIZE), int(Fault.PAD)
RUNS = 4
_RUN_COUNT, _RUN_STRIDE, _RUN_BEFORE, _RUN_AFTER = range(RUNS)
"""Columns of folded sides: pieces a stride apart in DRAM, and the zeros around them."""

PATTERN = 11
(
    MOVES,
    ORIGIN,
    HEIGHT,
    WIDTH,
    STRIDE,
    TOP,
    BOTTOM,
    LEFT,
    RIGHT,
    REPEATED,
    REPEATED_END,
) = range(PATTERN)
"""Fields of a pattern: the instructions that move a box, all alike, each at its own place.

MOVES says how many, or is a `Fault`; ORIGIN is the DRAM entry of the first. HEIGHT, WIDTH and
STRIDE are y_size, x_size and x_stride, then come the pads. Instructions repeat over the folded
sides from REPEATED to before REPEATED_END.
"""


@helper
def _fold(box: Array, order: Array, runs: Array) -> tuple[int, int]:
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
        count, before, after = box[side, _COUNT], box[side, _BEFORE], box[side, _AFTER]
        base += box[side, _FIRST] * stride
        if before + count + after > 1:
            # Zeros stand around a whole run: a padded side begins one, and none follows it.
            if (
                n > 0
                and before == 0
                and after == 0
                and stride == runs[n - 1, _RUN_STRIDE] * runs[n - 1, _RUN_COUNT]
                and runs[n - 1, _RUN_BEFORE] == 0
                and runs[n - 1, _RUN_AFTER] == 0
            ):
                runs[n - 1, _RUN_COUNT] *= count
            else:
                runs[n, _RUN_COUNT], runs[n, _RUN_STRIDE] = count, stride
                runs[n, _RUN_BEFORE], runs[n, _RUN_AFTER] = before, after
                n += 1
        stride *= box[side, _EXTENT]
    return n, base


@helper
def fill_pattern(box: Array, order: Array, runs: Array, found: Array) -> int:
    """How a box is moved, (PATTERN,), and `runs` as by `_fold`; the instructions or a `Fault`."""
    n, base = _fold(box, order, runs)
    used, width, x_before, x_after = 0, 1, 0, 0
    # x moves neighbours in DRAM; where the fastest run has none, a row is a single entry.
    if n > 0 and runs[0, _RUN_STRIDE] == 1:
        used, width = 1, runs[0, _RUN_COUNT]
        x_before, x_after = runs[0, _RUN_BEFORE], runs[0, _RUN_AFTER]
    height, stride, y_before, y_after = 1, width, 0, 0
    if used < n:
        height = runs[used, _RUN_COUNT]
        y_before, y_after = runs[used, _RUN_BEFORE], runs[used, _RUN_AFTER]
        if height > 1:
            stride = runs[used, _RUN_STRIDE]
        used += 1
    moves = 1
    for run in range(used, n):
        moves *= runs[run, _RUN_COUNT]
        if runs[run, _RUN_BEFORE] > 0 or runs[run, _RUN_AFTER] > 0:
            moves = _THIRD_PAD
            break
    if moves > 0 and max(width, height, stride) > MAX_SIZE:
        moves = _SIZE
    if moves > 0 and max(x_before, x_after, y_before, y_after) > MAX_PAD:
        moves = _PAD
    found[MOVES], found[ORIGIN] = moves, base
    found[HEIGHT], found[WIDTH], found[STRIDE] = height, width, stride
    found[TOP], found[BOTTOM] = y_before, y_after
    found[LEFT], found[RIGHT] = x_before, x_after
    found[REPEATED], found[REPEATED_END] = used, n
    return moves


@helper
def place(found: Array, runs: Array, index: int) -> tuple[int, int]:
    """Scratchpad and DRAM entry of an instruction, relative to the box and to the tensor."""
    block = (found[TOP] + found[HEIGHT] + found[BOTTOM]) * (
        found[LEFT] + found[WIDTH] + found[RIGHT]
    )
    dram, rest = found[ORIGIN], index
    for run in range(found[REPEATED], found[REPEATED_END]):
        dram += rest % runs[run, _RUN_COUNT] * runs[run, _RUN_STRIDE]
        rest //= runs[run, _RUN_COUNT]
    return index * block, dram


@maker
def find_order(box: Array, best: Array) -> None:
    """The order of coordinates in DRAM, slowest first, that moves a box in fewest instructions.

    Of equal ones, the first in tensor order; sides of one entry cost nothing and stay outermost.

    Args:
        box: sides, (coordinates, parts).
        best: filled in, (coordinates,); tensor order where none moves the box.
    """
    sides = len(box)
    order, runs = np.zeros(sides, np.int64), np.zeros((sides, RUNS), np.int64)
    found = np.zeros(PATTERN, np.int64)
    still = 0
    for side in range(sides):
        best[side] = side
        if box[side, _EXTENT] <= 1:
            order[still] = side
            still += 1
    n, long = still, sides - still > MAX_ORDERED
    # Of many sides only one order is tried: those that are cut, then the whole ones, which fold.
    for whole in range(2 if long else 1):
        for side in range(sides):
            is_whole = box[side, _COUNT] == box[side, _EXTENT]
            if box[side, _EXTENT] > 1 and (not long or (whole == 1) == is_whole):
                order[n] = side
                n += 1
    least = 0
    while True:
        moves = fill_pattern(box, order, runs, found)
        if moves > 0 and (least == 0 or moves < least):
            least = moves
            for side in range(sides):
                best[side] = order[side]
        if long or not _next_permutation(order, still):
            return


@helper
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
    held = order[pivot]
    order[pivot], order[other] = order[other], held
    left, right = pivot + 1, len(order) - 1
    while left < right:
        held = order[left]
        order[left], order[right] = order[right], held
        left, right = left + 1, right - 1
    return True


# --- As objects ----------------------------------------------------------------------------------

_fill_pattern, _place = jit(fill_pattern), jit(place)  # as doors: searches ask for many


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
    runs, found = np.zeros((len(sides), RUNS), np.int64), np.zeros(PATTERN, np.int64)
    moves = _fill_pattern(_box(sides), np.arange(len(sides)), runs, found)
    if moves < 0:
        raise Fault(moves).reason
    height, width, stride, top, bottom, left, right = found[HEIGHT : RIGHT + 1].tolist()
    pads = (top, bottom, left, right)
    places = (_place(found, runs, index) for index in range(moves))
    return [Transfer(sram, dram, height, width, stride, pads) for sram, dram in places]


def can_write(border: Sequence[int]) -> bool:
    """Whether an instruction can write so many zeros before, or behind, each coordinate."""
    padded = [zeros for zeros in border if zeros > 0]
    return len(padded) <= MAX_PADDED and max(padded, default=0) <= MAX_PAD


def order_for(sides: list[Side]) -> tuple[int, ...]:
    """The order of coordinates in DRAM, slowest first, that moves a box in fewest instructions."""
    best = np.zeros(len(sides), np.int64)
    find_order(_box(sides), best)
    return tuple(best.tolist())
