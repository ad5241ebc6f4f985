"""Instruction fields and where they lie in a 128-bit word, given the scratchpad depths.

VTA declares its instructions as C bit-fields of 64-bit units, so the layout is what the compiler
makes of them: fields follow one another from bit 0, and one that would straddle a unit starts at
the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNIT_BITS = 64
INSTRUCTION_BITS = 128
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
UOP_BITS = 32
UOP_BYTES = UOP_BITS // 8
SRAM_BASE_BITS = 16  # fixed by VTA, whatever the scratchpads: a LOAD bounds how deep they can be


class Opcode(IntEnum):
    """What an instruction does."""

    LOAD = 0
    STORE = 1
    GEMM = 2
    FINISH = 3
    ALU = 4


class Memory(IntEnum):
    """What a LOAD fills or a STORE drains; ``ACC_8BIT`` widens int8 into the accumulators."""

    UOP = 0
    WGT = 1
    INP = 2
    ACC = 3
    OUT = 4
    ACC_8BIT = 5


class AluOp(IntEnum):
    """What an ALU instruction computes from ``x`` (destination) and ``y`` (source or immediate)."""

    MIN = 0
    MAX = 1
    ADD = 2
    SHR = 3
    MUL = 4


class Column(IntEnum):
    """A column of the decoded instruction table; an instruction leaves those it lacks 0."""

    OPCODE = 0
    POP_PREV = 1
    POP_NEXT = 2
    PUSH_PREV = 3
    PUSH_NEXT = 4
    MEMORY_TYPE = 5
    SRAM_BASE = 6
    DRAM_BASE = 7
    Y_SIZE = 8
    X_SIZE = 9
    X_STRIDE = 10
    Y_PAD_0 = 11
    Y_PAD_1 = 12
    X_PAD_0 = 13
    X_PAD_1 = 14
    RESET = 15
    UOP_BGN = 16
    UOP_END = 17
    ITER_OUT = 18
    ITER_IN = 19
    DST_OUT = 20
    DST_IN = 21
    SRC_OUT = 22
    SRC_IN = 23
    WGT_OUT = 24
    WGT_IN = 25
    ALU_OPCODE = 26
    USE_IMM = 27
    IMM = 28


class LogDepths(NamedTuple):
    """Base-2 logarithms of the number of elements in each scratchpad."""

    uop: int
    inp: int
    wgt: int
    acc: int


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an instruction: bits ``[low_bit, low_bit + width)`` of the word."""

    column: Column
    low_bit: int
    width: int
    signed: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest value the field holds, both inclusive."""
        if self.signed:
            return -(1 << self.width - 1), (1 << self.width - 1) - 1
        return 0, (1 << self.width) - 1


@lru_cache(maxsize=256)
def instruction_fields(depths: LogDepths, opcode: Opcode) -> tuple[Field, ...]:
    """The fields of an instruction, from bit 0 up; if one ends beyond bit 128, it does not fit."""
    return tuple(_pack(_widths(depths, opcode)))


def uop_widths(depths: LogDepths) -> tuple[int, int, int]:
    """Bits of a micro-op's dst, src and wgt index, from bit 0 up.

    The source index addresses INP in a GEMM and ACC in an ALU instruction: it has bits for either.
    """
    return depths.acc, max(depths.acc, depths.inp), depths.wgt


def _widths(depths: LogDepths, opcode: Opcode) -> Iterator[tuple[Column, int]]:
    yield Column.OPCODE, 3
    yield from (
        (flag, 1) for flag in (Column.POP_PREV, Column.POP_NEXT, Column.PUSH_PREV, Column.PUSH_NEXT)
    )
    if opcode in (Opcode.LOAD, Opcode.STORE):
        yield Column.MEMORY_TYPE, 3
        yield Column.SRAM_BASE, SRAM_BASE_BITS
        yield Column.DRAM_BASE, 32
        yield from ((size, 16) for size in (Column.Y_SIZE, Column.X_SIZE, Column.X_STRIDE))
        yield from (
            (pad, 4) for pad in (Column.Y_PAD_0, Column.Y_PAD_1, Column.X_PAD_0, Column.X_PAD_1)
        )
    elif opcode in (Opcode.GEMM, Opcode.ALU):
        # A GEMM's source is INP, the ALU's is the accumulator file itself.
        src = depths.inp if opcode is Opcode.GEMM else depths.acc
        # The ALU instruction has the reset bit too: nothing reads it, but later fields move by it.
        yield Column.RESET, 1
        yield Column.UOP_BGN, depths.uop
        # The end is exclusive, so it may be the depth itself, which takes one bit more.
        yield Column.UOP_END, depths.uop + 1
        yield from ((count, 14) for count in (Column.ITER_OUT, Column.ITER_IN))
        yield from ((factor, depths.acc) for factor in (Column.DST_OUT, Column.DST_IN))
        yield from ((factor, src) for factor in (Column.SRC_OUT, Column.SRC_IN))
        if opcode is Opcode.GEMM:
            yield from ((factor, depths.wgt) for factor in (Column.WGT_OUT, Column.WGT_IN))
        else:
            yield from ((Column.ALU_OPCODE, 3), (Column.USE_IMM, 1), (Column.IMM, 16))


def _pack(widths: Iterable[tuple[Column, int]]) -> Iterator[Field]:
    low = 0
    for column, width in widths:
        # C starts a bit-field that would straddle its unit at the next one, and leaves a hole.
        if low % UNIT_BITS + width > UNIT_BITS:
            low += UNIT_BITS - low % UNIT_BITS
        yield Field(column, low, width, signed=column is Column.IMM)
        low += width
