"""Pictures of the lanes in one step: what each axis runs over, and what each port's block holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, digits

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.digits import Embedding
from explorer.embedding.virtual_loops import Nest, nest
from isa.computation import ROLES, Computation, Tensor
from isa.errors import InputError
from isa.words import counted

MARKS = digits + ascii_lowercase
IDLE, OUTSIDE, MANY = ".", "-", "#"


def picture(
    embedding: Embedding, operator: Computation, intrinsic: Computation, step: int = 0
) -> Iterator[str]:
    """The lines of a picture of one step.

    For each axis with digits, the values of their dimensions in each lane (where the other axes are
    at lane 0). For each port, its block, the last axis from left to right: different marks are
    different elements; with more than 36 of them each is ``#``. Idle lanes are ``.``, elements in
    the padding around a tensor ``-``.

    Args:
        embedding: what is drawn.
        operator: what is embedded.
        intrinsic: what it is embedded into.
        step: which step, counted in the order of the outer loops.

    Raises:
        InputError: there is no such step.
    """
    loops = nest(embedding, operator)
    if not 0 <= step < loops.steps:
        raise InputError("--step", "", step, f"steps are 0 to {loops.steps - 1}")
    drawn = _Step.of(loops, intrinsic, step)
    yield from _axes(embedding, loops, intrinsic, drawn)
    for port_role in ROLES:
        tensor = operator.tensor(embedding.role(port_role))
        yield from _port(intrinsic.tensor(port_role), tensor, intrinsic, drawn)
    busy = int(drawn.live.sum())
    yield f"{busy} of {counted(drawn.live.size, 'lane')} work ({busy / drawn.live.size:.1%})"


def pictures(
    each: Sequence[tuple[Embedding, Computation]], intrinsic: Computation, step: int = 0
) -> list[list[str]]:
    """The lines of the picture of each term; of one that has fewer steps, how many it has.

    Raises:
        InputError: no term has such a step.
    """
    steps = [nest(embedding, term).steps for embedding, term in each]
    if step not in range(most := max(steps)):
        raise InputError("--step", "", step, f"steps are 0 to {most - 1}")
    return [
        list(picture(*pair, intrinsic, step)) if step < own else [f"it has {counted(own, 'step')}"]
        for pair, own in zip(each, steps, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Step:
    """One step: in every lane of the instruction, an array over its axes.

    Attributes:
        point: the index of each virtual loop.
        dims: the value of each dimension of the operator.
        live: whether the lane stands for a multiply-accumulate.
    """

    point: Mapping[str, NDArray[np.int64]]
    dims: Mapping[str, NDArray[np.int64]]
    live: NDArray[np.bool_]

    @classmethod
    def of(cls, loops: Nest, intrinsic: Computation, step: int) -> _Step:
        shape = tuple(intrinsic.extents.values())
        place = dict(zip(intrinsic.extents, np.indices(shape), strict=True))
        live = np.ones(shape, np.bool_)
        point: dict[str, NDArray[np.int64]] = {}
        for loop in reversed(loops.outer):
            step, index = divmod(step, loop.extent)
            point[loop.name] = np.full(shape, index)
        for loop in loops.lanes:
            assert loop.axis is not None
            point[loop.name] = place[loop.axis] // loop.stride % loop.extent
        for axis, index in place.items():
            live &= index < math.prod(x.extent for x in loops.lanes if x.axis == axis)
        for left, right in loops.equal:
            live &= point[left] == point[right]
        dims = {name: np.broadcast_to(row.at(point), shape) for name, row in loops.dims.items()}
        for name, value in dims.items():
            live &= (value >= 0) & (value < loops.extents[name])
        return cls(point, dims, live)


def _axes(embedding: Embedding, loops: Nest, intrinsic: Computation, step: _Step) -> Iterator[str]:
    """For each axis with digits, the values of their dimensions along it."""
    for place, (axis, extent) in enumerate(intrinsic.extents.items()):
        names = [d for digit in embedding.digits if axis in digit.axes for d in digit.dims]
        if not names:
            continue
        line = tuple(slice(None) if i == place else 0 for i in range(step.live.ndim))
        rows = {"lane": list(range(extent))}
        for name in names:
            seen = loops.seen(name, frozenset({axis})).at(step.point)
            rows[name] = np.broadcast_to(seen, step.live.shape)[line].tolist()
        others = tuple(i for i in range(step.live.ndim) if i != place)
        works: list[bool] = np.any(step.live, axis=others).reshape(-1).tolist()
        yield f"axis {axis}"
        yield from _table(rows, works)


def _table(rows: Mapping[str, list[int]], live: list[bool]) -> Iterator[str]:
    """Aligned rows of numbers; idle lanes show none."""
    width = max(len(str(v)) for values in rows.values() for v in values)
    label = max(map(len, rows))
    for name, values in rows.items():
        cells = (
            str(v) if name == "lane" or alive else IDLE
            for v, alive in zip(values, live, strict=True)
        )
        yield f"  {name:<{label}}  " + " ".join(c.rjust(width) for c in cells)


def _port(port: Tensor, tensor: Tensor, intrinsic: Computation, step: _Step) -> Iterator[str]:
    """The block that a port holds: the elements of the tensor by marks."""
    axes = [a for a in intrinsic.extents if port.varies({a: 1})]
    kept = tuple(i for i, a in enumerate(intrinsic.extents) if a not in axes)
    inside = np.ones(step.live.shape, np.bool_)
    flat = np.zeros(step.live.shape, np.int64)
    for row, size in zip(tensor.index, tensor.shape, strict=True):
        value = row.at(step.dims, np.zeros((), np.int64))
        inside &= (value >= 0) & (value < size)
        flat = flat * size + value
    # Lanes that share a cell hold one element, so any of those that work tells which.
    element = np.where(step.live & inside, flat, -1).max(axis=kept)
    used = step.live.any(axis=kept)
    held = np.unique(element[element >= 0])
    few = len(held) <= len(MARKS)
    shape = [intrinsic.extents[a] for a in axes]
    lanes = ", ".join(f"{a} < {e}" for a, e in zip(axes, shape, strict=True))
    yield f"port {port.name}[{lanes}]: {len(held)} different elements of {tensor.name}"

    def mark(cell: int, is_used: bool) -> str:
        if not is_used or cell < 0:
            return OUTSIDE if is_used else IDLE
        return MARKS[int(np.searchsorted(held, cell))] if few else MANY

    columns = shape[-1] if shape else 1
    cells = zip(element.reshape(-1).tolist(), used.reshape(-1).tolist(), strict=True)
    marks = "".join(mark(*cell) for cell in cells)
    rows = [marks[i : i + columns] for i in range(0, len(marks), columns)]
    while len(rows) > 1 and set(rows[-1]) == {IDLE}:
        rows.pop()
    yield from (f"  {row}" for row in rows)
    if idle := len(marks) // columns - len(rows):
        yield f"  and {idle} idle row{'s' if idle > 1 else ''}"
