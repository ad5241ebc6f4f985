"""TVM's schedule template for VTA: the layers it takes, and what it may choose for them.

A model of ``conv2d_packed`` and ``dense_packed`` of Apache TVM's VTA backend (``vta/top``, with the
transformations of ``vta/transform.py`` and the checks of VTA's runtime). The embedding is fixed:
batch on axis x, output channels on y, input channels on z, each padded up to its block (TVM itself
pads output channels only, and leaves a layer whose input channels fill no block to the CPU). What
is tuned is the loop nest around the instruction::

    for n, i (OH/th), co (CO/tco), j (OW/tw):                  one tile of outputs
        load bias; reset
        for ci (CI/tci):                                       one step
            load input tile; load weight tile
            for tci, tw, S, R, tco, th: GEMM                   one instruction
        epilogue on the ALU; store

A dense layer is a convolution over a 1×1 image with a 1×1 kernel. (Its template can also join rows
of the batch in a tile, which saves ALU and STORE instructions but no load; that is left out.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from explorer.layout.alu_passes import alu_program
from isa.computation import Affine, Computation, Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import AluOp

_TAKEN = "TVM's templates take gemm, and conv2d without groups or dilation"
THREADS = (1, 2)
"""What the knobs ``oc_nthread`` and ``h_nthread`` may be."""

# ---------------------------------------------------------------------------------------- layers


@dataclass(frozen=True, slots=True)
class Pieces:
    """The rows (or columns) of the image that each tile's windows reach.

    Attributes:
        first: of those that exist, the first, (tiles,).
        count: how many exist, (tiles,).
        before: padding before them, (tiles,).
        after: padding after them, (tiles,).
    """

    first: NDArray[np.int64]
    count: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """A spatial axis: `out` windows of `kernel` elements, `stride` apart, on a padded image."""

    size: int = 1
    kernel: int = 1
    pad: int = 0
    stride: int = 1
    out: int = 1

    def reach(self, tile: int) -> int:
        """Elements from the first to the last that so many adjacent windows read."""
        return (tile - 1) * self.stride + self.kernel

    def pieces(self, tile: int) -> Pieces:
        """What each tile of so many windows reads."""
        begin = np.arange(self.out // tile) * (tile * self.stride) - self.pad
        end = begin + self.reach(tile)
        first, last = np.maximum(begin, 0), np.minimum(end, self.size)
        return Pieces(first, last - first, first - begin, end - last)


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """An operator as TVM packs it for a configuration; channels and batch are counted in blocks.

    Attributes:
        operator: what it computes.
        config: the machine, which gives the blocks.
        n: blocks of batch.
        ci: blocks of input channels.
        co: blocks of output channels.
        rows: the image's height; 1 for a dense layer.
        cols: the image's width; 1 for a dense layer.
    """

    operator: Operator
    config: Config
    n: int
    ci: int
    co: int
    rows: Window = Window()
    cols: Window = Window()

    @classmethod
    def of(cls, operator: Operator, config: Config) -> PackedLayer:
        """The layer that an operator is.

        Raises:
            InputError: TVM's two templates do not take the operator.
        """
        if len(operator.terms) > 1:
            text = ", ".join(map(str, operator.terms))
            allowed = f"{_TAKEN}; {len(operator.terms)} products into one output are none of them"
            raise InputError(operator.name, "stages", text, allowed)
        computation = operator.computation
        if operator.epilogue.residual:
            raise _unsupported(operator)
        match operator.kind, tuple(computation.extents):
            case "gemm", ("m", "n", "k") if _is_dense(computation):
                n, co, ci = computation.extents.values()
                rows = cols = Window()
            case "conv2d", ("n", "oc", "oh", "ow", "ic", "kh", "kw"):
                n, co, oh, ow, ci, kh, kw = computation.extents.values()
                _, _, row, column = computation.in0.index
                _, _, height, width = computation.in0.shape
                rows = _window(operator, row, height, ("oh", oh), ("kh", kh))
                cols = _window(operator, column, width, ("ow", ow), ("kw", kw))
            case _:
                raise _unsupported(operator)
        batch, block_out, block_in = config.batch, config.block_out, config.block_in
        return cls(
            operator, config, -(-n // batch), -(-ci // block_in), -(-co // block_out), rows, cols
        )

    @property
    def has_bias(self) -> bool:
        """Whether a bias is loaded and added."""
        return self.operator.epilogue.bias is not None

    @property
    def passes(self) -> list[tuple[AluOp, int]]:
        """The ALU operations with an immediate, after the bias."""
        passes = alu_program(self.operator).passes
        return [
            (p.opcode, p.src) for p in passes if p.opcode is not None and isinstance(p.src, int)
        ]

    @property
    def alu_stages(self) -> int:
        """ALU instructions that finish a tile, the addition of the bias included."""
        return len(self.passes) + self.has_bias

    @property
    def is_padded(self) -> bool:
        """Whether the DMA engine has to pad the image."""
        return any(w.pad > 0 or w.reach(w.out) > w.pad + w.size for w in (self.rows, self.cols))

    @property
    def outputs(self) -> int:
        """Accumulator elements of the whole output."""
        return self.n * self.co * self.rows.out * self.cols.out

    @property
    def steps(self) -> int:
        """GEMM micro-ops of the whole layer, without resets."""
        return self.outputs * self.ci * self.rows.kernel * self.cols.kernel


def _window(
    operator: Operator, row: Affine, size: int, out: tuple[str, int], tap: tuple[str, int]
) -> Window:
    if row.coefficient(tap[0]) != 1 and tap[1] > 1:
        raise _unsupported(operator)
    return Window(size, tap[1], -row.const, row.coefficient(out[0]), out[1])


def _is_dense(computation: Computation) -> bool:
    """Whether both inputs of a product have the reduction innermost, as TVM's dense layer does."""
    return (computation.in0.letters, computation.in1.letters) == ("MK", "NK")


def _unsupported(operator: Operator) -> InputError:
    return InputError("tvm", "", operator.name, f"{_TAKEN}; no residual")


# --------------------------------------------------------------------------------------- tilings


@dataclass(frozen=True, slots=True, order=True)
class TvmTiling:
    """One point of the template's space.

    Attributes:
        th: rows of the output in a tile.
        tw: columns of the output in a tile.
        tci: blocks of input channels that a step reduces over.
        tco: blocks of output channels in a tile.
        oc_nthread: virtual threads along the output channels, 1 or 2.
        h_nthread: virtual threads along the rows, 1 or 2.
    """

    th: int = 1
    tw: int = 1
    tci: int = 1
    tco: int = 1
    oc_nthread: int = 1
    h_nthread: int = 1

    @property
    def threads(self) -> int:
        """Copies of the tile that run interleaved, each with its own buffers."""
        return self.oc_nthread * self.h_nthread


def tilings(layer: PackedLayer) -> Iterator[TvmTiling]:
    """The template's whole space: every divisor of each loop, and the virtual threads."""
    loops = (layer.rows.out, layer.cols.out, layer.ci, layer.co)
    for knobs in product(*map(_divisors, loops), THREADS, THREADS):
        yield TvmTiling(*knobs)


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
