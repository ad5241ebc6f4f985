"""Design and schedule → VTA instructions and micro-ops.

`explorer.schedule.stream` writes the instructions; this module says what it needs to know of a
design, and makes a program of what it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explorer.layout.alu_passes import AluProgram, Pass, Place, Product, Vector
from explorer.layout.design import Design
from explorer.layout.packed import Layout
from explorer.layout.stored import Use, once, places
from explorer.schedule.compute_writers import DENSE, IMMEDIATE, ONCE, RESETTING, SPREAD, TERM
from explorer.schedule.dma import Fault
from explorer.schedule.kernels import MAX_ITERATIONS, whole_tile_uops
from explorer.schedule.sections import ACC, Sections, arrangement
from explorer.schedule.space import Schedule, coefficients, output_loops
from explorer.schedule.stream import stream
from isa.fields import Column, Memory
from isa.program_image import Program, memory_map

__all__ = ["MAX_ITERATIONS", "Code", "Lowering", "lower", "lowered"]
Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Code:
    """A program, with the design as it was laid out for it.

    Instructions are made anew whenever they are asked for: that takes milliseconds, and keeping
    those of all embeddings of a layer would take gigabytes.

    Attributes:
        design: layouts in their DRAM order.
        schedule: what it was lowered under.
        sizes: bytes of each tensor's section in DRAM.
        origin: the design as it was lowered, its DRAM order still open.
    """

    design: Design
    schedule: Schedule
    sizes: dict[str, int]
    origin: Design

    def instructions(self) -> tuple[Array, Array]:
        """Decoded instructions, (n, columns), and micro-ops, (n, 3): dst, src, wgt."""
        return Lowering(self.origin).instructions(self.schedule)

    @property
    def table(self) -> Array:
        """Decoded instructions, (n, columns)."""
        return self.instructions()[0]

    @property
    def uops(self) -> Array:
        """Micro-ops, (n, 3): dst, src, wgt."""
        return self.instructions()[1]

    @property
    def program(self) -> Program:
        """The program as its binary is made of it."""
        return Program.build(self.design.config, *self.instructions(), self.sizes)


class Lowering:
    """A design, ready to be lowered under many schedules."""

    def __init__(self, design: Design) -> None:
        self.design, config = design, design.config
        operands = design.operands
        stored = once(operands)
        self.sizes = dict.fromkeys(("INP", "WGT", "ACC", "ACC_BIS", "OUT"), 0)
        for tensor in stored:
            size = tensor.layout.entries * config.element_bytes(tensor.memory)
            self.sizes[tensor.section] += size
        uop_bytes = config.element_bytes(Memory.UOP)
        free = memory_map(config, self.sizes | {"UOP": uop_bytes})
        self._uop_base = free["UOP"] // uop_bytes

        self.extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
        most = max(len(tensor.layout.coordinates) for tensor in stored)
        moves = np.zeros((len(stored), most, len(self.extents)), np.int64)
        spans = np.zeros((len(stored), most, 2), np.int64)
        facts = np.zeros((len(stored), 3), np.int64)
        spans[:, :, 1] = 1
        for s, tensor in enumerate(stored):
            layout, memory, section = tensor.layout, tensor.memory, tensor.section
            moves[s, : len(layout.coordinates)] = coefficients(design, layout)
            for j, coordinate in enumerate(layout.coordinates):
                spans[s, j] = coordinate.low, coordinate.high
            size = config.element_bytes(memory)
            facts[s] = free[section] // size, config.depth(memory), int(memory)
            free[section] += layout.entries * size  # the next one of the section
        # Products that add a vector run over the output alone.
        outputs = output_loops(design)
        moved = [loop in outputs for loop in range(len(self.extents))]
        alu = design.alu
        beside = len(alu.terms) + len(alu.products)
        own = np.array([*design.own_loops, *[moved] * beside], np.bool_)
        dense = len(stored) - len(alu.dense) - len(alu.terms)
        self.sections = Sections(moves, spans, facts, own, dense)
        self._epilogue = _steps(design, places(operands))

    @property
    def signature(self) -> bytes:
        """What programs depend on, besides the configuration and the schedule."""
        parts = map(np.asarray, (self.extents, self._epilogue, *self.sections))
        return b"".join(np.array(p.shape, np.int64).tobytes() + p.tobytes() for p in parts)

    def _orders(self, tile: Array) -> Array:
        fault, orders = arrangement(self.sections, tile, self.design.fixed_order)
        if fault:
            raise Fault(fault).reason
        return orders

    def instructions(self, schedule: Schedule) -> tuple[Array, Array]:
        """The decoded instructions and the micro-ops of a schedule; see `Code`.

        Raises:
            Infeasible: the schedule is not in the space: a capacity or a field is exceeded.
        """
        tile, order = np.array(schedule.tile, np.int64), np.array(schedule.order, np.int64)
        restrictions = self.design.restrictions
        if np.any((tile < self.extents) & ~self.sections.loops[0]):
            raise Fault.PART.reason
        fault, table, rows, uops, used = stream(
            self.extents,
            self.sections,
            self._orders(tile),
            self._epilogue,
            restrictions.uop_depth(self.design.config),
            restrictions.safe_distance,
            tile,
            order,
            schedule.load_contexts,
            schedule.acc_contexts,
        )
        if fault:
            raise Fault(fault).reason
        table[0, Column.DRAM_BASE] = self._uop_base
        return table[:rows], uops[:used]

    def kernel_size(self, tile: Array) -> int:
        """Micro-ops of a whole tile's GEMM, for one combination of scratchpad contexts.

        Raises:
            Infeasible: the tile has no layout.
        """
        distance = self.design.restrictions.safe_distance
        return int(whole_tile_uops(self.sections, self._orders(tile), tile, distance))

    def code(self, schedule: Schedule) -> Code:
        """The program of a schedule that is in the space."""
        design = self.design
        if not design.fixed_order:
            orders = self._orders(np.array(schedule.tile, np.int64)).tolist()
            design = _arranged(design, orders)
        return Code(design, schedule, self.sizes, self.design)


def _arranged(design: Design, orders: Sequence[Sequence[int]]) -> Design:
    """The design with its layouts in these orders, one for each tensor in DRAM."""
    operands = design.operands
    rows = places(operands)

    def reordered(use: Use, layout: Layout) -> Layout:
        order = orders[rows[use]]
        return layout.reordered([j for j in order if j < len(layout.coordinates)])

    layouts = {tensor.use: reordered(tensor.use, tensor.layout) for tensor in operands}
    pairs = [
        (layouts[Use("inp", term)], layouts[Use("wgt", term)])
        for term in range(len(design.operator.terms))
    ]
    # Digits lie as their vectors would.
    products = (
        reordered(Use("digits", vector), layout)
        for vector, layout in zip(design.alu.products, design.products, strict=True)
    )
    return replace(
        design,
        inp=pairs[0][0],
        wgt=pairs[0][1],
        acc=layouts[Use("out")],
        further=tuple(pairs[1:]),
        products=tuple(products),
    )


def _steps(design: Design, rows: Mapping[Use, int]) -> Array:
    """The passes as `stream` takes them, (n, 6); columns as in `compute_writers`.

    Args:
        design: whose passes.
        rows: of what is loaded and stored, among the tensors in DRAM.
    """
    alu, terms = design.alu, len(design.operator.terms)
    taken = {v: rows[Use("spread", v)] for v in alu.spread}
    taken |= {v: rows[Use("dense", v)] for v in alu.dense}
    bases = {"acc": ACC, "scratch": max(rows.values()) + 1}
    slots: dict[tuple[int, int], int] = {}
    others = {(ACC, ACC): 0}
    steps = np.zeros((len(alu.passes), 6), np.int64)
    for step, done in zip(steps, alu.passes, strict=True):
        dst, kind = bases[done.dst], _kind(done, alu)
        if isinstance(done.src, Product):
            term = done.src.number
            step[:] = TERM, 0, rows[Use("wgt", term)], dst, rows[Use("inp", term)], term
        elif kind == TERM and done.src in alu.products:
            slot = terms + len(alu.terms) + alu.products.index(done.src)
            step[:] = TERM, 0, rows[Use("digits", done.src)], dst, rows[Use("level")], slot
        elif kind == TERM:
            assert isinstance(done.src, Vector)
            block = rows[Use("block", done.src.parts[0].number)]
            slot = terms + alu.terms.index(done.src)
            step[:] = TERM, 0, block, dst, rows[Use("term", done.src)], slot
        else:
            number = done.src if isinstance(done.src, int) else 0
            src = dst if isinstance(done.src, int) else _row(done.src, taken, bases)
            known = slots if kind == SPREAD else others
            slot = known.setdefault((dst, src), len(known))
            step[:] = kind, done.opcode or 0, number, dst, src, slot
    return steps


def _row(src: Vector | Place, taken: Mapping[Vector, int], bases: Mapping[str, int]) -> int:
    return taken[src] if isinstance(src, Vector) else bases[src]


def _kind(done: Pass, alu: AluProgram) -> int:
    if done.opcode is None and isinstance(done.src, Vector | Product):
        return TERM
    if done.opcode is None:
        return ONCE if done.once else RESETTING
    if isinstance(done.src, int):
        return IMMEDIATE
    return SPREAD if done.src in alu.spread else DENSE


def lower(design: Design, schedule: Schedule) -> Code:
    """The program of a design under a schedule.

    Raises:
        Infeasible: the schedule is not in the space: a capacity or a field is exceeded.
    """
    lowering = Lowering(design)
    lowering.instructions(schedule)
    return lowering.code(schedule)


def lowered(design: Design, schedule: Schedule) -> tuple[Code, Program]:
    """A design's code under a schedule, as `lower` has it, with the binary: made in one go.

    Raises:
        Infeasible: the schedule is not in the space: a capacity or a field is exceeded.
    """
    lowering = Lowering(design)
    instructions = lowering.instructions(schedule)
    return lowering.code(schedule), Program.build(design.config, *instructions, lowering.sizes)
