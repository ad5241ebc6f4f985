"""The loops inside a tile: two that the instruction runs, and those that its micro-ops unroll."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.sections import ACC, Sections, add_strides, moved_loops
from simulator.jit import jit

Array = NDArray[np.int64]
MAX_ITERATIONS = 16_383  # iter_out and iter_in have 14 bits


class Kernel(NamedTuple):
    """In-tile loops as the instruction and its micro-ops run them.

    A loop is its extent, and its strides of dst, src and wgt.

    Attributes:
        hardware: the two loops of the instruction, (2, 4).
        rest: the loops that the micro-ops unroll, the fastest first, (n, 4).
    """

    hardware: Array
    rest: Array


@jit
def kernel(length: Array, strides: Array, distance: int) -> Kernel:
    """In-tile loops (loops,) with strides (3, loops): joined, then split.

    Loops of one iteration are dropped, and a loop that runs on into the next is joined. The two
    longest are the instruction's, the others the micro-ops'. With a distance above 1, they are
    chosen so that an accumulator is used again no sooner than that many micro-ops later.
    """
    found = np.zeros((len(length) + 2, 4), np.int64)
    n = 0
    for i in range(len(length) - 1, -1, -1):
        if length[i] == 1:
            continue
        for k in range(n):
            extent = found[k, 0]
            inside, outside = True, True
            for port in range(3):
                inside = inside and strides[port, i] == extent * found[k, port + 1]
                outside = outside and found[k, port + 1] == length[i] * strides[port, i]
            if (inside or outside) and extent * length[i] <= MAX_ITERATIONS:
                found[k, 0] = extent * length[i]
                if not inside:
                    found[k, 1:] = strides[:, i]
                break
        else:
            found[n, 0] = length[i]
            found[n, 1:] = strides[:, i]
            n += 1
    if distance > 1:
        return _spaced(found[: n + 2], distance)
    _sort(found, n)
    found[n:2, 0] = 1
    return Kernel(found[:2], found[2 : max(n, 2)])


@jit
def _sort(loops: Array, n: int) -> None:
    """Put the longest loop first; of equal ones that with the smaller strides."""
    for k in range(1, n):
        at = k
        while at > 0 and _precedes(loops[at], loops[at - 1]):
            for column in range(4):
                held = loops[at, column]
                loops[at, column] = loops[at - 1, column]
                loops[at - 1, column] = held
            at -= 1


@jit
def _precedes(one: Array, other: Array) -> bool:
    if one[0] != other[0]:
        return bool(one[0] > other[0])
    for column in range(1, 4):
        if one[column] != other[column]:
            return bool(one[column] < other[column])
    return False


@jit
def _spaced(loops: Array, distance: int) -> Kernel:
    """The split with the fewest micro-ops that keeps the distance; the last two loops are empty.

    Among the micro-ops, the loops of the outputs are the fastest. Where there are too few outputs
    for that, each iteration of the reductions gets an instruction of its own (`gemm_parts`), and
    the instruction's loops must be of the outputs.
    """
    loops[-2:, 0] = 1
    separate = _others(loops, -1, -1, False) < distance
    best, first, second = -1, len(loops) - 2, len(loops) - 1
    for i in range(len(loops)):
        for j in range(len(loops)):
            if i == j or max(loops[i, 0], loops[j, 0]) > MAX_ITERATIONS:
                continue
            inside, reductions = _others(loops, i, j, False), _others(loops, i, j, True)
            if separate:
                fits = not _reduces(loops[i]) and not _reduces(loops[j])
            elif reductions > 1 or _reduces(loops[j]):
                fits = inside >= distance
            else:
                fits = inside * loops[j, 0] >= distance or not _reduces(loops[i])
            if fits and (best < 0 or inside * reductions < best):
                best, first, second = inside * reductions, i, j
    rest, n = np.empty((len(loops) - 2, 4), np.int64), 0
    for reduces in (False, True):
        for k in range(len(loops)):
            if k not in (first, second) and _reduces(loops[k]) == reduces:
                rest[n] = loops[k]
                n += 1
    hardware = np.empty((2, 4), np.int64)
    hardware[0], hardware[1] = loops[first], loops[second]
    return Kernel(hardware, rest)


@jit
def _others(loops: Array, i: int, j: int, reduces: bool) -> int:
    """Iterations of all loops but two that are reductions, or that are not."""
    iterations = 1
    for k in range(len(loops)):
        if k not in (i, j) and _reduces(loops[k]) == reduces:
            iterations *= loops[k, 0]
    return iterations


@jit
def _reduces(loop: Array) -> bool:
    """Whether all iterations of a loop use the same accumulators."""
    return bool(loop[0] > 1 and loop[1] == 0)


@jit
def kernel_uops(k: Kernel) -> int:
    """Micro-ops of a kernel."""
    count = 1
    for loop in range(len(k.rest)):
        count *= k.rest[loop, 0]
    return count


@jit
def gemm_parts(sections: Sections, length: Array, distance: int) -> int:
    """Instructions of a tile's GEMM: one, unless it has too few outputs to keep the distance."""
    moved, outputs, reductions = moved_loops(sections[ACC]), 1, 1
    for i in range(len(length)):
        if moved[i]:
            outputs *= length[i]
        else:
            reductions *= length[i]
    return reductions if outputs < distance else 1


@jit
def whole_tile_uops(
    sections: Sections, orders: tuple[Array, Array, Array, Array], tile: Array, distance: int
) -> int:
    """Micro-ops of a whole tile's GEMM, for one combination of scratchpad contexts."""
    strides = np.zeros((3, len(tile)), np.int64)
    for s in range(3):
        add_strides(sections[s], orders[s], tile, strides[(1, 2, 0)[s]])
    return kernel_uops(kernel(tile, strides, distance))
