"""Options of every command, and where tables, notes and progress go."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from explorer.cli import COMMANDS, app, output
from explorer.cli.fitting import fold

SMALL = "gemm:m=2,n=8,k=8"


def run(*arguments: str) -> Any:
    """What a command prints, and how it ends."""
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_common_options(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--json and --quiet are there, whatever the command is."""
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(command, "--help").stdout
    assert "--json" in shown
    assert "--quiet" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("facts", SMALL), ("enumerate", SMALL), ("count", SMALL), ("rank", SMALL, "--top", "2"),
        ("optimize", SMALL), ("pareto", SMALL), ("show", SMALL, "reference"),
        ("show", SMALL, "y=n:8", "--lanes"), ("why", SMALL, "y=n:8"), ("template", SMALL),
        ("verify", SMALL, "reference"), ("execute", SMALL, "y=n:8"),
    ],
)  # fmt: skip
def test_json_is_all_that_is_printed(arguments: tuple[str, ...]) -> None:
    """Standard output is one JSON document; what is to be said besides goes to standard error."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)


def test_out_may_be_standard_output() -> None:
    """`--out -` writes CSV to standard output, and nothing else there."""
    done = run("enumerate", SMALL, "--out", "-")
    frame = pd.read_csv(StringIO(done.stdout))
    assert {"embedding", "steps"} <= set(frame)
    done = run("rank", SMALL, "--top", "2", "--out", "-")
    assert len(pd.read_csv(StringIO(done.stdout))) == 3
    assert "Cycles are simulated" in " ".join(done.stderr.split())


def test_why_ends_with_1_for_an_illegal_id() -> None:
    """Scripts can tell legal from illegal ids by the exit status."""
    assert run("why", SMALL, "y=n:8").exit_code == 0
    assert run("why", SMALL, "y=k:8").exit_code == 1


@pytest.mark.parametrize("command", ["rank", "sweep"])
def test_an_effort_of_nothing_is_refused(command: str, tmp_path: Path) -> None:
    """No program can be found by simulating none."""
    done = run(command, SMALL, "--effort", "0", "--out", str(tmp_path / "x.csv"))
    assert done.exit_code == 2
    assert "--effort" in done.stderr


def test_progress_off_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A line every few seconds on standard error, and none with --quiet."""
    monkeypatch.setattr(output, "EVERY", 0.0)
    with output.progress("ranking", 3) as advance:
        advance(1)
        advance(2)
    assert capsys.readouterr().err == "ranking: 1 of 3\nranking: 3 of 3\n"
    monkeypatch.setattr(output, "is_quiet", lambda: True)
    with output.progress("ranking", 3) as advance:
        advance(1)
    assert capsys.readouterr().err == ""


def test_ids_are_cut_between_digits() -> None:
    """A long id continues on the next line after a slash or comma; a longer piece is cut."""
    assert fold("y=oc:16/z=kh:5,kw%3", 12) == ["y=oc:16/", "z=kh:5,kw%3"]
    assert fold("abcdefgh", 3) == ["abc", "def", "gh"]
    assert "".join(fold("y=oc:16/z=kh:5,kw%3", 5)) == "y=oc:16/z=kh:5,kw%3"
