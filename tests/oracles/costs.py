"""What an embedding with its layouts costs, measured on the materialised arrays.

Independent of the encodings: lanes and elements are counted one by one in the gather maps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from explorer.design import Design
from explorer.layout import Layout
from isa.computation import Computation, Role, Tensor
from isa.config import Config


def costs(design: Design) -> dict[str, int]:
    """Every metric that the encodings know, of all tensors and (``of(M,T)``) of each.

    Metrics of which more is better count negative. The distance from a given layout is
    `is_blocked`'s business.
    """
    config, operator = design.config, design.operator.computation
    lanes = config.batch * config.block_in * config.block_out
    found = {"steps": design.nest.steps, "utilisation": design.nest.steps}
    found["idle"] = lanes - _working(design)
    for layout in design.layouts:
        assert layout.role is not None
        constant = layout.role in design.operator.constants
        for name, value in _of_tensor(layout, operator, config, constant).items():
            found[f"of({name},{layout.role})"] = value
            found[name] = found.get(name, 0) + value
    return found


def _working(design: Design) -> int:
    """Lanes that stand for something in a step."""
    loops = design.nest.lanes
    points = itertools.product(*(range(loop.extent) for loop in loops))
    named = (dict(zip([loop.name for loop in loops], point, strict=True)) for point in points)
    return sum(all(p[a] == p[b] for a, b in design.nest.equal) for p in named)


def _of_tensor(
    layout: Layout, operator: Computation, config: Config, constant: bool
) -> dict[str, int]:
    gather = layout.gather()
    held = int((gather >= 0).sum())
    bytes_of = {"inp": config.inp_bytes, "wgt": config.wgt_bytes, "acc": config.out_bytes}
    moved = 0 if is_identity(layout, gather) else gather.size
    longest = max((c.stored for c in layout.coordinates), default=1)
    assert layout.role is not None
    return {
        "footprint": layout.entries * bytes_of[layout.port],
        "padding": gather.size - held,
        "duplication": held - touched(operator, layout.role),
        "transform": 0 if constant else moved,
        "packing": moved,
        "rows": layout.entries // longest,
        "row_length": -longest,
    }


def touched(operator: Computation, role: Role) -> int:
    """Elements of a tensor that some point of the domain uses."""
    tensor = operator.tensor(role)
    points = np.indices(tuple(operator.extents.values())).reshape(len(operator.dims), -1)
    point: Mapping[str, NDArray[np.int64]] = dict(zip(operator.extents, points, strict=True))
    flat = np.zeros(points.shape[1], np.int64)
    inside = np.ones(points.shape[1], np.bool_)
    for row, extent in zip(tensor.index, tensor.shape, strict=True):
        value = row.at(point, np.zeros((), np.int64))
        inside &= (value >= 0) & (value < extent)
        flat = flat * extent + value
    return len(np.unique(flat[inside]))


def is_identity(layout: Layout, gather: NDArray[np.int64]) -> bool:
    """Whether the packed tensor is the tensor itself, in some order of the coordinates."""
    count = len(layout.coordinates)
    if gather.size != layout.tensor.size:
        return False
    return any(
        (gather.transpose(*order, *range(count, gather.ndim)).reshape(-1) == np.arange(gather.size))
        .all()
        for order in itertools.permutations(range(count))
    )  # fmt: skip


def is_blocked(layout: Layout, blocks: tuple[tuple[int, int], ...]) -> bool:
    """Whether the packed tensor is the tensor cut into blocks, up to the order of coordinates.

    Args:
        layout: the packed tensor.
        blocks: for each tensor dimension the block and its place among the blocks.
    """
    wanted = _blocked(layout.tensor, blocks)
    gather = layout.gather()
    count = len(layout.coordinates)
    lanes = math.prod(extent for _, extent in layout.axes)
    packed = gather.reshape(*gather.shape[:count], lanes)
    outer = tuple(extent for extent in wanted.shape[:-1] if extent > 1)
    wanted = wanted.reshape(*outer, wanted.shape[-1])
    kept = tuple(extent for extent in gather.shape[:count] if extent > 1)
    packed = packed.reshape(*kept, lanes)
    if sorted(kept) != sorted(outer) or wanted.shape[-1] != lanes:
        return False
    return any(
        packed.transpose(*order, len(kept)).shape == wanted.shape
        and bool((packed.transpose(*order, len(kept)) == wanted).all())
        for order in itertools.permutations(range(len(kept)))
    )


def _blocked(tensor: Tensor, blocks: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """Flat indices (-1: zero) of a blocked tensor: a coordinate for each dimension, then lanes."""
    array = np.arange(tensor.size, dtype=np.int64).reshape(tensor.shape)
    pads = [(0, -extent % block) for extent, (block, _) in zip(tensor.shape, blocks, strict=True)]
    array = np.pad(array, pads, constant_values=-1)
    shape = [x for n, (b, _) in zip(array.shape, blocks, strict=True) for x in (n // b, b)]
    inner = sorted((place, 2 * i + 1) for i, (_, place) in enumerate(blocks))
    rank = len(tensor.shape)
    array = array.reshape(shape).transpose(*range(0, 2 * rank, 2), *(axis for _, axis in inner))
    return array.reshape(*array.shape[:rank], -1)
