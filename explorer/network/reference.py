"""What an imported network computes, in integers: its host nodes run as the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explorer.network.graph import Host
from explorer.network.integers import evaluated
from explorer.network.onnx_import import Imported

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

    def host(node: Host, arrays: Mapping[str, Array]) -> dict[str, Array]:
        outputs = hosted(imported, node.name, arrays)
        return {name: outputs[imported.names[name]] for name in node.writes}

    return evaluated(imported.network, imported.values, given, host, nearest=nearest)


# --- The host -------------------------------------------------------------------------------------


def hosted(imported: Imported, name: str, given: Mapping[str, Array]) -> dict[str, Array]:
    """What a host node writes, by the model's names."""
    model, arrays, outputs = host_model(imported, name, given)
    return dict(zip(outputs, execute(model, arrays, outputs), strict=True))


def host_model(
    imported: Imported, name: str, given: Mapping[str, Array]
) -> tuple[onnx.ModelProto, dict[str, Array], list[str]]:
    """A host node as a model of its own, with what it reads and the names of what it writes."""
    nodes = imported.programs[name]
    arrays = {imported.names[n]: array for n, array in given.items()}
    outputs = [n for n in nodes[-1].output if n]
    model = program(imported, nodes, arrays, outputs)
    open_ended = {imported.names[n] for n in given if imported.network.by_name[n].shape is None}
    for value in model.graph.input:
        if value.name in open_ended:
            value.type.tensor_type.ClearField("shape")
    return model, arrays, outputs


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
