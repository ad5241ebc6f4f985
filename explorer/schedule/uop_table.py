"""The micro-op scratchpad while a program is written: sequences, each kept once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import Fault
from explorer.schedule.kernels import MAX_ITERATIONS, Kernel, kernel_uops
from simulator.jit import jit

Array = NDArray[np.int64]


class UopTable(NamedTuple):
    """The micro-op scratchpad, and which sequence an instruction uses.

    Attributes:
        table: micro-ops, (depth, 3).
        sequences: begin and end of each, from row 1 on; row 0 holds how many there are, and 0.
        gemms, adds, sweeps: the row in `sequences` for each kind of tile and its contexts, or 0;
            of the sweeps, those over the residual stand in the second half.
        gemm_loops, add_loops: the instruction's loops for these, (kinds, 2, 4).
        distance: see `kernel`.
    """

    table: Array
    sequences: Array
    gemms: Array
    adds: Array
    sweeps: Array
    gemm_loops: Array
    add_loops: Array
    distance: int


@jit
def empty_uops(depth: int, loops: int, sweeps: int, distance: int) -> UopTable:
    """Nothing yet; a tile is of one of 2^loops kinds, and contexts are two each."""
    kinds = 1 << loops
    return UopTable(
        np.empty((depth, 3), np.int64),
        np.zeros((depth + 1, 2), np.int64),
        np.zeros(8 * kinds, np.int64),
        np.zeros(2 * kinds, np.int64),
        np.zeros(sweeps, np.int64),
        np.zeros((8 * kinds, 2, 4), np.int64),
        np.zeros((2 * kinds, 2, 4), np.int64),
        distance,
    )


@jit
def used_uops(uops: UopTable) -> int:
    """Micro-ops that are there."""
    return int(uops.sequences[uops.sequences[0, 0], 1])


@jit
def uop_sequence(uops: UopTable, k: Kernel, base: tuple[int, int, int]) -> int:
    """Find or append a kernel's micro-ops, from these dst, src and wgt on; its row or a `Fault`."""
    if k.hardware[0, 0] > MAX_ITERATIONS:
        return Fault.LOOP.value
    count, used = kernel_uops(k), used_uops(uops)
    if count > len(uops.table):
        return Fault.UOPS.value
    fresh = np.empty((count, 3), np.int64)
    for index in range(count):
        rest = index
        fresh[index, 0], fresh[index, 1], fresh[index, 2] = base
        for loop in range(len(k.rest)):
            step = rest % k.rest[loop, 0]
            rest //= k.rest[loop, 0]
            for port in range(3):
                fresh[index, port] += step * k.rest[loop, port + 1]
    known = uops.sequences[0, 0]
    for row in range(1, known + 1):
        begin, end = uops.sequences[row]
        if end - begin == count and np.array_equal(uops.table[begin:end], fresh):
            return row
    if used + count > len(uops.table):
        return Fault.UOPS.value
    uops.table[used : used + count] = fresh
    uops.sequences[0, 0] = known + 1
    uops.sequences[known + 1, 0], uops.sequences[known + 1, 1] = used, used + count
    return int(known + 1)
