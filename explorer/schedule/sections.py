"""The tensors of a design as the compiled lowering sees them, and the boxes that tiles touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import PARTS, Fault, Part, find_order
from isa.fields import Memory
from simulator.jit import helper, jit, maker

Array = NDArray[np.int64]
INP, WGT, ACC, BESIDE = range(4)  # rows: on the instruction's ports; then what lies beside acc
BASE, DEPTH, MEMORY = range(3)  # columns of `Sections.facts`
_FIRST, _COUNT, _EXTENT = int(Part.FIRST), int(Part.COUNT), int(Part.EXTENT)
_BEFORE, _AFTER = int(Part.BEFORE), int(Part.AFTER)
_ALL_PADDING = int(Fault.ALL_PADDING)
_ACC_MEMORY = int(Memory.ACC)


class Sections(NamedTuple):
    """The tensors in DRAM and their scratchpads, a row each.

    The first three are on the instruction's ports. Then come the vectors that steps of the operator
    take, and the inputs of further terms: those that lie in DRAM in an order of their own, and from
    row `dense` on those as large as the output, which lie in DRAM as it does. Which scratchpad they
    are for says `MEMORY`.

    Compilation takes every array apart at every call, so there are few of them. All tensors have
    as many coordinates as the one with the most: the last ones of the others have one entry, which
    nothing moves, and so change no box, stride or order.

    Attributes:
        moves: how far each coordinate moves with each outer loop, (tensors, coordinates, loops).
        spans: of each coordinate, the first stored value and one past the last,
            (tensors, coordinates, 2).
        facts: the first entry in DRAM; the entries that the scratchpad holds; and
            `isa.fields.Memory` of its LOAD or STORE, (tensors, 3).
        loops: which loops the products of each term run over, (terms, loops).
        dense: see above.
    """

    moves: Array
    spans: Array
    facts: Array
    loops: NDArray[np.bool_]
    dense: int


@helper
def beside_inputs(sections: Sections, s: int) -> bool:
    """Whether a tensor beside the first three is an input of a term, which the load queue loads."""
    return bool(s >= BESIDE and sections.facts[s, MEMORY] != _ACC_MEMORY)


@helper
def changes(moved: NDArray[np.bool_], tiles: Array, order: Array) -> int:
    """How often a tensor's tile changes when the tile loops run in this order.

    A loop inside the last one that moves the tensor leaves its tile in place; all loops outside
    that one step it again, whether or not they move it.
    """
    events, outside = 1, 1
    for i in order:
        outside *= tiles[i]
        if tiles[i] > 1 and moved[i]:
            events = outside
    return events


@maker
def moved_loops(sections: Sections, s: int) -> NDArray[np.bool_]:
    """Whether each loop moves the tensor."""
    _, coordinates, loops = sections.moves.shape
    moved = np.zeros(loops, np.bool_)
    for j in range(coordinates):
        for i in range(loops):
            if sections.moves[s, j, i] != 0:
                moved[i] = True
    return moved


@helper
def fill_box(sections: Sections, s: int, first: Array, length: Array, box: Array) -> bool:
    """The box of entries that a tile touches; False where it lies wholly in the padding."""
    _, coordinates, loops = sections.moves.shape
    for j in range(coordinates):
        begin, size = 0, 1
        for i in range(loops):
            begin += sections.moves[s, j, i] * first[i]
            size += sections.moves[s, j, i] * (length[i] - 1)
        low, high = sections.spans[s, j, 0], sections.spans[s, j, 1]
        before = max(low - begin, 0)
        after = max(begin + size - high, 0)
        box[j, _FIRST] = begin + before - low
        box[j, _COUNT] = size - before - after
        box[j, _EXTENT] = high - low
        box[j, _BEFORE] = before
        box[j, _AFTER] = after
        if size - before - after <= 0:
            return False
    return True


@helper
def box_entries(sections: Sections, s: int, length: Array) -> int:
    """Entries of the box that a tile touches."""
    _, coordinates, loops = sections.moves.shape
    entries = 1
    for j in range(coordinates):
        size = 1
        for i in range(loops):
            size += sections.moves[s, j, i] * (length[i] - 1)
        entries *= size
    return entries


@helper
def add_strides(
    sections: Sections, s: int, orders: Array, length: Array, strides: Array, port: int
) -> None:
    """Scratchpad distance of one iteration of each loop, inside a tile's dense box.

    It is added to the row of a port: dst, src or wgt.
    """
    _, coordinates, loops = sections.moves.shape
    inner = 1
    for place in range(coordinates - 1, -1, -1):
        j = orders[s, place]
        size = 1
        for i in range(loops):
            size += sections.moves[s, j, i] * (length[i] - 1)
            strides[port, i] += inner * sections.moves[s, j, i]
        inner *= size


@jit
def arrangement(sections: Sections, length: Array, fixed: bool) -> tuple[int, Array]:
    """See `_arranged`; a door alone, since what a door calls is compiled apart from all else."""
    return _arranged(sections, length, fixed)


@maker
def _arranged(sections: Sections, length: Array, fixed: bool) -> tuple[int, Array]:
    """A `Fault` or 0, and the DRAM orders of all tensors, (tensors, coordinates), slowest first.

    They suit whole tiles of this length, which move most; `fixed` keeps the tensors' own. So do
    spread vectors, which take no part in the choice: they are one LOAD each in most cases.
    """
    tensors, coordinates, loops = sections.moves.shape
    orders = np.zeros((tensors, coordinates), np.int64)
    for s in range(tensors):
        for j in range(coordinates):
            orders[s, j] = j
    if fixed:
        return 0, orders
    first, box = np.zeros(loops, np.int64), np.zeros((coordinates, PARTS), np.int64)
    for s in range(sections.dense):
        if s >= BESIDE and not beside_inputs(sections, s):
            continue
        if fill_box(sections, s, first, length, box):
            find_order(box, orders[s])
        elif s != ACC:
            return _ALL_PADDING, orders
    for s in range(sections.dense, tensors):
        for j in range(coordinates):
            orders[s, j] = orders[ACC, j]
    return 0, orders
