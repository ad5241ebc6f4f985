"""Execute a binary program, bit for bit as VTA does, and refuse what hardware would not run.

Only the binary and the memory image are read. Instructions run one after the other, in any of the
orders that their tokens allow: those of a program without races all leave the same memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isa.codec import Table, decode
from isa.fields import INSTRUCTION_BYTES, AluOp, Column, Memory, Opcode, uop_widths
from simulator.checks import check
from simulator.counts import Counts, count, element_bytes
from simulator.errors import SimulationError
from simulator.interleaving import PROGRAM, Interleaving, execution_order
from simulator.jit import jit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isa.config import Config
    from isa.program_image import Program

_NEVER_LOADED = -1
_POISON = 0x5A


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a run leaves behind.

    Attributes:
        image: DRAM after the run, uint8; the index is the byte address.
        accumulators: the ACC scratchpad, int32 of shape (depth, batch, block_out).
        counts: DRAM traffic and micro-ops.
    """

    image: NDArray[np.uint8]
    accumulators: NDArray[np.int32]
    counts: Counts


def run(
    program: Program,
    inputs: Mapping[str, NDArray[np.generic]],
    *,
    portable: bool = True,
    interleaving: Interleaving = PROGRAM,
) -> Result:
    """Execute a program on packed inputs; see `isa.program_image.Program.image` and `execute`."""
    instructions = program.section("INSN")
    return execute(
        program.config,
        program.image(inputs),
        instructions.address,
        instructions.size // INSTRUCTION_BYTES,
        portable=portable,
        interleaving=interleaving,
    )


def execute(
    config: Config,
    image: NDArray[np.uint8],
    address: int,
    n: int,
    *,
    portable: bool = True,
    interleaving: Interleaving = PROGRAM,
) -> Result:
    """Execute the ``n`` instructions at a byte address of a memory image.

    Scratchpads start with an arbitrary pattern, as they do on hardware, so that a program which
    reads what it never loaded does not come out right by accident.

    Args:
        config: the configuration that the binary is encoded for.
        image: DRAM, uint8; it is not modified.
        address: byte address of the first instruction.
        n: number of instructions.
        portable: also refuse what VTA's implementations do differently: a STORE of what was not
            last written by an ALU or non-reset GEMM micro-op, ALU micro-ops that depend on the one
            before, tokens popped before the program pushes them, more than 255 tokens waiting,
            MUL, 8-bit ACC loads, shifts by other than an immediate from -15 to 15, padded UOP and
            WGT loads, and UOP loads of several rows.
        interleaving: the order in which the queues are executed.

    Raises:
        isa.codec.DecodingError: when the bytes are no instructions.
        SimulationError: when hardware would hang or go out of bounds, or the program is not
            portable and has to be.
    """
    end = address + n * INSTRUCTION_BYTES
    if address < 0 or end > len(image):
        raise SimulationError(0, f"instructions end at byte {end} of {len(image)}")
    table = decode(config, image[address:end])
    check(config, table, len(image), portable=portable)
    order = execution_order(table, interleaving, portable=portable)
    machine = _machine(config, image)
    fault, instruction, value = _run(machine, table, order, portable)
    if fault:
        raise SimulationError(instruction, _REASONS[Fault(fault)].format(value=value))
    return Result(machine.dram, machine.acc, count(config, table))


class Fault(IntEnum):
    """Why execution stopped."""

    NONE = 0
    UOP_UNLOADED = 1
    DST_RANGE = 2
    SRC_RANGE = 3
    WGT_RANGE = 4
    STALE_OUT = 5
    ALU_HAZARD = 6


_REASONS = {
    Fault.UOP_UNLOADED: "micro-op {value} was never loaded",
    Fault.DST_RANGE: "the destination index reaches {value}, beyond the scratchpad",
    Fault.SRC_RANGE: "the source index reaches {value}, beyond the scratchpad",
    Fault.WGT_RANGE: "the weight index reaches {value}, beyond the scratchpad",
    Fault.STALE_OUT: "stores ACC element {value}, whose last writer did not write OUT",
    Fault.ALU_HAZARD: "adjacent ALU micro-ops meet in ACC element {value}",
}


class _Machine(NamedTuple):
    """State, as the compiled functions see it.

    Attributes:
        dram: uint8, by byte address.
        inp: int8 of shape (depth, batch, block_in).
        wgt: int8 of shape (depth, block_out, block_in).
        acc: int32 of shape (depth, batch, block_out).
        uops: decoded micro-ops, int64 of shape (depth, 3).
        fresh: for each ACC element, whether hardware's OUT memory holds its low bytes.
        element_bytes: by `Memory`.
        uop_widths: bits of dst, src and wgt.
    """

    dram: NDArray[np.uint8]
    inp: NDArray[np.int8]
    wgt: NDArray[np.int8]
    acc: NDArray[np.int32]
    uops: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    element_bytes: NDArray[np.int64]
    uop_widths: tuple[int, int, int]


def _machine(config: Config, image: NDArray[np.uint8]) -> _Machine:
    acc_shape = (config.acc_depth, config.batch, config.block_out)
    return _Machine(
        dram=image.copy(),
        inp=np.full((config.inp_depth, config.batch, config.block_in), _POISON, np.int8),
        wgt=np.full((config.wgt_depth, config.block_out, config.block_in), _POISON, np.int8),
        acc=np.full(acc_shape, _POISON * 0x01010101, np.int32),
        uops=np.full((config.uop_depth, 3), _NEVER_LOADED, np.int64),
        fresh=np.zeros(config.acc_depth, np.bool_),
        element_bytes=element_bytes(config),
        uop_widths=uop_widths(config.log_depths),
    )


_Outcome: TypeAlias = tuple[int, int]
"""A `Fault` and the value that explains it."""


@jit
def _run(
    machine: _Machine, table: Table, order: NDArray[np.int64], portable: bool
) -> tuple[int, int, int]:
    """Execute all instructions; the fault that stops them, at which instruction, and a value."""
    for i in order:
        fault, value = _step(machine, table[i], portable)
        if fault != Fault.NONE:
            return fault, i, value
    return Fault.NONE, 0, 0


@jit
def _step(machine: _Machine, row: NDArray[np.int64], portable: bool) -> _Outcome:
    opcode = row[Column.OPCODE]
    if opcode == Opcode.GEMM:
        return _gemm(machine, row)
    if opcode == Opcode.ALU:
        return _alu(machine, row, portable)
    if opcode == Opcode.STORE:
        return _store(machine, row, portable)
    if opcode == Opcode.LOAD and row[Column.X_SIZE] > 0:
        _load(machine, row)
    return Fault.NONE, 0


# --- DMA ----------------------------------------------------------------------------------------


@jit
def _load(machine: _Machine, row: NDArray[np.int64]) -> None:
    memory = row[Column.MEMORY_TYPE]
    data = _fetch(machine.dram, row, machine.element_bytes[memory])
    first = row[Column.SRAM_BASE]
    last = first + len(data) // machine.element_bytes[memory]
    if memory == Memory.UOP:
        _decode_uops(machine.uops[first:last], data.view(np.uint32), machine.uop_widths)
    elif memory == Memory.INP:
        machine.inp[first:last].reshape(-1)[:] = data.view(np.int8)
    elif memory == Memory.WGT:
        machine.wgt[first:last].reshape(-1)[:] = data.view(np.int8)
    else:
        accumulators = machine.acc[first:last].reshape(-1)
        if memory == Memory.ACC:
            accumulators[:] = data.view(np.int32)
        else:
            accumulators[:] = data.view(np.int8)
        machine.fresh[first:last] = False


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
def _decode_uops(
    uops: NDArray[np.int64], words: NDArray[np.uint32], widths: tuple[int, int, int]
) -> None:
    for i in range(len(words)):
        word = np.int64(words[i])
        for part in range(3):
            uops[i, part] = word & ((1 << widths[part]) - 1)
            word >>= widths[part]


@jit
def _store(machine: _Machine, row: NDArray[np.int64], portable: bool) -> _Outcome:
    size = machine.element_bytes[Memory.OUT]
    elements = machine.acc.reshape(len(machine.acc), size)
    for y in range(row[Column.Y_SIZE]):
        for x in range(row[Column.X_SIZE]):
            source = row[Column.SRAM_BASE] + y * row[Column.X_SIZE] + x
            if portable and not machine.fresh[source]:
                return Fault.STALE_OUT, source
            target = (row[Column.DRAM_BASE] + y * row[Column.X_STRIDE] + x) * size
            for lane in range(size):
                machine.dram[target + lane] = np.uint8(elements[source, lane])
    return Fault.NONE, 0


# --- GEMM and ALU -------------------------------------------------------------------------------


@jit
def _gemm(machine: _Machine, row: NDArray[np.int64]) -> _Outcome:
    uops = machine.uops[row[Column.UOP_BGN] : row[Column.UOP_END]]
    if uops.min() == _NEVER_LOADED:
        return _unloaded(machine.uops, row)
    dst = _largest(uops, row, 0)
    if dst >= len(machine.acc):
        return Fault.DST_RANGE, dst
    if row[Column.RESET]:
        _reset(machine, row, uops)
        return Fault.NONE, 0
    src, wgt = _largest(uops, row, 1), _largest(uops, row, 2)
    if src >= len(machine.inp):
        return Fault.SRC_RANGE, src
    if wgt >= len(machine.wgt):
        return Fault.WGT_RANGE, wgt
    _multiply(machine, row, uops)
    return Fault.NONE, 0


@jit
def _largest(uops: NDArray[np.int64], row: NDArray[np.int64], part: int) -> int:
    """Greatest index of a micro-op part over the whole instruction; factors are never negative."""
    outer = (row[Column.ITER_OUT] - 1) * row[Column.DST_OUT + 2 * part]
    inner = (row[Column.ITER_IN] - 1) * row[Column.DST_IN + 2 * part]
    return int(outer + inner + uops[:, part].max())


@jit
def _unloaded(uops: NDArray[np.int64], row: NDArray[np.int64]) -> _Outcome:
    first = row[Column.UOP_BGN]
    while uops[first, 0] != _NEVER_LOADED:
        first += 1
    return Fault.UOP_UNLOADED, first


@jit
def _reset(machine: _Machine, row: NDArray[np.int64], uops: NDArray[np.int64]) -> None:
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            base = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN]
            for u in range(len(uops)):
                machine.acc[base + uops[u, 0]] = 0
                machine.fresh[base + uops[u, 0]] = False


@jit
def _multiply(machine: _Machine, row: NDArray[np.int64], uops: NDArray[np.int64]) -> None:
    acc, inp, wgt, fresh = machine.acc, machine.inp, machine.wgt, machine.fresh
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            a0 = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN]
            i0 = outer * row[Column.SRC_OUT] + inner * row[Column.SRC_IN]
            w0 = outer * row[Column.WGT_OUT] + inner * row[Column.WGT_IN]
            for u in range(len(uops)):
                a, i, w = a0 + uops[u, 0], i0 + uops[u, 1], w0 + uops[u, 2]
                _multiply_block(acc[a], inp[i], wgt[w])
                fresh[a] = True


@jit
def _multiply_block(acc: NDArray[np.int32], inp: NDArray[np.int8], wgt: NDArray[np.int8]) -> None:
    # The casts keep every intermediate at 32 bits: that is the wrap-around of the hardware, and
    # lets the compiler fill a vector register with twice as many lanes.
    for b in range(inp.shape[0]):
        for o in range(wgt.shape[0]):
            total = acc[b, o]
            for k in range(wgt.shape[1]):
                total = np.int32(total + np.int32(inp[b, k]) * np.int32(wgt[o, k]))
            acc[b, o] = total


@jit
def _alu(machine: _Machine, row: NDArray[np.int64], portable: bool) -> _Outcome:
    uops = machine.uops[row[Column.UOP_BGN] : row[Column.UOP_END]]
    if uops.min() == _NEVER_LOADED:
        return _unloaded(machine.uops, row)
    last_dst, last_src = _largest(uops, row, 0), _largest(uops, row, 1)
    if last_dst >= len(machine.acc):
        return Fault.DST_RANGE, last_dst
    if last_src >= len(machine.acc):
        return Fault.SRC_RANGE, last_src
    elements = machine.acc.reshape(len(machine.acc), machine.element_bytes[Memory.OUT])
    immediate = np.full(elements.shape[1], row[Column.IMM], np.int32)
    use_imm, operation, previous = row[Column.USE_IMM], row[Column.ALU_OPCODE], -1
    for outer in range(row[Column.ITER_OUT]):
        for inner in range(row[Column.ITER_IN]):
            for u in range(len(uops)):
                dst = outer * row[Column.DST_OUT] + inner * row[Column.DST_IN] + uops[u, 0]
                src = outer * row[Column.SRC_OUT] + inner * row[Column.SRC_IN] + uops[u, 1]
                if portable and previous == (dst if use_imm else src):
                    return Fault.ALU_HAZARD, previous
                _operate(operation, elements[dst], immediate if use_imm else elements[src])
                machine.fresh[dst] = True
                previous = dst
    return Fault.NONE, 0


@jit
def _operate(operation: int, x: NDArray[np.int32], y: NDArray[np.int32]) -> None:
    """Replace ``x`` by the operation's result, lane by lane; storing to int32 wraps around."""
    for lane in range(len(x)):
        if operation == AluOp.MIN:
            x[lane] = min(x[lane], y[lane])
        elif operation == AluOp.MAX:
            x[lane] = max(x[lane], y[lane])
        elif operation == AluOp.ADD:
            x[lane] = x[lane] + y[lane]
        elif operation == AluOp.MUL:
            x[lane] = x[lane] * y[lane]
        elif y[lane] >= 0:
            x[lane] = x[lane] >> (y[lane] & 31)
        else:
            x[lane] = x[lane] << (-y[lane] & 31)
