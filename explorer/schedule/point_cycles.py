"""What the parts of a point's program take, and the bound that follows from their dependences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.machine import HEAD, LEAD, MOVED, SIZE, Machine, Tensors, beats
from explorer.schedule.sections import changes
from explorer.schedule.tile_uses import Use, load_instructions
from simulator.jit import helper
from simulator.occupancy import (
    FINISH_CYCLES,
    NOP_CYCLES,
    WIDE_LOAD_CYCLES,
    alu_cycles,
    fetch_beats,
    fetch_cycles,
    fetch_overhead,
    following_lead,
    gemm_cycles,
    store_bound,
)

Array = NDArray[np.int64]


class Work(NamedTuple):
    """Cycles of a point's parts, at least.

    Attributes:
        start: until the first instruction is there.
        before: from then until the first GEMM may start.
        inp, wgt: LOADs of the two inputs; `terms` those of terms beside them.
        gemm: GEMM instructions; `rest` is everything the compute module does after it has started
            the first of them, and `serial` that part of it which waits for accumulators.
        store: STOREs, and `last` the one that nothing can overlap.
        fetch: reading the program.
        read: from the first instruction until all data is there, and `later` the beats of
            instructions after the first batch.
        spared: what all LOADs of inputs can save beyond what is left out of each.
    """

    start: int
    before: int
    inp: int
    wgt: int
    terms: int
    gemm: int
    rest: int
    serial: int
    store: int
    last: int
    fetch: int
    read: int
    later: int
    spared: int


@helper
def _tile_counts(m: Machine, tiles: Array) -> tuple[int, int, int]:
    """Tiles, those of them that finish an output tile, and GEMM steps of the first term."""
    count, finished = 1, 1
    for loop in range(len(tiles)):
        count *= tiles[loop]
        if m.outputs[loop]:
            finished *= tiles[loop]
    return count, finished, m.steps


@helper
def _fewest_instructions(
    m: Machine, moves: int, stores: int, count: int, finished: int, loads: int
) -> int:
    """Instructions of a program whose loads of inp and wgt, stores and other loads are so many.

    Each tile has a GEMM, and each output tile a reset and the passes of its steps. The three others
    load the micro-ops, wait for the last store, and finish.
    """
    immediates, pairs, sweeps = m.passes
    total = moves + stores + count + finished * (1 + immediates + pairs + sweeps) + 3
    # Vectors as large as the output have the pattern of its stores.
    return total + loads + (m.dense + m.terms) * stores


@helper
def loads_beside(m: Machine, tiles: Array, order: Array) -> tuple[int, int, int]:
    """LOADs of inputs beside the first term's, their bytes, and their cycles besides beats.

    A tensor is loaded whenever its tile changes, each of its own tiles equally often; these cover
    whatever some step uses. None of its loops is a reduction that is tiled.
    """
    loads, size, leads = 0, 0, 0
    for s in range(m.spread, len(m.beside)):
        events, own = changes(m.beside[s, MOVED], tiles, order), 1
        for i in range(len(tiles)):
            if m.beside[s, MOVED, i]:
                own *= tiles[i]
        loads += events
        size += events // own * m.beside[s, HEAD, SIZE]
        leads += events * (m.beside[s, HEAD, LEAD] - m.saved)
    return loads, size, leads


@helper
def _alu_work(m: Machine, entries: int, finished: int) -> int:
    """Cycles of the steps' and further terms' instructions: at least one of each an output tile."""
    immediates, pairs, sweeps = m.passes
    alu = immediates * (entries + alu_cycles(0, True) * finished)
    alu += pairs * (2 * entries + alu_cycles(0, False) * finished)
    # A further term's GEMM is counted as a sweep; its own micro-ops take the place of the entries.
    alu += (sweeps - m.further[0]) * entries + m.further[1]
    return alu + sweeps * gemm_cycles(0) * finished


@helper
def _until_gemm(m: Machine, tensors: Tensors, uses: tuple[Use, Use, Use]) -> int:
    """Cycles from the first instruction's arrival until the first GEMM may start."""
    inp, wgt, _ = tensors
    i, w, a = uses
    first_beats = beats(inp, i.first) + beats(wgt, w.first)
    # Until the first beat of all loads there is nothing that one could come behind.
    first_load = inp.lead + following_lead(wgt.lead, m.latency, 1) + first_beats
    uop_load = m.latency + WIDE_LOAD_CYCLES + m.uop_beats
    # What the steps of the first tile take is loaded before the first GEMM; scratch vectors that
    # are reset once are so behind it, and count nowhere.
    lead, entry, size = m.vector
    own = uop_load + gemm_cycles(a.volume) + m.spread * (lead + entry)
    own += m.dense * (lead + a.first * size // m.bus_bytes)
    # Micro-ops share the read channel with the first tiles.
    return max(first_load, own, uop_load + first_beats)


@helper
def _fetch_work(m: Machine, total: int) -> int:
    """Cycles of the fetch unit for so many instructions, at least.

    Every batch but the first may come behind a burst that lets DRAM's wait run before it.
    """
    batches = total // m.fetch_batch
    if batches == 0:
        return 0
    beats = fetch_beats(m.fetch_batch, m.bus_bytes)
    first = fetch_cycles(m.fetch_batch, beats, m.bus_bytes, m.latency)
    return first + (batches - 1) * following_lead(first, m.latency, 1)


@helper
def work(
    m: Machine,
    tensors: Tensors,
    uses: tuple[Use, Use, Use],
    events: tuple[int, int, int],
    beside: tuple[int, int, int],
    tiles: Array,
) -> Work:
    """Cycles of the parts of a point.

    Args:
        m: the machine and the operator.
        tensors: on ports inp, wgt and acc.
        uses: how they are used.
        events: how often the tiles of inp, wgt and all spread vectors together change.
        beside: what `loads_beside` says.
        tiles: of each loop.
    """
    inp, wgt, acc = tensors
    i, w, a = uses
    count, finished, steps = _tile_counts(m, tiles)
    inp_count, wgt_count = load_instructions(i, events[0]), load_instructions(w, events[1])
    inp_beats = beats(inp, events[0] // i.own * i.once)
    wgt_beats = beats(wgt, events[1] // w.own * w.once)
    stores = load_instructions(a, finished)
    moves = inp_count + wgt_count
    loads = events[2] + beside[0]
    total = _fewest_instructions(m, moves, stores, count, finished, loads)
    fetched = fetch_beats(min(m.fetch_batch, total), m.bus_bytes)

    gemm = steps + gemm_cycles(0) * count
    reset = a.once + gemm_cycles(0) * finished
    # The first reset and the vectors of the first tile are in `before`.
    serial = gemm + reset - gemm_cycles(a.volume) + _alu_work(m, a.once, finished)
    lead, entry, size = m.vector
    others = lead * max(0, stores - a.instructions) + (a.once - a.first) * size // m.bus_bytes
    others = m.dense * others + (lead + entry) * (events[2] - m.spread)
    moved = inp_beats + wgt_beats + m.dense * (a.once * size // m.bus_bytes) + m.uop_beats
    term_beats = m.terms * beats(inp, a.once) + beside[1] // m.bus_bytes
    terms = m.terms * stores * (inp.lead - m.saved) + beside[2]
    return Work(
        m.latency + fetched + fetch_overhead(m.bus_bytes),
        _until_gemm(m, tensors, uses),
        inp_count * (inp.lead - m.saved) + inp_beats,
        wgt_count * (wgt.lead - m.saved) + wgt_beats,
        terms + term_beats,
        gemm,
        serial + others,
        serial,
        store_bound(a.once, stores, acc.size, m.batch, m.bus_bytes, m.burst_bytes),
        store_bound(a.last, 1, acc.size, m.batch, m.bus_bytes, m.burst_bytes),
        _fetch_work(m, total),
        m.latency + moved + term_beats + WIDE_LOAD_CYCLES,
        fetch_beats(total, m.bus_bytes) - fetched,
        m.spared,
    )


@helper
def bound(part: Work, events: tuple[int, int, int], count: int, loads: int, accs: int) -> int:
    """Cycles that a point does not undercut: what its dependences put one after the other.

    Args:
        part: cycles of its parts.
        events: how often the tile of inp and wgt changes, and of all spread vectors together.
        count: number of tiles.
        loads: load contexts.
        accs: accumulator contexts.
    """
    end = NOP_CYCLES + FINISH_CYCLES  # FINISH waits for the last store
    tail = part.last + end
    # Each line is one resource that works through its part alone: the fetch unit, the read channel,
    # the compute, load and store modules. What stands before its first piece of work and after its
    # last one (the store of the last tile needs that tile's loads and GEMMs) cannot overlap it.
    read = part.start + part.read
    least = max(part.fetch, read + part.later, read + gemm_cycles(1) + tail)
    least = max(least, part.start + part.before + part.rest + tail)
    least = max(least, part.start + part.inp + part.wgt + part.terms - part.spared + tail)
    least = max(least, part.start + part.before + part.store + end)
    if loads == 1:  # a tile is not loaded before the GEMMs on the one before are done
        # No load of an operand that changes then runs beside a GEMM: it waits for the GEMM before,
        # and the next GEMM for it. Both operands' loads are added only where both change with every
        # tile; elsewhere the longer of the two is a weaker bound, and still valid.
        chain = part.inp if events[0] > 1 else 0
        if events[1] > 1:
            chain = max(chain, part.wgt)
        if events[0] == count and events[1] == count:
            chain = part.inp + part.wgt
        least = max(least, part.start + chain - part.spared + part.gemm + tail)
    if accs == 1:  # accumulators are not reset before the last ones are stored
        least = max(least, part.start + part.before + part.serial + part.store + end)
    return least
