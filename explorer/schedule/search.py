"""The search for a design's best schedule: bounds of all points, then simulation, best bound first.

The space: each outer loop's tile is the least that gives its number of tiles (`candidates` thins
long loops where the number of tilings would exceed `MAX_TILINGS`); the tile loops run in the two
orders that reuse inp or wgt best; loads and accumulators have one or two contexts each. The points
are lowered and simulated in the order of their lower bounds until no bound is below the cycles
found, or `effort` programs have been simulated.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.codegen import Code, kernel_size, lower
from explorer.design import Design
from explorer.schedule.dma import Infeasible
from explorer.schedule.points import contexts_met, machine, operand, point_bound, scan
from explorer.schedule.space import Schedule, coefficients, output_loops
from isa.fields import Memory
from simulator.timing import TimingReport, load_lead, simulate

MAX_TILINGS = 20_000
Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule's program and what the timing simulator says of it."""

    code: Code
    timing: TimingReport

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return self.timing.cycles


@dataclass(frozen=True, slots=True)
class Search:
    """What the search of a design's space found.

    Attributes:
        best: the program with the least simulated cycles; None if nothing fits, or none of what was
            simulated undercuts the limit.
        bound: cycles that no point of the space undercuts; None if no point fits.
        proven: whether no point that was not simulated can be better.
        simulated: programs simulated.
    """

    best: Scheduled | None
    bound: int | None
    proven: bool
    simulated: int


def candidates(extents: Sequence[int], limit: int = MAX_TILINGS) -> list[list[int]]:
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
    moves_inp: NDArray[np.bool_] = np.any(coefficients(design, design.inp), axis=0)
    moves_wgt: NDArray[np.bool_] = np.any(coefficients(design, design.wgt), axis=0)
    both = [i for i in outputs if moves_inp[i] and moves_wgt[i]]
    only_inp = [i for i in outputs if moves_inp[i] and not moves_wgt[i]]
    only_wgt = [i for i in outputs if i not in both and i not in only_inp]
    rest = [i for i in range(len(design.nest.outer)) if i not in outputs]
    found = [(*both, *only_wgt, *only_inp, *rest), (*both, *only_inp, *only_wgt, *rest)]
    return list(dict.fromkeys(found))


def search(design: Design, *, effort: int | None = None, below: float = math.inf) -> Search:
    """Look for the schedule with the least simulated cycles.

    Args:
        design: what to schedule.
        effort: how many programs to simulate at most; None for no limit, which proves the optimum.
        below: cycles to undercut; points that cannot are not looked at.
    """
    best: Scheduled | None = None
    least: int | None = None
    simulated = 0
    for bound, schedule in points(design):
        least = bound if least is None else least
        if bound >= below:
            break
        if simulated == effort:
            return Search(best, least, False, simulated)
        try:
            code = lower(design, schedule)
        except Infeasible:
            continue
        timing = simulate(design.config, code.table)
        simulated += 1
        if timing.cycles < below:
            best, below = Scheduled(code, timing), timing.cycles
    return Search(best, least, True, simulated)


def points(design: Design) -> Iterator[tuple[int, Schedule]]:
    """The points of the space with their lower bounds, the least first."""
    space = _Space(design)
    waiting: list[tuple[int, int, Schedule]] = []
    for count, (rough, schedule) in enumerate(space.rough()):
        while waiting and waiting[0][0] <= rough:
            bound, _, ready = heapq.heappop(waiting)
            yield bound, ready
        try:
            heapq.heappush(waiting, (space.bound(schedule), count, schedule))
        except Infeasible:
            continue
    for bound, _, schedule in sorted(waiting):
        yield bound, schedule


class _Space:
    """A design's points: rough bounds of all, and a closer one where it is asked for."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.machine = machine(design)
        self.operands = (
            operand(design, design.inp, Memory.INP),
            operand(design, design.wgt, Memory.WGT),
            operand(design, design.acc, Memory.OUT),
        )

    def rough(self) -> Iterator[tuple[int, Schedule]]:
        """Bounds that leave out the loading of micro-ops, the least first."""
        choices = candidates([loop.extent for loop in self.design.nest.outer])
        loop_orders = orders(self.design)
        table = np.zeros((len(choices), max(map(len, choices), default=1)), np.int64)
        for i, tiles in enumerate(choices):
            table[i, : len(tiles)] = tiles
        sizes = np.array([len(c) for c in choices], np.int64)
        order_table = np.array(loop_orders, np.int64).reshape(len(loop_orders), len(choices))
        bounds = scan(self.machine, *self.operands, table, sizes, order_table)
        flat = bounds.reshape(-1)
        for index in _ascending(flat):
            tiling, order, loads, accs = np.unravel_index(index, bounds.shape)
            digits = np.unravel_index(tiling, sizes) if len(sizes) else ()
            tile = tuple(choices[i][d] for i, d in enumerate(digits))
            schedule = Schedule(tile, loop_orders[order], int(loads) + 1, int(accs) + 1)
            yield int(flat[index]), schedule

    def bound(self, schedule: Schedule) -> int:
        """The bound with the micro-ops of the whole tiles' GEMMs, which edge tiles only add to."""
        tile, order = np.array(schedule.tile, np.int64), np.array(schedule.order, np.int64)
        contexts = (schedule.load_contexts, schedule.acc_contexts)
        tiles = -(-self.machine.extents // tile)
        copies = contexts_met(self.machine, *self.operands, tiles, order, *contexts)
        uops = kernel_size(self.design, schedule) * copies
        size, timing = self.design.config.element_bytes(Memory.UOP), self.design.config.timing
        lead = load_lead(0, size, timing.bus_bytes, timing.memory_latency)
        beats = -(-uops * size // timing.bus_bytes)
        loaded = self.machine._replace(uop_lead=lead + beats)
        return int(point_bound(loaded, *self.operands, tile, order, *contexts))


def _ascending(bounds: Array) -> Iterator[int]:
    """Indices of the bounds that are not negative, in order; sorted in growing portions."""
    left = np.flatnonzero(bounds >= 0)
    portion = 64
    while len(left):
        if portion < len(left):
            split = np.argpartition(bounds[left], portion)
            # Equal bounds keep their order whatever the partition did with them.
            limit = bounds[left[split[portion]]]
            near = left[bounds[left] <= limit]
        else:
            near = left
        yield from near[np.argsort(bounds[near], kind="stable")].tolist()
        left = left[bounds[left] > bounds[near].max()]
        portion *= 8
