"""The candidates of a node: embeddings with their layouts and the cycles of their best programs.

Every choice of materialisation of an embedding is a candidate of its own, and so is every way to
add a residual: as int8, through port inp, or as int32, which the host makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from explorer.embedding.several import AnyEmbedding
from explorer.layout.alu_passes import alu_program
from explorer.layout.design import Design, designs, reference_designs
from explorer.layout.packed import Layout
from explorer.network.graph import Accelerated, Network, View, operand
from explorer.ranking.explore import gemm_intrinsic, reference
from explorer.schedule.lowering import Lowering
from explorer.schedule.search import search
from explorer.schedule.space import Schedule
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import Memory

REFERENCE = "reference"
"""TVM's embedding with its fixed layouts."""

MOST_CHOICES = 16
"""Of the layouts of several terms' inputs: all of two convolutions', as each is an option."""

REFERENCE_TERMS = "reference+terms"
"""The same, but residuals are added as int8."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to program an operator.

    Attributes:
        name: the embedding's id, with a number where it has several layouts; `REFERENCE` and
            `REFERENCE_TERMS` for TVM's.
        embedding: the embedding.
        cycles: of its best program.
        proven: whether no schedule of the space is better.
        layouts: of the tensors that it reads, besides constants that are over fewer dimensions than
            the output, and of the output; by their names in the operator, in the order in DRAM that
            the program has.
        wide: of those, residuals that are read as int32.
        memory: bytes of packed constants that are weights or less than the output.
        origin: the design whose best program it is, the order in DRAM still open. Layouts and
            cycles do not tell which one that is: residuals, biases and further terms differ, too.
        schedule: of that program; None where only its cycles are known.
    """

    name: str
    embedding: AnyEmbedding
    cycles: int
    proven: bool
    layouts: Mapping[str, Layout]
    wide: frozenset[str]
    memory: int
    origin: Design
    schedule: Schedule | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of an option: all else follows from it, and from the embedding.

    Attributes:
        name: as of the option.
        design: number of its design among those of the embedding, or of TVM's.
        schedule: of its best program.
        cycles, proven: as of the option.
    """

    name: str
    design: int
    schedule: Schedule
    cycles: int
    proven: bool


def programmed(node: Accelerated, network: Network) -> str:
    """Why no program can be made for a node; empty if one can.

    What programs read besides constants is an input of a term, or as large as the output and added
    to it.
    """
    operator = node.operator
    try:
        alu_program(operator)
    except InputError as error:
        return f"{error.field}: {error.allowed}"
    constants = constant_inputs(operator)
    for view in node.inputs:
        known = network.by_name[view.tensor].constant
        if view.operand in constants and known != constants[view.operand]:
            return f"{view.operand} is{'' if known else ' not'} known offline"
        tensor = operand(operator, view.operand)
        if view.operand not in constants and not known and tensor.index != operator.out.index:
            return f"{view.operand} is neither constant nor as large as the output"
    return ""


def constant_inputs(operator: Operator) -> dict[str, bool]:
    """The inputs of the terms, and whether each is known offline."""
    return {
        tensor.name: role in term.constants
        for term in operator.terms
        for role, tensor in (("in0", term.computation.in0), ("in1", term.computation.in1))
    }


def residuals_of(node: Accelerated, network: Network) -> list[View]:
    """The tensors of the network that a node's steps add to its output, element by element."""
    inputs = constant_inputs(node.operator)
    known = {tensor.name for tensor in network.tensors if tensor.constant}
    return [v for v in node.inputs if v.operand not in inputs and v.tensor not in known]


def options(
    operator: Operator, config: Config, embedding: AnyEmbedding, effort: int | None = None
) -> list[Option]:
    """Every choice of layouts of an embedding with its best program, the fastest first.

    Args:
        operator: what is programmed.
        config: what it is compiled for.
        embedding: how it is laid onto the instruction.
        effort: programs to simulate for each layout at most; None for proven cycles.
    """
    return restored(operator, config, embedding, measured(operator, config, embedding, effort))


def designs_of(operator: Operator, config: Config, embedding: AnyEmbedding) -> list[Design]:
    """The designs of an embedding that may be options; not all of them where terms are many."""
    return list(designs(operator, config, gemm_intrinsic(config), embedding, MOST_CHOICES))


def measured(
    operator: Operator, config: Config, embedding: AnyEmbedding, effort: int | None = None
) -> list[Measured]:
    """What there is to know of the options of an embedding; arguments as for `options`."""
    found: list[tuple[int, int, Schedule, bool]] = []
    least: dict[object, int] = {}
    made = list(enumerate(designs_of(operator, config, embedding)))
    # A residual as int32 needs the host whatever comes before, and more of it than as int8: so
    # only fewer cycles make it worth anything. Ways of adding constants are told by cycles alone.
    for number, design in sorted(made, key=lambda m: len(m[1].alu.dense)):
        alike = (design.inp, design.wgt, design.further)
        # The host may sum several to one vector, which can be less than all of them as int8.
        single = all(len(vector.parts) == 1 for vector in design.alu.dense)
        limit = least.get(alike, math.inf) if single else math.inf
        outcome = search(design, effort=effort, below=limit)
        if outcome.best is not None:
            cycles = outcome.best.cycles
            least[alike] = min(cycles, least.get(alike, cycles))
            found.append((cycles, number, outcome.best.code.schedule, outcome.proven))
    found.sort(key=lambda f: f[:2])
    return [
        Measured(numbered(embedding.id, i), number, schedule, cycles, proven)
        for i, (cycles, number, schedule, proven) in enumerate(found, start=1)
    ]


def restored(
    operator: Operator, config: Config, embedding: AnyEmbedding, found: Iterable[Measured]
) -> list[Option]:
    """The options of an embedding that was measured."""
    made = designs_of(operator, config, embedding)
    return [_restored(each, made) for each in found]


def _restored(found: Measured, made: Sequence[Design]) -> Option:
    code = Lowering(made[found.design]).code(found.schedule)
    made_of = option(found.name, found.cycles, code.design, code.origin, proven=found.proven)
    return replace(made_of, schedule=found.schedule)


def numbered(name: str, number: int) -> str:
    """The name of an embedding's layouts of some number, from 1, the fastest first."""
    return name if number == 1 else f"{name}#{number}"


def option(name: str, cycles: int, design: Design, origin: Design, *, proven: bool) -> Option:
    """A design whose best program takes so many cycles, and the same as it was searched."""
    operator, config = design.operator, design.config
    constants = constant_inputs(operator)
    bytes_of = {"inp": config.inp_bytes, "wgt": config.wgt_bytes}
    products = [layout for pair in design.further for layout in pair]
    inputs = [design.inp, design.wgt, *products]
    memory = sum(
        layout.entries * bytes_of[layout.port] for layout in inputs if constants[layout.tensor.name]
    )
    memory += sum(layout.entries for layout in design.spread) * config.element_bytes(Memory.ACC)
    layouts = {layout.tensor.name: layout for layout in inputs}
    alu = design.alu
    for vectors, found in ((alu.dense, design.dense), (alu.terms, design.terms)):
        for vector, layout in zip(vectors, found, strict=True):
            layouts |= {part.name: layout for part in vector.parts}
    layouts[operator.out.name] = design.acc
    wide = frozenset(part.name for vector in alu.dense for part in vector.parts)
    return Option(name, design.embedding, cycles, proven, layouts, wide, memory, origin)


_FIXED = {REFERENCE: False, REFERENCE_TERMS: True}
"""TVM's options, and whether residuals are added as int8."""


def fixed(operator: Operator, config: Config, effort: int | None = None) -> list[Option]:
    """TVM's embedding with its fixed layouts; none where TVM has none, or it does not fit.

    Beside it stands, where there is a residual, the same with the residual as int8. Arguments as
    for `options`.
    """
    return restored_fixed(operator, config, measured_fixed(operator, config, effort))


def measured_fixed(operator: Operator, config: Config, effort: int | None = None) -> list[Measured]:
    """What there is to know of TVM's options; arguments as for `options`."""
    found = []
    for name in _FIXED:
        # An order of layouts and not a choice: the first that fits.
        outcomes = (search(d, effort=effort) for d in _fixed_designs(operator, config, name))
        for number, outcome in enumerate(outcomes):
            if outcome.best is not None:
                best, proven = outcome.best, outcome.proven
                found.append(Measured(name, number, best.code.schedule, best.cycles, proven))
                break
    return found


def restored_fixed(operator: Operator, config: Config, found: Iterable[Measured]) -> list[Option]:
    """TVM's options that were measured."""
    return [_restored(f, list(_fixed_designs(operator, config, f.name))) for f in found]


def _fixed_designs(operator: Operator, config: Config, name: str) -> Iterator[Design]:
    embedding = reference(operator, config)
    if embedding is not None:
        yield from reference_designs(
            operator, config, gemm_intrinsic(config), embedding, terms=_FIXED[name]
        )
