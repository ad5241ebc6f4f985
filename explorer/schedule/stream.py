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

from explorer.schedule.compute_writers import write_epilogue, write_gemm, write_reset
from explorer.schedule.dma import PARTS, RUNS, Fault, Pattern
from explorer.schedule.instruction_rows import COLUMNS, begin_row, grown
from explorer.schedule.kernels import gemm_parts
from explorer.schedule.move_writers import (
    most_coordinates,
    pattern_instructions,
    tile_patterns,
    write_moves,
)
from explorer.schedule.sections import ACC, ADDEND, INP, WGT, Section, Sections, box_entries
from explorer.schedule.tiles import (
    Shares,
    Tile,
    cut_kind,
    following_place,
    shares,
    shares_fit,
    step_tile,
)
from explorer.schedule.uop_table import UopTable, empty_uops, used_uops
from isa.fields import Column, Memory, Opcode
from simulator.jit import jit

Array = NDArray[np.int64]
_AWAITED, _GEMM = range(2)  # places in `_Past.marks`


class _Past(NamedTuple):
    """What was written before, as far as tokens depend on it; filled in from tile to tile.

    Attributes:
        changed: which tensors' tiles are new with this tile, (4,).
        seen: how often each has been, with this time, (4,).
        before: see `_reader`, (2, 2, 2).
        marks: the last tile that a load has waited for, and the row of the last GEMM; or -1, (2,).
    """

    changed: NDArray[np.bool_]
    seen: Array
    before: Array
    marks: Array


@jit
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
            freed = before[s, (start - held + 1) % 2]
            if start >= held and freed[0] > reader:
                reader, reader_row = freed[0], freed[1]
    return reader, reader_row


@jit
def _write_loads(
    table: Array,
    n: int,
    sections: Sections,
    residual: Section,
    plans: tuple[Pattern, Pattern, Pattern, Pattern],
    runs: Array,
    here: Tile,
    reader: tuple[int, int],
    past: _Past,
    adds_residual: bool,
) -> int:
    """What a tile loads; the rows then used.

    A load waits for the last tile that read what it overwrites. The load queue is in order, so that
    a load which follows one that waited as long need not wait again.
    """
    begin = n
    for s in range(2):
        n = write_moves(table, n, Opcode.LOAD, sections[s], plans[s], runs[s], here.base[s])
    if n > begin:
        table[n - 1, Column.PUSH_NEXT] = 1
        if reader[0] > past.marks[_AWAITED]:
            table[begin, Column.POP_NEXT] = table[reader[1], Column.PUSH_PREV] = 1
    past.marks[_AWAITED] = max(past.marks[_AWAITED], reader[0])
    # Loads to the accumulators run in the compute queue, behind what used them last: no token.
    base = here.base[ADDEND]
    n = write_moves(table, n, Opcode.LOAD, sections[ADDEND], plans[3], runs[3], base)
    if adds_residual:
        n = write_moves(table, n, Opcode.LOAD, residual, plans[2], runs[2], here.residual)
    return n


@jit
def _write_results(
    table: Array,
    n: int,
    epilogue: Array,
    uops: UopTable,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    share: Shares,
    here: Tile,
    past: _Past,
    final: bool,
) -> int:
    """The reset, GEMM and epilogue of a tile; the rows then used, or a `Fault`."""
    if past.changed[ACC]:
        begin = n
        n = write_reset(table, n, uops, share, here)
        # The reset writes accumulators that an earlier store may still be reading.
        table[begin, Column.POP_NEXT] = past.seen[ACC] > share.held[ACC]
    gemm = n
    if n > 0:
        n = write_gemm(table, n, uops, sections, orders, here)
        # The last load of the tile pushes, so that there is a token only where there is a load.
        table[gemm, Column.POP_PREV] = past.changed[INP] or past.changed[WGT]
        past.marks[_GEMM] = n - 1
    if n > 0 and final:
        n = write_epilogue(table, n, epilogue, uops, sections, orders, share, here)
    return n


@jit
def _write_stores(
    table: Array, n: int, section: Section, plan: Pattern, runs: Array, sram: int
) -> int:
    """The STOREs of a finished tile; the rows then used.

    The first waits for the epilogue, which stands before it, and the last lets the accumulators be
    reset.
    """
    table[n - 1, Column.PUSH_NEXT] = 1
    begin = n
    n = write_moves(table, n, Opcode.STORE, section, plan, runs, sram)
    table[begin, Column.POP_PREV] = table[n - 1, Column.PUSH_PREV] = 1
    return n


@jit
def _tile(sections: Sections, share: Shares, seen: Array, length: Array, tile: Array) -> Tile:
    """The tile of a length, where its tensors' tiles have been loaded so often."""
    context = (seen - 1) % share.held
    base = context * share.volume
    base[ADDEND] = share.held[ACC] * share.volume[ACC]
    return Tile(
        length,
        cut_kind(length, tile),
        context,
        base,
        base[ADDEND] + share.volume[ADDEND],
        box_entries(sections[ACC], length),
    )


@jit
def stream(
    extents: Array,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    epilogue: Array,
    residual: Section,
    uop_depth: int,
    distance: int,
    tile: Array,
    order: Array,
    loads: int,
    accs: int,
) -> tuple[int, Array, Array]:
    """The program of a schedule, but for the DRAM address of its micro-ops.

    Args:
        extents: of the outer loops.
        sections: the tensors.
        orders: of their coordinates in DRAM, the slowest first.
        epilogue: ALU operations in order, (n, 3): the section to add, ADD_RESIDUAL, or
            ADD_IMMEDIATE; opcode; immediate.
        residual: what ADD_RESIDUAL adds; it lies in DRAM as the output does.
        uop_depth: micro-ops that their scratchpad holds.
        distance: see `kernel`.
        tile: iterations of each loop that a tile takes.
        order: the tile loops, the slowest first.
        loads: tiles of inp and of wgt held at once.
        accs: accumulator tiles held at once.

    Returns:
        A `Fault` or 0; the decoded instructions, (n, columns); and the micro-ops, (n, 3).
    """
    loops, tiles = len(extents), (extents + tile - 1) // tile
    share = shares(sections, tile, tiles, order, loads, accs, residual.depth > 0)
    uops = empty_uops(uop_depth, loops, 4 * share.chunks, distance)
    if not shares_fit(sections, share):
        return Fault.TILE.value, np.zeros((0, COLUMNS), np.int64), uops.table[:0]
    table, n = np.empty((256, COLUMNS), np.int64), 1  # row 0 loads the micro-ops
    boxes = np.zeros((4, most_coordinates(sections), PARTS), np.int64)
    runs = np.zeros((4, most_coordinates(sections), RUNS), np.int64)
    index, first, length = np.zeros(loops, np.int64), np.zeros(loops, np.int64), tile.copy()
    past = _Past(
        np.ones(4, np.bool_),
        np.zeros(4, np.int64),
        np.full((2, 2, 2), -1, np.int64),
        np.full(2, -1, np.int64),
    )
    for t in range(tiles.prod()):
        following = following_place(index, tiles, order)
        final = following < 0 or share.steps[ACC, following]
        for s in range(4):
            past.seen[s] += past.changed[s]
        here = _tile(sections, share, past.seen, length, tile)
        adds_residual = share.residual > 0 and past.changed[ACC]
        moves_out = final or adds_residual
        plans = tile_patterns(sections, orders, first, length, boxes, runs, past.changed, moves_out)
        n, table = _room(table, n, plans, epilogue, share, gemm_parts(sections, length, distance))
        if n > 0:
            reader = _reader(past.before, share, past.changed, past.seen, t - 1, past.marks[_GEMM])
            n = _write_loads(
                table, n, sections, residual, plans, runs, here, reader, past, adds_residual
            )
            n = _write_results(table, n, epilogue, uops, sections, orders, share, here, past, final)
        if n < 0:
            return n, table[:0], uops.table[:0]
        if final:
            n = _write_stores(table, n, sections[ACC], plans[2], runs[2], here.base[ACC])
        for s in range(4):
            past.changed[s] = following >= 0 and share.steps[s, following]
        step_tile(order, following, tile, extents, index, first, length)
    return 0, _ended(table, n, uops, share.held[ACC]), uops.table[: used_uops(uops)]


@jit
def _room(
    table: Array,
    n: int,
    plans: tuple[Pattern, Pattern, Pattern, Pattern],
    epilogue: Array,
    share: Shares,
    parts: int,
) -> tuple[int, Array]:
    """The rows used, or a `Fault` of a plan; and the table with room for a tile's instructions."""
    need = pattern_instructions(plans)
    if need < 0:
        return need, table
    # A pattern may be written twice: outputs' where a residual is loaded and the sum is stored.
    need = 2 * need + (1 + len(epilogue)) * (1 + share.chunks) + parts
    return n, grown(table, n, need)


@jit
def _ended(table: Array, n: int, uops: UopTable, stores: int) -> Array:
    """The program with its first and last rows: FINISH waits for the last stores."""
    table = grown(table, n, stores + 1)
    for _ in range(stores):
        begin_row(table, n, Opcode.LOAD)
        table[n, Column.MEMORY_TYPE], table[n, Column.POP_NEXT] = Memory.UOP, 1
        n += 1
    begin_row(table, n, Opcode.FINISH)
    begin_row(table, 0, Opcode.LOAD)
    table[0, Column.MEMORY_TYPE], table[0, Column.Y_SIZE] = Memory.UOP, 1
    table[0, Column.X_SIZE] = table[0, Column.X_STRIDE] = used_uops(uops)
    return table[: n + 1]
