"""A plan becomes programs: of each node its instructions, and what their addresses point to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.content import NO_ROWS, Content, Rows, Summand, title
from explorer.layout.alu_passes import Vector
from explorer.layout.constant_product import digits, level
from explorer.layout.design import Design
from explorer.layout.held import Held
from explorer.layout.packed import Layout
from explorer.network.candidates.listing import Option
from explorer.network.graph import Accelerated, Network, operand
from explorer.network.plan import laying
from explorer.schedule.lowering import Code, Lowering
from isa.codec import Table
from isa.config import Config
from isa.fields import Column, Memory
from isa.folder.relocation import addressing
from isa.program_image import memory_map
from simulator.counts import element_bytes
from simulator.timing import cycles

Array = NDArray[Any]
SECTION_MEMORY = {
    "INP": Memory.INP,
    "WGT": Memory.WGT,
    "ACC": Memory.ACC,
    "ACC_BIS": Memory.ACC,
    "OUT": Memory.OUT,
}


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A tensor that a program loads or stores.

    Attributes:
        name: of the operator's tensor.
        address: where the program has it, in bytes.
        size: bytes.
        content: what it is of the network's tensors; None for a constant.
        data: the bytes of a constant.
        written: whether the program stores it.
        direct: whether it is stored for its readers, in an order that is not the program's own.
        filled: the entries of that which the host has to write.
        own: whether the host needs what is stored in the program's own order for these.
    """

    name: str
    address: int
    size: int
    content: Content | None
    data: bytes = b""
    written: bool = False
    direct: bool = False
    filled: Rows = field(default_factory=lambda: NO_ROWS)
    own: bool = False

    @property
    def elements(self) -> bool:
        """Whether some entry that the host has to write has more than zeros."""
        if self.content is None:
            return False
        return bool((self.content.summands[0].held.rows(self.filled) >= 0).any())


@dataclass(frozen=True, slots=True, eq=False)
class NodeProgram:
    """A node's program, whose addresses are still its own.

    Attributes:
        node: the node.
        candidate: what the plan chose.
        cycles: of the program by itself, with its operands at multiples of `image.unit`.
        table: decoded instructions, (n, columns), addresses relative to what they point to.
        points: of each instruction the operand's number, -1 for none, and -2 for micro-ops, (n,).
        uops: micro-ops, (n, 3).
        operands: what is loaded and stored.
        copy: what a program is called that copies what the node has written, and is none of it.
    """

    node: Accelerated
    candidate: str
    cycles: int
    table: Table
    points: NDArray[np.int64]
    uops: Table
    operands: tuple[Operand, ...]
    copy: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.copy or self.node.name

    @property
    def output(self) -> Content | None:
        """What it has to store, in its own order; None if nobody reads that."""
        return next((o.content for o in self.operands if o.written and not o.direct), None)


LEVEL = -1
"""What products of digits are multiplied by, where a power of two may stand."""
NOTHING, MICRO_OPS = -1, -2
"""Values of `NodeProgram.points` that are no operand's number."""


def compiled(
    node: Accelerated,
    network: Network,
    values: Mapping[str, Array] | None,
    config: Config,
    option: Option,
) -> NodeProgram:
    """The program of a node's candidate.

    Args:
        node: the node.
        network: its network.
        values: the constants that nodes read, by the network's names; None where their bytes do
            not matter, and are left out.
        config: what it is compiled for.
        option: the candidate.

    Raises:
        ValueError: of the candidate only cycles are known.
    """
    if option.schedule is None:
        raise ValueError(f"{node.name}: {option.name} is known by its cycles, and has no program")
    code = Lowering(option.origin).code(option.schedule)
    operands = tuple(_operands(node, network, values, code))
    table, points = _relative(config, code, operands)
    simulated = cycles(config, table)
    return NodeProgram(node, option.name, simulated, table, points, code.uops, operands)


def _operands(
    node: Accelerated, network: Network, values: Mapping[str, Array] | None, code: Code
) -> Iterator[Operand]:
    """What a program loads and stores, in the order in which `lowering` places it."""
    design, config = code.design, code.design.config
    uop_bytes = config.element_bytes(Memory.UOP)
    free = memory_map(config, code.sizes | {"UOP": uop_bytes})
    desk = _Desk(node, network, values, design)
    for section, layout, held in _stored(design):
        size = layout.entries * config.element_bytes(SECTION_MEMORY[section])
        written = section == "OUT"
        wide = section in {"ACC", "ACC_BIS"}
        content, data = desk.fixed(layout, held) or desk.held(layout, held, wide=wide)
        assert values is None or size == (content.size if content else len(data))
        yield Operand(layout.tensor.name, free[section], size, content, data, written)
        free[section] += size


def _stored(design: Design) -> Iterator[tuple[str, Layout, Vector | int | None]]:
    """Sections with layouts, and what they hold: a tensor, a vector, or a power of two.

    In the order in which `lowering` places them in each section.
    """
    for tensor in design.stored:
        held = LEVEL if tensor.use.kind == "level" else tensor.use.what
        ours = tensor.use.kind in ("inp", "wgt", "out")  # the network has it under its name
        yield tensor.section, tensor.layout, None if ours else held


@dataclass(frozen=True, slots=True)
class _Desk:
    """A node whose operands are looked at."""

    node: Accelerated
    network: Network
    values: Mapping[str, Array] | None
    design: Design

    def fixed(self, layout: Layout, held: Vector | int | None) -> tuple[None, bytes] | None:
        """The bytes of what does not depend on the network's tensors that vary; None if it may."""
        shape = layout.tensor.shape
        if self.values is None and (isinstance(held, int) or held in self.design.alu.products):
            return None, b""
        if held == LEVEL:
            return None, layout.pack(level(*shape)).tobytes()
        if isinstance(held, int):
            return None, layout.pack(np.eye(*shape, dtype=np.int8) << held).tobytes()
        if held in self.design.alu.products:  # candidates are programs whose vectors are constant
            assert held is not None
            arrays = {part.name: self.array(part.name) for part in held.parts}
            return None, layout.pack(digits(held.values(arrays), shape[-1])).tobytes()
        return None

    def held(
        self, layout: Layout, vector: Vector | int | None, *, wide: bool
    ) -> tuple[Content | None, bytes]:
        """What a layout holds of the network's tensors that vary, or its constant bytes."""
        assert not isinstance(vector, int)
        names = [p.name for p in vector.parts] if vector else [layout.tensor.name]
        if all(self.constant(name) for name in names):
            if self.values is None:
                return None, b""
            arrays = {name: self.array(name) for name in names}
            array = vector.values(arrays) if vector and wide else arrays[names[0]]
            return None, layout.pack(array).tobytes()
        const = vector.const if vector and wide else 0
        parts = [(p.name, p.form, p.number) for p in vector.parts] if vector and wide else []
        summands = tuple(
            Summand(self.node.views[name].tensor, self.laid(layout, name), form, number)
            for name, form, number in parts or [(names[0], "value", 0)]
        )
        return Content(summands, const, wide, title(layout)), b""

    def constant(self, name: str) -> bool:
        """Whether an operand is known offline."""
        return self.network.by_name[self.node.views[name].tensor].constant

    def array(self, name: str) -> Array:
        """The operator's array of a constant."""
        assert self.values is not None
        shape = operand(self.node.operator, name).shape
        return self.node.views[name].read(self.values[self.node.views[name].tensor], shape)

    def laid(self, layout: Layout, name: str) -> Held:
        """Where the network's tensor of an operand lies in a layout."""
        # What multiplies a lane that stands for nothing is zero only if that is a constant.
        strict = any(
            name in {t.computation.in0.name, t.computation.in1.name} and not t.constants
            for t in self.node.operator.terms
        )
        return laying.held(layout, self.node.views[name], strict=strict)


def _relative(
    config: Config, code: Code, operands: tuple[Operand, ...]
) -> tuple[Table, NDArray[np.int64]]:
    """Instructions whose addresses count from the start of what they point to, and what that is."""
    table = code.table.copy()
    sizes = element_bytes(config)[table[:, Column.MEMORY_TYPE]]
    addresses = table[:, Column.DRAM_BASE] * sizes
    moving = addressing(table)
    points = np.full(len(table), NOTHING)
    for number, part in enumerate(operands):
        # The first address decides: a transfer lies in one tensor, or it would read another.
        inside = (part.address <= addresses) & (addresses < part.address + part.size)
        points[moving & inside] = number
        table[moving & inside, Column.DRAM_BASE] -= part.address // sizes[moving & inside]
    uops = moving & (table[:, Column.MEMORY_TYPE] == Memory.UOP)
    points[uops] = MICRO_OPS
    table[uops, Column.DRAM_BASE] = 0
    assert not np.any(moving & (points == NOTHING))
    return table, points
