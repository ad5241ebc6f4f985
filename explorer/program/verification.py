"""Executing programs on random tensors; every bit is compared with the direct result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.layout.constant_product import digits, level
from explorer.layout.packed import Layout
from explorer.layout.stored import Stored
from explorer.operators.stages import tensor_of
from explorer.program import memory
from explorer.schedule.lowering import Code, lowered
from isa.computation import Add, Computation, Epilogue, Operator, Shift, Stage, Step, Tensor, Term
from isa.program_image import Program
from simulator.functional import Result
from simulator.functional import run as execute
from simulator.functional import run_everywhere as execute_everywhere
from simulator.implementations import Implementation
from simulator.interleaving import PROGRAM, Interleaving
from simulator.reference import accumulate, stepped

Tensors: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]]
"""Two inputs and the sums of their products."""

SPREAD = 45
"""Standard deviation of the outputs of random data: 127 is 2.8 of them away."""
NUDGE = 32
"""By how much each tensor of random data that is added moves an output at most."""
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
    """Logical tensors for one run, and the operator's direct result after its first term.

    Attributes:
        in0, in1: the inputs of the first term.
        taken: what the stages behind it take, by the tensors' names.
        accumulated: the first term's sums.
    """

    in0: NDArray[np.int8]
    in1: NDArray[np.int8]
    taken: Mapping[str, NDArray[np.signedinteger[Any]]]
    accumulated: NDArray[np.int32]


def random_data(operator: Operator, seed: int = 0) -> Data:
    """Random tensors whose outputs spread over int8, and their direct result; see `complete`."""
    return complete(operator, {}, seed)


def complete(operator: Operator, given: Mapping[str, NDArray[np.generic]], seed: int = 0) -> Data:
    """The given tensors, random ones in place of those left out, and their direct result.

    A tensor that is left out is the same whichever others are given. The first input is uniform
    over int8. The second is uniform around 0, as wide as makes the standard deviation of a shifted
    sum `SPREAD`, or, where that is less than one unit, ±1 as seldom. Tensors that are added are
    uniform and move outputs by up to `NUDGE`; amounts of shifts are uniform over their span. So few
    outputs are saturated, and most errors show.

    Args:
        operator: what is computed.
        given: tensors by ``in0``, ``in1`` or the name of one that a later stage takes, of the right
            types and shapes.
        seed: of the random ones.

    Raises:
        InputError: this machine has not enough memory for the operator's tensors.
    """
    memory.check(operator)
    random = drawn(operator, seed)
    in0, in1 = (given.get(name, random.pop(name)) for name in ("in0", "in1"))
    taken = {name: given.get(name, array) for name, array in random.items()}
    return Data(in0, in1, taken, accumulate(operator.terms[0].computation, in0, in1))


def drawn(operator: Operator, seed: int) -> dict[str, NDArray[Any]]:
    """Random tensors of an operator, by the keys that `complete` takes, which says how."""
    rng = np.random.default_rng(seed)
    first, *stages = operator.stages
    assert isinstance(first, Term)
    computation = first.computation
    random: dict[str, NDArray[Any]] = {"in0": _bytes(computation.in0, rng)}
    random["in1"] = _second(first, _places(stages), rng)
    for number, stage in enumerate(stages):
        places = _places(stages[number + 1 :])
        if isinstance(stage, Term):
            term = stage.computation
            random[term.in0.name] = _bytes(term.in0, rng)
            random[term.in1.name] = _second(stage, places, rng)
        elif (tensor := tensor_of(stage)) is not None:
            low, end = _drawn(stage, places)
            random[tensor.name] = rng.integers(low, end, tensor.shape, value_type(stage))
    return random


def _bytes(tensor: Tensor, rng: np.random.Generator) -> NDArray[np.int8]:
    return rng.integers(-128, 128, tensor.shape, np.int8)


def _places(steps: Iterable[Stage]) -> int:
    """By how many places steps shift to the right, those of a tensor in the middle of its span."""
    reaches = (step.reach for step in steps if isinstance(step, Shift))
    return sum((low + high) // 2 for low, high in reaches)


def _drawn(step: Step, places: int) -> tuple[int, int]:
    """The least random value of a step's tensor, and one more than the greatest.

    Args:
        step: what takes the tensor.
        places: by how many the steps after it shift to the right.
    """
    low, high = value_range(step)
    if isinstance(step, Shift):
        return low, high + 1
    assert isinstance(step, Add)
    reach = min(math.ceil(math.ldexp(NUDGE, places - step.left)), 2**31 - 1)
    return max(low, -reach), min(high + 1, reach)


def value_range(step: Step) -> tuple[int, int]:
    """Between which values, both inclusive, a step's tensor may lie."""
    if isinstance(step, Shift):
        return step.span
    assert isinstance(step, Add)
    return -(2 ** (step.bits - 1)), 2 ** (step.bits - 1) - 1


def value_type(step: Step) -> type[np.int8] | type[np.int32]:
    """The type of a step's tensor: the lesser of the two that holds its values."""
    return np.int32 if isinstance(step, Add) and step.bits > 8 else np.int8


def _second(term: Term, places: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """The second input of a term: what it is filled with, or random weights."""
    if term.fill is not None:
        return term.fill.array(term.computation.in1.shape)
    return _weights(term.computation, places, rng)


def _weights(computation: Computation, places: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """The second input, by `complete`'s distribution; its sums are shifted by `places`."""
    terms = math.prod(computation.extents[name] for name in computation.reductions)
    deviation = SPREAD * 2.0**places / (_UNIFORM * math.sqrt(terms))
    # Of the whole numbers from -b to b, the variance is b*(b+1)/3.
    bound = min(math.floor(math.sqrt(3 * deviation**2 + 0.25) - 0.5), 127)
    if bound >= 1:
        return rng.integers(-bound, bound + 1, computation.in1.shape, np.int8)
    signs = rng.integers(0, 2, computation.in1.shape, np.int8) * 2 - 1
    kept = rng.random(computation.in1.shape) < deviation**2
    return (signs * kept).astype(np.int8)


def of_terms(operator: Operator, data: Data) -> Iterator[Tensors]:
    """The two inputs of each term, and its sums alone."""
    yield data.in0, data.in1, data.accumulated
    for term in operator.terms[1:]:
        computation = term.computation
        in0, in1 = (data.taken[t.name].astype(np.int8) for t in (computation.in0, computation.in1))
        yield in0, in1, accumulate(computation, in0, in1)


def direct(operator: Operator, data: Data) -> NDArray[np.int8]:
    """The operator's output by its definition."""
    return after(operator, operator.stages[1:], data).astype(np.int8)


def after(operator: Operator, stages: Iterable[Stage], data: Data) -> NDArray[np.int32]:
    """The accumulators after some stages behind the first term, by their definitions."""
    values = data.accumulated
    for stage in stages:
        values = stepped(stage, values, data.taken, operator.terms[0].computation)
    return values


class Packed(Protocol):
    """The layouts of an operator's tensors, whoever chose them."""

    @property
    def operator(self) -> Operator:
        """What is computed."""

    @property
    def acc(self) -> Layout:
        """The layout of the output."""

    @property
    def stored(self) -> tuple[Stored, ...]:
        """The tensors in DRAM, in the order in which they lie in each section."""


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
    sections: dict[str, list[NDArray[np.generic]]] = {}
    for tensor in code.design.stored:
        if tensor.use.kind != "out":
            array = tensor.layout.pack(_held(tensor, data))
            sections.setdefault(tensor.section, []).append(array)
    # A single tensor keeps its shape; several stand one after the other.
    return {
        name: each[0] if len(each) == 1 else np.concatenate([a.ravel() for a in each])
        for name, each in sections.items()
    }


def _held(tensor: Stored, data: Data) -> NDArray[np.generic]:
    """The logical tensor that is packed."""
    use, layout = tensor.use, tensor.layout
    match use.kind:
        case "inp" | "wgt" if use.number == 0:
            return data.in0 if layout.role == "in0" else data.in1
        case "inp" | "wgt":
            return data.taken[layout.tensor.name]
        case "level":
            return level(*layout.tensor.shape)
        case "digits":
            return digits(use.vector.values(data.taken), layout.tensor.shape[-1])
        case "block":
            return np.eye(*layout.tensor.shape, dtype=np.int8) << use.number
        case "term":
            return data.taken[use.vector.parts[0].name]
    return use.vector.values(data.taken)


def run(
    code: Code,
    data: Data,
    *,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
) -> NDArray[np.int8]:
    """Pack the tensors, execute the binary as an implementation does, unpack the output."""
    program, sections = code.program, packed(code, data)
    result = execute(program, sections, implementation=implementation, interleaving=interleaving)
    return _unpacked(code.design, program, {implementation: result})[implementation]


def run_everywhere(
    code: Code, data: Data, *, interleaving: Interleaving = PROGRAM
) -> dict[Implementation, NDArray[np.int8]]:
    """The outputs as `run` gives them, of every implementation that the configuration admits."""
    program = code.program
    results = execute_everywhere(program, packed(code, data), interleaving=interleaving)
    return _unpacked(code.design, program, results)


def _unpacked(
    design: Packed, program: Program, results: Mapping[Implementation, Result]
) -> dict[Implementation, NDArray[np.int8]]:
    """The outputs that executions of a program left."""
    left = (program.output(result.image) for result in results.values())
    outputs = (found.astype(np.int8, copy=False) for found in design.acc.unpack_all(left))
    return dict(zip(results, outputs, strict=True))


def verify(
    code: Code,
    data: Data,
    *,
    accumulators: bool = True,
    interleaving: Interleaving = PROGRAM,
) -> Verdict:
    """Execute a program and compare its outputs, and its accumulators, bit for bit.

    It is executed as each implementation of VTA that its configuration admits. VTA stores bytes
    only. To see the accumulators, the sums of all terms (of one term with the bias, if that comes
    first and as accumulators), the same design and schedule runs four more times with an epilogue
    that stores one byte of each.
    """
    operator = code.design.operator
    expected = direct(operator, data)
    outputs = run_everywhere(code, data, interleaving=interleaving)
    implementations = tuple(outputs)
    wrong = _differing(outputs.values(), expected)
    if not accumulators:
        return Verdict(expected.size, wrong, implementations=implementations)
    # As accumulators the bias would need room in their scratchpad that a product leaves to tiles.
    alone = len(operator.terms) == 1 and not code.design.products
    bias = _bias(operator) if alone else None
    raw = after(operator, (*operator.terms[1:], *((Add(bias),) if bias else ())), data)
    found = {each: np.zeros(expected.shape, np.uint32) for each in implementations}
    sections: dict[str, NDArray[np.generic]] = {}
    for byte in range(4):
        design = code.design.followed_by(Epilogue(8 * byte, bias=bias, clip=None))
        one, program = lowered(design, code.schedule)
        # The four programs differ in the amount of one shift, and read the same tensors.
        sections = sections or packed(one, data)
        results = execute_everywhere(program, sections, interleaving=interleaving)
        for each, stored in _unpacked(one.design, program, results).items():
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
