"""Operator, instruction and options as clingo facts: the only module that names input predicates.

The text of the facts is what ``explorer facts`` prints, so any run can be repeated with plain
clingo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from clingo import Function, Number, Symbol

from isa.computation import ROLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explorer.embedding import Digit, Embedding
    from isa.computation import Computation, Tensor

CLASSES: dict[str, str] = {
    "padded": "tiles that do not divide their dimension, and axes that are not full",
    "strided": "lanes that are a whole tile count apart",
    "multi": "several dimensions side by side on one axis",
    "swapped": "the two inputs exchange their ports",
    "fused": "several dimensions flattened into one, tiles crossing their borders",
    "skewed": "an output dimension moved against a reduction (banded weight blocks)",
    "diagonal": "a dimension on two axes at once (block-diagonal operand)",
}
DEFAULT_CLASSES: tuple[str, ...] = ("padded", "strided", "multi", "swapped")

# The conditions of the definition itself, on single multiply-accumulates.
DEFINITION: tuple[str, ...] = ("named", "once", "dataflow", "home", "neutral")

# What makes an answer an embedding at all; the classes that are off are enforced by these too.
LEGALITY: tuple[str, ...] = ("shape", "once", "capacity", "neutral", "multi", "padded")


def _atom(name: str, *arguments: str | int) -> Symbol:
    return Function(name, [Number(a) if isinstance(a, int) else Function(a) for a in arguments])


def computation_facts(operator: Computation) -> Iterable[Symbol]:
    """Dimensions, tensors and access maps of an operator."""
    for position, dim in enumerate(operator.dims, start=1):
        yield _atom("dimension", dim.name, position, dim.extent)
    for role in ROLES:
        yield _atom("output" if role == "out" else "input", role)
        for row, expression in enumerate(operator.tensor(role).index):
            for name, coefficient in expression.terms:
                yield _atom("access", role, row, name, coefficient)


def intrinsic_facts(intrinsic: Computation) -> Iterable[Symbol]:
    """Axes and ports of an instruction."""
    for axis in intrinsic.dims:
        yield _atom("axis", axis.name, axis.extent)
    for role in ROLES:
        port = intrinsic.tensor(role)
        yield _atom("output_port" if role == "out" else "input_port", port.name, role)
        for axis in intrinsic.dims:
            if port.varies({axis.name: 1}):
                yield _atom("port_axis", port.name, axis.name)


def dataflow_facts(operator: Computation, intrinsic: Computation) -> Iterable[Symbol]:
    """Both computations one multiply-accumulate at a time: as many facts as they have of those."""
    for computation, element, place in (
        (operator, "scalar", "point"),
        (intrinsic, "cell", "position"),
    ):
        points = np.indices(tuple(computation.extents.values())).reshape(len(computation.dims), -1)
        for dim, values in zip(computation.dims, points.tolist(), strict=True):
            yield from (_atom(place, i, dim.name, value) for i, value in enumerate(values))
        for role in ROLES:
            tensor = computation.tensor(role)
            name = role if computation is operator else tensor.name
            elements = _elements(tensor, computation.extents, points)
            yield from (_atom(element, name, i, value) for i, value in enumerate(elements.tolist()))


def _elements(
    tensor: Tensor, extents: dict[str, int], points: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The element of a tensor that each point uses, as one number; also outside the tensor."""
    point = dict(zip(extents, points, strict=True))
    flat = np.zeros(points.shape[1], np.int64)
    for row in tensor.index:
        low, high = row.bounds(extents)
        flat = flat * (high - low + 1) + row.at(point, np.zeros((), np.int64)) - low
    return flat


def option_facts(
    classes: Iterable[str], *, all_tiles: bool, enforce: Iterable[str]
) -> Iterable[Symbol]:
    """Which classes and tiles are candidates, and which rules hold."""
    yield from (_atom("class", name) for name in classes)
    yield _atom("tiles", "all" if all_tiles else "useful")
    yield from (_atom("enforce", rule) for rule in (*LEGALITY, *enforce))


def place_symbol(digit: Digit) -> Symbol:
    """The ``place/5`` atom of a digit."""
    axis = Function("on", [Function(a) for a in digit.axes])
    subject = Function(digit.dims[-1])
    for name in reversed(digit.dims[:-1]):
        subject = Function("fuse", [Function(name), subject])
    kind = Function(digit.kind)
    if digit.partner is not None:
        kind = Function("skew", [Function(digit.partner), Number(digit.coefficient)])
    return Function(
        "place",
        [
            axis if len(digit.axes) > 1 else Function(digit.axes[0]),
            subject,
            kind,
            Number(digit.lanes),
            Number(digit.outer),
        ],
    )


def wanted_facts(embedding: Embedding) -> Iterable[Symbol]:
    """Facts that leave only one embedding: its binding and its digits."""
    yield _atom("enforce", "wanted")
    yield Function("wanted", [_binding(swapped=embedding.swapped)])
    yield from (Function("wanted", [place_symbol(digit)]) for digit in embedding.digits)


def _binding(*, swapped: bool) -> Symbol:
    return Function("use", [Function("swapped" if swapped else "straight")])


def instance(
    operator: Computation,
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    enforce: Iterable[str] = ("maximal",),
    orders: Iterable[str] = (),
) -> list[Symbol]:
    """All facts of one problem, sorted, so that the same problem gives the same text."""
    facts = [
        *computation_facts(operator),
        *intrinsic_facts(intrinsic),
        *option_facts(classes, all_tiles=all_tiles, enforce=enforce),
        *(_atom("orders", which) for which in orders),
    ]
    return sorted(facts)


def scalar_instance(
    operator: Computation, intrinsic: Computation, classes: Sequence[str] = DEFAULT_CLASSES
) -> list[Symbol]:
    """All facts for the definition on single multiply-accumulates, with every tile, sorted."""
    facts = instance(operator, intrinsic, classes, all_tiles=True, enforce=(*DEFINITION, "drawn"))
    return sorted({*facts, *dataflow_facts(operator, intrinsic)})
