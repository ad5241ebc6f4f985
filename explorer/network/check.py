"""What a network must fulfil: one producer a tensor, an order to run in, views that fit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from explorer.network.graph import DTYPES, Accelerated, Host, Network, Tensor, View, taken
from isa.computation import Operator, Shift
from isa.computation import Tensor as Operand
from isa.errors import InputError

_BYTES = {"int8", "uint8"}
_FEW = 8  # names that an error lists


def check(network: Network, source: str) -> Network:
    """The network itself, if it is one.

    Args:
        network: whose operators have been checked one by one.
        source: the file or argument it comes from, for errors.

    Raises:
        InputError: a name stands twice, a tensor is read that nothing has written by then, is
            written twice or has a type or shape that it cannot have, or a view does not fit.
    """
    _check_unique((t.name for t in network.tensors), source, "tensors")
    _check_unique((n.name for n in network.nodes), source, "nodes")
    for tensor in network.tensors:
        _check_tensor(tensor, source)
    tensors = network.by_name
    _check_border(network, tensors, source)
    _check_order(network, tensors, source)
    for node in network.accelerated:
        _check_operator(node, tensors, source)
    return network


def _check_unique(names: Iterable[str], source: str, field: str) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise InputError(source, field, name, "a name may stand once")
        if not name:
            raise InputError(source, field, name, "a name must not be empty")


def _check_tensor(tensor: Tensor, source: str) -> None:
    """Check what a tensor says of itself."""
    field = f"tensors.{tensor.name}"
    if tensor.dtype not in DTYPES:
        raise InputError(source, f"{field}.dtype", tensor.dtype, f"one of {', '.join(DTYPES)}")
    if tensor.shape is not None and any(extent < 0 for extent in tensor.shape):
        raise InputError(source, f"{field}.shape", list(tensor.shape), "extents are 0 or more")
    scales = tensor.scale if isinstance(tensor.scale, tuple) else (tensor.scale,)
    for scale in scales:
        if scale is not None and not 0 < scale < math.inf:
            raise InputError(source, f"{field}.scale", scale, "must be a number above 0")
    if isinstance(tensor.scale, tuple) and not tensor.constant:
        allowed = "only a constant has a scale for each output channel"
        raise InputError(source, f"{field}.scale", list(scales), allowed)


def _check_border(network: Network, tensors: Mapping[str, Tensor], source: str) -> None:
    """Check the names of what is given and what is wanted."""
    for field, names in (("inputs", network.inputs), ("outputs", network.outputs)):
        _check_unique(names, source, field)
        for name in names:
            _check_known(name, tensors, source, field)
            if field == "inputs" and tensors[name].constant:
                raise InputError(source, field, name, "a constant is not given")
    if not network.outputs:
        raise InputError(source, "outputs", None, "a network has at least one output")


def _check_known(name: str, tensors: Mapping[str, Tensor], source: str, field: str) -> None:
    if name not in tensors:
        known = ", ".join([*list(tensors)[:_FEW], *["…"] * (len(tensors) > _FEW)])
        raise InputError(source, field, name, f"no such tensor; there are {known}")


def _check_order(network: Network, tensors: Mapping[str, Tensor], source: str) -> None:
    """Check that each tensor is there before it is read, and written once."""
    there = set(network.inputs) | {t.name for t in network.tensors if t.constant}
    for node in network.nodes:
        field = f"nodes.{node.name}"
        for name in node.reads:
            _check_known(name, tensors, source, f"{field}.inputs")
            if name not in there:
                allowed = "an input, a constant, or written by a node before this one"
                raise InputError(source, f"{field}.inputs", name, allowed)
        for name in node.writes:
            _check_known(name, tensors, source, f"{field}.outputs")
            if name in there:
                allowed = "must be no input, no constant, and written by no other node"
                raise InputError(source, f"{field}.outputs", name, allowed)
            there.add(name)
        if isinstance(node, Host) and not node.writes:
            raise InputError(source, f"{field}.outputs", None, "a node has an output")
    for name in network.outputs:
        if name not in there:
            raise InputError(source, "outputs", name, "no node writes it")


def _check_operator(node: Accelerated, tensors: Mapping[str, Tensor], source: str) -> None:
    """Check that each tensor of the operator is seen through one view that fits."""
    field = f"nodes.{node.name}"
    wanted = list(taken(node.operator))
    names, given = [t.name for t, _ in wanted], [view.operand for view in node.inputs]
    if names != given:
        allowed = f"one view for each tensor that the operator takes: {', '.join(names)}"
        raise InputError(source, f"{field}.inputs", ", ".join(given), allowed)
    out = node.operator.out
    if node.output.operand != out.name:
        raise InputError(source, f"{field}.output", node.output.operand, f"must be {out.name}")
    for view, (operand, product) in zip(node.inputs, wanted, strict=True):
        _check_view(view, operand, tensors, source, f"{field}.inputs.{operand.name}")
        bits = 8 if product else _bits(node.operator, operand)
        _check_type(tensors[view.tensor], bits, source, f"{field}.inputs.{operand.name}")
    _check_view(node.output, out, tensors, source, f"{field}.output")
    _check_type(tensors[node.output.tensor], 8, source, f"{field}.output")
    constants = {term.computation.tensor(r).name for term in node.operator.terms
                 for r in term.constants}  # fmt: skip
    for view in node.inputs:
        if view.operand in constants and not tensors[view.tensor].constant:
            allowed = f"{view.operand} is constant in the operator, so it must be here"
            raise InputError(source, f"{field}.inputs.{view.operand}", view.tensor, allowed)


def _bits(operator: Operator, operand: Operand) -> int:
    """Of how many bits the integers are that a step takes."""
    for stage in operator.stages:
        if isinstance(stage, Shift) and stage.amount == operand:
            return 8
        if getattr(stage, "value", None) == operand:
            return int(getattr(stage, "bits", 32))
    return 8


def _check_view(
    view: View, operand: Operand, tensors: Mapping[str, Tensor], source: str, field: str
) -> None:
    tensor = tensors[view.tensor]
    if tensor.shape is None:
        raise InputError(source, field, view.tensor, "an operator's tensor has a known shape")
    if not math.prod(view.split) == tensor.size == operand.size:
        allowed = (
            f"{view.tensor} has {tensor.size} elements, {operand.name} {operand.size}, and the "
            "extents must have as many"
        )
        raise InputError(source, f"{field}.split", list(view.split), allowed)
    if sorted(view.order) != list(range(len(view.split))):
        allowed = f"each axis of the split once, 0 to {len(view.split) - 1}"
        raise InputError(source, f"{field}.order", list(view.order), allowed)


def _check_type(tensor: Tensor, bits: int, source: str, field: str) -> None:
    # Constants are packed offline, from whatever integers they are kept in.
    allowed = _BYTES if bits <= 8 and not tensor.constant else {*_BYTES, "int16", "int32"}
    if tensor.dtype not in allowed:
        text = f"the tensor's type must be {' or '.join(sorted(allowed))}"
        raise InputError(source, field, f"{tensor.name}: {tensor.dtype}", text)
