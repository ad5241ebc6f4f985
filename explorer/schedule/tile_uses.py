"""What each choice of tiles makes of a tensor: entries held and moved, and instructions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.machine import Operand
from simulator.jit import helper, jit

Array = NDArray[np.int64]


class Use(NamedTuple):
    """How a tiling uses a tensor.

    Attributes:
        volume: entries of the largest tile.
        first: entries moved for the first tile.
        last: entries of the last tile.
        once: entries moved if each of the tensor's own tiles is moved once.
        own: number of its own tiles; `whole` of them are not cut short by a loop's end.
        instructions: the fewest LOADs or STOREs that move a whole tile, whatever the order of
            coordinates in DRAM. One moves two sides that are cut; whole sides join a neighbour
            unless that is padded.
    """

    volume: int
    first: int
    last: int
    once: int
    own: int
    whole: int
    instructions: int


_USES = len(Use._fields)


class Uses(NamedTuple):
    """How a tensor is used under every choice of tiles of the loops that move it.

    Attributes:
        values: the fields of `Use`, (choices, 7).
        step: rows from one choice of a loop's tile to the next, (loops,).
        moved: whether a loop moves the tensor, (loops,).
    """

    values: Array
    step: Array
    moved: NDArray[np.bool_]


# Columns of a coordinate's table: entries along it.
(
    _BOX,  # of a whole tile
    _FIRST,  # of the first tile, as far as they are stored
    _LAST,  # of the last tile
    _ONCE,  # stored ones of all tiles together
    _SPANS,
) = range(5)


def uses(tensor: Operand, extents: Array, choices: Array, sizes: Array) -> Uses:
    """The uses for tile extents of each loop (loops, most), of which `sizes` are given."""
    moved: NDArray[np.bool_] = (tensor.moves != 0).any(axis=0)
    step, rows = _steps(moved, sizes)
    values = np.ones((rows, _USES), np.int64)
    # Coordinates are independent: entries of a box are the product of what each one spans, so that
    # a table a coordinate is enough, far shorter than one row for each choice of all loops.
    tables = [_steps(moves != 0, sizes) for moves in tensor.moves]
    span_step = np.array([steps for steps, _ in tables], np.int64).reshape(tensor.moves.shape)
    start = np.cumsum([0, *(lines for _, lines in tables)])
    spans = np.zeros((start[-1], _SPANS), np.int64)
    fill_uses(tensor, extents, choices, sizes, step, span_step, start, spans, values)
    return Uses(values, step, moved)


def _steps(moved: NDArray[np.bool_], sizes: Array) -> tuple[Array, int]:
    """Lines of a table from one choice of a loop's tile to the next, and of the whole table.

    A table has a line for each choice of tiles of the loops that move something.
    """
    counts = np.where(moved, sizes, 1)
    lines = np.cumprod(np.concatenate([np.ones(1, np.int64), counts]))
    return np.where(moved, lines[:-1], 0), int(lines[-1])


@jit
def fill_uses(
    tensor: Operand,
    extents: Array,
    choices: Array,
    sizes: Array,
    step: Array,
    span_step: Array,
    start: Array,
    spans: Array,
    values: Array,
) -> None:
    """Fill in what the uses are.

    Args:
        tensor: whose uses.
        extents: see `uses`.
        choices: see `uses`.
        sizes: see `uses`.
        step: rows of `values` from one choice of a loop's tile to the next, (loops,).
        span_step: lines of `spans` from one to the next, (coordinates, loops).
        start: the first line of each coordinate, and one past the last of all.
        spans: the coordinates' tables, one after the other, (lines, `_SPANS`); filled in.
        values: ones, see `Uses`; filled in.
    """
    loops, coordinates = len(extents), len(tensor.moves)
    digits, lines = np.zeros(loops, np.int64), np.zeros(coordinates, np.int64)
    for j in range(coordinates):
        for line in range(start[j], start[j + 1]):
            for i in range(loops):
                if span_step[j, i] > 0:
                    digits[i] = choices[i, (line - start[j]) // span_step[j, i] % sizes[i]]
            _span(tensor, j, extents, digits, spans[line])
    for row in range(len(values)):
        own, whole = 1, 1
        for i in range(loops):
            digits[i] = 0
            if step[i] > 0:
                digits[i] = row // step[i] % sizes[i]
                tile = choices[i, digits[i]]
                own *= (extents[i] + tile - 1) // tile
                whole *= extents[i] // tile
        for j in range(coordinates):
            lines[j] = start[j]
            for i in range(loops):
                lines[j] += digits[i] * span_step[j, i]
        _use(tensor, spans, lines, values[row])
        values[row, 4], values[row, 5] = own, whole


@helper
def _use(tensor: Operand, spans: Array, lines: Array, value: Array) -> None:
    """All of a `Use` but its numbers of tiles, from the lines of its coordinates' tables."""
    full, cut, joined = 1, 1, False
    longest, second = 1, 1  # of the sides that are cut
    for j in range(len(lines)):
        box = spans[lines[j], _BOX]
        value[0] *= box
        value[1] *= spans[lines[j], _FIRST]
        value[2] *= spans[lines[j], _LAST]
        value[3] *= spans[lines[j], _ONCE]
        padded = tensor.low[j] > 0 or tensor.high[j] < tensor.extent[j]
        # Whole sides fold into a neighbour in some order of coordinates; the bound must hold for
        # the best order, so that all of them are taken to fold wherever one can.
        if not padded and box >= tensor.extent[j]:
            full *= box
        elif box > 1:
            cut *= box
            longest, second = max(longest, box), max(second, min(longest, box))
            joined = joined or not padded
    if full > 1 and not joined:
        cut *= full
        longest, second = max(longest, full), max(second, min(longest, full))
    value[6] = cut // (longest * second)


@helper
def _span(tensor: Operand, j: int, extents: Array, tile: Array, span: Array) -> None:
    """What coordinate `j` spans when its loops have these tiles."""
    moves, low, high = tensor.moves[j], tensor.low[j], tensor.high[j]
    box, end, repeats = 1, 1, 1
    for i in range(len(extents)):
        if moves[i]:
            tiles = (extents[i] + tile[i] - 1) // tile[i]
            box += moves[i] * (tile[i] - 1)
            end += moves[i] * (extents[i] - (tiles - 1) * tile[i] - 1)
            repeats *= tiles
    span[_BOX] = box
    span[_FIRST] = max(1, min(box, high) - low)
    span[_LAST] = end
    total = 0
    for index in range(repeats):
        begin, size, rest = 0, 1, index
        for i in range(len(extents)):
            if moves[i]:
                tiles = (extents[i] + tile[i] - 1) // tile[i]
                place = rest % tiles
                rest //= tiles
                begin += moves[i] * place * tile[i]
                size += moves[i] * (min(tile[i], extents[i] - place * tile[i]) - 1)
        total += max(0, min(begin + size, high) - max(begin, low))
    span[_ONCE] = total


@helper
def use_row(values: Array, row: int) -> Use:
    """A row of `Uses.values`."""
    return Use(
        values[row, 0],
        values[row, 1],
        values[row, 2],
        values[row, 3],
        values[row, 4],
        values[row, 5],
        values[row, 6],
    )


@helper
def load_instructions(held: Use, events: int) -> int:
    """LOADs of a tensor's tiles, at least: a tile that a loop's end cuts short may take one."""
    # Each of the tensor's own tiles is moved equally often: whole ones take what they need.
    whole = events // held.own * held.whole
    return whole * held.instructions + events - whole
