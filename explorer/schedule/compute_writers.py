"""Writing what computes on a tile: reset, GEMM, and the epilogue's ALU operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.instruction_rows import (
    ALU,
    ALU_OPCODE,
    DST_IN,
    DST_OUT,
    GEMM,
    IMM,
    ITER_IN,
    ITER_OUT,
    RESET,
    SRC_IN,
    UOP_BGN,
    UOP_END,
    USE_IMM,
    begin_row,
)
from explorer.schedule.kernels import MAX_ITERATIONS, gemm_kernel, gemm_parts, kernel
from explorer.schedule.sections import (
    ACC,
    ADDEND,
    INP,
    RESIDUAL,
    WGT,
    Sections,
    add_strides,
    moved_loops,
)
from explorer.schedule.tiles import Shares, Tile
from explorer.schedule.uop_table import UopTable, add_uops
from simulator.jit import helper

Array = NDArray[np.int64]
ADD_IMMEDIATE, ADD_RESIDUAL = -1, -2


@helper
def _write_compute(
    table: Array, n: int, opcode: int, uops: UopTable, key: int, begin: int, end: int
) -> None:
    """An instruction with the loops of a key, over these micro-ops."""
    begin_row(table, n, opcode)
    table[n, UOP_BGN], table[n, UOP_END] = begin, end
    table[n, ITER_OUT], table[n, ITER_IN] = uops.loops[key, 0], uops.loops[key, 4]
    for port in range(3):
        table[n, DST_OUT + 2 * port] = uops.loops[key, 1 + port]
        table[n, DST_IN + 2 * port] = uops.loops[key, 5 + port]


@helper
def _write_sweeps(
    table: Array, n: int, opcode: int, uops: UopTable, share: Shares, here: Tile, residual: bool
) -> int:
    """One operation on every accumulator of a tile; the rows then used, or a `Fault`.

    Accumulators are dense, so that one loop of the instruction passes over as many as its field
    can count, and a single micro-op says where it starts. Its source is the residual of the
    accumulator if there is to be one, else the accumulator itself: Chisel's ALU takes the operand
    beside an immediate from there. A reset has the same micro-ops, since it has no use for its
    source.
    """
    for chunk in range((here.entries + MAX_ITERATIONS - 1) // MAX_ITERATIONS):
        begin = chunk * MAX_ITERATIONS
        key = 10 * uops.kinds + here.context[ACC] * share.chunks + chunk
        source = here.base[ACC] + begin
        if residual:
            key += 2 * share.chunks
            source = here.base[RESIDUAL] + begin
        if uops.rows[key] == 0:
            single = kernel(np.zeros(0, np.int64), np.zeros((3, 0), np.int64), 1)
            fault = add_uops(uops, key, single, here.base[ACC] + begin, source, 0)
            if fault < 0:
                return fault
        begin_row(table, n, opcode)
        row = uops.rows[key]
        table[n, UOP_BGN], table[n, UOP_END] = uops.sequences[row, 0], uops.sequences[row, 1]
        table[n, ITER_OUT] = 1
        table[n, ITER_IN] = min(MAX_ITERATIONS, here.entries - begin)
        table[n, DST_IN], table[n, SRC_IN] = 1, opcode == ALU
        n += 1
    return n


@helper
def write_reset(table: Array, n: int, uops: UopTable, share: Shares, here: Tile) -> int:
    """The reset of a tile's accumulators; the rows then used, or a `Fault`."""
    end = _write_sweeps(table, n, GEMM, uops, share, here, False)
    for row in range(n, end):
        table[row, RESET] = 1
    return end


@helper
def write_gemm(
    table: Array, n: int, uops: UopTable, sections: Sections, orders: Array, here: Tile
) -> int:
    """The GEMM of a tile; the rows then used, or a `Fault`."""
    key = 8 * here.kind + 4 * here.context[INP] + 2 * here.context[WGT] + here.context[ACC]
    if uops.rows[key] == 0:
        loops = gemm_kernel(sections, orders, here.length, uops.distance)
        fault = add_uops(uops, key, loops, here.base[ACC], here.base[INP], here.base[WGT])
        if fault < 0:
            return fault
    row = uops.rows[key]
    begin, end = uops.sequences[row, 0], uops.sequences[row, 1]
    parts = gemm_parts(sections, here.length, uops.distance)
    step = (end - begin) // parts
    for part in range(parts):
        first = begin + part * step
        _write_compute(table, n + part, GEMM, uops, key, first, first + step)
    return n + parts


@helper
def _write_add(
    table: Array, n: int, uops: UopTable, sections: Sections, orders: Array, here: Tile
) -> int:
    """The addition of the addend to a tile's accumulators; the rows then used, or a `Fault`.

    It may have fewer coordinates than the output (a bias has the channels alone), so that its
    kernel runs over the loops of the output with strides of its own.
    """
    key = 8 * uops.kinds + 2 * here.kind + here.context[ACC]
    if uops.rows[key] == 0:
        loops = len(here.length)
        strides, length = np.zeros((3, loops), np.int64), np.ones(loops, np.int64)
        add_strides(sections, ACC, orders, here.length, strides, 0)
        add_strides(sections, ADDEND, orders, here.length, strides, 1)
        moved = moved_loops(sections, ACC)
        for i in range(loops):
            if moved[i]:
                length[i] = here.length[i]
        fault = add_uops(
            uops, key, kernel(length, strides, 1), here.base[ACC], here.base[ADDEND], 0
        )
        if fault < 0:
            return fault
    row = uops.rows[key]
    _write_compute(table, n, ALU, uops, key, uops.sequences[row, 0], uops.sequences[row, 1])
    return n + 1


@helper
def write_epilogue(
    table: Array,
    n: int,
    epilogue: Array,
    uops: UopTable,
    sections: Sections,
    orders: Array,
    share: Shares,
    here: Tile,
) -> int:
    """The ALU operations on a tile's accumulators; the rows then used, or a `Fault`."""
    for step in range(len(epilogue)):
        what, begin = epilogue[step, 0], n
        if what >= 0:
            n = _write_add(table, n, uops, sections, orders, here)
        else:
            n = _write_sweeps(table, n, ALU, uops, share, here, what == ADD_RESIDUAL)
        if n < 0:
            return n
        for row in range(begin, n):
            table[row, ALU_OPCODE] = epilogue[step, 1]
            if what == ADD_IMMEDIATE:
                table[row, USE_IMM], table[row, IMM] = 1, epilogue[step, 2]
    return n
