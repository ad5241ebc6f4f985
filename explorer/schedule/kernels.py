"""The loops inside a tile: two that the instruction runs, and those that its micro-ops unroll.

A kernel is an array of loops, (loops + 2, 4): extent, and strides of dst, src and wgt. The first
two are the instruction's, the others the micro-ops', the fastest first. Loops of one iteration do
nothing, so that an array may have more rows than it needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.sections import ACC, INP, WGT, Sections, add_strides, moved_loops
from simulator.jit import helper, jit, maker

Array = NDArray[np.int64]
MAX_ITERATIONS = 16_383  # iter_out and iter_in have 14 bits


@maker
def kernel(length: Array, strides: Array, distance: int) -> Array:
    """In-tile loops (loops,) with strides (3, loops): joined, then split.

    Loops of one iteration are dropped, and a loop that runs on into the next is joined. The two
    longest are the instruction's, the others the micro-ops': what the instruction's loops do not
    take costs a micro-op each. With a distance above 1, they are chosen so that an accumulator is
    used again no sooner than that many micro-ops later.
    """
    found = np.zeros((len(length) + 2, 4), np.int64)
    for k in range(len(found)):
        found[k, 0] = 1
    n = 0
    for i in range(len(length) - 1, -1, -1):
        if length[i] > 1 and not _joined(found, n, length[i], strides, i):
            found[n, 0] = length[i]
            for port in range(3):
                found[n, port + 1] = strides[port, i]
            n += 1
    if distance > 1:
        return _spaced(found, distance)
    _sort(found, n)
    return found


@helper
def _joined(found: Array, n: int, length: int, strides: Array, i: int) -> bool:
    """Whether a loop runs on into one that is there, or that into it; they are then one."""
    for k in range(n):
        extent = found[k, 0]
        inside, outside = True, True
        for port in range(3):
            inside = inside and strides[port, i] == extent * found[k, port + 1]
            outside = outside and found[k, port + 1] == length * strides[port, i]
        if (inside or outside) and extent * length <= MAX_ITERATIONS:
            found[k, 0] = extent * length
            if not inside:
                for port in range(3):
                    found[k, port + 1] = strides[port, i]
            return True
    return False


@helper
def _sort(loops: Array, n: int) -> None:
    """Put the longest loop first; of equal ones that with the smaller strides."""
    for k in range(1, n):
        at = k
        while at > 0 and _precedes(loops, at, at - 1):
            for column in range(4):
                held = loops[at, column]
                loops[at, column] = loops[at - 1, column]
                loops[at - 1, column] = held
            at -= 1


@helper
def _precedes(loops: Array, one: int, other: int) -> bool:
    if loops[one, 0] != loops[other, 0]:
        return bool(loops[one, 0] > loops[other, 0])
    for column in range(1, 4):
        if loops[one, column] != loops[other, column]:
            return bool(loops[one, column] < loops[other, column])
    return False


@maker
def _spaced(loops: Array, distance: int) -> Array:
    """The split with the fewest micro-ops that keeps the distance; the last two loops are empty.

    Among the micro-ops, the loops of the outputs are the fastest, so that as many different
    accumulators as possible lie between two uses of one. Where there are too few outputs for that,
    each iteration of the reductions gets an instruction of its own (`gemm_parts`), as one drains
    before the next; the instruction's loops must then be of the outputs.
    """
    n = len(loops)
    separate = _others(loops, -1, -1, False) < distance
    best, first, second = -1, n - 2, n - 1
    for i in range(n):
        for j in range(n):
            if i == j or max(loops[i, 0], loops[j, 0]) > MAX_ITERATIONS:
                continue
            inside, reductions = _others(loops, i, j, False), _others(loops, i, j, True)
            if separate:
                fits = not _reduces(loops, i) and not _reduces(loops, j)
            elif reductions > 1 or _reduces(loops, j):
                fits = inside >= distance
            else:
                fits = inside * loops[j, 0] >= distance or not _reduces(loops, i)
            if fits and (best < 0 or inside * reductions < best):
                best, first, second = inside * reductions, i, j
    split = np.empty((n, 4), np.int64)
    for column in range(4):
        split[0, column], split[1, column] = loops[first, column], loops[second, column]
    at = 2
    for reduces in (False, True):
        for k in range(n):
            if k not in (first, second) and _reduces(loops, k) == reduces:
                for column in range(4):
                    split[at, column] = loops[k, column]
                at += 1
    return split


@helper
def _others(loops: Array, i: int, j: int, reduces: bool) -> int:
    """Iterations of all loops but two that are reductions, or that are not."""
    iterations = 1
    for k in range(len(loops)):
        if k not in (i, j) and _reduces(loops, k) == reduces:
            iterations *= loops[k, 0]
    return iterations


@helper
def _reduces(loops: Array, k: int) -> bool:
    """Whether all iterations of a loop use the same accumulators."""
    return bool(loops[k, 0] > 1 and loops[k, 1] == 0)


@helper
def kernel_uops(loops: Array) -> int:
    """Micro-ops of a kernel."""
    count = 1
    for k in range(2, len(loops)):
        count *= loops[k, 0]
    return count


@maker
def gemm_kernel(
    sections: Sections, orders: Array, length: Array, distance: int, term: int, inp: int, wgt: int
) -> Array:
    """The kernel of a tile's GEMM on a term, whose inputs are in these rows of the sections."""
    strides, own = np.zeros((3, len(length)), np.int64), np.zeros(len(length), np.int64)
    add_strides(sections, ACC, orders, length, strides, 0)
    add_strides(sections, inp, orders, length, strides, 1)
    add_strides(sections, wgt, orders, length, strides, 2)
    for i in range(len(length)):
        own[i] = length[i] if sections.loops[term, i] else 1
    return kernel(own, strides, distance)


@maker
def gemm_parts(sections: Sections, length: Array, distance: int, term: int) -> int:
    """Instructions of a tile's GEMM: one, unless it has too few outputs to keep the distance."""
    if distance <= 1:
        return 1
    moved, outputs, reductions = moved_loops(sections, ACC), 1, 1
    for i in range(len(length)):
        if not sections.loops[term, i]:
            continue
        if moved[i]:
            outputs *= length[i]
        else:
            reductions *= length[i]
    return reductions if outputs < distance else 1


@jit
def whole_tile_uops(sections: Sections, orders: Array, tile: Array, distance: int) -> int:
    """Micro-ops of a whole tile's first GEMM, for one combination of scratchpad contexts."""
    return _gemm_uops(sections, orders, tile, distance)  # what a door calls is compiled apart


@maker
def _gemm_uops(sections: Sections, orders: Array, tile: Array, distance: int) -> int:
    return kernel_uops(gemm_kernel(sections, orders, tile, distance, 0, INP, WGT))
