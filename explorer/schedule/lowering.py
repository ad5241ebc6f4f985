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
from explorer.schedule.compute_writers import DENSE, IMMEDIATE, ONCE, RESETTING, SPREAD, TERM
from explorer.schedule.dma import Fault
from explorer.schedule.kernels import MAX_ITERATIONS, whole_tile_uops
from explorer.schedule.sections import ACC, BESIDE, Sections, arrangement
from explorer.schedule.space import Schedule, coefficients, output_loops
from explorer.schedule.stream import stream
from isa.fields import Column, Memory
from isa.program_image import Program, memory_map

__all__ = ["MAX_ITERATIONS", "Code", "Lowering", "lower"]
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
        stored = _stored(design)
        self.sizes = dict.fromkeys(("INP", "WGT", "ACC", "ACC_BIS", "OUT"), 0)
        for layout, memory, section in stored:
            self.sizes[section] += layout.entries * config.element_bytes(memory)
        uop_bytes = config.element_bytes(Memory.UOP)
        free = memory_map(config, self.sizes | {"UOP": uop_bytes})
        self._uop_base = free["UOP"] // uop_bytes

        self.extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
        most = max(len(layout.coordinates) for layout, _, _ in stored)
        moves = np.zeros((len(stored), most, len(self.extents)), np.int64)
        spans = np.zeros((len(stored), most, 2), np.int64)
        facts = np.zeros((len(stored), 3), np.int64)
        spans[:, :, 1] = 1
        for s, (layout, memory, section) in enumerate(stored):
            moves[s, : len(layout.coordinates)] = coefficients(design, layout)
            for j, coordinate in enumerate(layout.coordinates):
                spans[s, j] = coordinate.low, coordinate.high
            size = config.element_bytes(memory)
            facts[s] = free[section] // size, config.depth(memory), int(memory)
            free[section] += layout.entries * size  # the next one of the section
        # A term of a vector as large as the output runs over the output alone.
        moved = [loop in output_loops(design) for loop in range(len(self.extents))]
        own = np.array([*design.own_loops, *(moved for _ in design.terms)], np.bool_)
        dense = len(stored) - len(design.dense) - len(design.terms)
        self.sections = Sections(moves, spans, facts, own, dense)
        self._epilogue = _steps(design)

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
            inp, wgt, acc, *rest = (
                layout.reordered(tuple(j for j in order if j < len(layout.coordinates)))
                for (layout, _, _), order in zip(_stored(design), orders, strict=True)
            )
            terms, begin = len(design.further), len(design.spread)
            inputs, weights = rest[begin : begin + terms], rest[begin + terms : begin + 2 * terms]
            further = tuple(zip(inputs, weights, strict=True))
            design = replace(design, inp=inp, wgt=wgt, acc=acc, further=further)
        return Code(design, schedule, self.sizes, self.design)


def _stored(design: Design) -> list[tuple[Layout, Memory, str]]:
    """The rows of `Sections`: layouts with where they are loaded to or stored from, and to lie."""
    groups: tuple[tuple[Sequence[Layout], Memory, str], ...] = (
        ((design.inp,), Memory.INP, "INP"),
        ((design.wgt,), Memory.WGT, "WGT"),
        ((design.acc,), Memory.OUT, "OUT"),
        (design.spread, Memory.ACC, "ACC"),
        ([inp for inp, _ in design.further], Memory.INP, "INP"),
        ([wgt for _, wgt in design.further], Memory.WGT, "WGT"),
        (design.blocks, Memory.WGT, "WGT"),
        (design.dense, Memory.ACC, "ACC_BIS"),
        (design.terms, Memory.INP, "INP"),
    )
    return [(layout, memory, name) for layouts, memory, name in groups for layout in layouts]


def _steps(design: Design) -> Array:
    """The passes as `stream` takes them, (n, 6); columns as in `compute_writers`."""
    alu, terms = design.alu, len(design.further)
    spread = BESIDE  # the first row of each group of `_stored`
    inp = spread + len(alu.spread)
    wgt = inp + terms
    blocks = wgt + terms
    dense = blocks + len(alu.factors)
    rows = {v: spread + place for place, v in enumerate(alu.spread)}
    rows |= {v: dense + place for place, v in enumerate((*alu.dense, *alu.terms))}
    factors = {factor: blocks + place for place, factor in enumerate(alu.factors)}
    places = {"acc": ACC, "scratch": dense + len(alu.dense) + len(alu.terms)}
    slots: dict[tuple[int, int], int] = {}
    others = {(ACC, ACC): 0}
    steps = np.zeros((len(alu.passes), 6), np.int64)
    for step, done in zip(steps, alu.passes, strict=True):
        dst, kind = places[done.dst], _kind(done, alu)
        if isinstance(done.src, Product):
            place = done.src.number - 1
            step[:] = TERM, 0, wgt + place, dst, inp + place, 1 + place
        elif kind == TERM:
            assert isinstance(done.src, Vector)
            factor, place = factors[done.src.parts[0].number], alu.terms.index(done.src)
            step[:] = TERM, 0, factor, dst, rows[done.src], 1 + terms + place
        else:
            number = done.src if isinstance(done.src, int) else 0
            src = dst if isinstance(done.src, int) else _row(done.src, rows, places)
            known = slots if kind == SPREAD else others
            slot = known.setdefault((dst, src), len(known))
            step[:] = kind, done.opcode or 0, number, dst, src, slot
    return steps


def _row(src: Vector | Place, rows: Mapping[Vector, int], places: Mapping[str, int]) -> int:
    return rows[src] if isinstance(src, Vector) else places[src]


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
