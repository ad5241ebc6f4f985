"""An embedding as a typed value: which dimensions lie on which axis, and how.

An answer set names digits; `explorer.embedding.virtual_loops.nest` turns them into loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from isa.computation import Computation, Role

Kind = Literal["contiguous", "strided", "skew", "diagonal"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Digit:
    """A loop of `lanes` iterations on an axis (or, diagonal, on two), cut from one subject.

    Attributes:
        axes: one axis, or two for a diagonal digit.
        dims: the dimension, or those fused in operator order (the last one runs fastest).
        kind: contiguous (``value = lanes*outer + lane``), strided (``value = outer_extent*lane +
            outer``), skew or diagonal (both contiguous).
        lanes: iterations on the axis.
        outer: iterations left to the outer loop.
        partner: for a skew, the dimension that moves along.
        coefficient: for a skew, by how much the partner moves for one lane.
    """

    axes: tuple[str, ...]
    dims: tuple[str, ...]
    kind: Kind
    lanes: int
    outer: int
    partner: str | None = None
    coefficient: int = 0

    @property
    def subject(self) -> str:
        """The name of what is cut: a dimension, or fused ones joined by dots."""
        return ".".join(self.dims)

    def __str__(self) -> str:
        skew = f"~{self.partner}{self.coefficient:+d}" if self.partner else ""
        return f"{self.subject}{skew}{'%' if self.kind == 'strided' else ':'}{self.lanes}"


@dataclass(frozen=True, slots=True)
class Embedding:
    """One embedding: the binding of the inputs to the ports, and the digits on the axes.

    Attributes:
        swapped: whether the two inputs exchange their ports.
        digits: on an axis the first digit is the slowest (the lane order). Where that leaves a
            choice they stand by axis, then in operator order; see `arrange`.
        order: the outer loops, the slowest first, each by its first dimension; empty where they are
            in operator order.
    """

    swapped: bool
    digits: tuple[Digit, ...]
    order: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A readable name, stable across runs: ``swap/y=oh:4,ow:4/z=ic.kh.kw:16``.

        An order of the outer loops that is not the operator's follows, as ``@ow,oh``.
        """
        parts = ["swap"] if self.swapped else []
        before: tuple[str, ...] = ()
        for digit in self.digits:
            if digit.axes == before:
                parts[-1] += f",{digit}"
            else:
                before = digit.axes
                parts.append(f"{'+'.join(before)}={digit}")
        # An empty id would be no argument for a command line.
        parts += [] if self.digits else ["scalar"]
        return "/".join([*parts, "@" + ",".join(self.order)] if self.order else parts)

    @property
    def complexity(self) -> tuple[int, int, int, str]:
        """What decides between equals: fewer classes, strided digits, digits; then the id."""
        strided = sum(d.kind == "strided" for d in self.digits)
        named = [name for name in self.classes if name != "tile"]
        return len(named), strided, len(self.digits), self.id

    def role(self, role: Role) -> Role:
        """The operator's tensor that the instruction's port of this role holds."""
        if not self.swapped or role == "out":
            return role
        return "in1" if role == "in0" else "in0"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it belongs to, of those that its digits alone show."""
        # Asked of every embedding that there is, so that one look at each digit has to do.
        kinds, fused, axes = set[Kind](), False, list[str]()
        for digit in self.digits:
            kinds.add(digit.kind)
            fused = fused or len(digit.dims) > 1
            axes += digit.axes
        found = (
            ("swapped", self.swapped),
            ("strided", "strided" in kinds),
            ("fused", fused),
            ("skewed", "skew" in kinds),
            ("diagonal", "diagonal" in kinds),
            ("multi", len({*axes}) < len(axes)),
        )
        return tuple([name for name, holds in found if holds]) or ("tile",)


def digit_order(
    operator: Computation, intrinsic: Computation
) -> Callable[[Digit], tuple[int, list[int], int]]:
    """The key by which digits are in canonical order; different digits have different keys."""
    place = {a.name: i for i, a in enumerate(intrinsic.dims)}
    position = {d.name: i for i, d in enumerate(operator.dims)}
    return lambda d: (len(d.axes), [place[a] for a in d.axes], position[d.dims[0]])


def canonical(
    swapped: bool, digits: Iterable[Digit], operator: Computation, intrinsic: Computation
) -> Embedding:
    """The embedding with the lanes and outer loops in operator order, diagonal digits last."""
    return Embedding(swapped, tuple(sorted(digits, key=digit_order(operator, intrinsic))))


def arrange(
    embedding: Embedding, operator: Computation, lanes: Sequence[str], order: Sequence[str]
) -> Embedding:
    """The embedding with other orders.

    Args:
        embedding: one with canonical orders.
        operator: what is embedded.
        lanes: the first dimensions of all digits: on each axis, the slowest first. What it says of
            digits that share no axis makes no difference to the result.
        order: the first dimensions of all outer loops, the slowest first.
    """
    rank = {name: i for i, name in enumerate(lanes)}
    left, digits = list(embedding.digits), []
    # The first digit that is slowest on all its axes goes next. So ids depend on the order within
    # each axis only, and orders that make no difference have one id.
    while left:
        free = next(
            d
            for d in left
            if all(rank[d.dims[0]] <= rank[e.dims[0]] for e in left if set(d.axes) & set(e.axes))
        )
        left.remove(free)
        digits.append(free)
    # The usual order is not told, so that it has the same id as where no order was asked for.
    usual = [name for name in operator.extents if name in order]
    return replace(
        embedding, digits=tuple(digits), order=() if list(order) == usual else tuple(order)
    )
