"""The candidates of a node: embeddings with their layouts and the cycles of their best programs.

Every choice of materialisation of an embedding is a candidate of its own, and so is every way to
add a residual: as int8, through port inp, or as int32, which the host makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from explorer.embedding.several import AnyEmbedding
from explorer.layout.alu_passes import alu_program
from explorer.layout.design import Design, designs, reference_designs
from explorer.layout.packed import Layout
from explorer.network.graph import Accelerated, Network, View, operand
from explorer.ranking.explore import gemm_intrinsic, reference
from explorer.schedule.search import Scheduled, search
from explorer.schedule.space import Schedule
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import Memory

REFERENCE = "reference"
"""TVM's embedding with its fixed layouts."""

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
    found = []
    for design in designs(operator, config, gemm_intrinsic(config), embedding):
        best = search(design, effort=effort)
        if best.best is not None:
            found.append((best.best, best.proven))
    found.sort(key=lambda f: f[0].cycles)
    return [
        scheduled(numbered(embedding.id, i), best, proven=proven)
        for i, (best, proven) in enumerate(found, start=1)
    ]


def numbered(name: str, number: int) -> str:
    """The name of an embedding's layouts of some number, from 1, the fastest first."""
    return name if number == 1 else f"{name}#{number}"


def scheduled(name: str, best: Scheduled, *, proven: bool) -> Option:
    """A design with its best program."""
    code = best.code
    made = option(name, best.cycles, code.design, code.origin, proven=proven)
    return replace(made, schedule=code.schedule)


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


def fixed(operator: Operator, config: Config, effort: int | None = None) -> list[Option]:
    """TVM's embedding with its fixed layouts; none where TVM has none, or it does not fit.

    Beside it stands, where there is a residual, the same with the residual as int8. Arguments as
    for `options`.
    """
    embedding = reference(operator, config)
    if embedding is None:
        return []
    found = []
    for name, terms in ((REFERENCE, False), (REFERENCE_TERMS, True)):
        made = reference_designs(operator, config, gemm_intrinsic(config), embedding, terms=terms)
        # An order of layouts and not a choice: the first that fits.
        outcomes = (search(design, effort=effort) for design in made)
        first = next((o for o in outcomes if o.best is not None), None)
        if first is not None and first.best is not None:
            found.append(scheduled(name, first.best, proven=first.proven))
    return found
