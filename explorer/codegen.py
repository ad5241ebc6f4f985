"""Design and schedule → VTA instructions and micro-ops.

Tile by tile: load what changed, accumulate, and after the last reduction tile run the epilogue and
store. The queues meet through dependence tokens; every pop has its push earlier in program order,
so that no interleaving of the queues deadlocks, and each token is there because a buffer is reused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from explorer.design import Design
from explorer.layout import Layout
from explorer.schedule.dma import Infeasible, Transfer, transfers
from explorer.schedule.space import Boxes, Schedule, arranged, coefficients, sides, tiles
from isa.computation import Epilogue
from isa.fields import AluOp, Column, Memory, Opcode
from isa.program import Program, memory_map

MAX_ITERATIONS = 16_383  # iter_out and iter_in have 14 bits
MAX_SHIFT = 15  # HLS takes the shift amount as a signed 5-bit number
COLUMNS = len(Column)

Row = list[int]


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


class _Emitter:
    """Builds the instruction stream of one design under one schedule."""

    def __init__(self, design: Design, schedule: Schedule) -> None:
        self.design, self.schedule = design, schedule
        self.tiles = tiles(design, schedule)
        self.inp = self.tiles.boxes(design, design.inp)
        self.wgt = self.tiles.boxes(design, design.wgt)
        self.acc = self.tiles.boxes(design, design.acc)
        self.bias = design.bias and self.tiles.boxes(design, design.bias)
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
        self.rows: list[Row] = []
        self._moves: dict[object, list[Transfer]] = {}
        self._kernels: dict[object, list[Row]] = {}

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
        waits, frees = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        latest = -1
        for tile in np.flatnonzero(last_reader >= 0):
            if last_reader[tile] > latest:
                latest = last_reader[tile]
                waits[tile] = frees[latest] = True
        return waits, frees

    # ------------------------------------------------------------------------------ pieces

    def _transfers(self, layout: Layout, boxes: Boxes, tile: int) -> list[Transfer]:
        key = (layout.port, layout.role, boxes.first[tile].tobytes(), boxes.size[tile].tobytes())
        if key not in self._moves:
            self._moves[key] = transfers(sides(layout, boxes.first[tile], boxes.size[tile]))
        return self._moves[key]

    def _move(self, opcode: Opcode, memory: Memory, part: Transfer, sram: int, dram: int) -> Row:
        row = [0] * COLUMNS
        row[Column.OPCODE] = opcode
        row[Column.MEMORY_TYPE] = memory
        row[Column.SRAM_BASE] = sram + part.sram
        row[Column.DRAM_BASE] = dram + part.dram
        row[Column.Y_SIZE] = part.y_size
        row[Column.X_SIZE] = part.x_size
        row[Column.X_STRIDE] = part.x_stride
        row[Column.Y_PAD_0 : Column.X_PAD_1 + 1] = part.pads
        return row

    def _moved(self, opcode: Opcode, memory: Memory, tile: int, sram: int) -> list[Row]:
        design = self.design
        layout, boxes, section, size = {
            Memory.INP: (design.inp, self.inp, "INP", design.config.inp_bytes),
            Memory.WGT: (design.wgt, self.wgt, "WGT", design.config.wgt_bytes),
            Memory.ACC: (design.bias, self.bias, "ACC", design.config.acc_bytes),
            Memory.OUT: (design.acc, self.acc, "OUT", design.config.out_bytes),
        }[memory]
        assert layout is not None
        assert boxes is not None
        dram = self.bases[section] // size
        return [
            self._move(opcode, memory, part, sram, dram)
            for part in self._transfers(layout, boxes, tile)
        ]

    def _strides(self, layout: Layout, boxes: Boxes, tile: int) -> NDArray[np.int64]:
        """Scratchpad distance of one iteration of each outer loop, inside a tile's dense box."""
        size = boxes.size[tile]
        inner = np.concatenate([np.cumprod(size[:0:-1])[::-1], [1]])[: len(size)]
        strides: NDArray[np.int64] = inner @ coefficients(self.design, layout)
        return strides

    def _gemm(self, tile: int) -> Row:
        length = self.tiles.length[tile]
        bases = (int(self.acc_base[tile]), int(self.inp_base[tile]), int(self.wgt_base[tile]))
        key = ("gemm", length.tobytes(), bases)
        if key not in self._kernels:
            design = self.design
            loops = _Loops.of(
                length.tolist(),
                [
                    self._strides(design.acc, self.acc, tile),
                    self._strides(design.inp, self.inp, tile),
                    self._strides(design.wgt, self.wgt, tile),
                ],
            )
            hardware, uops = loops.split()
            bounds = self.micro.place(uops + np.array(bases))
            self._kernels[key] = [_compute(Opcode.GEMM, bounds, hardware)]
        return list(self._kernels[key][0])

    def _sweep(self, opcode: Opcode, base: int, count: int, **fields: int) -> list[Row]:
        """One operation on `count` consecutive accumulators."""
        rows = []
        for begin in range(0, count, MAX_ITERATIONS):
            bounds = self.micro.place(np.array([[base + begin, 0, 0]]))
            run = (min(MAX_ITERATIONS, count - begin), 1, 0, 0)
            rows.append(_compute(opcode, bounds, [(1, 0, 0, 0), run], **fields))
        return rows

    def _reset(self, tile: int) -> list[Row]:
        count = int(self.acc.size[tile].prod())
        return self._sweep(Opcode.GEMM, int(self.acc_base[tile]), count, reset=1)

    def _epilogue(self, tile: int) -> list[Row]:
        base, count = int(self.acc_base[tile]), int(self.acc.size[tile].prod())
        key = ("alu", base, self.acc.size[tile].tobytes())
        if key not in self._kernels:
            rows = self._add_bias(tile) if self.bias else []
            for op, imm in alu_passes(self.design.operator.epilogue):
                rows += self._sweep(Opcode.ALU, base, count, alu_opcode=op, use_imm=1, imm=imm)
            self._kernels[key] = rows
        return [list(row) for row in self._kernels[key]]

    def _add_bias(self, tile: int) -> list[Row]:
        design = self.design
        assert design.bias is not None
        assert self.bias is not None
        strides = [
            self._strides(design.acc, self.acc, tile),
            self._strides(design.bias, self.bias, tile),
        ]
        moves_out = coefficients(design, design.acc).any(axis=0)
        length = np.where(moves_out, self.tiles.length[tile], 1)
        loops = _Loops.of(length.tolist(), [*strides, np.zeros_like(length)])
        hardware, uops = loops.split()
        bounds = self.micro.place(uops + np.array([int(self.acc_base[tile]), self.bias_base, 0]))
        return [_compute(Opcode.ALU, bounds, hardware, alu_opcode=AluOp.ADD)]

    # ------------------------------------------------------------------------------ stream

    def emit(self) -> Code:
        """The whole program."""
        waits, frees = self._releases()
        final = np.concatenate([self.acc.changed[1:], [True]])
        loaded = self.inp.changed | self.wgt.changed
        outputs = 0
        for tile in range(len(self.tiles.first)):
            if loaded[tile]:
                self._load(tile, waits=bool(waits[tile]))
            compute = []
            if self.acc.changed[tile]:
                if self.bias and self.bias.changed[tile]:
                    compute += self._moved(Opcode.LOAD, Memory.ACC, tile, self.bias_base)
                compute += self._reset(tile)
                # The reset writes accumulators that an earlier store may still be reading.
                reset = next(r for r in compute if r[Column.OPCODE] == Opcode.GEMM)
                reset[Column.POP_NEXT] = int(outputs >= self.acc_contexts)
                outputs += 1
            gemm = self._gemm(tile)
            gemm[Column.POP_PREV] = int(loaded[tile])
            gemm[Column.PUSH_PREV] = int(frees[tile])
            compute.append(gemm)
            if final[tile]:
                compute += self._epilogue(tile)
                compute[-1][Column.PUSH_NEXT] = 1
            self.rows += compute
            if final[tile]:
                self._store(tile)
        self._finish(min(outputs, self.acc_contexts))
        return self._code()

    def _load(self, tile: int, *, waits: bool) -> None:
        rows = []
        if self.inp.changed[tile]:
            rows += self._moved(Opcode.LOAD, Memory.INP, tile, int(self.inp_base[tile]))
        if self.wgt.changed[tile]:
            rows += self._moved(Opcode.LOAD, Memory.WGT, tile, int(self.wgt_base[tile]))
        rows[0][Column.POP_NEXT] = int(waits)
        rows[-1][Column.PUSH_NEXT] = 1
        self.rows += rows

    def _store(self, tile: int) -> None:
        rows = self._moved(Opcode.STORE, Memory.OUT, tile, int(self.acc_base[tile]))
        rows[0][Column.POP_PREV] = 1
        rows[-1][Column.PUSH_PREV] = 1
        self.rows += rows

    def _finish(self, outstanding: int) -> None:
        """FINISH runs last: wait for every store whose token nobody took."""
        nop = _row(Opcode.LOAD, memory_type=Memory.UOP, pop_next=1)
        self.rows += [list(nop) for _ in range(outstanding)]
        self.rows.append(_row(Opcode.FINISH))

    def _code(self) -> Code:
        uops = self.micro.table
        size = {"UOP": self.design.config.element_bytes(Memory.UOP) * len(uops)}
        address = memory_map(self.design.config, self.sizes | size)["UOP"]
        load = Transfer(0, 0, 1, len(uops), len(uops))
        first = self._move(
            Opcode.LOAD,
            Memory.UOP,
            load,
            0,
            address // self.design.config.element_bytes(Memory.UOP),
        )
        table = np.array([first, *self.rows], np.int64)
        return Code(self.design, self.schedule, table, uops, self.sizes)


def lower(design: Design, schedule: Schedule) -> Code:
    """The program of a design under a schedule.

    Raises:
        Infeasible: the schedule is not in the space: a capacity or a field is exceeded.
    """
    return _Emitter(arranged(design, schedule), schedule).emit()
