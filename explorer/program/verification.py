"""Executing programs on random tensors; every bit is compared with the direct result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from explorer.layout.packed import Layout
from explorer.program import memory
from explorer.schedule.lowering import Code, lower
from isa.computation import Epilogue, Operator
from isa.program_image import Program
from simulator.functional import run as execute
from simulator.implementations import Implementation, admitted
from simulator.interleaving import PROGRAM, Interleaving
from simulator.reference import accumulate, epilogue

SPREAD = 45
"""Standard deviation of the outputs of random data: 127 is 2.8 of them away."""
NUDGE = 32
"""By how much bias and residual of random data move an output at most."""
_UNIFORM = math.sqrt((256**2 - 1) / 12)
"""Standard deviation of the whole numbers from -128 to 127."""


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
    """Logical tensors for one run, and the operator's direct result before the epilogue."""

    in0: NDArray[np.int8]
    in1: NDArray[np.int8]
    bias: NDArray[np.int32] | None
    residual: NDArray[np.int8] | None
    accumulated: NDArray[np.int32]


def random_data(operator: Operator, seed: int = 0) -> Data:
    """Random tensors whose outputs spread over int8, and their direct result; see `complete`."""
    return complete(operator, {}, seed)


def complete(operator: Operator, given: Mapping[str, NDArray[np.generic]], seed: int = 0) -> Data:
    """The given tensors, random ones in place of those left out, and their direct result.

    A tensor that is left out is the same whichever others are given. The first input is uniform
    over int8. The second is uniform around 0, as wide as makes the standard deviation of a shifted
    sum `SPREAD`, or, where that is less than one unit, ±1 as seldom. Bias and residual are uniform
    and move outputs by up to `NUDGE`. So few outputs are saturated, and most errors show.

    Args:
        operator: what is computed.
        given: tensors by the field of `Data`, of the right types and shapes.
        seed: of the random ones.

    Raises:
        InputError: this machine has not enough memory for the operator's tensors.
    """
    memory.check(operator)
    rng = np.random.default_rng(seed)
    computation = operator.computation
    in0 = rng.integers(-128, 128, computation.in0.shape, np.int8)
    in1 = _weights(operator, rng)
    shift = operator.epilogue.shift
    extents = operator.epilogue.bias.shape if operator.epilogue.bias else None
    reach = min(NUDGE << shift, 2**31 - 1)
    bias = rng.integers(-reach, reach, extents, np.int32) if extents is not None else None
    shape = operator.residual.shape if operator.residual else None
    residual = rng.integers(-NUDGE, NUDGE, shape, np.int8) if shape is not None else None
    random: dict[str, Any] = {"in0": in0, "in1": in1, "bias": bias, "residual": residual}
    tensors = random | dict(given)
    return Data(**tensors, accumulated=accumulate(computation, tensors["in0"], tensors["in1"]))


def _weights(operator: Operator, rng: np.random.Generator) -> NDArray[np.int8]:
    """The second input, by the distribution that `complete` states."""
    computation = operator.computation
    terms = math.prod(computation.extents[name] for name in computation.reductions)
    deviation = SPREAD * 2.0**operator.epilogue.shift / (_UNIFORM * math.sqrt(terms))
    # Of the whole numbers from -b to b, the variance is b*(b+1)/3.
    bound = min(math.floor(math.sqrt(3 * deviation**2 + 0.25) - 0.5), 127)
    if bound >= 1:
        return rng.integers(-bound, bound + 1, computation.in1.shape, np.int8)
    signs = rng.integers(0, 2, computation.in1.shape, np.int8) * 2 - 1
    kept = rng.random(computation.in1.shape) < deviation**2
    return (signs * kept).astype(np.int8)


def direct(operator: Operator, data: Data) -> NDArray[np.int8]:
    """The operator's output by its definition."""
    return epilogue(
        operator.epilogue, data.accumulated, data.bias, operator.computation, data.residual
    )


class Packed(Protocol):
    """The layouts of an operator's tensors, whoever chose them."""

    @property
    def operator(self) -> Operator:
        """What is computed."""

    @property
    def inp(self) -> Layout:
        """The layout on port inp."""

    @property
    def wgt(self) -> Layout:
        """The layout on port wgt."""

    @property
    def acc(self) -> Layout:
        """The layout of the output."""

    @property
    def bias(self) -> Layout | None:
        """The layout of the bias, where there is one."""

    @property
    def residual(self) -> Layout | None:
        """The layout of the residual, where there is one."""


class Packable(Protocol):
    """A program with the layouts of its tensors: ours, or TVM's template's."""

    @property
    def design(self) -> Packed:
        """The layouts."""

    @property
    def program(self) -> Program:
        """The program."""


def packed(code: Packable, data: Data) -> dict[str, NDArray[np.generic]]:
    """The tensors as a program reads them, by section."""
    design = code.design
    by_role = {"in0": data.in0, "in1": data.in1}
    sections: dict[str, NDArray[np.generic]] = {}
    for name, layout in (("INP", design.inp), ("WGT", design.wgt)):
        assert layout.role is not None
        sections[name] = layout.pack(by_role[layout.role])
    if design.bias is not None and data.bias is not None:
        sections["ACC"] = design.bias.pack(data.bias)
    if design.residual is not None and data.residual is not None:
        sections["ACC_BIS"] = design.residual.pack(data.residual.astype(np.int32))
    return sections


def run(
    code: Code,
    data: Data,
    *,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
) -> NDArray[np.int8]:
    """Pack the tensors, execute the binary as an implementation does, unpack the output."""
    (output,) = _run_as([implementation], code, data, interleaving).values()
    return output


def run_everywhere(
    code: Code, data: Data, *, interleaving: Interleaving = PROGRAM
) -> dict[Implementation, NDArray[np.int8]]:
    """The outputs as `run` gives them, of every implementation that the configuration admits."""
    return _run_as(admitted(code.design.config), code, data, interleaving)


def _run_as(
    implementations: Iterable[Implementation], code: Code, data: Data, interleaving: Interleaving
) -> dict[Implementation, NDArray[np.int8]]:
    program, sections = code.program, packed(code, data)
    outputs = {}
    for each in implementations:
        result = execute(program, sections, implementation=each, interleaving=interleaving)
        output = code.design.acc.unpack(program.output(result.image))
        outputs[each] = output.astype(np.int8, copy=False)
    return outputs


def verify(
    code: Code,
    data: Data,
    *,
    accumulators: bool = True,
    interleaving: Interleaving = PROGRAM,
) -> Verdict:
    """Execute a program and compare its outputs, and its accumulators, bit for bit.

    It is executed as each implementation of VTA that its configuration admits. VTA stores bytes
    only. To see the accumulators, the same design and schedule runs four more
    times with an epilogue that stores one byte of each.
    """
    operator = code.design.operator
    expected = direct(operator, data)
    outputs = run_everywhere(code, data, interleaving=interleaving)
    implementations = tuple(outputs)
    wrong = _differing(outputs.values(), expected)
    if not accumulators:
        return Verdict(expected.size, wrong, implementations=implementations)
    found = {each: np.zeros(expected.shape, np.uint32) for each in implementations}
    for byte in range(4):
        shifted = replace(operator.epilogue, shift=8 * byte, residual=False, relu=False, clip=None)
        design = replace(code.design, operator=operator.followed_by(shifted), fixed_order=True)
        one = run_everywhere(lower(design, code.schedule), data, interleaving=interleaving)
        for each, stored in one.items():
            found[each] |= stored.view(np.uint8).astype(np.uint32) << np.uint32(8 * byte)
    raw = _biased(operator, data)
    wrong_raw = _differing((whole.view(np.int32) for whole in found.values()), raw)
    return Verdict(expected.size, wrong, expected.size, wrong_raw, implementations)


def _differing(found: Iterable[NDArray[np.generic]], expected: NDArray[np.generic]) -> int:
    """In how many elements any of the arrays differs from the expected one."""
    return int(np.any([array != expected for array in found], axis=0).sum())


def _biased(operator: Operator, data: Data) -> NDArray[np.int32]:
    """The accumulators with the bias, before shift and clip, reassembled from their bytes."""
    value, data = np.zeros(data.accumulated.shape, np.uint32), replace(data, residual=None)
    for byte in range(4):
        shifted = Epilogue(shift=8 * byte, bias=operator.epilogue.bias, clip=None)
        part = direct(operator.followed_by(shifted), data)
        value |= part.view(np.uint8).astype(np.uint32) << np.uint32(8 * byte)
    return value.view(np.int32)
