"""What a network computes, in integers: operators from their maps, other nodes as somebody says.

Knows nothing of embeddings or programs: what they make of a network has to be this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.network.graph import Accelerated, Host, Network, Tensor, operand
from isa.errors import InputError
from simulator.reference import evaluate

Array = NDArray[Any]


def evaluated(
    network: Network,
    values: Mapping[str, Array],
    given: Mapping[str, Array],
    host: Callable[[Host, Mapping[str, Array]], Mapping[str, Array]],
    *,
    nearest: bool = False,
) -> dict[str, Array]:
    """All tensors of a network that vary, and its outputs, by name.

    Args:
        network: the network.
        values: the integers of its constants by name.
        given: its inputs by name.
        host: what a host node writes, from what it reads.
        nearest: as for `run`.

    Raises:
        InputError: as `run`.
    """
    tensors = network.by_name
    found = dict(_inputs(network, given))
    found |= {name: values[name] for name in network.outputs if tensors[name].constant}
    for node in network.nodes:
        if isinstance(node, Accelerated):
            if node.inexact and not nearest:
                raise InputError(network.name, f"nodes.{node.name}", node.inexact[0],
                                 "only exact nodes are evaluated, unless asked for")  # fmt: skip
            found[node.output.tensor] = accelerated(node, tensors, found, values)
        else:
            found |= checked(tensors, node, host(node, {n: found[n] for n in node.reads}))
    return found


def checked(
    tensors: Mapping[str, Tensor], node: Host, written: Mapping[str, Array]
) -> Mapping[str, Array]:
    """What a host node has written, if it is what the network takes it for.

    Raises:
        InputError: a tensor has another shape or type, as where shapes are inferred by other rules
            than those by which the node is run.
    """
    for name, array in written.items():
        tensor, shape = tensors[name], getattr(array, "shape", None)
        dtype = getattr(getattr(array, "dtype", None), "name", "other")
        right = tensor.shape is None or tensor.shape == shape
        if not right or tensor.dtype not in {"other", dtype}:
            found = f"{dtype}, {shape}"
            allowed = f"the network has {tensor.dtype}, {tensor.shape}"
            raise InputError(node.name, f"outputs.{name}", found, allowed)
    return written


def _inputs(network: Network, given: Mapping[str, Array]) -> Mapping[str, Array]:
    for name in network.inputs:
        shape = network.by_name[name].shape
        if name not in given:
            raise InputError(network.name, f"inputs.{name}", None, f"an array of shape {shape}")
        if shape is not None and given[name].shape != shape:
            allowed = f"must have shape {shape}"
            raise InputError(network.name, f"inputs.{name}", given[name].shape, allowed)
    return {name: given[name] for name in network.inputs}


def accelerated(
    node: Accelerated,
    tensors: Mapping[str, Tensor],
    found: Mapping[str, Array],
    values: Mapping[str, Array],
) -> Array:
    """The tensor that an operator writes.

    Raises:
        InputError: a constant has no values.
    """
    arrays: dict[str, Array] = {}
    for view in node.inputs:
        tensor = tensors[view.tensor]
        if tensor.constant and view.tensor not in values:
            allowed = "a model of floats has no integers to compute with"
            raise InputError(node.name, view.operand, None, allowed)
        array = values[view.tensor] if tensor.constant else signed(found[view.tensor])
        arrays[view.operand] = view.read(array, operand(node.operator, view.operand).shape)
    tensor = tensors[node.output.tensor]
    written = node.output.write(evaluate(node.operator, arrays), tensor.shape or ())
    return np.ascontiguousarray(as_model(written, tensor))


def cast(array: Array, dtype: np.dtype[Any]) -> Array:
    """An array in the type that somebody else has it in: the same numbers, as near as can be.

    In a model of floats, what the accelerator reads and writes are integers without a scale; the
    host's nodes have them as floats of the same value, and their results are rounded, half to
    even, and clipped.
    """
    if array.dtype == dtype:
        return array
    if dtype.kind not in "iu":
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    whole = np.rint(np.nan_to_num(array.astype(np.float64)))
    return np.clip(whole, limits.min, limits.max).astype(dtype)


def signed(array: Array) -> Array:
    """A tensor as the accelerator has it: unsigned bytes with their top bits flipped."""
    return (array ^ 0x80).view(np.int8) if array.dtype == np.uint8 else array


def as_model(array: NDArray[np.int8], tensor: Tensor) -> Array:
    """The reverse: an int8 array with the type that the tensor has in the model."""
    return array.view(np.uint8) ^ np.uint8(0x80) if tensor.dtype == "uint8" else array
