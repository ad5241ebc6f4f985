"""What an imported network computes, in integers: its host nodes run as the model says.

Where the model has floats for what the accelerator has as int8, or sums of 32 bits, a host node
reads the integers as such numbers, and what it writes is rounded to int8 again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explorer.network.graph import NUMBERS, Host, Network
from explorer.network.integers import evaluated
from explorer.network.onnx_file import captured
from explorer.network.onnx_import import Imported
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
        return hosted(imported, node.name, arrays)

    return evaluated(imported.network, imported.values, given, host, nearest=nearest)


# --- The host -------------------------------------------------------------------------------------


def hosted(imported: Imported, name: str, given: Mapping[str, Array]) -> dict[str, Array]:
    """What a host node writes, by the network's names.

    Raises:
        InputError: ONNX Runtime does not run it, as where an index is none that there is.
    """
    node = next(node for node in imported.network.nodes if node.name == name)
    assert isinstance(node, Host)
    types = {n: _type(imported, n) or array.dtype for n, array in given.items()}
    return by_model(
        host_model(imported, name, types), node, imported.network, imported.names, given
    )


def by_model(
    model: onnx.ModelProto,
    node: Host,
    network: Network,
    names: Mapping[str, str],
    given: Mapping[str, Array],
) -> dict[str, Array]:
    """What a host node writes, by a model of its own.

    Args:
        model: what it computes.
        node: the node.
        network: its network.
        names: the model's for the network's tensors.
        given: what it reads, by the network's names.

    Raises:
        InputError: ONNX Runtime does not run it.
    """
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    arrays = {}
    for name, array in given.items():
        wanted = helper.tensor_dtype_to_np_dtype(types[names[name]])
        integers = network.by_name[name].dtype == "int8" and array.dtype == np.int8
        arrays[names[name]] = array.astype(wanted) if integers else array
    with parsing(f"nodes.{node.name}", f"{node.operation}: inputs that ONNX Runtime runs it on"):
        found = execute(model, arrays, [names[name] for name in node.writes])
    return {
        name: _integers(array) if network.by_name[name].dtype == "int8" else array
        for name, array in zip(node.writes, found, strict=True)
    }


def _integers(array: Array) -> Array:
    """Numbers as int8, those halfway between two as the even one."""
    if array.dtype == np.int8:
        return array
    rounded: Array = np.clip(np.nan_to_num(np.rint(array)), -128, 127)
    return rounded.astype(np.int8)


def _type(imported: Imported, name: str) -> np.dtype[Any] | None:
    """The type that the model has for a tensor of the network; None where it does not say."""
    known = imported.model.dtypes.get(imported.names[name], "other")
    return np.dtype(known) if known in NUMBERS else None


def host_types(
    imported: Imported, name: str, computed: Callable[[], Mapping[str, Array]]
) -> dict[str, np.dtype[Any]]:
    """The types of what a host node reads; where the model does not say, `computed` has tensors."""
    node = next(node for node in imported.network.nodes if node.name == name)
    return {n: _type(imported, n) or computed()[n].dtype for n in node.reads}


def host_model(
    imported: Imported, name: str, types: Mapping[str, np.dtype[Any]]
) -> onnx.ModelProto:
    """A host node as a model of its own; `types` are those of what it reads."""
    nodes, tensors = imported.programs[name], imported.network.by_name
    inputs = [
        helper.make_tensor_value_info(
            imported.names[n], helper.np_dtype_to_tensor_dtype(dtype), tensors[n].shape
        )
        for n, dtype in types.items()
    ]
    return program(imported, nodes, inputs, [n for n in nodes[-1].output if n])


def program(
    imported: Imported,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """A model of some nodes, with the constants that they need."""
    whole = imported.model.proto
    constants = imported.model.constants
    read = {name for node in nodes for name in (*node.input, *captured(node))}
    needed = read & constants.keys()
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
