"""The command that finds embeddings by preferences, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app

SMALL = "conv2d:n=1,c=3,h=8,w=8,k=20,r=3,s=3,pad=1"


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(app, ["optimize", *arguments])


def test_optima_are_proven_and_written(tmp_path: Path) -> None:
    """The table has every optimum, with what was asked for; the solver's proof is told."""
    path = tmp_path / "best.csv"
    wishes = ["--prefer", "steps,duplication+footprint.input:2", "--require", "no-im2col,no-swap"]
    result = run(SMALL, *wishes, "--all", "--out", str(path))
    assert result.exit_code == 0, result.output
    assert "proven optimal" in result.output
    frame = pd.read_csv(path)
    assert frame["steps"].nunique() == 1
    assert not frame["embedding"].str.startswith("swap").any()


def test_fronts_say_whether_they_are_complete() -> None:
    """A front is proven complete; one with a limit says that others may be missing."""
    objectives = ["--objectives", "steps,footprint,transform,rows"]
    assert "none is missing, proven" in " ".join(run(SMALL, *objectives).output.split())
    limited = run(SMALL, *objectives, "--limit", "1").output
    assert "others may be missing" in " ".join(limited.split())


def test_conflicts_are_named() -> None:
    """Requirements that conflict are told by the user's words, with what each costs.

    The last line says among which classes it was found.
    """
    result = run(SMALL, "--require", "min-utilisation=0.5,no-swap,max-duplication=0")
    assert result.exit_code == 1
    head, *lines, classes = result.stderr.replace("\n    ", " ").splitlines()
    assert classes.startswith("Classes left out, which may hold better ones: ")
    assert head.startswith("explorer: ")
    assert head.endswith(" conflict")
    assert len(lines) == head.count(" and ") + 1
    assert all(line.startswith("  without ") for line in lines)
    assert not result.stdout


def test_rules_of_a_users_own(root: Path) -> None:
    """A file may add a metric, prefer it, and add a demand."""
    rules = str(root / "docs" / "few_digits.lp")
    result = run(SMALL, "--rules", rules, "--require", "no-batch")
    assert result.exit_code == 0, result.output
    assert "digits" in result.stdout


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("metric(a).\ncost(a, 1\n", "line", "syntax error"),
        ("metric(a).\ncost(a, V) :- not use(V).\n", "line 2", "unsafe"),
        ("\nprefer(nonsense, 1, 1).\n", "line 2", "nonsense"),
        ("metric(a).\ncost(a, 1) :- plaice(_).\n", "line 2", "plaice"),
    ],
)
def test_faulty_rules_are_named(tmp_path: Path, text: str, line: str, reason: str) -> None:
    """The file, the line and the reason stand in one line; the exit code is 2."""
    path = tmp_path / "my.lp"
    path.write_text(text)
    result = run(SMALL, "--rules", str(path))
    assert result.exit_code == 2, result.output
    for part in (str(path), line, reason):
        assert part in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--prefer", "nonsense"], ["nonsense", "footprint"]),
        (["--prefer", "steps:0"], ["0", "weight"]),
        (["--prefer", "steps,steps"], ["steps", "once"]),
        (["--prefer", "footprint.bias"], ["bias", "weight"]),
        (["--require", "nonsense"], ["nonsense", "no-im2col"]),
        (["--require", "max-footprint=big"], ["big", "KiB"]),
        (["--require", "max-utilisation=1"], ["max-utilisation", "min-utilisation"]),
        (["--require", "keep-input-layout=NHWC1q"], ["NHWC1q", "NCHW"]),
        (["--require", "keep-bias-layout=N"], ["bias", "weight"]),
        (["--profile", "nonsense"], ["nonsense", "latency"]),
        (["--rules", "missing.lp"], ["missing.lp"]),
        (["--classes", "slanted"], ["slanted", "skewed"]),
        (["--objectives", "steps,steps"], ["steps", "once"]),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], named: list[str]) -> None:
    """What cannot be used is named with what is allowed; the exit code is 2."""
    result = run(SMALL, *arguments)
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1
    for part in named:
        assert part in result.output


def test_sums_beyond_clingos_integers_are_refused() -> None:
    """Metrics of a huge operator that cannot be added up are named."""
    mixed = "footprint+padding+rows+transform+packing+duplication"
    result = run("gemm:m=65536,n=65536,k=65536", "--prefer", mixed)
    assert result.exit_code == 2, result.output
    assert "duplication, footprint" in result.stderr
    assert result.output.count("\n") == 1


def test_too_many_fused_and_skewed_digits_are_refused() -> None:
    """The classes are named; either one without the other is taken."""
    layer = "conv2d:n=1,c=16,h=8,w=8,k=16,r=3,s=3,pad=1"
    result = run(layer, "--profile", "memory", "--classes", "all")
    assert result.exit_code == 2, result.output
    assert "fused, skewed" in result.stderr
    assert result.output.count("\n") == 1
    assert run(layer, "--classes", "skewed,multi,padded").exit_code == 0
    assert run(layer, "--classes", "fused,multi,padded").exit_code == 0


def test_pareto_takes_operators_and_tables(tmp_path: Path) -> None:
    """The front of an operator is that of optimize; options of the other kind are refused."""
    found = CliRunner().invoke(app, ["pareto", SMALL, "--objectives", "steps,footprint"])
    assert found.exit_code == 0, found.output
    assert found.stdout == run(SMALL, "--objectives", "steps,footprint").stdout
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n2,1\n2,2\n")
    front = CliRunner().invoke(app, ["pareto", str(table), "--minimize", "a,b"])
    assert front.exit_code == 0, front.output
    assert "2 of 3 rows" in front.output
    for words in ([SMALL, "--minimize", "a"], [str(table), "--objectives", "steps"]):
        refused = CliRunner().invoke(app, ["pareto", *words])
        assert refused.exit_code == 2, refused.output
        assert "it is an option for" in refused.stderr
