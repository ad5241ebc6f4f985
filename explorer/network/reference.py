"""What a network computes, in integers: operators from their maps, other nodes as the model says.

Knows nothing of embeddings or programs: what they make of a network has to be this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explorer.network.graph import Accelerated, Network, Tensor, operand
from explorer.network.onnx_import import Imported
from isa.errors import InputError
from simulator.reference import evaluate

Array = NDArray[Any]


def run(
    imported: Imported, given: Mapping[str, Array], *, nearest: bool = False
) -> dict[str, Array]:
    """All tensors of a network that vary, by name, with the model's own types.

    Args:
        imported: the network with its constants.
        given: its inputs by name.
        nearest: whether nodes whose integers are not the model's are evaluated too.

    Raises:
        InputError: an input is missing or of another shape, or a node is not exact and `nearest`
            is not said.
    """
    network = imported.network
    found = dict(_inputs(network, given))
    tensors = network.by_name
    for node in network.nodes:
        if isinstance(node, Accelerated):
            if node.inexact and not nearest:
                raise InputError(network.name, f"nodes.{node.name}", node.inexact[0],
                                 "only exact nodes are evaluated, unless asked for")  # fmt: skip
            found[node.output.tensor] = _accelerated(node, tensors, found, imported.values)
            continue
        outputs = _hosted(imported, node.name, {n: found[n] for n in node.reads})
        found |= {name: outputs[imported.names[name]] for name in node.writes}
    return found


def _inputs(network: Network, given: Mapping[str, Array]) -> Mapping[str, Array]:
    for name in network.inputs:
        shape = network.by_name[name].shape
        if name not in given:
            raise InputError(network.name, f"inputs.{name}", None, f"an array of shape {shape}")
        if shape is not None and given[name].shape != shape:
            allowed = f"must have shape {shape}"
            raise InputError(network.name, f"inputs.{name}", given[name].shape, allowed)
    return {name: given[name] for name in network.inputs}


def _accelerated(
    node: Accelerated,
    tensors: Mapping[str, Tensor],
    found: Mapping[str, Array],
    values: Mapping[str, Array],
) -> Array:
    """The tensor that an operator writes."""
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


def signed(array: Array) -> Array:
    """A tensor as the accelerator has it: unsigned bytes with their top bits flipped."""
    return (array ^ 0x80).view(np.int8) if array.dtype == np.uint8 else array


def as_model(array: NDArray[np.int8], tensor: Tensor) -> Array:
    """The reverse: an int8 array with the type that the tensor has in the model."""
    return array.view(np.uint8) ^ np.uint8(0x80) if tensor.dtype == "uint8" else array


# --- The host -------------------------------------------------------------------------------------


def _hosted(imported: Imported, name: str, given: Mapping[str, Array]) -> dict[str, Array]:
    """What a host node writes, by the model's names."""
    nodes = imported.programs[name]
    arrays = {imported.names[n]: array for n, array in given.items()}
    outputs = [n for n in nodes[-1].output if n]
    model = program(imported, nodes, arrays, outputs)
    return dict(zip(outputs, execute(model, arrays, outputs), strict=True))


def program(
    imported: Imported,
    nodes: Sequence[onnx.NodeProto],
    given: Mapping[str, Array],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """A model of some nodes: what is given are its inputs, constants its own."""
    whole = imported.model.proto
    constants = imported.model.constants
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    ]
    needed = {name for node in nodes for name in node.input if name in constants}
    graph = helper.make_graph(
        list(nodes),
        "part",
        inputs,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(constants[name], name) for name in sorted(needed)],
    )
    return helper.make_model(
        graph,
        opset_imports=list(whole.opset_import),
        ir_version=whole.ir_version,
        functions=list(whole.functions),
    )


def execute(
    model: onnx.ModelProto, given: Mapping[str, Array], outputs: Sequence[str]
) -> list[Array]:
    """The outputs of a model: by ONNX Runtime without optimisation, or else by the evaluator.

    The evaluator of the onnx package is slower and knows the standard's operations only.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - not needed where it is not installed
    except ImportError:
        return [np.asarray(a) for a in ReferenceEvaluator(model).run(list(outputs), dict(given))]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(a) for a in session.run(list(outputs), dict(given))]
