"""The machine that the functional simulator executes on: its memories, and what can go wrong.

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
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.columns import DST_IN, DST_OUT, ITER_IN, ITER_OUT, UOP_BGN, UOP_END
from simulator.jit import helper

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


class Accumulators(NamedTuple):
    """The scratchpads ACC and OUT, which have the same depth; lanes are batch rows times outputs.

    Attributes:
        acc: int32 of shape (depth, lanes).
        bad: which lanes of it are poison, (depth, lanes).
        out: uint8 of shape (depth, lanes); where ``fresh``, ACC's low bytes stand for it.
        out_bad: which lanes of it are poison, (depth, lanes); as for ``out``.
        fresh: for each ACC element, whether OUT is to hold its low bytes.
    """

    acc: NDArray[np.int32]
    bad: Marks
    out: NDArray[np.uint8]
    out_bad: Marks
    fresh: Marks


class Machine(NamedTuple):
    """State, as the compiled functions see it.

    What is passed on is what a function needs and no more: an array is passed as seven numbers or
    more, and taken apart and put together again in each function that it is passed to.

    Attributes:
        dram: uint8, by byte address.
        dram_bad: which bytes are poison.
        stored_bad: whether any byte that was stored is poison, (1,).
        inp: whole numbers that fit a byte, float32 of shape (depth, batch, block_in).
        inp_bad: which elements have poison.
        wgt: int8 of shape (depth, block_in, block_out); see `simulator.execution.multiply_block`.
        wgt_bad: which elements have poison.
        accumulators: the scratchpads ACC and OUT.
        uops: decoded micro-ops, int64 of shape (depth, 3).
        loaded: room for the bytes that a LOAD writes.
        element_bytes: by `Memory`.
        uop_widths: bits of dst, src and wgt.
        log_inp: bits of an INP index.
        masks: the bits that an index of ACC, INP and WGT has.
    """

    dram: NDArray[np.uint8]
    dram_bad: Marks
    stored_bad: Marks
    inp: NDArray[np.float32]
    inp_bad: Marks
    wgt: NDArray[np.int8]
    wgt_bad: Marks
    accumulators: Accumulators
    uops: NDArray[np.int64]
    loaded: NDArray[np.uint8]
    element_bytes: NDArray[np.int64]
    uop_widths: tuple[int, int, int]
    log_inp: int
    masks: tuple[int, int, int]


@helper
def keep_out(accumulators: Accumulators, a: int) -> None:
    """Fill in an element of OUT, because ACC's is about to change alone."""
    acc, bad, out, out_bad, fresh = accumulators
    if fresh[a]:
        for lane in range(acc.shape[1]):
            out[a, lane] = np.uint8(acc[a, lane])
            out_bad[a, lane] = bad[a, lane]
        fresh[a] = False


@helper
def largest(uops: NDArray[np.int64], row: NDArray[np.int64], part: int) -> int:
    """Greatest index of a micro-op part over the whole instruction; factors are never negative."""
    outer = (row[ITER_OUT] - 1) * row[DST_OUT + 2 * part]
    inner = (row[ITER_IN] - 1) * row[DST_IN + 2 * part]
    most = 0
    for u in range(row[UOP_BGN], row[UOP_END]):
        most = max(most, uops[u & (len(uops) - 1), part])
    last: int = outer + inner + most
    return last


@helper
def mark(marks: Marks, element: int, bad: bool) -> None:
    """Say of all lanes of an element whether they are poison; marks are (depth, lanes)."""
    for lane in range(marks.shape[1]):
        marks[element, lane] = bad


@helper
def write_anywhere(bad: Marks, out_bad: Marks) -> None:
    """A write beyond the depth may hit every element of ACC and OUT: nothing is known of any."""
    for a in range(len(bad)):
        mark(bad, a, True)
        mark(out_bad, a, True)
