"""Random programs, executed as each of VTA's implementations: all must leave the direct result.

Programs are numbered, and a number always stands for the same program. They go through every
combination of a class of embeddings, an epilogue and a configuration in turn. Operators are small
and schedules random, so that tiles are cut short, buffers change over and everything is reused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.virtual_loops import nest
from explorer.layout.design import Design, designs
from explorer.operators.kinds import construct
from explorer.program import verification
from explorer.program.stepwise import utilisation
from explorer.ranking import explore
from explorer.schedule.dma import Infeasible
from explorer.schedule.lowering import Code, lower
from explorer.schedule.space import Schedule, output_loops
from isa.computation import Computation, Operator
from isa.config import Config
from simulator.implementations import Implementation
from simulator.lint import lint

PLAIN = "tile"
KINDS = (PLAIN, *CLASSES)
EPILOGUES: tuple[dict[str, object], ...] = (
    {"shift": 0, "clip": False},
    {"shift": 9},
    {"shift": 18, "relu": True},
    {"bias": True, "shift": 5},
    {"residual": True, "shift": 7, "relu": True},
    {"bias": True, "residual": True, "relu": True, "shift": 16},
)
CONFIGS = ("default", "block8", "chisel32", "half")
COMBINATIONS = tuple(product(KINDS, EPILOGUES, CONFIGS))
_OPERATORS = 40  # to draw from, for each configuration
_ATTEMPTS = 200
_REPORT_EVERY = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A program of the test.

    Attributes:
        number: which it is.
        kind: the class of embeddings it is drawn from.
        config: the preset.
        code: the program.
    """

    number: int
    kind: str
    config: str
    code: Code

    @property
    def tiles(self) -> int:
        """Tiles that the schedule cuts the operator in."""
        loops = self.code.design.nest.outer
        counts = [
            -(-loop.extent // tile)
            for loop, tile in zip(loops, self.code.schedule.tile, strict=True)
        ]
        return int(np.prod(counts, dtype=np.int64))

    @property
    def is_rich(self) -> bool:
        """Whether there are several tiles, and a bias or a residual."""
        design = self.code.design
        return self.tiles > 1 and bool(design.spread or design.dense)


def case(number: int) -> Case:
    """The program of a number; with a bias or a residual it has more than one tile."""
    kind, epilogue, name = COMBINATIONS[number % len(COMBINATIONS)]
    rng, config = np.random.default_rng(number), Config.load(name)
    added = bool(epilogue.get("bias") or epilogue.get("residual"))
    choices = _choices(name)[kind]
    for _ in range(_ATTEMPTS):
        operator, arguments, embeddings = choices[int(rng.integers(len(choices)))]
        whole = construct("random", operator, arguments | epilogue)
        embedding = embeddings[int(rng.integers(len(embeddings)))]
        found = list(designs(whole, config, explore.gemm_intrinsic(config), embedding))
        design = found[int(rng.integers(len(found)))]
        try:
            made = Case(number, kind, name, lower(design, _schedule(rng, design)))
        except Infeasible:
            continue
        if made.tiles > 1 or not added:
            return made
    raise AssertionError(f"no program of {kind} with {epilogue} on {name}")


def _schedule(rng: np.random.Generator, design: Design) -> Schedule:
    extents = [loop.extent for loop in design.nest.outer]
    outputs = output_loops(design)
    reductions = [i for i in range(len(extents)) if i not in outputs]
    order = [*rng.permutation(outputs), *rng.permutation(reductions)]
    return Schedule(
        tuple(int(rng.integers(1, n + 1)) for n in extents),
        tuple(map(int, order)),
        int(rng.integers(1, 3)),
        int(rng.integers(1, 3)),
    )


Choice = tuple[str, dict[str, object], list[Embedding]]
"""The kind of an operator, its arguments, and embeddings of one class."""


@cache
def _choices(name: str) -> dict[str, list[Choice]]:
    """For each class, operators with embeddings of it in a configuration."""
    config, rng = Config.load(name), np.random.default_rng(len(name))
    found: dict[str, list[Choice]] = {kind: [] for kind in KINDS}
    for _ in range(_OPERATORS):
        operator, arguments = _operator(rng, config)
        computation = construct("random", operator, arguments).computation
        intrinsic = explore.gemm_intrinsic(config)
        by_kind: dict[str, list[Embedding]] = {}
        for embedding in enumerate_embeddings(computation, intrinsic, tuple(CLASSES)):
            for kind in _kinds(embedding, computation, intrinsic):
                by_kind.setdefault(kind, []).append(embedding)
        for kind, embeddings in by_kind.items():
            found[kind].append((operator, arguments, embeddings))
    return found


def _kinds(
    embedding: Embedding, computation: Computation, intrinsic: Computation
) -> tuple[str, ...]:
    """The classes of an embedding; plain tiles that are not full are padded."""
    if embedding.classes != (PLAIN,):
        return embedding.classes
    steps = nest(embedding, computation).steps
    return (PLAIN,) if utilisation(computation, intrinsic, steps) == 1 else ("padded",)


def _operator(rng: np.random.Generator, config: Config) -> tuple[str, dict[str, object]]:
    """A small operator: a matrix product or a convolution, of blocks that are cut short or not."""
    block = config.block_in
    wide = (1, 3, block // 2, block, block, block + 3, 2 * block, 2 * block)
    kinds = ("gemm", "conv1d", "conv2d", "depthwise")
    kind = kinds[int(rng.integers(len(kinds)))]
    if kind == "gemm":
        return kind, {"m": _draw(rng, (1, 4, 7)), "n": _draw(rng, wide), "k": _draw(rng, wide)}
    arguments: dict[str, object] = {"n": 1, "c": _draw(rng, wide), "pad": _draw(rng, (0, 1))}
    arguments |= {"w": _draw(rng, (3, 4, 6)), "s": _draw(rng, (1, 2, 3))}
    if kind != "depthwise":
        arguments["k"] = _draw(rng, wide)
    if kind != "conv1d":
        arguments |= {"h": _draw(rng, (3, 5)), "r": _draw(rng, (1, 3))}
    arguments["stride"] = _draw(rng, (1, 1, 2))
    return kind, arguments


def _draw(rng: np.random.Generator, values: Sequence[int]) -> int:
    return values[int(rng.integers(len(values)))]


def faults(made: Case) -> list[str]:
    """What is wrong with a program: nothing, if it does as it should everywhere."""
    code = made.code
    operator: Operator = code.design.operator
    data = verification.random_data(operator, made.number)
    expected = verification.direct(operator, data)
    outputs = verification.run_everywhere(code, data)
    wrong = [name.value for name, found in outputs.items() if not np.array_equal(found, expected)]
    missing = [name.value for name in Implementation if name not in outputs]
    return [*wrong, *missing, *(finding.rule for finding in lint(code.program))]


def main(arguments: Sequence[str]) -> int:
    """``python -m benchmarks portability``: 1 if a program is wrong."""
    parser = argparse.ArgumentParser("python -m benchmarks portability", description=main.__doc__)
    parser.add_argument("--programs", type=int, default=len(COMBINATIONS), metavar="N")
    parser.add_argument("--state", type=Path, metavar="FILE", help="what is done; goes on from it")
    options = parser.parse_args(arguments)
    state: dict[str, int] = {}
    if options.state is not None and options.state.exists():
        state = json.loads(options.state.read_text(encoding="utf-8"))
    counts, begin = Counter(state), time.monotonic()
    for number in range(counts["programs"], options.programs):
        made = case(number)
        wrong = faults(made)
        if wrong:
            print(f"program {number}, {made.kind} on {made.config}: {', '.join(wrong)}")
        counts.update(["programs", f"class {made.kind}", f"on {made.config}"])
        counts.update({"wrong": bool(wrong), "rich": made.is_rich})
        if (number + 1) % _REPORT_EVERY == 0 or number + 1 == options.programs:
            spent = time.monotonic() - begin
            print(f"{number + 1:,} programs, {spent:.0f} s", file=sys.stderr, flush=True)
            if options.state is not None:
                options.state.write_text(json.dumps(counts), encoding="utf-8")
    names = ", ".join(Implementation)
    print(f"{counts['programs']:,} programs as {names}: {counts['wrong']:,} are wrong somewhere")
    print(f"{counts['rich']:,} have several tiles and a bias or residual")
    for key, count in sorted(counts.items()):
        if " " in key:
            print(f"  {key}: {count:,}")
    return int(counts["wrong"] > 0)
