"""The checks on computations against brute force over all points."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from explorer.operators.validate import check_bounded, check_injective, check_size
from isa.computation import ROLES, Affine, Computation, Dimension, Tensor
from isa.errors import InputError

NAMES = "abc"


@st.composite
def affine(draw: st.DrawFn) -> Affine:
    """A small expression over the names."""
    return Affine.of({n: draw(st.integers(-3, 3)) for n in NAMES}, draw(st.integers(-2, 4)))


@st.composite
def computations(draw: st.DrawFn) -> Computation:
    """Any computation over three small dimensions, most of which cannot be embedded."""

    def tensor(name: str) -> Tensor:
        index = tuple(draw(st.lists(affine(), min_size=1, max_size=3)))
        shape = tuple(draw(st.integers(1, 8)) for _ in index)
        return Tensor(name, shape, index, "XYZ"[: len(index)])

    dims = tuple(Dimension(n, draw(st.integers(1, 3))) for n in NAMES)
    return Computation("random", dims, tensor("left"), tensor("right"), tensor("sums"))


@given(computations())
def test_injective(computation: Computation) -> None:
    """Accepted exactly if no output element is written twice but along reductions."""
    free = [n for n in computation.extents if n not in computation.reductions]
    points = list(product(*(range(computation.extents[n]) for n in free)))
    written = {
        tuple(row.at(dict(zip(free, point, strict=True)), 0) for row in computation.out.index)
        for point in points
    }
    try:
        check_injective(computation, "random")
    except InputError:
        assert len(written) < len(points)
    else:
        assert len(written) == len(points)


@st.composite
def triangular(draw: st.DrawFn) -> Computation:
    """A computation in which each dimension has a coordinate that uses only it and earlier ones."""
    dims = tuple(Dimension(n, draw(st.integers(1, 3))) for n in NAMES)
    extents = {d.name: d.extent for d in dims}
    tensors = []
    for position, name in enumerate(NAMES):
        others = {n: draw(st.sampled_from([0, 0, 0, 1, -1])) for n in NAMES[:position]}
        row = Affine.of({**others, name: draw(st.sampled_from([-2, -1, 1, 2]))})
        low, high = row.bounds(extents)
        rows = (Affine.of(dict(row.terms), -low), Affine.of(dict(row.terms), draw(affine()).const))
        shape = (max(1, high - low + draw(st.integers(-1, 1))), draw(st.integers(1, 8)))
        tensors.append(Tensor(name, shape, rows, "XY"))
    return Computation("triangular", dims, *draw(st.permutations(tensors)))


@given(triangular())
def test_bounded(computation: Computation) -> None:
    """Where accepted, every point outside the domain is outside a tensor."""
    try:
        check_bounded(computation, "random")
    except InputError:
        reject()
    extents = computation.extents
    for point in product(*(range(-3, e + 3) for e in extents.values())):
        if all(0 <= i < e for i, e in zip(point, extents.values(), strict=True)):
            continue
        at = dict(zip(extents, point, strict=True))
        tensors = [computation.tensor(role) for role in ROLES]
        assert any(
            not 0 <= row.at(at, 0) < size
            for tensor in tensors
            for row, size in zip(tensor.index, tensor.shape, strict=True)
        )


def vector(name: str, *rows: tuple[dict[str, int], int, int]) -> Tensor:
    """A tensor by the coefficients, constant and extent of each dimension."""
    index = tuple(Affine.of(coefficients, const) for coefficients, const, _ in rows)
    return Tensor(name, tuple(size for *_, size in rows), index, "XYZ"[: len(rows)])


def test_large_injective_map() -> None:
    """A map too large to enumerate is accepted by its digits, and refused when they overlap."""
    dims = (Dimension("a", 2**20), Dimension("b", 2**20))
    other = vector("other", ({"a": 1}, 0, 2**20))
    digits = vector("sums", ({"a": 2**20, "b": 1}, 0, 2**40))
    check_injective(Computation("digits", dims, other, other, digits), "test")
    overlap = vector("sums", ({"a": 2**20 - 1, "b": 1}, 0, 2**40))
    with pytest.raises(InputError, match="1048575"):
        check_injective(Computation("overlap", dims, other, other, overlap), "test")


def test_phase_is_not_bounded_by_a_shared_row() -> None:
    """A phase that only shares rows runs over into the next position: that is refused."""
    dims = (Dimension("q", 4), Dimension("p", 2), Dimension("t", 2))
    data = vector("data", ({"q": 1, "t": 1}, -1, 4))
    weight = vector("weight", ({"t": -2, "p": 1}, 2, 4))
    output = vector("output", ({"q": 2, "p": 1}, 0, 8))
    with pytest.raises(InputError, match=r"dimensions\.[pqt]: "):
        check_bounded(Computation("shared", dims, data, weight, output), "test")


def test_size() -> None:
    """Tensors are limited even where the domain is small."""
    dims = (Dimension("a", 1),)
    small, large = vector("small", ({"a": 1}, 0, 1)), vector("large", *[({"a": 1}, 0, 2**20)] * 4)
    with pytest.raises(InputError, match=r"large: .*2\*\*62"):
        check_size(Computation("wide", dims, large, small, small), "test")
