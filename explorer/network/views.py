"""Renamings one after the other: reshapes and transpositions of a tensor as one view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from explorer.network.graph import View


@dataclass(frozen=True, slots=True)
class Renamed:
    """A tensor of the network under other axes, as a `View` says it.

    Attributes:
        tensor: its name in the network.
        split: extents into which its row-major elements are cut.
        order: which axis of `split` comes first, second, …
        shape: extents into which the result is cut.
    """

    tensor: str
    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: str, shape: Sequence[int]) -> Renamed:
        """A tensor as it is."""
        return cls(tensor, tuple(shape), tuple(range(len(shape))), tuple(shape))

    def reshaped(self, shape: Sequence[int]) -> Renamed:
        """The same elements in the same order under other extents."""
        return Renamed(self.tensor, self.split, self.order, tuple(shape))

    def transposed(self, axes: Sequence[int]) -> Renamed | None:
        """Its axes in another order; None where no view can say that.

        An axis of the shape must consist of whole axes of the split, or they must be cut: where
        the extents of both have a common refinement.
        """
        parts = [self.split[axis] for axis in self.order]
        if tuple(parts) == self.shape:
            order = tuple(self.order[axis] for axis in axes)
            shape = tuple(self.shape[axis] for axis in axes)
            return Renamed(self.tensor, self.split, order, shape)
        fine = _refined(parts, self.shape)
        if fine is None:
            return None
        # Cut the split's axes first, then take the pieces of each axis of the shape together.
        pieces = _grouped(fine, parts)
        numbers: list[list[int]] = [[] for _ in self.split]
        split: list[int] = []
        for axis in range(len(self.split)):
            piece = pieces[self.order.index(axis)]
            numbers[axis] = list(range(len(split), len(split) + len(piece)))
            split += piece
        flat = [number for axis in self.order for number in numbers[axis]]
        groups = _grouped(fine, self.shape)
        starts = np.cumsum([0, *map(len, groups)])
        moved = [n for axis in axes for n in flat[starts[axis] : starts[axis + 1]]]
        extents = tuple(self.shape[axis] for axis in axes)
        return Renamed(self.tensor, tuple(split), tuple(moved), extents)

    def view(self, operand: str) -> View:
        """As the view of an operator's tensor; plain where no element moves."""
        found = View(operand, self.tensor, self.split, self.order)
        return found if found.transposes else View.plain(operand, self.tensor, self.split)

    @property
    def innermost(self) -> bool:
        """Whether elements that follow each other along the last axis do so in the tensor."""
        moved = [axis for axis in self.order if self.split[axis] > 1]
        return self.shape[-1] == 1 or moved[-1] == max(moved)

    def reverse(self, operand: str) -> View:
        """The view of the tensor that this was made of, from what it has become.

        `tensor` is then the operator's own output, and the network's is what it was renamed to;
        the caller puts that one's name in place.
        """
        split = tuple(self.split[axis] for axis in self.order)
        return View(operand, self.tensor, split, tuple(int(n) for n in np.argsort(self.order)))


def _refined(one: Sequence[int], other: Sequence[int]) -> list[int] | None:
    """Extents that both lists are products of, in their order; None where there are none.

    Extents of 1 are left out.
    """
    ends = sorted({prod(x[i:]) for x in (one, other) for i in range(len(x) + 1)}, reverse=True)
    if any(high % low for high, low in pairwise(ends)):
        return None
    return [high // low for high, low in pairwise(ends)]


def _grouped(fine: Sequence[int], coarse: Sequence[int]) -> list[list[int]]:
    """The extents of a refinement, together as those that they refine; none for an extent of 1."""
    rest, groups = list(fine), list[list[int]]()
    for extent in coarse:
        group: list[int] = []
        while prod(group) < extent:
            group.append(rest.pop(0))
        groups.append(group)
    return groups
