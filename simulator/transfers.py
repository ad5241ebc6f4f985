"""What LOAD and STORE do: data and poison between DRAM and the scratchpads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.columns import (
    ACC,
    DRAM_BASE,
    INP,
    MEMORY_TYPE,
    OUT,
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
from simulator.implementations import Semantics
from simulator.jit import helper, maker
from simulator.machine import (
    NEVER_LOADED,
    Fault,
    Machine,
    Outcome,
    keep_out,
    mark,
)

# Plain, for compiled code.
_NONE, _STALE_OUT, _UNDEFINED = int(Fault.NONE), int(Fault.STALE_OUT), int(Fault.UNDEFINED)


@maker
def load(machine: Machine, row: NDArray[np.int64], semantics: Semantics) -> None:
    """Execute a LOAD."""
    memory, first = row[MEMORY_TYPE], row[SRAM_BASE]
    size = machine.element_bytes[memory]
    data = _fetch(machine.dram, row, size)
    last = first + len(data) // size
    if memory == UOP:
        _decode_uops(machine.uops, first, data, machine.uop_widths)
    elif memory == INP:
        _copy_inputs(machine.inp, first, data)
        for i in range(first, last):
            machine.inp_bad[i] = False
    elif memory == WGT:
        _turn_weights(machine.wgt, first, data)
        for w in range(first, last):
            machine.wgt_bad[w] = False
    else:
        for a in range(first, last):
            if semantics.own_out:
                keep_out(machine, a)
            machine.fresh[a] = False
            mark(machine.acc_bad, a, False)
        _copy_accumulators(machine.acc, first, data, memory == ACC)
    if machine.stored_bad[0]:
        _load_marks(machine, row, first, size)


@helper
def _copy_inputs(inp: NDArray[np.float32], first: int, data: NDArray[np.uint8]) -> None:
    lanes = inp.reshape(-1)
    start = first * inp.shape[1] * inp.shape[2]
    for i in range(len(data)):
        lanes[start + i] = np.int8(data[i])


@helper
def _copy_accumulators(
    acc: NDArray[np.int32], first: int, data: NDArray[np.uint8], words: bool
) -> None:
    """Write accumulators of 32 bits each, or of 8 bits, which are signed."""
    lanes = acc.reshape(-1)
    start = first * acc.shape[1] * acc.shape[2]
    if words:
        for i in range(len(data) // 4):
            lanes[start + i] = _word(data, 4 * i)  # its low 32 bits
    else:
        for i in range(len(data)):
            lanes[start + i] = np.int8(data[i])


@helper
def _word(data: NDArray[np.uint8], place: int) -> int:
    """The unsigned 32-bit number at a byte."""
    word = np.int64(0)
    for byte in range(4):
        word |= np.int64(data[place + byte]) << (8 * byte)
    return int(word)


@helper
def _turn_weights(wgt: NDArray[np.int8], first: int, data: NDArray[np.uint8]) -> None:
    """Write blocks that lie in DRAM with block_in innermost."""
    _, terms, width = wgt.shape
    for w in range(len(data) // (terms * width)):
        block = w * terms * width
        for k in range(terms):
            for o in range(width):
                wgt[first + w, k, o] = np.int8(data[block + o * terms + k])


@maker
def _fetch(dram: NDArray[np.uint8], row: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """The bytes a LOAD writes, zero padding included; ``size`` is that of an element."""
    rows = row[Y_PAD_0] + row[Y_SIZE] + row[Y_PAD_1]
    width = (row[X_PAD_0] + row[X_SIZE] + row[X_PAD_1]) * size
    data = np.zeros(rows * width, np.uint8)
    for y in range(row[Y_SIZE]):
        source = (row[DRAM_BASE] + y * row[X_STRIDE]) * size
        target = (row[Y_PAD_0] + y) * width + row[X_PAD_0] * size
        for byte in range(row[X_SIZE] * size):
            data[target + byte] = dram[source + byte]
    return data


@helper
def _load_marks(machine: Machine, row: NDArray[np.int64], first: int, size: int) -> None:
    """Mark the elements that a LOAD has taken from poison; the program has failed by then."""
    width = row[X_PAD_0] + row[X_SIZE] + row[X_PAD_1]
    for y in range(row[Y_SIZE]):
        source = (row[DRAM_BASE] + y * row[X_STRIDE]) * size
        target = first + (row[Y_PAD_0] + y) * width + row[X_PAD_0]
        for byte in range(row[X_SIZE] * size):
            if machine.dram_bad[source + byte]:
                _mark_loaded(machine, row[MEMORY_TYPE], target + byte // size)


@helper
def _mark_loaded(machine: Machine, memory: int, element: int) -> None:
    if memory == UOP:
        for part in range(3):
            machine.uops[element, part] = NEVER_LOADED
    elif memory == INP:
        machine.inp_bad[element] = True
    elif memory == WGT:
        machine.wgt_bad[element] = True
    else:
        mark(machine.acc_bad, element, True)


@helper
def _decode_uops(
    uops: NDArray[np.int64],
    first: int,
    data: NDArray[np.uint8],
    widths: tuple[int, int, int],
) -> None:
    for i in range(len(data) // 4):
        word = _word(data, 4 * i)
        for part in range(3):
            uops[first + i, part] = word & ((1 << widths[part]) - 1)
            word >>= widths[part]


@helper
def store(
    machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool
) -> Outcome:
    """Execute a STORE; see `simulator.functional.execute` for `portable`."""
    size = machine.element_bytes[OUT]
    elements = machine.acc.reshape(len(machine.acc), size)
    for y in range(row[Y_SIZE]):
        for x in range(row[X_SIZE]):
            source = row[SRAM_BASE] + y * row[X_SIZE] + x
            fresh = machine.fresh[source]
            if portable and not fresh:
                return _STALE_OUT, source
            from_acc = fresh or not semantics.own_out
            bad = machine.acc_bad if from_acc else machine.out_bad
            any_bad = False
            for lane in range(size):
                any_bad = any_bad or bad[source, lane]
            if portable and any_bad:
                return _UNDEFINED, source
            target = (row[DRAM_BASE] + y * row[X_STRIDE] + x) * size
            for lane in range(size):
                value = np.uint8(elements[source, lane]) if from_acc else machine.out[source, lane]
                machine.dram[target + lane] = value
            if any_bad or machine.stored_bad[0]:
                for lane in range(size):
                    machine.dram_bad[target + lane] = bad[source, lane]
                machine.stored_bad[0] = True
    return _NONE, 0
