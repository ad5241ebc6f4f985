"""The commands sweep, results and pareto, as a user types them."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from benchmarks.sweep_page import page
from explorer.cli import app
from explorer.cli.front_tables import is_table, read
from explorer.study.dominance import pareto
from explorer.study.parameters import PARAMETERS
from explorer.study.unit import COLUMNS

OPERATOR = "gemm:m=4,n=16,k=16"
GRID = ("--vary", "LOG_BLOCK=4,5,9", "--vary", "BUS_BITS=64,128")
BUFFERS = ("inp", "wgt", "acc", "out")
# A shell's background job, and all that it starts, would ignore Ctrl-C.
RUN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from explorer.cli import main; main()"
)


def run(*arguments: str | Path) -> Result:
    """One command."""
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a small sweep."""
    path = tmp_path_factory.mktemp("sweep") / "store"
    result = run("sweep", f"3*{OPERATOR}", "gemm:m=8,n=8,k=8", *GRID, "--out", path)
    assert result.exit_code == 0, result.output
    assert "12 units: 12 done now, 0 kept from before, 0 failed" in result.stdout
    assert "4 unencodable: LOG_BLOCK_IN = 9: an integer from 0 to 8" in result.stdout
    return path


def test_dry_run(tmp_path: Path, store: Path) -> None:
    """It says how much there would be to do and what cannot be encoded, and does nothing."""
    result = run("sweep", OPERATOR, *GRID, "--out", tmp_path / "new", "--dry-run")
    assert "1 layer x 6 configurations, 6 units; 2 configurations cannot" in result.stdout
    assert "2 configurations: LOG_BLOCK_IN = 9" in result.stdout
    assert not (tmp_path / "new").exists()
    result = run("sweep", OPERATOR, *GRID, "--out", store, "--dry-run")
    assert "6 units are done, 0 left" in result.stdout


def test_networks_have_a_prefix() -> None:
    """The name of a network alone is refused with what it should be; a suite's is that suite."""
    result = run("sweep", "2*resnet50", "--dry-run")
    assert result.exit_code == 2
    assert "network:resnet50" in result.stderr
    assert "11 layers x 1 configuration" in run("sweep", "resnet18", "--dry-run").stdout
    assert "layers x 1 configuration" in run("sweep", "network:resnet18", "--dry-run").stdout


def test_study_file(tmp_path: Path) -> None:
    """A study file says all; options that it has fields for are refused."""
    path = tmp_path / "study.yaml"
    path.write_text(f"name: one\nworkloads: ['{OPERATOR}']\nvary: {{LOG_BLOCK: 9}}\n")
    result = run("sweep", path, "--out", tmp_path / "store")
    assert result.exit_code == 0
    assert "1 unencodable" in result.stdout
    refused = run("sweep", path, "--vary", "LOG_BLOCK=4", "--out", tmp_path / "store")
    assert refused.exit_code == 2
    assert "--vary" in refused.stderr
    assert run("sweep", path, OPERATOR, "--out", tmp_path / "store").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--vary", "LOG_BLOCK=6..3"), "the grid is empty"),
        (("--vary", "LOG_BLOK=4"), "the parameters are"),
        (("--vary", "LOG_BLOCK=4", "--vary", "LOG_BLOCK=5"), "varied twice"),
        (("--constraint", "mac_units < 1"), "no configuration meets the constraints"),
        (("--objectives", "speed"), "the metrics are mac_units"),
        (("--require", "cycles <"), "a condition holds"),
        (("--costs", "nowhere.yaml"), "must be a readable file"),
        (("--name", "../up"), "letters, digits"),
        (("--dask", "local:x"), "local:N"),
        (("--out", "/proc/nowhere"), "cannot be made"),
        (("--classes", "tiles"), "padded"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """What is wrong ends with status 2 and one line that says so."""
    place = () if "--out" in arguments else ("--out", tmp_path / "store")
    result = run("sweep", OPERATOR, *arguments, *place)
    assert result.exit_code == 2
    assert re.fullmatch(r"explorer: error: .*\n", result.stderr)
    assert message in result.stderr


def test_out_is_needed() -> None:
    """Without a directory there is nowhere to keep results."""
    assert "--out: missing" in run("sweep", OPERATOR).stderr


def test_damaged_part_ends_the_command(store: Path, tmp_path: Path) -> None:
    """A damaged part is one line and status 2, for every command that meets it."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", store, copy], check=True)
    part = sorted(copy.glob("parts/*/*.parquet"))[0]
    part.write_bytes(part.read_bytes()[:-9])
    for command in (
        ("sweep", f"3*{OPERATOR}", "gemm:m=8,n=8,k=8", *GRID, "--out", copy),
        ("results", copy),
        ("pareto", copy, "--minimize", "cycles"),
    ):
        result = run(*command)
        assert result.exit_code == 2
        assert "a damaged part" in result.stderr
        assert part.name in result.stderr


@pytest.mark.parametrize("workers", [("--workers", "2"), ("--dask", "local:2")])
def test_interrupted_sweep_goes_on(tmp_path: Path, root: Path, workers: tuple[str, ...]) -> None:
    """Ctrl-C, sent to all processes as a terminal does, ends a sweep that can go on later."""
    path = tmp_path / "store"
    latencies = "MEMORY_LATENCY=20..400"
    command = ["sweep", OPERATOR, "--vary", latencies, "--out", str(path), *workers]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *command],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while len(list(path.glob("parts/*/*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    output, error = process.communicate(timeout=600)
    kept = len(list(path.glob("parts/*/*.parquet")))
    assert process.returncode == 130
    assert output == ""
    assert f"interrupted; {kept} of 381 units are kept" in error
    assert "Traceback" not in error
    result = run(*command[:3], "MEMORY_LATENCY=20..30", "--out", path)
    assert result.exit_code == 0
    assert "11 units: " in result.stdout


def test_results(store: Path, tmp_path: Path) -> None:
    """Results are printed, exported whole, summed up by workload, and queried."""
    assert OPERATOR in run("results", store).stdout
    assert run("results", store, "--out", tmp_path / "all.parquet").exit_code == 0
    frame = pd.read_parquet(tmp_path / "all.parquet")
    assert len(frame) == 12
    assert set(frame["status"]) == {"ok", "unencodable"}
    totals = run("results", store, "--totals").stdout
    assert totals.splitlines()[0].split()[:3] == ["workload", "configuration", "cycles"]
    sql = "SELECT count(*) AS n FROM results WHERE status = 'ok'"
    assert run("results", store, "--sql", sql).stdout.split() == ["n", "8"]
    wrong = run("results", store, "--sql", "SELECT x")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    assert run("results", store, "--totals", "--sql", sql).exit_code == 2
    assert run("results", tmp_path).exit_code == 2
    assert run("results", store, "--model", "0").exit_code == 2


def test_pareto_of_a_store(store: Path, tmp_path: Path) -> None:
    """The front of each operator is that of the exported table."""
    out = tmp_path / "front.csv"
    objectives = ("--minimize", "cycles,area,energy", "--group-by", "operator")
    result = run("pareto", store, *objectives, "--out", out)
    assert result.exit_code == 0
    assert "4 rows have no result and are left out" in result.stderr
    frame = read(store)
    expected = pareto(frame, ["cycles", "area", "energy"], group_by=["operator"])
    assert pd.read_csv(out)["embedding"].tolist() == expected["embedding"].tolist()
    assert len(run("pareto", store, "--table", "totals", "--minimize", "cycles").stdout)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_pareto_of_a_file(tmp_path: Path, suffix: str) -> None:
    """A table that a user brings has a front too; rows are chosen by SQL before."""
    frame = pd.DataFrame({"a": [1, 2, 3, 0], "b": [3.0, 2.0, 2.5, 9.0], "c": ["x", "y", "z", "w"]})
    path, out = tmp_path / f"table{suffix}", tmp_path / f"front{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path, index=False)
    assert run("pareto", path, "--minimize", "a,b", "--where", "a > 0", "--out", out).exit_code == 0
    assert read(out)["c"].tolist() == ["x", "y"]
    best = run("pareto", path, "--maximize", "b")
    assert best.stdout.split() == ["b", "9"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--minimize", "a,n"), "n: 'NaN'"),
        (("--minimize", "q"), "the columns are a, n, t"),
        (("--minimize", "t"), "column of numbers"),
        ((), "objectives: missing"),
        (("--minimize", "a", "--plot", "x.bmp"), ".png, .svg, .html"),
        (("--minimize", "a", "--plot", "/nowhere/x.png"), "there is no directory"),
        (("--minimize", "a", "--where", "q = 1"), "DuckDB says"),
    ],
)
def test_pareto_refuses(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """What has no front, or cannot be drawn, is named."""
    path = tmp_path / "table.csv"
    path.write_text("a,n,t\n1,2,x\n2,,y\n")
    result = run("pareto", path, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_pareto_of_nothing_readable(tmp_path: Path) -> None:
    """A missing file, one of another kind and one that is no table are told apart."""
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.parquet").write_text("x")
    for name, message in (("none.csv", "missing"), ("a.txt", ".txt"), ("a.parquet", "unreadable")):
        result = run("pareto", tmp_path / name, "--minimize", "a")
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_tables_and_operators_are_told_apart(tmp_path: Path) -> None:
    """Directories and files of rows are tables; operators, inline or in a file, are not."""
    assert is_table(str(tmp_path))
    assert is_table("front.csv")
    assert not is_table("deepbench:conv/device/n1_c64_h112_w112_k64_r1_s1_p0x0_st1x1")
    assert not is_table("operator.yaml")


def test_shipped_fronts(root: Path) -> None:
    """The rows in results/ are all proven, by one version; the fronts and the page are theirs."""
    rows = pd.read_parquet(root / "results" / "vta_deepbench.parquet")
    assert len(rows) == 15 * 204
    assert rows["model"].nunique() == 1
    found = rows[rows["status"] == "ok"]
    assert found["proven"].all()
    assert page(root / "results") == (root / "results" / "vta_deepbench.md").read_text()
    front = pareto(found, ["cycles", "area", "energy"], group_by=["operator"])
    shipped = pd.read_csv(root / "results" / "vta_deepbench_layers.csv")
    assert shipped["unit"].tolist() == front["unit"].tolist()
    sums = found.groupby("configuration")["cycles"].sum()
    totals = pd.read_csv(root / "results" / "vta_deepbench_totals.csv")
    assert totals["cycles"].tolist() == sums[totals["configuration"]].tolist()


def test_pictures(store: Path, tmp_path: Path) -> None:
    """PNG, SVG and a page are drawn; the same table gives the same bytes."""
    names = ("front.png", "front.svg", "front.html")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        plots = [part for n in names for part in ("--plot", str(tmp_path / folder / n))]
        result = run("pareto", store, "--minimize", "cycles,area", "--group-by", "operator", *plots)
        assert result.exit_code == 0
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one" / "front.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "one" / "front.svg").read_text()


def test_page_stands_alone(tmp_path: Path) -> None:
    """The page loads nothing, holds all of the front, and no more dominated rows than it can."""
    count = 5000
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"a": draw.random(count), "b": draw.random(count), "name": "</script>"})
    frame.loc[1, "name"] = "other"
    frame.to_csv(tmp_path / "table.csv", index=False)
    page = tmp_path / "page.html"
    assert run("pareto", tmp_path / "table.csv", "--minimize", "a,b", "--plot", page).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<script>" not in text
    found = re.search(r'id="data-front">([A-Za-z0-9+/=]*)</script>', text)
    assert found
    data = json.loads(zlib.decompress(base64.b64decode(found[1])))
    assert sum(data["front"]) == len(pareto(frame, ["a", "b"]))
    assert len(data["rows"]) == sum(data["front"]) + 1000
    assert data["dominated"] == count - sum(data["front"])


def test_documented_queries(store: Path, root: Path) -> None:
    """The queries in the documentation have answers."""
    text = (root / "docs" / "reference" / "sweeps.md").read_text(encoding="utf-8")
    section = text.partition("## Queries")[2].partition("## Pareto")[0]
    queries = [part.replace("\n    ", "\n") for part in section.split("    -- ")[1:]]
    assert len(queries) == 4
    for query in queries:
        sql = query.partition("\n")[2]
        assert run("results", store, "--sql", sql).exit_code == 0, sql


def test_documented_study(root: Path, tmp_path: Path) -> None:
    """The study file in the documentation is one, but for its own cost table."""
    text = (root / "docs" / "reference" / "sweeps.md").read_text(encoding="utf-8")
    document = text.partition("```yaml\n")[2].partition("```")[0]
    path = tmp_path / "study.yaml"
    path.write_text(document.replace("costs: costs.yaml", "costs: null"), encoding="utf-8")
    result = run("sweep", path, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "48 layers x 7 configurations" in result.stdout


def test_documented_columns(root: Path) -> None:
    """Every column is in the documentation."""
    text = (
        (root / "docs" / "reference" / "sweeps.md")
        .read_text(encoding="utf-8")
        .partition("## Columns")[2]
    )
    left_out = {"LOG_BLOCK_IN", "LOG_BLOCK_OUT", *PARAMETERS, *(f"dram_{n}" for n in BUFFERS)}
    assert not [name for name in COLUMNS if f"`{name}`" not in text and name not in left_out]
