"""Consecutive programs as one instruction stream, with the tokens that keep their memory in order.

No token leads from a STORE to a LOAD, so the compute queue passes it on: it takes the token that a
STORE pushes in any case, to free accumulators, and pushes one that a LOAD of the next program
waits for. Where that is done decides what overlaps:

- **barrier**: the first LOAD of what the program before has stored waits for its last STORE.
- **flow**: each LOAD waits for the STORE of the last box that it reads, and for the last GEMM that
  reads what it overwrites in the scratchpad, as far as no LOAD before it in its queue has done so.

Tokens are anonymous, the k-th pop takes that of the k-th push. So what pushes for the next program
comes after all that push for the loads of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.codec import Queue, Table, queues
from isa.config import Config
from isa.fields import Column, Memory, Opcode
from simulator.counts import element_bytes
from simulator.footprints import Footprints, Part, footprints

Border = Literal["flow", "barrier"]
_PARTS = len(Part)
_SCRATCHPADS = {int(Memory.INP): Part.INP, int(Memory.WGT): Part.WGT}


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Programs in one stream.

    Attributes:
        table: decoded instructions with absolute addresses, (n, columns).
        origin: of each, the number of its program, and of its instruction in that, (n, 2).
    """

    table: Table
    origin: NDArray[np.int64]


def joined(
    config: Config, tables: Sequence[Table], image: NDArray[np.uint8], border: Border
) -> Joined:
    """Programs one after the other, each of which ends with FINISH.

    Args:
        config: what they are for.
        tables: their instructions with absolute addresses.
        image: memory with their micro-ops, which say what GEMM reads.
        border: what lies between them.
    """
    pieces, origins, starts = [], [], [0]
    for number, table in enumerate(tables):
        order = _weights_first(table) if number else np.arange(len(table))
        piece = table[order]
        if number:
            piece = _end_loads(piece, table)
        # FINISH ends the last one only.
        kept = len(piece) - (number < len(tables) - 1)
        pieces.append(piece[:kept])
        origins.append(np.stack([np.full(kept, number), order[:kept]], axis=1))
        starts.append(starts[-1] + kept)
    whole = np.concatenate(pieces)
    touched = footprints(config, whole, image)
    for start, end in pairwise(starts[1:]):
        _connect(config, whole, touched, start, end, border)
    return Joined(whole, np.concatenate(origins))


def _first_loads(table: Table) -> NDArray[np.int64]:
    """The load queue's rows up to its first token, which stand in a row."""
    rows = np.flatnonzero(queues(table) == Queue.LOAD)
    pushing = np.flatnonzero(table[rows, Column.PUSH_NEXT])
    return rows[: int(pushing[0]) + 1] if len(pushing) else rows[:0]


def _weights_first(table: Table) -> NDArray[np.int64]:
    """The rows with weights before inputs in the first loads: only inputs wait for a STORE."""
    order, rows = np.arange(len(table)), _first_loads(table)
    if len(rows) and not table[rows, Column.POP_NEXT].any():
        order[rows] = rows[np.argsort(table[rows, Column.MEMORY_TYPE] != Memory.WGT, kind="stable")]
    return order


def _end_loads(piece: Table, table: Table) -> Table:
    """The reordered table with the token of the first loads at the last of them."""
    rows = _first_loads(table)
    if len(rows):
        piece = piece.copy()
        piece[rows, Column.PUSH_NEXT] = 0
        piece[rows[-1], Column.PUSH_NEXT] = 1
    return piece


class _Past(NamedTuple):
    """What was before a program.

    Attributes:
        compute: rows of the compute queue.
        stores: rows of STOREs that move something, with the row that knows each to be complete.
        pushed: the last row that pushes a token for a LOAD, or -1.
    """

    compute: NDArray[np.int64]
    stores: NDArray[np.int64]
    pushed: int


def _past(table: Table, start: int) -> _Past:
    queue = queues(table[:start])
    compute = np.flatnonzero(queue == Queue.COMPUTE)
    storing = np.flatnonzero(queue == Queue.STORE)
    pops = compute[table[compute, Column.POP_NEXT] != 0]
    # The k-th pop takes the token of the k-th push, and all STOREs before that one are complete.
    earlier = np.cumsum(table[storing, Column.PUSH_PREV]) - table[storing, Column.PUSH_PREV]
    known = pops[earlier]
    moving = table[storing, Column.X_SIZE] > 0
    pushes = compute[table[compute, Column.PUSH_PREV] != 0]
    return _Past(
        compute,
        np.stack([storing[moving], known[moving]], axis=1),
        int(pushes[-1]) if len(pushes) else -1,
    )


def _connect(
    config: Config, table: Table, touched: Footprints, start: int, end: int, border: Border
) -> None:
    """Let the loads of the program in rows `start` to `end` wait for what was before it."""
    past, awaited = _past(table, start), -1
    loads = start + np.flatnonzero(queues(table[start:end]) == Queue.LOAD)
    last = int(past.stores[:, 1].max(initial=-1))
    pushed = past.pushed
    for row in loads.tolist():
        if table[row, Column.POP_NEXT]:
            return  # it waits for a GEMM of its own program: all before that is complete
        stored = _stored(config, table, past, row)
        if border == "barrier" and stored >= 0:
            stored = last
        need = max(stored, _overwritten(table, touched, past, row))
        if need <= awaited:
            continue
        free = past.compute[past.compute >= max(need, pushed + 1)]
        release = int(free[0])
        table[release, Column.PUSH_PREV] = table[row, Column.POP_NEXT] = 1
        pushed = awaited = release


def _stored(config: Config, table: Table, past: _Past, row: int) -> int:
    """The row that knows the last STORE of what a LOAD reads to be complete; -1 for none."""
    known = -1
    if not (table[row, Column.X_SIZE] and table[row, Column.Y_SIZE]):
        return known
    begins, ends = _rows_of(config, table, row)
    for store, row_known in past.stores[::-1].tolist():
        if row_known <= known:
            break
        first, last = _rows_of(config, table, store)
        if ends[-1] <= first[0] or last[-1] <= begins[0]:
            continue
        # Rows are in order: the first that ends behind a row's start must not begin before its end.
        place = np.searchsorted(last, begins, side="right")
        inside = place < len(first)
        if np.any(first[place[inside]] < ends[inside]):
            known = row_known
    return known


def _rows_of(config: Config, table: Table, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the rows of a transfer begin and end in DRAM, in bytes."""
    line = table[row]
    size = int(element_bytes(config)[line[Column.MEMORY_TYPE]])
    begins = line[Column.DRAM_BASE] + np.arange(line[Column.Y_SIZE]) * line[Column.X_STRIDE]
    return begins * size, (begins + line[Column.X_SIZE]) * size


def _overwritten(table: Table, touched: Footprints, past: _Past, row: int) -> int:
    """The last GEMM that reads what a LOAD overwrites; -1 for none."""
    line = table[row]
    part = _SCRATCHPADS[int(line[Column.MEMORY_TYPE])]
    width = line[Column.X_SIZE] + line[Column.X_PAD_0] + line[Column.X_PAD_1]
    height = line[Column.Y_SIZE] + line[Column.Y_PAD_0] + line[Column.Y_PAD_1]
    low = int(line[Column.SRAM_BASE])
    high = low + int(width * height)
    meets: dict[int, bool] = {}
    for other in past.compute[::-1].tolist():
        which = int(touched.which[other])
        if which < 0 or table[other, Column.OPCODE] != Opcode.GEMM or table[other, Column.RESET]:
            continue
        if which not in meets:
            place = which * _PARTS + part
            runs = touched.intervals[touched.starts[place] : touched.starts[place + 1]]
            meets[which] = bool(np.any((runs[:, 0] < high) & (runs[:, 1] > low)))
        if meets[which]:
            return int(other)
    return -1
