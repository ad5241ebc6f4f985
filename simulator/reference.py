"""Evaluate a computation directly from its access maps: what every program has to come out as.

A tensor that is padded to all the indices its map reaches becomes, with the right strides, a view
over the whole iteration domain. numpy's own products then do the work, and no windows are copied.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from isa.computation import ROLES, Add, Max, Shift, Term

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isa.computation import Computation, Epilogue, Operator, Rounding, Stage, Tensor

Number = TypeVar("Number", np.int8, np.int32)
_BLOCK = 2**20
"""Elements that are multiplied at a time, as floats: they stay in the cache, and are exact.

float64 holds integers to 2^53, so the sum of 2^39 products of int8, and multiplies fast.
"""
_SINGLE = 2**10
"""Products whose sum float32 holds, which multiplies twice as fast: of int8, up to 2^14 each."""


def accumulate(
    computation: Computation, in0: NDArray[np.int8], in1: NDArray[np.int8]
) -> NDArray[np.int32]:
    """The int32 accumulators, of the output tensor's shape, with two's-complement wrap-around.

    Elements outside an input are zero, and results outside the output are dropped.

    Args:
        computation: what to evaluate.
        in0: int8, of the shape of its first input.
        in1: int8, of the shape of its second input.

    Raises:
        ValueError: when an input has another shape.
    """
    sums = np.zeros(_reach(computation, computation.out), np.int32)
    total = _over_domain(computation, computation.out, sums)
    left, right = (
        _over_domain(computation, tensor, _pad(computation, tensor, array))
        for tensor, array in ((computation.in0, in0), (computation.in1, in1))
    )
    for point in _looped_points(computation):
        _add_products(total[point], left[point], right[point])
    return _crop(computation, computation.out, sums)


def evaluate(
    operator: Operator, tensors: Mapping[str, NDArray[np.signedinteger[Any]]]
) -> NDArray[np.int8]:
    """The output of an operator, stage by stage on int32 accumulators; the low 8 bits of them.

    Args:
        operator: its stages.
        tensors: by name: the int8 inputs of the terms, but for those that are filled, and what the
            steps take.

    Raises:
        ValueError: a tensor has another shape.
        KeyError: one is missing.
    """
    values = np.zeros(operator.out.shape, np.int32)
    first = operator.terms[0].computation
    for stage in operator.stages:
        values = stepped(stage, values, tensors, first)
    return values.astype(np.int8)


def stepped(
    stage: Stage,
    values: NDArray[np.int32],
    tensors: Mapping[str, NDArray[np.signedinteger[Any]]],
    first: Computation,
) -> NDArray[np.int32]:
    """The accumulators after a stage; the arguments are those of `evaluate`.

    Args:
        stage: what is done.
        values: the accumulators before it, of the output's shape.
        tensors: by name.
        first: the first term, whose dimensions the maps of the steps' tensors use.
    """

    def spread(tensor: Tensor) -> NDArray[np.int32]:
        return _spread(first, tensor, tensors[tensor.name].astype(np.int32))

    if isinstance(stage, Term):
        computation, fill = stage.computation, stage.fill
        in0 = tensors[computation.in0.name].astype(np.int8)
        second = computation.in1
        in1 = fill.array(second.shape) if fill else tensors[second.name].astype(np.int8)
        return values + accumulate(computation, in0, in1)
    if isinstance(stage, Add):
        if isinstance(stage.value, int):
            return values + np.int32(stage.value)
        return values + (spread(stage.value) << stage.left)
    if isinstance(stage, Shift):
        amount = stage.amount
        return shifted(
            values, np.int32(amount) if isinstance(amount, int) else spread(amount), stage.rounding
        )
    limit = np.maximum if isinstance(stage, Max) else np.minimum
    return limit(values, np.int32(stage.bound))


def shifted(
    values: NDArray[np.int32], amount: NDArray[np.int32] | np.int32, rounding: Rounding
) -> NDArray[np.int32]:
    """Values shifted to the right and rounded; to the left, with wrap-around, where it is negative.

    Args:
        values: int32.
        amount: -31 to 31, of a shape that broadcasts to theirs.
        rounding: of the quotients, which are exact: no sum on the way wraps.
    """
    wide = values.astype(np.int64)
    right = np.maximum(amount, 0).astype(np.int64)
    left = np.maximum(-np.asarray(amount, np.int64), 0)
    below = wide >> right
    rest = wide - (below << right)
    half = (np.int64(1) << right) >> 1
    if rounding == "half-up":
        below += (rest >= half) & (half > 0)
    elif rounding == "half-even":
        below += (half > 0) & ((rest > half) | ((rest == half) & (below % 2 == 1)))
    moved: NDArray[np.int32] = (below << left).astype(np.int32)
    return moved


def epilogue(
    steps: Epilogue,
    accumulators: NDArray[np.int32],
    bias: NDArray[np.int32] | None,
    computation: Computation,
    residual: NDArray[np.int8] | None = None,
) -> NDArray[np.int8]:
    """The int8 output of accumulators, of their shape, as `isa.computation.Epilogue` orders it.

    Args:
        steps: what to apply.
        accumulators: int32, of the shape of the computation's output.
        bias: int32, of the shape of ``steps.bias``; None where that is None.
        computation: gives the dimensions of the bias's access map.
        residual: int8, of the shape of the computation's output; None unless ``steps.residual``.

    Raises:
        ValueError: when there is a bias or a residual without values or the reverse, or it has
            another shape.
    """
    if steps.residual != (residual is not None):
        raise ValueError("a residual needs values, and values need one in the epilogue")
    if residual is not None and residual.shape != accumulators.shape:
        raise ValueError(f"residual has shape {accumulators.shape}, not {residual.shape}")
    if (steps.bias is None) != (bias is None):
        raise ValueError("a bias needs both its tensor and its values")
    values = accumulators
    if steps.bias is not None and bias is not None:
        values = values + _spread(computation, steps.bias, bias)
    values = values >> steps.shift
    if residual is not None:
        values = values + residual
    if steps.relu:
        values = np.maximum(values, 0)
    if steps.clip is not None:
        values = np.clip(values, *steps.clip)
    return values.astype(np.int8)


def _spread(computation: Computation, tensor: Tensor, bias: NDArray[np.int32]) -> NDArray[np.int32]:
    """The bias of each output element; reductions do not matter to it."""
    out = computation.out
    spread = np.zeros(_reach(computation, out), np.int32)
    padded = _pad(computation, tensor, bias)
    point = tuple(0 if n in computation.reductions else slice(None) for n in computation.extents)
    _over_domain(computation, out, spread)[point] = _over_domain(computation, tensor, padded)[point]
    return _crop(computation, out, spread)


# --- Products -------------------------------------------------------------------------------------


def _looped_points(computation: Computation) -> Iterator[tuple[int | slice, ...]]:
    """Indices into views over the domain that leave at most one dimension in any tensor's index.

    A product over such a part of the domain is a plain matrix product, no output element occurs in
    it twice, and its operands are no larger than the tensors.
    """
    extents, looped = computation.extents, set[str]()
    for row in itertools.chain.from_iterable(computation.tensor(r).index for r in ROLES):
        names = [name for name, _ in row.terms if extents[name] > 1]
        looped |= set(names) - {max(names, key=extents.__getitem__, default="")}
    return itertools.product(
        *(range(e) if n in looped else (slice(None),) for n, e in extents.items())
    )


def _add_products(
    total: NDArray[np.int32], left: NDArray[np.int8], right: NDArray[np.int8]
) -> None:
    """Add the products of two views of one domain; ``total`` has stride 0 where to sum."""
    axes = range(total.ndim)
    sums = [a for a in axes if total.strides[a] == 0]
    columns = [a for a in axes if a not in sums and left.strides[a] == 0]
    rows = [a for a in axes if a not in sums + columns and right.strides[a] == 0]
    batch = [a for a in axes if a not in sums + columns + rows]
    target = _permute(total, batch + rows + columns, sums)
    shapes = ([total.shape[a] for a in group] for group in (batch, rows, columns, sums))
    b, m, n, k = map(math.prod, shapes)
    a0 = _permute(left, batch + rows + sums, columns).reshape(b, m, k)
    a1 = _permute(right, batch + sums + columns, rows).reshape(b, k, n)
    target += _product(a0, a1).reshape(target.shape)


def _product(left: NDArray[np.int8], right: NDArray[np.int8]) -> NDArray[np.int32]:
    """The matrix products of (b, m, k) and (b, k, n), modulo 2^32, block by block."""
    (b, m, k), n = left.shape, right.shape[2]
    if k == 1:
        return np.multiply(left, right, dtype=np.int32)
    # A row of a product takes k + n elements: as many at a time as a block has room for.
    deep = min(k, _BLOCK)
    wide = max(1, min(n, _BLOCK // deep))
    high = max(1, min(m, _BLOCK // max(deep, wide)))
    batch = max(1, min(b, _BLOCK // max(high * deep, deep * wide, high * wide)))
    floats = np.float32 if deep <= _SINGLE else np.float64
    product = np.zeros((b, m, n), np.int32)
    steps = ((b, batch), (m, high), (n, wide), (k, deep))
    for i, y, x, z in itertools.product(*(_cut(extent, step) for extent, step in steps)):
        one, other = left[i, y, z], right[i, z, x]
        block = one.astype(floats) @ other.astype(floats)
        # To 64 bits first: what is out of range of 32 wraps there, and is undefined from a float.
        product[i, y, x] += block.astype(np.int64).astype(np.int32)
    return product


def _cut(extent: int, step: int) -> list[slice]:
    return [slice(low, low + step) for low in range(0, extent, step)]


def _permute(
    view: NDArray[Number], order: Sequence[int], dropped: Sequence[int]
) -> NDArray[Number]:
    """The axes in an order, without those dropped, of which the first element stands for all."""
    kept = view.transpose(*order, *dropped)
    for _ in dropped:
        kept = kept[..., 0]
    return kept


# --- Views ----------------------------------------------------------------------------------------


def _reach(computation: Computation, tensor: Tensor) -> tuple[int, ...]:
    """The shape that holds every index a tensor's map reaches, in its bounds or not."""
    return tuple(high - low + 1 for low, high in _bounds(computation, tensor))


def _bounds(computation: Computation, tensor: Tensor) -> list[tuple[int, int]]:
    return [row.bounds(computation.extents) for row in tensor.index]


def _over_domain(
    computation: Computation, tensor: Tensor, padded: NDArray[Number]
) -> NDArray[Number]:
    """A view with one axis a dimension: at point ``i``, the tensor's element of that point."""
    index, bounds = tensor.index, _bounds(computation, tensor)
    origin: tuple[Any, ...] = tuple(
        slice(row.const - low, None) for row, (low, _) in zip(index, bounds, strict=True)
    )
    strides = [
        sum(row.coefficient(name) * s for row, s in zip(index, padded.strides, strict=True))
        for name in computation.extents
    ]
    return as_strided(padded[(*origin, ...)], list(computation.extents.values()), strides)


def _pad(computation: Computation, tensor: Tensor, array: NDArray[Number]) -> NDArray[Number]:
    """The tensor at every index its map reaches: zero outside the bounds, cut to what is used."""
    if array.shape != tensor.shape:
        raise ValueError(f"{tensor.name} has shape {tensor.shape}, not {array.shape}")
    padded = np.zeros(_reach(computation, tensor), array.dtype)
    inside, reached = _overlap(computation, tensor)
    padded[reached] = array[inside]
    return padded


def _crop(computation: Computation, tensor: Tensor, padded: NDArray[Number]) -> NDArray[Number]:
    """The reverse of `_pad`: the tensor's own elements, zero where the map does not reach."""
    array = np.zeros(tensor.shape, padded.dtype)
    inside, reached = _overlap(computation, tensor)
    array[inside] = padded[reached]
    return array


def _overlap(
    computation: Computation, tensor: Tensor
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a tensor and its map's reach meet: slices of the one and of the other."""
    inside, reached = [], []
    for extent, (low, high) in zip(tensor.shape, _bounds(computation, tensor), strict=True):
        first = max(low, 0)
        last = max(first, min(high + 1, extent))
        inside.append(slice(first, last))
        reached.append(slice(first - low, last - low))
    return tuple(inside), tuple(reached)
