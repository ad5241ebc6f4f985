"""The store: parts that are whole or not there, tables of them, and what goes wrong with files."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import explorer
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.study import cost, tables
from explorer.study.backends import Backend, Dask, Given, Inline, Local
from explorer.study.dominance import pareto
from explorer.study.parameters import Grid
from explorer.study.store import Store, read_part
from explorer.study.study import Study, make
from explorer.study.sweep import sweep
from explorer.study.unit import Options
from isa.config import Config
from isa.errors import InputError
from tests.explorer.study import stub

OPTIONS = Options(DEFAULT_CLASSES, cost.load())


def small(*workloads: tuple[str, int], **vary: tuple[int, ...]) -> Study:
    """A study that is quick to evaluate in earnest."""
    grid = Grid(Config.default(), vary or {"LOG_BLOCK": (4, 5), "BUS_BITS": (64,)})
    return make("small", workloads or [(stub.SHORT, 2), (stub.LONG, 1)], grid, OPTIONS)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a small study, of which one configuration cannot be encoded."""
    path = tmp_path_factory.mktemp("done") / "store"
    sweep(small(LOG_BLOCK=(4, 5, 9)), path, Inline)
    return path


@pytest.fixture
def stubbed(tmp_path: Path) -> Path:
    """A store of stand-in results."""
    sweep(stub.study([40, 41]), tmp_path / "store", Inline, work=stub.rows)
    return tmp_path / "store"


def test_backends_agree(done: Path, tmp_path: Path) -> None:
    """One process, a pool, threads and a Dask cluster give the same bytes."""
    study = small(LOG_BLOCK=(4, 5, 9))
    expected = stub.contents(done)
    assert len(expected) == 6
    pool: Executor
    with ThreadPoolExecutor(2) as pool:
        backends: dict[str, Callable[[], Backend]] = {
            "threads": partial(Given, pool, 3),
            "pool": partial(Local, 2),
            "dask": partial(Dask, "local:2"),
        }
        for name, open_backend in backends.items():
            sweep(study, tmp_path / name, open_backend)
            assert stub.contents(tmp_path / name) == expected, name


def test_second_sweep_computes_nothing(done: Path) -> None:
    """What is there is not done again, and no worker is started for it."""

    def never() -> Backend:
        raise AssertionError("nothing is left to do")

    before = stub.contents(done)
    summary = sweep(small(LOG_BLOCK=(4, 5, 9)), done, never)
    assert (summary.total, summary.reused, summary.done, summary.left) == (6, 6, 0, 0)
    assert summary.statuses == {"ok": 4, "unencodable": 2}
    assert stub.contents(done) == before


def test_a_larger_study_reuses_the_smaller(stubbed: Path) -> None:
    """A grid may grow; only what is new is done."""
    summary = sweep(stub.study([40, 41, 42]), stubbed, Inline, work=stub.rows)
    assert (summary.reused, summary.done) == (4, 2)


def test_a_failure_is_no_part(tmp_path: Path) -> None:
    """A unit that fails is reported in one line, not kept, and tried again."""
    for _ in range(2):
        summary = sweep(stub.study([40, stub.WRONG]), tmp_path, Inline, work=stub.rows)
        assert len(summary.failures) == 2
        assert summary.failures[0][1].error == "ZeroDivisionError: a defect"
        assert "Traceback" in summary.failures[0][1].details
        assert len(stub.contents(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "moved"])
def test_damaged_part(stubbed: Path, damage: str) -> None:
    """A part that is not whole is named; every other is kept; without it, the sweep goes on."""
    first, second = Store.open(stubbed).parts()[:2]
    data = bytearray(first.read_bytes())
    if damage == "flip":
        data[data.index(b"latency 4")] ^= 1
    elif damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "empty":
        data.clear()
    else:
        data = bytearray(second.read_bytes())
    first.write_bytes(data)
    others = {n: b for n, b in stub.contents(stubbed).items() if n != first.name}
    for read in (
        lambda: sweep(stub.study([40, 41]), stubbed, Inline, work=stub.rows),
        lambda: tables.results(Store.open(stubbed)),
    ):
        with pytest.raises(InputError, match=rf"{first.name}: 'a damaged part'.*delete this file"):
            read()
    assert stub.contents(stubbed).items() >= others.items()
    first.unlink()
    assert sweep(stub.study([40, 41]), stubbed, Inline, work=stub.rows).done == 1


def test_every_flipped_byte_is_noticed(stubbed: Path) -> None:
    """No single byte of a part can change without its rows being refused or being the same."""
    part = Store.open(stubbed).parts()[0]
    data, expected = part.read_bytes(), read_part(part)
    for place in range(0, len(data), 7):
        part.write_bytes(data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :])
        try:
            assert read_part(part).equals(expected), place
        except InputError:
            continue


def test_disk_full(stubbed: Path, root: Path) -> None:
    """Where files cannot grow, the sweep ends with one line and what was there is kept."""
    before = stub.contents(stubbed)
    code = (
        "import resource\n"
        "from explorer.cli import _fail\n"
        "from isa.errors import InputError\n"
        "from tests.explorer.study import stub\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"try: stub.run({str(stubbed)!r}, 0, 6)\n"
        "except InputError as error: raise SystemExit(str(error))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "cannot be written: File too large; finished parts are kept" in result.stderr
    assert stub.contents(stubbed) == before
    assert not list(stubbed.glob("**/.*.tmp"))


def test_unusable_directories(tmp_path: Path) -> None:
    """A file, a directory below a file, and one that holds something else are refused."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path):
        with pytest.raises(InputError, match="--out: "):
            sweep(stub.study([40]), path, Inline, work=stub.rows)
    with pytest.raises(InputError, match="a directory that explorer sweep made"):
        Store.open(tmp_path)
    assert (tmp_path / "file").read_text() == "x"


def test_other_options_are_not_mixed(stubbed: Path) -> None:
    """A study that evaluates otherwise is refused, with the option named."""
    study = make("x", [(stub.SHORT, 1)], Grid(Config.default(), {}), Options((), cost.load()))
    with pytest.raises(InputError, match=r"options: classes: .*use another directory"):
        sweep(study, stubbed, Inline, work=stub.rows)


def test_one_sweep_at_a_time(stubbed: Path) -> None:
    """Two sweeps do not write to one directory at the same time."""
    store = Store.open(stubbed)
    with store.locked(), pytest.raises(InputError, match="another command is writing there"):
        sweep(stub.study([40]), stubbed, Inline, work=stub.rows)


def test_older_models_are_not_mixed(stubbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of the model all is done again; old rows show only when asked for."""
    old = Store.open(stubbed).model
    monkeypatch.setattr("explorer.study.sweep.model_version", lambda: "9+new")
    summary = sweep(stub.study([40]), stubbed, Inline, work=stub.rows)
    assert (summary.reused, summary.done) == (0, 2)
    store = Store.open(stubbed)
    frame, left_out = tables.results(store)
    assert (set(frame["model"]), left_out) == ({"9+new"}, 4)
    assert set(tables.results(store, old)[0]["model"]) == {old}
    assert set(tables.results(store, "all")[0]["model"]) == {old, "9+new"}
    with pytest.raises(InputError, match=r"the store has 0.*, 9\+new"):
        tables.results(store, "8")


def test_results_are_sorted_and_named(done: Path) -> None:
    """Each row has its operator's name; rows without a result have their reason."""
    frame, left_out = tables.results(Store.open(done))
    assert left_out == 0
    assert frame["operator"].tolist() == [stub.SHORT] * 3 + [stub.LONG] * 3
    assert frame["LOG_BLOCK_IN"].tolist() == [4, 5, 9] * 2
    bad = frame[frame["status"] != "ok"]
    assert bad["cycles"].isna().all()
    assert bad["reason"].str.contains("LOG_BLOCK_IN = 9").all()
    assert frame["cycles"].dtype.kind == "i"


def test_totals_count_repeats(done: Path) -> None:
    """A workload's total is the sum over its layers, each as often as it runs."""
    store = Store.open(done)
    frame, _ = tables.results(store)
    found: dict[Any, Any] = tables.totals(store, frame).set_index("LOG_BLOCK_IN").to_dict("index")
    for block in (4, 5):
        rows = frame[frame["LOG_BLOCK_IN"] == block].set_index("operator")
        part: dict[Any, Any] = rows.to_dict("index")
        for metric in ("cycles", "dram_bytes", "energy"):
            expected = 2 * part[stub.SHORT][metric] + part[stub.LONG][metric]
            assert math.isclose(found[block][metric], expected)
        assert found[block]["missing"] == 0
    assert found[9]["missing"] == 2
    assert pd.isna(found[9]["cycles"])


def test_a_layer_that_is_not_done_is_missing(done: Path, tmp_path: Path) -> None:
    """The total of a workload of which a layer has no unit yet is missing too."""
    path = tmp_path / "store"
    sweep(small((stub.SHORT, 1)), path, Inline, work=stub.rows)
    store = Store.open(path)
    store.name_layers("small", Store.open(done).workloads()["small"])
    found = tables.totals(store, tables.results(store)[0])
    assert found["missing"].tolist() == [1, 1]
    assert found["cycles"].isna().all()


def test_queries(done: Path) -> None:
    """DuckDB sees results, totals and workloads; its complaints are the user's."""
    store = Store.open(done)
    sql = "SELECT operator, min(cycles) AS least FROM results GROUP BY ALL ORDER BY 1"
    answer, _ = tables.query(store, sql)
    frame = tables.results(store)[0].dropna(subset=["cycles"])
    expected = frame.groupby("operator")["cycles"].min()
    assert dict(zip(answer["operator"], answer["least"], strict=True)) == expected.to_dict()
    assert tables.query(store, "SELECT sum(repeat) AS n FROM workloads")[0]["n"].tolist() == [3]
    assert len(tables.query(store, "FROM totals")[0]) == 3
    for wrong in ("SELECT nothing FROM results", "SELEC"):
        with pytest.raises(InputError, match="--sql"):
            tables.query(store, wrong)
    with pytest.raises(InputError, match="--where"):
        tables.where(frame, "nothing > 1")
    kept = tables.where(frame, "LOG_BLOCK_IN = 5 -- a comment")
    assert kept["LOG_BLOCK_IN"].tolist() == [5, 5]


def test_front_of_results(done: Path) -> None:
    """Results go into a Pareto front as they are; a missing metric is refused by name."""
    frame, _ = tables.results(Store.open(done))
    found = pareto(frame[frame["status"] == "ok"], ["cycles", "area"], group_by=["operator"])
    assert len(found) >= 2
    with pytest.raises(InputError, match="cycles: 'NaN'"):
        pareto(frame, ["cycles"])


def test_python_api(done: Path, tmp_path: Path) -> None:
    """The commands as functions: a sweep on any executor, its results, totals and front."""
    study = small(LOG_BLOCK=(4, 5, 9))
    with ThreadPoolExecutor(2) as pool:
        summary = explorer.sweep(study, tmp_path / "store", executor=pool, jobs=2)
    assert summary.done == 6
    assert stub.contents(tmp_path / "store") == stub.contents(done)
    frame = explorer.results(done)
    assert len(explorer.results(done, totals=True)) == 3
    assert explorer.results(done, "SELECT count(*) AS n FROM results")["n"].tolist() == [6]
    assert len(explorer.pareto(frame[frame["status"] == "ok"], ["cycles"], ["utilisation"]))


def test_dask_addresses_are_checked() -> None:
    """What is neither local:N nor the address of a scheduler is refused."""
    for address in ("local:", "local:0", "local:x"):
        with pytest.raises(InputError, match="local:N"):
            Dask(address)
    with pytest.raises(InputError, match="no scheduler answers"):
        Dask("tcp://127.0.0.1:9", timeout=0.5)
