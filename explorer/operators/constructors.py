"""Operators that have a name, as data: each function returns dimensions and access maps.

Nothing downstream knows these functions: what they return could as well be written as a document.

Conventions. Arguments are keywords, in elements: `n` batch, `c` input channels, `k` output
channels, `d`, `h`, `w` input extents and `t`, `r`, `s` the kernel's along them. `pad`, `stride` and
`dilation` are one number for all spatial axes or a tuple of one an axis; `pad` may also be ``same``
or two numbers an axis, its border at both ends. Every function also takes
the `EpilogueOptions`, names the operator by the text that gives it (``conv2d:n=1,c=3,…``), and
raises `InputError` that names the argument which is out of range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Unpack

from explorer.operators.assembly import EpilogueOptions, assembled, named, operand
from explorer.operators.axes import (
    Pads,
    PerAxis,
    Subpixel,
    Window,
    check_range,
    plain,
    subpixels_along,
    windows_along,
)
from explorer.operators.concatenation import concatenated, parts_of
from isa.computation import Affine, Operator
from isa.errors import InputError

Left = Literal["mk", "km"]
Right = Literal["nk", "kn"]
"""In which order the inputs of a product have their dimensions."""


@named
def conv1d(
    *,
    n: int,
    c: int,
    w: int,
    k: int,
    s: int,
    pad: Pads = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Convolution along one axis: data (n, c, w), weight (k, c, s), output (n, k, ow).

    With `groups`, data is (n, g, c/g, w), weight (g, k/g, c/g, s) and output (n, g, k/g, ow).
    """
    windows = windows_along("conv1d", {"w": (w, s)}, pad, stride, dilation)
    return _convolution("conv1d", n, c, k, groups, windows, epilogue)


@named
def conv2d(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    k: int,
    r: int,
    s: int,
    pad: Pads = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
    concat: str = "",
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Convolution along two axes: data (n, c, h, w), weight (k, c, r, s), output (n, k, oh, ow).

    With `groups`, data is (n, g, c/g, h, w), weight (g, k/g, c/g, r, s), and output alike. With
    `concat`, as in 64+32, data comes as tensors of so many channels, and weight alike: a term each.
    """
    windows = windows_along("conv2d", {"h": (h, r), "w": (w, s)}, pad, stride, dilation)
    whole = _convolution("conv2d", n, c, k, groups, windows, epilogue)
    if not concat:
        return whole
    parts = parts_of("conv2d", concat, c, groups)
    return concatenated(whole, [_convolution("conv2d", n, p, k, 1, windows, {}) for p in parts])


@named
def conv3d(
    *,
    n: int,
    c: int,
    d: int,
    h: int,
    w: int,
    k: int,
    t: int,
    r: int,
    s: int,
    pad: Pads = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Convolution along three axes: data (n, c, d, h, w), weight (k, c, t, r, s), output alike.

    With `groups`, data is (n, g, c/g, d, h, w), weight (g, k/g, c/g, t, r, s), and output alike.
    """
    windows = windows_along(
        "conv3d", {"d": (d, t), "h": (h, r), "w": (w, s)}, pad, stride, dilation
    )
    return _convolution("conv3d", n, c, k, groups, windows, epilogue)


@named
def depthwise1d(
    *,
    n: int,
    c: int,
    w: int,
    s: int,
    pad: Pads = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    multiplier: int = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """A kernel for each channel: data (n, c, w), weight (c, s), output (n, c, ow).

    With a `multiplier` of m there are m for each: weight (c, m, s), output (n, c*m, ow).
    """
    windows = windows_along("depthwise1d", {"w": (w, s)}, pad, stride, dilation)
    return _depthwise("depthwise1d", n, c, multiplier, windows, epilogue)


@named
def depthwise2d(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    r: int,
    s: int,
    pad: Pads = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    multiplier: int = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """A kernel for each channel: data (n, c, h, w), weight (c, r, s), output (n, c, oh, ow).

    With a `multiplier` of m there are m for each: weight (c, m, r, s), output (n, c*m, oh, ow).
    """
    windows = windows_along("depthwise2d", {"h": (h, r), "w": (w, s)}, pad, stride, dilation)
    return _depthwise("depthwise2d", n, c, multiplier, windows, epilogue)


@named
def transposed1d(
    *,
    n: int,
    c: int,
    w: int,
    k: int,
    s: int,
    pad: PerAxis = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    output_padding: PerAxis = 0,
    groups: int = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Transposed convolution along one axis; see `transposed2d`."""
    kind = "transposed1d"
    axes = subpixels_along(kind, {"w": (w, s)}, pad, stride, dilation, output_padding)
    return _transposed(kind, n, c, k, groups, axes, epilogue)


@named
def transposed2d(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    k: int,
    r: int,
    s: int,
    pad: PerAxis = 0,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    output_padding: PerAxis = 0,
    groups: int = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Transposed convolution along two axes, as the sub-pixel convolutions it consists of.

    Data is (n, c, h, w) and output (n, k, oh, ow), where
    ``oh = (h-1)*stride - 2*pad + (r-1)*dilation + 1 + output_padding``.

    An output row is one of `stride` phases, and each phase is a convolution of the data with every
    `stride`-th kernel row, so that no multiplication meets an inserted zero. The weight tensor has
    those rows apart: (k, c, r', stride, s', stride) is the kernel (k, c, r, s) with zeros around
    it, so that it has whole strides, reshaped; `axes.Subpixel` says how many stand before it. (Only
    so does a phase beyond the last lead outside a tensor, see `validate.check_bounded`.) An axis of
    stride 1 has no phases, neither as a dimension nor in the weight tensor. With `groups`, data is
    (n, g, c/g, h, w), weight (g, k/g, c/g, …), and output alike.
    """
    kind = "transposed2d"
    axes = subpixels_along(kind, {"h": (h, r), "w": (w, s)}, pad, stride, dilation, output_padding)
    return _transposed(kind, n, c, k, groups, axes, epilogue)


@named
def gemm(
    *,
    m: int,
    n: int,
    k: int,
    lhs: Left = "mk",
    rhs: Right = "nk",
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Matrix product, also a dense layer: data (m, k), weight (n, k), output (m, n).

    `lhs` and `rhs` are the orders in which the inputs have their dimensions.
    """
    check_range("gemm", 1, m=m, n=n, k=k)
    dims = {"m": m, "n": n, "k": k}
    data = operand("data", lhs.upper(), plain(dims, *lhs))
    weight = operand("weight", rhs.upper(), plain(dims, *rhs))
    output = operand("output", "MN", plain(dims, "m", "n"))
    bias = operand("bias", "N", plain(dims, "n"))
    return assembled("gemm", dims, data, weight, output, bias, epilogue)


@named
def batched_matmul(
    *,
    b: int,
    m: int,
    n: int,
    k: int,
    lhs: Left = "mk",
    rhs: Right = "nk",
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """A matrix product for each b: lhs (b, m, k), rhs (b, n, k), output (b, m, n).

    `lhs` and `rhs` are the orders in which the inputs have their dimensions after b. Neither input
    is constant.
    """
    kind = "batched_matmul"
    check_range(kind, 1, b=b, m=m, n=n, k=k)
    dims = {"b": b, "m": m, "n": n, "k": k}
    left = operand("lhs", f"B{lhs.upper()}", plain(dims, "b", *lhs))
    right = operand("rhs", f"B{rhs.upper()}", plain(dims, "b", *rhs))
    output = operand("output", "BMN", plain(dims, "b", "m", "n"))
    bias = operand("bias", "N", plain(dims, "n"))
    return assembled(kind, dims, left, right, output, bias, epilogue, constants=frozenset())


@named
def attention_scores(
    *, b: int, heads: int, m: int, n: int, d: int, **epilogue: Unpack[EpilogueOptions]
) -> Operator:
    """Queries times keys, heads joined: (b, m, heads*d) and (b, n, heads*d) to (b, heads, m, n).

    m queries look at n keys. The joined dimension is written as the two that it consists of, which
    is the same in memory: query (b, m, heads, d), key (b, n, heads, d). Neither input is constant.
    """
    kind = "attention_scores"
    check_range(kind, 1, b=b, heads=heads, m=m, n=n, d=d)
    dims = {"b": b, "h": heads, "m": m, "n": n, "d": d}
    query = operand("query", "BMHD", plain(dims, "b", "m", "h", "d"))
    key = operand("key", "BNHD", plain(dims, "b", "n", "h", "d"))
    output = operand("output", "BHMN", plain(dims, "b", "h", "m", "n"))
    bias = operand("bias", "N", plain(dims, "n"))
    return assembled(kind, dims, query, key, output, bias, epilogue, constants=frozenset())


@named
def attention_values(
    *, b: int, heads: int, m: int, n: int, d: int, **epilogue: Unpack[EpilogueOptions]
) -> Operator:
    """Weights times values, heads joined: (b, heads, m, n) and (b, n, heads*d) to (b, m, heads*d).

    The counterpart of `attention_scores`: value (b, n, heads, d), output (b, m, heads, d). Neither
    input is constant.
    """
    kind = "attention_values"
    check_range(kind, 1, b=b, heads=heads, m=m, n=n, d=d)
    dims = {"b": b, "h": heads, "m": m, "d": d, "n": n}
    weights = operand("weights", "BHMN", plain(dims, "b", "h", "m", "n"))
    value = operand("value", "BNHD", plain(dims, "b", "n", "h", "d"))
    output = operand("output", "BMHD", plain(dims, "b", "m", "h", "d"))
    bias = operand("bias", "HD", plain(dims, "h", "d"))
    return assembled(kind, dims, weights, value, output, bias, epilogue, constants=frozenset())


def _convolution(
    kind: str,
    n: int,
    c: int,
    k: int,
    groups: int,
    windows: list[Window],
    options: EpilogueOptions,
) -> Operator:
    """A convolution; with more than one group, every tensor has the group as a dimension."""
    check_range(kind, 1, n=n)
    group = _groups(kind, c, k, groups)
    positions, taps = _joined(w.positions for w in windows), _joined(w.taps for w in windows)
    dims = {"n": n, **group, "oc": k // groups, **positions, "ic": c // groups, **taps}
    g, spatial = "G" * len(group), "".join(w.axis.upper() for w in windows)
    rows = tuple(w.row for w in windows)
    data = operand("data", f"N{g}C{spatial}", plain(dims, "n", *group, "ic") + rows)
    weight = operand("weight", f"{g}OI{spatial}", plain(dims, *group, "oc", "ic", *taps))
    output = operand("output", f"N{g}C{spatial}", plain(dims, "n", *group, "oc", *positions))
    bias = operand("bias", f"{g}O", plain(dims, *group, "oc"))
    return assembled(kind, dims, data, weight, output, bias, options)


def _depthwise(
    kind: str, n: int, c: int, multiplier: int, windows: list[Window], options: EpilogueOptions
) -> Operator:
    """A convolution that mixes no channels: all three tensors share them."""
    check_range(kind, 1, n=n, c=c, multiplier=multiplier)
    positions, taps = _joined(w.positions for w in windows), _joined(w.taps for w in windows)
    each = {"q": multiplier} if multiplier > 1 else {}
    dims = {"n": n, "c": c, **each, **positions, **taps}
    spatial = "".join(w.axis.upper() for w in windows)
    rows = tuple(w.row for w in windows)
    # The channels of one kernel set follow each other, as frameworks have them.
    joined = ((Affine.of({"c": multiplier} | dict.fromkeys(each, 1)), c * multiplier),)
    data = operand("data", f"NC{spatial}", plain(dims, "n", "c") + rows)
    weight = operand("weight", f"C{'Q' * len(each)}{spatial}", plain(dims, "c", *each, *taps))
    outputs = plain(dims, "n") + joined + plain(dims, *positions)
    output = operand("output", f"NC{spatial}", outputs)
    bias = operand("bias", "C", joined)
    return assembled(kind, dims, data, weight, output, bias, options)


def _transposed(
    kind: str,
    n: int,
    c: int,
    k: int,
    groups: int,
    axes: list[Subpixel],
    options: EpilogueOptions,
) -> Operator:
    """A transposed convolution: one convolution of the data for each phase of the output."""
    group = _groups(kind, c, k, groups)
    positions = _joined(a.positions | a.phases for a in axes)
    taps = _joined(a.taps for a in axes)
    dims = {"n": n, **group, "oc": k // groups, **positions, "ic": c // groups, **taps}
    check_range(kind, 1, n=n)
    g, spatial = "G" * len(group), "".join(a.axis.upper() for a in axes)
    # H and W count the strides of a kernel axis; P and Q its phases.
    split = "".join(a.axis.upper() + ("P" if a.axis == "h" else "Q") * len(a.phases) for a in axes)
    weights = tuple(row for a in axes for row in a.weight_rows)
    data_rows, out_rows = tuple(a.data_row for a in axes), tuple(a.out_row for a in axes)
    data = operand("data", f"N{g}C{spatial}", plain(dims, "n", *group, "ic") + data_rows)
    weight = operand("weight", f"{g}OI{split}", plain(dims, *group, "oc", "ic") + weights)
    output = operand("output", f"N{g}C{spatial}", plain(dims, "n", *group, "oc") + out_rows)
    bias = operand("bias", f"{g}O", plain(dims, *group, "oc"))
    return assembled(kind, dims, data, weight, output, bias, options)


def _groups(kind: str, c: int, k: int, groups: int) -> dict[str, int]:
    """The dimension of groups, where there is more than one."""
    check_range(kind, 1, c=c, k=k, groups=groups)
    for field, channels in (("c", c), ("k", k)):
        if channels % groups:
            raise InputError(kind, "groups", groups, f"must divide {field}, {channels}")
    return {"g": groups} if groups > 1 else {}


def _joined(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {name: extent for part in parts for name, extent in part.items()}
