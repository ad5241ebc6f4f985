"""Elimination alone finds a best plan, in whatever steps, and leaves to others what is too much."""

from __future__ import annotations

from random import Random

import pytest

from explorer.network.plan import elimination, parts
from explorer.network.plan.elimination import eliminated
from explorer.network.plan.planning import solve
from explorer.network.plan.tables import tables
from explorer.network.plan.wishes import Wishes
from tests.explorer.network.test_planning import dense
from tests.oracles.network_graphs import SHAPES, network
from tests.oracles.network_plans import case, eliminates


@pytest.mark.parametrize("at_once", [4, 2**21])
def test_the_best_plan(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values in all metrics that rank are the sweep's, with pins; where there is no plan, none."""
    monkeypatch.setattr(elimination, "AT_ONCE", at_once)
    for seed in range(90):
        assert eliminates(*case(seed, most=7))


@pytest.mark.parametrize("shape", SHAPES)
def test_values_that_take_several_numbers(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties in the first metric are decided by the next ones, however they are told in numbers."""
    monkeypatch.setattr(elimination, "AT_ONCE", 4)
    asked = Wishes(("host-copies", "cycles", "memory"))
    for most in (parts.MOST, 2**14, 2**9):
        monkeypatch.setattr(parts, "MOST", most)
        for seed in range(5):
            assert eliminates(network(Random(seed), shape, 7, 4), asked)


def test_what_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parts or sums would be too many, nothing is decided, and the solver proves the same."""
    problem = dense(Random(3), 9, 6)
    wishes = Wishes(("cycles",))
    given = tables(problem, wishes)
    assert eliminated(given) is not None
    best = solve(problem, wishes)
    assert best.account.eliminated == 9
    for place, name in ((elimination, "VALUES"), (elimination, "WORK"), (parts, "MOST")):
        monkeypatch.setattr(place, name, 64)
        assert eliminated(given) is None
        found = solve(problem, wishes)
        assert found.proven
        assert found.account.eliminated == 0
        assert found.plans[0].cost == best.plans[0].cost
        monkeypatch.undo()
