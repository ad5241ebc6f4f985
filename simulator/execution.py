"""Executing instructions one after the other: what GEMM does, and who does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.alu import alu
from simulator.columns import (
    DST_IN,
    DST_OUT,
    ITER_IN,
    ITER_OUT,
    OP_FINISH,
    OP_GEMM,
    OP_LOAD,
    OP_STORE,
    OPCODE,
    RESET,
    SRC_IN,
    SRC_OUT,
    UOP_BGN,
    UOP_END,
    WGT_IN,
    WGT_OUT,
)
from simulator.implementations import Index, Semantics
from simulator.jit import emitted, helper, jit
from simulator.machine import (
    MOST_UOPS,
    NEVER_LOADED,
    Accumulators,
    Fault,
    Machine,
    Outcome,
    keep_out,
    largest,
    mark,
    write_anywhere,
)
from simulator.transfers import load, store

if TYPE_CHECKING:
    from isa.codec import Table

# Plain, for compiled code.
_ABORTS = int(Index.ABORTS)
_NONE, _ENDLESS, _UOP_UNLOADED = int(Fault.NONE), int(Fault.ENDLESS), int(Fault.UOP_UNLOADED)
_DST_RANGE, _SRC_RANGE = int(Fault.DST_RANGE), int(Fault.SRC_RANGE)
_WGT_RANGE = int(Fault.WGT_RANGE)


@jit
def execute_all(
    machine: Machine,
    table: Table,
    order: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> tuple[int, int, int]:
    """Execute all instructions; the fault that stops them, at which instruction, and a value."""
    for place in range(len(order)):
        i = order[place]
        fault, value = _step(machine, table, i, semantics, portable)
        if fault != _NONE:
            return fault, i, value
    return _NONE, 0, 0


@helper
def _step(machine: Machine, table: Table, i: int, semantics: Semantics, portable: bool) -> Outcome:
    row = table[i]
    opcode = row[OPCODE]
    if opcode == OP_STORE:
        return store(machine, row, semantics.own_out, portable)
    if opcode == OP_LOAD:
        load(machine, row, semantics.own_out)
        return _NONE, 0
    if opcode == OP_FINISH:
        return _NONE, 0
    first, end, uops = row[UOP_BGN], row[UOP_END], machine.uops
    last = len(uops) - 1  # a power of two, less one
    total = row[ITER_OUT] * row[ITER_IN] * (end - first)
    if total > MOST_UOPS:
        return _ENDLESS, total
    if total == 0:
        return _NONE, 0
    # Beyond the last micro-op come the first ones again.
    for u in range(first, end):
        if uops[u & last, 0] == NEVER_LOADED:
            return _UOP_UNLOADED, u & last
    if opcode == OP_GEMM:
        return _gemm(machine, row, semantics, portable)
    return alu(machine, row, semantics, portable)


@helper
def _gemm(
    machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool
) -> Outcome:
    if portable or semantics.beyond == _ABORTS:
        dst = largest(machine.uops, row, 0)
        if dst >= len(machine.accumulators.acc):
            return _DST_RANGE, dst
        if not row[RESET]:
            src, wgt = largest(machine.uops, row, 1), largest(machine.uops, row, 2)
            if src >= len(machine.inp):
                return _SRC_RANGE, src
            if wgt >= len(machine.wgt):
                return _WGT_RANGE, wgt
    if not row[RESET] or semantics.reset_writes_out:
        _multiply(machine, row)
    else:
        _reset(machine.accumulators, row, machine.uops, machine.masks[0])
    return _NONE, 0


@helper
def _reset(
    accumulators: Accumulators, row: NDArray[np.int64], uops: NDArray[np.int64], bits: int
) -> None:
    for outer in range(row[ITER_OUT]):
        for inner in range(row[ITER_IN]):
            base = outer * row[DST_OUT] + inner * row[DST_IN]
            for u in range(row[UOP_BGN], row[UOP_END]):
                _clear(accumulators, (base + uops[u & (len(uops) - 1), 0]) & bits)


@helper
def _clear(accumulators: Accumulators, a: int) -> None:
    keep_out(accumulators, a)
    acc, bad, _, _, _ = accumulators
    for lane in range(acc.shape[1]):
        acc[a, lane] = 0
        bad[a, lane] = False


@emitted("simulator.block_product")
def multiply_block(
    acc: NDArray[np.int32],
    a: int,
    inp: NDArray[np.float32],
    i: int,
    wgt: NDArray[np.int8],
    w: int,
) -> None:
    """``acc[a, (b, o)] += sum over k of inp[i, b, k] * wgt[w, k, o]``, modulo 2**32.

    It takes whole scratchpads, and stands where it is called: views of single elements, or a call,
    take longer than the product.

    Args:
        acc: int32 of shape (depth, batch * block_out), as contiguous as the others.
        a: which element of it is added to.
        inp: whole numbers that fit a byte, float32 of shape (depth, batch, block_in).
        i: which element of it is multiplied.
        wgt: int8 of shape (depth, block_in, block_out), which is the other way round than in DRAM,
            so that what is multiplied by one input lies side by side. (As floats they would need
            no conversion, but four times the cache, which costs more.)
        w: the element of it by which it is multiplied.
    """
    acc[a] += (inp[i] @ wgt[w]).astype(np.int32).reshape(-1)


@helper
def _multiply(machine: Machine, row: NDArray[np.int64]) -> None:
    accumulators, inp, wgt, uops = machine.accumulators, machine.inp, machine.wgt, machine.uops
    acc, acc_bad, inp_bad, wgt_bad = (
        accumulators.acc, accumulators.bad, machine.inp_bad, machine.wgt_bad,
    )  # fmt: skip
    acc_bits, inp_bits, wgt_bits = machine.masks
    for outer in range(row[ITER_OUT]):
        for inner in range(row[ITER_IN]):
            a0 = outer * row[DST_OUT] + inner * row[DST_IN]
            i0 = outer * row[SRC_OUT] + inner * row[SRC_IN]
            w0 = outer * row[WGT_OUT] + inner * row[WGT_IN]
            for u in range(row[UOP_BGN], row[UOP_END]):
                uop = u & (len(uops) - 1)
                a = (a0 + uops[uop, 0]) & acc_bits
                i = (i0 + uops[uop, 1]) & inp_bits
                w = (w0 + uops[uop, 2]) & wgt_bits
                if a >= len(acc):
                    write_anywhere(acc_bad, accumulators.out_bad)
                    continue
                if i >= len(inp) or w >= len(wgt) or inp_bad[i] or wgt_bad[w]:
                    mark(acc_bad, a, True)
                else:
                    multiply_block(acc, a, inp, i, wgt, w)
                accumulators.fresh[a] = True
                if row[RESET]:
                    _clear(accumulators, a)
