"""TVM's loop nest as a VTA program, on TVM's packed tensors.

The order of instructions and their tokens are those that TVM's passes make of the template. Each
virtual thread runs the same chain: the store before it frees the accumulators for the reset, the
reset lets the first load begin, loads and multiplications alternate on one pair of buffers, and the
ALU hands the tile to the store. The copies of a statement follow one another, so that a second
thread loads while the first one multiplies; with one thread nothing overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explorer.baselines.template import PackedLayer, Pieces, TvmTiling
from explorer.baselines.template_tile import Kernel, Tile, reason_invalid
from explorer.embedding.virtual_loops import Loop, Row
from explorer.layout.alu_passes import alu_program
from explorer.layout.packed import Coordinate, Layout
from explorer.layout.stored import Kind, Stored, Use
from explorer.schedule.dma import Infeasible
from isa.codec import Queue, alu, finish, gemm, load, nop, store, table_of
from isa.codec import Row as Instruction
from isa.computation import Affine, Operator, Role, Tensor
from isa.fields import AluOp, Column, Memory
from isa.program_image import Program, memory_map

Array = NDArray[np.int64]

_AXES = {"inp": ("x", "z"), "wgt": ("y", "z"), "acc": ("x", "y")}


# --------------------------------------------------------------------------------------- layouts


@dataclass(frozen=True, slots=True)
class TvmDesign:
    """A layer with TVM's layouts: ``NCHW{b}n{i}c``, ``OIHW{o}o{i}i``, or those of a dense layer.

    Attributes:
        layer: what is packed.
        inp: the layout of the data.
        wgt: the layout of the weights.
        acc: the layout of the output.
        bias: the layout of the bias, where there is one.
    """

    layer: PackedLayer
    inp: Layout
    wgt: Layout
    acc: Layout
    bias: Layout | None

    @property
    def operator(self) -> Operator:
        """What is computed."""
        return self.layer.operator

    @property
    def stored(self) -> tuple[Stored, ...]:
        """The tensors in DRAM."""
        layouts: dict[Kind, Layout] = {"inp": self.inp, "wgt": self.wgt, "out": self.acc}
        found = tuple(Stored(Use(kind), layout) for kind, layout in layouts.items())
        if self.bias is None:
            return found
        (vector,) = alu_program(self.operator).spread
        return (*found, Stored(Use("spread", vector), self.bias))

    @classmethod
    def of(cls, layer: PackedLayer) -> TvmDesign:
        """TVM's layouts of a layer."""
        computation, bias = layer.operator.computation, layer.operator.epilogue.bias
        extents = layer.config.axes
        return cls(
            layer,
            _packed(computation.in0, "inp", "in0", ("x", "z"), extents),
            _packed(computation.in1, "wgt", "in1", ("y", "z"), extents),
            _packed(computation.out, "acc", "out", ("x", "y"), extents),
            _packed(bias, "acc", None, ("y",), extents) if bias else None,
        )


def _packed(
    tensor: Tensor,
    port: Literal["inp", "wgt", "acc"],
    role: Role | None,
    blocked: Sequence[str],
    extents: dict[str, int],
) -> Layout:
    """The layout of a tensor whose first dimensions are cut in blocks for these axes.

    An axis of the port on which no dimension lies holds copies.
    """
    axes = _AXES[port]
    coordinates, rows = [], []
    for place, (letter, size) in enumerate(zip(tensor.letters, tensor.shape, strict=True)):
        axis = blocked[place] if place < len(blocked) else None
        block = extents[axis] if axis else 1
        stored = -(-size // block)
        coordinates.append(Coordinate(letter, ((letter, 1),), stored, 0, stored))
        rows.append(Row(Affine.of({letter: block} | ({axis: 1} if axis else {}))))
    return Layout(
        port=port,
        role=role,
        tensor=tensor,
        coordinates=tuple(coordinates),
        lanes=tuple(Loop(axis, extents[axis], axis, 1) for axis in axes),
        axes=tuple((axis, extents[axis]) for axis in axes),
        equal=(),
        rows=tuple(rows),
        guards=(),
        halo=port == "inp",
    )


# ------------------------------------------------------------------------------------------ code


@dataclass(frozen=True, slots=True, eq=False)
class TvmCode:
    """A layer's program under a tiling.

    Attributes:
        design: the layouts of its tensors in DRAM.
        tiling: the point of the template's space.
        table: decoded instructions, (n, columns).
        uops: micro-ops, (n, 3): dst, src, wgt.
        sizes: bytes of each tensor's section in DRAM.
    """

    design: TvmDesign
    tiling: TvmTiling
    table: Array
    uops: Array
    sizes: dict[str, int]

    @property
    def program(self) -> Program:
        """The program, assembled when its binary is asked for."""
        return Program.build(self.design.layer.config, self.table, self.uops, self.sizes)


def lower(layer: PackedLayer, tiling: TvmTiling) -> TvmCode:
    """TVM's program of a layer under a tiling.

    Raises:
        Infeasible: TVM does not compile or run the tiling, see `template.reason_invalid`.
    """
    reason = reason_invalid(layer, tiling)
    if reason is not None:
        raise Infeasible(reason)
    return _Emitter(layer, tiling).emit()


@dataclass(frozen=True, slots=True)
class _Move:
    """A transfer within a group of tiles: its instruction, and whose tile's which step it moves."""

    row: int
    thread: int
    step: int


class _Emitter:
    """Writes the instructions of one group of tiles, a tile a thread, and repeats them for all.

    All tiles have one shape, so that groups differ only in DRAM addresses and padding.
    """

    def __init__(self, layer: PackedLayer, tiling: TvmTiling) -> None:
        self.layer, self.tiling, self.tile = layer, tiling, Tile(layer, tiling)
        self.transfers = self.tile.transfers()
        self.design = TvmDesign.of(layer)
        config, design = layer.config, self.design
        self.sizes = {
            "INP": design.inp.entries * config.inp_bytes,
            "WGT": design.wgt.entries * config.wgt_bytes,
            "ACC": design.bias.entries * config.acc_bytes if design.bias else 0,
            "OUT": design.acc.entries * config.out_bytes,
        }
        self.groups = self.tile.count // tiling.threads
        self.uops: list[Array] = []
        self.group: list[Instruction] = []
        self.moves: dict[Memory, list[_Move]] = {memory: [] for memory in self.transfers}

    def emit(self) -> TvmCode:
        """The whole program."""
        self._write_group()
        threads, uops = range(self.tiling.threads), np.concatenate(self.uops)
        prologue = [self._load_uops(uops), *(nop(Queue.STORE, push_prev=1) for _ in threads)]
        ending = [nop(Queue.LOAD, push_next=1), nop(Queue.COMPUTE, pop_prev=1)]
        ending += [*(nop(Queue.COMPUTE, pop_next=1) for _ in threads), finish()]
        begin, end = len(prologue), len(prologue) + len(self.group) * self.groups
        table = np.empty((end + len(ending), len(Column)), np.int64)
        table[:begin], table[end:] = table_of(prologue), table_of(ending)
        self._repeat(table[begin:end].reshape(self.groups, len(self.group), len(Column)))
        return TvmCode(self.design, self.tiling, table, uops, self.sizes)

    # --------------------------------------------------------------------------- one group

    def _write_group(self) -> None:
        """Write every statement of the nest once for each thread, before the next statement."""
        threads = range(self.tiling.threads)
        gemms = [self._gemm(t) for t in threads]
        for t in threads:
            self._begin(t)
        for step in range(self.tile.steps):
            for t in threads:
                self._move(Memory.INP, t, step, Column.POP_NEXT)
                self._move(Memory.WGT, t, step, Column.PUSH_NEXT)
            self.group += gemms
        # TVM takes the last multiplication's token back before the next tile's reset gives one, so
        # that the loads of a tile never overlap with the end of the tile before.
        self.group += [nop(Queue.LOAD, pop_next=1) for _ in threads]
        for t in threads:
            self.group += self._epilogue(t)
        for t in threads:
            self._move(Memory.OUT, t, 0, Column.POP_PREV, Column.PUSH_PREV)

    def _begin(self, thread: int) -> None:
        reset = self._reset(thread)
        if self.layer.has_bias:
            self._move(Memory.ACC, thread, 0, Column.POP_NEXT)
            self.group.append(reset)
        else:
            self.group.append(_with(reset, Column.POP_NEXT))

    def _move(self, memory: Memory, thread: int, step: int, *tokens: Column) -> None:
        part, sram = self.transfers[memory], self._base(memory, thread)
        self.moves[memory].append(_Move(len(self.group), thread, step))
        y, x, stride = part.y_size, part.x_size, part.x_stride
        if memory is Memory.OUT:
            row = store(sram, 0, y_size=y, x_size=x, x_stride=stride)
        else:
            row = load(memory, sram, 0, y_size=y, x_size=x, x_stride=stride, pads=part.pads)
        self.group.append(_with(row, *tokens))

    def _base(self, memory: Memory, thread: int) -> int:
        """Where a thread's tile begins; the biases follow the accumulators of all threads."""
        tile = self.tile
        if memory is Memory.ACC:
            return self.tiling.threads * tile.acc + thread * tile.bias
        return thread * {Memory.INP: tile.inp, Memory.WGT: tile.wgt, Memory.OUT: tile.acc}[memory]

    def _gemm(self, thread: int) -> Instruction:
        memories = (Memory.OUT, Memory.INP, Memory.WGT)
        row = self._multiply(self.tile.gemm, *(self._base(m, thread) for m in memories))
        return _with(row, Column.POP_PREV, Column.PUSH_PREV)

    def _reset(self, thread: int) -> Instruction:
        row = self._multiply(self.tile.reset, self._base(Memory.OUT, thread), reset=1)
        return _with(row, Column.PUSH_PREV)

    def _multiply(self, kernel: Kernel, *bases: int, reset: int = 0) -> Instruction:
        return gemm(
            *self._place(kernel, *bases),
            iter_out=kernel.outer.extent,
            iter_in=kernel.inner.extent,
            dst=(kernel.outer.dst, kernel.inner.dst),
            src=(kernel.outer.src, kernel.inner.src),
            wgt=(kernel.outer.wgt, kernel.inner.wgt),
            reset=reset,
        )

    def _epilogue(self, thread: int) -> list[Instruction]:
        rows, acc = [], self._base(Memory.OUT, thread)
        if self.layer.has_bias:
            bias = self._base(Memory.ACC, thread)
            rows.append(self._operate(AluOp.ADD, None, self.tile.biasing, acc, bias))
        for operation, imm in self.layer.passes:
            rows.append(self._operate(operation, imm, self.tile.sweep, acc, acc))
        rows = rows or [nop(Queue.COMPUTE)]
        return [*rows[:-1], _with(rows[-1], Column.PUSH_NEXT)]

    def _operate(
        self, operation: AluOp, imm: int | None, kernel: Kernel, *bases: int
    ) -> Instruction:
        return alu(
            operation,
            *self._place(kernel, *bases),
            imm=imm,
            iter_out=kernel.outer.extent,
            iter_in=kernel.inner.extent,
            dst=(kernel.outer.dst, kernel.inner.dst),
            src=(kernel.outer.src, kernel.inner.src),
        )

    def _place(self, kernel: Kernel, *bases: int) -> tuple[int, int]:
        """Keep a kernel's micro-ops; from where to where they lie in the scratchpad."""
        begin = sum(map(len, self.uops))
        self.uops.append(kernel.uops(*bases))
        return begin, begin + kernel.length

    # -------------------------------------------------------------------------- all groups

    def _repeat(self, body: Array) -> None:
        """Fill in the instructions of all groups, (groups, instructions of a group, columns)."""
        body[:] = table_of(self.group)
        n, i, co, j = self._tiles()
        layer, tiling = self.layer, self.tiling
        rows, cols = layer.rows, layer.cols
        taps = rows.kernel * cols.kernel
        y, x = rows.pieces(tiling.th), cols.pieces(tiling.tw)
        image = rows.size * cols.size
        inp = n * layer.ci * image + y.first[i] * cols.size + x.first[j]
        out = ((n * layer.co + co) * rows.out + i * tiling.th) * cols.out + j * tiling.tw
        self._address(body, Memory.INP, inp, tiling.tci * image)
        self._address(body, Memory.WGT, co * layer.ci * taps, tiling.tci * taps)
        self._address(body, Memory.OUT, out)
        if layer.has_bias:
            self._address(body, Memory.ACC, co)
        if layer.is_padded:
            self._pad(body, (y, i), (x, j))

    def _tiles(self) -> tuple[Array, Array, Array, Array]:
        """The tile of each thread in each group, each array (groups, threads).

        Batch block, row of tiles, first output channel block, column of tiles. The threads of a
        group have adjacent tiles.
        """
        layer, t = self.layer, self.tiling
        rows, cols = layer.rows.out // t.th, layer.cols.out // t.tw
        shape = (layer.n, rows // t.h_nthread, layer.co // t.tco // t.oc_nthread, cols)
        n, i, co, j = np.indices(shape).reshape(4, math.prod(shape), 1)
        along_rows, along_channels = np.divmod(np.arange(t.threads), t.oc_nthread)
        i, co = i * t.h_nthread + along_rows, co * t.oc_nthread + along_channels
        n, i, co, j = np.broadcast_arrays(n, i, co * t.tco, j)
        return n, i, co, j

    def _address(self, body: Array, memory: Memory, first: Array, step: int = 0) -> None:
        """Write the DRAM addresses of a memory's transfers, given those of the tiles' first ones.

        Args:
            body: the instructions, (groups, instructions of a group, columns).
            memory: whose transfers.
            first: elements from the tensor's begin, (groups, threads).
            step: elements from one step's to the next one's.
        """
        moves, config = self.moves[memory], self.layer.config
        base = memory_map(config, self.sizes)[memory.name] // config.element_bytes(memory)
        threads = [move.thread for move in moves]
        offsets = base + step * np.array([move.step for move in moves])
        body[:, [move.row for move in moves], Column.DRAM_BASE] = first[:, threads] + offsets

    def _pad(self, body: Array, y: tuple[Pieces, Array], x: tuple[Pieces, Array]) -> None:
        """Write extents and padding of the input's transfers; an axis has pieces and tiles."""
        moves = self.moves[Memory.INP]
        instructions = [move.row for move in moves]
        threads = [move.thread for move in moves]
        for (pieces, tiles), size, before, after in (
            (y, Column.Y_SIZE, Column.Y_PAD_0, Column.Y_PAD_1),
            (x, Column.X_SIZE, Column.X_PAD_0, Column.X_PAD_1),
        ):
            chosen = tiles[:, threads]
            body[:, instructions, size] = pieces.count[chosen]
            body[:, instructions, before] = pieces.before[chosen]
            body[:, instructions, after] = pieces.after[chosen]

    def _load_uops(self, uops: Array) -> Instruction:
        config = self.layer.config
        size = config.element_bytes(Memory.UOP)
        address = memory_map(config, {**self.sizes, "UOP": size * len(uops)})["UOP"]
        return load(Memory.UOP, 0, address // size, x_size=len(uops))


def _with(row: Instruction, *tokens: Column) -> Instruction:
    """The instruction with tokens set."""
    cells = list(row)
    for token in tokens:
        cells[token] = 1
    return tuple(cells)
