"""The machine that the functional simulator executes on: its memories, and what instructions do.

Beside each value stands whether it is poison, that is, whether an implementation leaves open what
it is. Poison is followed exactly as far as it can spread: a block of inputs or weights is loaded as
a whole, so that one mark is enough for it; an accumulator has a mark a lane; whatever poison enters
is poison. (Executing with several fill patterns instead would cost as many runs, and would pass
what comes out the same by chance.) Marks are only looked at where they are rare to be set, so that
they cost nearly nothing.

OUT is kept lazily: while ``fresh`` says that it holds the low bytes of an accumulator, it is not
written. It is filled in when the accumulator changes alone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isa.fields import AluOp, Column, Memory, Opcode
from simulator.block_product import multiply_block
from simulator.implementations import Index, Semantics, Shift
from simulator.jit import jit

if TYPE_CHECKING:
    from isa.codec import Table

Marks: TypeAlias = NDArray[np.bool_]

NEVER_LOADED = -1
SHIFT_BITS = 32
MOST_UOPS = 1 << 26
"""Micro-ops of the longest instruction that is executed: some run for ever, or as good as that."""


_BEYOND = ", beyond the scratchpad"


class Fault(IntEnum):
    """Why execution stopped."""

    NONE = 0
    UOP_UNLOADED = 1
    DST_RANGE = 2
    SRC_RANGE = 3
    WGT_RANGE = 4
    STALE_OUT = 5
    ALU_HAZARD = 6
    UNDEFINED = 7
    ENDLESS = 8
    IMMEDIATE_SOURCE = 9


REASONS = {
    Fault.UOP_UNLOADED: ("uop-unloaded", "micro-op {value} was never loaded"),
    Fault.DST_RANGE: ("index-range", "the destination index reaches {value}" + _BEYOND),
    Fault.SRC_RANGE: ("index-range", "the source index reaches {value}" + _BEYOND),
    Fault.WGT_RANGE: ("index-range", "the weight index reaches {value}" + _BEYOND),
    Fault.STALE_OUT: (
        "stale-out",
        "stores ACC element {value}, whose last writer did not write OUT",
    ),
    Fault.ALU_HAZARD: ("alu-hazard", "adjacent ALU micro-ops meet in ACC element {value}"),
    Fault.UNDEFINED: ("unwritten", "stores element {value}, whose value is undefined"),
    Fault.ENDLESS: ("", f"would execute {{value}} micro-ops, more than {MOST_UOPS}"),
    Fault.IMMEDIATE_SOURCE: (
        "immediate-source",
        "an immediate ALU instruction has another source than destination {value}",
    ),
}
"""The rule of `simulator.lint.RULES` that is broken, if it is one, and how."""

Outcome: TypeAlias = tuple[int, int]
"""A `Fault` and the value that explains it."""


class Machine(NamedTuple):
    """State, as the compiled functions see it; lanes are batch rows times output lanes.

    Attributes:
        dram: uint8, by byte address.
        inp: whole numbers that fit a byte, float32 of shape (depth, batch, block_in).
        wgt: the same of shape (depth, block_in, block_out); see `simulator.block_product`.
        acc: int32 of shape (depth, batch, block_out).
        out: uint8 of shape (depth, lanes); where ``fresh``, ACC's low bytes stand for it.
        uops: decoded micro-ops, int64 of shape (depth, 3).
        fresh: for each ACC element, whether OUT is to hold its low bytes.
        dram_bad: which bytes are poison.
        inp_bad: which elements have poison.
        wgt_bad: which elements have poison.
        acc_bad: which lanes are poison, (depth, lanes).
        out_bad: which lanes are poison, (depth, lanes); as for ``out``.
        stored_bad: whether any byte that was stored is poison, (1,).
        element_bytes: by `Memory`.
        uop_widths: bits of dst, src and wgt.
        log_inp: bits of an INP index.
    """

    dram: NDArray[np.uint8]
    inp: NDArray[np.float32]
    wgt: NDArray[np.float32]
    acc: NDArray[np.int32]
    out: NDArray[np.uint8]
    uops: NDArray[np.int64]
    fresh: Marks
    dram_bad: Marks
    inp_bad: Marks
    wgt_bad: Marks
    acc_bad: Marks
    out_bad: Marks
    stored_bad: Marks
    element_bytes: NDArray[np.int64]
    uop_widths: tuple[int, int, int]
    log_inp: int


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
        return _store(machine, row, semantics, portable)
    if opcode == Opcode.LOAD:
        _load(machine, row, semantics)
    elif opcode != Opcode.FINISH:
        uops, fault, value = _fetch_uops(machine, row)
        if fault != Fault.NONE or not len(uops):
            return fault, value
        if opcode == Opcode.GEMM:
            return _gemm(machine, row, uops, semantics, portable)
        return _alu(machine, row, uops, semantics, portable)
    return Fault.NONE, 0


# --- DMA ----------------------------------------------------------------------------------------


@jit
def _load(machine: Machine, row: NDArray[np.int64], semantics: Semantics) -> None:
    memory = row[Column.MEMORY_TYPE]
    size = machine.element_bytes[memory]
    data = _fetch(machine.dram, row, size)
    first = row[Column.SRAM_BASE]
    last = first + len(data) // size
    if memory == Memory.UOP:
        _decode_uops(machine.uops[first:last], data.view(np.uint32), machine.uop_widths)
    elif memory == Memory.INP:
        machine.inp[first:last].reshape(-1)[:] = data.view(np.int8)
        machine.inp_bad[first:last] = False
    elif memory == Memory.WGT:
        _turn_weights(machine.wgt[first:last], data.view(np.int8))
        machine.wgt_bad[first:last] = False
    else:
        if semantics.own_out:
            for a in range(first, last):
                _keep_out(machine, a)
        accumulators = machine.acc[first:last].reshape(-1)
        if memory == Memory.ACC:
            accumulators[:] = data.view(np.int32)
        else:
            accumulators[:] = data.view(np.int8)
        machine.fresh[first:last] = False
        machine.acc_bad[first:last] = False
    if machine.stored_bad[0]:
        _load_marks(machine, row, first, size)


@jit
def _turn_weights(wgt: NDArray[np.float32], data: NDArray[np.int8]) -> None:
    """Write blocks that lie in DRAM with block_in innermost."""
    blocks = data.reshape(len(wgt), wgt.shape[2], wgt.shape[1])
    for w in range(len(wgt)):
        for k in range(wgt.shape[1]):
            for o in range(wgt.shape[2]):
                wgt[w, k, o] = blocks[w, o, k]


@jit
def _fetch(dram: NDArray[np.uint8], row: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """The bytes a LOAD writes, zero padding included; ``size`` is that of an element."""
    rows = row[Column.Y_PAD_0] + row[Column.Y_SIZE] + row[Column.Y_PAD_1]
    width = (row[Column.X_PAD_0] + row[Column.X_SIZE] + row[Column.X_PAD_1]) * size
    length = row[Column.X_SIZE] * size
    data = np.zeros(rows * width, np.uint8)
    for y in range(row[Column.Y_SIZE]):
        source = (row[Column.DRAM_BASE] + y * row[Column.X_STRIDE]) * size
        target = (row[Column.Y_PAD_0] + y) * width + row[Column.X_PAD_0] * size
        data[target : target + length] = dram[source : source + length]
    return data


@jit
def _load_marks(machine: Machine, row: NDArray[np.int64], first: int, size: int) -> None:
    """Mark the elements that a LOAD has taken from poison; the program has failed by then."""
    memory = row[Column.MEMORY_TYPE]
    marks = _fetch(machine.dram_bad.view(np.uint8), row, size)
    for i in range(len(marks) // size):
        if marks[i * size : (i + 1) * size].any():
            if memory == Memory.UOP:
                machine.uops[first + i] = NEVER_LOADED
            elif memory == Memory.INP:
                machine.inp_bad[first + i] = True
            elif memory == Memory.WGT:
                machine.wgt_bad[first + i] = True
            else:
                machine.acc_bad[first + i] = True


@jit
def _decode_uops(
    uops: NDArray[np.int64], words: NDArray[np.uint32], widths: tuple[int, int, int]
) -> None:
    for i in range(len(words)):
        word = np.int64(words[i])
        for part in range(3):
            uops[i, part] = word & ((1 << widths[part]) - 1)
            word >>= widths[part]


@jit
def _store(
    machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool
) -> Outcome:
    size = machine.element_bytes[Memory.OUT]
    elements = machine.acc.reshape(len(machine.acc), size)
    for y in range(row[Column.Y_SIZE]):
        for x in range(row[Column.X_SIZE]):
            source = row[Column.SRAM_BASE] + y * row[Column.X_SIZE] + x
            fresh = machine.fresh[source]
            if portable and not fresh:
                return Fault.STALE_OUT, source
            from_acc = fresh or not semantics.own_out
            bad = machine.acc_bad[source] if from_acc else machine.out_bad[source]
            any_bad = bad.any()
            if portable and any_bad:
                return Fault.UNDEFINED, source
            target = (row[Column.DRAM_BASE] + y * row[Column.X_STRIDE] + x) * size
            for lane in range(size):
                value = np.uint8(elements[source, lane]) if from_acc else machine.out[source, lane]
                machine.dram[target + lane] = value
            if any_bad or machine.stored_bad[0]:
                machine.dram_bad[target : target + size] = bad
                machine.stored_bad[0] = True
    return Fault.NONE, 0


@jit
def _keep_out(machine: Machine, a: int) -> None:
    """Fill in an element of OUT, because ACC's is about to change alone."""
    if machine.fresh[a]:
        lanes = machine.acc[a].reshape(-1)
        for lane in range(len(lanes)):
            machine.out[a, lane] = np.uint8(lanes[lane])
        machine.out_bad[a] = machine.acc_bad[a]
        machine.fresh[a] = False


# --- GEMM and ALU -------------------------------------------------------------------------------


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
def _largest(uops: NDArray[np.int64], row: NDArray[np.int64], part: int) -> int:
    """Greatest index of a micro-op part over the whole instruction; factors are never negative."""
    outer = (row[Column.ITER_OUT] - 1) * row[Column.DST_OUT + 2 * part]
    inner = (row[Column.ITER_IN] - 1) * row[Column.DST_IN + 2 * part]
    return int(outer + inner + uops[:, part].max())


@jit
def _mask(depth: int, semantics: Semantics) -> int:
    """The bits of an index; depths are powers of two."""
    return (depth << 1) - 1 if semantics.beyond == Index.ONE_MORE_BIT else depth - 1


@jit
def _gemm(
    machine: Machine,
    row: NDArray[np.int64],
    uops: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> Outcome:
    if portable or semantics.beyond == Index.ABORTS:
        dst = _largest(uops, row, 0)
        if dst >= len(machine.acc):
            return Fault.DST_RANGE, dst
        if not row[Column.RESET]:
            src, wgt = _largest(uops, row, 1), _largest(uops, row, 2)
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
    mask = _mask(len(machine.acc), semantics)
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            base = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN]
            for u in range(len(uops)):
                _clear(machine, (base + uops[u, 0]) & mask)


@jit
def _clear(machine: Machine, a: int) -> None:
    _keep_out(machine, a)
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
    acc_bits, inp_bits = _mask(len(acc), semantics), _mask(len(inp), semantics)
    wgt_bits, reset = _mask(len(wgt), semantics), row[Column.RESET]
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
                    _write_anywhere(machine)
                    continue
                if i >= len(inp) or w >= len(wgt) or inp_bad[i] or wgt_bad[w]:
                    acc_bad[a] = True
                else:
                    multiply_block(acc, inp, wgt, (a, i, w))
                fresh[a] = True
                if reset:
                    _clear(machine, a)


@jit
def _write_anywhere(machine: Machine) -> None:
    """A write beyond the depth may hit every element: nothing is known of any."""
    machine.acc_bad[:] = True
    machine.out_bad[:] = True


@jit
def _alu(
    machine: Machine,
    row: NDArray[np.int64],
    uops: NDArray[np.int64],
    semantics: Semantics,
    portable: bool,
) -> Outcome:
    if portable or semantics.beyond == Index.ABORTS:
        fault, value = _alu_fault(machine, row, uops, portable)
        if fault != Fault.NONE:
            return fault, value
    depth = len(machine.acc)
    use_imm, previous, bits = row[Column.USE_IMM], -1, _mask(depth, semantics)
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
                    _write_anywhere(machine)
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
    last_dst, last_src = _largest(uops, row, 0), _largest(uops, row, 1)
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
