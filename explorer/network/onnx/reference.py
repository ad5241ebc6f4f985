"""What an imported network computes, in integers: its host nodes run as the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explorer.network.graph import Host, Tensor
from explorer.network.integers import cast, evaluated
from explorer.network.onnx.file import number_of
from explorer.network.onnx.importing import Imported
from explorer.network.onnx.shapes import captured
from isa.errors import InputError
from isa.files import parsing

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
    """What a host node writes, by the model's names; in the types that the network has.

    Raises:
        InputError: the node cannot be run, or writes what is no tensor.
    """
    model, names = host_model(imported, name, given)
    arrays = {imported.names[n]: array for n, array in given.items()}
    tensors = imported.network.by_name
    wanted = {old: tensors[new] for new, old in imported.names.items()}
    source = f"{imported.network.name}: nodes.{name}"
    return hosted_by(model, arrays, {n: wanted[n] for n in names if n in wanted}, source)


def hosted_by(
    model: onnx.ModelProto, given: Mapping[str, Array], outputs: Mapping[str, Tensor], source: str
) -> dict[str, Array]:
    """What the model of a host node writes, in the types that the network has.

    Args:
        model: of the node.
        given: what it reads, by the model's names.
        outputs: the network's tensors by the model's names.
        source: the node, for errors.

    Raises:
        InputError: it cannot be run, or writes what is no tensor.
    """
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    arrays = {
        name: cast(array, helper.tensor_dtype_to_np_dtype(types[name]))
        for name, array in given.items()
    }
    with parsing(source, "must be a node that ONNX Runtime runs on what it reads"):
        found = execute(model, arrays, list(outputs))
    made = {}
    for (name, tensor), value in zip(outputs.items(), found, strict=True):
        # The evaluator gives numbers where ONNX Runtime has arrays without axes.
        if not isinstance(value, np.ndarray | np.generic):
            raise InputError(source, name, type(value).__name__, "nodes write tensors only")
        array = np.asarray(value)
        own = tensor.dtype in {"int8", "uint8"} and array.dtype.kind in "fiu"
        made[name] = cast(array, np.dtype(tensor.dtype)) if own else array
    return made


def host_model(
    imported: Imported, name: str, given: Mapping[str, Array]
) -> tuple[onnx.ModelProto, list[str]]:
    """A host node as a model of its own, and the names of what it writes."""
    nodes = imported.programs[name]
    tensors, dtypes = imported.network.by_name, imported.model.dtypes
    inputs = []
    for new, array in given.items():
        old = imported.names[new]
        number = int(helper.np_dtype_to_tensor_dtype(array.dtype))
        # Integers of the network are floats of a model of floats.
        if tensors[new].dtype != dtypes.get(old, "other") != "other":
            number = number_of(dtypes[old])
        shape = None if tensors[new].shape is None else array.shape
        inputs.append(helper.make_tensor_value_info(old, number, shape))
    outputs = [n for n in nodes[-1].output if n]
    return program(imported, nodes, inputs, outputs), outputs


def program(
    imported: Imported,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """A model of some nodes with these inputs; constants are its own."""
    whole = imported.model.proto
    constants = imported.model.constants
    read = {name for node in nodes for name in (*node.input, *captured(node))}
    needed = {name for name in read if name in constants}
    graph = helper.make_graph(
        list(nodes),
        "part",
        list(inputs),
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

    The evaluator of the onnx package is slower and knows the standard's operations only. What is no
    tensor is a list or a dictionary.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - not needed where it is not installed
    except ImportError:
        return list(ReferenceEvaluator(model).run(list(outputs), dict(given)))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(list(outputs), dict(given)))
