"""What LOAD and STORE do: data and poison between DRAM and the scratchpads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.fields import Column, Memory
from simulator.implementations import Semantics
from simulator.jit import jit
from simulator.machine import (
    NEVER_LOADED,
    Fault,
    Machine,
    Outcome,
    keep_out,
)

if TYPE_CHECKING:
    pass


@jit
def load(machine: Machine, row: NDArray[np.int64], semantics: Semantics) -> None:
    """Execute a LOAD."""
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
                keep_out(machine, a)
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
def _turn_weights(wgt: NDArray[np.int8], data: NDArray[np.int8]) -> None:
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
def store(
    machine: Machine, row: NDArray[np.int64], semantics: Semantics, portable: bool
) -> Outcome:
    """Execute a STORE; see `simulator.functional.execute` for `portable`."""
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
