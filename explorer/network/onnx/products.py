"""Operations of ONNX as products: their kinds, and constants as those have them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from explorer.network.onnx.file import Array, Op
from explorer.network.terms import scaled
from explorer.operators.axes import Subpixel, subpixels_along
from explorer.operators.kinds import construct
from isa.computation import Add, Computation, Tensor
from isa.errors import InputError

Shape = tuple[int, ...]


class Unfit(Exception):  # noqa: N818 - no error: the host runs the node
    """Why a node is not accelerated, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """An operation as a product of an operator.

    Attributes:
        computation: the product.
        channel: a tensor with one element an output channel, as a bias has it.
        axis: the axis of the operation's output that tells its channels apart.
        shape: of the operation's output, which has the operator's elements in their order.
        subpixels: the axes of a transposed convolution.
    """

    computation: Computation
    channel: Tensor
    axis: int
    shape: Shape
    subpixels: tuple[Subpixel, ...] = ()


def _kind(name: str, **arguments: object) -> tuple[Computation, Tensor]:
    """The product of a kind, and its tensor of one element an output channel."""
    try:
        operator = construct(name, name, {**arguments, "bias": True, "shift": 0, "clip": False})
    except InputError as error:
        raise Unfit(f"{error.field} {error.value}: {error.allowed}") from None
    add = operator.stages[1]
    assert isinstance(add, Add)
    assert isinstance(add.value, Tensor)
    return operator.computation, add.value


_AXES = {1: "w", 2: "hw", 3: "dhw"}
_TAPS = {"d": "t", "h": "r", "w": "s"}


@dataclass(frozen=True, slots=True)
class Spatial:
    """The attributes that convolutions share, one value an axis, defaults filled in."""

    kernel: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    after: Shape
    groups: int

    @property
    def pad(self) -> Shape:
        """The border's two ends along each axis, as kinds take it."""
        return tuple(n for ends in zip(self.before, self.after, strict=True) for n in ends)


def spatial(op: Op, image: Shape, kernel: Shape) -> Spatial:
    """The attributes of a convolution or pool.

    Raises:
        Unfit: the border is negative.
    """
    given, rank = op.attributes, len(kernel)
    stride = tuple(given.get("strides") or (1,) * rank)
    dilation = tuple(given.get("dilations") or (1,) * rank)
    pads = tuple(given.get("pads") or (0,) * (2 * rank))
    automatic = given.get("auto_pad", "NOTSET")
    if automatic == "VALID":
        pads = (0,) * (2 * rank)
    elif automatic != "NOTSET":
        totals = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, k, s, d in zip(image, kernel, stride, dilation, strict=True)
        ]
        less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = (*less, *more) if automatic == "SAME_UPPER" else (*more, *less)
    if min(pads, default=0) < 0:
        raise Unfit("its border is negative")
    return Spatial(kernel, stride, dilation, pads[:rank], pads[rank:], int(given.get("group", 1)))


def convolution(op: Op, data: Shape, weight: Shape) -> Product:
    """A Conv: plain, grouped, or of single channels.

    Raises:
        Unfit: no kind is that.
    """
    rank = len(data) - 2
    if rank not in _AXES or len(weight) != len(data):
        raise Unfit(f"no kind has {rank} spatial axes")
    at = spatial(op, data[2:], weight[2:])
    channels, k = data[1], weight[0]
    names = _AXES[rank]
    sizes = dict(zip(names, data[2:], strict=True))
    taps = {_TAPS[axis]: size for axis, size in zip(names, at.kernel, strict=True)}
    arguments: dict[str, object] = {
        "n": data[0], "c": channels, **sizes, **taps, "pad": at.pad, "stride": at.stride,
        "dilation": at.dilation,
    }  # fmt: skip
    single = at.groups == channels > 1 and k % channels == 0
    if single and rank < 3:
        found = _kind(f"depthwise{rank}d", **arguments, multiplier=k // channels)
    else:
        found = _kind(f"conv{rank}d", **arguments, k=k, groups=at.groups)
    size = [
        (n + b + a - (t - 1) * d - 1) // s + 1
        for n, b, a, t, d, s in zip(
            data[2:], at.before, at.after, at.kernel, at.dilation, at.stride, strict=True
        )
    ]
    return Product(*found, 1, (data[0], k, *size))


def mean(op: Op, data: Shape) -> tuple[Product, int]:
    """An average pool as a product with ones, and by how much its sums are shifted.

    Raises:
        Unfit: it divides by no power of two, or not everywhere by the same number.
    """
    rank = len(data) - 2
    if rank not in (1, 2):
        raise Unfit(f"no kind has {rank} spatial axes")
    whole = op.kind.startswith("Global")
    kernel = data[2:] if whole else tuple(op.attributes["kernel_shape"])
    count = prod(kernel)
    if count & (count - 1):
        raise Unfit(f"a mean of {count} values is no shift")
    at = spatial(op, data[2:], kernel)
    if op.attributes.get("ceil_mode") or (
        any((*at.before, *at.after)) and not op.attributes.get("count_include_pad")
    ):
        raise Unfit("means at the border are of fewer values")
    if rank == 2 and set(at.dilation) == {1}:
        (h, w), (r, s) = data[2:], kernel
        pooled = _kind(
            "average_pool", n=data[0], c=data[1], h=h, w=w, r=r, s=s, pad=at.pad, stride=at.stride
        )
        return Product(*pooled, 1, pooled[0].out.shape), count.bit_length() - 1
    weight = (data[1], 1, *kernel)
    attributes = {**op.attributes, "group": data[1], "pads": (*at.before, *at.after),
                  "auto_pad": "NOTSET"}  # fmt: skip
    found = convolution(Op("Conv", (), (), attributes, op.origin), data, weight)
    return found, count.bit_length() - 1


def transposed(op: Op, data: Shape, weight: Shape, output: Shape | None) -> Product:
    """A ConvTranspose.

    Raises:
        Unfit: no kind is that, or its border would have an odd element that nothing places.
    """
    rank = len(data) - 2
    if rank not in (1, 2) or len(weight) != len(data):
        raise Unfit(f"no kind has {rank} spatial axes")
    given = op.attributes
    plain = {name: value for name, value in given.items() if name != "auto_pad"}
    at = spatial(Op(op.kind, (), (), plain, op.origin), data[2:], weight[2:])
    extra = tuple(given.get("output_padding") or (0,) * rank)
    before, after = at.before, at.after
    if given.get("output_shape") or given.get("auto_pad", "NOTSET").startswith("SAME"):
        wanted = tuple(given.get("output_shape") or ())[-rank:] or tuple(
            n * s for n, s in zip(data[2:], at.stride, strict=True)
        )
        total = [
            s * (n - 1) + p + (k - 1) * d + 1 - w
            for n, s, p, k, d, w in zip(
                data[2:], at.stride, extra, at.kernel, at.dilation, wanted, strict=True
            )
        ]
        if any(t < 0 or t % 2 for t in total):
            raise Unfit("its border is odd or negative")
        before = after = tuple(t // 2 for t in total)
    names, k = _AXES[rank], weight[1] * at.groups
    sizes = dict(zip(names, data[2:], strict=True))
    taps = {_TAPS[axis]: size for axis, size in zip(names, at.kernel, strict=True)}
    pad = tuple(n for ends in zip(before, after, strict=True) for n in ends)
    found = _kind(
        f"transposed{rank}d", n=data[0], c=data[1], k=k, **sizes, **taps, pad=pad,
        stride=at.stride, dilation=at.dilation, output_padding=extra, groups=at.groups,
    )  # fmt: skip
    image = [
        s * (n - 1) + p + (t - 1) * d + 1 - b - a
        for n, s, p, t, d, b, a in zip(
            data[2:], at.stride, extra, at.kernel, at.dilation, before, after, strict=True
        )
    ]
    shape = (data[0], k, *image)
    if output is not None and output != shape:
        raise Unfit(f"its output is said to be {'x'.join(map(str, output))}")
    axes = {axis: (size, t) for axis, size, t in zip(names, data[2:], at.kernel, strict=True)}
    subpixels = subpixels_along("transposed", axes, pad, at.stride, at.dilation, extra)
    return Product(*found, 1, shape, tuple(subpixels))


def phases(product: Product, weight: Array, groups: int) -> Array:
    """The kernel of a ConvTranspose (c, k/g, …) as its kind has it: taps and phases apart."""
    c, k, *kernel = weight.shape
    # (g, c/g, k/g, …) to (g, k/g, c/g, …)
    moved = weight.reshape(groups, c // groups, k, *kernel).swapaxes(1, 2)
    # The last axis first, so that those before it stay where they are.
    for number, axis in reversed([*enumerate(product.subpixels, 3)]):
        if axis.stride == 1:
            continue
        (taps,) = axis.taps.values()
        head, tail = moved.shape[:number], moved.shape[number + 1 :]
        spread = np.zeros((*head, taps * axis.stride, *tail), weight.dtype)
        rows = slice(axis.lead, axis.lead + axis.rows, axis.dilation)
        spread[(slice(None),) * number + (rows,)] = moved
        moved = spread.reshape(*head, taps, axis.stride, *tail)
    return moved.reshape(product.computation.in1.shape)


def matrix(op: Op, data: Shape, weight: Shape, right: str) -> Product:
    """A Gemm: (m, k) times (k, n), each as it is or transposed; both factors must be 1.

    Args:
        op: the Gemm.
        data: the shape of its first input.
        weight: the shape of its second, whose axes are as `right` says.
        right: ``kn`` or ``nk``.

    Raises:
        Unfit: it has other factors.
    """
    given = op.attributes
    if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
        raise Unfit("alpha and beta are not 1")
    left = "km" if given.get("transA") else "mk"
    m, k = data[left.index("m")], data[left.index("k")]
    n = weight[right.index("n")]
    return Product(*_kind("gemm", m=m, n=n, k=k, lhs=left, rhs=right), 1, (m, n))


def matrices(data: Shape, weight: Shape, right: str) -> Product:
    """A MatMul: of one matrix on the right, or of as many on either side.

    Args:
        data: (…, m, k).
        weight: (k, n) or (…, k, n); its last two axes as `right` says.
        right: ``kn`` or ``nk``.

    Raises:
        Unfit: the products are of vectors, or have a matrix for several others.
    """
    if len(data) < 2 or len(weight) < 2:
        raise Unfit("a product with a vector")
    m, k = data[-2:]
    n = weight[-2:][right.index("n")]
    batch = data[:-2]
    if prod(weight[:-2]) == 1:
        found = _kind("gemm", m=prod(batch) * m, n=n, k=k, rhs=right)
        shape = (*((1,) * (len(weight) - len(data))), *batch, m, n)
    elif prod(weight[:-2]) == prod(batch) and weight[:-2][-len(batch) :] == batch:
        found = _kind("batched_matmul", b=prod(batch), m=m, n=n, k=k, rhs=right)
        shape = (*weight[:-2], m, n)
    else:
        raise Unfit("a matrix is multiplied with several others")
    return Product(*found, len(shape) - 1, shape)


def copy(shape: Shape) -> Product:
    """A tensor times one number: what an Add of two tensors begins with.

    Raises:
        Unfit: it has too many axes.
    """
    if not 1 <= len(shape) <= 6:
        raise Unfit(f"no kind has {len(shape)} axes")
    computation, axis = scaled(shape, "data", "weight"), min(1, len(shape) - 1)
    out = computation.out
    channel = Tensor("bias", (shape[axis],), (out.index[axis],), out.letters[axis])
    return Product(computation, channel, axis, shape)
