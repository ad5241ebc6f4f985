"""Writing the LOADs and STOREs of a tile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOVES,
    PARTS,
    PATTERN,
    RIGHT,
    RUNS,
    STRIDE,
    TOP,
    WIDTH,
    Fault,
    fill_pattern,
    place,
)
from explorer.schedule.instruction_rows import begin_row
from explorer.schedule.sections import (
    ACC,
    BASE,
    BESIDE,
    MEMORY,
    Sections,
    beside_inputs,
    fill_box,
)
from simulator.columns import (
    DRAM_BASE,
    MEMORY_TYPE,
    SRAM_BASE,
    X_PAD_0,
    X_PAD_1,
    X_SIZE,
    X_STRIDE,
    Y_PAD_0,
    Y_PAD_1,
    Y_SIZE,
)
from simulator.jit import helper, maker

Array = NDArray[np.int64]
_ALL_PADDING = int(Fault.ALL_PADDING)


class TileMoves(NamedTuple):
    """How a tile's boxes are moved, by tensor; filled in anew for each tile.

    Vectors as large as the output have the same entries in DRAM and share its row.

    Attributes:
        box: scratch for the box of one, (coordinates, parts).
        runs: its folded sides, (tensors, coordinates, 4).
        patterns: see `explorer.schedule.dma.PATTERN`; all 0 where nothing is moved, (tensors, 11).
    """

    box: Array
    runs: Array
    patterns: Array


@maker
def empty_moves(sections: Sections) -> TileMoves:
    """Nothing yet."""
    coordinates = sections.moves.shape[1]
    return TileMoves(
        np.zeros((coordinates, PARTS), np.int64),
        np.zeros((sections.dense, coordinates, RUNS), np.int64),
        np.zeros((sections.dense, PATTERN), np.int64),
    )


@maker
def plan_moves(
    sections: Sections,
    orders: Array,
    first: Array,
    length: Array,
    plan: TileMoves,
    changed: NDArray[np.bool_],
    pending: NDArray[np.bool_],
    final: bool,
    moves_out: bool,
) -> int:
    """Plan what a tile loads and, where outputs or as much are moved, how these lie in DRAM.

    Returns:
        How many instructions the patterns have, or a `Fault`.
    """
    total = 0
    for s in range(sections.dense):
        wanted = changed[s]
        if s == ACC:
            wanted = moves_out
        elif s >= BESIDE:
            # It is used once an output tile, and loaded before anything else is done to it; inputs
            # of further terms are when it is finished.
            wanted = changed[s] and changed[ACC]
            if beside_inputs(sections, s):
                wanted = final and pending[s]
        plan.patterns[s, MOVES] = 0
        if wanted:
            if not fill_box(sections, s, first, length, plan.box):
                return _ALL_PADDING
            moves = fill_pattern(plan.box, orders[s], plan.runs[s], plan.patterns[s])
            if moves < 0:
                return moves
            total += moves
    return total


@helper
def write_moves(
    table: Array, n: int, opcode: int, sections: Sections, s: int, plan: TileMoves, sram: int
) -> int:
    """Write the LOADs or STOREs of a tensor's box; the rows then used."""
    shape = ACC if s >= sections.dense else s
    found, runs = plan.patterns[shape], plan.runs[shape]
    for index in range(found[MOVES]):
        at, dram = place(found, runs, index)
        begin_row(table, n, opcode)
        table[n, MEMORY_TYPE] = sections.facts[s, MEMORY]
        table[n, SRAM_BASE] = sram + at
        table[n, DRAM_BASE] = sections.facts[s, BASE] + dram
        table[n, Y_SIZE], table[n, X_SIZE] = found[HEIGHT], found[WIDTH]
        table[n, X_STRIDE] = found[STRIDE]
        table[n, Y_PAD_0], table[n, Y_PAD_1] = found[TOP], found[BOTTOM]
        table[n, X_PAD_0], table[n, X_PAD_1] = found[LEFT], found[RIGHT]
        n += 1
    return n
