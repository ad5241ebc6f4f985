"""Every point of a design's schedule space with a lower bound on its cycles, compiled.

A point is a tile extent for each outer loop, an order of the tile loops, and one or two contexts
for loads and for accumulators. The bound of a point adds up what its program cannot do at the same
time. All of it follows from how many entries each tile moves, which is exact, so that the bound
stays below the simulated cycles by little; the tests hold it against the simulator.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.codegen import alu_passes
from explorer.design import Design
from explorer.layout import Layout
from explorer.schedule.space import coefficients, output_loops
from isa.fields import INSTRUCTION_BYTES, Memory
from simulator.jit import jit
from simulator.timing import (
    FINISH_CYCLES,
    NARROW_LOAD_CYCLES,
    NOP_CYCLES,
    alu_cycles,
    fetch_cycles,
    gemm_cycles,
    load_lead,
    store_cycles,
)

Array = NDArray[np.int64]


class Operand(NamedTuple):
    """A tensor as the compiled functions see it.

    Attributes:
        moves: how far each coordinate moves with each outer loop, (coordinates, loops).
        extent, low, high: of each coordinate: values, first stored, one past the last stored.
        depth: entries its scratchpad holds.
        size: bytes of an entry, and `bus` of a beat.
        lead: cycles of a LOAD before its first beat.
    """

    moves: Array
    extent: Array
    low: Array
    high: Array
    depth: int
    size: int
    bus: int
    lead: int


class Machine(NamedTuple):
    """The rest of what a bound depends on.

    Attributes:
        extents: of the outer loops.
        outputs: whether a loop moves the output.
        bias_moves: whether a loop moves the bias; all False without one.
        bias: cycles of a bias LOAD before its beats, and beats of an entry; zeros without one.
        passes: immediate ALU passes of the epilogue.
        uop_lead: cycles of the micro-op LOAD before its first beat.
        bus_bytes, latency, fetch_batch, burst_entries: of the configuration; the last is how many
            output entries a write burst takes.
    """

    extents: Array
    outputs: NDArray[np.bool_]
    bias_moves: NDArray[np.bool_]
    bias: tuple[int, int]
    passes: int
    uop_lead: int
    bus_bytes: int
    latency: int
    fetch_batch: int
    burst_entries: int


def operand(design: Design, layout: Layout, memory: Memory) -> Operand:
    """A layout's numbers."""
    config = design.config
    size, bus = config.element_bytes(memory), config.timing.bus_bytes
    spans = np.array([[c.extent, c.low, c.high] for c in layout.coordinates], np.int64)
    extent, low, high = np.ascontiguousarray(spans.reshape(-1, 3).T)
    return Operand(
        coefficients(design, layout),
        extent,
        low,
        high,
        config.depth(memory),
        size,
        bus,
        load_lead(0, size, bus, config.timing.memory_latency),
    )


def machine(design: Design) -> Machine:
    """A design's other numbers."""
    config, timing = design.config, design.config.timing
    extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
    outputs = np.zeros(len(extents), np.bool_)
    outputs[output_loops(design)] = True
    bias_moves: NDArray[np.bool_] = np.zeros(len(extents), np.bool_)
    bias = (0, 0)
    if design.bias:
        numbers = operand(design, design.bias, Memory.ACC)
        bias_moves = np.any(numbers.moves, axis=0)
        bias = (numbers.lead, beats(numbers, 1))
    uop_bytes = config.element_bytes(Memory.UOP)
    return Machine(
        extents,
        outputs,
        bias_moves,
        bias,
        len(alu_passes(design.operator.epilogue)),
        load_lead(0, uop_bytes, timing.bus_bytes, timing.memory_latency) + 1,
        timing.bus_bytes,
        timing.memory_latency,
        timing.fetch_batch,
        max(1, timing.burst_bytes // config.out_bytes),
    )


@jit
def beats(tensor: Operand, entries: int) -> int:
    """Bus beats that entries take at least: several small ones may share one."""
    return entries * tensor.size // tensor.bus


class Use(NamedTuple):
    """How a tiling uses a tensor.

    Attributes:
        volume: entries of the largest tile.
        first: entries moved for the first tile.
        last: entries of the last tile.
        once: entries moved if each of the tensor's own tiles is moved once.
        own: number of its own tiles; `whole` of them are not cut short by a loop's end.
        instructions: LOADs or STOREs that move a whole tile.
    """

    volume: int
    first: int
    last: int
    once: int
    own: int
    whole: int
    instructions: int


@jit
def use(tensor: Operand, extents: Array, tile: Array, tiles: Array) -> Use:
    """How a tiling uses a tensor."""
    loops = len(extents)
    volume, first, last, once, own, whole = 1, 1, 1, 1, 1, 1
    box = np.ones(len(tensor.extent), np.int64)
    for j in range(len(tensor.extent)):
        end = 1
        for i in range(loops):
            box[j] += tensor.moves[j, i] * (tile[i] - 1)
            end += tensor.moves[j, i] * (extents[i] - (tiles[i] - 1) * tile[i] - 1)
        volume *= box[j]
        first *= max(1, min(box[j], tensor.high[j]) - tensor.low[j])
        last *= end
        once *= _entries_along(tensor, j, extents, tile, tiles)
    for i in range(loops):
        if tensor.moves[:, i].any():
            own *= tiles[i]
            whole *= extents[i] // tile[i]
    return Use(volume, first, last, once, own, whole, instructions(tensor, box))


@jit
def _entries_along(tensor: Operand, j: int, extents: Array, tile: Array, tiles: Array) -> int:
    """Stored entries along a coordinate, summed over the tiles of the loops that move it."""
    moves = tensor.moves[j]
    repeats = 1
    for i in range(len(extents)):
        if moves[i]:
            repeats *= tiles[i]
    if tensor.low[j] == 0 and tensor.high[j] == tensor.extent[j]:
        total = repeats
        for i in range(len(extents)):
            total += moves[i] * (extents[i] - tiles[i]) * (repeats // tiles[i])
        return total
    total = 0
    for index in range(repeats):
        begin, size, rest = 0, 1, index
        for i in range(len(extents)):
            if moves[i]:
                place = rest % tiles[i]
                rest //= tiles[i]
                begin += moves[i] * place * tile[i]
                size += moves[i] * (min(tile[i], extents[i] - place * tile[i]) - 1)
        total += max(0, min(begin + size, tensor.high[j]) - max(begin, tensor.low[j]))
    return total


@jit
def instructions(tensor: Operand, box: Array) -> int:
    """The fewest LOADs or STOREs that move a box, whatever the order of coordinates in DRAM.

    An instruction moves two sides that are cut; whole ones join a neighbour unless it is padded.
    """
    whole, cut, joined = 1, 0, False
    sides = np.ones(len(box) + 1, np.int64)
    for j in range(len(box)):
        padded = tensor.low[j] > 0 or tensor.high[j] < tensor.extent[j]
        if not padded and box[j] >= tensor.extent[j]:
            whole *= box[j]
        elif box[j] > 1:
            sides[cut] = box[j]
            cut += 1
            joined = joined or not padded
    if whole > 1 and not joined:
        sides[cut] = whole
        cut += 1
    result = 1
    ordered = np.sort(sides[:cut])
    for j in range(cut - 2):
        result *= ordered[j]
    return result


@jit
def changes(tensor: Operand, tiles: Array, order: Array) -> int:
    """How often the tensor's tile changes when the tile loops run in this order."""
    events, outside = 1, 1
    for i in order:
        outside *= tiles[i]
        if tiles[i] > 1 and tensor.moves[:, i].any():
            events = outside
    return events


@jit
def load_instructions(held: Use, events: int) -> int:
    """LOADs of a tensor's tiles, at least: a tile that a loop's end cuts short may take one."""
    whole = events // held.own * held.whole
    return whole * held.instructions + events - whole


class Work(NamedTuple):
    """Cycles of a point's parts, at least.

    Attributes:
        start: until the first instruction is there.
        before: from then until the first GEMM may start.
        inp, wgt: LOADs of the two inputs.
        gemm: GEMM instructions; `rest` is everything the compute module does after it has started
            the first of them, and `serial` that part of it which waits for accumulators.
        store: STOREs, and `last` the one that nothing can overlap.
        fetch: reading the program.
        beats: data over the read channel.
    """

    start: int
    before: int
    inp: int
    wgt: int
    gemm: int
    rest: int
    serial: int
    store: int
    last: int
    fetch: int
    beats: int


@jit
def work(
    m: Machine,
    inp: Operand,
    wgt: Operand,
    acc: Operand,
    uses: tuple[Use, Use, Use],
    events: tuple[int, int, int],
    tiles: Array,
) -> Work:
    """Cycles of the parts of a point whose tiles of inp, wgt and bias change so often."""
    i, w, a = uses
    count, finished, steps = 1, 1, 1
    for loop in range(len(tiles)):
        count *= tiles[loop]
        steps *= m.extents[loop]
        if m.outputs[loop]:
            finished *= tiles[loop]
    has_bias = m.bias[0] > 0
    inp_count, wgt_count = load_instructions(i, events[0]), load_instructions(w, events[1])
    inp_beats = beats(inp, events[0] // i.own * i.once)
    wgt_beats = beats(wgt, events[1] // w.own * w.once)
    stores = load_instructions(a, finished)
    total = inp_count + wgt_count + stores + count + finished * (1 + m.passes) + 3
    if has_bias:
        total += finished + events[2]
    fetched = -(-min(m.fetch_batch, total) * INSTRUCTION_BYTES // m.bus_bytes)

    gemm = steps + gemm_cycles(0) * count
    reset = a.once + gemm_cycles(0) * finished
    alu = m.passes * (a.once + alu_cycles(0, True) * finished)
    bias_load = m.bias[0] + m.bias[1]
    if has_bias:
        alu += 2 * a.once + alu_cycles(0, False) * finished
    first_reset = gemm_cycles(a.volume)
    first_beats = beats(inp, i.first) + beats(wgt, w.first)
    first_load = inp.lead + wgt.lead + first_beats
    # Micro-ops share the read channel with the first tiles.
    shared = m.uop_lead - NARROW_LOAD_CYCLES + first_beats
    before = max(first_load, m.uop_lead + first_reset + bias_load, shared)
    serial = gemm + reset - first_reset + alu
    sent = -(-acc.size // acc.bus)
    store = store_cycles(a.once, -(-a.once // m.burst_entries), sent)
    return Work(
        m.latency + fetched,
        before,
        inp_count * inp.lead + inp_beats,
        wgt_count * wgt.lead + wgt_beats,
        gemm,
        serial + bias_load * max(0, events[2] - 1),
        serial,
        store + (stores - 1) * store_cycles(0, 0, sent),
        store_cycles(a.last, 1, sent),
        total // m.fetch_batch * fetch_cycles(m.fetch_batch, fetched, m.latency),
        inp_beats + wgt_beats,
    )


@jit
def bound(part: Work, events: tuple[int, int, int], count: int, loads: int, accs: int) -> int:
    """Cycles that a point does not undercut: what its dependences put one after the other.

    Args:
        part: cycles of its parts.
        events: how often the tile of inp, wgt and bias changes.
        count: number of tiles.
        loads: load contexts.
        accs: accumulator contexts.
    """
    end = NOP_CYCLES + FINISH_CYCLES  # FINISH waits for the last store
    tail = part.last + end
    least = max(part.fetch, part.beats + part.start)
    least = max(least, part.start + part.before + part.rest + tail)
    least = max(least, part.start + part.inp + part.wgt + tail)
    least = max(least, part.start + part.before + part.store + end)
    if loads == 1:  # a tile is not loaded before the GEMMs on the one before are done
        chain = part.inp if events[0] > 1 else 0
        if events[1] > 1:
            chain = max(chain, part.wgt)
        if events[0] == count and events[1] == count:
            chain = part.inp + part.wgt
        least = max(least, part.start + chain + part.gemm + tail)
    if accs == 1:  # accumulators are not reset before the last ones are stored
        least = max(least, part.start + part.before + part.serial + part.store + end)
    return least


@jit
def scan(
    m: Machine,
    inp: Operand,
    wgt: Operand,
    acc: Operand,
    choices: Array,
    sizes: Array,
    orders: Array,
) -> Array:
    """The bound of every point, -1 for those that do not fit or repeat another.

    Args:
        m: the machine and the operator.
        inp: the tensor on port inp.
        wgt: the tensor on port wgt.
        acc: the tensor on port acc.
        choices: candidate tile extents of each loop, (loops, most), of which `sizes` are used.
        sizes: number of candidates of each loop.
        orders: orders of the tile loops, slowest first, (orders, loops).

    Returns:
        int64 of shape (tilings, orders, 2, 2): load and acc contexts minus one. Tilings count in
        mixed radix, the last loop fastest.
    """
    tilings = 1
    for size in sizes:
        tilings *= size
    loops = len(sizes)
    bounds = np.full((tilings, len(orders), 2, 2), -1, np.int64)
    tile, tiles = np.ones(loops, np.int64), np.ones(loops, np.int64)
    for tiling in range(tilings):
        rest = tiling
        for loop in range(loops - 1, -1, -1):
            tile[loop] = choices[loop, rest % sizes[loop]]
            rest //= sizes[loop]
            tiles[loop] = (m.extents[loop] + tile[loop] - 1) // tile[loop]
        uses = (
            use(inp, m.extents, tile, tiles),
            use(wgt, m.extents, tile, tiles),
            use(acc, m.extents, tile, tiles),
        )
        if uses[0].volume > inp.depth or uses[1].volume > wgt.depth or uses[2].volume > acc.depth:
            continue
        for k in range(len(orders)):
            if k > 0 and same_order(orders[0], orders[k], tiles):
                continue
            order_bounds(m, inp, wgt, acc, uses, tiles, orders[k], bounds[tiling, k])
    return bounds


@jit
def same_order(one: Array, other: Array, tiles: Array) -> bool:
    """Whether two orders agree on the loops that have several tiles."""
    a = [i for i in one if tiles[i] > 1]
    b = [i for i in other if tiles[i] > 1]
    return a == b


@jit
def order_bounds(
    m: Machine,
    inp: Operand,
    wgt: Operand,
    acc: Operand,
    uses: tuple[Use, Use, Use],
    tiles: Array,
    order: Array,
    bounds: Array,
) -> None:
    """The bounds of a tiling in one order, for every number of contexts that differs."""
    count, finished, bias_events = 1, 1, 1
    for i in order:
        count *= tiles[i]
        if m.outputs[i]:
            finished *= tiles[i]
        if m.bias_moves[i] and tiles[i] > 1:
            bias_events = count
    events = (changes(inp, tiles, order), changes(wgt, tiles, order), bias_events)
    part = work(m, inp, wgt, acc, uses, events, tiles)
    for loads in range(1, 3 if max(events[0], events[1]) > 1 else 2):
        fits = uses[0].volume * min(loads, events[0]) <= inp.depth
        if not fits or uses[1].volume * min(loads, events[1]) > wgt.depth:
            continue
        for accs in range(1, 3 if finished > 1 else 2):
            if uses[2].volume * accs <= acc.depth:
                bounds[loads - 1, accs - 1] = bound(part, events, count, loads, accs)


@jit
def contexts_met(
    m: Machine,
    inp: Operand,
    wgt: Operand,
    acc: Operand,
    tiles: Array,
    order: Array,
    loads: int,
    accs: int,
) -> int:
    """How many combinations of scratchpad contexts the tiles meet: each has its own micro-ops."""
    loops = len(order)
    # What changes when the loop at a place steps, and with it all inner ones start again.
    changed = np.zeros((3, loops), np.bool_)
    for place in range(loops - 1, -1, -1):
        if place < loops - 1:
            changed[:, place] = changed[:, place + 1]
        i = order[place]
        if tiles[i] > 1:
            changed[0, place] |= inp.moves[:, i].any()
            changed[1, place] |= wgt.moves[:, i].any()
            changed[2, place] |= acc.moves[:, i].any()
    met = np.zeros((2, 2, 2), np.bool_)
    index = np.zeros(loops, np.int64)
    found, a, b, c = 0, 0, 0, 0
    most = min(loads, changes(inp, tiles, order)) * min(loads, changes(wgt, tiles, order)) * accs
    while True:
        if not met[a, b, c]:
            met[a, b, c] = True
            found += 1
            if found == most:
                return found
        place = loops - 1
        while place >= 0:
            index[place] += 1
            if index[place] < tiles[order[place]]:
                break
            index[place] = 0
            place -= 1
        if place < 0:
            return found
        if loads == 2:
            a ^= changed[0, place]
            b ^= changed[1, place]
        if accs == 2:
            c ^= changed[2, place]


@jit
def point_bound(
    m: Machine,
    inp: Operand,
    wgt: Operand,
    acc: Operand,
    tile: Array,
    order: Array,
    loads: int,
    accs: int,
) -> int:
    """The bound of one point; see `scan`."""
    tiles = (m.extents + tile - 1) // tile
    uses = (
        use(inp, m.extents, tile, tiles),
        use(wgt, m.extents, tile, tiles),
        use(acc, m.extents, tile, tiles),
    )
    bounds = np.full((2, 2), -1, np.int64)
    order_bounds(m, inp, wgt, acc, uses, tiles, order, bounds)
    return int(bounds[loads - 1, accs - 1])
