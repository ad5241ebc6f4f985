"""Terms and steps of operators as programs: random ones, and half-even rounding over all its ties.

``python -m benchmarks steps --operators N`` executes operators of random terms and steps as each of
VTA's implementations; ``--halves`` rounds every tie of a magnitude up to 2^20, the values beside
them, both ends of the range and 10^6 random values, for each shift from 1 to 30. Equal numbers
stand for equal programs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.ids import parse
from explorer.embedding.joint import Joint
from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import designs
from explorer.operators.kinds import construct
from explorer.operators.stages import check_stages, tensor_of
from explorer.program import verification
from explorer.ranking import explore
from explorer.schedule.dma import Infeasible
from explorer.schedule.lowering import Code, lower
from explorer.schedule.space import Schedule, output_loops
from isa.computation import (
    ROUNDINGS,
    Add,
    Affine,
    Max,
    Min,
    Operator,
    Shift,
    Stage,
    Step,
    Tensor,
    Term,
)
from isa.config import Config
from isa.errors import InputError
from simulator.lint import lint

CONFIG = Config.default()
SHIFTS = range(1, 31)
TIES = 2**20
RANDOM = 10**6
_CHANNELS = 20


def operator(number: int) -> Operator:
    """The operator of a number: one to four small products and up to six steps between them.

    Every second one has one product, and every fifth one is a sum of two tensors, a mean of windows
    or a copy, with steps behind it; all steps can be made exactly.
    """
    rng = np.random.default_rng(number)
    rows, terms = int(rng.integers(1, 5)), int(rng.integers(2, 5)) if number % 2 else 1
    if number % 5 == 4:
        base, terms = _moved(rng, rows), 1
        others: list[Operator] = []
    else:
        base, *others = (_product(rng, rows, place) for place in range(terms))
    while True:
        steps = [_step(rng, base, place) for place in range(int(rng.integers(1, 7)))]
        stages: list[Stage] = [*steps]
        for other in others:
            stages.insert(int(rng.integers(len(stages) + 1)), other.terms[0])
        kept = base.stages if number % 5 == 4 else base.stages[:1]
        found = replace(base, stages=(*kept, *stages))
        try:
            check_stages(found, "random")
        except InputError:
            continue
        return found


def _moved(rng: np.random.Generator, rows: int) -> Operator:
    """A sum of two tensors, a mean of windows, or a copy; channels are called c."""
    sizes = {"n": 1, "c": _CHANNELS, "h": rows, "w": 4}
    shifts = [int(number) for number in rng.integers(0, 9, 2)]
    kinds: tuple[tuple[str, dict[str, object]], ...] = (
        ("add", {**sizes, "lhs_left": shifts[0], "rhs_left": shifts[1], "clip": False}),
        ("average_pool", {**sizes, "h": 2 * rows, "r": 2, "s": 1 << shifts[0] % 3}),
        ("copy", {**sizes, "source": "NHWC", "target": "NCHW"}),
        ("copy", {**sizes, "source": "NHWC", "target": "NCHW", "mix": "c"}),
    )
    kind, arguments = kinds[int(rng.integers(len(kinds)))]
    return construct("random", kind, arguments)


def _product(rng: np.random.Generator, rows: int, place: int) -> Operator:
    """A product over up to 40 reductions; names of tensors tell its place."""
    sizes = {"m": rows, "n": _CHANNELS, "k": int(rng.integers(1, 41))}
    made = construct("random", "gemm", sizes)
    term = made.terms[0].computation
    in0, in1 = (replace(t, name=f"{t.name}{place}") for t in (term.in0, term.in1))
    return replace(made, stages=(Term(replace(term, in0=in0, in1=in1)),))


def embedding(made: Operator, number: int) -> AnyEmbedding:
    """Channels on y, and of each term's reductions as many on z as the number says.

    What moves channels as they are has as many on both.
    """
    rng = np.random.default_rng(number)
    found = []
    if made.kind != "gemm":
        lanes = int(rng.integers(2, 17))
        mixed = "rc" in made.computation.extents
        text = f"y=c:16/z=rc:{lanes}" if mixed else f"y+z=c:{lanes}"
        return parse(text, made.computation, explore.gemm_intrinsic(CONFIG))
    for term in made.terms:
        depth = term.computation.extents["k"]
        text = f"y=n:16/z=k:{int(rng.integers(2, min(depth, 16) + 1))}" if depth > 1 else "y=n:16"
        found.append(parse(text, term.computation, explore.gemm_intrinsic(CONFIG)))
    return Joint(tuple(found)) if len(found) > 1 else found[0]


def _step(rng: np.random.Generator, base: Operator, place: int) -> Step:
    """A random step; names of tensors tell its place."""
    name = "n" if base.kind == "gemm" else "c"
    channels = Tensor(f"t{place}", (_CHANNELS,), (Affine.of({name: 1}),), "N")
    rounding = ROUNDINGS[int(rng.integers(3))]
    low, high = sorted(rng.integers(-8, 21, 2).tolist())
    whole = Add(replace(base.out, name=f"t{place}"), 8, int(rng.integers(0, 5)))
    choices: tuple[Step, ...] = (
        Add(int(rng.integers(-(2**18), 2**18))),
        Add(channels, int(rng.integers(2, 24))),
        whole,
        Shift(int(rng.integers(-8, 21)), rounding),
        Shift(channels, rounding, (low, high)),
        Max(int(rng.integers(-(2**17), 100))),
        Min(int(rng.integers(-100, 2**17))),
    )
    return choices[int(rng.integers(len(choices)))]


def code(made: Operator, number: int) -> Code:
    """A program under a random schedule, tensors added in one of the ways there are."""
    rng = np.random.default_rng(number)
    intrinsic = explore.gemm_intrinsic(CONFIG)
    found = list(designs(made, CONFIG, intrinsic, embedding(made, number)))
    design = found[int(rng.integers(len(found)))]
    extents = [loop.extent for loop in design.nest.outer]
    outputs = output_loops(design)
    order = (*outputs, *(i for i in range(len(extents)) if i not in outputs))
    while True:
        # What only further terms run over is in each tile whole.
        tile = tuple(
            int(rng.integers(1, min(extent, 256) + 1)) if tiled else extent
            for extent, tiled in zip(extents, design.own_loops[0], strict=True)
        )
        try:
            return lower(design, Schedule(tile, order, 1, int(rng.integers(1, 3))))
        except Infeasible:
            continue


def data(made: Operator, number: int) -> verification.Data:
    """Random tensors; of every second pair of numbers, what steps take is all that it may be."""
    given: dict[str, NDArray[np.generic]] = {}
    rng = np.random.default_rng(number)
    for step in made.steps if number // 2 % 2 else ():
        tensor = tensor_of(step)
        if tensor is not None:
            low, high = verification.value_range(step)
            values = rng.integers(low, high + 1, tensor.shape)
            given[tensor.name] = values.astype(verification.value_type(step))
    return verification.complete(made, given, number)


def faults(number: int) -> list[str]:
    """What is wrong with the program of a number."""
    made = operator(number)
    program = code(made, number)
    verdict = verification.verify(program, data(made, number), accumulators=False)
    wrong = [] if verdict.exact else [f"{verdict.wrong} outputs"]
    return [*wrong, *(finding.rule for finding in lint(program.program))]


def halves(by: int, ties: int, random: int) -> NDArray[np.int32]:
    """Ties of a shift up to a magnitude, what is beside them, the ends, and random values."""
    half, end = 1 << (by - 1), 2**31 - 3 * (1 << (by - 1))
    count = max(ties >> by, 2)
    middle = half + (np.arange(-count, count, dtype=np.int64) << by)
    drawn = np.random.default_rng(by).integers(-(2**31), end + 1, random)
    ends = np.array([-(2**31), 1 - 2**31, end - 1, end])
    values = np.concatenate([middle - 1, middle, middle + 1, ends, drawn])
    return values[(values >= -(2**31)) & (values <= end)].astype(np.int32)


def wrong_halves(by: int, ties: int, random: int) -> tuple[int, int]:
    """Values that a program rounds, and how many of them come out wrong in any byte."""
    values = halves(by, ties, random)
    rows = -(-len(values) // 16)
    base = construct("halves", "gemm", {"m": rows, "n": 16, "k": 1})
    # The values come in as a tensor; the limit, which changes none, is what proves their range.
    limit = Min(2**31 - 3 * (1 << (by - 1)))
    added = Add(replace(base.out, name="values"))
    table = np.resize(values, (rows, 16))
    wrong = 0
    for byte in range(4):
        steps = (added, limit, Shift(by, "half-even"), Shift(8 * byte))
        made = replace(base, stages=(*base.stages[:1], *steps))
        zeros = np.zeros((rows, 1), np.int8)
        given = verification.complete(made, {"in0": zeros, "values": table})
        wrong += verification.verify(code(made, by), given, accumulators=False).wrong
    return len(values), wrong


def main(arguments: Sequence[str]) -> int:
    """``python -m benchmarks steps``: 1 if a program is wrong."""
    parser = argparse.ArgumentParser("python -m benchmarks steps", description=main.__doc__)
    parser.add_argument("--operators", type=int, default=200, metavar="N")
    parser.add_argument("--halves", action="store_true", help="round all ties up to 2^20 instead")
    options = parser.parse_args(arguments)
    total = 0
    if options.halves:
        for by in SHIFTS:
            count, wrong = wrong_halves(by, TIES, RANDOM)
            print(f"half-even by {by}: {count:,} values, {wrong:,} are wrong", flush=True)
            total += wrong
        return int(total > 0)
    for number in range(options.operators):
        found = faults(number)
        if found:
            print(f"operator {number}: {', '.join(map(str, operator(number).steps))}: {found}")
        total += bool(found)
    print(f"{options.operators:,} operators with random steps: {total:,} are wrong somewhere")
    return int(total > 0)
