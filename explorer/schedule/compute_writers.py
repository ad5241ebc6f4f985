"""Writing what computes on a tile: reset, GEMM, and the epilogue's ALU operations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.instruction_rows import begin_row
from explorer.schedule.kernels import MAX_ITERATIONS, gemm_kernel, gemm_parts, kernel
from explorer.schedule.sections import (
    ACC,
    Sections,
    add_strides,
    moved_loops,
)
from explorer.schedule.tiles import Shares, Tile
from explorer.schedule.uop_table import UopTable, add_uops
from simulator.columns import (
    ALU_OPCODE,
    DST_IN,
    DST_OUT,
    IMM,
    ITER_IN,
    ITER_OUT,
    POP_PREV,
    RESET,
    SRC_IN,
    UOP_BGN,
    UOP_END,
    USE_IMM,
)
from simulator.columns import OP_ALU as ALU
from simulator.columns import OP_GEMM as GEMM
from simulator.jit import helper, maker

Array = NDArray[np.int64]
# Columns of a step: what is done; opcode; immediate; rows of `Tile.base` that are changed and read;
# and which of the different pairs of these two it has, spread and others counted apart. A further
# term has the row of its weights for a number, and which term it is in the last column.
KIND, OPERATION, NUMBER, DST, SRC, SLOT = range(6)
IMMEDIATE, DENSE, SPREAD, RESETTING, ONCE, TERM = range(6)  # ALU operations, resets, products
ACCUMULATORS = (RESETTING, 0, 0, ACC, ACC, 0)
"""The reset of accumulators; other steps on them alone have the same micro-ops."""


class TermInputs(NamedTuple):
    """The inputs of further terms, as far as tokens depend on them; filled in from tile to tile.

    Attributes:
        pending: which tensors' tiles are new and not loaded, (tensors,).
        loaded: whether this tile's GEMM on a term takes a token from its loads, (terms,).
        readers: the row that last read each context of a tensor, or -1, (tensors, 2).
    """

    pending: NDArray[np.bool_]
    loaded: NDArray[np.bool_]
    readers: Array


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


@maker
def _write_sweeps(
    table: Array, n: int, opcode: int, uops: UopTable, share: Shares, here: Tile, step: Array
) -> int:
    """One operation on every accumulator of a tile; the rows then used, or a `Fault`.

    Accumulators are dense, so that one loop of the instruction passes over as many as its field
    can count, and a single micro-op says where it starts. Its source is the dense operand if there
    is one, else the accumulator itself: Chisel's ALU takes the operand beside an immediate from
    there. A reset has the same micro-ops, since it has no use for its source.
    """
    dst, src = here.base[step[DST]], here.base[step[SRC]]
    for chunk in range((here.entries + MAX_ITERATIONS - 1) // MAX_ITERATIONS):
        begin = chunk * MAX_ITERATIONS
        key = uops.sweeps + (2 * step[SLOT] + here.context[ACC]) * share.chunks + chunk
        if uops.rows[key] == 0:
            single = kernel(np.zeros(0, np.int64), np.zeros((3, 0), np.int64), 1)
            fault = add_uops(uops, key, single, dst + begin, src + begin, 0)
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


@maker
def write_reset(
    table: Array, n: int, uops: UopTable, share: Shares, here: Tile, step: Array
) -> int:
    """The reset of a tile's accumulators, or of what a step says; the rows, or a `Fault`."""
    end = _write_sweeps(table, n, GEMM, uops, share, here, step)
    for row in range(n, end):
        table[row, RESET] = 1
    return end


@maker
def write_gemm(
    table: Array,
    n: int,
    uops: UopTable,
    sections: Sections,
    orders: Array,
    here: Tile,
    term: int,
    inp: int,
    wgt: int,
) -> int:
    """A tile's GEMM on a term, with its inputs' rows; the rows then used, or a `Fault`."""
    key = 8 * (term * uops.kinds + here.kind)
    key += 4 * here.context[inp] + 2 * here.context[wgt] + here.context[ACC]
    if uops.rows[key] == 0:
        loops = gemm_kernel(sections, orders, here.length, uops.distance, term, inp, wgt)
        fault = add_uops(uops, key, loops, here.base[ACC], here.base[inp], here.base[wgt])
        if fault < 0:
            return fault
    row = uops.rows[key]
    begin, end = uops.sequences[row, 0], uops.sequences[row, 1]
    parts = gemm_parts(sections, here.length, uops.distance, term)
    step = (end - begin) // parts
    for part in range(parts):
        first = begin + part * step
        _write_compute(table, n + part, GEMM, uops, key, first, first + step)
    return n + parts


@maker
def _write_spread(
    table: Array,
    n: int,
    uops: UopTable,
    sections: Sections,
    orders: Array,
    here: Tile,
    step: Array,
) -> int:
    """An operation with a vector over fewer dimensions; the rows then used, or a `Fault`.

    A bias, say, has the channels alone, so that the kernel runs over the loops of the output with
    strides of the vector's own.
    """
    key = uops.spread + 2 * (step[SLOT] * uops.kinds + here.kind) + here.context[ACC]
    if uops.rows[key] == 0:
        loops = len(here.length)
        strides, length = np.zeros((3, loops), np.int64), np.zeros(loops, np.int64)
        add_strides(sections, ACC, orders, here.length, strides, 0)
        add_strides(sections, step[SRC], orders, here.length, strides, 1)
        moved = moved_loops(sections, ACC)
        for i in range(loops):
            length[i] = here.length[i] if moved[i] else 1
        fault = add_uops(
            uops, key, kernel(length, strides, 1), here.base[step[DST]], here.base[step[SRC]], 0
        )
        if fault < 0:
            return fault
    row = uops.rows[key]
    _write_compute(table, n, ALU, uops, key, uops.sequences[row, 0], uops.sequences[row, 1])
    return n + 1


@maker
def write_epilogue(
    table: Array,
    n: int,
    epilogue: Array,
    uops: UopTable,
    sections: Sections,
    orders: Array,
    share: Shares,
    here: Tile,
    first: bool,
    inputs: TermInputs,
) -> int:
    """The operations on a tile's finished accumulators; the rows then used, or a `Fault`.

    What is done once is done with the first tile, which is as large as any.
    """
    for place in range(len(epilogue)):
        step, begin = epilogue[place], n
        what = step[KIND]
        if what == SPREAD:
            n = _write_spread(table, n, uops, sections, orders, here, step)
        elif what == RESETTING or (what == ONCE and first):
            n = write_reset(table, n, uops, share, here, step)
        elif what == TERM:
            inp, wgt, term = step[SRC], step[NUMBER], step[SLOT]
            n = write_gemm(table, n, uops, sections, orders, here, term, inp, wgt)
            if n > 0:
                table[begin, POP_PREV] = inputs.loaded[term]
                inputs.readers[inp, here.context[inp]] = n - 1
                inputs.readers[wgt, here.context[wgt]] = n - 1
        elif what != ONCE:
            n = _write_sweeps(table, n, ALU, uops, share, here, step)
        if n < 0:
            return n
        if what <= SPREAD:
            for row in range(begin, n):
                table[row, ALU_OPCODE] = step[OPERATION]
                if what == IMMEDIATE:
                    table[row, USE_IMM], table[row, IMM] = 1, step[NUMBER]
    return n
