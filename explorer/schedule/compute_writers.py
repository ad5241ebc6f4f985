"""Writing what computes on a tile: reset, GEMM, and the epilogue's ALU operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.instruction_rows import begin_row
from explorer.schedule.kernels import MAX_ITERATIONS, gemm_parts, kernel
from explorer.schedule.sections import ACC, ADDEND, INP, WGT, Sections, add_strides, moved_loops
from explorer.schedule.tiles import Shares, Tile
from explorer.schedule.uop_table import UopTable, uop_sequence
from isa.fields import AluOp, Column, Opcode
from simulator.jit import jit

Array = NDArray[np.int64]
ADD_IMMEDIATE, ADD_RESIDUAL = -1, -2


@jit
def _write_compute(
    table: Array, n: int, opcode: int, bounds: tuple[int, int], hardware: Array
) -> None:
    begin_row(table, n, opcode)
    table[n, Column.UOP_BGN], table[n, Column.UOP_END] = bounds
    table[n, Column.ITER_OUT], table[n, Column.ITER_IN] = hardware[0, 0], hardware[1, 0]
    for port in range(3):
        table[n, Column.DST_OUT + 2 * port] = hardware[0, port + 1]
        table[n, Column.DST_IN + 2 * port] = hardware[1, port + 1]


@jit
def _write_sweeps(
    table: Array, n: int, opcode: int, uops: UopTable, share: Shares, here: Tile, residual: bool
) -> int:
    """One operation on every accumulator of a tile; the rows then used, or a `Fault`.

    Its source is the residual of the accumulator if there is to be one, else the accumulator
    itself: Chisel's ALU takes the operand beside an immediate from there. A reset has the same
    micro-ops, since it has no use for its source.
    """
    for chunk in range((here.entries + MAX_ITERATIONS - 1) // MAX_ITERATIONS):
        at, begin = here.context[ACC] * share.chunks + chunk, chunk * MAX_ITERATIONS
        source = here.base[ACC] + begin
        if residual:
            at, source = at + len(uops.sweeps) // 2, here.residual + begin
        if uops.sweeps[at] == 0:
            single = kernel(np.ones(0, np.int64), np.zeros((3, 0), np.int64), 1)
            found = uop_sequence(uops, single, (here.base[ACC] + begin, source, 0))
            if found < 0:
                return found
            uops.sweeps[at] = found
        begin_row(table, n, opcode)
        sequence = uops.sequences[uops.sweeps[at]]
        table[n, Column.UOP_BGN], table[n, Column.UOP_END] = sequence[0], sequence[1]
        table[n, Column.ITER_OUT] = 1
        table[n, Column.ITER_IN] = min(MAX_ITERATIONS, here.entries - begin)
        table[n, Column.DST_IN], table[n, Column.SRC_IN] = 1, opcode == Opcode.ALU
        n += 1
    return n


@jit
def write_reset(table: Array, n: int, uops: UopTable, share: Shares, here: Tile) -> int:
    """The reset of a tile's accumulators; the rows then used, or a `Fault`."""
    end = _write_sweeps(table, n, Opcode.GEMM, uops, share, here, False)
    for row in range(n, end):
        table[row, Column.RESET] = 1
    return end


@jit
def write_gemm(
    table: Array,
    n: int,
    uops: UopTable,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    here: Tile,
) -> int:
    """The GEMM of a tile; the rows then used, or a `Fault`."""
    key = 8 * here.kind + 4 * here.context[INP] + 2 * here.context[WGT] + here.context[ACC]
    if uops.gemms[key] == 0:
        strides = np.zeros((3, len(here.length)), np.int64)
        add_strides(sections[ACC], orders[ACC], here.length, strides[0])
        add_strides(sections[INP], orders[INP], here.length, strides[1])
        add_strides(sections[WGT], orders[WGT], here.length, strides[2])
        k = kernel(here.length, strides, uops.distance)
        found = uop_sequence(uops, k, (here.base[ACC], here.base[INP], here.base[WGT]))
        if found < 0:
            return found
        uops.gemms[key] = found
        uops.gemm_loops[key] = k.hardware
    begin, end = uops.sequences[uops.gemms[key]]
    parts = gemm_parts(sections, here.length, uops.distance)
    step = (end - begin) // parts
    for part in range(parts):
        bounds = (begin + part * step, begin + (part + 1) * step)
        _write_compute(table, n + part, Opcode.GEMM, bounds, uops.gemm_loops[key])
    return n + parts


@jit
def _write_add(
    table: Array,
    n: int,
    uops: UopTable,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    here: Tile,
) -> int:
    """The addition of the addend to a tile's accumulators; the rows then used, or a `Fault`."""
    key = 2 * here.kind + here.context[ACC]
    if uops.adds[key] == 0:
        strides = np.zeros((3, len(here.length)), np.int64)
        add_strides(sections[ACC], orders[ACC], here.length, strides[0])
        add_strides(sections[ADDEND], orders[ADDEND], here.length, strides[1])
        k = kernel(np.where(moved_loops(sections[ACC]), here.length, 1), strides, 1)
        found = uop_sequence(uops, k, (here.base[ACC], here.base[ADDEND], 0))
        if found < 0:
            return found
        uops.adds[key] = found
        uops.add_loops[key] = k.hardware
    begin, end = uops.sequences[uops.adds[key]]
    _write_compute(table, n, Opcode.ALU, (begin, end), uops.add_loops[key])
    table[n, Column.ALU_OPCODE] = AluOp.ADD
    return n + 1


@jit
def write_epilogue(
    table: Array,
    n: int,
    epilogue: Array,
    uops: UopTable,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    share: Shares,
    here: Tile,
) -> int:
    """The ALU operations on a tile's accumulators; the rows then used, or a `Fault`."""
    for step in range(len(epilogue)):
        if epilogue[step, 0] == ADD_IMMEDIATE:
            end = _write_sweeps(table, n, Opcode.ALU, uops, share, here, False)
            for row in range(n, end):
                table[row, Column.ALU_OPCODE] = epilogue[step, 1]
                table[row, Column.USE_IMM], table[row, Column.IMM] = 1, epilogue[step, 2]
        elif epilogue[step, 0] == ADD_RESIDUAL:
            end = _write_sweeps(table, n, Opcode.ALU, uops, share, here, True)
            for row in range(n, end):
                table[row, Column.ALU_OPCODE] = AluOp.ADD
        else:
            end = _write_add(table, n, uops, sections, orders, here)
        if end < 0:
            return end
        n = end
    return n
