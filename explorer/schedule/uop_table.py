"""The micro-op scratchpad while a program is written: sequences, each kept once.

A program loads all its micro-ops at once at its start, so that they share the scratchpad and none
is loaded twice; what two kinds of tiles have in common is found by comparing the sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import Fault
from explorer.schedule.kernels import MAX_ITERATIONS, kernel_uops
from simulator.jit import helper, maker

Array = NDArray[np.int64]
_UOPS, _LOOP = int(Fault.UOPS), int(Fault.LOOP)


class UopTable(NamedTuple):
    """The micro-op scratchpad, and which sequence an instruction uses.

    A tile is of one of 2^loops kinds, by which loops' ends cut it short, and contexts are two each.
    The instructions of a program have a key each: GEMMs by term, kind and three contexts, from 0
    on; from `spread` on, for each spread vector and what it changes, those that take it by kind and
    one context; and from `sweeps` on, for each pair of dense operands, sweeps by context and chunk.

    Attributes:
        table: micro-ops, (depth, 3).
        sequences: begin and end of each, from row 1 on; row 0 holds how many there are, and 0.
        rows: the row in `sequences` by key, or 0.
        loops: the instruction's two loops by key, (sweeps, 8).
        kinds: of tiles.
        spread, sweeps: the first keys of their instructions.
        distance: see `kernel`.
    """

    table: Array
    sequences: Array
    rows: Array
    loops: Array
    kinds: int
    spread: int
    sweeps: int
    distance: int


@maker
def empty_uops(
    depth: int, loops: int, terms: int, spread: int, sweeps: int, distance: int
) -> UopTable:
    """Nothing yet, with room for the keys of so many terms, spread operands and sweeps."""
    kinds = 1 << loops
    first = (8 * terms + 2 * spread) * kinds
    return UopTable(
        np.empty((depth, 3), np.int64),
        np.zeros((depth + 1, 2), np.int64),
        np.zeros(first + sweeps, np.int64),
        np.zeros((first, 8), np.int64),
        kinds,
        8 * terms * kinds,
        first,
        distance,
    )


@helper
def used_uops(uops: UopTable) -> int:
    """Micro-ops that are there."""
    return int(uops.sequences[uops.sequences[0, 0], 1])


@maker
def add_uops(uops: UopTable, key: int, loops: Array, dst: int, src: int, wgt: int) -> int:
    """Find or append a kernel's micro-ops from these entries on, for a key; 0 or a `Fault`."""
    if loops[0, 0] > MAX_ITERATIONS:
        return _LOOP
    count, used, known = kernel_uops(loops), used_uops(uops), uops.sequences[0, 0]
    if count > len(uops.table):
        return _UOPS
    fresh = _unrolled(loops, count, dst, src, wgt)
    row = _known_sequence(uops.table, uops.sequences, fresh)
    if row == 0:
        if used + count > len(uops.table):
            return _UOPS
        for index in range(count):
            for port in range(3):
                uops.table[used + index, port] = fresh[index, port]
        row = known + 1
        uops.sequences[0, 0] = row
        uops.sequences[row, 0], uops.sequences[row, 1] = used, used + count
    uops.rows[key] = row
    if key < len(uops.loops):
        for column in range(4):
            uops.loops[key, column] = loops[0, column]
            uops.loops[key, column + 4] = loops[1, column]
    return 0


@maker
def _unrolled(loops: Array, count: int, dst: int, src: int, wgt: int) -> Array:
    """The micro-ops of a kernel, (count, 3), the fastest loop first."""
    fresh = np.empty((count, 3), np.int64)
    for index in range(count):
        fresh[index, 0], fresh[index, 1], fresh[index, 2] = dst, src, wgt
        rest = index
        for k in range(2, len(loops)):
            step = rest % loops[k, 0]
            rest //= loops[k, 0]
            for port in range(3):
                fresh[index, port] += step * loops[k, port + 1]
    return fresh


@helper
def _known_sequence(table: Array, sequences: Array, fresh: Array) -> int:
    """The row of a sequence that is there already, or 0."""
    count = len(fresh)
    for row in range(1, sequences[0, 0] + 1):
        begin = sequences[row, 0]
        same = sequences[row, 1] - begin == count
        index = 0
        while same and index < count:
            for port in range(3):
                same = same and table[begin + index, port] == fresh[index, port]
            index += 1
        if same:
            return row
    return 0
