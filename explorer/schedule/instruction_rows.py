"""Rows of the table of decoded instructions, as compiled code writes them.

Columns and opcodes stand here as plain integers: compiling one member of an enumeration takes as
long as compiling a line of arithmetic, and they are used everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.fields import Column, Memory, Opcode
from simulator.jit import helper, maker

Array = NDArray[np.int64]
COLUMNS = len(Column)
OPCODE = int(Column.OPCODE)
POP_PREV = int(Column.POP_PREV)
POP_NEXT = int(Column.POP_NEXT)
PUSH_PREV = int(Column.PUSH_PREV)
PUSH_NEXT = int(Column.PUSH_NEXT)
MEMORY_TYPE = int(Column.MEMORY_TYPE)
SRAM_BASE = int(Column.SRAM_BASE)
DRAM_BASE = int(Column.DRAM_BASE)
Y_SIZE = int(Column.Y_SIZE)
X_SIZE = int(Column.X_SIZE)
X_STRIDE = int(Column.X_STRIDE)
Y_PAD_0 = int(Column.Y_PAD_0)
Y_PAD_1 = int(Column.Y_PAD_1)
X_PAD_0 = int(Column.X_PAD_0)
X_PAD_1 = int(Column.X_PAD_1)
RESET = int(Column.RESET)
UOP_BGN = int(Column.UOP_BGN)
UOP_END = int(Column.UOP_END)
ITER_OUT = int(Column.ITER_OUT)
ITER_IN = int(Column.ITER_IN)
DST_OUT = int(Column.DST_OUT)
DST_IN = int(Column.DST_IN)
SRC_IN = int(Column.SRC_IN)
ALU_OPCODE = int(Column.ALU_OPCODE)
USE_IMM = int(Column.USE_IMM)
IMM = int(Column.IMM)
LOAD, STORE, GEMM = int(Opcode.LOAD), int(Opcode.STORE), int(Opcode.GEMM)
ALU, FINISH = int(Opcode.ALU), int(Opcode.FINISH)
UOP_MEMORY = int(Memory.UOP)


@helper
def begin_row(table: Array, n: int, opcode: int) -> None:
    """Start a row: tables are not cleared before, as most of a grown one is never reached."""
    for column in range(COLUMNS):
        table[n, column] = 0
    table[n, OPCODE] = opcode


@maker
def grown(table: Array, n: int, need: int) -> Array:
    """The table, with room for so many rows more."""
    if n + need <= len(table):
        return table
    larger = np.empty((2 * (n + need), COLUMNS), np.int64)
    for row in range(n):
        for column in range(COLUMNS):
            larger[row, column] = table[row, column]
    return larger
