"""Plans from tables of cycles have the totals that an independent planner found."""

from __future__ import annotations

import pytest

from tests.explorer.network.given_totals import TOTALS, planned, reduced, table, totals


@pytest.mark.parametrize("config", TOTALS)
def test_totals(config: str) -> None:
    """The best plan and TVM's layouts take the cycles that were found elsewhere, to the cycle."""
    assert totals(planned(reduced(table(config)), config)) == TOTALS[config]
