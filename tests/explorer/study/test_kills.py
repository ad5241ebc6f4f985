"""Sweeps that are killed: nothing is lost, doubled or torn."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explorer.study.backends import Inline, Local
from explorer.study.store import Store, read_part
from explorer.study.sweep import sweep
from tests.explorer.study import stub

UNITS = 180


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts of a sweep that nothing disturbs."""
    path = tmp_path_factory.mktemp("undisturbed") / "store"
    stub.run(str(path), 0, UNITS)
    found = stub.contents(path)
    assert len(found) == UNITS
    return found


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_twenty_kills(
    undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed (-9) at twenty random moments, a sweep ends with the same bytes as undisturbed.

    Each time all parts are whole and those of the undisturbed run. Workers of a pool do not outlive
    the process that was killed.
    """
    pids = tmp_path / "pids"
    pids.mkdir()
    monkeypatch.setenv(stub.PIDS, str(pids))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([stub.__name__])
    path, draw = tmp_path / "store", random.Random(7)
    kept = 0
    for kill in range(20):
        workers = 2 if kill % 5 == 4 else 0
        told, tells = context.Pipe(duplex=False)
        process = context.Process(target=stub.run, args=(str(path), workers, UNITS, tells))
        process.start()
        tells.close()  # the process has its own: if that ends too early, nobody waits
        if kill % 4:  # now and then before the first part
            assert told.poll(600)
        time.sleep(draw.uniform(0, 0.02))
        assert process.is_alive()
        process.kill()
        process.join()
        found = stub.contents(path) if (path / "store.json").exists() else {}
        assert found.items() <= undisturbed.items()
        kept = len(found)
    assert 0 < kept < UNITS
    deadline = time.monotonic() + 600
    while any(is_alive(int(pid.name)) for pid in pids.iterdir()):
        assert time.monotonic() < deadline, "a worker outlives its sweep"
        time.sleep(0.05)
    summary = sweep(stub.study(range(40, 40 + UNITS // 2)), path, Inline, work=stub.rows)
    assert (summary.reused, summary.done) == (kept, UNITS - kept)
    assert stub.contents(path) == undisturbed
    assert not list(path.glob("**/.*.tmp"))


def test_killed_dask_workers(undisturbed: dict[str, bytes], root: Path, tmp_path: Path) -> None:
    """On a Dask cluster whose workers are killed, every unit is still done, once."""
    path = tmp_path / "store"
    run = subprocess.run(
        [sys.executable, "-m", stub.__name__, str(path), str(UNITS), "3"],
        env=os.environ | {"PYTHONPATH": str(root)},
        check=True,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert run.stdout.splitlines() == ["killed"] * 3 + [f"{UNITS} 0"]
    assert stub.contents(path) == undisturbed


def test_a_unit_that_kills_its_worker(tmp_path: Path) -> None:
    """Such a unit is given up alone; all others are done, and the next sweep tries it again."""
    asked = stub.study([40, 41, stub.DEADLY, 42, 43], (stub.SHORT,))
    for reused in (0, 4):
        summary = sweep(asked, tmp_path / "store", lambda: Local(2), work=stub.rows)
        assert (summary.reused, summary.done) == (reused, 4 - reused)
        ((unit, answer),) = summary.failures
        assert unit.point["MEMORY_LATENCY"] == stub.DEADLY
        assert "its worker died" in answer.error


def test_parts_are_whole(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """A part read back has the rows it was made of."""
    store = Store(tmp_path, "m", {})
    unit = next(stub.study([40]).units("model"))
    rows = stub.rows(unit)
    store.write(unit.key, rows)
    table = read_part(store.part(unit.key))
    assert [row["cycles"] for row in table.to_pylist()] == [row["cycles"] for row in rows]
    assert len(set(undisturbed)) == UNITS
