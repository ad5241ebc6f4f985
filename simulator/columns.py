"""Columns, opcodes and memories of decoded instructions as plain integers, for compiled code.

Compiling one member of an enumeration takes as long as compiling a line of arithmetic, and they are
used everywhere.
"""

from __future__ import annotations

from isa.fields import Column, Memory, Opcode

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
SRC_OUT = int(Column.SRC_OUT)
SRC_IN = int(Column.SRC_IN)
WGT_OUT = int(Column.WGT_OUT)
WGT_IN = int(Column.WGT_IN)
ALU_OPCODE = int(Column.ALU_OPCODE)
USE_IMM = int(Column.USE_IMM)
IMM = int(Column.IMM)

OP_LOAD, OP_STORE, OP_GEMM = int(Opcode.LOAD), int(Opcode.STORE), int(Opcode.GEMM)
OP_ALU, OP_FINISH = int(Opcode.ALU), int(Opcode.FINISH)

UOP, WGT, INP = int(Memory.UOP), int(Memory.WGT), int(Memory.INP)
ACC, OUT = int(Memory.ACC), int(Memory.OUT)
