"""What docs/network-plan.md shows is what the tool prints, and its tables are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.network.problem import METRICS
from explorer.network.transitions import models

TEXT = (Path(__file__).parent.parent / "docs" / "network-plan.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```\n\$ explorer (.*)\n((?:.*\n)*?)```$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[c for c, _ in EXAMPLES])
def test_examples(command: str, output: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the document prints what stands below it, and proves its plan or says no."""
    monkeypatch.chdir(root)
    result = CliRunner().invoke(app, [*shlex.split(command), "--quiet"])
    assert result.output == output
    assert result.exit_code == (" conflict\n" in output or " cannot be met\n" in output)


def test_the_tables_are_complete() -> None:
    """Every model of transitions and every metric is told of."""
    for name in (*models(), *METRICS):
        assert f"`{name}`" in TEXT
