"""Ctrl-C while processes start: at no moment of their own loading do they hear of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.fuzz.hostile import THOROUGH

TIMES = 300 if THOROUGH else 6
PARENT = """
import signal, sys
pressed = []
signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
from explorer.ranking.workers import pool
import counted
with pool(1, "fractions") as workers:
    print(workers.submit(counted.events).result(), len(pressed))
"""
# Python imports it before anything else that it does in a process. The fork server counts what it
# calls and returns from; its child, the worker, is its copy and counts on.
SITE = """
import sys
if "multiprocessing.forkserver" in sys.orig_argv[-1]:
    import counted
    sys.setprofile(counted.count)
"""
COUNTED = """
import os, signal
number, moment = 0, int(os.environ["MOMENT"])
def count(*_):
    global number
    number += 1
    if number == moment:
        os.killpg(0, signal.SIGINT)
def events():
    return number
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no signal masks")
def test_starting_processes_are_deaf(root: Path, tmp_path: Path) -> None:
    """Ctrl-C at any call of a server's or a worker's start reaches their parent alone.

    They go on as if nothing had happened: the work is done, and nothing is written.
    """
    (tmp_path / "sitecustomize.py").write_text(SITE)
    (tmp_path / "counted.py").write_text(textwrap.dedent(COUNTED))
    events, pressed = _start(root, tmp_path, 0)
    assert not pressed
    chance = random.Random(5)
    for moment in (1, events, *(chance.randint(1, events) for _ in range(TIMES - 2))):
        reached, pressed = _start(root, tmp_path, moment)
        # Two runs are nearly equal, not quite: a late moment may come after the work, or never.
        assert pressed == 1 or (pressed == 0 and reached < moment), moment


def _start(root: Path, folder: Path, moment: int) -> tuple[int, int]:
    """Let a pool start and work, with Ctrl-C at some event.

    Returns:
        The number of events before the work was done, and how often the parent heard of Ctrl-C.
    """
    done = subprocess.run(
        [sys.executable, "-c", PARENT],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": f"{folder}:{root}", "MOMENT": str(moment)},
    )
    assert (done.returncode, done.stderr) == (0, ""), (moment, done.stderr)
    events, pressed = map(int, done.stdout.split())
    return events, pressed
