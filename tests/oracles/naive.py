"""A computation by its definition: one multiply-accumulate at a time, in Python's own integers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from isa.computation import Computation, Tensor


def naive(
    computation: Computation, in0: NDArray[np.int8], in1: NDArray[np.int8]
) -> NDArray[np.int32]:
    """The int32 accumulators, of the output's shape; wraps around, and pads with zero."""
    sums: dict[tuple[int, ...], int] = {}
    for values in itertools.product(*(range(d.extent) for d in computation.dims)):
        point = {d.name: v for d, v in zip(computation.dims, values, strict=True)}
        where = _index(computation.out, point)
        if _inside(where, computation.out):
            product = _read(computation.in0, in0, point) * _read(computation.in1, in1, point)
            sums[where] = sums.get(where, 0) + product
    result = np.zeros(computation.out.shape, np.int32)
    for where, value in sums.items():
        result[where] = (value + 2**31) % 2**32 - 2**31
    return result


def _read(tensor: Tensor, array: NDArray[np.int8], point: dict[str, int]) -> int:
    where = _index(tensor, point)
    return int(array[where]) if _inside(where, tensor) else 0


def _index(tensor: Tensor, point: dict[str, int]) -> tuple[int, ...]:
    return tuple(row.const + sum(c * point[n] for n, c in row.terms) for row in tensor.index)


def _inside(where: tuple[int, ...], tensor: Tensor) -> bool:
    return all(0 <= i < extent for i, extent in zip(where, tensor.shape, strict=True))
