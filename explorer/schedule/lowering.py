"""Design and schedule → VTA instructions and micro-ops.

`explorer.schedule.stream` writes the instructions; this module says what it needs to know of a
design, and makes a program of what it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explorer.layout.design import Design
from explorer.schedule.alu_passes import alu_passes
from explorer.schedule.compute_writers import ADD_IMMEDIATE, ADD_RESIDUAL
from explorer.schedule.dma import Fault
from explorer.schedule.kernels import MAX_ITERATIONS, whole_tile_uops
from explorer.schedule.sections import ADDEND, Sections, arrangement
from explorer.schedule.space import Schedule, coefficients
from explorer.schedule.stream import stream
from isa.fields import AluOp, Column, Memory
from isa.program_image import Program, memory_map

__all__ = ["MAX_ITERATIONS", "Code", "Lowering", "alu_passes", "lower"]
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
            "ACC": design.bias.entries * config.acc_bytes if design.bias else 0,
            "ACC_BIS": design.acc.entries * config.acc_bytes if design.residual else 0,
            "OUT": design.acc.entries * config.out_bytes,
        }
        uop_bytes = config.element_bytes(Memory.UOP)
        bases = memory_map(config, self.sizes | {"UOP": uop_bytes})
        self._uop_base = bases["UOP"] // uop_bytes

        self.extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
        residual = design.residual
        stored = (
            (design.inp, Memory.INP, "INP"),
            (design.wgt, Memory.WGT, "WGT"),
            (design.acc, Memory.OUT, "OUT"),
            (design.bias, Memory.ACC, "ACC"),
            (residual, Memory.ACC, "ACC_BIS"),
        )
        most = max(len(layout.coordinates) for layout, _, _ in stored if layout)
        moves = np.zeros((len(stored), most, len(self.extents)), np.int64)
        spans, facts = (
            np.zeros((len(stored), most, 2), np.int64),
            np.zeros((len(stored), 3), np.int64),
        )
        spans[:, :, 1] = 1
        for s, (layout, memory, name) in enumerate(stored):
            if layout:
                moves[s, : len(layout.coordinates)] = coefficients(design, layout)
                for j, coordinate in enumerate(layout.coordinates):
                    spans[s, j] = coordinate.low, coordinate.high
                base = bases[name] // config.element_bytes(memory)
                facts[s] = base, config.depth(memory), int(memory)
        self.sections = Sections(moves, spans, facts)
        steps = [(ADDEND, AluOp.ADD, 0)] if design.bias else []
        passes = alu_passes(design.operator.epilogue)
        shifts = [(ADD_IMMEDIATE, op, imm) for op, imm in passes if op == AluOp.SHR]
        limits = [(ADD_IMMEDIATE, op, imm) for op, imm in passes if op != AluOp.SHR]
        adds = [(ADD_RESIDUAL, AluOp.ADD, 0)] if residual else []
        steps = [*steps, *shifts, *adds, *limits]
        self._epilogue = np.array(steps, np.int64).reshape(-1, 3)

    @property
    def signature(self) -> bytes:
        """What programs depend on, besides the configuration and the schedule."""
        parts = (self.extents, self._epilogue, *self.sections)
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


def lower(design: Design, schedule: Schedule) -> Code:
    """The program of a design under a schedule.

    Raises:
        Infeasible: the schedule is not in the space: a capacity or a field is exceeded.
    """
    return Lowering(design).code(schedule)
