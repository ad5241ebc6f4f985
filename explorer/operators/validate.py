"""What a computation must fulfil so that it can be embedded.

Constructors fulfil it by construction; a document that a user writes is checked.
"""

from __future__ import annotations

import math

import numpy as np

from isa.computation import ROLES, Affine, Computation
from isa.errors import InputError
from isa.schema import MAX_EXTENT

MAX_POINTS = 2**62
"""Bound on the points of a domain and the elements of a tensor, so that int64 holds every index."""

_MAX_ENUMERATED = 2**18


def check(computation: Computation, source: str) -> None:
    """Check all of it.

    Args:
        computation: what is to be embedded.
        source: the file or argument it comes from, for errors.

    Raises:
        InputError: as the single checks do.
    """
    check_size(computation, source)
    check_injective(computation, source)
    check_bounded(computation, source)


def check_size(computation: Computation, source: str) -> None:
    """Check that extents, the number of points and tensor sizes are within the limits.

    Raises:
        InputError: one is not.
    """
    for name, extent in computation.extents.items():
        if not 1 <= extent <= MAX_EXTENT:
            raise InputError(source, name, extent, f"an extent is 1 to {MAX_EXTENT}")
    if computation.macs >= MAX_POINTS:
        extents = " * ".join(str(d.extent) for d in computation.dims)
        raise InputError(source, "dimensions", extents, "their product must be less than 2**62")
    for role in ROLES:
        tensor = computation.tensor(role)
        if tensor.size >= MAX_POINTS:
            shape = " * ".join(map(str, tensor.shape))
            raise InputError(source, tensor.name, shape, "must hold less than 2**62 elements")


def check_injective(computation: Computation, source: str) -> None:
    """Check that no two points write one output element, unless they differ in reductions only.

    Raises:
        InputError: two do, or that they do not cannot be shown.
    """
    reductions = set(computation.reductions)
    extents = {n: e for n, e in computation.extents.items() if n not in reductions}
    index = computation.out.index
    if _is_mixed_radix(index, extents):
        return
    if math.prod(extents.values()) <= _MAX_ENUMERATED:
        points = np.indices(tuple(extents.values())).reshape(len(extents), -1)
        grid = dict(zip(extents, points, strict=True))
        rows = [row.at(grid, np.zeros(1, dtype=np.int64)) for row in index]
        elements = np.stack(np.broadcast_arrays(*rows))
        if np.unique(elements, axis=1).shape[1] == elements.shape[1]:
            return
    text = ", ".join(map(str, index))
    allowed = "two points of the domain must not write one element, except along a reduction"
    raise InputError(source, "out.index", text, allowed)


def _is_mixed_radix(index: tuple[Affine, ...], extents: dict[str, int]) -> bool:
    """Whether the rows, one after the other, can be solved for every dimension like digits."""
    solved = {name for name, extent in extents.items() if extent == 1}
    while True:
        before = len(solved)
        for row in index:
            digits = sorted((abs(c), n) for n, c in row.terms if n not in solved)
            reach = 0
            for weight, name in digits:
                if weight <= reach:
                    break
                reach += weight * (extents[name] - 1)
            else:
                solved |= {name for _, name in digits}
        if len(solved) in (before, len(extents)):
            return len(solved) == len(extents)


def check_bounded(computation: Computation, source: str) -> None:
    """Check that every point outside the domain reads a zero or writes nothing.

    That is what makes the lanes neutral which a tile has beyond a dimension's end. Each dimension
    needs tensor coordinates that leave the tensor's bounds as soon as its index leaves
    ``[0, extent)``, above and below, whatever the other dimensions are. A coordinate may use other
    dimensions only if those were found to be bounded before: of several indices out of their
    ranges, the one found first is then caught by its own coordinate.

    Raises:
        InputError: a dimension has no such coordinate.
    """
    tensors = [computation.tensor(role) for role in ROLES]
    rows = [row for tensor in tensors for row in zip(tensor.index, tensor.shape, strict=True)]
    extents = computation.extents
    bounded: set[str] = set()
    while pending := [name for name in extents if name not in bounded]:
        found = {name for name in pending if _is_bounded(name, rows, extents, bounded)}
        if not found:
            name = pending[0]
            allowed = "an index outside its extent must leave the bounds of a tensor"
            raise InputError(source, f"dimensions.{name}", extents[name], allowed)
        bounded |= found


def _is_bounded(
    name: str, rows: list[tuple[Affine, int]], extents: dict[str, int], bounded: set[str]
) -> bool:
    """Whether some coordinate leaves its tensor above the extent, and some below zero."""
    above = below = False
    for row, size in rows:
        step = row.coefficient(name)
        if step == 0 or any(n != name and n not in bounded for n, _ in row.terms):
            continue
        low, high = row.bounds({**extents, name: 1})
        over, under = step * extents[name], -step
        above = above or (low + over >= size if step > 0 else high + over < 0)
        below = below or (high + under < 0 if step > 0 else low + under >= size)
    return above and below
