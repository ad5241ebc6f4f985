"""What a program does, counted from its instructions alone: DRAM traffic and micro-ops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isa.fields import INSTRUCTION_BYTES, Column, Memory, Opcode
from simulator.jit import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isa.codec import Table
    from isa.config import Config

_REPORTED = (Memory.UOP, Memory.INP, Memory.WGT, Memory.ACC, Memory.OUT)
_GEMM, _ALU = len(Memory), len(Memory) + 1


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
    totals = _totals(table, element_bytes(config))
    moved = {memory.name.lower(): int(totals[memory]) for memory in _REPORTED}
    moved["acc"] += int(totals[Memory.ACC_8BIT])
    moved["insn"] = INSTRUCTION_BYTES * len(table)
    return Counts(moved, gemm_uops=int(totals[_GEMM]), alu_uops=int(totals[_ALU]))


def element_bytes(config: Config) -> NDArray[np.int64]:
    """Bytes of one element in DRAM, indexed by memory type."""
    return np.array([config.element_bytes(memory) for memory in Memory], np.int64)


@jit
def uop_count(row: NDArray[np.int64]) -> int:
    """Micro-ops that a GEMM or ALU instruction executes."""
    loops = row[Column.ITER_OUT] * row[Column.ITER_IN]
    return int(loops * (row[Column.UOP_END] - row[Column.UOP_BGN]))


@jit
def _totals(table: Table, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    totals = np.zeros(len(sizes) + 2, np.int64)
    for row in table:
        opcode = row[Column.OPCODE]
        if opcode == Opcode.GEMM:
            totals[_GEMM] += uop_count(row)
        elif opcode == Opcode.ALU:
            totals[_ALU] += uop_count(row)
        elif opcode != Opcode.FINISH:
            memory = row[Column.MEMORY_TYPE]
            totals[memory] += row[Column.Y_SIZE] * row[Column.X_SIZE] * sizes[memory]
    return totals
