"""The instruction stream of a schedule, compiled: tile by tile, with its dependence tokens.

Of each tile: load what changed, reset new accumulators, accumulate, and after the last reduction
tile run the epilogue and store. The queues meet through dependence tokens; every pop has its push
earlier in the stream, so that no interleaving of the queues deadlocks, and each token is there
because a buffer is reused.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.compute_writers import (
    ACCUMULATORS,
    DST,
    KIND,
    SLOT,
    SPREAD,
    write_epilogue,
    write_gemm,
    write_reset,
)
from explorer.schedule.dma import Fault
from explorer.schedule.instruction_rows import (
    COLUMNS,
    FINISH,
    LOAD,
    MEMORY_TYPE,
    POP_NEXT,
    POP_PREV,
    PUSH_NEXT,
    PUSH_PREV,
    STORE,
    UOP_MEMORY,
    X_SIZE,
    X_STRIDE,
    Y_SIZE,
    begin_row,
    grown,
)
from explorer.schedule.kernels import gemm_parts
from explorer.schedule.move_writers import TileMoves, empty_moves, plan_moves, write_moves
from explorer.schedule.sections import ACC, BESIDE, INP, WGT, Sections
from explorer.schedule.tiles import (
    Shares,
    Tile,
    following_place,
    shares,
    shares_fit,
    step_tile,
    tile_at,
    tile_numbers,
)
from explorer.schedule.uop_table import UopTable, empty_uops, used_uops
from simulator.jit import helper, jit, maker

Array = NDArray[np.int64]
_TILE = int(Fault.TILE)
_AWAITED, _GEMM = range(2)  # places in `_Past.marks`


class _Past(NamedTuple):
    """What was written before, as far as tokens depend on it; filled in from tile to tile.

    Attributes:
        changed: which tensors' tiles are new with this tile, (tensors,).
        seen: how often each has been, with this time, (tensors,).
        before: see `_reader`, (2, 2, 2).
        marks: the last tile that a load has waited for, and the row of the last GEMM; or -1, (2,).
    """

    changed: NDArray[np.bool_]
    seen: Array
    before: Array
    marks: Array


@maker
def _nothing_yet(tensors: int) -> _Past:
    """Before the first tile, with which everything is new."""
    changed, seen = np.zeros(tensors, np.bool_), np.zeros(tensors, np.int64)
    for s in range(tensors):
        changed[s], seen[s] = True, 1
    before, marks = np.zeros((2, 2, 2), np.int64), np.zeros(2, np.int64)
    marks[_AWAITED], marks[_GEMM] = -1, -1
    return _Past(changed, seen, before, marks)


@helper
def _pass_on(past: _Past, share: Shares, following: int) -> None:
    """Say what is new with the next tile, which a place of the order steps to; -1 for none."""
    for s in range(len(past.changed)):
        past.changed[s] = following >= 0 and share.steps[s, following]
        if past.changed[s]:
            past.seen[s] += 1


@helper
def _reader(
    before: Array, share: Shares, changed: NDArray[np.bool_], seen: Array, last: int, row: int
) -> tuple[int, int]:
    """The last tile that read what the loads of this one overwrite, and its GEMM's row; or -1.

    Args:
        before: the last tile and GEMM before a tensor's tile was loaded, by the parity of the
            load, (2, 2, 2); filled in.
        share: how many are held.
        changed: which tensors are loaded.
        seen: how often each has been loaded, with this time.
        last: the tile before this one.
        row: its GEMM.
    """
    reader, reader_row = -1, -1
    for s in range(2):
        if changed[s]:
            start, held = seen[s] - 1, share.held[s]
            before[s, start % 2, 0], before[s, start % 2, 1] = last, row
            # The tile that is overwritten was in use until the load after it came along.
            freed = (start - held + 1) % 2
            if start >= held and before[s, freed, 0] > reader:
                reader, reader_row = before[s, freed, 0], before[s, freed, 1]
    return reader, reader_row


@helper
def _write_loads(
    table: Array,
    n: int,
    sections: Sections,
    plan: TileMoves,
    here: Tile,
    share: Shares,
    past: _Past,
    t: int,
) -> int:
    """What the t-th tile loads; the rows then used.

    A load waits for the last tile that read what it overwrites. The load queue is in order, so that
    a load which follows one that waited as long need not wait again.
    """
    reader, row = _reader(past.before, share, past.changed, past.seen, t - 1, past.marks[_GEMM])
    begin = n
    for s in range(2):
        n = write_moves(table, n, LOAD, sections, s, plan, here.base[s])
    if n > begin:
        # One token for all loads of a tile: the last one pushes it, and the GEMM takes it.
        table[n - 1, PUSH_NEXT] = 1
        if reader > past.marks[_AWAITED]:
            table[begin, POP_NEXT] = table[row, PUSH_PREV] = 1
    past.marks[_AWAITED] = max(past.marks[_AWAITED], reader)
    # Loads to the accumulators run in the compute queue, behind whatever used them: no token.
    for s in range(BESIDE, len(sections.facts)):
        # Those as large as the output are planned with it, also where only the output moves.
        if s < sections.dense or past.changed[ACC]:
            n = write_moves(table, n, LOAD, sections, s, plan, here.base[s])
    return n


@maker
def _write_rest(
    table: Array,
    n: int,
    epilogue: Array,
    uops: UopTable,
    sections: Sections,
    orders: Array,
    plan: TileMoves,
    share: Shares,
    here: Tile,
    past: _Past,
    final: bool,
    reset: Array,
) -> int:
    """A tile's reset and GEMM, and in the end epilogue and STOREs; the rows used or a `Fault`."""
    if past.changed[ACC]:
        begin = n
        n = write_reset(table, n, uops, share, here, reset)
        if n < 0:
            return n
        # The reset writes accumulators that an earlier store may still be reading.
        if past.seen[ACC] > share.held[ACC]:
            table[begin, POP_NEXT] = 1
    begin = n
    n = write_gemm(table, n, uops, sections, orders, here)
    if n < 0:
        return n
    # Loads pushed a token if there were any, which is what was new with this tile.
    if past.changed[INP] or past.changed[WGT]:
        table[begin, POP_PREV] = 1
    past.marks[_GEMM] = n - 1
    if final:
        opening = past.seen[ACC] == 1
        n = write_epilogue(table, n, epilogue, uops, sections, orders, share, here, opening)
        if n > 0:
            n = _write_stores(table, n, sections, plan, here)
    return n


@helper
def _write_stores(table: Array, n: int, sections: Sections, plan: TileMoves, here: Tile) -> int:
    """The STOREs of a finished tile; the rows then used.

    The first waits for the epilogue, which ends before it, and the last one frees the accumulators.
    """
    table[n - 1, PUSH_NEXT] = 1
    begin = n
    n = write_moves(table, n, STORE, sections, ACC, plan, here.base[ACC])
    table[begin, POP_PREV] = table[n - 1, PUSH_PREV] = 1
    return n


@jit
def stream(
    extents: Array,
    sections: Sections,
    orders: Array,
    epilogue: Array,
    uop_depth: int,
    distance: int,
    tile: Array,
    order: Array,
    loads: int,
    accs: int,
) -> tuple[int, Array, int, Array, int]:
    """The program of a schedule, but for the DRAM address of its micro-ops.

    Args:
        extents: of the outer loops.
        sections: the tensors.
        orders: of their coordinates in DRAM, the slowest first, (tensors, coordinates).
        epilogue: ALU operations in order, (n, 6), columns as in `compute_writers`; base row
            `len(sections.facts)` stands for scratch vectors.
        uop_depth: micro-ops that their scratchpad holds.
        distance: see `kernel`.
        tile: iterations of each loop that a tile takes.
        order: the tile loops, the slowest first.
        loads: tiles of inp and of wgt held at once.
        accs: accumulator tiles held at once.

    Returns:
        A `Fault` or 0; the decoded instructions, (rows, columns), and how many of the rows they
        take; and the micro-ops, (depth, 3), and how many there are.
    """
    loops, tiles = len(extents), tile_numbers(extents, tile)
    index, first, length = np.zeros(loops, np.int64), np.zeros(loops, np.int64), tile.copy()
    reset = np.zeros(len(ACCUMULATORS), np.int64)
    for column in range(len(ACCUMULATORS)):  # a constant array would be of a type of its own
        reset[column] = ACCUMULATORS[column]
    slots, scratch = _slots(epilogue, len(sections.facts))
    share = shares(sections, tile, tiles, order, loads, accs, scratch)
    uops = empty_uops(uop_depth, loops, slots[0], 2 * slots[1] * share.chunks, distance)
    table, n = np.empty((256, COLUMNS), np.int64), 1  # row 0 loads the micro-ops
    if not shares_fit(sections, share):
        return _TILE, table, 0, uops.table, 0
    plan, past, t, following = empty_moves(sections), _nothing_yet(len(sections.facts)), 0, 0
    while following >= 0:
        following = following_place(index, tiles, order)
        final = following < 0 or share.steps[ACC, following]
        here = tile_at(sections, share, past.seen, length, tile)
        dense = len(sections.facts) - sections.dense
        moves_out = final or (dense > 0 and past.changed[ACC])
        need = plan_moves(sections, orders, first, length, plan, past.changed, moves_out)
        if need < 0:
            return need, table, 0, uops.table, 0
        # Vectors as large as the output are loaded with the pattern that it is stored with.
        need = (1 + dense) * need + (1 + len(epilogue)) * (1 + share.chunks)
        table = grown(table, n, need + gemm_parts(sections, length, distance))
        n = _write_loads(table, n, sections, plan, here, share, past, t)
        n = _write_rest(
            table, n, epilogue, uops, sections, orders, plan, share, here, past, final, reset
        )
        if n < 0:
            return n, table, 0, uops.table, 0
        _pass_on(past, share, following)
        step_tile(order, following, tile, extents, index, first, length)
        t += 1
    table = grown(table, n, share.held[ACC] + 1)
    n = _end(table, n, used_uops(uops), share.held[ACC])
    return 0, table, n, uops.table, used_uops(uops)


@helper
def _slots(epilogue: Array, scratch: int) -> tuple[tuple[int, int], bool]:
    """Spread and other pairs of operands that steps have; and whether one uses scratch vectors."""
    spread, dense, used = 0, 1, False
    for step in range(len(epilogue)):
        if epilogue[step, KIND] == SPREAD:
            spread = max(spread, epilogue[step, SLOT] + 1)
        else:
            dense = max(dense, epilogue[step, SLOT] + 1)
        used = used or epilogue[step, DST] == scratch
    return (spread, dense), used


@helper
def _end(table: Array, n: int, uops: int, stores: int) -> int:
    """Write the first and the last rows of a program; the rows then used.

    FINISH runs in the compute queue, so that it waits for the last stores through instructions
    that do nothing else: each takes a token that a store pushed and no reset has taken.
    """
    for _ in range(stores):
        begin_row(table, n, LOAD)
        table[n, MEMORY_TYPE], table[n, POP_NEXT] = UOP_MEMORY, 1
        n += 1
    begin_row(table, n, FINISH)
    begin_row(table, 0, LOAD)
    table[0, MEMORY_TYPE], table[0, Y_SIZE] = UOP_MEMORY, 1
    table[0, X_SIZE], table[0, X_STRIDE] = uops, uops
    return n + 1
