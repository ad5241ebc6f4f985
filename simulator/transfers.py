"""What LOAD and STORE do: data and poison between DRAM and the scratchpads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.columns import (
    ACC,
    DRAM_BASE,
    INP,
    MEMORY_TYPE,
    SRAM_BASE,
    UOP,
    WGT,
    X_PAD_0,
    X_PAD_1,
    X_SIZE,
    X_STRIDE,
    Y_PAD_0,
    Y_PAD_1,
    Y_SIZE,
)
from simulator.jit import helper
from simulator.machine import (
    NEVER_LOADED,
    Accumulators,
    Fault,
    Machine,
    Marks,
    Outcome,
    keep_out,
    mark,
)

# Plain, for compiled code.
_NONE, _STALE_OUT, _UNDEFINED = int(Fault.NONE), int(Fault.STALE_OUT), int(Fault.UNDEFINED)


@helper
def load(machine: Machine, row: NDArray[np.int64], own_out: int) -> None:
    """Execute a LOAD.

    Args:
        machine: whose scratchpad is written.
        row: the instruction.
        own_out: whether OUT keeps what it holds when ACC is loaded.
    """
    memory, first, data = row[MEMORY_TYPE], row[SRAM_BASE], machine.loaded
    size = machine.element_bytes[memory]
    count = _fetch(machine.dram, row, size, data)
    if memory == UOP:
        _decode_uops(machine.uops, first, data, count, machine.uop_widths)
    elif memory == INP:
        _copy_inputs(machine.inp, machine.inp_bad, first, data, count)
    elif memory == WGT:
        _turn_weights(machine.wgt, machine.wgt_bad, first, data, count)
    else:
        _copy_accumulators(machine.accumulators, own_out, first, data, count, memory == ACC)
    if machine.stored_bad[0]:
        _load_marks(machine, row, first, size)


@helper
def _fetch(
    dram: NDArray[np.uint8], row: NDArray[np.int64], size: int, data: NDArray[np.uint8]
) -> int:
    """Take the bytes that a LOAD writes, zero padding included; of how many elements.

    Args:
        dram: where they come from.
        row: the instruction.
        size: bytes of an element.
        data: where they are put.
    """
    rows = row[Y_PAD_0] + row[Y_SIZE] + row[Y_PAD_1]
    width = row[X_PAD_0] + row[X_SIZE] + row[X_PAD_1]
    for byte in range(rows * width * size):
        data[byte] = 0
    for y in range(row[Y_SIZE]):
        source = (row[DRAM_BASE] + y * row[X_STRIDE]) * size
        target = ((row[Y_PAD_0] + y) * width + row[X_PAD_0]) * size
        for byte in range(row[X_SIZE] * size):
            data[target + byte] = dram[source + byte]
    count: int = rows * width
    return count


@helper
def _copy_inputs(
    inp: NDArray[np.float32], bad: Marks, first: int, data: NDArray[np.uint8], count: int
) -> None:
    _, rows, terms = inp.shape
    for i in range(count):
        for b in range(rows):
            start = (i * rows + b) * terms
            for k in range(terms):
                inp[first + i, b, k] = np.int8(data[start + k])
        bad[first + i] = False


@helper
def _copy_accumulators(
    accumulators: Accumulators,
    own_out: int,
    first: int,
    data: NDArray[np.uint8],
    count: int,
    words: bool,
) -> None:
    """Write accumulators of 32 bits each, or of 8 bits, which are signed."""
    acc, bad, _, _, fresh = accumulators
    lanes = acc.shape[1]
    for a in range(count):
        if own_out:
            keep_out(accumulators, first + a)
        fresh[first + a] = False
        for lane in range(lanes):
            place = a * lanes + lane
            if words:
                acc[first + a, lane] = _word(data, 4 * place)  # its low 32 bits
            else:
                acc[first + a, lane] = np.int8(data[place])
            bad[first + a, lane] = False


@helper
def _word(data: NDArray[np.uint8], place: int) -> np.int64:
    """The unsigned 32-bit number at a byte."""
    word = np.int64(0)
    for byte in range(4):
        word |= np.int64(data[place + byte]) << (8 * byte)
    return word


@helper
def _turn_weights(
    wgt: NDArray[np.int8], bad: Marks, first: int, data: NDArray[np.uint8], count: int
) -> None:
    """Write blocks that lie in DRAM with block_in innermost."""
    _, terms, width = wgt.shape
    for w in range(count):
        block = w * terms * width
        for k in range(terms):
            for o in range(width):
                wgt[first + w, k, o] = np.int8(data[block + o * terms + k])
        bad[first + w] = False


@helper
def _load_marks(machine: Machine, row: NDArray[np.int64], first: int, size: int) -> None:
    """Mark the elements that a LOAD has taken from poison; the program has failed by then."""
    memory, width = row[MEMORY_TYPE], row[X_PAD_0] + row[X_SIZE] + row[X_PAD_1]
    for y in range(row[Y_SIZE]):
        source = (row[DRAM_BASE] + y * row[X_STRIDE]) * size
        target = first + (row[Y_PAD_0] + y) * width + row[X_PAD_0]
        for byte in range(row[X_SIZE] * size):
            if not machine.dram_bad[source + byte]:
                continue
            element = target + byte // size
            if memory == UOP:
                for part in range(3):
                    machine.uops[element, part] = NEVER_LOADED
            elif memory == INP:
                machine.inp_bad[element] = True
            elif memory == WGT:
                machine.wgt_bad[element] = True
            else:
                mark(machine.accumulators.bad, element, True)


@helper
def _decode_uops(
    uops: NDArray[np.int64],
    first: int,
    data: NDArray[np.uint8],
    count: int,
    widths: tuple[int, int, int],
) -> None:
    for i in range(count):
        word = _word(data, 4 * i)
        for part in range(3):
            uops[first + i, part] = word & ((1 << widths[part]) - 1)
            word >>= widths[part]


@helper
def store(machine: Machine, row: NDArray[np.int64], own_out: int, portable: bool) -> Outcome:
    """Execute a STORE; see `simulator.functional.execute` for `portable`.

    Args:
        machine: whose DRAM is written.
        row: the instruction.
        own_out: whether OUT is stored where it holds something else than ACC's low bytes.
        portable: whether the program has to be.
    """
    dram, dram_bad, any_stored = machine.dram, machine.dram_bad, machine.stored_bad
    acc, acc_bad, out, out_bad, fresh = machine.accumulators
    size = acc.shape[1]
    for y in range(row[Y_SIZE]):
        for x in range(row[X_SIZE]):
            source = row[SRAM_BASE] + y * row[X_SIZE] + x
            if portable and not fresh[source]:
                return _STALE_OUT, source
            from_acc = fresh[source] or not own_out
            target = (row[DRAM_BASE] + y * row[X_STRIDE] + x) * size
            any_bad = False
            for lane in range(size):
                if from_acc:
                    bad, value = acc_bad[source, lane], np.uint8(acc[source, lane])
                else:
                    bad, value = out_bad[source, lane], out[source, lane]
                dram[target + lane] = value
                any_bad = any_bad or bad
            if portable and any_bad:
                return _UNDEFINED, source
            if any_bad or any_stored[0]:
                for lane in range(size):
                    bad = acc_bad[source, lane] if from_acc else out_bad[source, lane]
                    dram_bad[target + lane] = bad
                any_stored[0] = True
    return _NONE, 0
