"""Writing the LOADs and STOREs of a tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import Fault, Pattern, pattern, place
from explorer.schedule.instruction_rows import begin_row
from explorer.schedule.sections import ACC, ADDEND, INP, WGT, Section, Sections, fill_box
from isa.fields import Column
from simulator.jit import jit

Array = NDArray[np.int64]


@jit
def write_moves(
    table: Array, n: int, opcode: int, section: Section, p: Pattern, runs: Array, sram: int
) -> int:
    """Write the LOADs or STOREs of a box; the rows then used."""
    for index in range(p.instructions):
        at, dram = place(p, runs, index)
        begin_row(table, n, opcode)
        table[n, Column.MEMORY_TYPE] = section.memory
        table[n, Column.SRAM_BASE] = sram + at
        table[n, Column.DRAM_BASE] = section.base + dram
        table[n, Column.Y_SIZE], table[n, Column.X_SIZE] = p.y_size, p.x_size
        table[n, Column.X_STRIDE] = p.x_stride
        table[n, Column.Y_PAD_0], table[n, Column.Y_PAD_1] = p.y_before, p.y_after
        table[n, Column.X_PAD_0], table[n, Column.X_PAD_1] = p.x_before, p.x_after
        n += 1
    return n


@jit
def tile_patterns(
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    first: Array,
    length: Array,
    boxes: Array,
    runs: Array,
    changed: NDArray[np.bool_],
    moves_out: bool,
) -> tuple[Pattern, Pattern, Pattern, Pattern]:
    """What a tile loads and, where outputs or their residuals are moved, how these lie in DRAM."""
    adds = sections[ADDEND].depth > 0 and changed[ADDEND] and changed[ACC]
    return (
        _plan(sections[INP], orders[INP], first, length, boxes[0], runs[0], changed[INP]),
        _plan(sections[WGT], orders[WGT], first, length, boxes[1], runs[1], changed[WGT]),
        _plan(sections[ACC], orders[ACC], first, length, boxes[2], runs[2], moves_out),
        _plan(sections[ADDEND], orders[ADDEND], first, length, boxes[3], runs[3], adds),
    )


@jit
def _plan(
    section: Section,
    order: Array,
    first: Array,
    length: Array,
    box: Array,
    runs: Array,
    wanted: bool,
) -> Pattern:
    """The instructions that move a tile's box, none if it is not wanted."""
    if not wanted:
        return Pattern(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    if not fill_box(section, first, length, box):
        return Pattern(Fault.ALL_PADDING.value, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return pattern(box, order, runs)


@jit
def pattern_instructions(plans: tuple[Pattern, Pattern, Pattern, Pattern]) -> int:
    """How many instructions plans have, or a `Fault`."""
    total = 0
    for s in range(4):
        if plans[s].instructions < 0:
            return plans[s].instructions
        total += plans[s].instructions
    return total


@jit
def most_coordinates(sections: Sections) -> int:
    """Most coordinates that a tensor has."""
    sides = 1
    for s in range(4):
        sides = max(sides, len(sections[s].low))
    return sides
