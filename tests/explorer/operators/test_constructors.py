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
from explorer.operators import resolve
from explorer.operators.axes import Subpixel
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


def scatter(data: Array, weight: Array, axes: list[Subpixel]) -> Array:
    """Transposed convolution of (n, c, …) with (k, c, …): every input element adds a whole kernel.

    The axes give nothing but their arguments.
    """
    full = [(a.size - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 for a in axes]
    grown = [size + a.output_padding for size, a in zip(full, axes, strict=True)]
    out = np.zeros((len(data), len(weight), *grown), np.int64)
    for place in product(*(range(a.size) for a in axes)):
        window = tuple(
            slice(i * a.stride, i * a.stride + (a.kernel - 1) * a.dilation + 1, a.dilation)
            for i, a in zip(place, axes, strict=True)
        )
        out[spatially(window)] += np.einsum("nc,kc...->nk...", data[spatially(place)], weight)
    crop = tuple(slice(a.pad[0], size - a.pad[1]) for size, a in zip(grown, axes, strict=True))
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


def split_phases(weight: Array, axes: list[Subpixel]) -> Array:
    """A kernel (k, c, …) in the form that a transposed convolution takes."""
    for place, axis in enumerate(axes, start=2):
        spread = np.zeros((*weight.shape[:place], axis.rows, *weight.shape[place + 1 :]), int)
        apart = 1 if axis.stride == 1 else axis.dilation
        spread[(slice(None),) * place + (slice(None, None, apart),)] = weight
        weight = spread
    shape = list(weight.shape[:2])
    padding = [(0, 0), (0, 0)]
    for axis in axes:
        ((_, rows),) = axis.taps.items()
        padding.append((axis.lead, rows * axis.stride - axis.rows - axis.lead))
        shape += [rows, axis.stride] if axis.stride > 1 else [rows]
    return np.pad(weight, padding).reshape(shape)


@pytest.mark.parametrize("rank", TRANSPOSED)
@given(data=st.data())
def test_transposed(rank: int, data: st.DataObject) -> None:
    """A transposed convolution of any group is what scattering every input element gives."""
    axes = []
    for axis in "hw"[-rank:]:
        size, kernel, stride, dilation = (data.draw(st.integers(1, n)) for n in (4, 4, 4, 3))
        extra = data.draw(st.integers(0, max(stride, dilation) - 1))
        most = (size - 1) * stride + (kernel - 1) * dilation + extra
        before = data.draw(st.integers(0, most))
        after = data.draw(st.integers(0, most - before))
        axes.append(Subpixel(axis, size, kernel, (before, after), stride, dilation, extra))
    n, g, c, k = (data.draw(st.integers(1, 2)) for _ in range(4))
    computation = TRANSPOSED[rank](
        n=n,
        c=g * c,
        k=g * k,
        groups=g,
        **{a.axis: a.size for a in axes},
        **{"rs"["hw".index(a.axis)]: a.kernel for a in axes},
        pad=tuple(number for a in axes for number in a.pad),
        stride=tuple(a.stride for a in axes),
        dilation=tuple(a.dilation for a in axes),
        output_padding=tuple(a.output_padding for a in axes),
    ).computation
    inputs = values(1, n, g, c, *(a.size for a in axes))
    weights = values(2, g, k, c, *(a.kernel for a in axes))
    split = np.stack([split_phases(weights[i], axes) for i in range(g)])
    expected = np.stack([scatter(inputs[:, i], weights[i], axes) for i in range(g)], axis=1)
    got = run(
        computation,
        inputs.reshape(computation.in0.shape),
        split.reshape(computation.in1.shape),
    )
    np.testing.assert_array_equal(got, expected.reshape(got.shape))


def test_transposed_multiplies_no_inserted_zeros() -> None:
    """With a kernel of whole strides, an output element costs the taps that can reach it."""
    operator = build.transposed2d(n=1, c=3, h=5, w=5, k=2, r=4, s=4, stride=2, pad=2)
    output = operator.computation.out
    assert output.shape == (1, 2, 8, 8)
    assert operator.computation.macs == output.size * 3 * 2 * 2


def test_transposed_computes_what_is_wanted() -> None:
    """Where the border is no whole stride, zeros lead the kernel if that drops outputs for free."""
    kept = build.transposed2d(
        n=1, c=4, h=4, w=4, k=4, r=3, s=3, stride=2, pad=1, output_padding=1
    ).computation
    assert kept.out.shape == (1, 4, 8, 8)
    assert kept.useful_macs == kept.macs
    dropped = build.transposed2d(n=1, c=4, h=4, w=4, k=4, r=4, s=4, stride=2, pad=1).computation
    assert dropped.out.shape == (1, 4, 8, 8)
    assert dropped.macs == 100 * 4 * 4 * 4
    assert dropped.useful_macs == 64 * 4 * 4 * 4


@given(operators())
def test_useful_work_is_counted_point_by_point(operator: Operator) -> None:
    """Useful multiply-accumulates are the points of the domain that write inside the output."""
    computation = operator.computation
    sizes = tuple(computation.extents.values())
    grid = dict(zip(computation.extents, np.indices(sizes), strict=True))
    inside = np.ones(sizes, np.bool_)
    for row, size in zip(computation.out.index, computation.out.shape, strict=True):
        value = row.at(grid, np.zeros(1, np.int64))
        inside &= (value >= 0) & (value < size)
    assert computation.useful_macs == inside.sum()


@pytest.mark.parametrize("rank", CONV)
@given(data=st.data())
def test_border_ends(rank: int, data: st.DataObject) -> None:
    """A border may differ at both ends; `same` has an output position for each stride."""
    spatial = data.draw(spatials(rank))
    same = data.draw(st.booleans())
    given_arguments, ends = arguments(spatial), []
    for size, kernel, pad, stride, dilation in spatial:
        reach = (kernel - 1) * dilation + 1
        border = max((-(-size // stride) - 1) * stride + reach - size, 0)
        more = data.draw(st.integers(0, 2))
        ends.append((border // 2, border - border // 2) if same else (pad, pad + more))
    given_arguments["pad"] = "same" if same else tuple(n for pair in ends for n in pair)
    computation = CONV[rank](n=1, c=2, k=2, **given_arguments).computation
    inputs, weights = values(1, *computation.in0.shape), values(2, *computation.in1.shape)
    padded = np.pad(inputs, [(0, 0), (0, 0), *ends])
    bare = [(p, k, 0, s, d) for p, (_, k, _, s, d) in zip(padded.shape[2:], spatial, strict=True)]
    expected = convolve(padded, weights, bare)
    np.testing.assert_array_equal(run(computation, inputs, weights), expected)
    if same:
        assert computation.out.shape[2:] == tuple(-(-size // s) for size, _, _, s, _ in spatial)


@pytest.mark.parametrize("multiplier", [2, 3])
def test_depth_multiplier(multiplier: int) -> None:
    """Kernel q of channel c gives output channel m*c + q, as frameworks have it."""
    operator = build.depthwise2d(n=2, c=3, h=5, w=4, r=3, s=2, multiplier=multiplier, bias=True)
    computation = operator.computation
    inputs, weights = values(1, *computation.in0.shape), values(2, *computation.in1.shape)
    axes: Spatial = [(5, 3, 0, 1, 1), (4, 2, 0, 1, 1)]
    channels = [
        convolve(inputs[:, [c]], weights[[c], [q]][:, None], axes)
        for c in range(3)
        for q in range(multiplier)
    ]
    expected = np.concatenate(channels, axis=1)
    np.testing.assert_array_equal(run(computation, inputs, weights), expected)
    assert operator.epilogue.bias
    assert operator.epilogue.bias.shape == (3 * multiplier,)


@pytest.mark.parametrize("lhs", ["mk", "km"])
@pytest.mark.parametrize("rhs", ["nk", "kn"])
def test_products_of_transposed_inputs(lhs: str, rhs: str) -> None:
    """Inputs in either order give the same product."""
    left, right = values(1, 2, 3, 5), values(2, 2, 4, 5)
    orders = {"lhs": lhs, "rhs": rhs}
    batched = build.batched_matmul(b=2, m=3, n=4, k=5, **orders)  # type: ignore[arg-type]
    single = build.gemm(m=3, n=4, k=5, **orders)  # type: ignore[arg-type]
    first = left if lhs == "mk" else left.transpose(0, 2, 1)
    second = right if rhs == "nk" else right.transpose(0, 2, 1)
    expected = left @ right.transpose(0, 2, 1)
    np.testing.assert_array_equal(run(batched.computation, first, second), expected)
    np.testing.assert_array_equal(run(single.computation, first[0], second[0]), expected[0])


def test_attention_with_joined_heads() -> None:
    """Scores and values are those of each head, on tensors that hold all heads side by side."""
    b, heads, m, n, d = 2, 3, 4, 5, 6
    query, key, value = values(1, b, m, heads * d), values(2, b, n, heads * d), values(3, b, n, 18)
    apart = [x.reshape(b, -1, heads, d).transpose(0, 2, 1, 3) for x in (query, key, value)]
    scores = build.attention_scores(b=b, heads=heads, m=m, n=n, d=d).computation
    found = run(scores, query.reshape(scores.in0.shape), key.reshape(scores.in1.shape))
    np.testing.assert_array_equal(found, apart[0] @ apart[1].transpose(0, 1, 3, 2))
    outputs = build.attention_values(b=b, heads=heads, m=m, n=n, d=d).computation
    joined = run(outputs, found, value.reshape(outputs.in1.shape)).reshape(b, m, heads * d)
    expected = (found @ apart[2]).transpose(0, 2, 1, 3).reshape(b, m, heads * d)
    np.testing.assert_array_equal(joined, expected)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, (-128, 127)),
        ({"clip": False}, None),
        ({"clip": (-5, 6)}, (-5, 6)),
        ({"relu6": 48}, (0, 48)),
    ],
)
def test_clip_bounds(given: dict[str, Any], kept: tuple[int, int] | None) -> None:
    """Values are clipped to int8, to what is given, or to ReLU6's range; the name says which."""
    operator = build.gemm(m=1, n=1, k=1, **given)
    assert operator.epilogue.clip == kept
    assert resolve(operator.name) == operator


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
DEPTHWISE2D = {"n": 1, "c": 4, "h": 8, "w": 8, "r": 3, "s": 3}
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
        (build.conv2d, {**CONV2D, "pad": (0, 1, 0, -1)}, "pad"),
        (build.conv2d, {**CONV2D, "pad": (0, 1, 0)}, "pad"),
        (build.conv2d, {**CONV2D, "clip": (5, 4)}, "clip"),
        (build.conv2d, {**CONV2D, "clip": (0, 128)}, "clip"),
        (build.conv2d, {**CONV2D, "relu6": 128}, "relu6"),
        (build.conv2d, {**CONV2D, "relu6": 5, "clip": False}, "clip"),
        (build.depthwise2d, {**DEPTHWISE2D, "multiplier": 0}, "multiplier"),
        (build.transposed2d, {**STRIDED, "groups": 3}, "groups"),
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
