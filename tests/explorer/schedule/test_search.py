"""The schedule search: bounds below every simulation, and its optimum the space's optimum."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.facts import CLASSES
from explorer.layout.design import Design, designs
from explorer.ranking.explore import embeddings, gemm_intrinsic
from explorer.schedule.bound import lower_bound
from explorer.schedule.dma import Infeasible
from explorer.schedule.lowering import lower
from explorer.schedule.search import candidates, points, search
from isa.computation import Operator
from isa.config import Config
from simulator.timing import simulate
from tests.strategies import configs, operators, restrictions


def _design(data: st.DataObject, operator: Operator, config: Config) -> Design:
    embedding = data.draw(st.sampled_from(embeddings(operator, config, tuple(CLASSES))))
    intrinsic = gemm_intrinsic(config)
    return data.draw(st.sampled_from(list(designs(operator, config, intrinsic, embedding))))


@settings(max_examples=200)
@given(operators(5, epilogues=True), configs(), st.data())
def test_bounds_hold_and_the_search_finds_the_optimum(
    operator: Operator, config: Config, data: st.DataObject
) -> None:
    """Simulating the whole space gives the search's cycles; no bound exceeds a simulation."""
    design = replace(_design(data, operator, config), restrictions=data.draw(restrictions()))
    cheap, best = lower_bound(design), math.inf
    for bound, schedule in points(design):
        try:
            code = lower(design, schedule)
        except Infeasible:
            continue
        cycles = simulate(config, code.table).cycles
        assert cheap <= cycles, schedule
        assert bound <= cycles, schedule
        best = min(best, cycles)
    found = search(design, effort=None)
    assert found.proven
    assert (found.best.cycles if found.best else math.inf) == best


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
