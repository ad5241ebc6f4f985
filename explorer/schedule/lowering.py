"""Design and schedule → VTA instructions and micro-ops.

`explorer.schedule.stream` writes the instructions; this module says what it needs to know of a
design, and makes a program of what it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explorer.layout.alu_passes import AluProgram, Pass, Vector
from explorer.layout.design import Design
from explorer.schedule.compute_writers import DENSE, IMMEDIATE, ONCE, RESETTING, SPREAD
from explorer.schedule.dma import Fault
from explorer.schedule.kernels import MAX_ITERATIONS, whole_tile_uops
from explorer.schedule.sections import ACC, BESIDE, Sections, arrangement
from explorer.schedule.space import Schedule, coefficients
from explorer.schedule.stream import stream
from isa.fields import Column, Memory
from isa.program_image import Program, memory_map

__all__ = ["MAX_ITERATIONS", "Code", "Lowering", "lower"]
Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Code:
    """A program's instructions with the design as it was laid out for them.

    Attributes:
        design: layouts in their DRAM order.
        table: decoded instructions, (n, columns).
        uops: micro-ops, (n, 3): dst, src, wgt.
        sizes: bytes of each tensor's section in DRAM.
    """

    design: Design
    schedule: Schedule
    table: NDArray[np.int64]
    uops: NDArray[np.int64]
    sizes: dict[str, int]

    @property
    def program(self) -> Program:
        """The program, assembled when its binary is asked for."""
        return Program.build(self.design.config, self.table, self.uops, self.sizes)


class Lowering:
    """A design, ready to be lowered under many schedules."""

    def __init__(self, design: Design) -> None:
        self.design, config = design, design.config
        self.sizes = {
            "INP": design.inp.entries * config.inp_bytes,
            "WGT": design.wgt.entries * config.wgt_bytes,
            "ACC": sum(layout.entries for layout in design.spread) * config.acc_bytes,
            "ACC_BIS": len(design.dense) * design.acc.entries * config.acc_bytes,
            "OUT": design.acc.entries * config.out_bytes,
        }
        uop_bytes = config.element_bytes(Memory.UOP)
        bases = memory_map(config, self.sizes | {"UOP": uop_bytes})
        self._uop_base = bases["UOP"] // uop_bytes

        self.extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
        stored = [
            (design.inp, Memory.INP, bases["INP"]),
            (design.wgt, Memory.WGT, bases["WGT"]),
            (design.acc, Memory.OUT, bases["OUT"]),
        ]
        for section, layouts in (("ACC", design.spread), ("ACC_BIS", design.dense)):
            base = bases[section]
            for layout in layouts:  # one after the other in the section
                stored.append((layout, Memory.ACC, base))
                base += layout.entries * config.acc_bytes
        most = max(len(layout.coordinates) for layout, _, _ in stored)
        moves = np.zeros((len(stored), most, len(self.extents)), np.int64)
        spans = np.zeros((len(stored), most, 2), np.int64)
        facts = np.zeros((len(stored), 3), np.int64)
        spans[:, :, 1] = 1
        for s, (layout, memory, base) in enumerate(stored):
            moves[s, : len(layout.coordinates)] = coefficients(design, layout)
            for j, coordinate in enumerate(layout.coordinates):
                spans[s, j] = coordinate.low, coordinate.high
            facts[s] = base // config.element_bytes(memory), config.depth(memory), int(memory)
        self.sections = Sections(moves, spans, facts, BESIDE + len(design.spread))
        self._epilogue = _steps(design.alu)

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
        """The program of a schedule.

        Raises:
            Infeasible: the schedule is not in the space.
        """
        table, uops = self.instructions(schedule)
        design = self.design
        if not design.fixed_order:
            inp, wgt, acc = (
                tuple(j for j in order if j < len(layout.coordinates))
                for layout, order in zip(
                    design.layouts,
                    self._orders(np.array(schedule.tile, np.int64)).tolist(),
                    strict=False,
                )
            )
            design = replace(
                design,
                inp=design.inp.reordered(inp),
                wgt=design.wgt.reordered(wgt),
                acc=design.acc.reordered(acc),
            )
        # Copies, that the buffers they were written in can go.
        return Code(design, schedule, table.copy(), uops.copy(), self.sizes)


def _steps(alu: AluProgram) -> Array:
    """The passes as `stream` takes them, (n, 6); columns as in `compute_writers`."""
    rows = {vector: BESIDE + place for place, vector in enumerate((*alu.spread, *alu.dense))}
    places = {"acc": ACC, "scratch": BESIDE + len(rows)}
    spread: dict[tuple[int, int], int] = {}
    others = {(ACC, ACC): 0}
    steps = np.zeros((len(alu.passes), 6), np.int64)
    for step, done in zip(steps, alu.passes, strict=True):
        dst, src, number = places[done.dst], places[done.dst], 0
        if isinstance(done.src, int):
            number = done.src
        else:
            src = rows[done.src] if isinstance(done.src, Vector) else places[done.src]
        kind = _kind(done, alu)
        slots = spread if kind == SPREAD else others
        slot = slots.setdefault((dst, src), len(slots))
        step[:] = kind, done.opcode or 0, number, dst, src, slot
    return steps


def _kind(done: Pass, alu: AluProgram) -> int:
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
    return Lowering(design).code(schedule)
