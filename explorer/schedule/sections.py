"""The tensors of a design as the compiled lowering sees them, and the boxes that tiles touch."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import PARTS, Fault, Part, best_order
from simulator.jit import jit

Array = NDArray[np.int64]
INP, WGT, ACC, ADDEND = range(4)  # sections: on the instruction's ports, and what is added


class Section(NamedTuple):
    """A tensor in DRAM and its scratchpad.

    Attributes:
        moves: how far each coordinate moves with each outer loop, (coordinates, loops).
        low, high: of each coordinate, the first stored value and one past the last.
        base: first entry in DRAM.
        depth: entries that its scratchpad holds; 0 where there is no such tensor.
        memory: `isa.fields.Memory` of its LOAD or STORE.
    """

    moves: Array
    low: Array
    high: Array
    base: int
    depth: int
    memory: int


Sections: TypeAlias = tuple[Section, Section, Section, Section]
"""On ports inp, wgt and acc, and one that the epilogue adds (the bias)."""


@jit
def changes(moved: NDArray[np.bool_], tiles: Array, order: Array) -> int:
    """How often a tensor's tile changes when the tile loops run in this order."""
    events, outside = 1, 1
    for i in order:
        outside *= tiles[i]
        if tiles[i] > 1 and moved[i]:
            events = outside
    return events


@jit
def moved_loops(section: Section) -> NDArray[np.bool_]:
    """Whether each loop moves the tensor."""
    coordinates, loops = section.moves.shape
    moved = np.zeros(loops, np.bool_)
    for j in range(coordinates):
        for i in range(loops):
            moved[i] |= section.moves[j, i] != 0
    return moved


@jit
def fill_box(section: Section, first: Array, length: Array, box: Array) -> bool:
    """The box of entries that a tile touches; False where it lies wholly in the padding."""
    coordinates, loops = section.moves.shape
    for j in range(coordinates):
        begin, size = 0, 1
        for i in range(loops):
            begin += section.moves[j, i] * first[i]
            size += section.moves[j, i] * (length[i] - 1)
        before = max(section.low[j] - begin, 0)
        after = max(begin + size - section.high[j], 0)
        box[j, Part.FIRST] = begin + before - section.low[j]
        box[j, Part.COUNT] = size - before - after
        box[j, Part.EXTENT] = section.high[j] - section.low[j]
        box[j, Part.BEFORE], box[j, Part.AFTER] = before, after
        if size - before - after <= 0:
            return False
    return True


@jit
def box_entries(section: Section, length: Array) -> int:
    """Entries of the box that a tile touches."""
    coordinates, loops = section.moves.shape
    volume = 1
    for j in range(coordinates):
        size = 1
        for i in range(loops):
            size += section.moves[j, i] * (length[i] - 1)
        volume *= size
    return volume


@jit
def add_strides(section: Section, order: Array, length: Array, strides: Array) -> None:
    """Scratchpad distance of one iteration of each loop, inside a tile's dense box."""
    loops = len(length)
    inner = 1
    for j in order[::-1]:
        size = 1
        for i in range(loops):
            size += section.moves[j, i] * (length[i] - 1)
            strides[i] += inner * section.moves[j, i]
        inner *= size


@jit
def arrange(section: Section, length: Array) -> Array:
    """The DRAM order of coordinates that suits tiles of this length; empty if there is none."""
    box = np.zeros((len(section.low), PARTS), np.int64)
    if not fill_box(section, np.zeros(len(length), np.int64), length, box):
        return np.zeros(0, np.int64)
    return best_order(box)


@jit
def arrangement(
    sections: Sections, length: Array, fixed: bool
) -> tuple[int, tuple[Array, Array, Array, Array]]:
    """A `Fault` or 0, and the DRAM orders of all tensors; `fixed` keeps the tensors' own."""
    inp, wgt, acc, addend = sections
    orders = (
        np.arange(len(inp.low)),
        np.arange(len(wgt.low)),
        np.arange(len(acc.low)),
        np.arange(len(addend.low)),
    )
    if fixed:
        return 0, orders
    inp_order, wgt_order = arrange(inp, length), arrange(wgt, length)
    for s, order in ((0, inp_order), (1, wgt_order)):
        if len(order) < len(sections[s].low):
            return Fault.ALL_PADDING.value, orders
    return 0, (inp_order, wgt_order, arrange(acc, length), orders[3])
