"""What a program does, counted from its instructions alone: DRAM traffic and micro-ops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isa.fields import INSTRUCTION_BYTES, Column, Memory, Opcode
from simulator.columns import (
    ITER_IN,
    ITER_OUT,
    UOP_BGN,
    UOP_END,
)
from simulator.jit import helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isa.codec import Table
    from isa.config import Config

_REPORTED = (Memory.UOP, Memory.INP, Memory.WGT, Memory.ACC, Memory.OUT)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a program moves and computes.

    Attributes:
        bytes: DRAM traffic by memory: ``uop``, ``inp``, ``wgt``, ``acc``, ``out`` (the one that is
            written) and ``insn``. Padding moves none.
        gemm_uops: micro-ops of GEMM instructions, resets included.
        alu_uops: micro-ops of ALU instructions.
    """

    bytes: dict[str, int]
    gemm_uops: int
    alu_uops: int


def count(config: Config, table: Table) -> Counts:
    """The counts of a decoded program."""
    opcode, memory = table[:, Column.OPCODE], table[:, Column.MEMORY_TYPE]
    elements = table[:, Column.Y_SIZE] * table[:, Column.X_SIZE]
    elements[(opcode != Opcode.LOAD) & (opcode != Opcode.STORE)] = 0
    totals = {kind: int(elements[memory == kind].sum()) for kind in Memory}
    moved = {kind.name.lower(): totals[kind] * config.element_bytes(kind) for kind in _REPORTED}
    moved["acc"] += totals[Memory.ACC_8BIT] * config.element_bytes(Memory.ACC_8BIT)
    moved["insn"] = INSTRUCTION_BYTES * len(table)
    uops = table[:, Column.ITER_OUT] * table[:, Column.ITER_IN]
    uops *= table[:, Column.UOP_END] - table[:, Column.UOP_BGN]
    gemm, alu = (int(uops[opcode == kind].sum()) for kind in (Opcode.GEMM, Opcode.ALU))
    return Counts(moved, gemm_uops=gemm, alu_uops=alu)


def element_bytes(config: Config) -> NDArray[np.int64]:
    """Bytes of one element in DRAM, indexed by memory type."""
    return np.array([config.element_bytes(memory) for memory in Memory], np.int64)


@helper
def uop_count(row: NDArray[np.int64]) -> int:
    """Micro-ops that a GEMM or ALU instruction executes."""
    loops = row[ITER_OUT] * row[ITER_IN]
    return int(loops * (row[UOP_END] - row[UOP_BGN]))
