"""What GEMM and ALU instructions touch: the scratchpad elements of all their micro-ops."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isa.codec import Table, decode_uops
from isa.fields import UOP_BYTES, Column, Memory, Opcode
from simulator.columns import (
    DST_IN,
    DST_OUT,
    ITER_IN,
    ITER_OUT,
    OP_ALU,
    OP_GEMM,
    OPCODE,
    RESET,
    SRC_IN,
    SRC_OUT,
    USE_IMM,
    WGT_IN,
    WGT_OUT,
)
from simulator.jit import jit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isa.config import Config

Marks: TypeAlias = NDArray[np.bool_]

UNLOADED = -1
_FAR = 1 << 30


class Part(IntEnum):
    """The sets of elements that an instruction touches."""

    DST = 0  # in ACC: written, and unless it is a reset also read
    INP = 1  # read by GEMM
    WGT = 2  # read by GEMM
    SRC = 3  # in ACC: read by ALU without an immediate


class Fault(NamedTuple):
    """A rule that the micro-ops of an instruction break, and how."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Footprints:
    """The distinct footprints of a program's GEMM and ALU instructions.

    Attributes:
        which: the footprint of each instruction, -1 for the others, (instructions,).
        intervals: first element and one past the last of runs of elements, ascending, (runs, 2).
        starts: where the runs of a `Part` of a footprint begin, (footprints * parts + 1,).
        faults: what is wrong with each footprint.
    """

    which: NDArray[np.int64]
    intervals: Table
    starts: NDArray[np.int64]
    faults: tuple[tuple[Fault, ...], ...]


def footprints(
    config: Config, table: Table, image: NDArray[np.uint8], *, safe_distance: int = 1
) -> Footprints:
    """The footprints of a decoded program.

    Instructions share one if they have the same loops and no LOAD of micro-ops lies between them.

    Args:
        config: gives the depths.
        table: the decoded program.
        image: DRAM, from which the micro-ops are loaded.
        safe_distance: how many micro-ops after one that writes an accumulator the first one that
            uses it may come; 1 allows the next one.
    """
    opcode, memory = table[:, Column.OPCODE], table[:, Column.MEMORY_TYPE]
    loads = (opcode == Opcode.LOAD) & (memory == Memory.UOP) & (table[:, Column.X_SIZE] > 0)
    places = np.flatnonzero((opcode == Opcode.GEMM) | (opcode == Opcode.ALU))
    keys = table[places, Column.RESET : Column.USE_IMM + 1]
    keys = np.column_stack([opcode[places], np.cumsum(loads)[places], keys])
    _, first, kind = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    which = np.full(len(table), -1)
    which[places] = kind.reshape(-1)

    walker = _Walker(config, image, safe_distance)
    runs: list[list[Table]] = [[] for _ in first]
    faults: list[tuple[Fault, ...]] = [() for _ in first]
    work = np.concatenate([np.flatnonzero(loads), places[first]])
    for i in np.sort(work).tolist():
        if loads[i]:
            walker.load(table[i])
        else:
            runs[which[i]], faults[which[i]] = walker.walk(table[i])
    flat = [part for parts in runs for part in parts]
    starts = np.cumsum([0, *map(len, flat)])
    intervals = np.concatenate([np.zeros((0, 2), np.int64), *flat])
    return Footprints(which, intervals, starts, tuple(faults))


class _Walker:
    """Walks through the micro-ops of instructions, with those that were loaded last."""

    def __init__(self, config: Config, image: NDArray[np.uint8], safe_distance: int) -> None:
        self.config, self.image, self.safe_distance = config, image, safe_distance
        self.uops = np.full((config.uop_depth, 3), UNLOADED, np.int64)
        depths = [config.acc_depth, config.inp_depth, config.wgt_depth, config.acc_depth]
        self.marks = [np.zeros(depth, np.bool_) for depth in depths]

    def load(self, row: NDArray[np.int64]) -> None:
        """Load micro-ops, as far as they lie in DRAM and in the scratchpad."""
        sram = int(row[Column.SRAM_BASE] + row[Column.Y_PAD_0] * _width(row))
        for y in range(int(row[Column.Y_SIZE])):
            begin = int(row[Column.DRAM_BASE] + y * row[Column.X_STRIDE]) * UOP_BYTES
            data = self.image[begin : begin + int(row[Column.X_SIZE]) * UOP_BYTES]
            place = sram + y * _width(row) + int(row[Column.X_PAD_0])
            target = self.uops[place : place + len(data) // UOP_BYTES]
            target[:] = decode_uops(self.config, data[: len(target) * UOP_BYTES])

    def walk(self, row: NDArray[np.int64]) -> tuple[list[Table], tuple[Fault, ...]]:
        """The runs of elements of each part, and what is wrong."""
        uops = self.uops[row[Column.UOP_BGN] : row[Column.UOP_END]]
        if not len(uops) or not row[Column.ITER_OUT] * row[Column.ITER_IN]:
            return [np.zeros((0, 2), np.int64) for _ in Part], ()
        missing = np.flatnonzero(uops[:, 0] == UNLOADED)
        if len(missing):
            first = int(row[Column.UOP_BGN] + missing[0])
            fault = Fault("uop-unloaded", f"micro-op {first} was never loaded")
            return [np.zeros((0, 2), np.int64) for _ in Part], (fault,)
        for marks in self.marks:
            marks[:] = False
        hazard, distance, element = _walk(row, uops, *self.marks)
        faults = list(self._range_faults(row, uops))
        if row[Column.OPCODE] == Opcode.ALU:
            if hazard >= 0:
                why = f"a micro-op uses ACC element {hazard}, which the one before it writes"
                faults.append(Fault("alu-hazard", why))
            if uops[:, 2].any():
                faults.append(Fault("alu-uop", "a micro-op of an ALU instruction has a weight"))
            if row[Column.USE_IMM]:
                faults += immediate_faults(row, uops)
        if distance < self.safe_distance:
            faults.append(
                Fault(
                    "accumulation-distance",
                    f"ACC element {element} is used again {distance} micro-ops after it was "
                    f"written, not {self.safe_distance}",
                )
            )
        return [_runs(marks) for marks in self.marks], tuple(faults)

    def _range_faults(self, row: NDArray[np.int64], uops: Table) -> Iterator[Fault]:
        """Parts whose largest index lies beyond the scratchpad; factors are never negative."""
        if row[Column.OPCODE] == Opcode.ALU:
            parts = [(Column.DST_OUT, 0, "destination"), (Column.SRC_OUT, 0, "source")]
        elif row[Column.RESET]:
            parts = [(Column.DST_OUT, 0, "destination")]
        else:
            parts = [
                (Column.DST_OUT, 0, "destination"),
                (Column.SRC_OUT, 1, "source"),
                (Column.WGT_OUT, 2, "weight"),
            ]
        for column, scratchpad, name in parts:
            outer = (row[Column.ITER_OUT] - 1) * row[column]
            inner = (row[Column.ITER_IN] - 1) * row[column + 1]
            largest = int(outer + inner + uops[:, (column - Column.DST_OUT) // 2].max())
            depth = len(self.marks[scratchpad])
            if largest >= depth:
                yield Fault("index-range", f"the {name} index reaches {largest} of {depth}")


def immediate_faults(row: NDArray[np.int64], uops: Table) -> Iterator[Fault]:
    """Where an immediate ALU instruction's source is not its destination, for Chisel reads there.

    Args:
        row: the instruction.
        uops: its micro-ops, (n, 3).
    """
    elsewhere = np.flatnonzero(uops[:, 0] != uops[:, 1])
    if len(elsewhere):
        place, (dst, src, _) = int(row[Column.UOP_BGN] + elsewhere[0]), uops[elsewhere[0]].tolist()
        why = f"micro-op {place} of an immediate instruction has source {src}, destination {dst}"
        yield Fault("immediate-source", why)
    for loop in ("OUT", "IN"):
        dst, src = (int(row[Column[f"{part}_{loop}"]]) for part in ("DST", "SRC"))
        if dst != src:
            why = (
                f"an immediate instruction has src_factor_{loop.lower()} {src}, "
                f"dst_factor_{loop.lower()} {dst}"
            )
            yield Fault("immediate-source", why)


def _width(row: NDArray[np.int64]) -> int:
    """Elements of a row of a LOAD in the scratchpad, padding included."""
    return int(row[Column.X_PAD_0] + row[Column.X_SIZE] + row[Column.X_PAD_1])


@jit
def _walk(
    row: NDArray[np.int64], uops: Table, dsts: Marks, inps: Marks, wgts: Marks, srcs: Marks
) -> tuple[int, int, int]:
    """Mark what is touched, as far as it is in the scratchpads.

    Returns an ACC element in which adjacent ALU micro-ops meet or -1, and the least distance of two
    micro-ops of which the later one uses what the earlier one wrote, with that element.
    """
    multiplies = row[OPCODE] == OP_GEMM and not row[RESET]
    operates = row[OPCODE] == OP_ALU
    two_operands = operates and not row[USE_IMM]
    hazard, least, element, previous, now = -1, _FAR, -1, -1, 0
    written = np.zeros(len(dsts), np.int64)
    for dst in range(len(dsts)):
        written[dst] = -_FAR
    for outer in range(row[ITER_OUT]):
        for inner in range(row[ITER_IN]):
            a0 = outer * row[DST_OUT] + inner * row[DST_IN]
            i0 = outer * row[SRC_OUT] + inner * row[SRC_IN]
            w0 = outer * row[WGT_OUT] + inner * row[WGT_IN]
            for u in range(len(uops)):
                a, i, w = a0 + uops[u, 0], i0 + uops[u, 1], w0 + uops[u, 2]
                now += 1
                if a < len(dsts):
                    dsts[a] = True
                    if (multiplies or operates) and now - written[a] < least:
                        least, element = now - written[a], a
                if two_operands and i < len(srcs):
                    srcs[i] = True
                    if now - written[i] < least:
                        least, element = now - written[i], i
                if multiplies and i < len(inps):
                    inps[i] = True
                if multiplies and w < len(wgts):
                    wgts[w] = True
                if operates and hazard < 0 and previous == (i if two_operands else a):
                    hazard = previous
                if a < len(dsts):
                    written[a] = now
                previous = a
    return hazard, least, element


def _runs(marks: Marks) -> Table:
    """First index and one past the last of every run of marked elements, (runs, 2)."""
    steps = np.diff(marks.view(np.int8), prepend=np.int8(0), append=np.int8(0))
    return np.flatnonzero(steps).reshape(-1, 2)
