"""Executing programs on random tensors; every bit is compared with the direct result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.operators.stages import tensor_of
from explorer.program import memory
from explorer.schedule.lowering import Code, lower
from isa.computation import Add, Epilogue, Operator, Shift, Step, Tensor
from simulator.functional import run as execute
from simulator.implementations import Implementation, admitted
from simulator.interleaving import PROGRAM, Interleaving
from simulator.reference import accumulate, stepped

RANDOM_LIMIT = 2**20
"""Random values of steps' tensors stay below, so that sums of products matter beside them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What executing a program on random data showed.

    Attributes:
        outputs: int8 outputs compared.
        wrong: of those, how many differ from the direct result.
        accumulators: int32 accumulators compared, 0 when they were not.
        wrong_accumulators: of those, how many differ.
        implementations: as which of VTA's the program was executed; one that differs is enough for
            an element to be wrong.
    """

    outputs: int
    wrong: int
    accumulators: int = 0
    wrong_accumulators: int = 0
    implementations: tuple[Implementation, ...] = tuple(Implementation)

    @property
    def exact(self) -> bool:
        """Whether every bit agrees."""
        return self.wrong == 0 and self.wrong_accumulators == 0


@dataclass(frozen=True, slots=True)
class Data:
    """Logical tensors for one run, and the operator's direct result before its steps.

    Attributes:
        in0, in1: the inputs of the product.
        taken: what the steps take, by the tensors' names.
        accumulated: the products' sums.
    """

    in0: NDArray[np.int8]
    in1: NDArray[np.int8]
    taken: Mapping[str, NDArray[np.signedinteger[Any]]]
    accumulated: NDArray[np.int32]


def random_data(operator: Operator, seed: int = 0) -> Data:
    """Random tensors over the whole int8 range, and their direct result."""
    return complete(operator, {}, seed)


def complete(operator: Operator, given: Mapping[str, NDArray[np.generic]], seed: int = 0) -> Data:
    """The given tensors, random ones in place of those left out, and their direct result.

    A tensor that is left out is the same whichever others are given.

    Args:
        operator: what is computed.
        given: tensors by ``in0``, ``in1`` or the name of one that a step takes, of the right types
            and shapes.
        seed: of the random ones.

    Raises:
        InputError: this machine has not enough memory for the operator's tensors.
    """
    memory.check(operator)
    rng = np.random.default_rng(seed)
    computation = operator.computation
    in0 = rng.integers(-128, 128, computation.in0.shape, np.int8)
    in1 = rng.integers(-128, 128, computation.in1.shape, np.int8)
    random: dict[str, NDArray[Any]] = {"in0": in0, "in1": in1}
    for step in operator.steps:
        tensor = tensor_of(step)
        if tensor is not None:
            low, high = value_range(step)
            low, high = max(low, -RANDOM_LIMIT), min(high, RANDOM_LIMIT - 1)
            random[tensor.name] = rng.integers(low, high + 1, tensor.shape, value_type(step))
    in0, in1 = (given.get(name, random.pop(name)) for name in ("in0", "in1"))
    taken = {name: given.get(name, array) for name, array in random.items()}
    return Data(in0, in1, taken, accumulate(computation, in0, in1))


def value_range(step: Step) -> tuple[int, int]:
    """Between which values, both inclusive, a step's tensor may lie."""
    if isinstance(step, Shift):
        return step.span
    assert isinstance(step, Add)
    return -(2 ** (step.bits - 1)), 2 ** (step.bits - 1) - 1


def value_type(step: Step) -> type[np.int8] | type[np.int32]:
    """The type of a step's tensor: the lesser of the two that holds its values."""
    return np.int32 if isinstance(step, Add) and step.bits > 8 else np.int8


def direct(operator: Operator, data: Data) -> NDArray[np.int8]:
    """The operator's output by its definition."""
    return after(operator, operator.steps, data).astype(np.int8)


def after(operator: Operator, steps: Iterable[Step], data: Data) -> NDArray[np.int32]:
    """The accumulators after some steps, by their definitions."""
    values = data.accumulated
    for step in steps:
        values = stepped(step, values, data.taken, operator.computation)
    return values


def packed(code: Code, data: Data) -> dict[str, NDArray[np.generic]]:
    """The tensors as a program reads them, by section."""
    design = code.design
    by_role = {"in0": data.in0, "in1": data.in1}
    sections: dict[str, NDArray[np.generic]] = {}
    for name, layout in (("INP", design.inp), ("WGT", design.wgt)):
        assert layout.role is not None
        sections[name] = layout.pack(by_role[layout.role])
    alu = design.alu
    parts = (("ACC", design.spread, alu.spread), ("ACC_BIS", design.dense, alu.dense))
    for name, layouts, vectors in parts:
        if layouts:
            values = (vector.values(data.taken) for vector in vectors)
            each = [layout.pack(array) for layout, array in zip(layouts, values, strict=True)]
            # A single tensor keeps its shape; several stand one after the other.
            sections[name] = (
                each[0] if len(each) == 1 else np.concatenate([a.ravel() for a in each])
            )
    return sections


def run(
    code: Code,
    data: Data,
    *,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
) -> NDArray[np.int8]:
    """Pack the tensors, execute the binary as an implementation does, unpack the output."""
    program = code.program
    result = execute(
        program, packed(code, data), implementation=implementation, interleaving=interleaving
    )
    return code.design.acc.unpack(program.output(result.image)).astype(np.int8)


def run_everywhere(
    code: Code, data: Data, *, interleaving: Interleaving = PROGRAM
) -> dict[Implementation, NDArray[np.int8]]:
    """The outputs as `run` gives them, of every implementation that the configuration admits."""
    return {
        implementation: run(code, data, implementation=implementation, interleaving=interleaving)
        for implementation in admitted(code.design.config)
    }


def verify(
    code: Code,
    data: Data,
    *,
    accumulators: bool = True,
    interleaving: Interleaving = PROGRAM,
) -> Verdict:
    """Execute a program and compare its outputs, and its accumulators, bit for bit.

    It is executed as each implementation of VTA that its configuration admits. VTA stores bytes
    only. To see the accumulators, with the bias if that is added first, the same design and
    schedule runs four more times with an epilogue that stores one byte of each.
    """
    operator = code.design.operator
    expected = direct(operator, data)
    outputs = run_everywhere(code, data, interleaving=interleaving)
    implementations = tuple(outputs)
    wrong = _differing(outputs.values(), expected)
    if not accumulators:
        return Verdict(expected.size, wrong, implementations=implementations)
    bias = _bias(operator)
    raw = after(operator, (Add(bias),) if bias else (), data)
    found = {each: np.zeros(expected.shape, np.uint32) for each in implementations}
    for byte in range(4):
        design = code.design.followed_by(Epilogue(8 * byte, bias=bias, clip=None))
        one = run_everywhere(lower(design, code.schedule), data, interleaving=interleaving)
        for each, stored in one.items():
            found[each] |= stored.view(np.uint8).astype(np.uint32) << np.uint32(8 * byte)
    wrong_raw = _differing((whole.view(np.int32) for whole in found.values()), raw)
    return Verdict(expected.size, wrong, expected.size, wrong_raw, implementations)


def _differing(found: Iterable[NDArray[np.generic]], expected: NDArray[np.generic]) -> int:
    """In how many elements any of the arrays differs from the expected one."""
    return int(np.any([array != expected for array in found], axis=0).sum())


def _bias(operator: Operator) -> Tensor | None:
    """The tensor that the first step adds as it is."""
    first = operator.steps[0] if operator.steps else None
    plain = isinstance(first, Add) and first.left == 0 and first.bits > 8
    return tensor_of(first) if first and plain else None
