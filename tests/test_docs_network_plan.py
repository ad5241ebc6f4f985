"""The tables of docs/explanation/network-plan.md are those of the code."""

from __future__ import annotations

from pathlib import Path

from explorer.network.plan.problem import METRICS
from explorer.network.plan.transitions import models


def test_the_tables_are_complete(root: Path) -> None:
    """Every model of transitions and every metric is told of."""
    text = (root / "docs" / "explanation" / "network-plan.md").read_text(encoding="utf-8")
    for name in (*models(), *METRICS):
        assert f"`{name}`" in text
