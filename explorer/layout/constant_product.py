"""A vector as a product with a constant: another way to add it to accumulators.

An entry of port inp holds 127 in all lanes of axis z but the last one, which holds 1. Its product
with a block of weights is then, in each lane of y, 127 times a sum of bytes and one byte more; with
n lanes of 127 every integer from -127·128·n - 128 to 127·127·n + 127 is such a sum. GEMM adds it in
one micro-op a vector, where an addition by the ALU takes two cycles and a load of four bytes an
element in the compute module's own time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.virtual_loops import Loop, Row
from explorer.layout.packed import Layout
from isa.computation import Affine, Tensor
from isa.config import Config

STEP = 127
_DIGIT = "digit.z"  # no dimension has a dot in its name


def reach(block_in: int) -> tuple[int, int]:
    """Least and greatest number that digits in so many lanes add up to."""
    many = block_in - 1
    return -STEP * 128 * many - 128, STEP * STEP * many + 127


def level(block_in: int) -> NDArray[np.int8]:
    """What the digits are multiplied by, (lanes of z,)."""
    return np.array([STEP] * (block_in - 1) + [1], np.int8)


def digits(values: NDArray[np.int32], block_in: int) -> NDArray[np.int8]:
    """Numbers within `reach` as bytes whose product with `level` they are, (…, lanes of z)."""
    many = block_in - 1
    wide = values.astype(np.int64)
    rest = (wide + 64) % STEP - 64
    whole = (wide - rest) // STEP
    # At either end of the reach the quotient is one too far: the rest, -64 to 62, takes that up.
    over = (whole > 127 * many).astype(np.int64) - (whole < -128 * many)
    whole, rest = whole - over, rest + STEP * over
    found = np.zeros((*values.shape, block_in), np.int8)
    for lane in range(many):
        # Dealt evenly: each lane takes its share, rounded down, of what is left.
        share = whole // (many - lane)
        found[..., lane] = share
        whole = whole - share
    found[..., many] = rest
    return found


def level_layout(config: Config) -> Layout:
    """The layout on port inp of the entry that digits are multiplied by, with all rows alike."""
    return Layout(
        port="inp",
        role=None,
        tensor=Tensor("level", (config.block_in,), (Affine.of({_DIGIT: 1}),), "Z"),
        coordinates=(),
        lanes=(Loop("row.x", config.batch, "x", 1), Loop(_DIGIT, config.block_in, "z", 1)),
        axes=(("x", config.batch), ("z", config.block_in)),
        equal=(),
        rows=(Row(Affine.of({_DIGIT: 1})),),
        guards=(),
        halo=False,
    )


def has_digits(layout: Layout) -> bool:
    """Whether a vector's layout on port acc is the same in all rows of axis x."""
    crossing = {loop.name for loop in layout.lanes if loop.axis == "x"}
    tied = any(crossing & {*pair} for pair in layout.equal)
    return not tied and not any(crossing & row.loops for row in layout.rows)


def digits_layout(layout: Layout, config: Config) -> Layout:
    """The layout on port wgt of a vector's digits, from that of the vector on port acc."""
    crossing = {loop.name for loop in layout.lanes if loop.axis == "x"}
    tensor, free = layout.tensor, next(x for x in "ZYXWVUT" if x not in layout.tensor.letters)
    row = Affine.of({_DIGIT: 1})
    named = Tensor(
        f"{tensor.name}.digits",
        (*tensor.shape, config.block_in),
        (*tensor.index, row),
        tensor.letters + free,
    )
    return replace(
        layout,
        port="wgt",
        tensor=named,
        lanes=(
            *(loop for loop in layout.lanes if loop.axis == "y"),
            Loop(_DIGIT, config.block_in, "z", 1),
        ),
        axes=(("y", config.block_out), ("z", config.block_in)),
        rows=(*layout.rows, Row(row)),
        # Rows of x in which no output lies get the sum too: nobody reads them.
        guards=tuple(guard for guard in layout.guards if not crossing & guard[0].loops),
    )
