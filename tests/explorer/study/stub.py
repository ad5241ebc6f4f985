"""Work that stands in for evaluation: instant, deterministic, and deadly where it is told to be."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.study import cost
from explorer.study.backends import Backend, Dask, Inline, Local
from explorer.study.parameters import Grid
from explorer.study.store import Store
from explorer.study.study import Study, make
from explorer.study.sweep import Summary, sweep
from explorer.study.unit import COLUMNS, OK, Options, Row, Unit
from isa.config import Config

PIDS = "EXPLORER_TEST_PIDS"
DEADLY = 31  # a memory latency whose unit kills its worker
WRONG = 37  # one whose unit raises

SHORT, LONG = "gemm:m=4,n=16,k=16", "gemm:m=4,n=16,k=32"


def study(latencies: range | list[int], operators: tuple[str, ...] = (SHORT, LONG)) -> Study:
    """Operators under configurations that differ in memory latency."""
    grid = Grid(Config.default(), {"MEMORY_LATENCY": tuple(latencies)})
    options = Options(DEFAULT_CLASSES, cost.load())
    return make("stub", [(name, 1) for name in operators], grid, options)


def rows(unit: Unit) -> list[Row]:
    """Two rows made of the unit's key; its process is noted where the environment says."""
    if PIDS in os.environ:
        (Path(os.environ[PIDS]) / str(os.getpid())).touch()
    latency = unit.point["MEMORY_LATENCY"]
    if latency == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    if latency == WRONG:
        raise ZeroDivisionError("a defect\nin two lines")
    time.sleep(0.003)
    number = int(unit.key[:12], 16)
    shared: Row = {"unit": unit.key, "layer": unit.layer.id, "model": unit.model, "status": OK}
    shared |= {"reason": "", "configuration": f"latency {latency}", **unit.point}
    return [shared | {"point": i, "cycles": number + i, "area": number / 7} for i in range(2)]


def slow_rows(unit: Unit) -> list[Row]:
    """The same, slowly enough to be killed at it."""
    time.sleep(0.05)
    return rows(unit)


def run(path: str, workers: int, units: int, first: Connection | None = None) -> None:
    """A sweep of so many units, in this process or a pool, which tells of its first new part."""

    def tell(summary: Summary) -> None:
        if first is not None and summary.done == 1:
            first.send_bytes(b"1")

    asked = study(range(40, 40 + units // 2))
    sweep(asked, Path(path), lambda: backend(workers), work=rows, on_progress=tell)


def backend(workers: int) -> Backend:
    """None, or a pool."""
    return Local(workers) if workers else Inline()


def contents(path: Path) -> dict[str, bytes]:
    """The parts of a store by name."""
    return {part.name: part.read_bytes() for part in Store.open(path).parts()}


def run_on_dask(path: str, units: int, kills: int) -> Summary:
    """A sweep on a cluster of two, of which a worker is killed again and again."""
    cluster = Dask("local:2")
    client = cluster._client
    done = threading.Event()

    def kill() -> None:
        for _ in range(kills):
            if done.wait(0.4):
                return
            client.wait_for_workers(2, timeout=600)
            pid = sorted(client.run(os.getpid).values())[0]
            os.kill(pid, signal.SIGKILL)
            print("killed", flush=True)

    killer = threading.Thread(target=kill)
    killer.start()

    def finish_kills(summary: Summary) -> None:
        if summary.left == 1:  # so that every kill falls into the sweep
            killer.join()

    try:
        return sweep(
            study(range(40, 40 + units // 2)),
            Path(path),
            lambda: cluster,
            work=slow_rows,
            on_progress=finish_kills,
        )
    finally:
        done.set()


assert set(COLUMNS) >= {"unit", "layer", "model", "status", "cycles", "area"}

if __name__ == "__main__":
    outcome = run_on_dask(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(outcome.done, len(outcome.failures))
