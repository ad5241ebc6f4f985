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
    NUMBER,
    SLOT,
    SPREAD,
    SRC,
    TERM,
    TermInputs,
    write_epilogue,
    write_gemm,
    write_reset,
)
from explorer.schedule.dma import Fault
from explorer.schedule.instruction_rows import COLUMNS, begin_row, grown
from explorer.schedule.kernels import gemm_parts
from explorer.schedule.move_writers import TileMoves, empty_moves, plan_moves, write_moves
from explorer.schedule.sections import ACC, BESIDE, INP, WGT, Sections, beside_inputs
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
from simulator.columns import (
    MEMORY_TYPE,
    POP_NEXT,
    POP_PREV,
    PUSH_NEXT,
    PUSH_PREV,
    X_SIZE,
    X_STRIDE,
    Y_SIZE,
)
from simulator.columns import OP_FINISH as FINISH
from simulator.columns import OP_LOAD as LOAD
from simulator.columns import OP_STORE as STORE
from simulator.columns import UOP as UOP_MEMORY
from simulator.jit import helper, jit, maker

Array = NDArray[np.int64]
_TILE = int(Fault.TILE)
_AWAITED, _GEMM = range(2)  # places in `_Past.marks`
_NONE = -1  # no row


class _Past(NamedTuple):
    """What was written before, as far as tokens depend on it; filled in from tile to tile.

    Attributes:
        changed: which tensors' tiles are new with this tile, (tensors,).
        seen: how often each has been, with this time, (tensors,).
        before: see `_reader`, (2, 2).
        marks: the last row that a load has waited for, and that of the last GEMM; or -1, (2,).
        inputs: of further terms.
    """

    changed: NDArray[np.bool_]
    seen: Array
    before: Array
    marks: Array
    inputs: TermInputs


@maker
def _nothing_yet(tensors: int, terms: int) -> _Past:
    """Before the first tile, with which everything is new."""
    changed, seen = np.zeros(tensors, np.bool_), np.zeros(tensors, np.int64)
    pending, readers = np.zeros(tensors, np.bool_), np.zeros((tensors, 2), np.int64)
    for s in range(tensors):
        changed[s], seen[s], pending[s] = True, 1, s >= BESIDE
        readers[s, 0] = readers[s, 1] = _NONE
    before, marks = np.zeros((2, 2), np.int64), np.zeros(2, np.int64)
    for place in range(2):
        before[place, 0] = before[place, 1] = marks[place] = _NONE
    inputs = TermInputs(pending, np.zeros(terms, np.bool_), readers)
    return _Past(changed, seen, before, marks, inputs)


@helper
def _pass_on(past: _Past, share: Shares, following: int) -> None:
    """Say what is new with the next tile, which a place of the order steps to; -1 for none."""
    for s in range(len(past.changed)):
        past.changed[s] = following >= 0 and share.steps[s, following]
        if past.changed[s]:
            past.seen[s] += 1
            # A term whose block is an input of the first one finds it loaded with that.
            past.inputs.pending[s] = s >= BESIDE


@helper
def _reader(before: Array, share: Shares, changed: NDArray[np.bool_], seen: Array, row: int) -> int:
    """The row of the last GEMM that read what the loads of a tile overwrite, or -1.

    Args:
        before: the last GEMM before a tensor's tile was loaded, by the parity of the load, (2, 2);
            filled in.
        share: how many are held.
        changed: which tensors are loaded.
        seen: how often each has been loaded, with this time.
        row: the GEMM of the tile before this one.
    """
    reader = _NONE
    for s in range(2):
        if changed[s]:
            start, held = seen[s] - 1, share.held[s]
            before[s, start % 2] = row
            # The tile that is overwritten was in use until the load after it came along.
            freed = (start - held + 1) % 2
            if start >= held and before[s, freed] > reader:
                reader = before[s, freed]
    return reader


@helper
def _await(table: Array, load: int, row: int, marks: Array) -> None:
    """Let a load wait for the row that last read what it overwrites, -1 for none.

    The load queue is in order, so that a load which follows one that waited as long need not wait
    again. Those that wait do so for later and later rows: their tokens come in the same order.
    """
    if row > marks[_AWAITED]:
        table[load, POP_NEXT] = table[row, PUSH_PREV] = 1
        marks[_AWAITED] = row


@helper
def _write_loads(
    table: Array,
    n: int,
    sections: Sections,
    plan: TileMoves,
    here: Tile,
    share: Shares,
    past: _Past,
) -> int:
    """What a tile loads, but for inputs of further terms; the rows then used."""
    row = _reader(past.before, share, past.changed, past.seen, past.marks[_GEMM])
    begin = n
    for s in range(2):
        n = write_moves(table, n, LOAD, sections, s, plan, here.base[s])
    if n > begin:
        # One token for all loads of a tile: the last one pushes it, and the GEMM takes it.
        table[n - 1, PUSH_NEXT] = 1
        _await(table, begin, row, past.marks)
    # Loads to the accumulators run in the compute queue, behind whatever used them: no token.
    for s in range(BESIDE, len(sections.facts)):
        # Those as large as the output are planned with it, also where only the output moves.
        if not beside_inputs(sections, s) and (s < sections.dense or past.changed[ACC]):
            n = write_moves(table, n, LOAD, sections, s, plan, here.base[s])
    return n


@helper
def _write_term_loads(
    table: Array,
    n: int,
    epilogue: Array,
    sections: Sections,
    plan: TileMoves,
    here: Tile,
    past: _Past,
) -> int:
    """What a finished tile loads for further terms, in their order; the rows then used.

    Each has a token of its own, so that the GEMMs before it need not wait for its loads.
    """
    pending, loaded, readers = past.inputs
    for place in range(len(epilogue)):
        step = epilogue[place]
        if step[KIND] != TERM:
            continue
        begin, row = n, _NONE
        for s in (step[SRC], step[NUMBER]):
            if pending[s]:
                n = write_moves(table, n, LOAD, sections, s, plan, here.base[s])
                row = max(row, readers[s, here.context[s]])
                pending[s] = False
        loaded[step[SLOT]] = n > begin
        if n > begin:
            table[n - 1, PUSH_NEXT] = 1
            _await(table, begin, row, past.marks)
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
    """A tile's reset and GEMM, and in the end steps and STOREs; the rows used or a `Fault`."""
    if final:
        n = _write_term_loads(table, n, epilogue, sections, plan, here, past)
    if past.changed[ACC]:
        begin = n
        n = write_reset(table, n, uops, share, here, reset)
        if n < 0:
            return n
        # The reset writes accumulators that an earlier store may still be reading.
        if past.seen[ACC] > share.held[ACC]:
            table[begin, POP_NEXT] = 1
    begin = n
    n = write_gemm(table, n, uops, sections, orders, here, 0, INP, WGT)
    if n < 0:
        return n
    # Loads pushed a token if there were any, which is what was new with this tile.
    if past.changed[INP] or past.changed[WGT]:
        table[begin, POP_PREV] = 1
    past.marks[_GEMM] = n - 1
    if final:
        opening = past.seen[ACC] == 1
        n = write_epilogue(
            table, n, epilogue, uops, sections, orders, share, here, opening, past.inputs
        )
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


@maker
def _plan(
    sections: Sections,
    orders: Array,
    first: Array,
    length: Array,
    plan: TileMoves,
    past: _Past,
    share: Shares,
    final: bool,
    distance: int,
) -> int:
    """Plan what a tile moves; the most rows that it takes without its steps, or a `Fault`."""
    dense, terms = len(sections.facts) - sections.dense, len(sections.loops)
    changed, pending = past.changed, past.inputs.pending
    moves_out = final or (dense > 0 and changed[ACC])
    need = plan_moves(sections, orders, first, length, plan, changed, pending, final, moves_out)
    if need < 0:
        return need
    # Vectors as large as the output are loaded with the pattern that it is stored with.
    need = (1 + dense) * need + 1 + share.chunks
    for term in range(terms):
        need += gemm_parts(sections, length, distance, term)
    return need


@maker
def _reset() -> Array:
    """`ACCUMULATORS`, as an array like others: a constant one would be of a type of its own."""
    reset = np.zeros(len(ACCUMULATORS), np.int64)
    for column in range(len(ACCUMULATORS)):
        reset[column] = ACCUMULATORS[column]
    return reset


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
        epilogue: operations on finished accumulators in order, (n, 6), columns as in
            `compute_writers`; base row `len(sections.facts)` stands for scratch vectors.
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
    tiles = tile_numbers(extents, tile)
    index, first, length = np.zeros_like(tile), np.zeros_like(tile), tile.copy()
    reset, (slots, scratch) = _reset(), _slots(epilogue, len(sections.facts))
    share = shares(sections, tile, tiles, order, loads, accs, scratch)
    terms, sweeps = len(sections.loops), 2 * slots[1] * share.chunks
    uops = empty_uops(uop_depth, len(extents), terms, slots[0], sweeps, distance)
    table, n = np.empty((256, COLUMNS), np.int64), 1  # row 0 loads the micro-ops
    if not shares_fit(sections, share):
        return _TILE, table, 0, uops.table, 0
    plan, past, following = empty_moves(sections), _nothing_yet(len(sections.facts), terms), 0
    while following >= 0:
        following = following_place(index, tiles, order)
        final = following < 0 or share.steps[ACC, following]
        here = tile_at(sections, share, past.seen, length, tile)
        need = _plan(sections, orders, first, length, plan, past, share, final, distance)
        if need < 0:
            return need, table, 0, uops.table, 0
        table = grown(table, n, need + len(epilogue) * (1 + share.chunks))
        n = _write_loads(table, n, sections, plan, here, share, past)
        n = _write_rest(
            table, n, epilogue, uops, sections, orders, plan, share, here, past, final, reset
        )
        if n < 0:
            return n, table, 0, uops.table, 0
        _pass_on(past, share, following)
        step_tile(order, following, tile, extents, index, first, length)
    table = grown(table, n, share.held[ACC] + 1)
    n = _end(table, n, used_uops(uops), share.held[ACC])
    return 0, table, n, uops.table, used_uops(uops)


@helper
def _slots(epilogue: Array, scratch: int) -> tuple[tuple[int, int], bool]:
    """Spread and other pairs of operands that steps have; and whether one uses scratch vectors."""
    spread, dense, used = 0, 1, False
    for step in range(len(epilogue)):
        if epilogue[step, KIND] == TERM:
            continue
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
