"""Executing instructions one after the other: what GEMM does, and who does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.fields import Column, Opcode
from simulator.alu import alu
from simulator.block_product import multiply_block
from simulator.implementations import Index, Semantics
from simulator.jit import jit
from simulator.machine import (
    MOST_UOPS,
    NEVER_LOADED,
    Fault,
    Machine,
    Outcome,
    keep_out,
    largest,
    mask,
    write_anywhere,
)
from simulator.transfers import load, store

if TYPE_CHECKING:
    from isa.codec import Table


@jit
def execute_all(
    machine: Machine,
    table: Table,
    order: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> tuple[int, int, int]:
    """Execute all instructions; the fault that stops them, at which instruction, and a value."""
    for i in order:
        fault, value = _step(machine, table[i], semantics, portable)
        if fault != Fault.NONE:
            return fault, i, value
    return Fault.NONE, 0, 0


@jit
def _step(
    machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool
) -> Outcome:
    opcode = row[Column.OPCODE]
    if opcode == Opcode.STORE:
        return store(machine, row, semantics, portable)
    if opcode == Opcode.LOAD:
        load(machine, row, semantics)
    elif opcode != Opcode.FINISH:
        uops, fault, value = _fetch_uops(machine, row)
        if fault != Fault.NONE or not len(uops):
            return fault, value
        if opcode == Opcode.GEMM:
            return _gemm(machine, row, uops, semantics, portable)
        return alu(machine, row, uops, semantics, portable)
    return Fault.NONE, 0


@jit
def _fetch_uops(machine: Machine, row: NDArray[np.int64]) -> tuple[NDArray[np.int64], int, int]:
    """The micro-ops of an instruction, none if it does nothing, and a fault with its value."""
    first, end = row[Column.UOP_BGN], row[Column.UOP_END]
    total = row[Column.ITER_OUT] * row[Column.ITER_IN] * (end - first)
    uops = machine.uops[first:end]
    if end > len(machine.uops):
        uops = machine.uops[np.arange(first, end) % len(machine.uops)]
    if total > MOST_UOPS:
        return uops, Fault.ENDLESS, total
    if total == 0:
        return uops[:0], Fault.NONE, 0
    if uops.min() == NEVER_LOADED:
        u = 0
        while uops[u, 0] != NEVER_LOADED:
            u += 1
        return uops, Fault.UOP_UNLOADED, (first + u) % len(machine.uops)
    return uops, Fault.NONE, 0


@jit
def _gemm(
    machine: Machine,
    row: NDArray[np.int64],
    uops: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> Outcome:
    if portable or semantics.beyond == Index.ABORTS:
        dst = largest(uops, row, 0)
        if dst >= len(machine.acc):
            return Fault.DST_RANGE, dst
        if not row[Column.RESET]:
            src, wgt = largest(uops, row, 1), largest(uops, row, 2)
            if src >= len(machine.inp):
                return Fault.SRC_RANGE, src
            if wgt >= len(machine.wgt):
                return Fault.WGT_RANGE, wgt
    if not row[Column.RESET] or semantics.reset_writes_out:
        _multiply(machine, row, uops, semantics)
    else:
        _reset(machine, row, uops, semantics)
    return Fault.NONE, 0


@jit
def _reset(
    machine: Machine, row: NDArray[np.int64], uops: NDArray[np.int64], semantics: Semantics
) -> None:
    bits = mask(len(machine.acc), semantics)
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            base = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN]
            for u in range(len(uops)):
                _clear(machine, (base + uops[u, 0]) & bits)


@jit
def _clear(machine: Machine, a: int) -> None:
    keep_out(machine, a)
    machine.acc[a] = 0
    machine.acc_bad[a] = False


@jit
def _multiply(
    machine: Machine, row: NDArray[np.int64], uops: NDArray[np.int64], semantics: Semantics
) -> None:
    # Named here, because taking an array out of the machine counts its users, one by one: in the
    # innermost loop that took longer than the product.
    acc, inp, wgt, fresh = machine.acc, machine.inp, machine.wgt, machine.fresh
    acc_bad, inp_bad, wgt_bad = machine.acc_bad, machine.inp_bad, machine.wgt_bad
    acc_bits, inp_bits = mask(len(acc), semantics), mask(len(inp), semantics)
    wgt_bits, reset = mask(len(wgt), semantics), row[Column.RESET]
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            a0 = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN]
            i0 = outer * row[Column.SRC_OUT] + inner * row[Column.SRC_IN]
            w0 = outer * row[Column.WGT_OUT] + inner * row[Column.WGT_IN]
            for u in range(len(uops)):
                a = (a0 + uops[u, 0]) & acc_bits
                i = (i0 + uops[u, 1]) & inp_bits
                w = (w0 + uops[u, 2]) & wgt_bits
                if a >= len(acc):
                    write_anywhere(machine)
                    continue
                if i >= len(inp) or w >= len(wgt) or inp_bad[i] or wgt_bad[w]:
                    acc_bad[a] = True
                else:
                    multiply_block(acc, a, inp, i, wgt, w)
                fresh[a] = True
                if reset:
                    _clear(machine, a)
