"""Executing an embedding step by step, on any instruction and in numpy: no cycles, only values.

Tensors are packed by their layouts. Each step takes one entry of each port, the instruction
multiplies and adds as its own access maps say, and the sums go back to the output's entry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from string import ascii_lowercase
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.digits import Embedding
from explorer.embedding.virtual_loops import Loop, nest
from explorer.layout.packed import Layout, choices, derive
from isa.computation import Computation, Tensor

Layouts: TypeAlias = tuple[Layout, Layout, Layout]
"""Of the two input ports, in the instruction's order, and of the output port."""

_CHUNK = 2**22
"""Elements of a port's blocks that are gathered at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What executing an embedding on given tensors showed.

    Attributes:
        layouts: how the tensors were packed.
        values: the int32 accumulators, of the output tensor's shape.
        wrong: how many of them differ from the direct result.
    """

    layouts: Layouts
    values: NDArray[np.int32]
    wrong: int


def arrangements(
    embedding: Embedding, operator: Computation, intrinsic: Computation
) -> Iterator[Layouts]:
    """Every choice of layouts: where windows overlap, they share entries (halo) or do not."""
    loops = nest(embedding, operator)
    found: list[list[Layout]] = []
    for port_role in ("in0", "in1", "out"):
        role = embedding.role(port_role)
        port, tensor = intrinsic.tensor(port_role), operator.tensor(role)
        if role == "out":
            layouts = [derive(loops, tensor, port, intrinsic, role=role)]
        else:
            layouts = choices(loops, tensor, port, intrinsic, role=role)
        found.append([x.along(loops.outer) if embedding.order else x for x in layouts])
    yield from product(found[0], found[1], found[2])


def execute(
    embedding: Embedding,
    operator: Computation,
    intrinsic: Computation,
    layouts: Layouts,
    in0: NDArray[np.int8],
    in1: NDArray[np.int8],
) -> NDArray[np.int32]:
    """The int32 accumulators, of the output tensor's shape, with wrap-around.

    Args:
        embedding: what each lane stands for.
        operator: what is computed.
        intrinsic: the instruction that every step issues.
        layouts: one of `arrangements`.
        in0: int8, of the shape of the operator's first input.
        in1: int8, of the shape of its second input.
    """
    given = {"in0": in0, "in1": in1}
    *inputs, out = layouts
    packed = [x.pack(given[str(x.role)]).reshape(x.entries, *_block(x)) for x in inputs]
    sums = np.zeros((out.entries, *_block(out)), np.int64)
    outer = nest(embedding, operator).outer
    steps = math.prod(loop.extent for loop in outer)
    largest = max(math.prod(_block(layout)) for layout in layouts)
    size = max(1, _CHUNK // largest)
    for start in range(0, steps, size):
        step = np.arange(start, min(start + size, steps))
        left, right = (
            p[_entries(x, outer, step)].astype(np.int32)
            for x, p in zip(inputs, packed, strict=True)
        )
        _add(sums, _entries(out, outer, step), _issue(intrinsic, left, right))
    wrapped: NDArray[np.generic] = sums.astype(np.int32).reshape(out.shape)
    return out.unpack(wrapped).astype(np.int32)


def check(
    embedding: Embedding,
    operator: Computation,
    intrinsic: Computation,
    tensors: tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]],
) -> Iterator[Outcome]:
    """What comes of an embedding with each choice of layouts.

    Args:
        embedding: what each lane stands for.
        operator: what is computed.
        intrinsic: the instruction that every step issues.
        tensors: the two inputs, and the direct result.
    """
    in0, in1, expected = tensors
    for layouts in arrangements(embedding, operator, intrinsic):
        values = execute(embedding, operator, intrinsic, layouts, in0, in1)
        yield Outcome(layouts, values, int((values != expected).sum()))


def utilisation(operator: Computation, intrinsic: Computation, steps: int) -> float:
    """The share of the instruction's multiply-accumulates that are the operator's."""
    return operator.useful_macs / (steps * intrinsic.macs)


def _block(layout: Layout) -> tuple[int, ...]:
    """Shape of an entry: the lanes of the port's axes."""
    return tuple(extent for _, extent in layout.axes)


def _entries(layout: Layout, outer: Sequence[Loop], step: NDArray[np.int64]) -> NDArray[np.int64]:
    """The entry that each step takes; the last outer loop is the fastest."""
    index: dict[str, NDArray[np.int64]] = {}
    for loop in reversed(outer):
        step, index[loop.name] = np.divmod(step, loop.extent)
    entry = np.zeros(step.shape, np.int64)
    for c in layout.coordinates:
        value = sum((factor * index[name] for name, factor in c.terms), np.int64(0))
        entry = entry * c.stored + value - c.low
    return entry


def _add(sums: NDArray[np.int64], entry: NDArray[np.int64], products: NDArray[np.int32]) -> None:
    """Add the products of each step to its entry: steps of one entry first to each other.

    This is `numpy.add.at`, which takes several times as long.
    """
    order = np.argsort(entry, kind="stable")
    ordered = entry[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    sums[ordered[first]] += np.add.reduceat(products[order], first, axis=0, dtype=np.int64)


def _issue(
    intrinsic: Computation, left: NDArray[np.int32], right: NDArray[np.int32]
) -> NDArray[np.int32]:
    """What one issue adds to the output's block, for many issues: ``[issue, lanes…]``."""
    letter = dict(zip(intrinsic.extents, ascii_lowercase, strict=False))

    def axes(port: Tensor) -> str:
        return "".join(letter[a] for a in intrinsic.extents if port.varies({a: 1}))

    in0, in1, out = axes(intrinsic.in0), axes(intrinsic.in1), axes(intrinsic.out)
    fed = "".join(x for x in out if x in in0 + in1)
    sums = np.einsum(f"Z{in0},Z{in1}->Z{fed}", left, right)
    # An axis of the output alone repeats its sums.
    for place, axis in enumerate(out, start=1):
        if axis not in fed:
            sums = np.expand_dims(sums, place)
    shape = [e for a, e in intrinsic.extents.items() if letter[a] in out]
    return np.broadcast_to(sums, (len(left), *shape))
