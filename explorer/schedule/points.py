"""Every point of a design's schedule space with a lower bound on its cycles, compiled.

A point is a tile extent for each outer loop, an order of the tile loops, and one or two contexts
for loads and for accumulators. The bound of a point adds up what its program cannot do at the same
time. All of it follows from how many entries each tile moves, which is exact, so that the bound
stays below the simulated cycles by little; the tests hold it against the simulator.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.layout.design import Design
from explorer.layout.packed import Layout
from explorer.schedule.alu_passes import alu_passes
from explorer.schedule.space import coefficients, output_loops
from explorer.schedule.stream import changes
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


Tensors: TypeAlias = tuple[Operand, Operand, Operand]
"""Those on ports inp, wgt and acc."""


class Machine(NamedTuple):
    """The rest of what a bound depends on.

    Attributes:
        extents: of the outer loops.
        outputs: whether a loop moves the output.
        bias_moves: whether a loop moves the bias; all False without one.
        bias: cycles of a bias LOAD before its beats, and beats of an entry; zeros without one.
        residual: cycles of a residual LOAD before its beats, and bytes of an entry; zeros without.
        passes: immediate ALU passes of the epilogue.
        uop_lead: cycles of the micro-op LOAD before its first beat.
        bus_bytes, latency, fetch_batch, burst_entries: of the configuration; the last is how many
            output entries a write burst takes.
    """

    extents: Array
    outputs: NDArray[np.bool_]
    bias_moves: NDArray[np.bool_]
    bias: tuple[int, int]
    residual: tuple[int, int]
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
    residual = (0, 0)
    if design.residual:
        size = config.acc_bytes
        residual = (load_lead(0, size, timing.bus_bytes, timing.memory_latency), size)
    uop_bytes = config.element_bytes(Memory.UOP)
    return Machine(
        extents,
        outputs,
        bias_moves,
        bias,
        residual,
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
        instructions: the fewest LOADs or STOREs that move a whole tile, whatever the order of
            coordinates in DRAM. One moves two sides that are cut; whole sides join a neighbour
            unless that is padded.
    """

    volume: int
    first: int
    last: int
    once: int
    own: int
    whole: int
    instructions: int


_USES = len(Use._fields)


class Uses(NamedTuple):
    """How a tensor is used under every choice of tiles of the loops that move it.

    Attributes:
        values: the fields of `Use`, (choices, 7).
        step: rows from one choice of a loop's tile to the next, (loops,).
        moved: whether a loop moves the tensor, (loops,).
    """

    values: Array
    step: Array
    moved: NDArray[np.bool_]


class _Span(IntEnum):
    """Column of a coordinate's table: entries along it."""

    BOX = 0  # of a whole tile
    FIRST = 1  # of the first tile, as far as they are stored
    LAST = 2  # of the last tile
    ONCE = 3  # stored ones of all tiles together


_SPANS = len(_Span)


@jit
def uses(tensor: Operand, extents: Array, choices: Array, sizes: Array) -> Uses:
    """The uses for tile extents of each loop (loops, most), of which `sizes` are given."""
    loops = len(extents)
    moved, step = np.zeros(loops, np.bool_), np.zeros(loops, np.int64)
    rows = 1
    for i in range(loops):
        moved[i] = tensor.moves[:, i].any()
        if moved[i]:
            step[i] = rows
            rows *= sizes[i]
    values = np.ones((rows, _USES), np.int64)
    result = Uses(values, step, moved)
    spans, start, span_step = _spans(tensor, extents, choices, sizes)
    digits, lines = np.zeros(loops, np.int64), np.zeros(len(start), np.int64)
    for row in range(rows):
        own, whole = 1, 1
        for i in range(loops):
            if moved[i]:
                digits[i] = row // step[i] % sizes[i]
                tile = choices[i, digits[i]]
                own *= (extents[i] + tile - 1) // tile
                whole *= extents[i] // tile
        for j in range(len(start)):
            lines[j] = start[j] + (digits * span_step[j]).sum()
        _use(tensor, spans, lines, values[row])
        values[row, 4], values[row, 5] = own, whole
    return result


@jit
def _use(tensor: Operand, spans: Array, lines: Array, value: Array) -> None:
    """All of a `Use` but its numbers of tiles, from the lines of its coordinates' tables."""
    full, cut, joined = 1, 1, False
    longest, second = 1, 1  # of the sides that are cut
    for j in range(len(lines)):
        box = spans[lines[j], _Span.BOX]
        value[0] *= box
        value[1] *= spans[lines[j], _Span.FIRST]
        value[2] *= spans[lines[j], _Span.LAST]
        value[3] *= spans[lines[j], _Span.ONCE]
        padded = tensor.low[j] > 0 or tensor.high[j] < tensor.extent[j]
        if not padded and box >= tensor.extent[j]:
            full *= box
        elif box > 1:
            cut *= box
            longest, second = max(longest, box), max(second, min(longest, box))
            joined = joined or not padded
    if full > 1 and not joined:
        cut *= full
        longest, second = max(longest, full), max(second, min(longest, full))
    value[6] = cut // (longest * second)


@jit
def _spans(
    tensor: Operand, extents: Array, choices: Array, sizes: Array
) -> tuple[Array, Array, Array]:
    """The coordinates' tables, one after the other.

    A coordinate has a line for each choice of tiles of the loops that move it.

    Returns:
        The lines by `_Span`, (lines, 4); the first of each coordinate, (coordinates,); and lines
        from one choice of a loop's tile to the next, (coordinates, loops).
    """
    coordinates, loops = tensor.moves.shape
    start, step = np.zeros(coordinates, np.int64), np.zeros((coordinates, loops), np.int64)
    lines = 0
    for j in range(coordinates):
        start[j], count = lines, 1
        for i in range(loops):
            if tensor.moves[j, i]:
                step[j, i] = count
                count *= sizes[i]
        lines += count
    spans = np.empty((lines, _SPANS), np.int64)
    tile = np.ones(loops, np.int64)
    for j in range(coordinates):
        end = start[j + 1] if j + 1 < coordinates else lines
        for line in range(start[j], end):
            for i in range(loops):
                if tensor.moves[j, i]:
                    tile[i] = choices[i, (line - start[j]) // step[j, i] % sizes[i]]
            _span(tensor, j, extents, tile, spans[line])
    return spans, start, step


@jit
def _span(tensor: Operand, j: int, extents: Array, tile: Array, span: Array) -> None:
    """What coordinate `j` spans when its loops have these tiles."""
    moves, low, high = tensor.moves[j], tensor.low[j], tensor.high[j]
    box, end, repeats = 1, 1, 1
    for i in range(len(extents)):
        if moves[i]:
            tiles = (extents[i] + tile[i] - 1) // tile[i]
            box += moves[i] * (tile[i] - 1)
            end += moves[i] * (extents[i] - (tiles - 1) * tile[i] - 1)
            repeats *= tiles
    span[_Span.BOX] = box
    span[_Span.FIRST] = max(1, min(box, high) - low)
    span[_Span.LAST] = end
    total = 0
    for index in range(repeats):
        begin, size, rest = 0, 1, index
        for i in range(len(extents)):
            if moves[i]:
                tiles = (extents[i] + tile[i] - 1) // tile[i]
                place = rest % tiles
                rest //= tiles
                begin += moves[i] * place * tile[i]
                size += moves[i] * (min(tile[i], extents[i] - place * tile[i]) - 1)
        total += max(0, min(begin + size, high) - max(begin, low))
    span[_Span.ONCE] = total


@jit
def _row(values: Array, row: int) -> Use:
    return Use(
        values[row, 0],
        values[row, 1],
        values[row, 2],
        values[row, 3],
        values[row, 4],
        values[row, 5],
        values[row, 6],
    )


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
    tensors: Tensors,
    uses: tuple[Use, Use, Use],
    events: tuple[int, int, int],
    tiles: Array,
) -> Work:
    """Cycles of the parts of a point whose tiles of inp, wgt and bias change so often."""
    inp, wgt, acc = tensors
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
    if m.residual[0] > 0:
        total += finished + stores
    fetched = -(-min(m.fetch_batch, total) * INSTRUCTION_BYTES // m.bus_bytes)

    gemm = steps + gemm_cycles(0) * count
    reset = a.once + gemm_cycles(0) * finished
    alu = m.passes * (a.once + alu_cycles(0, True) * finished)
    bias_load = m.bias[0] + m.bias[1]
    # A residual is loaded where the bias is: that of the first tile before the first GEMM.
    residual_lead, residual_size = m.residual
    first_residual = residual_lead + a.first * residual_size // m.bus_bytes
    other_residuals = residual_lead * max(0, stores - a.instructions)
    other_residuals += (a.once - a.first) * residual_size // m.bus_bytes
    for added in (has_bias, residual_lead > 0):
        if added:
            alu += 2 * a.once + alu_cycles(0, False) * finished
    first_reset = gemm_cycles(a.volume)
    first_beats = beats(inp, i.first) + beats(wgt, w.first)
    first_load = inp.lead + wgt.lead + first_beats
    # Micro-ops share the read channel with the first tiles.
    shared = m.uop_lead - NARROW_LOAD_CYCLES + first_beats
    before = max(first_load, m.uop_lead + first_reset + bias_load + first_residual, shared)
    serial = gemm + reset - first_reset + alu
    sent = -(-acc.size // acc.bus)
    store = store_cycles(a.once, -(-a.once // m.burst_entries), sent)
    return Work(
        m.latency + fetched,
        before,
        inp_count * inp.lead + inp_beats,
        wgt_count * wgt.lead + wgt_beats,
        gemm,
        serial + bias_load * max(0, events[2] - 1) + other_residuals,
        serial,
        store + (stores - 1) * store_cycles(0, 0, sent),
        store_cycles(a.last, 1, sent),
        total // m.fetch_batch * fetch_cycles(m.fetch_batch, fetched, m.latency),
        inp_beats + wgt_beats + a.once * residual_size // m.bus_bytes,
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
    tensors: Tensors,
    used: tuple[Uses, Uses, Uses],
    choices: Array,
    sizes: Array,
    orders: Array,
    limit: int,
    slack: int,
) -> tuple[Array, int]:
    """The bounds of the points that are worth a look.

    Args:
        m: the machine and the operator.
        tensors: on ports inp, wgt and acc.
        used: how they are used.
        choices: candidate tile extents of each loop, (loops, most), of which `sizes` are used.
        sizes: number of candidates of each loop.
        orders: orders of the tile loops, slowest first, (orders, loops).
        limit: bounds from here on are of no interest.
        slack: nor are those that exceed the least by more than one part in `slack`; 0 for any.

    Returns:
        The bounds, int64 of shape (tilings, orders, 2, 2), the last two load and acc contexts minus
        one; tilings count in mixed radix, the last loop fastest. -1 stands for a point that does
        not fit, repeats another, or may be of no interest. And a limit below which no bound is
        left out.
    """
    tilings, steps = 1, 1
    for size in sizes:
        tilings *= size
    for extent in m.extents:
        steps *= extent
    loops = len(sizes)
    bounds = np.full((tilings, len(orders), 2, 2), -1, np.int64)
    tiles, digits = np.ones(loops, np.int64), sizes - 1
    for i in range(loops):
        tiles[i] = (m.extents[i] + choices[i, digits[i]] - 1) // choices[i, digits[i]]
    inp_step, wgt_step, acc_step = used[0].step, used[1].step, used[2].step
    inp_values, wgt_values, acc_values = used[0].values, used[1].values, used[2].values
    inp_depth, wgt_depth, acc_depth = tensors[0].depth, tensors[1].depth, tensors[2].depth
    outputs = m.outputs
    cap = limit
    # Large tiles first: they tend to be the good ones, and then rule out the others.
    for tiling in range(tilings - 1, -1, -1):
        inp_row, wgt_row, acc_row, count, finished = 0, 0, 0, 1, 1
        for i in range(loops):
            inp_row += digits[i] * inp_step[i]
            wgt_row += digits[i] * wgt_step[i]
            acc_row += digits[i] * acc_step[i]
            count *= tiles[i]
            if outputs[i]:
                finished *= tiles[i]
        least = steps + gemm_cycles(0) * (count + finished)
        least += m.passes * alu_cycles(0, True) * finished
        if (
            least < cap
            and inp_values[inp_row, 0] <= inp_depth
            and wgt_values[wgt_row, 0] <= wgt_depth
            and acc_values[acc_row, 0] <= acc_depth
        ):
            rows = (_row(inp_values, inp_row), _row(wgt_values, wgt_row), _row(acc_values, acc_row))
            for k in range(len(orders)):
                if k == 0 or not same_order(orders[0], orders[k], tiles):
                    order_bounds(m, tensors, used, rows, tiles, orders[k], bounds[tiling, k])
                    if slack > 0:
                        for bound in bounds[tiling, k].flat:
                            if bound >= 0:
                                cap = min(cap, bound + bound // slack)
        _step_back(m.extents, choices, sizes, digits, tiles)
    return bounds, cap


@jit
def _step_back(extents: Array, choices: Array, sizes: Array, digits: Array, tiles: Array) -> None:
    """Go to the tiling before: the choice of each loop's tile, and how many tiles that makes."""
    for i in range(len(sizes) - 1, -1, -1):
        digits[i] = digits[i] - 1 if digits[i] > 0 else sizes[i] - 1
        tiles[i] = (extents[i] + choices[i, digits[i]] - 1) // choices[i, digits[i]]
        if digits[i] < sizes[i] - 1:
            break


@jit
def same_order(one: Array, other: Array, tiles: Array) -> bool:
    """Whether two orders agree on the loops that have several tiles."""
    place = 0
    for i in one:
        if tiles[i] > 1:
            while tiles[other[place]] <= 1:
                place += 1
            if other[place] != i:
                return False
            place += 1
    return True


@jit
def order_bounds(
    m: Machine,
    tensors: Tensors,
    used: tuple[Uses, Uses, Uses],
    rows: tuple[Use, Use, Use],
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
    events = (
        changes(used[0].moved, tiles, order),
        changes(used[1].moved, tiles, order),
        bias_events,
    )
    part = work(m, tensors, rows, events, tiles)
    for loads in range(1, 3 if max(events[0], events[1]) > 1 else 2):
        fits = rows[0].volume * min(loads, events[0]) <= tensors[0].depth
        if not fits or rows[1].volume * min(loads, events[1]) > tensors[1].depth:
            continue
        for accs in range(1, 3 if finished > 1 else 2):
            if rows[2].volume * (accs + (m.residual[0] > 0)) <= tensors[2].depth:
                bounds[loads - 1, accs - 1] = bound(part, events, count, loads, accs)


@jit
def contexts_met(
    used: tuple[Uses, Uses, Uses], tiles: Array, order: Array, loads: int, accs: int
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
            changed[0, place] |= used[0].moved[i]
            changed[1, place] |= used[1].moved[i]
            changed[2, place] |= used[2].moved[i]
    met = np.zeros((2, 2, 2), np.bool_)
    index = np.zeros(loops, np.int64)
    found, a, b, c = 0, 0, 0, 0
    most = accs
    for port in range(2):
        most *= min(loads, changes(used[port].moved, tiles, order))
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
    tensors: Tensors,
    used: tuple[Uses, Uses, Uses],
    digits: Array,
    tiles: Array,
    order: Array,
    loads: int,
    accs: int,
) -> int:
    """The bound of one point; see `scan`."""
    rows = (
        _row(used[0].values, (digits * used[0].step).sum()),
        _row(used[1].values, (digits * used[1].step).sum()),
        _row(used[2].values, (digits * used[2].step).sum()),
    )
    bounds = np.full((2, 2), -1, np.int64)
    order_bounds(m, tensors, used, rows, tiles, order, bounds)
    return int(bounds[loads - 1, accs - 1])
