"""What an embedding with its layouts costs, measured on the materialised arrays.

Independent of the encodings: lanes and elements are counted one by one in the gather maps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.several import term_by_term
from explorer.embedding.virtual_loops import Nest, nest
from explorer.layout.design import Design
from explorer.layout.packed import Layout
from isa.computation import Computation, Role, Tensor
from isa.config import Config


def costs(design: Design) -> dict[str, int]:
    """Every metric that the encodings know, of all tensors and (``of(M,T)``) of each.

    Metrics of which more is better count negative. The distance from a given layout is `distance`'s
    business. Of several terms steps, idle lanes and tensors add up; the output is one tensor.
    """
    config, terms = design.config, design.operator.terms
    lanes = config.batch * config.block_in * config.block_out
    nests = [nest(*each) for each in term_by_term(design.embedding, design.operator)]
    steps = sum(loops.steps for loops in nests)
    found = {"steps": steps, "utilisation": steps}
    found["idle"] = sum(lanes - _working(loops) for loops in nests)
    held = [(0, layout) for layout in design.layouts]
    held += [(n, x) for n, pair in enumerate(design.further, start=1) for x in pair]
    for number, layout in held:
        assert layout.role is not None
        term = terms[number]
        constant = layout.role in term.constants
        named = f"term({number + 1},{layout.role})" if number else layout.role
        for name, value in _of_tensor(layout, term.computation, config, constant).items():
            found[f"of({name},{named})"] = value
            found[name] = found.get(name, 0) + value
    return found


def _working(nest: Nest) -> int:
    """Lanes that stand for something in a step."""
    loops = nest.lanes
    points = itertools.product(*(range(loop.extent) for loop in loops))
    named = (dict(zip([loop.name for loop in loops], point, strict=True)) for point in points)
    return sum(all(p[a] == p[b] for a, b in nest.equal) for p in named)


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
    rank, count = len(blocks), len(layout.coordinates)
    lanes = [extent for extent in gather.shape[count:] if extent > 1]
    if lanes != [extent for extent in wanted.shape[rank:] if extent > 1]:
        return False
    outer = [extent for extent in wanted.shape[:rank] if extent > 1]
    kept = [extent for extent in gather.shape[:count] if extent > 1]
    wanted, packed = wanted.reshape(*outer, -1), gather.reshape(*kept, math.prod(lanes))
    orders = itertools.permutations(range(len(kept)))
    return any(np.array_equal(packed.transpose(*order, len(kept)), wanted) for order in orders)


def distance(layout: Layout, blocks: tuple[tuple[int, int], ...]) -> int:
    """How far the packed tensor is from the tensor cut into blocks.

    A block of each row may lie on one axis of the port. It costs 1 for each row that is cut
    otherwise, for each axis without a block, and if the blocks come in another order; the blocks
    lie so that this is least. It is 0 if and only if `is_blocked`, but where a lane that a digit
    uses holds nothing at all.

    Args:
        layout: the packed tensor.
        blocks: for each tensor dimension the block and its place among the blocks.
    """
    live, rows = _values(layout)
    axes = [k for k in range(len(layout.coordinates), live.ndim) if live.shape[k] > 1]
    # For each row, the axes (None: none) that its block may lie on, and whether it is cut as given.
    options = [
        _homes(layout, live, value, size, block)
        for value, size, (block, _) in zip(rows, layout.tensor.shape, blocks, strict=True)
    ]
    found = []
    for chosen in itertools.product(*options):
        used = [axis for axis in chosen if axis is not None]
        if len(set(used)) == len(used):
            placed = zip([place for _, place in blocks], chosen, strict=True)
            order = [
                axis for place, axis in sorted(placed, key=_first) if place and axis is not None
            ]
            otherwise = [not cut[axis] for cut, axis in zip(options, chosen, strict=True)]
            found.append(sum(otherwise) + len(axes) - len(used) + (order != sorted(order)))
    return min(found)


def _first(placed: tuple[int, int | None]) -> int:
    return placed[0]


def _values(layout: Layout) -> tuple[NDArray[np.bool_], list[NDArray[np.int64]]]:
    """Which packed elements stand for something, and where in each row that is.

    It may lie outside of the tensor: the gather map is that of a tensor so large that it does not.
    """
    rank = len(layout.rows)
    shape, middle = (2 ** (60 // rank),) * rank, 2 ** (60 // rank - 1)
    rows = tuple(
        replace(row, affine=replace(row.affine, const=row.affine.const + middle))
        for row in layout.rows
    )
    large = replace(layout, tensor=replace(layout.tensor, shape=shape), rows=rows, guards=())
    gather = large.gather()
    values = np.unravel_index(np.maximum(gather, 0), shape)
    return gather >= 0, [np.asarray(value - middle, np.int64) for value in values]


def _homes(
    layout: Layout, live: NDArray[np.bool_], value: NDArray[np.int64], size: int, block: int
) -> dict[int | None, bool]:
    """The axes that a row's block may lie on, and whether the row is then cut as given."""
    count = len(layout.coordinates)
    lanes = tuple(range(count, live.ndim))
    index = np.indices(live.shape)

    def constant(values: NDArray[np.int64]) -> bool:
        """Whether all lanes of an entry have the same."""
        high = np.where(live, values, -(2**60)).max(axis=lanes)
        return bool((high <= np.where(live, values, 2**60).min(axis=lanes)).all())

    def cut(first: NDArray[np.int64], block: int) -> bool:
        """Whether one coordinate counts the blocks, by the value that an entry has first."""
        number = -(-size // block)
        counts = [index[k] for k in range(count) if live.shape[k] == number]
        steps = [np.zeros_like(value)] if number == 1 else counts
        return any(bool((first == block * step)[live].all()) for step in steps)

    still = constant(value)
    homes: dict[int | None, bool] = {None: block == 1 and still and cut(value, 1)}
    for k in lanes:
        idle = not live.take(range(1, live.shape[k]), k).any()
        if not still and constant(value - index[k]):
            homes[k] = block == live.shape[k] and cut(value - index[k], block)
        elif still and idle and size == 1 and block == live.shape[k] > 1 and cut(value, 1):
            homes[k] = True
    return homes


def _blocked(tensor: Tensor, blocks: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """Flat indices (-1: zero) of a blocked tensor: a coordinate for each dimension, then blocks."""
    array = np.arange(tensor.size, dtype=np.int64).reshape(tensor.shape)
    pads = [(0, -extent % block) for extent, (block, _) in zip(tensor.shape, blocks, strict=True)]
    array = np.pad(array, pads, constant_values=-1)
    shape = [x for n, (b, _) in zip(array.shape, blocks, strict=True) for x in (n // b, b)]
    inner = sorted((place, 2 * i + 1) for i, (_, place) in enumerate(blocks))
    rank = len(tensor.shape)
    return array.reshape(shape).transpose(*range(0, 2 * rank, 2), *(axis for _, axis in inner))
