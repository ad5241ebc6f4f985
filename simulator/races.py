"""Races: two queues use the same memory, one of them writes, and no token says which comes first.

Each instruction has a vector clock: how many instructions of each queue are complete before it
starts, in every legal order. It follows from the order within the queues and from the tokens, since
the k-th pop of a counter takes the token of the k-th push. Two instructions may come in either
order exactly if neither is counted by the other's clock. One walk over the program in any legal
order then compares each access of a memory cell with the last ones before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.codec import COUNTERS, NO_COUNTER, Counter, Queue, Table, queues
from isa.fields import Column, Opcode
from simulator.columns import (
    DRAM_BASE,
    INP,
    MEMORY_TYPE,
    OP_FINISH,
    OP_GEMM,
    OP_LOAD,
    OP_STORE,
    OPCODE,
    POP_PREV,
    RESET,
    SRAM_BASE,
    UOP,
    WGT,
    X_PAD_0,
    X_PAD_1,
    X_SIZE,
    X_STRIDE,
    Y_PAD_0,
    Y_PAD_1,
    Y_SIZE,
)
from simulator.counts import element_bytes
from simulator.footprints import Footprints, Part
from simulator.jit import helper, jit

if TYPE_CHECKING:
    from isa.config import Config

_NONE = -1
_PARTS, _N_COUNTERS = len(Part), len(Counter)


class Clocks(NamedTuple):
    """What happens before what.

    Attributes:
        position: of each instruction within its queue, (instructions,).
        before: instructions of each `Queue` that are complete before it starts, (instructions, 3).
    """

    position: NDArray[np.int64]
    before: Table


def clocks(table: Table, order: NDArray[np.int64]) -> Clocks:
    """The clocks of the instructions in a legal order; those that are not in it have none."""
    queue, n = queues(table), len(table)
    position = np.full(n, _NONE)
    before = np.zeros((n, len(Queue)), np.int64)
    _clocks(table, queue, order, position, before)
    return Clocks(position, before)


@jit
def _clocks(
    table: Table,
    queue: NDArray[np.int64],
    order: NDArray[np.int64],
    position: NDArray[np.int64],
    before: Table,
) -> None:
    n_queues = before.shape[1]
    done = np.zeros((n_queues, n_queues), np.int64)
    pushes = np.empty((_N_COUNTERS, len(table)), np.int64)
    pushed, popped = np.zeros(_N_COUNTERS, np.int64), np.zeros(_N_COUNTERS, np.int64)
    for i in order:
        q = queue[i]
        position[i] = done[q, q]
        for flag in range(2):
            counter = COUNTERS[q, flag]
            if table[i, POP_PREV + flag] and counter != NO_COUNTER:
                source = pushes[counter, popped[counter]]
                popped[counter] += 1
                for other in range(n_queues):
                    done[q, other] = max(done[q, other], before[source, other])
                done[q, queue[source]] = max(done[q, queue[source]], position[source] + 1)
        for other in range(n_queues):
            before[i, other] = done[q, other]
        done[q, q] += 1
        for flag in range(2, 4):
            counter = COUNTERS[q, flag]
            if table[i, POP_PREV + flag] and counter != NO_COUNTER:
                pushes[counter, pushed[counter]] = i
                pushed[counter] += 1


@dataclass(frozen=True, slots=True)
class Race:
    """Two instructions of different queues that meet in a memory in no certain order.

    Attributes:
        first: the one that comes first in program order; `second` the other one.
        memory: ``INP``, ``WGT``, ``ACC`` or ``DRAM``.
        place: the first element of the scratchpad, or byte of DRAM, in which they meet.
    """

    first: int
    second: int
    memory: str
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class Accesses:
    """What a walk over a program's memory accesses found.

    Attributes:
        races: for each instruction, and each other queue, one with an instruction before it.
        stale: STOREs of an ACC element whose last writer does not write OUT, with the element.
        unwritten: instructions that read a scratchpad element that none before has written: the
            instruction, the memory and the element.
        generated: LOADs of micro-ops that the program has stored itself.
    """

    races: tuple[Race, ...]
    stale: tuple[tuple[int, int], ...]
    unwritten: tuple[tuple[int, str, int], ...]
    generated: tuple[int, ...]


class _Space(NamedTuple):
    """Where the cells of the memories lie in one array of cells.

    Attributes:
        begin: the first cell of INP, WGT, ACC and DRAM, and one past the last cell of all.
        low, high: the bytes of DRAM that have cells: only these are both stored and loaded.
        granule: bytes of a cell of DRAM.
    """

    begin: tuple[int, int, int, int, int]
    low: int
    high: int
    granule: int


_MEMORIES = ("INP", "WGT", "ACC", "DRAM")
_INP, _WGT, _ACC, _DRAM = range(4)


class _Found(IntEnum):
    """Column of the array of what was found about an instruction; -1 where nothing was."""

    RACE_LOAD = 0  # by `Queue`: the other instruction
    RACE_COMPUTE = 1
    RACE_STORE = 2
    CELL_LOAD = 3  # by `Queue`: in which cell
    CELL_COMPUTE = 4
    CELL_STORE = 5
    STALE = 6  # ACC element
    UNWRITTEN = 7  # cell
    GENERATED = 8  # cell


# Plain integers for compiled code: members of enumerations take long to compile.
_RACE_LOAD, _CELL_LOAD = int(_Found.RACE_LOAD), int(_Found.CELL_LOAD)
_STALE, _UNWRITTEN, _GENERATED = map(int, (_Found.STALE, _Found.UNWRITTEN, _Found.GENERATED))
_DST_PART, _INP_PART, _WGT_PART = int(Part.DST), int(Part.INP), int(Part.WGT)


def accesses(
    config: Config, table: Table, order: NDArray[np.int64], found: Clocks, touched: Footprints
) -> Accesses:
    """Walk over a program's memory accesses.

    Args:
        config: gives depths and element sizes.
        table: the decoded program.
        order: a legal order of its instructions, (executed,).
        found: their clocks.
        touched: what GEMM and ALU instructions touch.
    """
    space = _space(config, table)
    result = np.full((len(table), len(_Found)), _NONE)
    walk = _Walk(
        table,
        queues(table),
        found.position,
        found.before,
        last=np.full((space.begin[-1], 1 + len(Queue)), _NONE, np.int32),
        fresh=np.zeros(config.acc_depth, np.bool_),
        found=result,
    )
    sizes = element_bytes(config)
    _walk(walk, order, space, sizes, touched.which, touched.intervals, touched.starts)
    races = []
    for place, queue in np.argwhere(result[:, : len(Queue)] != _NONE).tolist():
        other, cell = int(result[place, queue]), int(result[place, _Found.CELL_LOAD + queue])
        races.append(Race(min(place, other), max(place, other), *_place(space, cell)))

    def where(column: _Found) -> list[int]:
        places: list[int] = np.flatnonzero(result[:, column] != _NONE).tolist()
        return places

    return Accesses(
        tuple(races),
        tuple((i, int(result[i, _Found.STALE])) for i in where(_Found.STALE)),
        tuple(
            (i, *_place(space, int(result[i, _Found.UNWRITTEN]))) for i in where(_Found.UNWRITTEN)
        ),
        tuple(where(_Found.GENERATED)),
    )


def _place(space: _Space, cell: int) -> tuple[str, int]:
    memory = int(np.searchsorted(space.begin, cell, side="right")) - 1
    offset = cell - space.begin[memory]
    return _MEMORIES[memory], space.low + offset * space.granule if memory == _DRAM else offset


def _space(config: Config, table: Table) -> _Space:
    """Cells for every scratchpad element, and for the part of DRAM that is stored and loaded."""
    opcode, size = table[:, Column.OPCODE], element_bytes(config)[table[:, Column.MEMORY_TYPE]]
    moves = (table[:, Column.X_SIZE] > 0) & (table[:, Column.Y_SIZE] > 0)
    begin = table[:, Column.DRAM_BASE] * size
    stride, length = table[:, Column.X_STRIDE] * size, table[:, Column.X_SIZE] * size
    end = begin + (table[:, Column.Y_SIZE] - 1) * stride + length
    low, high, granule = 0, 0, 1
    stores, loads = moves & (opcode == Opcode.STORE), moves & (opcode == Opcode.LOAD)
    if stores.any() and loads.any():
        low = int(max(begin[stores].min(), begin[loads].min()))
        high = int(max(low, min(end[stores].max(), end[loads].max())))
        inside = (stores | loads) & (begin < high) & (end > low)
        parts = np.concatenate([begin[inside], stride[inside], length[inside], [low, high]])
        granule = max(1, int(np.gcd.reduce(parts)))
    cells = [config.inp_depth, config.wgt_depth, config.acc_depth, (high - low) // granule]
    first = np.cumsum([0, *cells]).tolist()
    return _Space((first[0], first[1], first[2], first[3], first[4]), low, high, granule)


class _Walk(NamedTuple):
    """The state of a walk, as the compiled functions see it.

    Attributes:
        table: the decoded program.
        queue: the `Queue` of each instruction.
        position, before: their clocks.
        last: the last writer of each cell, then its last reader in each `Queue`, (cells, 4).
        fresh: for each ACC element, whether hardware's OUT memory holds its low bytes.
        found: by instruction and `_Found`.
    """

    table: Table
    queue: NDArray[np.int64]
    position: NDArray[np.int64]
    before: Table
    last: NDArray[np.int32]
    fresh: NDArray[np.bool_]
    found: Table


@jit
def _walk(
    walk: _Walk,
    order: NDArray[np.int64],
    space: _Space,
    sizes: NDArray[np.int64],
    which: NDArray[np.int64],
    intervals: Table,
    starts: NDArray[np.int64],
) -> None:
    """Fill in what is found."""
    for i in order:
        opcode = walk.table[i, OPCODE]
        if which[i] >= 0:
            _compute(walk, space, i, intervals, starts, which[i] * _PARTS)
        elif opcode != OP_FINISH and walk.table[i, X_SIZE] > 0:
            size = sizes[walk.table[i, MEMORY_TYPE]]
            _move_dram(walk, space, i, size)
            _move_scratchpad(walk, space, i)


@helper
def _compute(
    walk: _Walk, space: _Space, i: int, intervals: Table, starts: NDArray[np.int64], at: int
) -> None:
    """A GEMM or ALU instruction: it reads, then writes; `at` is the first part of its footprint."""
    row, acc = walk.table[i], space.begin[_ACC]
    is_reset = row[OPCODE] == OP_GEMM and row[RESET] != 0
    for part in range(_PARTS):
        first = acc
        if part == _INP_PART:
            first = space.begin[_INP]
        elif part == _WGT_PART:
            first = space.begin[_WGT]
        elif part == _DST_PART and is_reset:
            continue
        for run in range(starts[at + part], starts[at + part + 1]):
            _read(walk, i, first + intervals[run, 0], first + intervals[run, 1], True)
    for run in range(starts[at + _DST_PART], starts[at + _DST_PART + 1]):
        _write(walk, i, acc + intervals[run, 0], acc + intervals[run, 1])
        for element in range(intervals[run, 0], intervals[run, 1]):
            walk.fresh[element] = not is_reset


@helper
def _move_scratchpad(walk: _Walk, space: _Space, i: int) -> None:
    """The scratchpad's side of a LOAD or STORE; micro-ops are the compute queue's own."""
    row = walk.table[i]
    memory = row[MEMORY_TYPE]
    if memory == UOP:
        return
    where = _INP if memory == INP else _WGT if memory == WGT else _ACC
    rows, width = row[Y_SIZE], row[X_SIZE]
    if row[OPCODE] == OP_LOAD:
        rows += row[Y_PAD_0] + row[Y_PAD_1]
        width += row[X_PAD_0] + row[X_PAD_1]
    low = min(space.begin[where] + row[SRAM_BASE], space.begin[where + 1])
    high = min(low + rows * width, space.begin[where + 1])
    first, end = low - space.begin[where], high - space.begin[where]
    if row[OPCODE] == OP_LOAD:
        _write(walk, i, low, high)
        if where == _ACC:
            for element in range(first, end):
                walk.fresh[element] = False
        return
    _read(walk, i, low, high, True)
    for element in range(first, end):
        if not walk.fresh[element]:
            walk.found[i, _STALE] = element
            return


@helper
def _move_dram(walk: _Walk, space: _Space, i: int, size: int) -> None:
    """DRAM's side of a LOAD or STORE, as far as it has cells."""
    row, first = walk.table[i], space.begin[_DRAM]
    stride, length = row[X_STRIDE] * size, row[X_SIZE] * size
    address = row[DRAM_BASE] * size
    if address >= space.high or address + (row[Y_SIZE] - 1) * stride + length <= space.low:
        return
    for y in range(row[Y_SIZE]):
        begin = max(address + y * stride, space.low)
        end = min(address + y * stride + length, space.high)
        low = first + (begin - space.low) // space.granule
        high = first + (end - space.low) // space.granule
        if row[OPCODE] == OP_STORE:
            _write(walk, i, low, high)
            continue
        _read(walk, i, low, high, False)
        if row[MEMORY_TYPE] == UOP:
            for cell in range(low, high):
                if walk.last[cell, 0] != _NONE:
                    walk.found[i, _GENERATED] = cell


@helper
def _read(walk: _Walk, i: int, low: int, high: int, must_be_written: bool) -> None:
    """Compare with the last writers of these cells, and become their last reader in the queue."""
    last, found, q = walk.last, walk.found[i], walk.queue[i]
    for cell in range(low, high):
        writer = last[cell, 0]
        if writer != _NONE:
            _compare(walk, i, q, writer, cell)
        elif must_be_written and found[_UNWRITTEN] == _NONE:
            found[_UNWRITTEN] = cell
        last[cell, 1 + q] = i


@helper
def _write(walk: _Walk, i: int, low: int, high: int) -> None:
    """Compare with the last writer and readers of these cells, and become their last writer."""
    last, q = walk.last, walk.queue[i]
    for cell in range(low, high):
        for column in range(last.shape[1]):
            if last[cell, column] != _NONE:
                _compare(walk, i, q, last[cell, column], cell)
        last[cell, 0] = i


@helper
def _compare(walk: _Walk, i: int, q: int, other: int, cell: int) -> None:
    """Note a race with an earlier instruction, unless it is of the same queue or complete."""
    p = walk.queue[other]
    if p != q and walk.position[other] >= walk.before[i, p]:
        found = walk.found[i]
        if found[_RACE_LOAD + p] == _NONE:
            found[_RACE_LOAD + p] = other
            found[_CELL_LOAD + p] = cell
