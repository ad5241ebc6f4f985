"""``python -m benchmarks [NAME]...``: benchmarks, all by default, one line a figure.

``python -m benchmarks portability --programs N`` is a test instead: see `benchmarks.portability`;
so is ``python -m benchmarks steps``: see `benchmarks.steps`.

Figures depend on the machine; ratios of two figures of one run do not. Everything is warmed up
first, so that neither compilation nor caches are measured; `cold` measures just these, and `start`
what the commands take before they work.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from clingo import Symbol

from benchmarks import cold, large, portability, start, steps, sweeps
from explorer.embedding.counting import count_answers
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import answers
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance
from explorer.embedding.metrics import Wishes
from explorer.embedding.rule_files import profiles
from explorer.layout.design import Design, designs
from explorer.operators import resolve
from explorer.operators.workloads import catalogue
from explorer.preference.outcome import optimize
from explorer.preference.parsing import wish
from explorer.preference.problem import Problem
from explorer.program import verification
from explorer.ranking import explore
from explorer.ranking.best_first import rank
from explorer.schedule.lowering import Code, lower
from explorer.schedule.search import extent, points, search
from isa.computation import Computation, Operator
from isa.config import Config
from simulator import timing

CONFIG = Config.default()
SPEECH = "deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2"
VISION = "deepbench:conv/server/n1_c3_h224_w224_k64_r7_s7_p3x3_st2x2"
DEEP = "deepbench:conv/server/n1_c512_h7_w7_k512_r3_s3_p1x1_st1x1"
LAYERS = (SPEECH, VISION, DEEP)


def seconds(work: Callable[[], object], repeat: int = 3) -> float:
    """The least wall time of several runs, after one that is not counted."""
    work()
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def enumeration() -> Iterator[str]:
    """Answers a second, by clingo alone and as typed embeddings."""
    intrinsic = explore.gemm_intrinsic(CONFIG)
    for name in LAYERS:
        operator = resolve(name).computation
        facts = instance(operator, intrinsic, tuple(CLASSES))
        count = count_answers(facts)
        bare = seconds(partial(count_answers, facts))
        typed = seconds(partial(_typed, operator, facts))
        yield (
            f"{name}: {count} answers, {count / bare:,.0f}/s by clingo, "
            f"{count / typed:,.0f}/s typed ({typed / bare:.2f} times as long)"
        )


def _typed(operator: Computation, facts: Sequence[Symbol]) -> list[Embedding]:
    return list(answers(operator, explore.gemm_intrinsic(CONFIG), facts))


def functional() -> Iterator[str]:
    """Micro-ops a second of the functional simulator, on a whole layer of over 300 M MAC."""
    operator = resolve("conv2d:n=4,c=64,h=56,w=56,k=64,r=3,s=3,pad=1")
    code = _program(operator, "reference")
    data = verification.random_data(operator)
    uops = timing.simulate(CONFIG, code.table).gemm_uops
    spent = seconds(lambda: verification.run(code, data))
    macs = operator.computation.macs
    yield f"{operator.name}: {macs:,} MAC, {uops / spent:,.0f} GEMM micro-ops/s"


def cycle_model() -> Iterator[str]:
    """Instructions a second of the cycle model."""
    table = _program(resolve(SPEECH), "reference").table
    spent = seconds(lambda: timing.simulate(CONFIG, table))
    yield f"{len(table)} instructions, {len(table) / spent:,.0f}/s"


def _program(operator: Operator, name: str) -> Code:
    embedding = explore.find(operator, CONFIG, name)
    return explore.evaluate(
        operator, CONFIG, embedding, fixed_layout=name == "reference", effort=1
    ).code


def schedules() -> Iterator[str]:
    """Points of the schedule space bounded a second, and programs lowered and simulated."""
    intrinsic = explore.gemm_intrinsic(CONFIG)
    for name in LAYERS:
        operator = resolve(name)
        embedding = explore.find(operator, CONFIG, "reference")
        design = next(iter(designs(operator, CONFIG, intrinsic, embedding)))
        found = list(points(design))
        bounded = seconds(partial(_first_point, design))
        best = found[0][1]
        lowered = seconds(partial(lower, design, best))
        proof = search(design)
        proven = seconds(partial(search, design), repeat=1)
        yield (
            f"{name}: {len(found) / bounded:,.0f} points/s bounded, {1 / lowered:,.0f} programs/s "
            f"lowered; optimum proven by {proof.simulated} simulations in {proven:.2f} s"
        )


def _first_point(design: Design) -> object:
    return next(points(design))


def rankings() -> Iterator[str]:
    """Wall time of the proven top ten, and of a program for every embedding."""
    for name in LAYERS:
        operator = resolve(name)
        found = explore.embeddings(operator, CONFIG, DEFAULT_CLASSES)
        top = seconds(partial(_top, operator), repeat=1)
        every = seconds(partial(rank, operator, CONFIG, found, top=None, effort=1), repeat=1)
        intrinsic = explore.gemm_intrinsic(CONFIG)
        schedules = sum(
            extent(design).points
            for embedding in found
            for design in designs(operator, CONFIG, intrinsic, embedding)
        )
        yield (
            f"{name}: top 10 of every class in {top:.2f} s, embeddings found as they are needed; "
            f"all {len(found)} of the default classes in {every:.1f} s, "
            f"{schedules / every / 1e6:.1f} M schedules/s"
        )


def _top(operator: Operator) -> None:
    rank(operator, CONFIG, explore.ascending(operator, CONFIG, tuple(CLASSES)))


def convolutions() -> Iterator[str]:
    """Wall time and memory of the proven top ten, of every class, of DeepBench's convolutions."""
    spent = []
    for entry in catalogue("deepbench:conv"):
        begin = time.perf_counter()
        operator = resolve(entry.reference)
        _top(operator)
        spent.append(time.perf_counter() - begin)
    spent.sort()
    yield (
        f"{len(spent)} layers in {sum(spent):.0f} s; median {spent[len(spent) // 2]:.2f} s, "
        f"slowest {spent[-1]:.2f} s; this process had "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most"
    )


def preferences() -> Iterator[str]:
    """Seconds to a proven optimum of each profile, and to a proven front of three objectives."""
    for name in LAYERS:
        operator = resolve(name)
        found = []
        for profile in profiles():
            wishes = wish(operator, CONFIG, profile=profile)
            spent = seconds(partial(_proven, operator, wishes), 1)
            found.append(f"{profile} {spent:.1f} s")
        wishes = wish(operator, CONFIG, objectives="steps,footprint,transform")
        spent = seconds(partial(_proven, operator, wishes), 1)
        yield f"{name}: {', '.join(found)}, front {spent:.1f} s"


def _proven(operator: Operator, wishes: Wishes) -> None:
    best = optimize(Problem(operator, CONFIG, wishes)).best
    assert best.proven


BENCHMARKS = (
    cold.cold,
    start.start,
    enumeration,
    functional,
    cycle_model,
    schedules,
    rankings,
    convolutions,
    large.large,
    preferences,
    *sweeps.BENCHMARKS,
)


def main(names: Sequence[str]) -> None:
    """Run the benchmarks of these names, or every one."""
    for benchmark in BENCHMARKS:
        if names and benchmark.__name__ not in names:
            continue
        print(f"{benchmark.__name__}: {(benchmark.__doc__ or '').splitlines()[0]}")
        for line in benchmark():
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [portability.__name__.rpartition(".")[2]]:
        sys.exit(portability.main(sys.argv[2:]))
    if sys.argv[1:2] == [steps.__name__.rpartition(".")[2]]:
        sys.exit(steps.main(sys.argv[2:]))
    main(sys.argv[1:])
