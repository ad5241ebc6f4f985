"""What a choice of TVM's template moves: a tile's buffers, its kernels, and whether VTA runs it.

The template itself, and the loop nest around the instruction, are `template`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.baselines.template import THREADS, PackedLayer, TvmTiling
from explorer.schedule.dma import MAX_PAD, MAX_SIZE, Infeasible, Side, Transfer, transfers
from explorer.schedule.lowering import MAX_ITERATIONS
from isa.fields import INSTRUCTION_BYTES, UOP_BYTES, Memory

_DEPENDENCE_DISTANCE = 2  # the runtime compares a micro-op with so many before it


class Loop(NamedTuple):
    """A loop around a micro-op, and what an iteration adds to the micro-op's indices."""

    extent: int
    dst: int = 0
    src: int = 0
    wgt: int = 0


@dataclass(frozen=True, slots=True)
class Kernel:
    """Loops as TVM folds them: the two outermost in the instruction, the rest in micro-ops."""

    outer: Loop
    inner: Loop
    rest: tuple[Loop, ...]

    @classmethod
    def fold(cls, *loops: Loop) -> Kernel:
        """The kernel of a nest, outermost first; loops of one iteration vanish."""
        live = [loop for loop in loops if loop.extent > 1]
        outer, inner = (*live[:2], Loop(1), Loop(1))[:2]
        return cls(outer, inner, tuple(live[2:]))

    @property
    def length(self) -> int:
        """Number of micro-ops."""
        return math.prod(loop.extent for loop in self.rest)

    def uops(self, dst: int, src: int = 0, wgt: int = 0) -> NDArray[np.int64]:
        """The micro-ops in order, (length, 3): dst, src, wgt, counted from these bases."""
        uops = np.array([[dst, src, wgt]], np.int64)
        for extent, *strides in self.rest:
            steps = np.arange(extent)[:, None] * np.array(strides)
            uops = (uops[:, None] + steps).reshape(-1, 3)
        return uops


@dataclass(frozen=True, slots=True)
class Tile:
    """A layer's tile under a tiling: its extent in the scratchpads, and its kernels.

    Scratchpads hold a tile densely, as [tci][ih][iw] inputs, [tco][tci][R][S] weights and
    [tco][th][tw] accumulators.
    """

    layer: PackedLayer
    tiling: TvmTiling

    @property
    def count(self) -> int:
        """Tiles of the whole layer."""
        return self.layer.outputs // self.acc

    @property
    def steps(self) -> int:
        """Times that a tile loads inputs and weights."""
        return self.layer.ci // self.tiling.tci

    @property
    def inp(self) -> int:
        """Input elements of a step, padding included."""
        rows, cols = self.layer.rows, self.layer.cols
        return self.tiling.tci * rows.reach(self.tiling.th) * cols.reach(self.tiling.tw)

    @property
    def wgt(self) -> int:
        """Weight elements of a step."""
        taps = self.layer.rows.kernel * self.layer.cols.kernel
        return self.tiling.tco * self.tiling.tci * taps

    @property
    def acc(self) -> int:
        """Accumulator elements."""
        return self.tiling.tco * self.tiling.th * self.tiling.tw

    @property
    def bias(self) -> int:
        """Bias elements."""
        return self.tiling.tco if self.layer.has_bias else 0

    @property
    def gemm(self) -> Kernel:
        """The multiplication of a step."""
        t, rows, cols = self.tiling, self.layer.rows, self.layer.cols
        width = cols.reach(t.tw)
        taps = rows.kernel * cols.kernel
        return Kernel.fold(
            Loop(t.tci, src=rows.reach(t.th) * width, wgt=taps),
            Loop(t.tw, dst=1, src=cols.stride),
            Loop(cols.kernel, src=1, wgt=1),
            Loop(rows.kernel, src=width, wgt=cols.kernel),
            Loop(t.tco, dst=t.th * t.tw, wgt=t.tci * taps),
            Loop(t.th, dst=t.tw, src=rows.stride * width),
        )

    @property
    def reset(self) -> Kernel:
        """The clearing of the accumulators."""
        t = self.tiling
        return Kernel.fold(Loop(t.tw, dst=1), Loop(t.tco, dst=t.th * t.tw), Loop(t.th, dst=t.tw))

    @property
    def biasing(self) -> Kernel:
        """The addition of the bias: each element to a whole plane of accumulators."""
        plane = self.tiling.th * self.tiling.tw
        return Kernel.fold(Loop(self.tiling.tco, dst=plane, src=1), Loop(plane, dst=1))

    @property
    def sweep(self) -> Kernel:
        """An operation on each accumulator, which also is its source."""
        return Kernel.fold(Loop(self.acc, dst=1, src=1))

    @property
    def uops(self) -> int:
        """Micro-ops of all kernels of all threads; every ALU stage has one of its own."""
        one = self.gemm.length + self.reset.length + self.layer.alu_stages
        return self.tiling.threads * one

    def transfers(self) -> dict[Memory, Transfer]:
        """How each memory's tile is moved; a padded input is that of the first tile.

        Raises:
            Infeasible: a tile is no 2-D pattern, or exceeds a field.
        """
        t, layer = self.tiling, self.layer
        taps = layer.rows.kernel * layer.cols.kernel
        found = {
            Memory.INP: self._padded_inp() if layer.is_padded else self._plain_inp(),
            Memory.WGT: _single(
                "weight", Side(0, t.tco, layer.co), Side(0, t.tci, layer.ci), Side(0, taps, taps)
            ),
            Memory.OUT: _single(
                "output",
                Side(0, t.tco, layer.co),
                Side(0, t.th, layer.rows.out),
                Side(0, t.tw, layer.cols.out),
            ),
        }
        if layer.has_bias:
            found[Memory.ACC] = _single("bias", Side(0, t.tco, layer.co))
        return found

    def _plain_inp(self) -> Transfer:
        rows, cols = self.layer.rows, self.layer.cols
        return _single(
            "input",
            Side(0, self.tiling.tci, self.layer.ci),
            Side(0, rows.reach(self.tiling.th), rows.size),
            Side(0, cols.reach(self.tiling.tw), cols.size),
        )

    def _padded_inp(self) -> Transfer:
        """TVM joins no dimensions of a padded tile: it has rows, columns, and nothing else."""
        if self.tiling.tci > 1:
            raise Infeasible("a padded input tile has more than one block of channels")
        rows, cols = self.layer.rows, self.layer.cols
        y, x = rows.pieces(self.tiling.th), cols.pieces(self.tiling.tw)
        if min(y.count.min(), x.count.min()) < 1:
            raise Infeasible("an input tile lies wholly in the padding")
        if max(y.before.max(), y.after.max(), x.before.max(), x.after.max()) > MAX_PAD:
            raise Infeasible("a DMA pad exceeds 4 bits")
        if max(rows.size, cols.size) > MAX_SIZE:
            raise Infeasible("a DMA size or stride exceeds 16 bits")
        pads = (int(y.before[0]), int(y.after[0]), int(x.before[0]), int(x.after[0]))
        return Transfer(0, 0, int(y.count[0]), int(x.count[0]), cols.size, pads)


def _single(name: str, *sides: Side) -> Transfer:
    """The one instruction that moves a tile."""
    found = transfers(list(sides))
    if len(found) > 1:
        raise Infeasible(f"the {name} tile is no 2-D pattern in DRAM")
    return found[0]


# -------------------------------------------------------------------------------------- validity


def reason_invalid(layer: PackedLayer, tiling: TvmTiling) -> str | None:
    """Why TVM does not compile or run a tiling, in words; None if it does.

    Besides TVM's own rules, all kernels have to be in the micro-op scratchpad at once (else TVM's
    runtime would load them again and again).
    """
    return next(_violations(layer, tiling), None)


def _violations(layer: PackedLayer, tiling: TvmTiling) -> Iterator[str]:
    t, tile, config = tiling, Tile(layer, tiling), layer.config
    loops = (layer.rows.out, layer.cols.out, layer.ci, layer.co)
    if any(n % size for n, size in zip(loops, (t.th, t.tw, t.tci, t.tco), strict=True)):
        yield "a tile does not divide its loop"
    if not {t.oc_nthread, t.h_nthread} <= set(THREADS):
        yield "a loop has 1 or 2 virtual threads"
    if layer.co // t.tco % t.oc_nthread or layer.rows.out // t.th % t.h_nthread:
        yield "virtual threads do not divide the tiles"
    needs = {
        Memory.INP: tile.inp,
        Memory.WGT: tile.wgt,
        Memory.ACC: tile.acc + tile.bias,
    }
    for memory, need in needs.items():
        if need * t.threads > config.depth(memory):
            yield (
                f"{t.threads} x {need} elements exceed the {memory.name} scratchpad's "
                f"{config.depth(memory)}"
            )
    if tile.uops > min(config.uop_depth, MAX_SIZE):
        yield f"{tile.uops} micro-ops exceed the scratchpad's {config.uop_depth}"
    if any(
        max(kernel.outer.extent, kernel.inner.extent) > MAX_ITERATIONS
        for kernel in (tile.gemm, tile.reset, tile.biasing, tile.sweep)
    ):
        yield "a loop exceeds 14 bits"
    try:
        tile.transfers()
    except Infeasible as reason:
        yield str(reason)
    written = tile.gemm.uops(0)[:, 0]
    if any(
        (written[distance:] == written[:-distance]).any()
        for distance in range(1, _DEPENDENCE_DISTANCE + 1)
    ):
        yield "a micro-op writes the accumulator of one of the two before it"


# -------------------------------------------------------------------------------------- counters


@dataclass(frozen=True, slots=True)
class TvmCounters:
    """What a layer takes under a tiling: micro-ops executed, DRAM traffic, instructions.

    Attributes:
        gemm: micro-ops that multiply.
        reset: micro-ops that clear accumulators.
        alu: micro-ops of the ALU.
        inp_bytes: inputs read; padding is not read.
        wgt_bytes: weights read.
        acc_bytes: biases read.
        out_bytes: outputs written.
        uop_bytes: micro-ops read.
        loads: LOAD instructions of inputs and weights.
        gemms: GEMM instructions, resets included.
        alus: ALU instructions.
        stores: STORE instructions.
        instructions: all of them, with those that only move tokens.
    """

    gemm: int
    reset: int
    alu: int
    inp_bytes: int
    wgt_bytes: int
    acc_bytes: int
    out_bytes: int
    uop_bytes: int
    loads: int
    gemms: int
    alus: int
    stores: int
    instructions: int

    @property
    def instruction_bytes(self) -> int:
        """Instructions read."""
        return INSTRUCTION_BYTES * self.instructions


def counters(layer: PackedLayer, tiling: TvmTiling) -> TvmCounters:
    """The counters of a layer under a tiling, by formula.

    They agree with the counts that VTA's functional simulator reported for TVM's tutorials and
    for ResNet-18. Each tile loads its inputs and weights anew, so the inputs are read once for
    each tile of output channels, the weights once for each tile of the image.
    """
    tile, config, stages = Tile(layer, tiling), layer.config, layer.alu_stages
    seen = int(layer.rows.pieces(tiling.th).count.sum() * layer.cols.pieces(tiling.tw).count.sum())
    steps = tile.count * tile.steps
    moving = (1 if layer.has_bias else 0) + 1 + 3 * tile.steps + 1 + max(stages, 1) + 1
    return TvmCounters(
        gemm=layer.steps,
        reset=layer.outputs,
        alu=stages * layer.outputs,
        inp_bytes=layer.n * layer.co // tiling.tco * layer.ci * seen * config.inp_bytes,
        wgt_bytes=steps * tile.wgt * config.wgt_bytes,
        acc_bytes=tile.count * tile.bias * config.acc_bytes,
        out_bytes=layer.outputs * config.out_bytes,
        uop_bytes=tile.uops * UOP_BYTES,
        loads=2 * steps,
        gemms=steps + tile.count,
        alus=stages * tile.count,
        stores=tile.count,
        instructions=tile.count * moving + 2 * tiling.threads + 4,
    )
