"""Iteration domain, tensors and access maps: what an operator and an instruction have in common.

A computation runs one statement, ``out[Ao·i] += in0[A0·i] * in1[A1·i]``, at every point ``i`` of a
box. An operator is a computation over its own dimensions; an instruction is a computation over its
axes, whose tensors are its ports. Reads outside a tensor's bounds are zero, writes outside are
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError

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
        return cls(tuple(sorted([(n, c) for n, c in coefficients.items() if c])), const)

    def coefficient(self, name: str) -> int:
        """The coefficient of a dimension, 0 when the expression does not use it."""
        return dict(self.terms).get(name, 0)

    def along(self, direction: Mapping[str, int]) -> int:
        """How much the value changes by one step along a direction."""
        change = 0
        for name, c in self.terms:  # a loop: designs ask this more often than anything else
            if name in direction:
                change += c * direction[name]
        return change

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
class Fill:
    """What the second input of a term holds, where the operator itself says it.

    Attributes:
        value: an int8, of every element.
        identity: only of those whose first half of indices is the second half; others are zero.
    """

    value: int = 1
    identity: bool = False

    def array(self, shape: Sequence[int]) -> NDArray[np.int8]:
        """The tensor; of an identity, the second half of the shape is the first half again."""
        if not self.identity:
            return np.full(shape, self.value, np.int8)
        rows = int(np.prod(shape[: len(shape) // 2]))
        return (np.eye(rows, dtype=np.int8) * np.int8(self.value)).reshape(shape)

    def __str__(self) -> str:
        return f"{self.value} * identity" if self.identity else str(self.value)


@dataclass(frozen=True, slots=True)
class Term:
    """A stage that adds a computation's products to the accumulators.

    Attributes:
        computation: the products; its inputs are int8.
        constants: the inputs that are known offline (weights), so that packing them costs nothing.
        fill: what the second input holds, if that is not given with the data.
    """

    computation: Computation
    constants: frozenset[Role] = frozenset({"in1"})
    fill: Fill | None = None

    def __str__(self) -> str:
        return f"{self.computation.in0.name} * {self.computation.in1.name}"


@dataclass(frozen=True, slots=True)
class Add:
    """A stage that adds a number, or a tensor over dimensions of the output (wraps).

    Attributes:
        value: what is added; a tensor's access map uses dimensions of the output only.
        bits: a tensor's values are signed integers of so many bits, 1 to 32.
        left: how far a tensor's values are shifted to the left before, 0 to 31.
    """

    value: int | Tensor
    bits: int = 32
    left: int = 0

    def __str__(self) -> str:
        if isinstance(self.value, int):
            return f"+ {self.value}"
        return f"+ {self.value.name}" if not self.left else f"+ ({self.value.name} << {self.left})"


Rounding = Literal["floor", "half-up", "half-even"]
ROUNDINGS: tuple[Rounding, ...] = ("floor", "half-up", "half-even")


@dataclass(frozen=True, slots=True)
class Shift:
    """A stage that divides by a power of two, or multiplies by one (which wraps).

    Attributes:
        amount: how far to the right, -31 to 31 (to the left where it is negative); or a tensor of
            such amounts over dimensions of the output.
        rounding: which integer a quotient becomes: the one below, the nearest (of two that are as
            near, the greater: half-up, or the even one: half-even). It is exact: the sum with a
            half does not wrap.
        span: least and greatest amount that a tensor may hold.
    """

    amount: int | Tensor
    rounding: Rounding = "floor"
    span: tuple[int, int] = (0, 15)

    @property
    def reach(self) -> tuple[int, int]:
        """Least and greatest amount."""
        return self.span if isinstance(self.amount, Tensor) else (self.amount, self.amount)

    def __str__(self) -> str:
        if isinstance(self.amount, int) and self.amount < 0:
            return f"<< {-self.amount}"
        by = self.amount.name if isinstance(self.amount, Tensor) else self.amount
        return f">> {by}" + ("" if self.rounding == "floor" else f" ({self.rounding})")


@dataclass(frozen=True, slots=True)
class Max:
    """A stage that raises lesser values to a bound, an int32."""

    bound: int

    def __str__(self) -> str:
        return f"max {self.bound}"


@dataclass(frozen=True, slots=True)
class Min:
    """A stage that lowers greater values to a bound, an int32."""

    bound: int

    def __str__(self) -> str:
        return f"min {self.bound}"


Step = Add | Shift | Max | Min
Stage = Term | Step


@dataclass(frozen=True, slots=True)
class Epilogue:
    """The steps that usually turn an int32 accumulator into an int8 output, in this order.

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

    def steps(self, out: Tensor) -> tuple[Step, ...]:
        """The same as steps on the accumulators of a tensor."""
        steps: list[Step] = []
        if self.bias is not None:
            steps.append(Add(self.bias))
        if self.shift:
            steps.append(Shift(self.shift))
        if self.residual:
            # Whatever packs the output packs the residual, so it needs no access map of its own.
            steps.append(Add(replace(out, name="residual"), bits=8))
        if self.relu:
            steps.append(Max(0))
        if self.clip is not None:
            steps += [Max(self.clip[0]), Min(self.clip[1])]
        return tuple(steps)

    @classmethod
    def of(cls, steps: Sequence[Step], out: Tensor) -> Epilogue | None:
        """The epilogue that has these steps; None if none has."""
        left = list(steps)
        bias = residual = clip = None
        shift = 0
        # A residual has 8 bits, so a first tensor of 32 is the bias.
        if left and isinstance(add := left[0], Add) and add.bits == 32:
            bias = add.value if isinstance(add.value, Tensor) else None
            del left[0]
        if left and isinstance(move := left[0], Shift) and isinstance(move.amount, int):
            shift = move.amount
            del left[0]
        if left and isinstance(add := left[0], Add) and isinstance(add.value, Tensor):
            residual = add.value
            del left[0]
        if len(left) > 1 and isinstance(high := left[-1], Min) and isinstance(low := left[-2], Max):
            clip = (low.bound, high.bound)
            del left[-2:]
        found = cls(shift, bias, residual is not None, left == [Max(0)], clip)
        return found if found.steps(out) == tuple(steps) else None


@dataclass(frozen=True, slots=True)
class Operator:
    """Stages on one int32 accumulator for each element of the output, in order.

    The accumulators start at zero. The first stage is a term, and all terms have one output: the
    same tensor under the same access map, up to the names of its dimensions. The output is the low
    8 bits of what the last stage leaves.

    Attributes:
        name: the text it was given as, or a document's name.
        kind: the constructor's name, or the document's.
        stages: terms and steps.
    """

    name: str
    kind: str
    stages: tuple[Stage, ...]

    @classmethod
    def of(
        cls,
        name: str,
        kind: str,
        computation: Computation,
        epilogue: Epilogue = Epilogue(),
        constants: frozenset[Role] = frozenset({"in1"}),
    ) -> Operator:
        """The operator of one product with an epilogue."""
        return cls(name, kind, (Term(computation, constants), *epilogue.steps(computation.out)))

    @property
    def terms(self) -> tuple[Term, ...]:
        """The stages that are products."""
        return tuple(stage for stage in self.stages if isinstance(stage, Term))

    @property
    def out(self) -> Tensor:
        """The output, as the first term sees it."""
        return self.terms[0].computation.out

    @property
    def useful_macs(self) -> int:
        """Multiply-accumulates of all terms whose output is kept."""
        return sum(term.computation.useful_macs for term in self.terms)

    @property
    def only(self) -> Term:
        """The term of an operator that has one.

        Raises:
            InputError: it has several.
        """
        if len(self.terms) > 1:
            text = ", ".join(map(str, self.terms))
            raise InputError(self.name, "stages", text, "this takes operators of one term only")
        return self.terms[0]

    @property
    def computation(self) -> Computation:
        """The computation of the only term.

        Raises:
            InputError: there are several terms.
        """
        return self.only.computation

    @property
    def constants(self) -> frozenset[Role]:
        """The constant inputs of the only term.

        Raises:
            InputError: there are several terms.
        """
        return self.only.constants

    @property
    def epilogue(self) -> Epilogue:
        """What follows the only term, where it is what an epilogue has.

        Raises:
            InputError: there are several terms, or other steps than an epilogue has.
        """
        assert self.only is self.terms[0]
        steps = self.steps
        found = Epilogue.of(steps, self.out)
        if found is None:
            text = ", ".join(map(str, steps))
            allowed = (
                "this takes a term and then, in this order, + bias of 32 bits, "
                ">> 0 to 31 (floor), + residual, max 0, max and min of a clip"
            )
            raise InputError(self.name, "stages", text, allowed)
        return found

    @property
    def steps(self) -> tuple[Step, ...]:
        """The stages that are no terms."""
        return tuple(stage for stage in self.stages if not isinstance(stage, Term))

    def followed_by(self, epilogue: Epilogue) -> Operator:
        """The same terms with another epilogue behind all of them."""
        return replace(self, stages=(*self.terms, *epilogue.steps(self.out)))
