"""Ctrl-C at any moment: exit 130, what is known so far, and nothing is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explorer.study.store import Store
from tests.fuzz.hostile import THOROUGH

SMALL = "gemm:m=8,n=16,k=32"
LARGE = "resnet18:C2"
LONG = "gemm:m=1024,n=1024,k=1024"  # its program runs for a while
COMMANDS: dict[str, list[str]] = {
    "rank": ["rank", LARGE, "--all", "--jobs", "1"],
    "rank-pool": ["rank", LARGE, "--all", "--jobs", "2"],
    "optimize": ["optimize", LARGE, "--objectives", "steps,footprint,transform", "--classes=all"],
    "pareto": ["pareto", LARGE, "--classes=all"],
    "verify": ["verify", LARGE],
    "run": ["run", "PROGRAM"],
    "bench": ["bench", "resnet18", "--jobs", "2"],
    "sweep": ["sweep", SMALL, "--vary", "LOG_BLOCK=2..4", "--out", "STORE"],
    "sweep-pool": ["sweep", SMALL, "--vary", "LOG_BLOCK=2..4", "--out", "STORE", "--jobs", "2"],
    "sweep-dask": ["sweep", SMALL, "--vary", "LOG_BLOCK=2..4", "--out", "STORE", "--dask=local:2"],
}
TIMES = 200 if THOROUGH else 3
WAIT = 600.0  # seconds for what comes sooner or later, on a machine of any speed


def _start(arguments: list[str], store: Path, root: Path) -> subprocess.Popen[str]:
    """A command in a session of its own, once it has begun to load itself."""
    places = {"STORE": str(store), "PROGRAM": str(store.parent / "program")}
    words = [places.get(word, word) for word in arguments]
    # A process is ready for Ctrl-C from its own first line on; before that it is Python's alone.
    code = "import explorer.__main__ as m, sys, threading\n" + (
        "old = m.signal.signal\n"
        "def ready(*args):\n"
        "    found = old(*args); m.signal.signal = old; print('ready', flush=True); return found\n"
        "m.signal.signal = ready\n"
        "m.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _alive(session: int) -> list[str]:
    """The processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(entry.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up there")
def test_interrupts(root: Path, tmp_path: Path) -> None:
    """Interrupted anywhere, commands end with 130 and no traceback, and no process outlives them.

    A sweep that is interrupted again and again ends with the same dataset as one that is not.
    """
    emitted = _start(["emit", LONG, "reference", "--out", "PROGRAM"], tmp_path / "store", root)
    _, error = emitted.communicate(timeout=WAIT)
    assert emitted.returncode == 0, error
    chance, slowest, ended = random.Random(11), 0.0, 0
    for number in range(TIMES):
        name = list(COMMANDS)[number % len(COMMANDS)] if THOROUGH else chance.choice([*COMMANDS])
        process = _start(COMMANDS[name], tmp_path / name, root)
        time.sleep(chance.choice((0, 0.05, 0.5, 2, 6)) * chance.random())
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        output, error = process.communicate(timeout=WAIT)
        slowest = max(slowest, time.monotonic() - begin)
        assert "Traceback" not in output + error, (name, error)
        assert "leaked" not in error, (name, error)
        # One that came to its end before has said all that there is.
        assert process.returncode in (130, 0), (name, process.returncode, error)
        ended += process.returncode == 0
        deadline = time.monotonic() + WAIT
        while _alive(process.pid):
            assert time.monotonic() < deadline, f"{name} leaves a process"
            time.sleep(0.02)
    print(f"{TIMES} interrupts, {ended} after the end, the slowest took {slowest:.2f} s")
    _check_sweeps(root, tmp_path)


def _check_sweeps(root: Path, tmp_path: Path) -> None:
    """Finish the sweeps that were begun; all have the same parts."""
    contents = []
    for name in ("undisturbed", *(name for name in COMMANDS if name.startswith("sweep"))):
        store = tmp_path / name
        if name != "undisturbed" and not store.exists():
            continue
        process = _start(COMMANDS["sweep"], store, root)
        _, error = process.communicate(timeout=WAIT)
        assert process.returncode == 0, error
        contents.append({part.name: part.read_bytes() for part in Store.open(store).parts()})
    assert all(content == contents[0] for content in contents)
