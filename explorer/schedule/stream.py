"""The instruction stream of a schedule, compiled: tile by tile, with its tokens and micro-ops.

Of each tile: load what changed, reset new accumulators, accumulate, and after the last reduction
tile run the epilogue and store. The queues meet through dependence tokens; every pop has its push
earlier in the stream, so that no interleaving of the queues deadlocks, and each token is there
because a buffer is reused.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.dma import PARTS, RUNS, Fault, Part, Pattern, best_order, pattern, place
from isa.fields import AluOp, Column, Memory, Opcode
from simulator.jit import jit

Array = NDArray[np.int64]
MAX_ITERATIONS = 16_383  # iter_out and iter_in have 14 bits
INP, WGT, ACC, ADDEND = range(4)  # sections: on the instruction's ports, and what is added
ADD_IMMEDIATE, ADD_RESIDUAL = -1, -2
_COLUMNS = len(Column)


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


class Kernel(NamedTuple):
    """In-tile loops as the instruction and its micro-ops run them.

    A loop is its extent, and its strides of dst, src and wgt.

    Attributes:
        hardware: the two loops of the instruction, (2, 4).
        rest: the loops that the micro-ops unroll, the fastest first, (n, 4).
    """

    hardware: Array
    rest: Array


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
def _moved(section: Section) -> NDArray[np.bool_]:
    """Whether each loop moves the tensor."""
    coordinates, loops = section.moves.shape
    moved = np.zeros(loops, np.bool_)
    for j in range(coordinates):
        for i in range(loops):
            moved[i] |= section.moves[j, i] != 0
    return moved


@jit
def _fill_box(section: Section, first: Array, length: Array, box: Array) -> bool:
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
def _volume(section: Section, length: Array) -> int:
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
def _add_strides(section: Section, order: Array, length: Array, strides: Array) -> None:
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
    if not _fill_box(section, np.zeros(len(length), np.int64), length, box):
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


@jit
def whole_tile_uops(
    sections: Sections, orders: tuple[Array, Array, Array, Array], tile: Array, distance: int
) -> int:
    """Micro-ops of a whole tile's GEMM, for one combination of scratchpad contexts."""
    strides = np.zeros((3, len(tile)), np.int64)
    for s in range(3):
        _add_strides(sections[s], orders[s], tile, strides[(1, 2, 0)[s]])
    return kernel_uops(kernel(tile, strides, distance))


@jit
def kernel(length: Array, strides: Array, distance: int) -> Kernel:
    """In-tile loops (loops,) with strides (3, loops): joined, then split.

    Loops of one iteration are dropped, and a loop that runs on into the next is joined. The two
    longest are the instruction's, the others the micro-ops'. With a distance above 1, they are
    chosen so that an accumulator is used again no sooner than that many micro-ops later.
    """
    found = np.zeros((len(length) + 2, 4), np.int64)
    n = 0
    for i in range(len(length) - 1, -1, -1):
        if length[i] == 1:
            continue
        for k in range(n):
            extent = found[k, 0]
            inside, outside = True, True
            for port in range(3):
                inside = inside and strides[port, i] == extent * found[k, port + 1]
                outside = outside and found[k, port + 1] == length[i] * strides[port, i]
            if (inside or outside) and extent * length[i] <= MAX_ITERATIONS:
                found[k, 0] = extent * length[i]
                if not inside:
                    found[k, 1:] = strides[:, i]
                break
        else:
            found[n, 0] = length[i]
            found[n, 1:] = strides[:, i]
            n += 1
    if distance > 1:
        return _spaced(found[: n + 2], distance)
    _sort(found, n)
    found[n:2, 0] = 1
    return Kernel(found[:2], found[2 : max(n, 2)])


@jit
def _spaced(loops: Array, distance: int) -> Kernel:
    """The split with the fewest micro-ops that keeps the distance; the last two loops are empty.

    Among the micro-ops, the loops of the outputs are the fastest. Where there are too few outputs
    for that, each iteration of the reductions gets an instruction of its own (`gemm_parts`), and
    the instruction's loops must be of the outputs.
    """
    loops[-2:, 0] = 1
    separate = _others(loops, -1, -1, False) < distance
    best, first, second = -1, len(loops) - 2, len(loops) - 1
    for i in range(len(loops)):
        for j in range(len(loops)):
            if i == j or max(loops[i, 0], loops[j, 0]) > MAX_ITERATIONS:
                continue
            inside, reductions = _others(loops, i, j, False), _others(loops, i, j, True)
            if separate:
                fits = not _reduces(loops[i]) and not _reduces(loops[j])
            elif reductions > 1 or _reduces(loops[j]):
                fits = inside >= distance
            else:
                fits = inside * loops[j, 0] >= distance or not _reduces(loops[i])
            if fits and (best < 0 or inside * reductions < best):
                best, first, second = inside * reductions, i, j
    rest, n = np.empty((len(loops) - 2, 4), np.int64), 0
    for reduces in (False, True):
        for k in range(len(loops)):
            if k not in (first, second) and _reduces(loops[k]) == reduces:
                rest[n] = loops[k]
                n += 1
    hardware = np.empty((2, 4), np.int64)
    hardware[0], hardware[1] = loops[first], loops[second]
    return Kernel(hardware, rest)


@jit
def _others(loops: Array, i: int, j: int, reduces: bool) -> int:
    """Iterations of all loops but two that are reductions, or that are not."""
    iterations = 1
    for k in range(len(loops)):
        if k not in (i, j) and _reduces(loops[k]) == reduces:
            iterations *= loops[k, 0]
    return iterations


@jit
def _reduces(loop: Array) -> bool:
    """Whether all iterations of a loop use the same accumulators."""
    return bool(loop[0] > 1 and loop[1] == 0)


@jit
def gemm_parts(sections: Sections, length: Array, distance: int) -> int:
    """Instructions of a tile's GEMM: one, unless it has too few outputs to keep the distance."""
    moved, outputs, reductions = _moved(sections[ACC]), 1, 1
    for i in range(len(length)):
        if moved[i]:
            outputs *= length[i]
        else:
            reductions *= length[i]
    return reductions if outputs < distance else 1


@jit
def _sort(loops: Array, n: int) -> None:
    """Put the longest loop first; of equal ones that with the smaller strides."""
    for k in range(1, n):
        at = k
        while at > 0 and _precedes(loops[at], loops[at - 1]):
            for column in range(4):
                held = loops[at, column]
                loops[at, column] = loops[at - 1, column]
                loops[at - 1, column] = held
            at -= 1


@jit
def _precedes(one: Array, other: Array) -> bool:
    if one[0] != other[0]:
        return bool(one[0] > other[0])
    for column in range(1, 4):
        if one[column] != other[column]:
            return bool(one[column] < other[column])
    return False


@jit
def kernel_uops(k: Kernel) -> int:
    """Micro-ops of a kernel."""
    count = 1
    for loop in range(len(k.rest)):
        count *= k.rest[loop, 0]
    return count


class _Uops(NamedTuple):
    """The micro-op scratchpad, and which sequence an instruction uses.

    Attributes:
        table: micro-ops, (depth, 3).
        sequences: begin and end of each, from row 1 on; row 0 holds how many there are, and 0.
        gemms, adds, sweeps: the row in `sequences` for each kind of tile and its contexts, or 0;
            of the sweeps, those over the residual stand in the second half.
        gemm_loops, add_loops: the instruction's loops for these, (kinds, 2, 4).
        distance: see `kernel`.
    """

    table: Array
    sequences: Array
    gemms: Array
    adds: Array
    sweeps: Array
    gemm_loops: Array
    add_loops: Array
    distance: int


@jit
def _no_uops(depth: int, loops: int, sweeps: int, distance: int) -> _Uops:
    """Nothing yet; a tile is of one of 2^loops kinds, and contexts are two each."""
    kinds = 1 << loops
    return _Uops(
        np.empty((depth, 3), np.int64),
        np.zeros((depth + 1, 2), np.int64),
        np.zeros(8 * kinds, np.int64),
        np.zeros(2 * kinds, np.int64),
        np.zeros(sweeps, np.int64),
        np.zeros((8 * kinds, 2, 4), np.int64),
        np.zeros((2 * kinds, 2, 4), np.int64),
        distance,
    )


@jit
def _used(uops: _Uops) -> int:
    """Micro-ops that are there."""
    return int(uops.sequences[uops.sequences[0, 0], 1])


@jit
def _sequence(uops: _Uops, k: Kernel, base: tuple[int, int, int]) -> int:
    """Find or append a kernel's micro-ops, from these dst, src and wgt on; its row or a `Fault`."""
    if k.hardware[0, 0] > MAX_ITERATIONS:
        return Fault.LOOP.value
    count, used = kernel_uops(k), _used(uops)
    if count > len(uops.table):
        return Fault.UOPS.value
    fresh = np.empty((count, 3), np.int64)
    for index in range(count):
        rest = index
        fresh[index, 0], fresh[index, 1], fresh[index, 2] = base
        for loop in range(len(k.rest)):
            step = rest % k.rest[loop, 0]
            rest //= k.rest[loop, 0]
            for port in range(3):
                fresh[index, port] += step * k.rest[loop, port + 1]
    known = uops.sequences[0, 0]
    for row in range(1, known + 1):
        begin, end = uops.sequences[row]
        if end - begin == count and np.array_equal(uops.table[begin:end], fresh):
            return row
    if used + count > len(uops.table):
        return Fault.UOPS.value
    uops.table[used : used + count] = fresh
    uops.sequences[0, 0] = known + 1
    uops.sequences[known + 1, 0], uops.sequences[known + 1, 1] = used, used + count
    return int(known + 1)


@jit
def _begin(table: Array, n: int, opcode: int) -> None:
    for column in range(_COLUMNS):
        table[n, column] = 0
    table[n, Column.OPCODE] = opcode


@jit
def _write_moves(
    table: Array, n: int, opcode: int, section: Section, p: Pattern, runs: Array, sram: int
) -> int:
    """Write the LOADs or STOREs of a box; the rows then used."""
    for index in range(p.instructions):
        at, dram = place(p, runs, index)
        _begin(table, n, opcode)
        table[n, Column.MEMORY_TYPE] = section.memory
        table[n, Column.SRAM_BASE] = sram + at
        table[n, Column.DRAM_BASE] = section.base + dram
        table[n, Column.Y_SIZE], table[n, Column.X_SIZE] = p.y_size, p.x_size
        table[n, Column.X_STRIDE] = p.x_stride
        table[n, Column.Y_PAD_0], table[n, Column.Y_PAD_1] = p.y_before, p.y_after
        table[n, Column.X_PAD_0], table[n, Column.X_PAD_1] = p.x_before, p.x_after
        n += 1
    return n


@jit
def _write_compute(
    table: Array, n: int, opcode: int, bounds: tuple[int, int], hardware: Array
) -> None:
    _begin(table, n, opcode)
    table[n, Column.UOP_BGN], table[n, Column.UOP_END] = bounds
    table[n, Column.ITER_OUT], table[n, Column.ITER_IN] = hardware[0, 0], hardware[1, 0]
    for port in range(3):
        table[n, Column.DST_OUT + 2 * port] = hardware[0, port + 1]
        table[n, Column.DST_IN + 2 * port] = hardware[1, port + 1]


class _Shares(NamedTuple):
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
def _shares(
    sections: Sections,
    tile: Array,
    tiles: Array,
    order: Array,
    loads: int,
    accs: int,
    has_residual: bool,
) -> _Shares:
    loops = len(tile)
    held, volume = np.array([loads, loads, accs, 1]), np.zeros(4, np.int64)
    steps = np.zeros((4, loops), np.bool_)
    for s in range(4):
        moved = _moved(sections[s])
        held[s] = min(held[s], changes(moved, tiles, order))
        if sections[s].depth > 0:
            volume[s] = _volume(sections[s], tile)
        for at in range(loops - 1, -1, -1):
            i = order[at]
            steps[s, at] = (tiles[i] > 1 and moved[i]) or (at + 1 < loops and steps[s, at + 1])
    chunks = (volume[ACC] + MAX_ITERATIONS - 1) // MAX_ITERATIONS
    return _Shares(held, volume, steps, chunks, volume[ACC] if has_residual else 0)


@jit
def _share_fits(sections: Sections, share: _Shares) -> bool:
    need = share.held * share.volume
    need[ADDEND] += need[ACC]
    fits = bool(need[ADDEND] + share.residual <= sections[ACC].depth)
    for s in range(4):
        fits = fits and (need[s] <= sections[s].depth or share.volume[s] == 0)
    return fits


class _Tile(NamedTuple):
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
def _write_sweeps(
    table: Array, n: int, opcode: int, uops: _Uops, share: _Shares, here: _Tile, residual: bool
) -> int:
    """One operation on every accumulator of a tile; the rows then used, or a `Fault`.

    Its source is the residual of the accumulator if there is to be one.
    """
    for chunk in range((here.entries + MAX_ITERATIONS - 1) // MAX_ITERATIONS):
        at, begin = here.context[ACC] * share.chunks + chunk, chunk * MAX_ITERATIONS
        source = 0
        if residual:
            at, source = at + len(uops.sweeps) // 2, here.residual + begin
        if uops.sweeps[at] == 0:
            single = kernel(np.ones(0, np.int64), np.zeros((3, 0), np.int64), 1)
            found = _sequence(uops, single, (here.base[ACC] + begin, source, 0))
            if found < 0:
                return found
            uops.sweeps[at] = found
        _begin(table, n, opcode)
        sequence = uops.sequences[uops.sweeps[at]]
        table[n, Column.UOP_BGN], table[n, Column.UOP_END] = sequence[0], sequence[1]
        table[n, Column.ITER_OUT] = 1
        table[n, Column.ITER_IN] = min(MAX_ITERATIONS, here.entries - begin)
        table[n, Column.DST_IN], table[n, Column.SRC_IN] = 1, residual
        n += 1
    return n


@jit
def _write_reset(table: Array, n: int, uops: _Uops, share: _Shares, here: _Tile) -> int:
    end = _write_sweeps(table, n, Opcode.GEMM, uops, share, here, False)
    for row in range(n, end):
        table[row, Column.RESET] = 1
    return end


@jit
def _write_gemm(
    table: Array,
    n: int,
    uops: _Uops,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    here: _Tile,
) -> int:
    """The GEMM of a tile; the rows then used, or a `Fault`."""
    key = 8 * here.kind + 4 * here.context[INP] + 2 * here.context[WGT] + here.context[ACC]
    if uops.gemms[key] == 0:
        strides = np.zeros((3, len(here.length)), np.int64)
        _add_strides(sections[ACC], orders[ACC], here.length, strides[0])
        _add_strides(sections[INP], orders[INP], here.length, strides[1])
        _add_strides(sections[WGT], orders[WGT], here.length, strides[2])
        k = kernel(here.length, strides, uops.distance)
        found = _sequence(uops, k, (here.base[ACC], here.base[INP], here.base[WGT]))
        if found < 0:
            return found
        uops.gemms[key] = found
        uops.gemm_loops[key] = k.hardware
    begin, end = uops.sequences[uops.gemms[key]]
    parts = gemm_parts(sections, here.length, uops.distance)
    step = (end - begin) // parts
    for part in range(parts):
        bounds = (begin + part * step, begin + (part + 1) * step)
        _write_compute(table, n + part, Opcode.GEMM, bounds, uops.gemm_loops[key])
    return n + parts


@jit
def _write_add(
    table: Array,
    n: int,
    uops: _Uops,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    here: _Tile,
) -> int:
    """The addition of the addend to a tile's accumulators; the rows then used, or a `Fault`."""
    key = 2 * here.kind + here.context[ACC]
    if uops.adds[key] == 0:
        strides = np.zeros((3, len(here.length)), np.int64)
        _add_strides(sections[ACC], orders[ACC], here.length, strides[0])
        _add_strides(sections[ADDEND], orders[ADDEND], here.length, strides[1])
        k = kernel(np.where(_moved(sections[ACC]), here.length, 1), strides, 1)
        found = _sequence(uops, k, (here.base[ACC], here.base[ADDEND], 0))
        if found < 0:
            return found
        uops.adds[key] = found
        uops.add_loops[key] = k.hardware
    begin, end = uops.sequences[uops.adds[key]]
    _write_compute(table, n, Opcode.ALU, (begin, end), uops.add_loops[key])
    table[n, Column.ALU_OPCODE] = AluOp.ADD
    return n + 1


@jit
def _write_epilogue(
    table: Array,
    n: int,
    epilogue: Array,
    uops: _Uops,
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    share: _Shares,
    here: _Tile,
) -> int:
    """The ALU operations on a tile's accumulators; the rows then used, or a `Fault`."""
    for step in range(len(epilogue)):
        if epilogue[step, 0] == ADD_IMMEDIATE:
            end = _write_sweeps(table, n, Opcode.ALU, uops, share, here, False)
            for row in range(n, end):
                table[row, Column.ALU_OPCODE] = epilogue[step, 1]
                table[row, Column.USE_IMM], table[row, Column.IMM] = 1, epilogue[step, 2]
        elif epilogue[step, 0] == ADD_RESIDUAL:
            end = _write_sweeps(table, n, Opcode.ALU, uops, share, here, True)
            for row in range(n, end):
                table[row, Column.ALU_OPCODE] = AluOp.ADD
        else:
            end = _write_add(table, n, uops, sections, orders, here)
        if end < 0:
            return end
        n = end
    return n


@jit
def _reader(
    before: Array, share: _Shares, changed: NDArray[np.bool_], seen: Array, last: int, row: int
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
def _grown(table: Array, n: int, need: int) -> Array:
    """The table, with room for so many rows more."""
    if n + need <= len(table):
        return table
    larger = np.empty((2 * (n + need), _COLUMNS), np.int64)
    larger[:n] = table[:n]
    return larger


@jit
def stream(  # noqa: PLR0912, PLR0915 - the loop over tiles is told in one piece
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
    share = _shares(sections, tile, tiles, order, loads, accs, residual.depth > 0)
    uops = _no_uops(uop_depth, loops, 4 * share.chunks, distance)
    if not _share_fits(sections, share):
        return Fault.TILE.value, np.zeros((0, _COLUMNS), np.int64), uops.table[:0]
    table, n = np.empty((256, _COLUMNS), np.int64), 1  # row 0 loads the micro-ops
    boxes = np.zeros((4, _sides(sections), PARTS), np.int64)
    runs = np.zeros((4, _sides(sections), RUNS), np.int64)
    index, first, length = np.zeros(loops, np.int64), np.zeros(loops, np.int64), tile.copy()
    changed, seen = np.ones(4, np.bool_), np.zeros(4, np.int64)
    before = np.full((2, 2, 2), -1, np.int64)
    latest, gemm, fault = -1, -1, 0
    for t in range(tiles.prod()):
        following = _following(index, tiles, order)
        final = following < 0 or share.steps[ACC, following]
        seen += changed
        context = (seen - 1) % share.held
        base = context * share.volume
        base[ADDEND] = share.held[ACC] * share.volume[ACC]
        here = _Tile(
            length,
            _kind(length, tile),
            context,
            base,
            base[ADDEND] + share.volume[ADDEND],
            _volume(sections[ACC], length),
        )

        adds_residual = share.residual > 0 and changed[ACC]
        moves_out = final or adds_residual
        plans = _plans(sections, orders, first, length, boxes, runs, changed, moves_out)
        need = _instructions(plans)
        if need < 0:
            fault = need
            break
        need = 2 * need + (1 + len(epilogue)) * (1 + share.chunks)
        table = _grown(table, n, need + gemm_parts(sections, length, distance))

        # A load waits for the last tile that read what it overwrites. The load queue is in order,
        # so that a load which follows one that waited as long need not wait again.
        reader, row = _reader(before, share, changed, seen, t - 1, gemm)
        begin = n
        for s in range(2):
            n = _write_moves(table, n, Opcode.LOAD, sections[s], plans[s], runs[s], base[s])
        if n > begin:
            table[n - 1, Column.PUSH_NEXT] = 1
            if reader > latest:
                table[begin, Column.POP_NEXT] = table[row, Column.PUSH_PREV] = 1
        latest = max(latest, reader)
        n = _write_moves(table, n, Opcode.LOAD, sections[ADDEND], plans[3], runs[3], base[ADDEND])
        if adds_residual:
            n = _write_moves(table, n, Opcode.LOAD, residual, plans[2], runs[2], here.residual)

        # The reset writes accumulators that an earlier store may still be reading.
        if changed[ACC]:
            begin = n
            n = _write_reset(table, n, uops, share, here)
            table[begin, Column.POP_NEXT] = seen[ACC] > share.held[ACC]
        gemm = n
        if n > 0:
            n = _write_gemm(table, n, uops, sections, orders, here)
            table[gemm, Column.POP_PREV] = changed[INP] or changed[WGT]
            gemm = n - 1
        if n > 0 and final:
            n = _write_epilogue(table, n, epilogue, uops, sections, orders, share, here)
        if n < 0:
            fault = n
            break
        if final:
            table[n - 1, Column.PUSH_NEXT] = 1
            begin = n
            n = _write_moves(table, n, Opcode.STORE, sections[ACC], plans[2], runs[2], base[ACC])
            table[begin, Column.POP_PREV] = table[n - 1, Column.PUSH_PREV] = 1

        for s in range(4):
            changed[s] = following >= 0 and share.steps[s, following]
        _step(order, following, tile, extents, index, first, length)
    if fault:
        return fault, table[:0], uops.table[:0]
    return 0, _ended(table, n, uops, share.held[ACC]), uops.table[: _used(uops)]


@jit
def _following(index: Array, tiles: Array, order: Array) -> int:
    """The place in the order that steps to the next tile, -1 after the last."""
    place = len(order) - 1
    while place >= 0 and index[place] + 1 >= tiles[order[place]]:
        place -= 1
    return place


@jit
def _step(
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
def _kind(length: Array, tile: Array) -> int:
    """Which loops' ends cut a tile short, a bit each."""
    kind = 0
    for i in range(len(tile)):
        kind = 2 * kind + (length[i] < tile[i])
    return kind


@jit
def _ended(table: Array, n: int, uops: _Uops, stores: int) -> Array:
    """The program with its first and last rows: FINISH waits for the last stores."""
    table = _grown(table, n, stores + 1)
    for _ in range(stores):
        _begin(table, n, Opcode.LOAD)
        table[n, Column.MEMORY_TYPE], table[n, Column.POP_NEXT] = Memory.UOP, 1
        n += 1
    _begin(table, n, Opcode.FINISH)
    _begin(table, 0, Opcode.LOAD)
    table[0, Column.MEMORY_TYPE], table[0, Column.Y_SIZE] = Memory.UOP, 1
    table[0, Column.X_SIZE] = table[0, Column.X_STRIDE] = _used(uops)
    return table[: n + 1]


@jit
def _sides(sections: Sections) -> int:
    """Most coordinates that a tensor has."""
    sides = 1
    for s in range(4):
        sides = max(sides, len(sections[s].low))
    return sides


@jit
def _plans(
    sections: Sections,
    orders: tuple[Array, Array, Array, Array],
    first: Array,
    length: Array,
    boxes: Array,
    runs: Array,
    changed: NDArray[np.bool_],
    moves_out: bool,
) -> tuple[Pattern, Pattern, Pattern, Pattern]:
    """What a tile loads and, where outputs or their residuals are moved, how these lie in DRAM."""
    adds = sections[ADDEND].depth > 0 and changed[ADDEND] and changed[ACC]
    return (
        _plan(sections[INP], orders[INP], first, length, boxes[0], runs[0], changed[INP]),
        _plan(sections[WGT], orders[WGT], first, length, boxes[1], runs[1], changed[WGT]),
        _plan(sections[ACC], orders[ACC], first, length, boxes[2], runs[2], moves_out),
        _plan(sections[ADDEND], orders[ADDEND], first, length, boxes[3], runs[3], adds),
    )


@jit
def _instructions(plans: tuple[Pattern, Pattern, Pattern, Pattern]) -> int:
    """How many instructions plans have, or a `Fault`."""
    total = 0
    for s in range(4):
        if plans[s].instructions < 0:
            return plans[s].instructions
        total += plans[s].instructions
    return total


@jit
def _plan(
    section: Section,
    order: Array,
    first: Array,
    length: Array,
    box: Array,
    runs: Array,
    wanted: bool,
) -> Pattern:
    """The instructions that move a tile's box, none if it is not wanted."""
    if not wanted:
        return Pattern(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    if not _fill_box(section, first, length, box):
        return Pattern(Fault.ALL_PADDING.value, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return pattern(box, order, runs)
