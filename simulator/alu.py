"""What ALU instructions do to accumulators."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.fields import AluOp
from simulator.columns import (
    ALU_OPCODE,
    DST_IN,
    DST_OUT,
    IMM,
    ITER_IN,
    ITER_OUT,
    SRC_IN,
    SRC_OUT,
    UOP_BGN,
    UOP_END,
    USE_IMM,
)
from simulator.implementations import Index, Semantics, Shift
from simulator.jit import helper
from simulator.machine import (
    SHIFT_BITS,
    Accumulators,
    Fault,
    Machine,
    Marks,
    Outcome,
    largest,
    mark,
    write_anywhere,
)

# Plain, for compiled code.
_MIN, _MAX, _ADD = int(AluOp.MIN), int(AluOp.MAX), int(AluOp.ADD)
_SHR, _MUL = int(AluOp.SHR), int(AluOp.MUL)
_FULL, _FIVE_BITS = int(Shift.FULL), int(Shift.FIVE_BITS)
_IMMEDIATE_SIGN, _ABORTS = int(Shift.IMMEDIATE_SIGN), int(Index.ABORTS)
_NONE, _ALU_HAZARD = int(Fault.NONE), int(Fault.ALU_HAZARD)
_DST_RANGE, _SRC_RANGE = int(Fault.DST_RANGE), int(Fault.SRC_RANGE)
_IMMEDIATE_SOURCE = int(Fault.IMMEDIATE_SOURCE)


@helper
def alu(machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool) -> Outcome:
    """Execute an ALU instruction; see `simulator.functional.execute` for `portable`."""
    uops, bits, log_inp = machine.uops, machine.masks[0], machine.log_inp
    depth = len(machine.accumulators.acc)
    if portable or semantics.beyond == _ABORTS:
        fault, value = _alu_fault(depth, row, uops, portable)
        if fault != _NONE:
            return fault, value
    use_imm, previous = row[USE_IMM], -1
    for outer in range(row[ITER_OUT]):
        for inner in range(row[ITER_IN]):
            for u in range(row[UOP_BGN], row[UOP_END]):
                uop = u & (len(uops) - 1)
                dst = outer * row[DST_OUT] + inner * row[DST_IN] + uops[uop, 0]
                src = uops[uop, 1]
                if semantics.weight_in_source:
                    src |= uops[uop, 2] << log_inp
                src += outer * row[SRC_OUT] + inner * row[SRC_IN]
                dst, src = dst & bits, src & bits
                if portable and previous == (dst if use_imm else src):
                    return _ALU_HAZARD, previous
                if dst >= depth:
                    write_anywhere(machine.accumulators.bad, machine.accumulators.out_bad)
                    continue
                late = previous == src or (use_imm and previous == dst)
                _operate(machine.accumulators, row, dst, src, semantics, portable)
                if late and semantics.late_write:
                    mark(machine.accumulators.bad, dst, True)
                previous = dst
    return _NONE, 0


@helper
def _alu_fault(
    depth: int, row: NDArray[np.int64], uops: NDArray[np.int64], portable: bool
) -> Outcome:
    """What keeps an ALU instruction from being executed, whatever the accumulators hold."""
    last_dst, last_src = largest(uops, row, 0), largest(uops, row, 1)
    if last_dst >= depth:
        return _DST_RANGE, last_dst
    if last_src >= depth:
        return _SRC_RANGE, last_src
    if portable and row[USE_IMM]:
        same = row[DST_OUT] == row[SRC_OUT]
        same = same and row[DST_IN] == row[SRC_IN]
        for u in range(row[UOP_BGN], row[UOP_END]):
            dst = uops[u & (len(uops) - 1), 0]
            if not same or dst != uops[u & (len(uops) - 1), 1]:
                return _IMMEDIATE_SOURCE, dst
    return _NONE, 0


@helper
def _operate(
    accumulators: Accumulators,
    row: NDArray[np.int64],
    dst: int,
    src: int,
    semantics: Semantics,
    strict: bool,
) -> None:
    """What one micro-op does to the accumulators.

    `strict` is where the program has to be portable.
    """
    acc, bad, _, out_bad, fresh = accumulators
    operation, use_imm = row[ALU_OPCODE], row[USE_IMM]
    if operation == _MUL and not semantics.mul:
        fresh[dst] = False
        mark(out_bad, dst, True)
        return
    left = src if use_imm and semantics.immediate_source else dst
    exists = use_imm or src < len(acc)
    right = left if use_imm or not exists else src
    for lane in range(acc.shape[1]):
        bad[dst, lane] = bad[left, lane] or bad[right, lane] or not exists
    if operation == _SHR:
        # Immediate amounts are settled before execution: see `simulator.specialisation`.
        rule = _FULL if use_imm else semantics.shift
        _shift(acc, bad, row, (dst, left, right), rule, strict)
    else:
        _combine(acc, row, dst, left, right)
    fresh[dst] = True


@helper
def _combine(
    acc: NDArray[np.int32], row: NDArray[np.int64], dst: int, left: int, right: int
) -> None:
    # One loop with the choice inside, and no call: the compiler makes a loop of each choice.
    operation, use_imm, imm = row[ALU_OPCODE], row[USE_IMM], row[IMM]
    for lane in range(acc.shape[1]):
        x, y = np.int64(acc[left, lane]), np.int64(imm if use_imm else acc[right, lane])
        if operation == _MIN:
            x = min(x, y)
        elif operation == _MAX:
            x = max(x, y)
        elif operation == _ADD:
            x += y
        else:
            x *= y
        acc[dst, lane] = x  # its low 32 bits


@helper
def _shift(
    acc: NDArray[np.int32],
    bad: Marks,
    row: NDArray[np.int64],
    operands: tuple[int, int, int],
    rule: int,
    strict: bool,
) -> None:
    dst, left, right = operands
    use_imm, imm = row[USE_IMM], row[IMM]
    for lane in range(acc.shape[1]):
        x, y = np.int64(acc[left, lane]), np.int64(imm if use_imm else acc[right, lane])
        if rule == _FULL and abs(y) >= SHIFT_BITS:
            bad[dst, lane] = True
        if strict and not use_imm and not 0 <= y < SHIFT_BITS // 2:
            bad[dst, lane] = True
        places = _places(y, rule, imm)
        acc[dst, lane] = x >> places if places >= 0 else x << -places


@helper
def _places(y: np.int64, rule: int, imm: int) -> np.int64:
    """How far a shift goes to the right, to the left below 0: less than 32."""
    low = y & (SHIFT_BITS - 1)
    if rule == _FIVE_BITS:
        return low - SHIFT_BITS if low >= SHIFT_BITS // 2 else low
    to_left = imm < 0 if rule == _IMMEDIATE_SIGN else y < 0
    return -(-y & (SHIFT_BITS - 1)) if to_left else low
