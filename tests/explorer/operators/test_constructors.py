"""Constructors against plain numpy formulations that know nothing of dimensions and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from explorer.operators import constructors as build
from explorer.operators.validate import check
from isa.computation import Computation, Operator, Tensor
from isa.errors import InputError
from tests.strategies import operators

Array = NDArray[Any]
Spatial = list[tuple[int, int, int, int, int]]
"""Of each axis: input extent, kernel, padding, stride, dilation."""


def values(seed: int, *shape: int) -> Array:
    """Small random integers."""
    return np.random.default_rng(seed).integers(-9, 10, shape)


def run(computation: Computation, in0: Array, in1: Array) -> Array:
    """What the maps say: reads outside are zero, writes outside are dropped."""
    grid = dict(
        zip(computation.extents, np.indices(tuple(computation.extents.values())), strict=True)
    )

    def place(tensor: Tensor) -> tuple[tuple[Array, ...], NDArray[np.bool_]]:
        index = [np.broadcast_to(r.at(grid, np.zeros(1, np.int64)), shape) for r in tensor.index]
        sizes = zip(index, tensor.shape, strict=True)
        inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in sizes])
        return tuple(np.where(inside, i, 0) for i in index), inside

    shape = tuple(computation.extents.values())
    (at0, ok0), (at1, ok1), (at, ok) = map(
        place, (computation.in0, computation.in1, computation.out)
    )
    out = np.zeros(computation.out.shape, np.int64)
    np.add.at(out, at, in0[at0] * in1[at1] * (ok0 & ok1 & ok))
    return out


def spatially(place: Iterable[int | slice]) -> Any:
    """An index that takes a place along the spatial axes, and everything along the first two."""
    return (slice(None), slice(None), *place)


def convolve(data: Array, weight: Array, spatial: Spatial) -> Array:
    """Convolution of (n, c, …) with (k, c, …), one kernel tap at a time on padded data."""
    padded = np.pad(data, [(0, 0), (0, 0), *((p, p) for _, _, p, _, _ in spatial)])
    outs = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, p, s, d in spatial]
    out = np.zeros((len(data), len(weight), *outs), np.int64)
    for taps in product(*(range(k) for _, k, _, _, _ in spatial)):
        window = tuple(
            slice(tap * d, tap * d + (o - 1) * s + 1, s)
            for tap, o, (_, _, _, s, d) in zip(taps, outs, spatial, strict=True)
        )
        read, tap = padded[spatially(window)], weight[spatially(taps)]
        out += np.einsum("nc...,kc->nk...", read, tap)
    return out


def scatter(data: Array, weight: Array, spatial: list[tuple[int, int, int, int, int]]) -> Array:
    """Transposed convolution of (n, c, …) with (k, c, …): every input element adds a whole kernel.

    Each axis is input extent, kernel, padding, stride, output padding.
    """
    full = [(n - 1) * s + k + extra for n, k, _, s, extra in spatial]
    out = np.zeros((len(data), len(weight), *full), np.int64)
    for place in product(*(range(n) for n, *_ in spatial)):
        window = tuple(
            slice(i * s, i * s + k) for i, (_, k, _, s, _) in zip(place, spatial, strict=True)
        )
        read = data[spatially(place)]
        out[spatially(window)] += np.einsum("nc,kc...->nk...", read, weight)
    crop = tuple(slice(p, size - p) for size, (_, _, p, _, _) in zip(full, spatial, strict=True))
    cropped: Array = out[spatially(crop)]
    return cropped


@st.composite
def spatials(draw: st.DrawFn, rank: int) -> Spatial:
    """Axes of a convolution that fit together."""
    axes = []
    for _ in range(rank):
        kernel, dilation, pad = (
            draw(st.integers(1, 3)),
            draw(st.integers(1, 2)),
            draw(st.integers(0, 2)),
        )
        least = max(1, (kernel - 1) * dilation + 1 - 2 * pad)
        size = draw(st.integers(least, least + 3))
        axes.append((size, kernel, pad, draw(st.integers(1, 3)), dilation))
    return axes


def arguments(spatial: Spatial) -> dict[str, Any]:
    """The same axes as a constructor's arguments."""
    sizes, kernels, pads, strides, dilations = zip(*spatial, strict=True)
    rank = len(spatial)
    return {
        **dict(zip("dhw"[-rank:], sizes, strict=True)),
        **dict(zip("trs"[-rank:], kernels, strict=True)),
        "pad": pads,
        "stride": strides,
        "dilation": dilations,
    }


Constructors = dict[int, Callable[..., Operator]]

CONV: Constructors = {1: build.conv1d, 2: build.conv2d, 3: build.conv3d}
DEPTHWISE: Constructors = {1: build.depthwise1d, 2: build.depthwise2d}
TRANSPOSED: Constructors = {1: build.transposed1d, 2: build.transposed2d}


@pytest.mark.parametrize("rank", CONV)
@given(data=st.data())
def test_convolution(rank: int, data: st.DataObject) -> None:
    """A convolution of any rank, grouped or not, is what numpy computes group by group."""
    spatial = data.draw(spatials(rank))
    n, g, c, k = (data.draw(st.integers(1, 2)) for _ in range(4))
    operator = CONV[rank](n=n, c=g * c, k=g * k, groups=g, **arguments(spatial))
    inputs = values(1, n, g, c, *(axis[0] for axis in spatial))
    weights = values(2, g, k, c, *(axis[1] for axis in spatial))
    expected = np.stack([convolve(inputs[:, i], weights[i], spatial) for i in range(g)], axis=1)
    got = run(
        operator.computation,
        inputs.reshape(operator.computation.in0.shape),
        weights.reshape(operator.computation.in1.shape),
    )
    np.testing.assert_array_equal(got, expected.reshape(got.shape))


@pytest.mark.parametrize("rank", DEPTHWISE)
@given(data=st.data())
def test_depthwise(rank: int, data: st.DataObject) -> None:
    """A depthwise convolution is one convolution a channel."""
    spatial = data.draw(spatials(rank))
    n, c = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    computation = DEPTHWISE[rank](n=n, c=c, **arguments(spatial)).computation
    inputs, weights = values(1, *computation.in0.shape), values(2, *computation.in1.shape)
    channels = [convolve(inputs[:, [i]], weights[[i], None], spatial) for i in range(c)]
    np.testing.assert_array_equal(
        run(computation, inputs, weights), np.concatenate(channels, axis=1)
    )


def split_phases(weight: Array, strides: list[int]) -> Array:
    """A kernel (k, c, …) in the form that a transposed convolution takes."""
    shape = list(weight.shape[:2])
    padding = [(0, 0), (0, 0)]
    for kernel, stride in zip(weight.shape[2:], strides, strict=True):
        rows = -(-kernel // stride)
        padding.append((0, rows * stride - kernel))
        shape += [rows, stride] if stride > 1 else [rows]
    return np.pad(weight, padding).reshape(shape)


@pytest.mark.parametrize("rank", TRANSPOSED)
@given(data=st.data())
def test_transposed(rank: int, data: st.DataObject) -> None:
    """A transposed convolution is what scattering every input element gives."""
    spatial = []
    for _ in range(rank):
        size, kernel, stride = (data.draw(st.integers(1, 4)) for _ in range(3))
        extra = data.draw(st.integers(0, stride - 1))
        pad = data.draw(st.integers(0, ((size - 1) * stride + kernel + extra - 1) // 2))
        spatial.append((size, kernel, pad, stride, extra))
    given_arguments = arguments(spatial)
    given_arguments["output_padding"] = given_arguments.pop("dilation")
    n, c, k = (data.draw(st.integers(1, 2)) for _ in range(3))
    computation = TRANSPOSED[rank](n=n, c=c, k=k, **given_arguments).computation
    inputs = values(1, *computation.in0.shape)
    weights = values(2, k, c, *(axis[1] for axis in spatial))
    split = split_phases(weights, [axis[3] for axis in spatial])
    expected = scatter(inputs, weights, spatial)
    np.testing.assert_array_equal(run(computation, inputs, split), expected)


def test_transposed_multiplies_no_inserted_zeros() -> None:
    """With a kernel of whole strides, an output element costs the taps that can reach it."""
    operator = build.transposed2d(n=1, c=3, h=5, w=5, k=2, r=4, s=4, stride=2, pad=2)
    output = operator.computation.out
    assert output.shape == (1, 2, 8, 8)
    assert operator.computation.macs == output.size * 3 * 2 * 2


def test_products() -> None:
    """Matrix products are numpy's, with the second input's rows as output columns."""
    left, right = values(1, 2, 3, 5), values(2, 2, 4, 5)
    batched = build.batched_matmul(b=2, m=3, n=4, k=5)
    np.testing.assert_array_equal(
        run(batched.computation, left, right), left @ right.transpose(0, 2, 1)
    )
    single = build.gemm(m=3, n=4, k=5)
    np.testing.assert_array_equal(run(single.computation, left[0], right[0]), left[0] @ right[0].T)
    assert single.constants == {"in1"}
    assert batched.constants == frozenset()


@pytest.mark.parametrize(
    ("operator", "dims", "letters"),
    [
        (build.conv1d(n=1, c=2, w=5, k=3, s=3), "n oc ow ic kw", "NCW OIW NCW"),
        (
            build.conv2d(n=1, c=2, h=5, w=5, k=3, r=3, s=3),
            "n oc oh ow ic kh kw",
            "NCHW OIHW NCHW",
        ),
        (
            build.conv2d(n=1, c=4, h=5, w=5, k=4, r=3, s=3, groups=2),
            "n g oc oh ow ic kh kw",
            "NGCHW GOIHW NGCHW",
        ),
        (
            build.conv3d(n=1, c=2, d=5, h=5, w=5, k=3, t=3, r=3, s=3),
            "n oc od oh ow ic kd kh kw",
            "NCDHW OIDHW NCDHW",
        ),
        (
            build.depthwise2d(n=1, c=2, h=5, w=5, r=3, s=3),
            "n c oh ow kh kw",
            "NCHW CHW NCHW",
        ),
        (
            build.transposed2d(n=1, c=2, h=5, w=5, k=3, r=4, s=4, stride=2),
            "n oc qh ph qw pw ic th tw",
            "NCHW OIHPWQ NCHW",
        ),
        (
            build.transposed2d(n=1, c=2, h=5, w=5, k=3, r=3, s=3),
            "n oc qh qw ic th tw",
            "NCHW OIHW NCHW",
        ),
        (build.gemm(m=2, n=3, k=4), "m n k", "MK NK MN"),
        (build.batched_matmul(b=2, m=2, n=3, k=4), "b m n k", "BMK BNK BMN"),
    ],
)
def test_names_and_order(operator: Operator, dims: str, letters: str) -> None:
    """Dimensions have the documented names and order, tensors the documented letters."""
    computation = operator.computation
    assert " ".join(computation.extents) == dims
    tensors = (computation.in0, computation.in1, computation.out)
    assert " ".join(t.letters for t in tensors) == letters


@given(operators())
def test_every_constructor_can_be_embedded(operator: Operator) -> None:
    """What constructors build fulfils what documents are checked for."""
    check(operator.computation, "constructor")


def test_epilogue() -> None:
    """The epilogue has a bias along the output channels, and what was asked for."""
    plain = build.conv2d(n=1, c=4, h=4, w=4, k=6, r=1, s=1).epilogue
    assert (plain.shift, plain.bias, plain.relu, plain.clip) == (8, None, False, (-128, 127))
    full = build.conv2d(
        n=1, c=4, h=4, w=4, k=6, r=1, s=1, groups=2, shift=3, bias=True, relu=True, clip=False
    ).epilogue
    assert (full.shift, full.relu, full.clip) == (3, True, None)
    assert full.bias is not None
    assert full.bias.shape == (2, 3)
    assert [str(row) for row in full.bias.index] == ["g", "oc"]


CONV2D = {"n": 1, "c": 4, "h": 8, "w": 8, "k": 4, "r": 3, "s": 3}
STRIDED = {**CONV2D, "stride": 2}


@pytest.mark.parametrize(
    ("make", "given", "field"),
    [
        (build.conv2d, {**CONV2D, "n": 0}, "n"),
        (build.conv2d, {**CONV2D, "h": -3}, "h"),
        (build.conv2d, {**CONV2D, "c": 2**20 + 1}, "c"),
        (build.conv2d, {**CONV2D, "pad": -1}, "pad"),
        (build.conv2d, {**CONV2D, "stride": (1, 0)}, "stride"),
        (build.conv2d, {**CONV2D, "stride": (1, 1, 1)}, "stride"),
        (build.conv2d, {**CONV2D, "dilation": 4}, "r"),
        (build.conv2d, {**CONV2D, "s": 9}, "s"),
        (build.conv2d, {**CONV2D, "groups": 3}, "groups"),
        (build.conv2d, {**CONV2D, "k": 6, "groups": 4}, "groups"),
        (build.conv2d, {**CONV2D, "shift": 32}, "shift"),
        (build.conv2d, {**CONV2D, "pad": 2**20}, "oh"),
        (build.transposed2d, {**STRIDED, "pad": 9}, "pad"),
        (build.transposed2d, {**STRIDED, "output_padding": 2}, "output_padding"),
        (build.gemm, {"m": 2**20, "n": 2**20, "k": 2**20 + 1}, "k"),
        (build.batched_matmul, {"b": 2**20, "m": 2**20, "n": 2**20, "k": 4}, "dimensions"),
    ],
)
def test_arguments_out_of_range(
    make: Callable[..., Operator], given: dict[str, Any], field: str
) -> None:
    """An argument out of its range is an error that names it."""
    with pytest.raises(InputError) as error:
        make(**given)
    assert error.value.field == field
