"""What a schedule is: tiles of the outer loops, their order, and how the scratchpads are shared.

The tile loops run over the outputs first and the reductions inside them, so that an accumulator
tile is finished before the next begins (VTA stores only int8 and cannot spill partial sums). A
tensor's tile is loaded when it changes; each scratchpad holds one tile of it, or two that
alternate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.layout.design import Design
from explorer.layout.packed import Layout

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """One point of the schedule space.

    Attributes:
        tile: iterations of each outer loop that a tile takes, in the nest's order.
        order: the outer loops as tile loops, the slowest first; reductions come last.
        load_contexts: tiles of inp and of wgt that are held at once, 1 or 2.
        acc_contexts: accumulator tiles that are held at once, 1 or 2.
    """

    tile: tuple[int, ...]
    order: tuple[int, ...]
    load_contexts: int
    acc_contexts: int


def coefficients(design: Design, layout: Layout) -> Array:
    """How far each coordinate moves with each outer loop, (coordinates, loops)."""
    loops = [loop.name for loop in design.nest.outer]
    matrix = np.zeros((len(layout.coordinates), len(loops)), np.int64)
    for row, coordinate in enumerate(layout.coordinates):
        for name, factor in coordinate.terms:
            matrix[row, loops.index(name)] = factor
    return matrix


def output_loops(design: Design) -> list[int]:
    """Outer loops that move the output."""
    used = {name for c in design.acc.coordinates for name, _ in c.terms}
    return [i for i, loop in enumerate(design.nest.outer) if loop.name in used]
