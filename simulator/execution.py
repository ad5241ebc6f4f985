"""Executing instructions one after the other: what GEMM does, and who does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.alu import alu
from simulator.block_product import multiply_block
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
from simulator.jit import helper, jit, maker
from simulator.machine import (
    MOST_UOPS,
    NEVER_LOADED,
    Fault,
    Machine,
    Outcome,
    keep_out,
    largest,
    mark,
    mask,
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
        fault, value = _step(machine, table[i], semantics, portable)
        if fault != _NONE:
            return fault, i, value
    return _NONE, 0, 0


@maker
def _step(
    machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool
) -> Outcome:
    opcode = row[OPCODE]
    if opcode == OP_STORE:
        return store(machine, row, semantics, portable)
    if opcode == OP_LOAD:
        load(machine, row, semantics)
        return _NONE, 0
    if opcode == OP_FINISH:
        return _NONE, 0
    first, end = row[UOP_BGN], row[UOP_END]
    total = row[ITER_OUT] * row[ITER_IN] * (end - first)
    if total > MOST_UOPS:
        return _ENDLESS, total
    if total == 0:
        return _NONE, 0
    uops = _fetch_uops(machine.uops, first, end)
    for u in range(len(uops)):
        if uops[u, 0] == NEVER_LOADED:
            return _UOP_UNLOADED, (first + u) % len(machine.uops)
    if opcode == OP_GEMM:
        return _gemm(machine, row, uops, semantics, portable)
    return alu(machine, row, uops, semantics, portable)


@maker
def _fetch_uops(uops: NDArray[np.int64], first: int, end: int) -> NDArray[np.int64]:
    """The micro-ops of an instruction; beyond the last one come the first ones again."""
    if end <= len(uops):
        return uops[first:end]
    found = np.empty((end - first, 3), np.int64)
    for u in range(end - first):
        for part in range(3):
            found[u, part] = uops[(first + u) % len(uops), part]
    return found


@helper
def _gemm(
    machine: Machine,
    row: NDArray[np.int64],
    uops: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> Outcome:
    if portable or semantics.beyond == _ABORTS:
        dst = largest(uops, row, 0)
        if dst >= len(machine.acc):
            return _DST_RANGE, dst
        if not row[RESET]:
            src, wgt = largest(uops, row, 1), largest(uops, row, 2)
            if src >= len(machine.inp):
                return _SRC_RANGE, src
            if wgt >= len(machine.wgt):
                return _WGT_RANGE, wgt
    if not row[RESET] or semantics.reset_writes_out:
        _multiply(machine, row, uops, semantics)
    else:
        _reset(machine, row, uops, semantics)
    return _NONE, 0


@helper
def _reset(
    machine: Machine, row: NDArray[np.int64], uops: NDArray[np.int64], semantics: Semantics
) -> None:
    bits = mask(len(machine.acc), semantics)
    for outer in range(row[ITER_OUT]):
        for inner in range(row[ITER_IN]):
            base = outer * row[DST_OUT] + inner * row[DST_IN]
            for u in range(len(uops)):
                _clear(machine, (base + uops[u, 0]) & bits)


@helper
def _clear(machine: Machine, a: int) -> None:
    keep_out(machine, a)
    lanes = machine.acc[a].reshape(-1)
    for lane in range(len(lanes)):
        lanes[lane] = 0
    mark(machine.acc_bad, a, False)


@helper
def _multiply(
    machine: Machine, row: NDArray[np.int64], uops: NDArray[np.int64], semantics: Semantics
) -> None:
    # Named here, because taking an array out of the machine counts its users, one by one: in the
    # innermost loop that took longer than the product.
    acc, inp, wgt, fresh = machine.acc, machine.inp, machine.wgt, machine.fresh
    acc_bad, inp_bad, wgt_bad = machine.acc_bad, machine.inp_bad, machine.wgt_bad
    acc_bits, inp_bits = mask(len(acc), semantics), mask(len(inp), semantics)
    wgt_bits, reset = mask(len(wgt), semantics), row[RESET]
    for outer in range(row[ITER_OUT]):
        for inner in range(row[ITER_IN]):
            a0 = outer * row[DST_OUT] + inner * row[DST_IN]
            i0 = outer * row[SRC_OUT] + inner * row[SRC_IN]
            w0 = outer * row[WGT_OUT] + inner * row[WGT_IN]
            for u in range(len(uops)):
                a = (a0 + uops[u, 0]) & acc_bits
                i = (i0 + uops[u, 1]) & inp_bits
                w = (w0 + uops[u, 2]) & wgt_bits
                if a >= len(acc):
                    write_anywhere(machine)
                    continue
                if i >= len(inp) or w >= len(wgt) or inp_bad[i] or wgt_bad[w]:
                    mark(acc_bad, a, True)
                else:
                    multiply_block(acc, a, inp, i, wgt, w)
                fresh[a] = True
                if reset:
                    _clear(machine, a)
