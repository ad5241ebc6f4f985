"""The tiles of a schedule one after the other, and their shares of the scratchpads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.kernels import MAX_ITERATIONS
from explorer.schedule.sections import ACC, ADDEND, Sections, box_entries, changes, moved_loops
from simulator.jit import jit

Array = NDArray[np.int64]


class Shares(NamedTuple):
    """How tensors share their scratchpads.

    Attributes:
        held: tiles of each that are held at once, (4,).
        volume: entries of the largest, (4,).
        steps: whether each one's tile changes when a place of the order steps, (4, loops).
        chunks: instructions that sweep the accumulators of the largest tile.
        residual: entries of the largest tile of the residual, which is as large as that of acc; 0
            without one.
    """

    held: Array
    volume: Array
    steps: NDArray[np.bool_]
    chunks: int
    residual: int


@jit
def shares(
    sections: Sections,
    tile: Array,
    tiles: Array,
    order: Array,
    loads: int,
    accs: int,
    has_residual: bool,
) -> Shares:
    """How a schedule shares the scratchpads."""
    loops = len(tile)
    held, volume = np.array([loads, loads, accs, 1]), np.zeros(4, np.int64)
    steps = np.zeros((4, loops), np.bool_)
    for s in range(4):
        moved = moved_loops(sections[s])
        held[s] = min(held[s], changes(moved, tiles, order))
        if sections[s].depth > 0:
            volume[s] = box_entries(sections[s], tile)
        for at in range(loops - 1, -1, -1):
            i = order[at]
            steps[s, at] = (tiles[i] > 1 and moved[i]) or (at + 1 < loops and steps[s, at + 1])
    chunks = (volume[ACC] + MAX_ITERATIONS - 1) // MAX_ITERATIONS
    return Shares(held, volume, steps, chunks, volume[ACC] if has_residual else 0)


@jit
def shares_fit(sections: Sections, share: Shares) -> bool:
    """Whether all that is held at once fits.

    The accumulators' scratchpad also holds what the epilogue adds, behind all accumulator tiles:
    the addend, then the residual.
    """
    need = share.held * share.volume
    need[ADDEND] += need[ACC]
    fits = bool(need[ADDEND] + share.residual <= sections[ACC].depth)
    for s in range(4):
        fits = fits and (need[s] <= sections[s].depth or share.volume[s] == 0)
    return fits


class Tile(NamedTuple):
    """The tile that is being written.

    Attributes:
        length: iterations of each loop, (loops,).
        kind: which loops' ends cut it short, a bit each.
        context: which of a tensor's tiles its own is, (4,).
        base: its first scratchpad entry, (4,).
        residual: that of the residual.
        entries: accumulators.
    """

    length: Array
    kind: int
    context: Array
    base: Array
    residual: int
    entries: int


@jit
def following_place(index: Array, tiles: Array, order: Array) -> int:
    """The place in the order that steps to the next tile, -1 after the last."""
    place = len(order) - 1
    while place >= 0 and index[place] + 1 >= tiles[order[place]]:
        place -= 1
    return place


@jit
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


@jit
def cut_kind(length: Array, tile: Array) -> int:
    """Which loops' ends cut a tile short, a bit each."""
    kind = 0
    for i in range(len(tile)):
        kind = 2 * kind + (length[i] < tile[i])
    return kind
