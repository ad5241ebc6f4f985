"""The story from top to bottom: facts, answer sets, layouts, schedule, program, simulation.

`embeddings` asks clingo, `evaluate` finds the best design and schedule of one embedding and times
its program, `verify` executes the program and compares every bit with the operator's direct result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from simulator.reference import accumulate, epilogue

from explorer.codegen import Code, lower
from explorer.design import Design, designs, reference_design
from explorer.embedding import Embedding, parse
from explorer.facts import DEFAULT_CLASSES
from explorer.schedule.bound import lower_bound
from explorer.schedule.search import Scheduled, best_schedule
from explorer.solve import enumerate_embeddings, is_legal, reference_embedding
from isa import intrinsics
from isa.computation import Computation, Epilogue, Operator
from isa.config import Config
from isa.errors import InputError
from simulator.functional import run as execute


def gemm_intrinsic(config: Config) -> Computation:
    """VTA's GEMM instruction with the configuration's axis extents."""
    return intrinsics.load("vta_gemm", config.axes)


def embeddings(
    operator: Operator,
    config: Config,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
) -> list[Embedding]:
    """Every embedding of an operator, as `explorer.solve.enumerate_embeddings` gives them.

    Raises:
        InputError: there is none under these options.
    """
    found = enumerate_embeddings(
        operator.computation,
        gemm_intrinsic(config),
        classes,
        all_tiles=all_tiles,
        maximal=maximal,
    )
    if not found:
        raise InputError(
            operator.name, "", "/".join(classes), "no embedding is legal with these classes alone"
        )
    return found


def reference(operator: Operator, config: Config) -> Embedding:
    """TVM's fixed embedding of the operator."""
    return reference_embedding(operator.computation, gemm_intrinsic(config))


def find(operator: Operator, config: Config, text: str) -> Embedding:
    """The embedding of an id (or of the word ``reference``).

    Raises:
        InputError: the text is no id, or no legal embedding.
    """
    if text == "reference":
        return reference(operator, config)
    intrinsic = gemm_intrinsic(config)
    embedding = parse(text, operator.computation, intrinsic)
    if not is_legal(embedding, operator.computation, intrinsic):
        raise InputError(
            "embedding", "", text, f"it is no legal embedding of {operator.name}; see enumerate"
        )
    return embedding


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An embedding with its best design and schedule; `scheduled` is None if none fits.

    Attributes:
        embedding: what was evaluated.
        bound: cycles that no schedule of any of its designs undercuts.
        scheduled: the best program found, with its simulated timing.
    """

    embedding: Embedding
    bound: int
    scheduled: Scheduled | None

    @property
    def design(self) -> Design:
        """The design of the best program."""
        return self.code.design

    @property
    def code(self) -> Code:
        """The best program.

        Raises:
            InputError: no schedule fits the scratchpads.
        """
        if self.scheduled is None:
            raise InputError("embedding", "", self.embedding.id, "no schedule fits the scratchpads")
        return self.scheduled.code


def bound(operator: Operator, config: Config, embedding: Embedding) -> int:
    """Cycles that no schedule of the embedding undercuts."""
    intrinsic = gemm_intrinsic(config)
    return min(lower_bound(d) for d in designs(operator, config, intrinsic, embedding))


def evaluate(
    operator: Operator, config: Config, embedding: Embedding, *, fixed_layout: bool = False
) -> Evaluation:
    """The best program of an embedding over its layouts and schedules.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        embedding: how it is laid onto the instruction.
        fixed_layout: use the reference's layouts (the same schedule search), not the best ones.
    """
    intrinsic = gemm_intrinsic(config)
    if fixed_layout:
        choices = [reference_design(operator, config, intrinsic, embedding)]
    else:
        choices = list(designs(operator, config, intrinsic, embedding))
    best: Scheduled | None = None
    least = min(map(lower_bound, choices))
    for design in sorted(choices, key=lower_bound):
        if best is not None and lower_bound(design) >= best.cycles:
            continue
        found = best_schedule(design)
        if found is not None and (best is None or found.cycles < best.cycles):
            best = found
    return Evaluation(embedding, least, best)


# ------------------------------------------------------------------------------ verification


@dataclass(frozen=True, slots=True)
class Verdict:
    """What executing a program on random data showed.

    Attributes:
        outputs: int8 outputs compared.
        wrong: of those, how many differ from the direct result.
        accumulators: int32 accumulators compared, 0 when they were not.
        wrong_accumulators: of those, how many differ.
    """

    outputs: int
    wrong: int
    accumulators: int = 0
    wrong_accumulators: int = 0

    @property
    def exact(self) -> bool:
        """Whether every bit agrees."""
        return self.wrong == 0 and self.wrong_accumulators == 0


@dataclass(frozen=True, slots=True)
class Data:
    """Logical tensors for one run, and the operator's direct result before the epilogue."""

    in0: NDArray[np.int8]
    in1: NDArray[np.int8]
    bias: NDArray[np.int32] | None
    accumulated: NDArray[np.int32]


def random_data(operator: Operator, seed: int = 0) -> Data:
    """Random tensors over the whole int8 range, and their direct result."""
    rng = np.random.default_rng(seed)
    computation = operator.computation
    in0 = rng.integers(-128, 128, computation.in0.shape, np.int8)
    in1 = rng.integers(-128, 128, computation.in1.shape, np.int8)
    shape = operator.epilogue.bias.shape if operator.epilogue.bias else None
    bias = rng.integers(-(2**20), 2**20, shape, np.int32) if shape is not None else None
    return Data(in0, in1, bias, accumulate(computation, in0, in1))


def run(code: Code, data: Data) -> NDArray[np.int8]:
    """Pack the tensors, execute the binary, unpack the output."""
    design = code.design
    by_role = {"in0": data.in0, "in1": data.in1}
    sections: dict[str, NDArray[np.generic]] = {}
    for name, layout in (("INP", design.inp), ("WGT", design.wgt)):
        assert layout.role is not None
        sections[name] = layout.pack(by_role[layout.role])
    if design.bias is not None and data.bias is not None:
        sections["ACC"] = design.bias.pack(data.bias)
    program = code.program
    result = execute(program, sections)
    return design.acc.unpack(program.output(result.image)).astype(np.int8)


def verify(code: Code, data: Data, *, accumulators: bool = True) -> Verdict:
    """Execute a program and compare its outputs, and its accumulators, bit for bit.

    VTA stores bytes only. To see the accumulators, the same design and schedule runs four more
    times with an epilogue that stores one byte of each.
    """
    operator = code.design.operator
    expected = epilogue(operator.epilogue, data.accumulated, data.bias, operator.computation)
    wrong = int((run(code, data) != expected).sum())
    if not accumulators:
        return Verdict(expected.size, wrong)
    found = np.zeros(expected.shape, np.uint32)
    for byte in range(4):
        shifted = replace(operator.epilogue, shift=8 * byte, relu=False, clip=None)
        design = replace(
            code.design, operator=replace(operator, epilogue=shifted), fixed_order=True
        )
        part = run(lower(design, code.schedule), data).view(np.uint8).astype(np.uint32)
        found |= part << np.uint32(8 * byte)
    raw = _biased(operator, data)
    return Verdict(expected.size, wrong, expected.size, int((found.view(np.int32) != raw).sum()))


def _biased(operator: Operator, data: Data) -> NDArray[np.int32]:
    """The accumulators with the bias, before shift and clip, reassembled from their bytes."""
    value = np.zeros(data.accumulated.shape, np.uint32)
    for byte in range(4):
        shifted = Epilogue(shift=8 * byte, bias=operator.epilogue.bias, clip=None)
        part = epilogue(shifted, data.accumulated, data.bias, operator.computation)
        value |= part.view(np.uint8).astype(np.uint32) << np.uint32(8 * byte)
    return value.view(np.int32)
