"""The tiles of a schedule one after the other, and their shares of the scratchpads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.kernels import MAX_ITERATIONS
from explorer.schedule.sections import (
    ACC,
    BESIDE,
    DEPTH,
    INP,
    MEMORY,
    WGT,
    Sections,
    beside_inputs,
    box_entries,
    changes,
    moved_loops,
)
from simulator.jit import helper, maker

Array = NDArray[np.int64]


class Shares(NamedTuple):
    """How tensors share their scratchpads.

    Attributes:
        held: tiles of each that are held at once, (tensors,).
        volume: entries of the largest, (tensors,).
        steps: whether each one's tile changes when a place of the order steps, (tensors, loops).
        chunks: instructions that sweep the accumulators of the largest tile.
        scratch: scratch vectors that the largest tile takes.
    """

    held: Array
    volume: Array
    steps: NDArray[np.bool_]
    chunks: int
    scratch: int


@maker
def shares(
    sections: Sections,
    tile: Array,
    tiles: Array,
    order: Array,
    loads: int,
    accs: int,
    scratch: bool,
) -> Shares:
    """How a schedule shares the scratchpads.

    Whoever has fewer tiles than contexts needs no more than its tiles; what steps take has one
    context, as it is used at once, and so have the scratch vectors. Inputs of further terms have as
    many as the accumulators, so that the next tile's are loaded beside this one's steps.
    """
    tensors, loops = len(sections.facts), len(tile)
    held, volume = np.zeros(tensors, np.int64), np.zeros(tensors, np.int64)
    steps = np.zeros((tensors, loops), np.bool_)
    for s in range(tensors):
        moved = moved_loops(sections, s)
        loaded = accs if s == ACC or beside_inputs(sections, s) else 1
        most = loads if s in (INP, WGT) else loaded
        held[s] = min(most, changes(moved, tiles, order))
        volume[s] = box_entries(sections, s, tile)
        stepped = False
        for at in range(loops - 1, -1, -1):
            if tiles[order[at]] > 1 and moved[order[at]]:
                stepped = True
            steps[s, at] = stepped
    chunks = (volume[ACC] + MAX_ITERATIONS - 1) // MAX_ITERATIONS
    return Shares(held, volume, steps, chunks, volume[ACC] if scratch else 0)


@helper
def shares_fit(sections: Sections, share: Shares) -> bool:
    """Whether all that is held at once fits.

    The accumulators' scratchpad also holds what the steps take, behind all accumulator tiles, and
    then the scratch vectors; the others hold what the terms take behind their own tiles.
    """
    accs = share.held[ACC] * share.volume[ACC] + share.scratch
    inp, wgt = share.held[INP] * share.volume[INP], share.held[WGT] * share.volume[WGT]
    for s in range(BESIDE, len(share.volume)):
        entries = share.held[s] * share.volume[s]
        if sections.facts[s, MEMORY] == sections.facts[INP, MEMORY]:
            inp += entries
        elif sections.facts[s, MEMORY] == sections.facts[WGT, MEMORY]:
            wgt += entries
        else:
            accs += entries
    if accs > sections.facts[ACC, DEPTH]:
        return False
    return bool(inp <= sections.facts[INP, DEPTH] and wgt <= sections.facts[WGT, DEPTH])


class Tile(NamedTuple):
    """The tile that is being written.

    Attributes:
        length: iterations of each loop, (loops,).
        context: which of a tensor's tiles its own is, (tensors,).
        base: its first scratchpad entry; that of the scratch vectors in the last place,
            (tensors + 1,).
        kind: which loops' ends cut it short, a bit each.
        entries: accumulators.
    """

    length: Array
    context: Array
    base: Array
    kind: int
    entries: int


@maker
def tile_at(sections: Sections, share: Shares, seen: Array, length: Array, tile: Array) -> Tile:
    """The tile of a length, where its tensors' tiles have been loaded so often."""
    tensors = len(share.volume)
    context, base = np.zeros(tensors, np.int64), np.zeros(tensors + 1, np.int64)
    for s in range(BESIDE):
        context[s] = (seen[s] - 1) % share.held[s]
        base[s] = context[s] * share.volume[s]
    inp, wgt = share.held[INP] * share.volume[INP], share.held[WGT] * share.volume[WGT]
    beside = share.held[ACC] * share.volume[ACC]
    for s in range(BESIDE, tensors):
        context[s] = (seen[s] - 1) % share.held[s]
        first, entries = context[s] * share.volume[s], share.held[s] * share.volume[s]
        if sections.facts[s, MEMORY] == sections.facts[INP, MEMORY]:
            base[s] = inp + first
            inp += entries
        elif sections.facts[s, MEMORY] == sections.facts[WGT, MEMORY]:
            base[s] = wgt + first
            wgt += entries
        else:
            base[s] = beside + first
            beside += entries
    base[tensors] = beside
    entries = box_entries(sections, ACC, length)
    return Tile(length, context, base, cut_kind(length, tile), entries)


@maker
def tile_numbers(extents: Array, tile: Array) -> Array:
    """How many tiles each loop has."""
    tiles = np.zeros(len(extents), np.int64)
    for i in range(len(extents)):
        tiles[i] = (extents[i] + tile[i] - 1) // tile[i]
    return tiles


@helper
def following_place(index: Array, tiles: Array, order: Array) -> int:
    """The place in the order that steps to the next tile, -1 after the last."""
    place = len(order) - 1
    while place >= 0 and index[place] + 1 >= tiles[order[place]]:
        place -= 1
    return place


@helper
def step_tile(
    order: Array,
    following: int,
    tile: Array,
    extents: Array,
    index: Array,
    first: Array,
    length: Array,
) -> None:
    """Go on to the next tile: its index by place, and the first iteration and length by loop."""
    for at in range(max(following, 0), len(order)):
        index[at] = index[at] + 1 if at == following else 0
        i = order[at]
        first[i] = index[at] * tile[i]
        length[i] = min(tile[i], extents[i] - first[i])


@helper
def cut_kind(length: Array, tile: Array) -> int:
    """Which loops' ends cut a tile short, a bit each."""
    kind = 0
    for i in range(len(tile)):
        kind = 2 * kind + int(length[i] < tile[i])
    return kind
