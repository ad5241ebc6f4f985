"""The search for a design's best schedule: a compiled estimate of every point, then simulation.

The space: each outer loop's tile is the least that gives its number of tiles (`candidates` thins
long loops to a geometric series where their product would exceed `MAX_POINTS`); output tile loops
in the two orders that reuse inp or wgt best; one or two contexts for loads and for accumulators.
The estimate orders the points; the best few are lowered and simulated, and the least cycles win.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.codegen import Code, alu_passes, lower
from explorer.design import Design
from explorer.layout import Layout
from explorer.schedule.dma import Infeasible
from explorer.schedule.space import Schedule, coefficients, output_loops
from simulator.jit import jit
from simulator.timing import TimingReport, simulate

MAX_POINTS = 20_000
FINALISTS = 4
KEPT = 32
Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A design's best schedule found: its program and what the timing simulator says of it."""

    code: Code
    timing: TimingReport

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return self.timing.cycles


def candidates(extents: Sequence[int], limit: int = MAX_POINTS) -> list[list[int]]:
    """Tile extents worth trying for each loop: the least for each number of tiles.

    While the product of their numbers exceeds the limit, the loop with the most is thinned.
    """
    choices = [sorted({-(-n // -(-n // t)) for t in range(1, n + 1)}) for n in extents]
    while math.prod(map(len, choices)) > limit:
        longest = max(range(len(choices)), key=lambda i: len(choices[i]))
        choices[longest] = _thinned(choices[longest])
    return choices


def _thinned(tiles: list[int]) -> list[int]:
    """About three quarters of the tiles; both ends stay, close neighbours go first."""
    keep = max(2, len(tiles) * 3 // 4)
    ratios = sorted(range(1, len(tiles) - 1), key=lambda i: tiles[i + 1] / tiles[i - 1])
    dropped: set[int] = set()
    for i in ratios:
        if len(tiles) - len(dropped) <= keep:
            break
        if i - 1 not in dropped and i + 1 not in dropped:
            dropped.add(i)
    return [t for i, t in enumerate(tiles) if i not in dropped]


def orders(design: Design) -> list[tuple[int, ...]]:
    """Tile-loop orders, slowest first: wgt stays while inp changes, or inp stays while wgt does."""
    outputs = output_loops(design)
    moves_inp = coefficients(design, design.inp).any(axis=0)
    moves_wgt = coefficients(design, design.wgt).any(axis=0)
    both = [i for i in outputs if moves_inp[i] and moves_wgt[i]]
    only_inp = [i for i in outputs if moves_inp[i] and not moves_wgt[i]]
    only_wgt = [i for i in outputs if i not in both and i not in only_inp]
    rest = [i for i in range(len(design.nest.outer)) if i not in outputs]
    found = [(*both, *only_wgt, *only_inp, *rest), (*both, *only_inp, *only_wgt, *rest)]
    return list(dict.fromkeys(found))


def best_schedule(design: Design, finalists: int = FINALISTS) -> Scheduled | None:
    """The least simulated cycles among the schedules best by estimate; None if none fits."""
    best: Scheduled | None = None
    tried = 0
    for schedule in promising(design):
        try:
            code = lower(design, schedule)
        except Infeasible:
            continue
        timing = simulate(design.config, code.table)
        if best is None or timing.cycles < best.cycles:
            best = Scheduled(code, timing)
        tried += 1
        if tried == finalists:
            break
    return best


def promising(design: Design) -> list[Schedule]:
    """The best schedules by estimate, best first."""
    extents = [loop.extent for loop in design.nest.outer]
    choices = candidates(extents)
    loop_orders = orders(design)
    width = max((len(c) for c in choices), default=1)
    table = np.zeros((len(extents), width), np.int64)
    for i, tiles in enumerate(choices):
        table[i, : len(tiles)] = tiles
    costs, picks = _scan(
        np.array(extents, np.int64),
        table,
        np.array([len(c) for c in choices], np.int64),
        np.array(loop_orders, np.int64).reshape(len(loop_orders), len(extents)),
        *_tensor(design, design.inp),
        *_tensor(design, design.wgt),
        *_tensor(design, design.acc),
        _machine(design),
    )
    found = []
    for cost, pick in zip(costs, picks, strict=True):
        if np.isfinite(cost):
            *tile, order, loads, accs = pick.tolist()
            found.append(Schedule(tuple(tile), loop_orders[order], loads, accs))
    return found


def _tensor(design: Design, layout: Layout) -> tuple[Array, Array]:
    """Coefficients (coordinates, loops), and extent and stored extent (coordinates, 2)."""
    spans = [[c.extent, c.stored] for c in layout.coordinates]
    return coefficients(design, layout), np.array(spans, np.int64).reshape(-1, 2)


def _machine(design: Design) -> Array:
    """The numbers of the configuration and epilogue that the estimate uses, by `_M` position."""
    config, timing = design.config, design.config.timing
    bus = timing.bus_bytes
    beats = [max(1, n // bus) for n in (config.inp_bytes, config.wgt_bytes, config.out_bytes)]
    passes = len(alu_passes(design.operator.epilogue)) + (2 if design.bias else 0)
    return np.array(
        [
            config.inp_depth,
            config.wgt_depth,
            config.acc_depth,
            config.uop_depth,
            *beats,
            max(1, timing.burst_beats // beats[2]),
            3 + timing.memory_latency,
            passes,
            len(alu_passes(design.operator.epilogue)) + (1 if design.bias else 0),
        ],
        np.int64,
    )


@jit
def _instructions(box: Array, spans: Array) -> int:
    """About how many DMA instructions move a box: partial sides beyond two multiply."""
    whole = 1
    sides = np.ones(box.shape[0] + 1, np.int64)
    count = 0
    plain = 0
    for j in range(box.shape[0]):
        if spans[j, 0] != spans[j, 1]:
            if box[j] > 1:
                sides[count] = box[j]
                count += 1
        elif box[j] >= spans[j, 0]:
            whole *= box[j]
        elif box[j] > 1:
            sides[count] = box[j]
            count += 1
            plain += 1
    if whole > 1 and plain == 0:
        sides[count] = whole
        count += 1
    ordered = np.sort(sides[:count])
    result = 1
    for j in range(count - 2):
        result *= ordered[j]
    return result


@jit
def _traffic(
    coef: Array, spans: Array, extents: Array, tile: Array, tiles: Array, box: Array
) -> float:
    """Entries loaded if every combination of its own tiles is loaded once; fills `box`."""
    total = 1.0
    for j in range(coef.shape[0]):
        box[j] = 1
        repeats = 1.0
        for i in range(coef.shape[1]):
            if coef[j, i] > 0:
                box[j] += coef[j, i] * (tile[i] - 1)
                repeats *= tiles[i]
        length = repeats
        for i in range(coef.shape[1]):
            if coef[j, i] > 0:
                length += coef[j, i] * (extents[i] - tiles[i]) * (repeats / tiles[i])
        total *= length * spans[j, 1] / spans[j, 0]
    return total


@jit
def _repeats(coef: Array, tiles: Array, order: Array) -> tuple[float, float]:
    """How often the tensor's tile changes, and how often each of its own tiles is loaded."""
    events, again, outside = 1.0, 1.0, 1.0
    for i in order:
        outside *= tiles[i]
        moves = False
        for j in range(coef.shape[0]):
            moves = moves or coef[j, i] > 0
        if moves and tiles[i] > 1:
            events = outside
    own = 1.0
    for i in order:
        for j in range(coef.shape[0]):
            if coef[j, i] > 0:
                own *= tiles[i]
                break
    again = events / own
    return events, again


@jit
def _volume(box: Array) -> int:
    volume = 1
    for n in box:
        volume *= n
    return volume


@jit
def _scan(
    extents: Array,
    choices: Array,
    counts: Array,
    orders: Array,
    inp: Array,
    inp_spans: Array,
    wgt: Array,
    wgt_spans: Array,
    acc: Array,
    acc_spans: Array,
    machine: Array,
) -> tuple[NDArray[np.float64], Array]:
    """Estimated cycles and (tile…, order, load contexts, acc contexts) of the best points."""
    loops = extents.shape[0]
    best = np.full(KEPT, np.inf)
    picks = np.zeros((KEPT, loops + 3), np.int64)
    digit = np.zeros(loops, np.int64)
    tile = np.ones(loops, np.int64)
    tiles = np.ones(loops, np.int64)
    inp_box = np.ones(inp.shape[0], np.int64)
    wgt_box = np.ones(wgt.shape[0], np.int64)
    acc_box = np.ones(acc.shape[0], np.int64)
    inp_depth, wgt_depth, acc_depth, uop_depth = machine[0], machine[1], machine[2], machine[3]
    inp_beats, wgt_beats, out_beats, burst = machine[4], machine[5], machine[6], machine[7]
    fixed, passes, alu_count = machine[8], machine[9], machine[10]
    steps = 1.0
    for i in range(loops):
        steps *= extents[i]
    while True:
        for i in range(loops):
            tile[i] = choices[i, digit[i]]
            tiles[i] = (extents[i] + tile[i] - 1) // tile[i]
        inp_once = _traffic(inp, inp_spans, extents, tile, tiles, inp_box)
        wgt_once = _traffic(wgt, wgt_spans, extents, tile, tiles, wgt_box)
        outputs = _traffic(acc, acc_spans, extents, tile, tiles, acc_box)
        inp_size, wgt_size, acc_size = _volume(inp_box), _volume(wgt_box), _volume(acc_box)
        if inp_size <= inp_depth and wgt_size <= wgt_depth and acc_size <= acc_depth:
            inp_moves = _instructions(inp_box, inp_spans)
            wgt_moves = _instructions(wgt_box, wgt_spans)
            acc_moves = _instructions(acc_box, acc_spans)
            ordered = np.sort(tile)
            kernel = 1.0
            for i in range(loops - 2):
                kernel *= ordered[i]
            count = 1.0
            for i in range(loops):
                count *= tiles[i]
            stored = _repeats(acc, tiles, orders[0])[0]
            for order in range(orders.shape[0]):
                inp_events, inp_again = _repeats(inp, tiles, orders[order])
                wgt_events, wgt_again = _repeats(wgt, tiles, orders[order])
                moved = inp_once * inp_again * inp_beats + wgt_once * wgt_again * wgt_beats
                instructions = inp_events * inp_moves + wgt_events * wgt_moves + count
                instructions += stored * (1 + alu_count + acc_moves)
                load = (inp_events * inp_moves + wgt_events * wgt_moves) * fixed + moved
                store = outputs * (out_beats + 1 + 3.0 / burst) + stored * acc_moves
                for loads in range(1, 3):
                    if inp_size * min(loads, inp_events) > inp_depth:
                        continue
                    if wgt_size * min(loads, wgt_events) > wgt_depth:
                        continue
                    for accs in range(1, 3):
                        if acc_size * min(accs, stored) > acc_depth:
                            continue
                        copies = min(loads, inp_events) * min(loads, wgt_events)
                        copies *= min(accs, stored)
                        if kernel > uop_depth:
                            continue
                        uops = min(kernel * copies, uop_depth)
                        compute = steps + 7 * count + outputs * (1 + passes)
                        compute += stored * 7 * (1 + alu_count) + fixed + uops / 2
                        begin = moved / max(1.0, max(inp_events, wgt_events)) + 2 * fixed
                        end = (outputs * (passes + out_beats + 1)) / stored
                        if loads == 1 and max(inp_events, wgt_events) > 1:
                            busy = load + compute
                        else:
                            busy = max(load, compute)
                        if accs == 1 and stored > 1:
                            busy += store
                        busy = max(max(busy, store), moved + 2 * instructions + uops / 2)
                        busy = max(busy, 5.6 * instructions)
                        cost = busy + begin + end
                        if cost < best[KEPT - 1]:
                            place = KEPT - 1
                            while place > 0 and best[place - 1] > cost:
                                best[place] = best[place - 1]
                                picks[place] = picks[place - 1]
                                place -= 1
                            best[place] = cost
                            picks[place, :loops] = tile
                            picks[place, loops] = order
                            picks[place, loops + 1] = loads
                            picks[place, loops + 2] = accs
        place = loops - 1
        while place >= 0:
            digit[place] += 1
            if digit[place] < counts[place]:
                break
            digit[place] = 0
            place -= 1
        if place < 0:
            return best, picks
