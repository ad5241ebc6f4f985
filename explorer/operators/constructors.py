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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from inspect import signature
from typing import Literal, ParamSpec, Unpack

from explorer.operators.axes import (
    Pads,
    PerAxis,
    Rows,
    Subpixel,
    Window,
    check_range,
    plain,
    subpixels_along,
    windows_along,
)
from explorer.operators.epilogue_steps import StepOptions, changed
from explorer.operators.stages import check_stages
from explorer.operators.validate import check_size
from isa.computation import Affine, Computation, Dimension, Epilogue, Operator, Role, Tensor, Term
from isa.errors import InputError

_Parameters = ParamSpec("_Parameters")
Clip = bool | tuple[int, int]
"""Whether values are clipped to int8, or to which ones."""
Left = Literal["mk", "km"]
Right = Literal["nk", "kn"]
"""In which order the inputs of a product have their dimensions."""
_WEIGHTS: frozenset[Role] = frozenset({"in1"})


class EpilogueOptions(StepOptions, total=False):
    """How the int32 accumulators become int8; see `StepOptions` too.

    Attributes:
        shift: arithmetic right shift, 0 to 31; 8 when not given.
        bias: whether an int32 bias is added, one for each output channel; False when not given.
        residual: whether an int8 tensor of the output's shape is added after the shift; False when
            not given.
        relu: whether negative values become zero; False when not given.
        clip: whether values are clipped to int8 (else truncated), or the least and greatest value
            that is kept; True when not given.
        relu6: the int8 value that stands for 6: values are clipped to 0 and it.
    """

    shift: int
    bias: bool
    residual: bool
    relu: bool
    clip: Clip
    relu6: int


def _named(build: Callable[_Parameters, Operator]) -> Callable[_Parameters, Operator]:
    """Name what a constructor builds by the text that gives it, defaults left out."""
    defaults = {name: p.default for name, p in signature(build).parameters.items()}

    @wraps(build)
    def named(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> Operator:
        operator = build(*args, **kwargs)
        given = {k: v for k, v in kwargs.items() if k not in defaults or v != defaults[k]}
        order = [name for name in defaults if name in given] + sorted(given.keys() - defaults)
        arguments = ",".join(f"{name}={_text(given[name])}" for name in order)
        return replace(operator, name=f"{operator.kind}:{arguments}")

    return named


def _text(value: object) -> str:
    """An argument as the inline form writes it: `3`, `3x3`, and `1` for True."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


@_named
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


@_named
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
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Convolution along two axes: data (n, c, h, w), weight (k, c, r, s), output (n, k, oh, ow).

    With `groups`, data is (n, g, c/g, h, w), weight (g, k/g, c/g, r, s), and output alike.
    """
    windows = windows_along("conv2d", {"h": (h, r), "w": (w, s)}, pad, stride, dilation)
    return _convolution("conv2d", n, c, k, groups, windows, epilogue)


@_named
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


@_named
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


@_named
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


@_named
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


@_named
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


@_named
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
    data = _tensor("data", lhs.upper(), plain(dims, *lhs))
    weight = _tensor("weight", rhs.upper(), plain(dims, *rhs))
    output = _tensor("output", "MN", plain(dims, "m", "n"))
    bias = _tensor("bias", "N", plain(dims, "n"))
    return _operator("gemm", dims, data, weight, output, bias, epilogue)


@_named
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
    left = _tensor("lhs", f"B{lhs.upper()}", plain(dims, "b", *lhs))
    right = _tensor("rhs", f"B{rhs.upper()}", plain(dims, "b", *rhs))
    output = _tensor("output", "BMN", plain(dims, "b", "m", "n"))
    bias = _tensor("bias", "N", plain(dims, "n"))
    return _operator(kind, dims, left, right, output, bias, epilogue, constants=frozenset())


@_named
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
    query = _tensor("query", "BMHD", plain(dims, "b", "m", "h", "d"))
    key = _tensor("key", "BNHD", plain(dims, "b", "n", "h", "d"))
    output = _tensor("output", "BHMN", plain(dims, "b", "h", "m", "n"))
    bias = _tensor("bias", "N", plain(dims, "n"))
    return _operator(kind, dims, query, key, output, bias, epilogue, constants=frozenset())


@_named
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
    weights = _tensor("weights", "BHMN", plain(dims, "b", "h", "m", "n"))
    value = _tensor("value", "BNHD", plain(dims, "b", "n", "h", "d"))
    output = _tensor("output", "BMHD", plain(dims, "b", "m", "h", "d"))
    bias = _tensor("bias", "HD", plain(dims, "h", "d"))
    return _operator(kind, dims, weights, value, output, bias, epilogue, constants=frozenset())


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
    data = _tensor("data", f"N{g}C{spatial}", plain(dims, "n", *group, "ic") + rows)
    weight = _tensor("weight", f"{g}OI{spatial}", plain(dims, *group, "oc", "ic", *taps))
    output = _tensor("output", f"N{g}C{spatial}", plain(dims, "n", *group, "oc", *positions))
    bias = _tensor("bias", f"{g}O", plain(dims, *group, "oc"))
    return _operator(kind, dims, data, weight, output, bias, options)


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
    data = _tensor("data", f"NC{spatial}", plain(dims, "n", "c") + rows)
    weight = _tensor("weight", f"C{'Q' * len(each)}{spatial}", plain(dims, "c", *each, *taps))
    outputs = plain(dims, "n") + joined + plain(dims, *positions)
    output = _tensor("output", f"NC{spatial}", outputs)
    bias = _tensor("bias", "C", joined)
    return _operator(kind, dims, data, weight, output, bias, options)


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
    data = _tensor("data", f"N{g}C{spatial}", plain(dims, "n", *group, "ic") + data_rows)
    weight = _tensor("weight", f"{g}OI{split}", plain(dims, *group, "oc", "ic") + weights)
    output = _tensor("output", f"N{g}C{spatial}", plain(dims, "n", *group, "oc") + out_rows)
    bias = _tensor("bias", f"{g}O", plain(dims, *group, "oc"))
    return _operator(kind, dims, data, weight, output, bias, options)


def _groups(kind: str, c: int, k: int, groups: int) -> dict[str, int]:
    """The dimension of groups, where there is more than one."""
    check_range(kind, 1, c=c, k=k, groups=groups)
    for field, channels in (("c", c), ("k", k)):
        if channels % groups:
            raise InputError(kind, "groups", groups, f"must divide {field}, {channels}")
    return {"g": groups} if groups > 1 else {}


def _operator(
    kind: str,
    dims: Mapping[str, int],
    in0: Tensor,
    in1: Tensor,
    out: Tensor,
    bias: Tensor,
    options: EpilogueOptions,
    constants: frozenset[Role] = _WEIGHTS,
) -> Operator:
    """Everything put together; `bias` is the tensor that the epilogue adds if it is asked to."""
    loops = tuple(Dimension(name, extent) for name, extent in dims.items())
    computation = Computation(kind, loops, in0, in1, out)
    check_size(computation, kind)
    shift = options.get("shift", 8)
    check_range(kind, 0, 31, shift=shift)
    epilogue = Epilogue(
        shift=shift,
        bias=bias if options.get("bias", False) else None,
        residual=options.get("residual", False),
        relu=options.get("relu", False),
        clip=_clip(kind, options),
    )
    if not options.keys() & StepOptions.__annotations__.keys():
        return Operator.of(kind, kind, computation, epilogue, constants)
    steps = changed(epilogue.steps(out), options)
    operator = Operator(kind, kind, (Term(computation, constants), *steps))
    check_stages(operator, kind)
    return operator


def _clip(kind: str, options: EpilogueOptions) -> tuple[int, int] | None:
    """The values that the epilogue keeps."""
    clip, six = options.get("clip", True), options.get("relu6")
    if six is not None:
        check_range(kind, 0, 127, relu6=six)
        if clip is not True:
            raise InputError(kind, "clip", _text(clip), "relu6 says already what is kept")
        return 0, six
    if not isinstance(clip, tuple):
        return (-128, 127) if clip else None
    low, high = clip
    if not -128 <= low <= high <= 127:
        raise InputError(kind, "clip", _text(clip), "LEASTxGREATEST, both from -128 to 127")
    return clip


def _tensor(name: str, letters: str, rows: Rows) -> Tensor:
    return Tensor(name, tuple(size for _, size in rows), tuple(row for row, _ in rows), letters)


def _joined(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {name: extent for part in parts for name, extent in part.items()}
