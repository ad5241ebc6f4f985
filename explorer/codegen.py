"""Design and schedule → VTA instructions and micro-ops.

Tile by tile: load what changed, accumulate, and after the last reduction tile run the epilogue and
store. The queues meet through dependence tokens; every pop has its push earlier in program order,
so that no interleaving of the queues deadlocks, and each token is there because a buffer is reused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from explorer.design import Design
from explorer.layout import Layout
from explorer.schedule.dma import Infeasible, Transfer, transfers
from explorer.schedule.space import Boxes, Schedule, Tiles, arranged, sides, tiles
from isa.computation import Epilogue
from isa.fields import AluOp, Column, Memory, Opcode
from isa.program import Program, memory_map

MAX_ITERATIONS = 16_383  # iter_out and iter_in have 14 bits
MAX_SHIFT = 15  # HLS takes the shift amount as a signed 5-bit number
COLUMNS = len(Column)
MAX_CODE = 1 << 62  # so that a mixed-radix code fits int64
PREV, NEXT = 0, 1  # the two neighbours of a queue

Row = list[int]
Array = NDArray[np.int64]
Table = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Code:
    """A program's instructions with the design as it was laid out for them.

    Attributes:
        design: layouts in their DRAM order.
        table: decoded instructions, (n, columns).
        uops: micro-ops, (n, 3): dst, src, wgt.
        sizes: bytes of each tensor's section in DRAM.
    """

    design: Design
    schedule: Schedule
    table: NDArray[np.int64]
    uops: NDArray[np.int64]
    sizes: dict[str, int]

    @property
    def program(self) -> Program:
        """The program, assembled when its binary is asked for."""
        return Program.build(self.design.config, self.table, self.uops, self.sizes)


@dataclass(frozen=True, slots=True)
class _Loops:
    """In-tile loops that run over scratchpad addresses: extent, and stride in dst, src and wgt."""

    loops: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def of(cls, extents: Sequence[int], strides: Sequence[NDArray[np.int64]]) -> _Loops:
        """Loops of one iteration are dropped, and a loop that runs on into the next is joined."""
        found: list[tuple[int, int, int, int]] = []
        columns = zip(extents, *(s.tolist() for s in strides), strict=True)
        for extent, *stride in reversed([c for c in columns if c[0] > 1]):
            for place, (n, *step) in enumerate(found):
                if stride == [n * s for s in step] and n * extent <= MAX_ITERATIONS:
                    found[place] = (n * extent, step[0], step[1], step[2])
                    break
                if step == [extent * s for s in stride] and n * extent <= MAX_ITERATIONS:
                    found[place] = (n * extent, stride[0], stride[1], stride[2])
                    break
            else:
                found.append((extent, stride[0], stride[1], stride[2]))
        return cls(tuple(found))

    def split(self) -> tuple[list[tuple[int, int, int, int]], NDArray[np.int64]]:
        """The two longest loops, for the instruction, and the micro-ops of the others."""
        ordered = sorted(self.loops, key=lambda loop: (-loop[0], loop))
        hardware = [*ordered[:2], (1, 0, 0, 0), (1, 0, 0, 0)][:2]
        if hardware[0][0] > MAX_ITERATIONS:
            raise Infeasible("a loop exceeds 14 bits")
        uops = np.zeros((1, 3), np.int64)
        for extent, *stride in ordered[2:]:
            steps = np.arange(extent)[:, None, None] * np.array(stride)
            uops = (uops + steps).reshape(-1, 3)
        return hardware, uops


@dataclass(slots=True)
class _MicroOps:
    """The micro-op scratchpad: sequences, each kept once."""

    depth: int
    sequences: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    parts: list[NDArray[np.int64]] = field(default_factory=list)
    count: int = 0

    def place(self, uops: NDArray[np.int64]) -> tuple[int, int]:
        key = uops.tobytes()
        if key not in self.sequences:
            end = self.count + len(uops)
            if end > self.depth:
                raise Infeasible("the micro-op scratchpad is full")
            self.sequences[key] = (self.count, end)
            self.parts.append(uops)
            self.count = end
        return self.sequences[key]

    @property
    def table(self) -> NDArray[np.int64]:
        return np.concatenate(self.parts) if self.parts else np.zeros((0, 3), np.int64)


def _row(opcode: Opcode, **fields: int) -> Row:
    row = [0] * COLUMNS
    row[Column.OPCODE] = opcode
    for name, value in fields.items():
        row[Column[name.upper()]] = value
    return row


def _move(opcode: Opcode, memory: Memory, part: Transfer, dram: int) -> Row:
    row = [0] * COLUMNS
    row[Column.OPCODE] = opcode
    row[Column.MEMORY_TYPE] = memory
    row[Column.SRAM_BASE] = part.sram
    row[Column.DRAM_BASE] = dram
    row[Column.Y_SIZE] = part.y_size
    row[Column.X_SIZE] = part.x_size
    row[Column.X_STRIDE] = part.x_stride
    row[Column.Y_PAD_0 : Column.X_PAD_1 + 1] = part.pads
    return row


def _compute(
    opcode: Opcode, bounds: tuple[int, int], loops: list[tuple[int, int, int, int]], **fields: int
) -> Row:
    (n, d, s, w), (n_in, d_in, s_in, w_in) = loops
    return _row(
        opcode,
        uop_bgn=bounds[0],
        uop_end=bounds[1],
        iter_out=n,
        iter_in=n_in,
        dst_out=d,
        dst_in=d_in,
        src_out=s,
        src_in=s_in,
        wgt_out=w,
        wgt_in=w_in,
        **fields,
    )


def alu_passes(epilogue: Epilogue) -> list[tuple[AluOp, int]]:
    """The immediate ALU operations of an epilogue, after the bias."""
    passes = []
    shift = epilogue.shift
    while shift > 0:
        passes.append((AluOp.SHR, min(shift, MAX_SHIFT)))
        shift -= MAX_SHIFT
    low, high = epilogue.clip or (None, None)
    if epilogue.relu:
        low = max(0, low if low is not None else 0)
    if low is not None:
        passes.append((AluOp.MAX, low))
    if high is not None:
        passes.append((AluOp.MIN, high))
    return passes


@dataclass(frozen=True, slots=True)
class _Blocks:
    """One stage of every tile: a block of instructions that tiles share, moved to a tile's place.

    Attributes:
        rows: the distinct blocks, each (instructions, columns).
        which: the block of each tile, -1 where the tile has none, (tiles,).
        sram, dram: what to add to the block's addresses, (tiles,).
        pops, pushes: tokens of the block's first and last instruction, (tiles, prev and next).
    """

    rows: list[Table]
    which: Array
    sram: Array
    dram: Array
    pops: Array
    pushes: Array

    @classmethod
    def shared(cls, keys: Array, present: NDArray[np.bool_], build: Callable[[int], Table]) -> Self:
        """Tiles with equal keys (tiles, …) share the block that is built for the first of them."""
        count = len(present)
        places = np.flatnonzero(present)
        which = np.full(count, -1)
        first, which[places] = _distinct(keys[places])
        zeros = np.zeros(count, np.int64)
        rows = [build(int(places[i])) for i in first]
        return cls(
            rows,
            which,
            zeros,
            zeros.copy(),
            np.zeros((count, 2), np.int64),
            np.zeros((count, 2), np.int64),
        )


def _distinct(keys: Array) -> tuple[Array, Array]:
    """The first row of each distinct kind, and the kind of every row."""
    code, span = np.zeros(len(keys), np.int64), 1
    for column in keys.T if len(keys) else ():
        low, high = int(column.min()), int(column.max())
        if low == high:
            continue
        if span * (high - low + 1) >= MAX_CODE:
            _, code = np.unique(code, return_inverse=True)
            span = int(code.max()) + 1
        code = code * (high - low + 1) + (column - low)
        span *= high - low + 1
    _, first, kind = np.unique(code, return_index=True, return_inverse=True)
    return first, kind


def _assembled(stages: list[_Blocks]) -> Table:
    """The instructions of all tiles: of each tile in turn, the blocks of its stages."""
    rows: list[Table] = []
    which, offset = [], 0
    for stage in stages:
        rows += stage.rows
        which.append(np.where(stage.which >= 0, stage.which + offset, -1))
        offset += len(stage.rows)
    order = np.stack(which, axis=1).reshape(-1)
    live = order >= 0
    order = order[live]
    lengths = np.array([len(r) for r in rows], np.int64)
    begins = np.concatenate([[0], np.cumsum(lengths)])
    count = lengths[order]
    ends = np.cumsum(count)
    starts = ends - count
    pick = np.arange(ends[-1]) + np.repeat(begins[order] - starts, count)
    table: Table = np.concatenate(rows)[pick]

    def flat(values: list[Array]) -> Array:
        stacked = np.stack(values, axis=1)
        return stacked.reshape(-1, *stacked.shape[2:])[live]

    table[:, Column.SRAM_BASE] += np.repeat(flat([s.sram for s in stages]), count)
    table[:, Column.DRAM_BASE] += np.repeat(flat([s.dram for s in stages]), count)
    table[starts, Column.POP_PREV : Column.POP_NEXT + 1] |= flat([s.pops for s in stages])
    table[ends - 1, Column.PUSH_PREV : Column.PUSH_NEXT + 1] |= flat([s.pushes for s in stages])
    return table


def _strides(boxes: Boxes, tile: int) -> Array:
    """Scratchpad distance of one iteration of each outer loop, inside a tile's dense box."""
    inner = np.cumprod([1, *boxes.size[tile][:0:-1]])[::-1][: boxes.size.shape[1]]
    strides: Array = inner @ boxes.moves
    return strides


class _Emitter:
    """Builds the instruction stream of one design under one schedule."""

    def __init__(self, design: Design, schedule: Schedule) -> None:
        self.design, self.schedule = design, schedule
        self.tiles = tiles(design, schedule)
        self.every = np.ones(len(self.tiles.first), np.bool_)
        self.inp = self.tiles.boxes(design, design.inp)
        self.wgt = self.tiles.boxes(design, design.wgt)
        self.acc = self.tiles.boxes(design, design.acc)
        self.bias = self.tiles.boxes(design, design.bias) if design.bias else None
        self.final = np.concatenate([self.acc.changed[1:], [True]])
        self._share_scratchpads()
        config = design.config
        self.sizes = {
            "INP": design.inp.entries * config.inp_bytes,
            "WGT": design.wgt.entries * config.wgt_bytes,
            "ACC": design.bias.entries * config.acc_bytes if design.bias else 0,
            "OUT": design.acc.entries * config.out_bytes,
        }
        self.bases = memory_map(config, self.sizes)
        self.micro = _MicroOps(config.uop_depth)

    def _share_scratchpads(self) -> None:
        config, schedule = self.design.config, self.schedule
        inp, wgt, acc = self.inp, self.wgt, self.acc
        self.inp_contexts = inp.contexts(schedule.load_contexts)
        self.wgt_contexts = wgt.contexts(schedule.load_contexts)
        self.acc_contexts = acc.contexts(schedule.acc_contexts)
        self.bias_base = self.acc_contexts * acc.volume
        bias = self.bias.volume if self.bias else 0
        if (
            inp.volume * self.inp_contexts > config.inp_depth
            or wgt.volume * self.wgt_contexts > config.wgt_depth
            or self.bias_base + bias > config.acc_depth
        ):
            raise Infeasible("a tile exceeds its scratchpad")
        self.inp_base = inp.context(self.inp_contexts) * inp.volume
        self.wgt_base = wgt.context(self.wgt_contexts) * wgt.volume
        self.acc_base = acc.context(self.acc_contexts) * acc.volume

    # ------------------------------------------------------------------------- dependence

    def _releases(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which tiles' loads wait until a buffer is free, and which tiles' GEMMs free one.

        A load waits for the last tile that read what it overwrites. The load queue is in order, so
        a load that follows one which waited as long need not wait again.
        """
        count = len(self.tiles.first)
        last_reader = np.full(count, -1)
        for boxes, contexts in ((self.inp, self.inp_contexts), (self.wgt, self.wgt_contexts)):
            starts = np.flatnonzero(boxes.changed)
            reused = starts[contexts:]
            freed = starts[1 : len(starts) - contexts + 1] - 1
            last_reader[reused] = np.maximum(last_reader[reused], freed)
        latest = np.maximum.accumulate(last_reader)
        waits = last_reader > np.concatenate([[-1], latest[:-1]])
        frees = np.zeros(count, np.bool_)
        frees[last_reader[waits]] = True
        return waits, frees

    # ----------------------------------------------------------------------------- stages

    def _transfers(
        self, opcode: Opcode, memory: Memory, present: NDArray[np.bool_], sram: Array
    ) -> _Blocks:
        """The DMA of a tensor in the tiles that move it: boxes that differ in place only share."""
        design = self.design
        tensors: dict[Memory, tuple[Layout | None, Boxes | None, str]] = {
            Memory.INP: (design.inp, self.inp, "INP"),
            Memory.WGT: (design.wgt, self.wgt, "WGT"),
            Memory.ACC: (design.bias, self.bias, "ACC"),
            Memory.OUT: (design.acc, self.acc, "OUT"),
        }
        layout, boxes, section = tensors[memory]
        assert layout is not None
        assert boxes is not None
        low, high, stored = np.array(
            [[c.low, c.high, c.stored] for c in layout.coordinates], np.int64
        ).reshape(-1, 3).T  # fmt: skip
        strides = np.cumprod([1, *stored[:0:-1]])[::-1][: len(stored)]
        before = np.maximum(low - boxes.first, 0)
        after = np.maximum(boxes.first + boxes.size - high, 0)
        begin = boxes.first + before - low

        def build(tile: int) -> Table:
            shape = sides(layout, boxes.first[tile], boxes.size[tile])
            origin = int(begin[tile] @ strides)
            return np.array(
                [_move(opcode, memory, part, part.dram - origin) for part in transfers(shape)],
                np.int64,
            )

        blocks = _Blocks.shared(np.hstack([boxes.size, before, after]), present, build)
        base = self.bases[section] // design.config.element_bytes(memory)
        return replace(blocks, sram=sram, dram=begin @ strides + base)

    def _gemm(self) -> _Blocks:
        bases = np.stack([self.acc_base, self.inp_base, self.wgt_base], axis=1)

        def build(tile: int) -> Table:
            loops = _Loops.of(
                self.tiles.length[tile].tolist(),
                [
                    _strides(self.acc, tile),
                    _strides(self.inp, tile),
                    _strides(self.wgt, tile),
                ],
            )
            hardware, uops = loops.split()
            bounds = self.micro.place(uops + bases[tile])
            return np.array([_compute(Opcode.GEMM, bounds, hardware)], np.int64)

        return _Blocks.shared(np.hstack([self.tiles.length, bases]), self.every, build)

    def _sweep(self, opcode: Opcode, tile: int, **fields: int) -> list[Row]:
        """One operation on every accumulator of a tile."""
        base, count = int(self.acc_base[tile]), int(self.acc.size[tile].prod())
        rows = []
        for begin in range(0, count, MAX_ITERATIONS):
            bounds = self.micro.place(np.array([[base + begin, 0, 0]]))
            run = (min(MAX_ITERATIONS, count - begin), 1, 0, 0)
            rows.append(_compute(opcode, bounds, [(1, 0, 0, 0), run], **fields))
        return rows

    def _accumulator_keys(self) -> Array:
        return np.hstack([self.acc.size, self.acc_base[:, None]])

    def _reset(self) -> _Blocks:
        return _Blocks.shared(
            self._accumulator_keys(),
            self.acc.changed,
            lambda tile: np.array(self._sweep(Opcode.GEMM, tile, reset=1), np.int64),
        )

    def _epilogue(self) -> _Blocks:
        passes = alu_passes(self.design.operator.epilogue)

        def build(tile: int) -> Table:
            rows = self._add_bias(tile) if self.bias else []
            for op, imm in passes:
                rows += self._sweep(Opcode.ALU, tile, alu_opcode=op, use_imm=1, imm=imm)
            return np.array(rows, np.int64)

        wanted = self.final if passes or self.bias else np.zeros_like(self.final)
        return _Blocks.shared(self._accumulator_keys(), wanted, build)

    def _add_bias(self, tile: int) -> list[Row]:
        assert self.bias is not None
        strides = [
            _strides(self.acc, tile),
            _strides(self.bias, tile),
        ]
        moves_out = self.acc.moves.any(axis=0)
        length = np.where(moves_out, self.tiles.length[tile], 1)
        loops = _Loops.of(length.tolist(), [*strides, np.zeros_like(length)])
        hardware, uops = loops.split()
        bounds = self.micro.place(uops + np.array([int(self.acc_base[tile]), self.bias_base, 0]))
        return [_compute(Opcode.ALU, bounds, hardware, alu_opcode=AluOp.ADD)]

    # ------------------------------------------------------------------------------ stream

    def emit(self) -> Code:
        """The whole program."""
        inp = self._transfers(Opcode.LOAD, Memory.INP, self.inp.changed, self.inp_base)
        wgt = self._transfers(Opcode.LOAD, Memory.WGT, self.wgt.changed, self.wgt_base)
        reset, gemm, epilogue = self._reset(), self._gemm(), self._epilogue()
        store = self._transfers(Opcode.STORE, Memory.OUT, self.final, self.acc_base)
        stages = [inp, wgt, reset, gemm, epilogue, store]
        if self.bias:
            wanted = self.bias.changed & self.acc.changed
            place = np.full(len(wanted), self.bias_base)
            stages.insert(2, self._transfers(Opcode.LOAD, Memory.ACC, wanted, place))

        waits, frees = self._releases()
        loaded = self.inp.changed | self.wgt.changed
        inp.pops[:, NEXT] = waits & self.inp.changed
        wgt.pops[:, NEXT] = waits & ~self.inp.changed
        wgt.pushes[:, NEXT] = self.wgt.changed
        inp.pushes[:, NEXT] = ~self.wgt.changed
        gemm.pops[:, PREV] = loaded
        gemm.pushes[:, PREV] = frees
        # The reset writes accumulators that an earlier store may still be reading.
        reset.pops[:, NEXT] = np.cumsum(self.acc.changed) > self.acc_contexts
        last = epilogue if epilogue.rows else gemm
        last.pushes[:, NEXT] = self.final
        store.pops[:, PREV] = store.pushes[:, PREV] = 1
        return self._code(_assembled(stages), int(self.acc.changed.sum()))

    def _code(self, body: Table, outputs: int) -> Code:
        """The program around the tiles: micro-ops first; FINISH waits for the last stores."""
        uops, config = self.micro.table, self.design.config
        size = config.element_bytes(Memory.UOP)
        address = memory_map(config, self.sizes | {"UOP": size * len(uops)})["UOP"]
        load = _move(
            Opcode.LOAD, Memory.UOP, Transfer(0, 0, 1, len(uops), len(uops)), address // size
        )
        nop = _row(Opcode.LOAD, memory_type=Memory.UOP, pop_next=1)
        waits = [nop] * min(outputs, self.acc_contexts)
        end = np.array([*waits, _row(Opcode.FINISH)], np.int64)
        table = np.concatenate([np.array([load], np.int64), body, end])
        return Code(self.design, self.schedule, table, uops, self.sizes)


def kernel_size(design: Design, schedule: Schedule) -> int:
    """Micro-ops of a whole tile's GEMM, for one combination of scratchpad contexts."""
    laid = arranged(design, schedule)
    tile = np.array(schedule.tile, np.int64)
    whole = Tiles(np.zeros((1, len(tile)), np.int64), tile.reshape(1, -1))
    strides = [_strides(whole.boxes(laid, x), 0) for x in (laid.acc, laid.inp, laid.wgt)]
    return len(_Loops.of(schedule.tile, strides).split()[1])


def lower(design: Design, schedule: Schedule) -> Code:
    """The program of a design under a schedule.

    Raises:
        Infeasible: the schedule is not in the space: a capacity or a field is exceeded.
    """
    return _Emitter(arranged(design, schedule), schedule).emit()
