"""Instructions as one implementation reads them, written as every implementation would read them.

Whatever follows from an instruction's own fields is settled here, before anything is executed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isa.fields import AluOp, Column, Memory, Opcode
from simulator.implementations import Semantics, Shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isa.codec import Table
    from isa.config import Config

_PADS = slice(Column.Y_PAD_0, Column.X_PAD_1 + 1)
_FIVE_BITS = 31


def specialise(config: Config, table: Table, semantics: Semantics) -> Table:
    """What an implementation executes, as a table of the same shape.

    STOREs say OUT and have no padding; LOADs pad what they say, also where they move no elements;
    loops iterate as often as they say; a range of micro-ops that wraps around ends beyond the
    depth; and an immediate shift goes right by its amount, or left by minus its amount, modulo 32.
    """
    table = table.copy()
    _specialise_transfers(table, semantics)
    _specialise_loops(config, table, semantics)
    _specialise_shifts(table, semantics)
    return table


def _specialise_transfers(table: Table, semantics: Semantics) -> None:
    opcode, memory = table[:, Column.OPCODE], table[:, Column.MEMORY_TYPE].copy()
    stores, loads = opcode == Opcode.STORE, opcode == Opcode.LOAD
    table[stores, Column.MEMORY_TYPE] = Memory.OUT
    table[stores, _PADS] = 0

    eight_bits = loads & (memory == Memory.ACC_8BIT)
    if not semantics.acc_8bit:
        table[eight_bits, Column.X_SIZE] = 0
        table[eight_bits, _PADS] = 0
    pads = {
        Memory.UOP: semantics.pads_uop,
        Memory.WGT: semantics.pads_wgt,
        Memory.INP: semantics.pads_inp,
        Memory.ACC: semantics.pads_acc,
    }
    for kind, padded in pads.items():
        table[loads & (memory == kind) & (not padded), _PADS] = 0
    if not semantics.pads_nothing:
        table[loads & (table[:, Column.X_SIZE] == 0), _PADS] = 0
    if not semantics.uop_rows:
        table[loads & (memory == Memory.UOP), Column.Y_SIZE] = 1


def _specialise_loops(config: Config, table: Table, semantics: Semantics) -> None:
    opcode = table[:, Column.OPCODE]
    loops = (opcode == Opcode.GEMM) | (opcode == Opcode.ALU)
    for count in (Column.ITER_OUT, Column.ITER_IN):
        table[loops & (table[:, count] == 0), count] = semantics.zero_count
    wrapping = loops & (table[:, Column.UOP_END] <= table[:, Column.UOP_BGN])
    if semantics.uops_wrap:
        # The counter has the bits of uop_end, one more than an index of the scratchpad has.
        table[wrapping, Column.UOP_END] += 2 * config.uop_depth
    else:
        table[wrapping, Column.UOP_END] = table[wrapping, Column.UOP_BGN]


def _specialise_shifts(table: Table, semantics: Semantics) -> None:
    shifts = (table[:, Column.OPCODE] == Opcode.ALU) & (table[:, Column.ALU_OPCODE] == AluOp.SHR)
    shifts &= table[:, Column.USE_IMM] != 0
    table[shifts, Column.IMM] = _amounts(table[shifts, Column.IMM], semantics.shift)


def _amounts(immediate: NDArray[np.int64], rule: int) -> NDArray[np.int64]:
    """Places to the right, those to the left below 0; what is undefined stays as it is."""
    if rule == Shift.FIVE_BITS:
        low = immediate & _FIVE_BITS
        return np.where(low > _FIVE_BITS // 2, low - _FIVE_BITS - 1, low)
    if rule == Shift.IMMEDIATE_SIGN:
        right, left = immediate & _FIVE_BITS, -immediate & _FIVE_BITS
        return np.where(immediate < 0, -left, right)
    return immediate
