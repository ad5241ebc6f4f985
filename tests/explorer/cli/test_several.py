"""Operators of several terms and of any steps, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app

BLOCK = "docs/block.yaml"
ROUNDED = """
name: rounded
out: {name: output, shape: [4, 16], letters: MN}
stages:
  - term:
      dimensions: {m: 4, n: 16, k: 16}
      in0: {name: data, shape: [4, 16], index: [m, k]}
      in1: {name: weight, shape: [16, 16], index: [n, k]}
      out: [m, n]
  - shift: {by: 8, rounding: half-even}
"""


def refused(arguments: list[str]) -> str:
    """The one line that a command refuses with."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_the_template_refuses_several_terms_by_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TVM has no program of several products; the message says which there are."""
    monkeypatch.chdir(root)
    text = refused(["template", BLOCK])
    assert "block: stages: '" in text
    assert "residual * identity" in text
    assert "TVM's templates" in text


def test_spaces_of_several_terms_at_the_command_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders are choices, and what is counted is what is listed; the map is a page."""
    monkeypatch.chdir(tmp_path)
    path, out = str(root / BLOCK), tmp_path / "found.csv"
    every = ["--classes", "padded,multi", "--lane-orders", "all", "--outer-orders", "all"]
    for command, *arguments in (
        ["count", path, *every, "--out", str(tmp_path / "count.csv")],
        ["enumerate", path, *every, "--out", str(out)],
        ["map", path, "--classes", "padded", "--jobs", "1", "--effort", "1", "--out", "map.html"],
        ["facts", path, *every],
    ):
        result = CliRunner().invoke(app, [command, *arguments])
        assert result.exit_code == 0, result.output
    counted = (tmp_path / "count.csv").read_text(encoding="utf-8").splitlines()[-1]
    listed = out.read_text(encoding="utf-8").splitlines()[1:]
    assert counted == f"total,{len(listed)}"
    chosen = next(line for line in listed if "/@" in line).split(",multi")[0].split('"')[1]
    assert CliRunner().invoke(app, ["why", path, chosen]).exit_code == 0
    assert "about" in (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "at most 8" in refused(["enumerate", path, "--encoding", "unstructured"])


def test_layers_of_several_terms_have_no_baseline(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bench` finds the best of each set of classes, and says that it compares with nothing."""
    monkeypatch.chdir(root)
    result = CliRunner().invoke(
        app, ["bench", "docs/two_sums.yaml", "--jobs", "1", "--verify", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert "no baseline on the only layer" in result.stdout
    assert "executed bit-exactly: 1 of 1" in result.stdout
    assert "| and swapped | – | – | 1 of 1 |" in (tmp_path / "two_sums.md").read_text()
    listed = CliRunner().invoke(app, ["operators", "docs/two_sums.yaml", "--reference", "--json"])
    (row,) = json.loads(listed.stdout)
    assert (row["macs"], row["in0"], row["dims"]) == (4, 4, "m=2 n=1 k=1 + m=2 n=1 k=1")
    assert row["tvm_embedding"] == "none"


def test_several_terms_on_another_instruction(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`show` describes each term there, `enumerate` the layouts of all their tensors."""
    monkeypatch.chdir(root)
    lanes = ["--intrinsic", "docs/two_lanes.yaml"]
    shown = CliRunner().invoke(app, ["show", "docs/two_sums.yaml", "x=m:2 + x=m:2", *lanes])
    assert shown.exit_code == 0, shown.output
    assert "Packed other on port a" in shown.stdout.partition("Term 2: x=m:2")[2]
    listed = CliRunner().invoke(app, ["enumerate", "docs/two_sums.yaml", *lanes, "--layouts"])
    assert listed.exit_code == 0, listed.output
    assert {"data", "weight", "output", "other", "scale"} <= set(listed.stdout.split())


def test_preferences_sweeps_and_steps_take_several_terms(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`optimize` shows the second term's layouts, `execute` each term, `sweep` fills a study."""
    monkeypatch.chdir(tmp_path)
    path, embedding = str(root / BLOCK), "y=oc:16/z=ic:16 + y=c:16/z=r:16"
    for command, *arguments in (
        ["optimize", "--require", "keep-input2-layout=NCHW16c,no-swap", "--out", "best.csv"],
        ["execute", embedding, "--out", "steps.csv"],
        ["sweep", "--out", "study", "--effort", "1", "--classes", "padded"],
    ):
        result = CliRunner().invoke(app, [command, path, *arguments, "--quiet"])
        assert result.exit_code == 0, result.output
    best = (tmp_path / "best.csv").read_text(encoding="utf-8")
    assert "input2,weight2" in best
    assert "NCHW1n16c" in best
    steps = (tmp_path / "steps.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in steps] == ["term", "1", "2"]
    assert not any("differs" in line for line in steps)
    assert list((tmp_path / "study").rglob("*.parquet"))


def test_programs_of_several_terms_at_the_command_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rank` names an embedding that `show`, `verify`, `emit` and `run` then take."""
    monkeypatch.chdir(tmp_path)
    path, embedding = str(root / BLOCK), "y=oc:16/z=ic:16 + y=c:16/z=r:16"
    for command, *arguments in (
        ["rank", "--top", "1", "--jobs", "1"],
        ["show", embedding],
        ["verify", embedding],
        ["emit", embedding, "--out", "program"],
    ):
        result = CliRunner().invoke(app, [command, path, *arguments])
        assert result.exit_code == 0, result.output
        if command in ("rank", "show"):
            assert "z=r:16" in result.stdout
    assert CliRunner().invoke(app, ["run", "program"]).exit_code == 0
    late = CliRunner().invoke(app, ["show", path, embedding, "--lanes", "--step", "200"])
    assert "it has 128 steps" in late.stdout.partition("term 2")[0]
    assert "lanes work" in late.stdout.partition("term 2")[2]
    assert "steps are 0 to 255" in refused(["show", path, embedding, "--step", "256"])
    assert "TVM has no embedding" in refused(["verify", path, "reference"])


def test_the_template_refuses_steps_by_name(tmp_path: Path) -> None:
    """TVM's template has an epilogue and no other steps; the one it lacks is named."""
    path = tmp_path / "rounded.yaml"
    path.write_text(ROUNDED, encoding="utf-8")
    text = refused(["template", str(path)])
    assert "rounded: stages: '" in text
    assert ">> 8 (half-even)" in text


def test_mappings_are_of_one_term(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that means nothing for several terms is refused, with how many there are."""
    monkeypatch.chdir(root)
    assert "2 terms" in refused(["count", BLOCK, "--fused-mappings"])
