"""The first commands on a machine: what compilation adds to them, in seconds of a processor."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LAYER = "deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2"  # the one of `make demo`
_PR_SET_CHILD_SUBREAPER = 36


def cold() -> Iterator[str]:
    """CPU and wall seconds of first commands from an empty cache, and of the same ones after it."""
    _adopt()
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
        environment["XDG_CACHE_HOME"] = folder
        first, again = (
            [(command[0], *seconds(command, environment)) for command in _commands(Path(folder, n))]
            for n in ("first", "again")
        )
    for (name, cpu, wall), (_, warm, _) in zip(first, again, strict=True):
        yield f"{name}: {cpu:.1f} s of CPU in {wall:.1f} s; {warm:.1f} s of CPU the next time"


def _commands(program: Path) -> tuple[tuple[str, ...], ...]:
    return (
        ("rank", LAYER),
        ("verify", LAYER, "reference"),
        ("emit", LAYER, "reference", "--out", str(program)),
        ("lint-program", str(program)),
    )


def _adopt() -> None:
    """Have processes that outlive their parent counted here; elsewhere than on Linux they are not.

    A pool's server ends after the command that started it, which does not wait for it.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def seconds(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of CPU, of all its processes, and of wall time that a command takes."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "explorer", *command],
        env=dict(environment), check=True, capture_output=True,
    )  # fmt: skip
    wall = time.perf_counter() - begin
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall
