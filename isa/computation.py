"""Iteration domain, tensors and access maps: what an operator and an instruction have in common.

A computation runs one statement, ``out[Ao·i] += in0[A0·i] * in1[A1·i]``, at every point ``i`` of a
box. An operator is a computation over its own dimensions; an instruction is a computation over its
axes, whose tensors are its ports. Reads outside a tensor's bounds are zero, writes outside are
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Role = Literal["in0", "in1", "out"]
ROLES: tuple[Role, ...] = ("in0", "in1", "out")

Value = TypeVar("Value", int, NDArray[np.int64])


@dataclass(frozen=True, slots=True)
class Dimension:
    """One loop of the iteration domain: its index runs over ``[0, extent)``."""

    name: str
    extent: int


@dataclass(frozen=True, slots=True)
class Affine:
    """An integer-affine expression over named dimensions.

    ``terms`` is sorted by name and holds no zero coefficient, so that equal expressions compare
    equal. Build one with `Affine.of`.
    """

    terms: tuple[tuple[str, int], ...]
    const: int = 0

    @classmethod
    def of(cls, coefficients: Mapping[str, int], const: int = 0) -> Affine:
        """The expression with these coefficients, in normal form."""
        return cls(tuple(sorted((n, c) for n, c in coefficients.items() if c)), const)

    def coefficient(self, name: str) -> int:
        """The coefficient of a dimension, 0 when the expression does not use it."""
        return dict(self.terms).get(name, 0)

    def along(self, direction: Mapping[str, int]) -> int:
        """How much the value changes by one step along a direction."""
        return sum(c * direction.get(n, 0) for n, c in self.terms)

    def at(self, point: Mapping[str, Value], zero: Value) -> Value:
        """The value at a point (integers, or arrays that broadcast); sums start at ``zero``."""
        value = zero + self.const
        for name, coefficient in self.terms:
            value = value + coefficient * point[name]
        return value

    def bounds(self, extents: Mapping[str, int]) -> tuple[int, int]:
        """Least and greatest value over the box of these extents, both inclusive."""
        low = high = self.const
        for name, c in self.terms:
            # Each term is monotone in its own dimension, so the extremes are at corners.
            reach = c * (extents[name] - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
        return low, high

    def __str__(self) -> str:
        text = ""
        for name, c in self.terms:
            sign = "-" if c < 0 else "+"
            factor = name if abs(c) == 1 else f"{abs(c)}*{name}"
            text += (f" {sign} " if text else "-" if c < 0 else "") + factor
        if not text:
            return str(self.const)
        if self.const == 0:
            return text
        return f"{text} {'-' if self.const < 0 else '+'} {abs(self.const)}"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor (or an instruction's port) and the access map through which the computation sees it.

    Attributes:
        name: the name users know it by (``data``, ``weight``, ``inp`` …).
        shape: extents, row-major.
        index: one expression a tensor dimension.
        letters: one letter a tensor dimension (``NCHW``), from which layout names are made.
    """

    name: str
    shape: tuple[int, ...]
    index: tuple[Affine, ...]
    letters: str

    def varies(self, direction: Mapping[str, int]) -> bool:
        """Whether one step along the direction moves to another element."""
        return any(row.along(direction) for row in self.index)

    @property
    def size(self) -> int:
        """Number of elements."""
        # Python integers: users' extents can multiply to more than 64 bits before they are checked.
        return int(np.prod(self.shape, dtype=object)) if self.shape else 1


@dataclass(frozen=True, slots=True)
class Computation:
    """An iteration domain and three tensors: ``out[…] += in0[…] * in1[…]`` at each point of it."""

    name: str
    dims: tuple[Dimension, ...]
    in0: Tensor
    in1: Tensor
    out: Tensor

    @property
    def extents(self) -> dict[str, int]:
        """Extent of each dimension, in order."""
        return {d.name: d.extent for d in self.dims}

    @property
    def macs(self) -> int:
        """Number of multiply-accumulates: the points of the iteration domain."""
        return int(np.prod([d.extent for d in self.dims], dtype=object))

    @property
    def useful_macs(self) -> int:
        """Multiply-accumulates whose output is kept: the points that write inside the output."""
        extents, kept, moved = self.extents, 1, set[str]()
        for row, size in zip(self.out.index, self.out.shape, strict=True):
            names = [name for name, _ in row.terms]
            if moved & set(names):  # rows cannot be told apart: count the whole domain
                return self.macs
            moved |= set(names)
            low, high = row.bounds(extents)
            if low < 0 or high >= size:
                values = np.full(1, row.const, np.int64)
                for name, factor in row.terms:
                    values = np.add.outer(values, factor * np.arange(extents[name])).reshape(-1)
                kept *= int(((values >= 0) & (values < size)).sum())
            else:
                kept *= int(np.prod([extents[name] for name in names], dtype=object))
        rest = [extent for name, extent in extents.items() if name not in moved]
        return kept * int(np.prod(rest, dtype=object))

    def tensor(self, role: Role) -> Tensor:
        """The tensor in a role."""
        return {"in0": self.in0, "in1": self.in1, "out": self.out}[role]

    @property
    def reductions(self) -> tuple[str, ...]:
        """Dimensions that the output's access map does not use."""
        # By the access map and not by name: what the output does not move along is summed.
        return tuple(d.name for d in self.dims if not self.out.varies({d.name: 1}))

    @property
    def parallel(self) -> tuple[str, ...]:
        """Dimensions that the output's access map uses: they tell its elements apart."""
        return tuple(d.name for d in self.dims if self.out.varies({d.name: 1}))


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What turns an int32 accumulator into an int8 output, in this order.

    ``acc + bias`` (wraps), arithmetic ``>> shift``, ``+ residual`` (wraps), ``max(., 0)`` when
    `relu`, clip to `clip`, low 8 bits. The residual is added after the shift because it has the
    output's scale, and before the ReLU as in a residual network.

    Attributes:
        shift: right shift, 0 to 31.
        bias: an int32 tensor whose access map uses output dimensions only, or None.
        residual: whether an int8 tensor of the output's shape is added.
        relu: whether negative values become zero.
        clip: least and greatest value kept, or None for plain truncation.
    """

    shift: int = 8
    bias: Tensor | None = None
    residual: bool = False
    relu: bool = False
    clip: tuple[int, int] | None = (-128, 127)


@dataclass(frozen=True, slots=True)
class Operator:
    """A computation on int8 tensors with its epilogue: what is embedded, compiled and ranked.

    Attributes:
        name: the text it was given as, or a document's name.
        kind: the constructor's name, or the document's.
        constants: the inputs that are known offline (weights), so that packing them costs nothing.
    """

    name: str
    kind: str
    computation: Computation
    epilogue: Epilogue = Epilogue()
    constants: frozenset[Role] = frozenset({"in1"})

    @property
    def residual(self) -> Tensor | None:
        """The int8 tensor that the epilogue adds: of the output's shape and access map."""
        if not self.epilogue.residual:
            return None
        # Whatever packs the output packs the residual, so it needs no access map of its own.
        return replace(self.computation.out, name="residual")
