"""Operators that networks are made of: products of one name a kind, joined over a Concat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from explorer.network.graph import View
from isa.computation import Affine, Computation, Dimension, Operator, Stage, Tensor, Term


def generic(operator: Operator) -> Operator:
    """The operator under its kind's name, so that equal layers have equal operators."""
    return replace(operator, name=operator.kind)


def numbered(computation: Computation, number: int) -> Computation:
    """A computation with its inputs named as a term's are: ``data`` of the first, ``data_2``."""
    if number == 1:
        return computation
    in0, in1 = (replace(t, name=f"{t.name}_{number}") for t in (computation.in0, computation.in1))
    return replace(computation, in0=in0, in1=in1)


def joined(parts: Sequence[Operator]) -> Operator:
    """The products of all parts into one output, then the steps of the first part.

    Args:
        parts: operators of one term each, with the same output.
    """
    terms: list[Stage] = [
        replace(part.only, computation=numbered(part.computation, number))
        for number, part in enumerate(parts, 1)
    ]
    steps = [stage for stage in parts[0].stages if not isinstance(stage, Term)]
    return generic(replace(parts[0], stages=(*terms, *steps)))


def scaled(shape: tuple[int, ...], name: str, weight: str) -> Computation:
    """A product that copies a tensor: each element times one number, as the kind `add` begins.

    Args:
        shape: of the tensor, and of the output.
        name: of the tensor.
        weight: the name of the number.
    """
    dims = tuple(Dimension(f"i{axis}", extent) for axis, extent in enumerate(shape))
    index = tuple(Affine.of({dim.name: 1}) for dim in dims)
    letters = "NCHWDEFGIJKLMOPQ"[: len(shape)]
    return Computation(
        "add",
        dims,
        Tensor(name, shape, index, letters),
        Tensor(weight, (1,), (Affine.of({}),), "S"),
        Tensor("output", shape, index, letters),
    )


def seen(operand: Tensor, tensor: str) -> View:
    """An operand that has the elements of a network's tensor in their order."""
    return View.plain(operand.name, tensor, operand.shape)
