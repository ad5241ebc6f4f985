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
    Marks,
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
    acc = machine.acc.reshape(depth, machine.element_bytes[Memory.OUT])
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
                _operate(machine, acc, row, dst, src, semantics, portable)
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
    machine: Machine,
    acc: NDArray[np.int32],
    row: NDArray[np.int64],
    dst: int,
    src: int,
    semantics: Semantics,
    strict: bool,
) -> None:
    """What one micro-op does to the accumulators, of shape (depth, lanes).

    `strict` is where the program has to be portable.
    """
    operation, use_imm, bad = row[Column.ALU_OPCODE], row[Column.USE_IMM], machine.acc_bad
    if operation == AluOp.MUL and not semantics.mul:
        machine.fresh[dst] = False
        machine.out_bad[dst] = True
        return
    left = src if use_imm and semantics.immediate_source else dst
    exists = use_imm or src < len(acc)
    right = left if use_imm or not exists else src
    for lane in range(acc.shape[1]):
        bad[dst, lane] = bad[left, lane] or bad[right, lane] or not exists
    if operation == AluOp.SHR:
        _shift(acc, bad, row, (dst, left, right), semantics, strict)
    else:
        _combine(acc, row, dst, left, right)
    machine.fresh[dst] = True


@jit
def _combine(
    acc: NDArray[np.int32], row: NDArray[np.int64], dst: int, left: int, right: int
) -> None:
    # One loop with the choice inside, and no call: the compiler makes a loop of each choice.
    operation, use_imm, imm = row[Column.ALU_OPCODE], row[Column.USE_IMM], row[Column.IMM]
    for lane in range(acc.shape[1]):
        x, y = np.int64(acc[left, lane]), np.int64(imm if use_imm else acc[right, lane])
        if operation == AluOp.MIN:
            x = min(x, y)
        elif operation == AluOp.MAX:
            x = max(x, y)
        elif operation == AluOp.ADD:
            x += y
        else:
            x *= y
        acc[dst, lane] = x  # its low 32 bits


@jit
def _shift(
    acc: NDArray[np.int32],
    bad: Marks,
    row: NDArray[np.int64],
    operands: tuple[int, int, int],
    semantics: Semantics,
    strict: bool,
) -> None:
    dst, left, right = operands
    use_imm, imm = row[Column.USE_IMM], row[Column.IMM]
    # Immediate amounts are settled before execution: see `simulator.specialisation`.
    rule = Shift.FULL if use_imm else semantics.shift
    for lane in range(acc.shape[1]):
        x, y = np.int64(acc[left, lane]), np.int64(imm if use_imm else acc[right, lane])
        if rule == Shift.FULL and abs(y) >= SHIFT_BITS:
            bad[dst, lane] = True
        if strict and not use_imm and not 0 <= y < SHIFT_BITS // 2:
            bad[dst, lane] = True
        places = _places(int(y), rule, imm)
        acc[dst, lane] = x >> places if places >= 0 else x << -places


@jit
def _places(y: int, rule: int, imm: int) -> int:
    """How far a shift goes to the right, to the left below 0: less than 32."""
    low = y & (SHIFT_BITS - 1)
    if rule == Shift.FIVE_BITS:
        return low - SHIFT_BITS if low >= SHIFT_BITS // 2 else low
    to_left = imm < 0 if rule == Shift.IMMEDIATE_SIGN else y < 0
    return -(-y & (SHIFT_BITS - 1)) if to_left else low
