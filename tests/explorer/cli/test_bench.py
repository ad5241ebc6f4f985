"""Workloads against the baselines, and TVM's template, as commands."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app

FEW = ["bench", "resnet18", "--every", "6", "--classes", "padded,strided,multi,swapped"]


def run(*arguments: str) -> Result:
    """The outcome of a command."""
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.slow
def test_bench_writes_the_same_whatever_the_workers(tmp_path: Path) -> None:
    """Table, figure and page do not depend on the number of workers; gains multiply up."""
    outs = [tmp_path / str(jobs) for jobs in (1, 2)]
    for jobs, out in enumerate(outs, start=1):
        result = run(*FEW, "--verify", "--jobs", str(jobs), "--out", str(out))
        assert result.exit_code == 0, result.output
    names = ["resnet18.csv", "resnet18.md", "resnet18.svg"]
    for name in names:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    frame = pd.read_csv(outs[0] / "resnet18.csv")
    assert frame["exact"].all()
    assert frame["proven"].all()
    assert (frame["best_cycles"] >= frame["bound"]).all()
    assert (frame["over_reference"] >= 1).all()
    steps = frame["by_schedule"] * frame["by_layout"] * frame["by_embedding"]
    assert all(map(math.isclose, steps, frame["over_tvm"]))
    assert "explorer bench resnet18 --classes" in (outs[0] / "resnet18.md").read_text()


@pytest.mark.slow
def test_deepbench_winners_are_exact_on_a_sample() -> None:
    """Winners of DeepBench convolutions compute every bit, and no baseline is faster."""
    result = run("bench", "deepbench:conv", "--every", "59", "--verify")
    assert result.exit_code == 0, result.output
    assert "winners executed bit-exactly: 2 of 2" in result.output
    assert "slower than TVM's template: 0 layers" in result.output
    assert "slower than the reference embedding: 0 layers" in result.output


def test_template_tells_counters_of_a_given_tiling() -> None:
    """The counters of ResNet-18's C2 under the tiling of TVM's log, and of a given one."""
    tuned = run("template", "resnet18:C2", "--tiling", "tuned")
    assert tuned.exit_code == 0, tuned.output
    given = run("template", "resnet18:C2", "--tiling", "th=8,tw=56,tco=2,oc_nthread=2")
    assert given.output == tuned.output
    assert "451584" in given.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["template", "resnet18:C2", "--tiling", "th=5"], "a divisor of 56"),
        (["template", "resnet18:C2", "--tiling", "q=5"], "th, tw, tci"),
        (["template", "depthwise:n=1,c=4,h=4,w=4,r=3,s=3"], "template"),
        (["bench", "deepbanch"], "deepbench"),
        (["bench", "resnet18", "--out", "/dev/null/x"], "cannot be made"),
    ],
)
def test_bad_input_is_told_in_a_line(arguments: list[str], said: str) -> None:
    """Exit status 2, and a line that says what is allowed."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_rank_explains_its_space_and_takes_a_baseline() -> None:
    """The space has its size; the speedup over TVM's template is told with its cycles."""
    layer = "conv2d:n=1,c=3,h=8,w=8,k=20,r=3,s=3,pad=1"
    explained = run("rank", "gemm:m=4,n=24,k=24", "--explain-space")
    assert explained.exit_code == 0, explained.output
    assert "programs" in explained.output
    assert "embeddings" in explained.output
    over = run("rank", layer, "--top", "1", "--baseline", "tvm")
    assert over.exit_code == 0, over.output
    assert "speedup is over TVM's template" in over.output
