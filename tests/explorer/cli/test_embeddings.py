"""The commands on one operator, as a user types them: what they print, write, and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app
from explorer.ranking import best_first

SMALL = "conv2d:n=1,c=3,h=8,w=8,k=20,r=3,s=3,pad=1"
SMALLER = "conv2d:n=1,c=3,h=5,w=4,k=20,r=2,s=3,pad=1"


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(app, list(arguments))


def test_facts_are_a_program_that_clingo_reads() -> None:
    """The facts stand one a line, and name dimensions, access maps, axes and ports."""
    lines = run("facts", SMALL).stdout.splitlines()
    assert len(set(lines)) == len(lines)
    assert "dimension(oc,2,20)." in lines
    assert "access(in0,2,kh,1)." in lines
    assert "axis(y,16)." in lines
    assert "input_port(inp,in0)." in lines


def test_enumerate_writes_every_embedding(tmp_path: Path) -> None:
    """The table has an id, steps and utilisation for each, and the same bytes each time."""
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for path in paths:
        assert run("enumerate", SMALL, "--out", str(path)).exit_code == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    frame = pd.read_csv(paths[0])
    assert frame["embedding"].is_unique
    assert "y=oc:10/z=ic:3,kh%2,kw%2" in set(frame["embedding"])
    assert frame["utilisation"].max() <= 1


def test_rank_is_proven_and_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rankings with other numbers of workers are the same bytes; the reference has speedup 1."""
    monkeypatch.setattr(best_first, "PATIENCE", -1)  # workers after the first embedding
    made: dict[int, best_first.Ranking] = {}

    def ranked(*arguments: Any, jobs: int, **options: Any) -> best_first.Ranking:
        """A ranking, which is made once with so many workers and then written in every format."""
        if jobs not in made:
            made[jobs] = best_first.rank(*arguments, jobs=jobs, **options)
        return made[jobs]

    monkeypatch.setattr("explorer.cli.rank.rank_embeddings", ranked)
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        "csv": pd.read_csv,
        "json": pd.read_json,
        "parquet": pd.read_parquet,
    }
    for suffix, read in readers.items():
        paths = [tmp_path / f"{jobs}.{suffix}" for jobs in (1, 2)]
        for jobs, path in enumerate(paths, start=1):
            result = run("rank", SMALL, "--top", "5", "--jobs", str(jobs), "--out", str(path))
            assert result.exit_code == 0, result.output
            assert "proven" in result.output
        assert paths[0].read_bytes() == paths[1].read_bytes()
        frame = read(paths[0])
        assert frame["rank"].tolist() == [1, 2, 3, 4, 5, 0]
        assert frame["cycles"].iloc[:5].is_monotonic_increasing
        assert frame["proven"].all()
        assert frame["speedup"].iloc[-1] == 1


def test_top_agrees_with_ranking_all(tmp_path: Path) -> None:
    """The proven top is the head of the whole ranking, when that has no limit on its effort."""
    top, everything = tmp_path / "top.csv", tmp_path / "all.csv"
    run("rank", SMALLER, "--top", "7", "--out", str(top))
    run("rank", SMALLER, "--all", "--effort", "100000", "--out", str(everything))
    columns = ["rank", "embedding", "cycles"]
    head = pd.read_csv(everything)[columns].head(7)
    pd.testing.assert_frame_equal(pd.read_csv(top)[columns].head(7), head)


def test_a_top_beyond_the_machines_words_is_all() -> None:
    """Who asks for more than can be counted is given all embeddings that there are."""
    found = run("rank", "gemm:m=1,n=3,k=2", "--top", str(10**20), "--jobs", "1")
    assert found.exit_code == 0, found.output
    assert "all 2 embeddings ranked" in found.output


def test_an_empty_document_is_not_called_missing(tmp_path: Path) -> None:
    """A file that is there and has nothing in it is told from one that is not there."""
    (tmp_path / "empty.yaml").touch()
    found = run("rank", str(tmp_path / "empty.yaml"))
    assert found.exit_code == 2
    assert "'an empty document' is not allowed" in str(found.exception) + found.output


def test_restrictions_are_ranked_with_their_cost(tmp_path: Path) -> None:
    """A restricted ranking is proven as well, and says what each program takes without."""
    product, path = "gemm:m=2,n=20,k=48", tmp_path / "restricted.csv"
    options = ("--target", "chisel", "--safe-distance", "6")
    result = run("rank", product, "--top", "3", *options, "--out", str(path))
    assert result.exit_code == 0, result.output
    assert "what the restrictions add" in " ".join(result.output.split())
    frame, free = pd.read_csv(path), tmp_path / "free.csv"
    assert frame["proven"].all()
    assert (frame["cost"] >= 0).all()
    assert frame["cost"].max() > 0
    assert run("rank", product, "--all", "--effort", "100000", "--out", str(free)).exit_code == 0
    plain = pd.read_csv(free).set_index(["rank", "embedding"])["cycles"].groupby("embedding").min()
    for _, row in frame[frame["rank"] > 0].iterrows():
        assert plain[row["embedding"]] == row["unrestricted"]
        assert row["cycles"] == pytest.approx(row["unrestricted"] * (1 + row["cost"]))
    verified = run("verify", product, *frame["embedding"].unique(), *options)
    assert verified.exit_code == 0, verified.output
    for cycles in frame.loc[frame["rank"] > 0, "cycles"]:
        assert str(cycles) in verified.stdout
    assert "unrestricted" in run("rank", product, "--top", "1", *options).stdout


@pytest.mark.parametrize("command", ["rank", "verify"])
def test_targets_that_do_not_run_the_machine_are_refused(command: str) -> None:
    """Neither an unknown target nor Chisel with batches is a target."""
    for options in (("--target", "fpga"), ("--target", "chisel", "--config", "b4")):
        refused = run(command, SMALL, *options)
        assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
        assert "--target" in refused.output


def test_show_tells_all_of_one_embedding() -> None:
    """Digits, loops, layouts with formulas, schedule, instructions, and where cycles go."""
    text = run("show", SMALL, "y=oc:10/z=ic:3,kh%2,kw%2").stdout
    for part in ("Digits", "Virtual loops", "Packed data on port inp", "Schedule", "waiting for"):
        assert part in text
    assert "kh = kh.o + 2*kh.z" in text


def test_verify_says_as_which_it_executes() -> None:
    """All that the configuration admits, and what HLS is taken to do."""
    for config, names in (("default", "fsim, hls, chisel"), ("b2", "fsim, hls")):
        result = run("verify", SMALL, "reference", "--config", config)
        assert result.exit_code == 0, result.output
        assert f"executed as {names}\n" in result.stdout
        assert "--safe-distance" in result.stdout
    spaced = run("verify", SMALL, "reference", "--safe-distance", "4")
    assert "programs keep 4 micro-ops" in spaced.stdout


def test_verify_executes_ids_and_samples() -> None:
    """Both forms report bit-exact outputs and accumulators."""
    for arguments in (
        ["y=oc:10/z=ic.kh.kw:16", "reference"],
        ["--sample", "3", "--classes", "all"],
    ):
        result = run("verify", SMALL, *arguments)
        assert result.exit_code == 0, result.output
        assert "exact" in result.stdout
        assert "differs" not in result.stdout


UNFIT = {
    "TARGET": "sim", "HW_VER": "0.0.2", "LOG_INP_WIDTH": 3, "LOG_WGT_WIDTH": 3,
    "LOG_ACC_WIDTH": 5, "LOG_BATCH": 0, "LOG_BLOCK": 4, "LOG_UOP_BUFF_SIZE": 15,
    "LOG_INP_BUFF_SIZE": 16, "LOG_WGT_BUFF_SIZE": 18, "LOG_ACC_BUFF_SIZE": 17,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["rank", "gemm:m=4,n=4,q=4"], ["q", "m, n, k"]),
        (["rank", "gemm:m=4,n=-4,k=4"], ["n", "-4"]),
        (["rank", "conv2d:n=1,c=1,h=4,w=4,k=1,r=7,s=1"], ["r", "7"]),
        (["rank", "nonsense"], ["nonsense", "gemm"]),
        (["rank", "missing.yaml"], ["missing.yaml"]),
        (["rank", "deepbench:conv/server/none"], ["none"]),
        (["rank", SMALL, "--config", "unfit.json"], ["unfit.json", "bits"]),
        (["rank", SMALL, "--config", "cut.json"], ["cut.json"]),
        (["rank", SMALL, "--config", "none.json"], ["none.json"]),
        (["rank", SMALL, "--classes", "odd"], ["odd", "fused"]),
        (["rank", SMALL, "--out", "table.xls"], ["table.xls", ".csv"]),
        (["enumerate", "gemm:m=3,n=3,k=3", "--classes", "strided"], ["no embedding"]),
        (["show", SMALL, "y=oc"], ["oc", "LANES"]),
        (["show", SMALL, "y=ic:3"], ["y=ic:3", "no legal embedding"]),
        (["show", SMALL, "w=oc:3"], ["w", "axis"]),
        (["verify", SMALL, "reference", "--sample", "2"], ["--sample"]),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, one line that names the value and what is allowed, and no traceback."""
    monkeypatch.chdir(tmp_path)
    Path("unfit.json").write_text(json.dumps(UNFIT))
    Path("cut.json").write_text(json.dumps(UNFIT)[:-40])
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("explorer: error: ")
    assert len(result.stderr.splitlines()) == 1
    for token in named:
        assert token in result.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"unfit.json", "cut.json"}
