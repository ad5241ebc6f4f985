"""One form for each packed layout, by which layouts of different operators are compared.

The form is what is left of a layout when names are forgotten: for each loop over DRAM entries, and
for each loop over lanes, how far it moves the tensor's rows (mixed-radix strides). Loops of one
iteration are left out, and two neighbours that count on as one are one loop. Equal forms are equal
arrays, which is what counts; forms are compared without building arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.virtual_loops import Loop, Row
from explorer.layout.packed import Layout
from isa.computation import Tensor

Strides = tuple[int, ...]
Digits = tuple[tuple[int, Strides], ...]
"""Loops, the slowest first: iterations, and how far one moves each row."""

IDLE, ZERO = -1, -2
"""What a lane holds that stands for no element: nothing that counts, or zero (`contents`)."""


@dataclass(frozen=True, slots=True)
class Form:
    """The canonical form of a layout.

    Attributes:
        shape: of the tensor.
        base: the rows at the first entry's first lane.
        bounds: for rows beyond the tensor's own, what they stay below where a lane is live.
        entries: the loops over entries.
        axes: for each axis of the port, its lanes and the loops over them.
        equal: pairs of loops over lanes, as axis and place, that a live lane has equal.
        digest: of the array, where the rows are not affine; else empty.
    """

    shape: tuple[int, ...]
    base: Strides
    bounds: tuple[int, ...]
    entries: Digits
    axes: tuple[tuple[int, Digits], ...]
    equal: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    digest: str = ""


def form(layout: Layout) -> Form:
    """The canonical form of a layout."""
    rows = [row.affine for row in layout.rows]
    if any(row.terms for row in layout.rows) or any(row.terms for row, _ in layout.guards):
        # Fused loops cross the borders of dimensions: what they hold shows in the array alone.
        held = np.ascontiguousarray(contents(layout))
        digest = hashlib.blake2b(held.tobytes(), digest_size=16).hexdigest()
        bare = tuple((extent, ()) for _, extent in layout.axes)
        return Form(layout.tensor.shape, (held.shape[0],), (), (), bare, (), digest)
    extents = {c.name: c.stored for c in layout.coordinates}
    extents |= {loop.name: loop.extent for loop in layout.lanes}
    lows = {c.name: c.low for c in layout.coordinates}
    bounds = []
    for guard, extent in layout.guards:
        start = guard.affine.at({n: lows.get(n, 0) for n in extents}, 0)
        reach = [c * (extents[n] - 1) for n, c in guard.affine.terms]
        # One that always holds says nothing.
        if (
            start + sum(min(r, 0) for r in reach) < 0
            or start + sum(max(r, 0) for r in reach) >= extent
        ):
            bounds.append((extent, guard.affine))
    bounds.sort(key=lambda b: (b[0], b[1].terms, b[1].const))
    rows += [affine for _, affine in bounds]

    def strides(name: str) -> Strides:
        return tuple(row.coefficient(name) for row in rows)

    held_equal = {name for pair in layout.equal for name in pair}
    entries = _joined((c.stored, strides(c.name)) for c in layout.coordinates)
    axes: list[tuple[int, Digits]] = []
    places: dict[str, tuple[int, int]] = {}
    for i, (axis, width) in enumerate(layout.axes):
        lanes = sorted((x for x in layout.lanes if x.axis == axis), key=lambda x: -x.stride)
        # A loop that has to equal another one keeps its place.
        whole = any(x.name in held_equal for x in lanes)
        digits = [(x.extent, strides(x.name)) for x in lanes]
        axes.append((width, tuple(digits) if whole else _joined(digits)))
        places |= {x.name: (i, j) for j, x in enumerate(lanes)}
    return Form(
        layout.tensor.shape,
        tuple(row.at({n: lows.get(n, 0) for n in extents}, 0) for row in rows),
        tuple(extent for extent, _ in bounds),
        entries,
        tuple(axes),
        tuple(sorted((places[a], places[b]) for a, b in layout.equal)),
    )


def _joined(digits: Iterable[tuple[int, Strides]]) -> Digits:
    """Loops without those of one iteration, and with those as one that count on."""
    found: list[tuple[int, Strides]] = []
    for extent, steps in digits:
        if extent == 1:
            continue
        if found and found[-1][1] == tuple(s * extent for s in steps):
            found[-1] = (found[-1][0] * extent, steps)
        else:
            found.append((extent, steps))
    return tuple(found)


def lane_strides(layout: Layout) -> tuple[Digits, ...]:
    """Of each axis, its lanes as loops over the tensor's row-major elements.

    A reader finds a producer's vectors only where these are equal; whether it finds all depends on
    where they begin, too.
    """
    return lanes_along(layout.tensor, layout.rows, layout.lanes, [axis for axis, _ in layout.axes])


def lanes_along(
    tensor: Tensor, rows: Sequence[Row], lanes: Sequence[Loop], axes: Sequence[str]
) -> tuple[Digits, ...]:
    """As `lane_strides`, where there is no layout yet.

    Args:
        tensor: what is laid out.
        rows: its access map over outer loops and lanes.
        lanes: the loops over the lanes of the axes.
        axes: those of the port.
    """
    steps = dict.fromkeys((loop.name for loop in lanes), 0)
    whole = 1
    for row, extent in zip(reversed(rows), reversed(tensor.shape), strict=True):
        for name, factor in row.affine.terms:
            if name in steps:
                steps[name] += factor * whole
        whole *= extent
    found = []
    for axis in axes:
        own = sorted((x for x in lanes if x.axis == axis), key=lambda x: -x.stride)
        found.append(_joined((x.extent, (steps[x.name],)) for x in own))
    return tuple(found)


def contents(layout: Layout) -> NDArray[np.int64]:
    """What each lane of each stored entry holds, (entries, lanes): a flat index, IDLE or ZERO.

    ZERO is what a live multiply-accumulate reads beyond the tensor's border. IDLE is a lane that
    stands for none: as long as the other operand holds zero there, anything may be in it.
    """
    flat, live, inside = layout.lookup()
    held = np.where(live & inside, np.broadcast_to(flat, layout.shape), np.where(live, ZERO, IDLE))
    lanes = int(np.prod([extent for _, extent in layout.axes]))
    return held.reshape(-1, lanes)
