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

from explorer.layout.design import Design
from explorer.schedule.bound import lower_bound
from explorer.schedule.dma import Infeasible, can_write
from explorer.schedule.lowering import Code, Lowering
from explorer.schedule.machine import machine, operand
from explorer.schedule.points import contexts_met, scan
from explorer.schedule.space import Schedule, coefficients, output_loops
from explorer.schedule.tile_uses import uses
from isa.fields import Memory
from simulator.timing import TimingReport, cycles, simulate

MAX_TILINGS = 20_000
MAX_KNOWN = 4096  # outcomes that are kept
UNLIMITED = np.iinfo(np.int64).max
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


def tiles_of(design: Design, limit: int = MAX_TILINGS) -> list[list[int]]:
    """The tile extents of each outer loop; a further term's reductions are in each tile whole."""
    first, loops = design.own_loops[0], design.nest.outer
    extents = [loop.extent if tiled else 1 for loop, tiled in zip(loops, first, strict=True)]
    found = candidates(extents, limit)
    return [
        tiles if tiled else [loop.extent]
        for tiles, loop, tiled in zip(found, loops, first, strict=True)
    ]


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


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a design's space is.

    Attributes:
        tilings: combinations of tile extents.
        all_tilings: those there would be without the limit on their number.
        orders: of the tile loops.
    """

    tilings: int
    all_tilings: int
    orders: int

    @property
    def points(self) -> int:
        """Schedules: one or two contexts for loads and for accumulators each."""
        return self.tilings * self.orders * 4


def extent(design: Design) -> Extent:
    """The size of the space that `search` looks through."""
    tilings, whole = (
        math.prod(map(len, tiles_of(design, limit))) for limit in (MAX_TILINGS, UNLIMITED)
    )
    return Extent(tilings, whole, len(orders(design)))


def search(design: Design, *, effort: int | None = None, below: float = math.inf) -> Search:
    """Look for the schedule with the least simulated cycles.

    Args:
        design: what to schedule.
        effort: how many programs to simulate at most; None for no limit, which proves the optimum.
        below: cycles to undercut; points that cannot are not looked at.
    """
    cheap = lower_bound(design)
    if cheap >= below:
        return Search(None, cheap, True, 0)
    if not _borders_fit(design):
        return Search(None, None, True, 0)
    lowering = Lowering(design)
    key = (design.config, design.restrictions, design.fixed_order, lowering.signature)
    known = _KNOWN.get(key)
    if known is None or not known.answers(effort, below):
        if len(_KNOWN) == MAX_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[key] = _outcome(_Space(lowering), effort, below)
    best = None
    if known.schedule is not None and known.timing is not None and known.timing.cycles < below:
        best = Scheduled(lowering.code(known.schedule), known.timing)
    least = None if known.least is None else min(known.least, below)
    return Search(best, None if least is None else int(least), known.proven, known.simulated)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a search found, without the program; see `Search`.

    Attributes:
        effort, below: what was asked.
        schedule, timing: the best one with its timing; None if there is none.
        least: cycles that no point undercuts; None if no point fits.
    """

    effort: int | None
    below: float
    schedule: Schedule | None
    timing: TimingReport | None
    least: float | None
    proven: bool
    simulated: int

    def answers(self, effort: int | None, below: float) -> bool:
        """Whether a search that asks this would find the same."""
        if (self.effort, self.below) == (effort, below) or self.least is None:
            return True
        return self.effort is effort is None and (self.schedule is not None or below <= self.below)


_KNOWN: dict[tuple[object, ...], _Outcome] = {}
"""Outcomes by what they depend on; embeddings that differ in their lanes alone share theirs."""


def _outcome(space: _Space, effort: int | None, below: float) -> _Outcome:
    asked = below
    if not space.fits:
        return _Outcome(effort, asked, None, None, None, True, 0)
    best: tuple[Schedule, Array] | None = None
    least, simulated, proven = below, 0, True
    for bound, schedule in space.points(below):
        least = min(least, bound)
        if bound >= below:
            break
        if simulated == effort:
            proven = False
            break
        try:
            table, _ = space.lowering.instructions(schedule)
        except Infeasible:
            continue
        found = cycles(space.design.config, table)
        simulated += 1
        if found < below:
            best, below = (schedule, table), found
    known = None if math.isinf(least) else least
    if best is None:
        return _Outcome(effort, asked, None, None, known, proven, simulated)
    timing = simulate(space.design.config, best[1])
    return _Outcome(effort, asked, best[0], timing, known, proven, simulated)


def points(design: Design) -> Iterator[tuple[int, Schedule]]:
    """The points of the space that fit, by their lower bounds."""
    return _Space(Lowering(design)).points() if _borders_fit(design) else iter(())


def _borders_fit(design: Design) -> bool:
    """Whether the borders that are left to the DMA engine can be written; if not, nothing fits.

    Of each input the first box begins, and the last one ends, at the end of every coordinate,
    whatever the tiles: there the border is as wide, and along as many of them, as it can be.
    """
    inputs = [design.inp, *(inp for inp, _ in design.further)]
    return all(
        can_write([c.low for c in layout.coordinates])
        and can_write([c.extent - c.high for c in layout.coordinates])
        for layout in inputs
    )


def rehearse(design: Design) -> None:
    """Bound a design's points roughly, for nothing but to have that compiled."""
    space = _Space(Lowering(design))
    _, index = next(space.rough())
    _, tile, *rest = space.point(index)
    space.copies(np.array(tile, np.int64), *rest)


class _Space:
    """A design's points: rough bounds of all, and a closer one where it is asked for.

    A point is known by its index into the array of all bounds, which is flat.
    """

    def __init__(self, lowering: Lowering) -> None:
        self.lowering, design = lowering, lowering.design
        self.design = design
        self.machine = machine(design)
        self.tensors = (
            operand(design, design.inp, Memory.INP),
            operand(design, design.wgt, Memory.WGT),
            operand(design, design.acc, Memory.OUT),
        )
        choices = tiles_of(design)
        self.sizes = np.array([len(c) for c in choices], np.int64)
        self.choices = np.zeros((len(choices), max(map(len, choices), default=1)), np.int64)
        for i, tiles in enumerate(choices):
            self.choices[i, : len(tiles)] = tiles
        loop_orders = orders(design)
        self.orders = np.array(loop_orders, np.int64).reshape(len(loop_orders), len(choices))
        inp, wgt, acc = (
            uses(t, self.machine.extents, self.choices, self.sizes) for t in self.tensors
        )
        self.uses = inp, wgt, acc
        uop, bus = design.config.element_bytes(Memory.UOP), design.config.timing.bus_bytes
        self.uop_bytes, self.bus_bytes = uop, bus
        self.tilings = choices

    @property
    def fits(self) -> bool:
        """Whether tiles of one iteration fit; if not, none do."""
        return all(u.values[0, 0] <= t.depth for u, t in zip(self.uses, self.tensors, strict=True))

    def points(self, limit: float = math.inf) -> Iterator[tuple[int, Schedule]]:
        """The points that may stay below a limit, by their lower bounds."""
        waiting: list[tuple[int, int, int]] = []
        cap = UNLIMITED if math.isinf(limit) else int(limit)
        for count, (rough, index) in enumerate(self.rough(cap)):
            while waiting and waiting[0][0] <= rough:
                bound, _, ready = heapq.heappop(waiting)
                yield bound, self.schedule(ready)
            try:
                heapq.heappush(waiting, (self.bound(index), count, index))
            except Infeasible:
                continue
        for bound, _, index in sorted(waiting):
            yield bound, self.schedule(index)

    def rough(self, limit: int = UNLIMITED) -> Iterator[tuple[int, int]]:
        """Bounds below a limit that leave out the loading of micro-ops, the least first."""
        seen = -1
        for slack in (256, 16, 0):
            found = np.full((math.prod(self.sizes.tolist()), len(self.orders), 2, 2), -1, np.int64)
            horizon = scan(
                self.machine,
                self.tensors,
                self.uses,
                self.choices,
                self.sizes,
                self.orders,
                self.sizes - 1,
                found,
                limit,
                slack,
            )
            bounds = found.reshape(-1)
            for index in _ascending(bounds, seen, horizon):
                yield int(bounds[index]), index
            if horizon == limit:
                return
            seen = horizon

    def point(self, index: int) -> tuple[list[int], list[int], int, int, int]:
        """Digits and tiles of the loops, the number of their order, and the contexts."""
        index, accs = divmod(index, 2)
        index, loads = divmod(index, 2)
        index, order = divmod(index, len(self.orders))
        digits, tile = [0] * len(self.tilings), [0] * len(self.tilings)
        for loop in range(len(self.tilings) - 1, -1, -1):
            tiles = self.tilings[loop]
            index, digits[loop] = divmod(index, len(tiles))
            tile[loop] = tiles[digits[loop]]
        return digits, tile, order, loads + 1, accs + 1

    def schedule(self, index: int) -> Schedule:
        """The point itself."""
        _, tile, order, loads, accs = self.point(index)
        return Schedule(tuple(tile), tuple(self.orders[order].tolist()), loads, accs)

    def copies(self, tile: Array, order: int, loads: int, accs: int) -> int:
        """How many combinations of scratchpad contexts its tiles meet."""
        tiles = -(-self.machine.extents // tile)
        return contexts_met(self.uses, tiles, self.orders[order], loads, accs)

    def bound(self, index: int) -> int:
        """The bound with the micro-ops of the whole tiles' GEMMs, which edge tiles only add to."""
        digits, lengths, order, loads, accs = self.point(index)
        tile = np.array(lengths, np.int64)
        uops = self.lowering.kernel_size(tile) * self.copies(tile, order, loads, accs)
        loaded = self.machine._replace(uop_beats=-(-uops * self.uop_bytes // self.bus_bytes))
        bounds = np.full((1, 1, 2, 2), -1, np.int64)
        scan(
            loaded,
            self.tensors,
            self.uses,
            self.choices,
            self.sizes,
            self.orders[order : order + 1],
            np.array(digits, np.int64),
            bounds,
            UNLIMITED,
            0,
        )
        return int(bounds[0, 0, loads - 1, accs - 1])


def _ascending(bounds: Array, first: int, end: int) -> Iterator[int]:
    """Indices of the bounds from `first` to below `end`, in order; sorted in growing portions."""
    left = np.flatnonzero((bounds >= max(first, 0)) & (bounds < end))
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
