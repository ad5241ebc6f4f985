"""Sweeps: memory, throughput of workers, what units share, and fronts of large tables."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.study import cost
from explorer.study.backends import Inline, Local, Work
from explorer.study.dominance import pareto_mask
from explorer.study.expression import Expression
from explorer.study.parameters import Grid
from explorer.study.store import encode
from explorer.study.study import Study, load, make
from explorer.study.sweep import sweep
from explorer.study.unit import Options, evaluate, evaluate_in_turn
from explorer.study.version import model_version
from isa.config import Config

TINY = "gemm:m=4,n=16,k=16"
LAYER = "conv2d:n=1,c=64,h=28,w=28,k=64,r=3,s=3,pad=1"
ROWS = 1_000_000
FEW, MANY = 200, 2000  # units of the two sweeps whose memory is compared
KIB_OF_MAXRSS = 1024 if sys.platform == "darwin" else 1  # ru_maxrss is bytes there


def study(operator: str, configurations: int) -> Study:
    """An operator under so many configurations, which differ in memory latency."""
    latencies = tuple(range(20, 20 + configurations))
    grid = Grid(Config.default(), {"MEMORY_LATENCY": latencies})
    return make("benchmark", [(operator, 1)], grid, Options(DEFAULT_CLASSES, cost.load()))


def peak(units: int) -> int:
    """Peak resident KiB of this process after a sweep of so many units."""
    with tempfile.TemporaryDirectory() as folder:
        sweep(study(TINY, units), Path(folder) / "store", Inline)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB_OF_MAXRSS


def memory() -> Iterator[str]:
    """Peak memory of a sweep of 2,000 units against one of 200, each in a process of its own."""
    peaks = []
    for units in (FEW, MANY):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks.append(pool.submit(peak, units).result())
    yield (
        f"{FEW} units {peaks[0] / 1024:.0f} MiB, {MANY} units {peaks[1] / 1024:.0f} MiB: "
        f"{peaks[1] / peaks[0]:.3f} times as much"
    )


def throughput() -> Iterator[str]:
    """Units a second of one worker and of two, with the time that workers take to start."""
    rates = []
    asked = study(LAYER, 24)
    with tempfile.TemporaryDirectory() as folder:
        sweep(study(LAYER, 2), Path(folder) / "warm", Inline)
        for workers in (1, 2):
            begin = time.perf_counter()
            summary = sweep(asked, Path(folder) / str(workers), partial(Local, workers))
            rates.append(summary.done / (time.perf_counter() - begin))
    yield (
        f"{LAYER}: {rates[0]:.2f} units/s by one worker, {rates[1]:.2f} by two on "
        f"{os.cpu_count()} cores: {rates[1] / rates[0]:.2f} times"
    )


def shared_part() -> Study:
    """A part of the study that ships: two blocks, every third layer, all optima proven."""
    whole = load(Path(__file__).parents[1] / "studies" / "vta_deepbench.yaml")
    square = Expression.parse("LOG_BLOCK_IN == 4 and LOG_BLOCK_OUT == 4", "benchmark")
    options = replace(whole.options, effort=None)
    return replace(whole, layers=whole.layers[::3], constraints=(square,), options=options)


def seconds_of(work: Work) -> tuple[float, list[bytes]]:
    """CPU seconds of this process for that part, after a unit that is not counted; its parts."""
    units = list(shared_part().units(model_version()))
    work(units[0])
    begin = time.process_time()
    rows = [work(unit) for unit in units[1:]]
    spent = time.process_time() - begin
    return spent, [encode(unit.key, found) for unit, found in zip(units[1:], rows, strict=True)]


def sharing() -> Iterator[str]:
    """CPU seconds of a part of the shipped study, unit by unit and with what units share."""
    found = []
    for work in (evaluate, evaluate_in_turn):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found.append(pool.submit(seconds_of, work).result())
    (alone, parts), (shared, others) = found
    assert parts == others
    yield (
        f"{len(parts)} units, all proven: {alone:.1f} s one by one, {shared:.1f} s sharing: "
        f"{alone / shared:.2f} times as fast, equal bytes"
    )


def fronts() -> Iterator[str]:
    """Seconds for the front of a million rows, of independent and of opposed objectives."""
    draw = np.random.default_rng(0)
    for objectives in (2, 3, 4, 5):
        names = list("abcde"[:objectives])
        tables = {
            "independent": draw.random((ROWS, objectives)),
            "opposed": draw.dirichlet([1.0] * objectives, ROWS),
        }
        for kind, values in tables.items():
            if kind == "opposed" and objectives > 3:
                continue  # every row is on the front, and compared with every other
            frame = pd.DataFrame(values, columns=names)
            pareto_mask(frame.head(5000), names)
            begin = time.perf_counter()
            size = int(pareto_mask(frame, names).sum())
            spent = time.perf_counter() - begin
            yield f"{ROWS:,} rows x {objectives} {kind}: {size:,} on the front, {spent:.2f} s"


BENCHMARKS = (memory, throughput, sharing, fronts)
