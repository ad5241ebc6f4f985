"""Ctrl-C at any moment: exit 130, what is known so far, and nothing is left behind."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from explorer.cli import EVERY, GROUPS
from explorer.study.store import Store
from tests.explorer.deployment.small import DOCUMENT
from tests.fuzz.hostile import THOROUGH

SMALL = "gemm:m=8,n=16,k=32"
LARGE = "resnet18:C2"
LONG = "gemm:m=1024,n=1024,k=1024"  # its program runs for a while
SWEEP = ["sweep", SMALL, "--vary", "LOG_BLOCK=2..4", "--out", "STORE"]
FRONT = ["--objectives", "steps,footprint,transform"]
PLAN = ["NETWORK", "--candidates", "40", "--jobs", "2"]
PROOF = ["NETWORK", "--transitions", "stored", "--over", "all", "--jobs", "2"]
COMMANDS: dict[str, list[str]] = {
    "rank": ["rank", LARGE, "--all", "--jobs", "1"],
    "rank-pool": ["rank", LARGE, "--all", "--jobs", "2"],
    "optimize": ["optimize", LARGE, *FRONT, "--classes=all"],
    "optimize-rules": ["optimize", LARGE, *FRONT, "--rules", "RULES"],
    "pareto": ["pareto", LARGE, "--classes=all"],
    "verify": ["verify", LARGE],
    "run": ["run", "PROGRAM"],
    "bench": ["bench", "resnet18", "--jobs", "2"],
    "sweep": SWEEP,
    "sweep-pool": [*SWEEP, "--jobs", "2"],
    "sweep-dask": [*SWEEP, "--dask=local:2"],
    "map": ["map", LARGE, "--jobs", "2", "--out", "STORE.html"],
    "count": ["count", LARGE],
    "enumerate": ["enumerate", LARGE, "--all-tiles"],
    "execute": ["execute", LONG, "y=n:16/z=k:16"],
    "emit": ["emit", LONG, "reference", "--out", "STORE"],
    "lint-program": ["lint-program", "PROGRAM"],
    "network-plan": ["network", "plan", *PLAN, "--out", "STORE.csv"],
    "network-proof": ["network", "plan", *PROOF, "--out", "STORE.csv"],
    "network-front": ["network", "plan", *PLAN, "--pareto", "cycles,memory", "--rules", "RULES"],
    "network-verify": ["network", "verify", *PLAN],
    "network-run": ["network", "run", "DEPLOYMENT", "--data", "IMAGE"],
    "network-emit": ["network", "emit", *PLAN, "--out", "STORE"],
    "network-map": ["network", "map", *PLAN, "--out", "STORE.html"],
    "network-why": ["network", "why", "NETWORK", "second", *PLAN[1:]],
}
"""By name, commands that take a while."""
SHORT: dict[str, list[str]] = {
    "network-show": ["network", "show", "resnet18"],
    "network-import": ["network", "import", "resnet18", "--out", "STORE.yaml"],
    "facts": ["facts", LARGE],
    "show": ["show", LARGE, "reference", "--lanes"],
    "why": ["why", SMALL, "y=n:4"],
    "template": ["template", LARGE],
    "disasm": ["disasm", "PROGRAM"],
    "results": ["results", "SWEPT", "--sql", "select count(*) from results"],
    "operators": ["operators"],
    "kinds": ["kinds"],
    "schema": ["schema"],
}
"""Commands that do little else than load themselves."""
FILES = {
    "PROGRAM": "program", "DEPLOYMENT": "deployment", "SWEPT": "swept", "IMAGE": "image.npy",
    "NETWORK": "network.yaml", "RULES": "rules.lp",
}  # fmt: skip
TIMES, SHORT_TIMES = (200, 5 * len(SHORT)) if THOROUGH else (3, 1)
WAIT = 600.0  # seconds for what comes sooner or later, on a machine of any speed


def _start(arguments: list[str], store: Path, root: Path) -> subprocess.Popen[bytes]:
    """A command in a session of its own, once it has begun to load itself; see `_said`."""
    places = {word: str(store.parent / name) for word, name in FILES.items()}
    words = [
        str(store) + word.removeprefix("STORE") if word.startswith("STORE") else word
        for word in (places.get(word, word) for word in arguments)
    ]
    # A process is ready for Ctrl-C from its own first line on; before that it is Python's alone.
    code = "import explorer.__main__ as m, sys, threading\n" + (
        "old = m.signal.signal\n"
        "def ready(*args):\n"
        "    found = old(*args); m.signal.signal = old; print('ready', flush=True); return found\n"
        "m.signal.signal = ready\n"
        "m.main()"
    )
    output, error = (store.with_name(f"{store.name}.{kind}") for kind in ("out", "err"))
    with output.open("wb") as out, error.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdout=out,
            stderr=err,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(root)},
        )
    while not output.read_bytes():
        assert process.poll() is None, error.read_text()
        time.sleep(0.005)
    return process


def _said(store: Path) -> tuple[str, str]:
    """What a command has written to its outputs: files, which never hold it up."""
    return store.with_name(f"{store.name}.out").read_text(), store.with_name(
        f"{store.name}.err"
    ).read_text()


def _prepare(root: Path, folder: Path, words: set[str]) -> None:
    """What commands with these words read."""
    (folder / "rules.lp").write_text("extra(1..9).\n")
    (folder / "network.yaml").write_text(DOCUMENT)
    np.save(folder / "image.npy", np.zeros((64, 64), np.int8))
    planned = ["--candidates", "2", "--jobs", "1"]
    for word, arguments in (
        ("PROGRAM", ["emit", LONG, "reference", "--out", "STORE"]),
        ("DEPLOYMENT", ["network", "emit", "NETWORK", *planned, "--out", "STORE"]),
        ("SWEPT", SWEEP),
    ):
        if word in words:
            place = folder / FILES[word]
            assert _start(arguments, place, root).wait(WAIT) == 0, _said(place)[1]


def _session(session: int) -> dict[str, int]:
    """The processes of a session that still run, with the ticks of time that each has computed."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found[entry.name] = sum(map(int, fields[11:15]))
    return found


def _used() -> float:
    """Seconds that processes which have ended have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _compute(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a session has computed for a time, which is no matter of how busy others are."""
    ticks = seconds * os.sysconf("SC_CLK_TCK")
    while process.poll() is None and sum(_session(process.pid).values()) < ticks:
        time.sleep(0.01)


def test_all_commands_are_interrupted() -> None:
    """No command is left out."""
    words = [*COMMANDS.values(), *SHORT.values()]
    assert {" ".join(w[: 1 + (w[0] in GROUPS)]) for w in words} == EVERY.keys()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up there")
def test_interrupts(root: Path, tmp_path: Path) -> None:
    """Interrupted anywhere, commands end with 130 and no traceback, and no process outlives them.

    A sweep that is interrupted again and again ends with the same dataset as one that is not.
    """
    chance = random.Random(11)
    names = [list(COMMANDS)[n % len(COMMANDS)] for n in range(TIMES)]
    if not THOROUGH:
        names = chance.sample([*COMMANDS], TIMES)
    names += [list(SHORT)[n % len(SHORT)] for n in range(SHORT_TIMES)]
    _prepare(root, tmp_path, {word for name in names for word in (COMMANDS | SHORT)[name]})
    slowest, most, ended, left = 0.0, 0.0, 0, []
    for name in names:
        before = _used()
        process = _start((COMMANDS | SHORT)[name], tmp_path / name, root)
        moment = chance.choice((0, 0.05, 0.5, 2, 6)) * chance.random()
        _compute(process, moment)
        begin = time.monotonic()
        by_then = _session(process.pid).get(str(process.pid), 0) / os.sysconf("SC_CLK_TCK")
        with suppress(ProcessLookupError):  # it has come to its end
            os.killpg(process.pid, signal.SIGINT)
        process.wait(WAIT)
        slowest = max(slowest, time.monotonic() - begin)
        if by_then:
            most = max(most, _used() - before - by_then)
        output, error = _said(tmp_path / name)
        fault = _fault(process, output, error)
        if fault:
            left.append((name, moment, fault, error))
            print(left[-1], flush=True)
        ended += process.returncode == 0
    print(
        f"{len(names)} interrupts, {ended} after the end; until it ended, none took more than "
        f"{slowest:.2f} s, in which it computed for {most:.2f} s at most"
    )
    assert not left
    _check_sweeps(root, tmp_path)


def _fault(process: subprocess.Popen[bytes], output: str, error: str) -> str:
    """What is wrong with how a command has ended; empty if nothing is."""
    if "Traceback" in output + error or "leaked" in error:
        return "says what only its makers understand"
    # One that came to its end before has said all that there is.
    if process.returncode not in (130, 0):
        return f"exit status {process.returncode}"
    if process.returncode and "interrupted" not in output + error:
        return "does not say that it is interrupted"
    deadline = time.monotonic() + WAIT
    while _session(process.pid):
        if time.monotonic() > deadline:
            return "leaves a process"
        time.sleep(0.02)
    return ""


def _check_sweeps(root: Path, tmp_path: Path) -> None:
    """Finish the sweeps that were begun; all have the same parts."""
    begun = [n for n in COMMANDS if n.startswith("sweep") and (tmp_path / n).exists()]
    contents = []
    for name in ("undisturbed", *begun) if begun else ():
        store = tmp_path / name
        process = _start(COMMANDS["sweep"], store, root)
        assert process.wait(WAIT) == 0, _said(store)[1]
        contents.append({part.name: part.read_bytes() for part in Store.open(store).parts()})
    assert all(content == contents[0] for content in contents)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="pipes have a size on Linux")
def test_output_that_nobody_reads(root: Path) -> None:
    """A command whose output is full ends as well: `less` does not read on while it waits."""
    reader, writer = os.pipe()
    full = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "explorer", "operators"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    while struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))[0] < full:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert b"Traceback" not in error
    os.close(reader)
    os.close(writer)
