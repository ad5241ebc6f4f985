"""The largest space that the project speaks of: how soon it is counted, and its best proven."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

SPACE = "conv3d:n=1,c=64,d=8,h=56,w=56,k=64,t=3,r=3,s=3,pad=1"
LAYER = "deepbench:conv/server/n1_c512_h7_w7_k512_r3_s3_p1x1_st1x1"
TOP = ("--classes", "all", "--top", "10", "--jobs", "1", "--out", "-")


def large() -> Iterator[str]:
    """CPU seconds and memory of a space of half a million embeddings, and of a layer's."""
    counted, cpu, memory = _run("count", SPACE, "--classes", "all", "--all-tiles", "--out", "-")
    total = int(counted.splitlines()[-1].rpartition(",")[2])
    yield f"{SPACE}: {total:,} embeddings, all tiles, counted in {cpu:.1f} s, {memory} MB"
    _, layer, memory = _run("rank", LAYER, *TOP)
    yield f"{LAYER}: proven top ten in {layer:.1f} s, {memory} MB"
    _, cpu, memory = _run("rank", SPACE, "--all-tiles", *TOP)
    yield f"{SPACE}: the same in {cpu:.1f} s, {cpu / layer:.1f} times that, {memory} MB"


def _run(*command: str) -> tuple[str, float, int]:
    """What a command prints, its seconds of CPU, and the most memory that it had, in MB."""
    program: Sequence[str] = [sys.executable, "-m", "explorer", *command, "--quiet"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    # Not wait(): this tells what the process used, memory in KB on Linux.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program)
    process.stdout.close()
    return printed, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024
