"""An ONNX file as lists of operations: shapes known as far as they can be, constants evaluated.

The one place where `onnx` reads a file. What is wrong with one is said in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.network.graph import DTYPES, Dtype
from explorer.network.onnx.shapes import given_inputs, graphs_in, set_shapes, shape_of
from isa.errors import InputError
from isa.files import parsing, read_bytes

try:
    import onnx
    from onnx import external_data_helper, helper, inliner, numpy_helper, shape_inference
    from onnx.defs import onnx_opset_version
    from onnx.reference import ReferenceEvaluator
except ImportError:  # an extra: without it there are documents and shipped networks
    raise InputError(
        "onnx", "", None, "ONNX models need the extra: pip install 'vta-explorer[onnx]'"
    ) from None

Array = NDArray[Any]

OLDEST = 7
"""Of the versions of the standard operations; before it they broadcast by other rules."""

MOST_ROUNDS = 500
"""Rounds of evaluating constants and inferring shapes; each may make the next one possible, as the
shape of each layer does that of the next one where layers compute the shapes that they need."""

_MOST_READ = 1024  # elements of constants that may be extents, as inference reads these
_MOST_FOLDED = 2**26  # elements of what is evaluated
_MOST_NODES = 2**20  # once functions are written out
_ALLOWED = "must be an ONNX model"
_FOLDED = {
    "Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten",
    "Floor", "Gather", "Identity", "Max", "Min", "Mod", "Mul", "Neg", "Pow", "QuantizeLinear",
    "Range", "Reciprocal", "ReduceProd", "Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose",
    "Unsqueeze", "Where",
}  # fmt: skip
"""Operations that are evaluated where all that they read is constant."""

STANDARD = {"", "ai.onnx"}
"""Names of the standard's domain."""

_CONTRIBUTED = {
    "QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearAdd", "QLinearConcat",
    "QLinearGlobalAveragePool", "QLinearAveragePool", "QGemm", "QLinearMul", "QLinearSigmoid",
    "QLinearLeakyRelu", "QLinearSoftmax", "QLinearWhere",
}  # fmt: skip
"""Operations of ONNX Runtime's own domain whose meaning is known here."""


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operation of the model, or one of several that say the same.

    Attributes:
        kind: its type, as ONNX names it.
        inputs: names of tensors, "" where one is left out.
        outputs: names of tensors.
        attributes: by name.
        origin: the number of the model's node that it comes from.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    origin: int

    def input(self, number: int) -> str:
        """The name of an input, "" where it is left out."""
        return self.inputs[number] if number < len(self.inputs) else ""


@dataclass(slots=True)
class Model:
    """What a file says.

    Attributes:
        name: of the file.
        path: the file.
        proto: all of it, with constants evaluated and shapes inferred.
        nodes: its nodes in order.
        names: a name for each of them, unique.
        constants: values by name.
        shapes: of tensors; None where an extent is not known.
        dtypes: of tensors.
        sequences: names of what is no tensor.
        inputs: tensors that are given.
        outputs: tensors that are wanted.
    """

    name: str
    path: Path
    proto: onnx.ModelProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    dtypes: dict[str, Dtype] = field(default_factory=dict)
    sequences: set[str] = field(default_factory=set)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    """The model in a file.

    Args:
        path: the file.
        shapes: of inputs by name. Where neither says it, an input's first extent is 1, and one that
            has the name of another is as long.

    Raises:
        InputError: it is no ONNX model, of versions that are not known, or has no such input.
    """
    proto = _parsed(path)
    _check_versions(proto, str(path))
    set_shapes(proto, shapes, str(path))
    constants = _settled(proto)
    model = Model(path.stem, path, proto, list(proto.graph.node), constants=constants)
    model.names = unique([node.name or node.op_type for node in model.nodes])
    _describe(model)
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    data = read_bytes(path, _ALLOWED)
    source = str(path)
    with parsing(source, _ALLOWED):
        proto = onnx.load_model_from_string(data)
    # Many files that are no models parse as one that is empty.
    if not proto.ir_version or not proto.graph.node:
        raise InputError(source, "", "a file without nodes", _ALLOWED)
    for node in proto.graph.node:
        for name in (node.name, node.op_type, *node.input, *node.output):
            # What is no UTF-8 comes as bytes.
            if type(name) is not str:
                raise InputError(source, "graph.node", name, "names must be text in UTF-8")
    with parsing(source, "the files of its external data must lie beside it"):
        external_data_helper.load_external_data_for_model(proto, str(path.parent))
    # Shapes are inferred from initialisers that are no inputs from this version on only.
    proto.ir_version = max(proto.ir_version, onnx.IR_VERSION_2019_1_22)
    return _inlined(proto, source) if proto.functions else proto


def _inlined(proto: onnx.ModelProto, source: str) -> onnx.ModelProto:
    """The model with its own functions written out, as PyTorch exports come with many.

    Raises:
        InputError: they call each other in a circle, or would be too many nodes.
    """
    bodies = {(f.domain, f.name, f.overload): f.node for f in proto.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: Iterable[onnx.NodeProto]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            if key in bodies and key not in sizes:
                sizes[key] = _MOST_NODES  # while it is counted: in a circle there is no end
                sizes[key] = size(bodies[key])
            total += sizes.get(key, 1) + sum(size(graph.node) for graph in graphs_in(node))
        return min(total, _MOST_NODES)

    # A function that calls another one twice, and that one a third, is short and has no end.
    with parsing(source, "functions must be such that they can be written out"):
        if size(proto.graph.node) >= _MOST_NODES:
            allowed = f"written out, they must be less than {_MOST_NODES:,} nodes, and no circle"
            raise InputError(source, "functions", len(bodies), allowed)
        return inliner.inline_local_functions(proto)


def _check_versions(proto: onnx.ModelProto, source: str) -> None:
    versions = {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import}
    newest = onnx_opset_version()
    found = versions.get("ai.onnx")
    if found is None or not OLDEST <= found <= newest:
        allowed = f"versions {OLDEST} to {newest} of the standard operations are known"
        raise InputError(source, "opset_import", found, allowed)


# --- Constants ------------------------------------------------------------------------------------


def _settled(proto: onnx.ModelProto) -> dict[str, Array]:
    """Evaluate constants and infer shapes in turn, until neither finds more; the constants."""
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    for _ in range(MOST_ROUNDS):
        _infer(proto)
        # Both, whatever the first one finds.
        if not any([_fold(proto, constants), _infer_quantised(proto, constants)]):
            break
    return constants


def _infer(proto: onnx.ModelProto) -> None:
    """Add the shapes that can be inferred."""
    try:
        inferred = shape_inference.infer_shapes(_without_weights(proto), data_prop=True)
    # Operations that the inference does not know, or models that contradict themselves, leave
    # shapes unknown; what needs them runs on the host.
    except Exception:
        return
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(inferred.graph.value_info)
    for value, found in zip(proto.graph.output, inferred.graph.output, strict=True):
        value.CopyFrom(found)


def _without_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same with inputs in place of large constants, which inference would copy each time."""
    graph = proto.graph
    found = onnx.GraphProto(
        name=graph.name,
        node=graph.node,
        input=graph.input,
        output=graph.output,
        value_info=graph.value_info,
    )
    known = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if prod(tensor.dims) <= _MOST_READ:
            found.initializer.append(tensor)
        elif tensor.name not in known:
            kind, extents = tensor.data_type, tensor.dims
            found.input.append(helper.make_tensor_value_info(tensor.name, kind, extents))
    return onnx.ModelProto(
        ir_version=proto.ir_version,
        opset_import=proto.opset_import,
        functions=proto.functions,
        graph=found,
    )


_SHAPED: Mapping[str, tuple[tuple[int, ...], int]] = {
    "QuantizeLinear": ((0,), 2), "DequantizeLinear": ((0,), 1), "QLinearAdd": ((0, 3), 7),
    "QLinearMul": ((0, 3), 7), "QLinearWhere": ((0, 1, 4), 8), "QLinearSigmoid": ((0,), 4),
    "QLinearLeakyRelu": ((0,), 4), "QLinearSoftmax": ((0,), 4), "QLinearAveragePool": ((0,), 4),
    "QLinearGlobalAveragePool": ((0,), 4), "QLinearConcat": ((2,), 1), "QGemm": ((0, 3), 8),
}  # fmt: skip
"""Of quantised operations outside the standard: the inputs that give the output its shape, and the
one that has its type."""


def _infer_quantised(proto: onnx.ModelProto, constants: Mapping[str, Array]) -> bool:
    """Add shapes of quantised operations outside the standard; whether there were any."""
    values = (*proto.graph.value_info, *proto.graph.input)
    shapes = {v.name: shape_of(v) for v in values} | {n: a.shape for n, a in constants.items()}
    found = False
    for node in proto.graph.node:
        if kind_of(node) not in _SHAPED or shapes.get(node.output[0]) is not None:
            continue
        shape = _quantised_shape(node, shapes)
        if shape is None:
            continue
        typed = _SHAPED[node.op_type][1]
        name = node.input[typed] if typed < len(node.input) else ""
        dtype = constants[name].dtype if name in constants else np.dtype(np.uint8)
        number = helper.np_dtype_to_tensor_dtype(dtype)
        proto.graph.value_info.append(helper.make_tensor_value_info(node.output[0], number, shape))
        shapes[node.output[0]] = shape
        found = True
    return found


def _quantised_shape(
    node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...] | None]
) -> tuple[int, ...] | None:
    known = [shapes.get(node.input[number]) for number in _SHAPED[node.op_type][0]]
    parts = [shape for shape in known if shape is not None]
    given = attributes_of(node)
    if len(parts) < len(known):
        return None
    shape = parts[0]
    if node.op_type == "QGemm":
        rows = shape[1 if given.get("transA") else 0]
        return (rows, parts[1][0 if given.get("transB") else 1])
    if node.op_type == "QLinearConcat":
        joined = [shapes.get(name) for name in node.input[2::3]]
        axis = int(given.get("axis", 0)) % len(shape)
        total = [part[axis] for part in joined if part is not None]
        if len(total) < len(joined):
            return None
        return (*shape[:axis], sum(total), *shape[axis + 1 :])
    if node.op_type == "QLinearGlobalAveragePool":
        last = bool(given.get("channels_last"))
        ones = (1,) * (len(shape) - 2)
        return (shape[0], *ones, shape[-1]) if last else (*shape[:2], *ones)
    if node.op_type == "QLinearAveragePool":
        return None if given.pop("channels_last", 0) else _pooled(given, shape)
    return tuple(np.broadcast_shapes(*parts))


def _pooled(given: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of an AveragePool, as the standard's inference has it."""
    info = helper.make_tensor_value_info
    node = helper.make_node("AveragePool", ["x"], ["y"], **given)
    ends = [info("x", onnx.TensorProto.FLOAT, shape)], [info("y", onnx.TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph([node], "pool", *ends))
    return shape_of(shape_inference.infer_shapes(model).graph.output[0])


def _fold(proto: onnx.ModelProto, constants: dict[str, Array]) -> bool:
    """Replace nodes whose values are known by constants; whether there were any."""
    shapes = {v.name: shape_of(v) for v in (*proto.graph.value_info, *proto.graph.input)}
    kept: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        value = _value(node, constants, shapes, proto.opset_import)
        if value is None:
            kept.append(node)
            continue
        constants[node.output[0]] = value
        proto.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    changed = len(kept) < len(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    return changed


def _value(
    node: onnx.NodeProto,
    constants: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...] | None],
    versions: Sequence[onnx.OperatorSetIdProto],
) -> Array | None:
    """What a node computes, if that is known."""
    if node.domain not in STANDARD or len(node.output) != 1:
        return None
    if node.op_type == "Shape" and (shape := _known_shape(node, constants, shapes)) is not None:
        given = attributes_of(node)
        return np.array(shape[given.get("start", 0) : given.get("end", None)], np.int64)
    if node.op_type != "Constant" and node.op_type not in _FOLDED:
        return None
    inputs = {name: constants.get(name) for name in node.input if name}
    arrays = {name: array for name, array in inputs.items() if array is not None}
    if len(arrays) < len(inputs) or sum(a.size for a in arrays.values()) > _MOST_FOLDED:
        return None
    try:
        if _size(node, [arrays[name] for name in node.input if name]) > _MOST_FOLDED:
            return None
        found = _evaluated(node, arrays, versions)
    except Exception:  # whatever is wrong with it, the host may know how to run it
        return None
    value = np.asarray(found)
    return value if value.dtype.kind in "biuf" and value.size <= _MOST_FOLDED else None


def _known_shape(
    node: onnx.NodeProto,
    constants: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...] | None],
) -> tuple[int, ...] | None:
    """The shape of what a node reads first."""
    constant = constants.get(node.input[0])
    return shapes.get(node.input[0]) if constant is None else constant.shape


def _evaluated(
    node: onnx.NodeProto, arrays: Mapping[str, Array], versions: Sequence[onnx.OperatorSetIdProto]
) -> Array:
    """What a node computes."""
    # As a model: of a node by itself the newest version of its operation is taken.
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in arrays.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "constants", inputs, outputs)
    model = helper.make_model(graph, opset_imports=list(versions))
    (found,) = ReferenceEvaluator(model).run(None, dict(arrays))
    return np.asarray(found)


def _size(node: onnx.NodeProto, arrays: Sequence[Array]) -> int:
    """A number of elements that a node's value does not exceed, known before it is computed."""
    if node.op_type == "ConstantOfShape":
        return prod(map(int, arrays[0]))
    if node.op_type == "Expand":
        return prod(np.broadcast_shapes(arrays[0].shape, tuple(map(int, arrays[1]))))
    if node.op_type == "Range":
        start, limit, step = (float(array) for array in arrays)
        return max(0, int((limit - start) / step)) + 1
    if node.op_type == "Gather":
        data, indices = arrays
        axis = int(attributes_of(node).get("axis", 0))
        return int(indices.size * data.size // max(1, data.shape[axis]))
    if node.op_type == "Concat":
        return sum(array.size for array in arrays)
    if node.op_type in _BROADCASTING:
        return prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    return max((array.size for array in arrays), default=0)


_BROADCASTING = {"Add", "Div", "Equal", "Max", "Min", "Mod", "Mul", "Pow", "Sub", "Where"}


# --- What the model says --------------------------------------------------------------------------


def dtype_of(number: int) -> Dtype:
    """The type of elements from ONNX's number of it."""
    name = onnx.TensorProto.DataType.Name(number).lower() if number else "other"
    name = {"float": "float32", "double": "float64"}.get(name, name)
    return next((known for known in DTYPES if known == name), "other")


def number_of(dtype: Dtype) -> int:
    """ONNX's number of a type of elements; the reverse of `dtype_of`."""
    name = {"float32": "float", "float64": "double"}.get(dtype, dtype)
    return int(onnx.TensorProto.DataType.Value(name.upper()))


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by name; texts are `str`."""
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {n: v.decode("utf-8", "replace") if isinstance(v, bytes) else v
            for n, v in found.items()}  # fmt: skip


def kind_of(node: onnx.NodeProto) -> str:
    """What a node does: the standard's name of it, or with its domain where it is not known."""
    if node.domain in STANDARD:
        return node.op_type
    # A convolution of ONNX Runtime's own with channels last has the standard's name.
    known = node.domain == "com.microsoft" and node.op_type in _CONTRIBUTED
    if known and not (node.op_type == "QLinearConv" and attributes_of(node).get("channels_last")):
        return node.op_type
    return f"{node.domain}.{node.op_type}"


def unique(names: Sequence[str], most: int = 180) -> list[str]:
    """Names that a document may have, each once: plain characters, not too many."""
    found: list[str] = []
    used: set[str] = set()
    for name in names:
        plain = " ".join("".join(c if "!" <= c <= "~" else " " for c in name).split())
        plain = plain[-most:].strip() or "unnamed"
        candidate, number = plain, 1
        while candidate in used:
            number += 1
            candidate = f"{plain}.{number}"
        used.add(candidate)
        found.append(candidate)
    return found


def _describe(model: Model) -> None:
    """Fill in shapes and types, of constants too."""
    graph = model.proto.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.WhichOneof("value") in {"sequence_type", "optional_type"}:
            model.sequences.add(value.name)
        # An input may be an output as well, of which less is said there.
        if (shape := shape_of(value)) is not None or value.name not in model.shapes:
            model.shapes[value.name] = shape
        if (number := value.type.tensor_type.elem_type) or value.name not in model.dtypes:
            model.dtypes[value.name] = dtype_of(number)
    for name, array in model.constants.items():
        model.shapes[name] = tuple(array.shape)
        model.dtypes[name] = next((d for d in DTYPES if d == array.dtype.name), "other")
    model.inputs = [value.name for value in given_inputs(graph)]
    model.outputs = [value.name for value in graph.output]
