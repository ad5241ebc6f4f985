"""The schedule search: bounds below every simulation, and its optimum the space's optimum."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.facts import CLASSES
from explorer.layout.design import Design, designs
from explorer.operators.kinds import construct
from explorer.ranking.explore import embeddings, gemm_intrinsic
from explorer.schedule.bound import lower_bound
from explorer.schedule.dma import Infeasible
from explorer.schedule.lowering import Lowering
from explorer.schedule.search import candidates, orders, points, search
from explorer.schedule.space import Schedule
from isa.computation import Operator
from isa.config import Config, Timing, fetch_batch
from simulator.timing import cycles
from tests import seeded
from tests.strategies import configs, operators, restrictions, stepped


def _design(data: st.DataObject, operator: Operator, config: Config) -> Design:
    embedding = data.draw(st.sampled_from(embeddings(operator, config, tuple(CLASSES))))
    intrinsic = gemm_intrinsic(config)
    return data.draw(st.sampled_from(list(designs(operator, config, intrinsic, embedding))))


def check_whole_space(design: Design) -> None:
    """Simulate every schedule: no bound exceeds its cycles, and the search finds the least."""
    cheap, best, lowering = lower_bound(design), math.inf, Lowering(design)
    for bound, schedule in points(design):
        try:
            table, _ = lowering.instructions(schedule)
        except Infeasible:
            continue
        found = cycles(design.config, table)
        assert cheap <= found, schedule
        assert bound <= found, schedule
        best = min(best, found)
    proof = search(design, effort=None)
    assert proof.proven
    assert (proof.best.cycles if proof.best else math.inf) == best


def _fits(design: Design) -> bool:
    """Whether some schedule has a program, by trying to write all of them."""
    lowering = Lowering(design)
    tilings = product(*candidates([loop.extent for loop in design.nest.outer]))
    for tile, order, loads, accs in product(tilings, orders(design), (1, 2), (1, 2)):
        try:
            lowering.instructions(Schedule(tile, order, loads, accs))
        except Infeasible:
            continue
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "sizes", "expected"),
    [
        ("conv3d", {"d": 2, "h": 2, "w": 2, "t": 3, "r": 3, "s": 3, "pad": 1}, {False, True}),
        ("conv3d", {"d": 2, "h": 2, "w": 2, "t": 1, "r": 3, "s": 3, "pad": (0, 1, 1)}, {True}),
        ("conv1d", {"w": 1, "s": 31, "pad": 15}, {True}),
        ("conv1d", {"w": 1, "s": 33, "pad": 16}, {False, True}),
        ("conv1d", {"w": 2, "s": 3, "pad": (0, 16)}, {False, True}),
    ],
)
def test_nothing_is_searched_exactly_where_a_border_cannot_be_written(
    kind: str, sizes: dict[str, int | tuple[int, ...]], expected: set[bool]
) -> None:
    """Where the search sees no point no schedule has a program: three borders, or one too wide."""
    config = Config.default()
    operator = construct("layer", kind, {"n": 1, "c": 16, "k": 16, **sizes})
    found = set()
    for embedding in embeddings(operator, config, ()):
        for design in designs(operator, config, gemm_intrinsic(config), embedding):
            fits = _fits(design)
            assert any(points(design)) == fits
            assert search(design, effort=1).bound is None or fits
            found.add(fits)
    assert found == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_bounds_hold_and_the_search_finds_the_optimum(seed: int) -> None:
    """Simulating the whole space gives the search's cycles; no bound exceeds a simulation."""

    def check(operator: Operator, config: Config, data: st.DataObject) -> None:
        design = _design(data, operator, config)
        check_whole_space(replace(design, restrictions=data.draw(restrictions())))

    seeded.run(check, seed, 100, operators(5, epilogues=True), configs(), st.data())


@settings(max_examples=100)
@given(stepped(4), configs(), st.data())
def test_bounds_hold_with_steps_of_every_sort(
    operator: Operator, config: Config, data: st.DataObject
) -> None:
    """The same with roundings, tensors of amounts, limits and scratch vectors."""
    check_whole_space(_design(data, operator, config))


@st.composite
def busy(draw: st.DrawFn) -> tuple[Operator, Config]:
    """A layer with a residual, a bias or both on a machine whose clients get in each other's way.

    Scratchpads hold a few entries, so that loads are many and short; buses have every width, and
    bursts and batches of instructions are short enough to come in between.
    """
    sizes = {name: draw(st.integers(1, 24)) for name in "ck"}
    window = draw(st.sampled_from([1, 3]))
    image = {"h": draw(st.integers(3, 6)), "w": draw(st.integers(3, 6))}
    added = draw(st.sampled_from(["residual", "bias", "both"]))
    operator = construct(
        "busy",
        "conv2d",
        {"n": 1, **sizes, **image, "r": window, "s": window, "pad": draw(st.integers(0, 1))}
        | {"residual": added != "bias", "bias": added != "residual", "relu": draw(st.booleans())},
    )
    bus, burst = draw(st.sampled_from([64, 128, 256, 512])), draw(st.sampled_from([2, 4, 16, 256]))
    block, batch = draw(st.integers(2, 5)), draw(st.sampled_from([0, 0, 1]))
    config = Config(
        log_batch=batch,
        log_block_in=block,
        log_block_out=block,
        log_uop_buff_size=draw(st.integers(8, 11)),
        log_inp_buff_size=batch + block + draw(st.integers(3, 6)),
        log_wgt_buff_size=2 * block + draw(st.integers(1, 5)),
        log_acc_buff_size=2 + batch + block + draw(st.integers(2, 5)),
        timing=Timing(
            bus_bits=bus,
            burst_beats=burst,
            memory_latency=draw(st.sampled_from([4, 20, 20, 60])),
            fetch_batch=draw(st.sampled_from([1, 3, fetch_batch(bus, burst)])),
            queue_depth=draw(st.sampled_from([2, 512])),
        ),
    )
    return operator, config


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_where_loads_get_in_each_other_s_way(seed: int) -> None:
    """The same with accumulators loaded between inputs, tight scratchpads, and wide buses."""

    def check(case: tuple[Operator, Config], data: st.DataObject) -> None:
        check_whole_space(_design(data, *case))

    seeded.run(check, seed, 50, busy(), st.data())


@given(st.lists(st.integers(1, 300), max_size=5), st.integers(32, 1000))
def test_candidates_cover_both_ends_within_the_limit(extents: list[int], limit: int) -> None:
    """Candidates hold the single iteration and the whole loop, and are as few as asked for."""
    choices = candidates(extents, limit)
    assert math.prod(map(len, choices)) <= limit
    for extent, tiles in zip(extents, choices, strict=True):
        assert tiles[0] == 1
        assert tiles[-1] == extent


def test_candidates_are_the_least_for_each_number_of_tiles() -> None:
    """Of extents that give equally many tiles only the least is a candidate."""
    assert candidates([7]) == [[1, 2, 3, 4, 7]]
