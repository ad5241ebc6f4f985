"""Programs that copy a tensor from one layout into another: GEMM with blocks that select lanes.

Vectors are made in the order in which they are stored, a tile at a time in one of two contexts of
the scratchpads: what a tile is made of is loaded while the one before is multiplied and stored.
Which size of tiles is best, the cycles of the whole program say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.boxes import boxes
from explorer.deployment.programs import MICRO_OPS, NOTHING
from explorer.layout.canonical import IDLE
from explorer.network.plan.copying import NOWHERE, Places, Rows, origins, vectors
from explorer.schedule.lowering import MAX_ITERATIONS
from isa.codec import Table
from isa.config import Config
from isa.fields import Column, Memory, Opcode
from simulator.timing import cycles

Array = NDArray[np.int64]
CONTEXTS = 2
SOURCE, BLOCKS, TARGET = 0, 1, 2
"""Operands: what is read, the blocks of weights, and what is written."""
BLANK = -(2**40)
"""In place of an entry: any, as nothing of it is taken."""
SHARES = (1, 2, 4, 8, 16)
"""Parts of a context that tiles are tried for; smaller ones begin to be stored earlier."""


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """A program that copies.

    Attributes:
        table: decoded instructions, (n, columns), addresses relative to what they point to.
        points: of each instruction the operand, `NOTHING` or `MICRO_OPS`, (n,).
        uops: micro-ops, (n, 3).
        blocks: of weights, as they lie in DRAM.
        cycles: of the program.
    """

    table: Table
    points: Array
    uops: Table
    blocks: bytes
    cycles: int


class _Steps(NamedTuple):
    """What a copy multiplies.

    Attributes:
        stored: the entries that are written, ascending, (n,).
        products: of each of them the entries that it is made of, or `BLANK`, (n, most).
        which: of each of these the block of weights, -1 where there are no more, (n, most).
        blocks: weights, (blocks, output lanes, input lanes), int8.
    """

    stored: Array
    products: Array
    which: Array
    blocks: NDArray[np.int8]


def copy(config: Config, there: Rows, here: Rows) -> Copy | None:
    """The program that makes one layout of another; None where none can, or fits.

    Args:
        config: what it is for.
        there: the tensor's elements as they are written, (entries, lanes).
        here: the same as they are read.
    """
    here = vectors(here, there.shape[1])
    found = origins(Places.of(there, config.batch), here)
    if found is None or config.block_in != config.block_out:
        return None
    steps = _steps(found, (here != IDLE).any(axis=1))
    if len(steps.blocks) > config.wgt_depth:
        return None
    made = [
        program
        for size in _sizes(config, len(steps.stored))
        if (program := _Writer(config, steps).program(size)) is not None
    ]
    return min(made, key=lambda program: program.cycles, default=None)


def _sizes(config: Config, count: int) -> list[int]:
    """Vectors of a tile to be tried: such as divide all into equal tiles, where there are any."""
    most = min(config.acc_depth, config.inp_depth) // CONTEXTS
    found = dict[int, None]()
    for share in SHARES:
        limit = min(max(most // share, 1), count)
        even = next(size for size in range(limit, 0, -1) if count % size == 0)
        found[even if 2 * even >= limit else limit] = None
    return list(found)


def _steps(found: Rows, wanted: NDArray[np.bool_]) -> _Steps:
    """The products of each vector that is stored, those of a vector by their entries."""
    stored = np.flatnonzero(wanted)
    rows, lanes = found[stored].astype(np.int64), found.shape[1]
    last = np.maximum(rows.max(axis=1), 0) // lanes
    # Vectors that are made alike, of entries at the same distances, are looked at once: places
    # relative to the last entry, whose lanes are 0 to `lanes` - 1.
    alike = np.where(rows >= 0, rows - (last * lanes)[:, None], lanes)
    patterns, which = np.unique(alike, axis=0, return_inverse=True)
    known: dict[bytes, int] = {}
    blocks: list[NDArray[np.int8]] = []
    each: list[list[tuple[int, int]]] = []
    for pattern in patterns:
        entry, lane = np.divmod(pattern, lanes)
        used = pattern < lanes
        own = []
        for source in np.unique(entry[used]).tolist() or [None]:
            block = np.zeros((lanes, lanes), np.int8)
            to = np.flatnonzero(used & (entry == source))
            block[to, lane[to]] = 1
            number = known.setdefault(block.tobytes(), len(known))
            if number == len(blocks):
                blocks.append(block)
            own.append((BLANK if source is None else source, number))
        each.append(own)
    most = max(map(len, each))
    apart = np.array([[*(e for e, _ in own), *[NOWHERE] * (most - len(own))] for own in each])
    numbers = np.array([[*(n for _, n in own), *[NOWHERE] * (most - len(own))] for own in each])
    which = which.reshape(-1)
    products = np.where(numbers[which] >= 0, last[:, None] + apart[which], NOWHERE)
    products[apart[which] == BLANK] = BLANK
    return _Steps(stored, products, numbers[which], np.stack(blocks))


class _Kernel(NamedTuple):
    """Micro-ops of a GEMM instruction, with its two loops; see `_folded`."""

    begin: int
    end: int
    outer: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]


@dataclass(slots=True)
class _Writer:
    """A program as it is written."""

    config: Config
    steps: _Steps
    rows: list[Array] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    uops: list[Array] = field(default_factory=list)
    kernels: dict[bytes, _Kernel] = field(default_factory=dict)
    shapes: dict[bytes, list[tuple[int, int, int, int, int]]] = field(default_factory=dict)

    def program(self, size: int) -> Copy | None:
        """The program with tiles of so many vectors; None where scratchpads do not hold them."""
        config, stored = self.config, self.steps.stored
        self.put(NOTHING, OPCODE=Opcode.LOAD)  # of micro-ops, told in the end
        self.load(Memory.WGT, BLOCKS, 0, 0, len(self.steps.blocks), 1, len(self.steps.blocks))
        starts = range(0, len(stored), size)
        for number, begin in enumerate(starts):
            rows = slice(begin, begin + size)
            sources = np.unique(self.steps.products[rows])
            sources = sources[sources >= 0] if sources[-1] >= 0 else np.zeros(1, np.int64)
            if len(sources) > config.inp_depth // CONTEXTS:
                return None
            self.tile(number, rows, sources, last=len(starts) - number)
        for _ in range(min(len(starts), CONTEXTS)):
            self.put(NOTHING, OPCODE=Opcode.LOAD, MEMORY_TYPE=Memory.UOP, POP_NEXT=1)
        self.put(NOTHING, OPCODE=Opcode.FINISH)
        uops = np.concatenate(self.uops)
        if len(uops) > config.uop_depth:
            return None
        self.points[0] = MICRO_OPS
        first = {"MEMORY_TYPE": Memory.UOP, "X_SIZE": len(uops), "X_STRIDE": len(uops), "Y_SIZE": 1}
        for name, value in first.items():
            self.rows[0][Column[name]] = value
        table = np.stack(self.rows)
        data = self.steps.blocks.tobytes()
        return Copy(table, np.array(self.points), uops, data, cycles(config, table))

    def put(self, point: int, **values: int) -> None:
        """Add an instruction."""
        row = np.zeros(len(Column), np.int64)
        for name, value in values.items():
            row[Column[name]] = value
        self.rows.append(row)
        self.points.append(point)

    def load(
        self, memory: Memory, point: int, sram: int, dram: int, width: int, height: int, stride: int
    ) -> None:
        """Add a LOAD."""
        self.put(
            point, OPCODE=Opcode.LOAD, MEMORY_TYPE=memory, SRAM_BASE=sram, DRAM_BASE=dram,
            X_SIZE=width, Y_SIZE=height, X_STRIDE=stride,
        )  # fmt: skip

    def tile(self, number: int, rows: slice, sources: Array, last: int) -> None:
        """Add the instructions of a tile.

        Args:
            number: of the tile.
            rows: of the steps.
            sources: the entries that they read, ascending.
            last: how many tiles are left, this one among them.
        """
        config, steps = self.config, self.steps
        context, again = number % CONTEXTS, number >= CONTEXTS
        inp, acc = (context * (depth // CONTEXTS) for depth in (config.inp_depth, config.acc_depth))
        begin = len(self.rows)
        for box in self.boxed(sources):
            sram, dram, width, height, stride = box
            self.load(Memory.INP, SOURCE, inp + sram, int(sources[0]) + dram, width, height, stride)
        self.rows[begin][Column.POP_NEXT] = again
        self.rows[-1][Column.PUSH_NEXT] = 1
        stored = steps.stored[rows]
        resets = len(self.rows)
        self.gemm(np.stack([acc + np.arange(len(stored)), *np.zeros((2, len(stored)), int)], 1), 1)
        self.rows[resets][Column.POP_NEXT] = again
        products, which = steps.products[rows], steps.which[rows]
        for turn in range(products.shape[1]):
            own = np.flatnonzero(which[:, turn] >= 0)
            if len(own):
                place = np.searchsorted(sources, np.maximum(products[own, turn], sources[0]))
                self.gemm(np.stack([acc + own, inp + place, which[own, turn]], 1), 0)
        self.rows[resets + 1][Column.POP_PREV] = 1
        self.rows[-1][Column.PUSH_PREV] = last > CONTEXTS
        self.rows[-1][Column.PUSH_NEXT] = 1
        begin = len(self.rows)
        for sram, dram, width, height, stride in self.boxed(stored):
            self.put(
                TARGET, OPCODE=Opcode.STORE, MEMORY_TYPE=Memory.OUT, SRAM_BASE=acc + sram,
                DRAM_BASE=int(stored[0]) + dram, X_SIZE=width, Y_SIZE=height, X_STRIDE=stride,
            )  # fmt: skip
        self.rows[begin][Column.POP_PREV] = 1
        self.rows[-1][Column.PUSH_PREV] = 1

    def boxed(self, entries: Array) -> list[tuple[int, int, int, int, int]]:
        """Transfers of entries that lie densely in the scratchpad, counted from the first one."""
        relative = entries - entries[0]
        key = relative.tobytes()
        if key not in self.shapes:
            pairs = np.stack([np.arange(len(relative)), relative], 1)
            self.shapes[key] = list(boxes(pairs))
        return self.shapes[key]

    def gemm(self, steps: Array, reset: int) -> None:
        """Add a GEMM of these steps, (n, 3): dst, src, wgt, in any order that loops can say."""
        key = bytes([reset]) + steps.tobytes()
        if key not in self.kernels:
            uops, outer, inner = _folded(steps)
            begin = sum(map(len, self.uops))
            self.kernels[key] = _Kernel(begin, begin + len(uops), outer, inner)
            self.uops.append(uops)
        begin, end, outer, inner = self.kernels[key]
        self.put(
            NOTHING, OPCODE=Opcode.GEMM, RESET=reset, UOP_BGN=begin, UOP_END=end,
            ITER_OUT=outer[0], DST_OUT=outer[1], SRC_OUT=outer[2], WGT_OUT=outer[3],
            ITER_IN=inner[0], DST_IN=inner[1], SRC_IN=inner[2], WGT_IN=inner[3],
        )  # fmt: skip


def _folded(steps: Array) -> tuple[Array, tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Few micro-ops, and two loops over them that make these steps: counts, and what they add."""
    uops, outer = _period(steps)
    uops, inner = _period(uops)
    return uops, outer, inner


def _period(steps: Array) -> tuple[Array, tuple[int, int, int, int]]:
    """The first steps whose repetitions are all of them, each with the same added to it."""
    count = len(steps)
    for size in (n for n in range(1, count) if count % n == 0 and count // n <= MAX_ITERATIONS):
        apart = steps[size:] - steps[:-size]
        # Fields that are added have no sign. They cannot exceed what scratchpads hold.
        if (apart == apart[0]).all() and (apart[0] >= 0).all():
            dst, src, wgt = apart[0].tolist()
            return steps[:size], (count // size, dst, src, wgt)
    return steps, (1, 0, 0, 0)
