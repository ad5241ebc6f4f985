"""The virtual loops that an embedding stands for: what everything downstream works on.

Whatever the class of an embedding, it is **virtual loops** (each a lane of an axis or an outer
loop), a quasi-affine map from them to the operator's dimensions, and a guard: a point of the loops
stands for a multiply-accumulate iff every dimension is in its extent and the lanes that
`Nest.equal` pairs are equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.digits import Digit, Embedding
from isa.computation import Affine, Computation, Tensor


@dataclass(frozen=True, slots=True)
class Loop:
    """A virtual loop: an outer loop (`axis` None), or lanes that are `stride` apart on an axis."""

    name: str
    extent: int
    axis: str | None = None
    stride: int = 0

    @property
    def first(self) -> str:
        """Its dimension, or the first of those fused."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Quasi:
    """A quasi-affine term ``(value // divisor) % modulus`` (no modulus when 0)."""

    value: Affine
    divisor: int = 1
    modulus: int = 0

    def at(self, point: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """The value on arrays of loop indices that broadcast."""
        value = self.value.at(point, np.zeros((), np.int64)) // self.divisor
        return value % self.modulus if self.modulus else value

    def __str__(self) -> str:
        text = str(self.value)
        text = text if self.divisor == 1 else f"({text})//{self.divisor}"
        return f"({text})%{self.modulus}" if self.modulus else text


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an access map over virtual loops: an affine part and scaled quasi-affine terms."""

    affine: Affine
    terms: tuple[tuple[int, Quasi], ...] = ()

    def at(self, point: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """The value on arrays of loop indices that broadcast."""
        value = self.affine.at(point, np.zeros((), np.int64))
        for factor, term in self.terms:
            value = value + factor * term.at(point)
        return value

    @property
    def loops(self) -> set[str]:
        """The loops it depends on."""
        inner = {n for _, t in self.terms for n, _ in t.value.terms}
        return inner | {n for n, _ in self.affine.terms}

    def __str__(self) -> str:
        parts = [f"{f}*({t})" if f != 1 else str(t) for f, t in self.terms]
        return " + ".join(([str(self.affine)] if self.affine != Affine(()) else []) + parts) or "0"


@dataclass(frozen=True, slots=True)
class Nest:
    """The virtual loops of an embedding and what they mean.

    Attributes:
        outer: the outer loops, the slowest first; a step is one point of them.
        lanes: the loops that lie on axes.
        dims: each operator dimension as a row over the loops.
        equal: pairs of lane loops that a live point has equal (diagonal digits).
        extents: what each dimension stays below at a live point.
        widened: for a skew's partner, its loop without the skew, and what that stays below.
    """

    outer: tuple[Loop, ...]
    lanes: tuple[Loop, ...]
    dims: Mapping[str, Row]
    equal: tuple[tuple[str, str], ...]
    extents: Mapping[str, int]
    widened: Mapping[str, tuple[Row, int]]

    @property
    def steps(self) -> int:
        """Issues of the instruction."""
        return int(np.prod([loop.extent for loop in self.outer], dtype=object))

    def rows(self, tensor: Tensor, axes: frozenset[str]) -> tuple[Row, ...]:
        """A tensor's access map over outer loops and the lanes of these axes (those of its port).

        A lane of another axis never moves the tensor (the local rule), so it drops out; of a
        diagonal pair, the lane that the port has stands for both.
        """
        visible = {loop.name for loop in (*self.outer, *self.lanes) if loop.axis in (None, *axes)}
        rows = tuple(self._compose(row, axes) for row in tensor.index)
        for row in rows:
            # The encodings admit no other embedding; a wrong one must not become a wrong layout.
            assert row.loops <= visible, f"{row} moves along {row.loops - visible}"
        return rows

    def seen(self, dim: str, axes: frozenset[str]) -> Row:
        """A dimension as a row over the loops that a port with these axes sees."""
        return self._compose(Affine.of({dim: 1}), axes)

    def bounds(self, dim: str, axes: frozenset[str]) -> Iterator[tuple[Row, int]]:
        """What stays within an extent where the dimension does: itself, and its widened loop.

        The widened loop says less, but does not depend on the lanes of the skew, which a port may
        not see.
        """
        yield self.seen(dim, axes), self.extents[dim]
        if dim in self.widened:
            loop, extent = self.widened[dim]
            yield self._combine([(1, loop)], 0, axes), extent

    def _compose(self, row: Affine, axes: frozenset[str]) -> Row:
        return self._combine([(c, self.dims[n]) for n, c in row.terms], row.const, axes)

    def _combine(self, scaled: Sequence[tuple[int, Row]], const: int, axes: frozenset[str]) -> Row:
        if not self.equal and const == 0 and len(scaled) == 1 and scaled[0][0] == 1:
            return scaled[0][1]  # most rows are a dimension, as it is
        stand_in = self._stand_ins(axes) if self.equal else {}
        coefficients: dict[str, int] = {}
        terms: list[tuple[int, Quasi]] = []
        for factor, row in scaled:
            const += factor * row.affine.const
            for loop, c in row.affine.terms:
                seen = stand_in.get(loop, loop)
                coefficients[seen] = coefficients.get(seen, 0) + factor * c
            terms += [(factor * f, t) for f, t in row.terms]
        return Row(Affine.of(coefficients, const), tuple(terms))

    def _stand_ins(self, axes: frozenset[str]) -> dict[str, str]:
        """The lanes that a port with these axes lacks, with those that stand for them there."""
        found = {}
        on_port = {loop.name for loop in self.lanes if loop.axis in axes}
        for left, right in self.equal:
            # Both lanes are equal wherever there is work, so either may stand for the other.
            if left in on_port:
                found[right] = left
            elif right in on_port:
                found[left] = right
        return found


def nest(embedding: Embedding, operator: Computation) -> Nest:
    """The virtual loops of an embedding. Loops of one iteration are left out."""
    extents = operator.extents
    sizes, shift = _widened(embedding, extents)
    dims: dict[str, Row] = {}
    lanes: list[Loop] = []
    outer: dict[str, Loop] = {}
    equal: list[tuple[str, str]] = []
    strides = _lane_strides(embedding)
    skews: dict[str, list[tuple[str, int]]] = {}
    for digit in embedding.digits:
        names = [f"{digit.subject}.{axis}" for axis in digit.axes]
        for name, axis in zip(names, digit.axes, strict=True):
            lanes.append(Loop(name, digit.lanes, axis, strides[axis, digit]))
        if len(names) > 1:
            equal.append((names[0], names[1]))
        if digit.partner:
            skews.setdefault(digit.partner, []).append((names[0], digit.coefficient))
        # Strided lanes are a whole tile count apart; the outer loop then moves by one.
        values = {names[0]: digit.outer if digit.kind == "strided" else 1}
        if digit.outer > 1:
            loop = Loop(f"{digit.subject}.o", digit.outer)
            outer[digit.dims[0]] = loop
            values[loop.name] = 1 if digit.kind == "strided" else digit.lanes
        dims |= _unflatten(digit.dims, sizes, Affine.of(values))
    for name in extents:
        if name not in dims:
            used = sizes[name] > 1
            dims[name] = Row(Affine.of({name: 1} if used else {}))
            if used:
                outer[name] = Loop(name, sizes[name])
    # Before the skews are added: what is left does not depend on their lanes.
    widened = {name: (dims[name], sizes[name]) for name in skews}
    for name, moves in skews.items():
        row = dims[name]
        skewed = dict(row.affine.terms) | dict(moves)
        dims[name] = Row(Affine.of(skewed, row.affine.const + shift[name]), row.terms)
    ordered = tuple(outer[name] for name in embedding.order or extents if name in outer)
    ordered_dims = {name: dims[name] for name in extents}
    return Nest(ordered, tuple(lanes), ordered_dims, tuple(equal), extents, widened)


def steps(embedding: Embedding, operator: Computation) -> int:
    """Issues of the instruction: the steps of the embedding's `nest`, which is not made for it."""
    sizes, _ = _widened(embedding, operator.extents)
    for digit in embedding.digits:
        sizes |= dict.fromkeys(digit.dims, 1) | {digit.dims[0]: digit.outer}
    return math.prod(sizes.values())


def _widened(
    embedding: Embedding, extents: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Extents after the skews have widened their partners, and the partners' offsets."""
    sizes, shift = dict(extents), {}
    for digit in embedding.digits:
        if digit.partner is not None:
            reach = digit.coefficient * (digit.lanes - 1)
            sizes[digit.partner] += abs(reach)
            # A skew that moves upwards starts that much lower, so that each lane passes 0, too.
            shift[digit.partner] = min(0, -reach)
    return sizes, shift


def _lane_strides(embedding: Embedding) -> dict[tuple[str, Digit], int]:
    """How far apart the lanes of each digit are on its axis: the product of the faster digits."""
    strides: dict[tuple[str, Digit], int] = {}
    width: dict[str, int] = {}
    # The last digit of an axis is the fastest, so its lanes are neighbours.
    for digit in reversed(embedding.digits):
        for axis in digit.axes:
            strides[axis, digit] = width.get(axis, 1)
            width[axis] = strides[axis, digit] * digit.lanes
    return strides


def _unflatten(dims: tuple[str, ...], sizes: Mapping[str, int], value: Affine) -> dict[str, Row]:
    """The dimensions of a subject from its flat value.

    The first has no modulus, so that values past the end fall outside its extent.
    """
    if len(dims) == 1:
        return {dims[0]: Row(value)}
    rows, inner = {}, 1
    for name in reversed(dims):
        modulus = 0 if name == dims[0] else sizes[name]
        rows[name] = Row(Affine(()), ((1, Quasi(value, inner, modulus)),))
        inner *= sizes[name]
    return rows
