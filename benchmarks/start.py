"""What every command takes before it works, in seconds of a processor."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.cold import seconds
from explorer.cli import EVERY

REPEAT = 3


def start() -> Iterator[str]:
    """CPU seconds until each command knows its options (--help), warm; the least of several."""
    # A user's Python keeps bytecode, without which all modules would be compiled every time.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found = {name: _least(name, environment) for name in EVERY}
    for name, spent in sorted(found.items(), key=lambda pair: -pair[1]):
        yield f"{name}: {spent:.2f} s"


def _least(name: str, environment: dict[str, str]) -> float:
    command = (*name.split(), "--help")
    seconds(command, environment)  # has bytecode kept, and files in memory
    return min(seconds(command, environment)[0] for _ in range(REPEAT))
