"""What ALU instructions do to accumulators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.fields import AluOp, Column, Memory
from simulator.implementations import Index, Semantics, Shift
from simulator.jit import jit
from simulator.machine import (
    SHIFT_BITS,
    Fault,
    Machine,
    Outcome,
    largest,
    mask,
    write_anywhere,
)

if TYPE_CHECKING:
    pass


@jit
def alu(
    machine: Machine,
    row: NDArray[np.int64],
    uops: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> Outcome:
    """Execute an ALU instruction; see `simulator.functional.execute` for `portable`."""
    if portable or semantics.beyond == Index.ABORTS:
        fault, value = _alu_fault(machine, row, uops, portable)
        if fault != Fault.NONE:
            return fault, value
    depth = len(machine.acc)
    use_imm, previous, bits = row[Column.USE_IMM], -1, mask(depth, semantics)
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            for u in range(len(uops)):
                dst = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN] + uops[u, 0]
                src = uops[u, 1]
                if semantics.weight_in_source:
                    src |= uops[u, 2] << machine.log_inp
                src += outer * row[Column.SRC_OUT] + inner * row[Column.SRC_IN]
                dst, src = dst & bits, src & bits
                if portable and previous == (dst if use_imm else src):
                    return Fault.ALU_HAZARD, previous
                if dst >= depth:
                    write_anywhere(machine)
                    continue
                late = previous == src or (use_imm and previous == dst)
                _operate(machine, row, dst, src, semantics, portable)
                if late and semantics.late_write:
                    machine.acc_bad[dst] = True
                previous = dst
    return Fault.NONE, 0


@jit
def _alu_fault(
    machine: Machine, row: NDArray[np.int64], uops: NDArray[np.int64], portable: bool
) -> Outcome:
    """What keeps an ALU instruction from being executed, whatever the accumulators hold."""
    last_dst, last_src = largest(uops, row, 0), largest(uops, row, 1)
    if last_dst >= len(machine.acc):
        return Fault.DST_RANGE, last_dst
    if last_src >= len(machine.acc):
        return Fault.SRC_RANGE, last_src
    if portable and row[Column.USE_IMM]:
        same = row[Column.DST_OUT] == row[Column.SRC_OUT]
        same = same and row[Column.DST_IN] == row[Column.SRC_IN]
        for u in range(len(uops)):
            if not same or uops[u, 0] != uops[u, 1]:
                return Fault.IMMEDIATE_SOURCE, uops[u, 0]
    return Fault.NONE, 0


@jit
def _operate(
    machine: Machine, row: NDArray[np.int64], dst: int, src: int, semantics: Semantics, strict: bool
) -> None:
    """What one micro-op of an ALU instruction does; `strict` where it has to be portable."""
    depth, lanes, bad = len(machine.acc), machine.element_bytes[Memory.OUT], machine.acc_bad
    operation, use_imm, imm = row[Column.ALU_OPCODE], row[Column.USE_IMM], row[Column.IMM]
    if operation == AluOp.MUL and not semantics.mul:
        machine.fresh[dst] = False
        machine.out_bad[dst] = True
        return
    acc = machine.acc.reshape(depth, lanes)
    left = src if use_imm and semantics.immediate_source else dst
    exists = use_imm or src < depth
    right = left if use_imm or not exists else src
    # Immediate amounts are settled before execution: see `simulator.specialisation`.
    rule = Shift.FULL if use_imm else semantics.shift
    for lane in range(lanes):
        y = int(imm if use_imm else acc[right, lane])
        unknown = bad[left, lane] or bad[right, lane] or not exists
        if operation == AluOp.SHR:
            unknown = unknown or (rule == Shift.FULL and abs(y) >= SHIFT_BITS)
            unknown = unknown or (strict and not use_imm and not 0 <= y < SHIFT_BITS // 2)
            y = _places(y, rule, imm)
        acc[dst, lane] = _combine(operation, int(acc[left, lane]), y)
        bad[dst, lane] = unknown
    machine.fresh[dst] = True


@jit
def _places(y: int, rule: int, imm: int) -> int:
    """How far a shift goes to the right, to the left below 0: less than 32."""
    low = y & (SHIFT_BITS - 1)
    if rule == Shift.FIVE_BITS:
        return low - SHIFT_BITS if low >= SHIFT_BITS // 2 else low
    to_left = imm < 0 if rule == Shift.IMMEDIATE_SIGN else y < 0
    return -(-y & (SHIFT_BITS - 1)) if to_left else low


@jit
def _combine(operation: int, x: int, y: int) -> int:
    """The result before it wraps around to int32; of a shift, y is what `_places` says."""
    if operation == AluOp.MIN:
        return min(x, y)
    if operation == AluOp.MAX:
        return max(x, y)
    if operation == AluOp.ADD:
        return x + y
    if operation == AluOp.MUL:
        return x * y
    return x >> y if y >= 0 else x << -y
