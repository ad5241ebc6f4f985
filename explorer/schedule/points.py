"""Every point of a design's schedule space with a lower bound on its cycles, compiled.

A point is a tile extent for each outer loop, an order of the tile loops, and one or two contexts
for loads and for accumulators. The bound of a point adds up what its program cannot do at the same
time. All of it follows from how many entries each tile moves, which is exact, so that the bound
stays below the simulated cycles by little; the tests hold it against the simulator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.schedule.machine import HEAD, MOVED, MOVES, WEIGHTS, Machine, Tensors
from explorer.schedule.point_cycles import bound, loads_beside, work
from explorer.schedule.sections import changes
from explorer.schedule.tile_uses import Use, Uses, use_row
from simulator.jit import helper, jit
from simulator.occupancy import alu_cycles, gemm_cycles

Array = NDArray[np.int64]


@jit
def scan(
    m: Machine,
    tensors: Tensors,
    used: tuple[Uses, Uses, Uses],
    choices: Array,
    sizes: Array,
    orders: Array,
    digits: Array,
    bounds: Array,
    limit: int,
    slack: int,
) -> int:
    """The bounds of the points that are worth a look.

    Of all points and of a single one alike: a second door would compile all of this again.

    Args:
        m: the machine and the operator.
        tensors: on ports inp, wgt and acc.
        used: how they are used.
        choices: candidate tile extents of each loop, (loops, most), of which `sizes` are used.
        sizes: number of candidates of each loop.
        orders: orders of the tile loops, slowest first, (orders, loops).
        digits: the last tiling to look at, as the choice of each loop's tile; stepped back from.
        bounds: all -1, (tilings, orders, 2, 2), the last two load and acc contexts minus one, of
            the tilings up to that one, which count in mixed radix, the last loop fastest. What
            stays -1 is a point that does not fit, repeats another, or may be of no interest.
        limit: bounds from here on are of no interest.
        slack: nor are those that exceed the least by more than one part in `slack`; 0 for any.

    Returns:
        A limit below which no bound is left out.
    """
    tiles = np.zeros(len(sizes), np.int64)
    _set_tiles(m.extents, choices, digits, tiles)
    (inp, wgt, acc), cap = used, limit
    # Large tiles first: they tend to be the good ones, and then rule out the others.
    for tiling in range(len(bounds) - 1, -1, -1):
        inp_row, wgt_row, acc_row = 0, 0, 0
        for i in range(len(sizes)):
            inp_row += digits[i] * inp.step[i]
            wgt_row += digits[i] * wgt.step[i]
            acc_row += digits[i] * acc.step[i]
        fits = inp.values[inp_row, 0] <= tensors[0].depth
        fits = fits and wgt.values[wgt_row, 0] <= tensors[1].depth
        fits = fits and acc.values[acc_row, 0] <= tensors[2].depth
        if fits and _compute_floor(m, tiles) < cap:
            rows = (
                use_row(inp.values, inp_row),
                use_row(wgt.values, wgt_row),
                use_row(acc.values, acc_row),
            )
            for k in range(len(orders)):
                if k == 0 or not same_order(orders[0], orders[k], tiles):
                    order_bounds(m, tensors, used, rows, tiles, orders[k], bounds[tiling, k])
                    if slack > 0:
                        cap = _slackened(bounds[tiling, k], slack, cap)
        _step_back(m.extents, choices, sizes, digits, tiles)
    return int(cap)


@helper
def _set_tiles(extents: Array, choices: Array, digits: Array, tiles: Array) -> None:
    """Find out how many tiles the choice of each loop's tile makes."""
    for i in range(len(digits)):
        tiles[i] = (extents[i] + choices[i, digits[i]] - 1) // choices[i, digits[i]]


@helper
def _compute_floor(m: Machine, tiles: Array) -> int:
    """Cycles of the GEMMs, and overheads of the resets and ALU passes, of so many tiles.

    Each is below any bound of the tiling, and far cheaper: most tilings go no further.
    """
    count, finished = 1, 1
    for i in range(len(tiles)):
        count *= tiles[i]
        if m.outputs[i]:
            finished *= tiles[i]
    least = m.steps + m.further[1] + gemm_cycles(0) * (count + finished)
    immediates, pairs, _ = m.passes
    passes = immediates * alu_cycles(0, True) + pairs * alu_cycles(0, False)
    return int(least + passes * finished)


@helper
def _slackened(bounds: Array, slack: int, cap: int) -> int:
    """The cap, lowered to what exceeds the least of these bounds by one part in `slack`."""
    for loads in range(2):
        for accs in range(2):
            least = bounds[loads, accs]
            if least >= 0:
                cap = min(cap, least + least // slack)
    return cap


@helper
def _step_back(extents: Array, choices: Array, sizes: Array, digits: Array, tiles: Array) -> None:
    """Go to the tiling before: the choice of each loop's tile, and how many tiles that makes."""
    for i in range(len(sizes) - 1, -1, -1):
        digits[i] = digits[i] - 1 if digits[i] > 0 else sizes[i] - 1
        tiles[i] = (extents[i] + choices[i, digits[i]] - 1) // choices[i, digits[i]]
        if digits[i] < sizes[i] - 1:
            break


@helper
def same_order(one: Array, other: Array, tiles: Array) -> bool:
    """Whether two orders agree on the loops that have several tiles.

    A loop of one tile never steps: where it stands makes no difference to the program.
    """
    place = 0
    for i in one:
        if tiles[i] > 1:
            while tiles[other[place]] <= 1:
                place += 1
            if other[place] != i:
                return False
            place += 1
    return True


@helper
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
    count, finished, spread_events = 1, 1, 0
    for i in order:
        count *= tiles[i]
        if m.outputs[i]:
            finished *= tiles[i]
    for vector in range(m.spread):
        spread_events += changes(m.beside[vector, MOVED], tiles, order)
    products = len(m.beside) > m.spread
    events = (
        changes(used[0].moved, tiles, order),
        changes(used[1].moved, tiles, order),
        spread_events,
    )
    beside = loads_beside(m, tiles, order) if products else (0, 0, 0)
    part = work(m, tensors, rows, events, beside, tiles)
    # A second context is of use only to a tensor that has a second tile; the point would repeat.
    for loads in range(1, 3 if max(events[0], events[1]) > 1 else 2):
        inp = rows[0].volume * min(loads, events[0])
        wgt = rows[1].volume * min(loads, events[1])
        for accs in range(1, 3 if finished > 1 else 2):
            held = held_beside(m, tiles, order, accs) if products else (0, 0)
            if inp + held[0] + m.terms * accs * rows[2].volume > tensors[0].depth:
                continue
            if wgt + held[1] > tensors[1].depth:
                continue
            if rows[2].volume * (accs + m.dense + m.scratch) <= tensors[2].depth:
                bounds[loads - 1, accs - 1] = bound(part, events, count, loads, accs)


@helper
def held_beside(m: Machine, tiles: Array, order: Array, accs: int) -> tuple[int, int]:
    """Entries of the scratchpads of inp and wgt that products beside the first term take."""
    inp, wgt = 0, 0
    for s in range(m.spread, len(m.beside)):
        entries = min(accs, changes(m.beside[s, MOVED], tiles, order))
        for j in range(MOVES, m.beside.shape[1]):
            box = 1
            for i in range(len(tiles)):
                # Tiles are the least that make so many of them.
                tile = (m.extents[i] + tiles[i] - 1) // tiles[i]
                box += m.beside[s, j, i] * (tile - 1)
            entries *= box
        if m.beside[s, HEAD, WEIGHTS]:
            wgt += entries
        else:
            inp += entries
    return inp, wgt


@jit
def contexts_met(
    used: tuple[Uses, Uses, Uses], tiles: Array, order: Array, loads: int, accs: int
) -> int:
    """How many combinations of scratchpad contexts the tiles meet: each has its own micro-ops."""
    loops = len(order)
    # Contexts alternate, so that which one a tensor is in is the parity of its changes so far; the
    # walk over the tiles ends as soon as all combinations that there can be have been met.
    # What changes when the loop at a place steps, and with it all inner ones start again.
    changed = np.zeros((3, loops), np.int64)
    for place in range(loops - 1, -1, -1):
        i = order[place]
        for port in range(3):
            moved = tiles[i] > 1 and used[port].moved[i]
            still = place == loops - 1 or changed[port, place + 1] == 0
            changed[port, place] = 1 if moved or not still else 0
    met = np.zeros(8, np.int64)
    index = np.zeros(loops, np.int64)
    found, a, b, c = 0, 0, 0, 0
    most = accs
    for port in range(2):
        most *= min(loads, changes(used[port].moved, tiles, order))
    while True:
        if met[4 * a + 2 * b + c] == 0:
            met[4 * a + 2 * b + c] = 1
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
