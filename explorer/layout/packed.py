"""Packed layouts: what follows from an embedding for each tensor, and the choices that remain.

A packed tensor is an array of **entries**, one for each scratchpad address: ``packed[coordinates…,
lanes…]``. The coordinates are sums of outer loops, so an address moves by a constant with each
loop; which logical element a lane of an entry holds is a gather map.

Two choices remain. **Materialisation**: windows that overlap share entries (halo) or each has its
own (im2col). **Padding**: entries that lie wholly outside the tensor are kept in DRAM, or left out
and written by the DMA engine. The order of the coordinates in DRAM is chosen with the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.virtual_loops import Loop, Nest, Row
from isa.computation import Affine, Computation, Role, Tensor


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One coordinate of an entry: a sum of outer loops with positive coefficients.

    Attributes:
        name: the loop, or the letter of the tensor dimension along which windows overlap.
        terms: the outer loops and their coefficients.
        extent: number of values it takes.
        low: first value whose entries are stored; those before are zero (DMA padding).
        high: one past the last value whose entries are stored.
    """

    name: str
    terms: tuple[tuple[str, int], ...]
    extent: int
    low: int
    high: int

    @property
    def stored(self) -> int:
        """Values that DRAM holds."""
        return self.high - self.low

    @property
    def is_padded(self) -> bool:
        """Whether the DMA engine writes some of its entries."""
        return self.stored < self.extent


@dataclass(frozen=True, slots=True)
class Layout:
    """The packed layout of one tensor on one port.

    Attributes:
        port: the instruction's port.
        role: the operator's tensor it holds.
        tensor: that tensor.
        coordinates: in DRAM order, the slowest first.
        lanes: the lane loops on the port's axes.
        axes: the port's axes with their extents, the slowest first.
        equal: pairs of lane loops that differ only in lanes that hold zero.
        rows: the tensor's access map over coordinates and lane loops.
        guards: dimensions that the layout shows (row and extent): lanes outside hold zero, or, on
            the output, what nobody reads.
        halo: whether overlapping windows share entries.
    """

    port: str
    role: Role | None
    tensor: Tensor
    coordinates: tuple[Coordinate, ...]
    lanes: tuple[Loop, ...]
    axes: tuple[tuple[str, int], ...]
    equal: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    guards: tuple[tuple[Row, int], ...]
    halo: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the packed tensor: stored coordinates, then lanes."""
        return (*(c.stored for c in self.coordinates), *(extent for _, extent in self.axes))

    @property
    def entries(self) -> int:
        """Number of stored entries."""
        return math.prod(c.stored for c in self.coordinates)

    @property
    def is_padded(self) -> bool:
        """Whether the DMA engine writes some of its entries."""
        return any(c.is_padded for c in self.coordinates)

    def reordered(self, order: Sequence[int]) -> Layout:
        """The layout with its coordinates in another DRAM order."""
        return replace(self, coordinates=tuple(self.coordinates[i] for i in order))

    def along(self, outer: Sequence[Loop]) -> Layout:
        """The layout with its coordinates in the order of the outer loops that move them first."""
        place = {loop.name: i for i, loop in enumerate(outer)}
        first = [min(place[name] for name, _ in c.terms) for c in self.coordinates]
        return self.reordered(sorted(range(len(first)), key=first.__getitem__))

    def gather(self) -> NDArray[np.int64]:
        """For each element of the packed tensor, the flat index it comes from, or -1 for zero."""
        flat, live, inside = self.lookup()
        return np.where(live & inside, np.broadcast_to(flat, self.shape), -1)

    def lookup(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """The flat index of each element, whether its lane is live, and whether it is inside.

        A lane is live where it may stand for work; what lies outside the tensor then reads as zero.
        The arrays broadcast to the packed tensor's shape.
        """
        rank = len(self.shape)

        def along(axis: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
            return values.reshape([-1 if i == axis else 1 for i in range(rank)])

        point = {
            c.name: along(i, np.arange(c.low, c.high, dtype=np.int64))
            for i, c in enumerate(self.coordinates)
        }
        # Everything below broadcasts: an axis is expanded only where something depends on it.
        live = np.ones((1,) * rank, np.bool_)
        for i, (axis, extent) in enumerate(self.axes, start=len(self.coordinates)):
            index = along(i, np.arange(extent, dtype=np.int64))
            width = 1
            for loop in (lane for lane in self.lanes if lane.axis == axis):
                point[loop.name] = index // loop.stride % loop.extent
                width *= loop.extent
            live = live & (index < width)
        for left, right in self.equal:
            live = live & (point[left] == point[right])
        for row, extent in self.guards:
            value = row.at(point)
            live = live & (value >= 0) & (value < extent)
        flat = np.zeros((1,) * rank, np.int64)
        inside = np.ones((1,) * rank, np.bool_)
        for row, extent in zip(self.rows, self.tensor.shape, strict=True):
            value = row.at(point)
            inside = inside & (value >= 0) & (value < extent)
            flat = flat * extent + value
        return flat, live, inside

    def pack(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """The packed form of a logical tensor."""
        index = self.gather()
        return np.where(index < 0, np.zeros((), array.dtype), array.reshape(-1)[index])

    def unpack(self, packed: NDArray[np.generic]) -> NDArray[np.generic]:
        """The logical tensor from its packed form (elements that no lane holds are zero)."""
        (array,) = self.unpack_all([packed])
        return array

    def unpack_all(self, several: Iterable[NDArray[np.generic]]) -> Iterator[NDArray[np.generic]]:
        """The logical tensor from each of several packed forms."""
        index = self.gather().reshape(-1)
        held = np.flatnonzero(index >= 0)
        elements = index[held]
        for packed in several:
            array = np.zeros(self.tensor.size, packed.dtype)
            array[elements] = packed.reshape(-1)[held]
            yield array.reshape(self.tensor.shape)

    @property
    def name(self) -> str | None:
        """The TVM-style name (``NCHW1n16c``), where the layout is a blocked one."""
        blocks = _blocks(self)
        # Lanes that do not move the tensor repeat its elements.
        if blocks is None or {x.name for x in self.lanes} - set().union(
            *(row.loops for row in self.rows)
        ):
            return None
        order, lanes = blocks
        unit = [
            letter
            for letter, extent in zip(self.tensor.letters, self.tensor.shape, strict=True)
            if letter not in order and extent == 1
        ]
        free = [x for x in self.tensor.letters if x not in order and x not in unit]
        if any(letter.lower() not in "".join(lanes.values()) for letter in free):
            return None
        # A dimension that is wholly inside a block still has an outer loop of one iteration.
        outer = list(order)
        for letter in [*unit, *free]:
            outer.insert(_natural_place(outer, letter, self.tensor.letters), letter)
        text = "".join(outer)
        for axis, extent in self.axes:
            # Lanes of one element block any dimension; idle ones pad a dimension of extent 1.
            free = [x for x in self.tensor.letters if x.lower() not in lanes.values()]
            spare = [x.lower() for x in free if extent == 1 or x in unit]
            lanes.setdefault(axis, spare[0] if spare else "-")
            text += f"{extent}{lanes[axis]}"
        return text

    def formulas(self) -> list[str]:
        """Where an element of the packed tensor comes from, one line a tensor dimension."""
        return [
            f"{letter.lower()} = {row}"
            for letter, row in zip(self.tensor.letters, self.rows, strict=True)
        ]


def _natural_place(outer: list[str], letter: str, letters: str) -> int:
    before = letters[: letters.index(letter)]
    places = [i + 1 for i, x in enumerate(outer) if x in before]
    return max(places, default=0)


def _blocks(layout: Layout) -> tuple[list[str], dict[str, str]] | None:
    """Letters in DRAM order and each axis's block letter, if every row is one plain block."""
    order: list[str] = []
    lanes: dict[str, str] = {}
    of_row: dict[str, str] = {}
    lane_axis = {loop.name: loop for loop in layout.lanes}
    coordinates = {c.name: c for c in layout.coordinates}
    for letter, row in zip(layout.tensor.letters, layout.rows, strict=True):
        if row.terms:
            return None
        factors = dict(row.affine.terms)
        outer = [n for n in factors if n in coordinates]
        inner = [n for n in factors if n in lane_axis]
        if len(outer) > 1 or len(inner) > 1 or (inner and factors[inner[0]] != 1):
            return None
        if inner:
            loop = lane_axis[inner[0]]
            if loop.axis is None or loop.axis in lanes or loop.stride != 1:
                return None
            lanes[loop.axis] = letter.lower()
            full = dict(layout.axes)[loop.axis]
            if outer and factors[outer[0]] != full:
                return None
            if (
                not outer
                and loop.extent != full
                and loop.extent != layout.tensor.shape[layout.tensor.letters.index(letter)]
            ):
                return None
        elif outer and factors[outer[0]] != 1:
            return None
        if outer:
            of_row[outer[0]] = letter
    for c in layout.coordinates:
        if c.name not in of_row or of_row[c.name] in order:
            return None
        order.append(of_row[c.name])
    return order, lanes


# ---------------------------------------------------------------------------------- derivation


def derive(
    nest: Nest,
    tensor: Tensor,
    port: Tensor,
    intrinsic: Computation,
    *,
    role: Role | None,
    halo: bool = False,
    dma_padding: bool = False,
) -> Layout:
    """The packed layout of a tensor on a port, in tensor order.

    Args:
        nest: the embedding's virtual loops.
        tensor: the operator's tensor.
        port: the instruction's port that holds it.
        intrinsic: the instruction.
        role: the tensor's role; None for one that is not of the computation (bias).
        halo: let overlapping windows share entries; else each window has its own.
        dma_padding: leave out entries that lie wholly outside the tensor, where they form a border.
    """
    layout = _layout(_view(nest, tensor, port, intrinsic), role, halo)
    return _trimmed(layout) if dma_padding else layout


def choices(
    nest: Nest,
    tensor: Tensor,
    port: Tensor,
    intrinsic: Computation,
    *,
    role: Role,
    dma_padding: bool = False,
) -> list[Layout]:
    """Every layout of a tensor on a port, see `derive`: with shared entries where windows overlap.

    With DMA padding, a layout that it leaves entries out of is followed by what is left.
    """
    view, found = _view(nest, tensor, port, intrinsic), []
    # What is the same layout would be searched twice: without overlaps, and without a border.
    shared = any(_merge(view.outer(row), view.extents)[0] for row in view.rows)
    for halo in (True, False) if shared else (False,):
        layout = _layout(view, role, halo)
        found.append(layout)
        if dma_padding:
            padded = _trimmed(layout)
            if padded.is_padded:
                found.append(padded)
    return found


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor as a port sees it, which all its layouts have in common.

    Attributes:
        tensor: the operator's tensor.
        port: the port's name.
        axes: of the port, with their extents.
        lanes: the lane loops on them.
        equal: pairs of them.
        extents: of the outer loops.
        rows: the access map over outer loops and these lanes.
        bounds: of each dimension that moves the tensor, what stays within an extent.
    """

    tensor: Tensor
    port: str
    axes: tuple[tuple[str, int], ...]
    lanes: tuple[Loop, ...]
    equal: tuple[tuple[str, str], ...]
    extents: Mapping[str, int]
    rows: tuple[Row, ...]
    bounds: tuple[tuple[tuple[Row, int], ...], ...]

    def outer(self, row: Row) -> list[tuple[str, int]]:
        """The outer loops of a row's affine part with their coefficients."""
        return [t for t in row.affine.terms if t[0] in self.extents]


def _view(nest: Nest, tensor: Tensor, port: Tensor, intrinsic: Computation) -> _View:
    on_port, moving = _moving(port), _moving(tensor)
    axes = tuple((a.name, a.extent) for a in intrinsic.dims if a.name in on_port)
    names = frozenset(name for name, _ in axes)
    lanes = tuple(loop for loop in nest.lanes if loop.axis in names)
    lane_names = {loop.name for loop in lanes}
    return _View(
        tensor,
        port.name,
        axes,
        lanes,
        tuple(pair for pair in nest.equal if lane_names >= set(pair)),
        {loop.name: loop.extent for loop in nest.outer},
        nest.rows(tensor, names),
        tuple(tuple(nest.bounds(name, names)) for name in nest.extents if name in moving),
    )


def _moving(tensor: Tensor) -> set[str]:
    """The dimensions along which a tensor's elements change."""
    return {name for row in tensor.index for name, _ in row.terms}


def _layout(view: _View, role: Role | None, halo: bool) -> Layout:
    """The layout without DMA padding."""
    extents = view.extents
    # Keyed by name: a fused loop moves several rows, and is one coordinate all the same.
    coordinates: dict[str, Coordinate] = {}
    rows = []
    for letter, row in zip(view.tensor.letters, view.rows, strict=True):
        flat = [n for _, term in row.terms for n, _ in term.value.terms if n in extents]
        outer = view.outer(row)
        merged, single = _merge(outer, extents) if halo else ([], outer)
        if merged:
            # Stride 2 with dilation 2 reads every second element; the others are not to be stored.
            step = math.gcd(*(c for _, c in merged))
            terms = tuple((n, c // step) for n, c in merged)
            span = 1 + sum(c * (extents[n] - 1) for n, c in terms)
            coordinates[letter] = Coordinate(letter, terms, span, 0, span)
            factors = {n: c for n, c in row.affine.terms if n not in extents}
            factors |= {letter: step} | dict(single)
            row = Row(Affine.of(factors, row.affine.const), row.terms)  # noqa: PLW2901
        for name in [*(n for n, _ in single), *flat]:
            coordinates[name] = Coordinate(name, ((name, 1),), extents[name], 0, extents[name])
        rows.append(row)
    visible = {*coordinates, *(loop.name for loop in view.lanes)}
    # The first is the sharper one; the other is for ports that lack the skew's lanes.
    shown = ([b for b in bounds if b[0].loops <= visible][:1] for bounds in view.bounds)
    return Layout(
        view.port,
        role,
        view.tensor,
        tuple(coordinates.values()),
        view.lanes,
        view.axes,
        view.equal,
        tuple(rows),
        tuple(bound for bounds in shown for bound in bounds),
        halo,
    )


def _merge(
    outer: list[tuple[str, int]], extents: Mapping[str, int]
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Which loops of a row to join into one coordinate: those whose join takes fewer values."""
    # A coordinate counts upwards, as DMA strides do.
    if any(c < 0 for _, c in outer):
        return [], outer
    # Small steps first: a larger one overlaps if it is less than what they span together.
    ordered = sorted(outer, key=lambda t: (t[1], t[0]))
    merged: list[tuple[str, int]] = []
    single: list[tuple[str, int]] = []
    for term in ordered:
        joined = [*merged, term]
        if not merged or _span(joined, extents) < _span(merged, extents) * extents[term[0]]:
            merged = joined
        else:
            single.append(term)
    return (merged, single) if len(merged) > 1 else ([], outer)


def _span(terms: list[tuple[str, int]], extents: Mapping[str, int]) -> int:
    step = reduce(math.gcd, (c for _, c in terms))
    return 1 + sum(c // step * (extents[n] - 1) for n, c in terms)


def _trimmed(layout: Layout) -> Layout:
    """The layout without its border entries that hold nothing but zeros."""
    uses: dict[str, int] = {}
    names = {c.name for c in layout.coordinates}
    in_row = [
        {n for n, _ in row.affine.terms if n in names}
        | {n for _, t in row.terms for n, _ in t.value.terms if n in names}
        for row in layout.rows
    ]
    for used in in_row:
        for name in used:
            uses[name] = uses.get(name, 0) + 1
    lanes = {loop.name: loop.extent for loop in layout.lanes}
    extents = lanes | {c.name: c.extent for c in layout.coordinates}
    # Only where a row has one coordinate, and that one no other row: else whether an entry is
    # zero depends on another coordinate, and what is left out would be no border.
    bounds: dict[str, tuple[int, int]] = {}
    for row, used, size in zip(layout.rows, in_row, layout.tensor.shape, strict=True):
        if len(used) != 1 or row.terms or uses[next(iter(used))] != 1:
            continue
        low, high = row.affine.bounds(extents)
        if low >= 0 and high < size:  # no entry lies outside
            continue
        (name,) = used
        offsets = np.zeros(1, np.int64)
        for lane, factor in row.affine.terms:
            if lane in lanes:
                offsets = (offsets[:, None] + factor * np.arange(lanes[lane])).reshape(-1)
        values = row.affine.const + row.affine.coefficient(name) * np.arange(extents[name])
        alive = ((values[:, None] + offsets >= 0) & (values[:, None] + offsets < size)).any(axis=1)
        # Where every entry is zero they are kept: a transfer of nothing would be a NOP.
        if alive.any():
            held = np.flatnonzero(alive)
            bounds[name] = (int(held[0]), int(held[-1]) + 1)
    if not bounds:
        return layout
    trimmed = tuple(
        replace(c, low=bounds[c.name][0], high=bounds[c.name][1]) if c.name in bounds else c
        for c in layout.coordinates
    )
    return replace(layout, coordinates=trimmed)
