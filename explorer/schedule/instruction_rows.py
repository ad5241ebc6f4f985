"""Rows of the table of decoded instructions, as compiled code writes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.fields import Column
from simulator.columns import OPCODE
from simulator.jit import helper, maker

Array = NDArray[np.int64]
COLUMNS = len(Column)


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
