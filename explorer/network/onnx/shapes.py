"""Inputs, shapes and inner graphs of a model, as ONNX's own objects have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from isa.errors import InputError

if TYPE_CHECKING:
    import onnx


def set_shapes(proto: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Write the shapes of the inputs into the model; forget what followed from others."""
    given = given_inputs(proto.graph)
    for name in shapes:
        if name not in (known := [value.name for value in given]):
            raise InputError("--shape", "", name, f"the inputs are {', '.join(known)}")
    changed = False
    named: dict[str, int] = {}  # extents of one name are equal
    for value in given:
        tensor = value.type.tensor_type
        extents = shapes.get(value.name, ())
        dims = tensor.shape.dim
        if value.name in shapes and tensor.HasField("shape") and len(dims) != len(extents):
            text = "x".join(map(str, extents))
            raise InputError("--shape", value.name, text, f"it has {len(dims)} axes in {source}")
        while len(dims) < len(extents):
            dims.add()
        for dim, extent in zip(dims, extents, strict=False):
            changed = changed or dim.dim_value != extent
            named.setdefault(dim.dim_param, extent)
            dim.dim_value = extent
    for value in given:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            name = dim.dim_param
            alike = named.get(name, 0) if name else 0
            if dim.dim_value <= 0 and (axis == 0 or alike):
                changed, dim.dim_value = True, alike or 1
                named.setdefault(name, dim.dim_value)
    if changed:
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            value.type.tensor_type.ClearField("shape")


def given_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no constants: old models list those too."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape of a tensor; None where an extent or all of it is not known."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    # Some exporters write -1 where they do not know.
    if not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)


def graphs_in(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node: branches, bodies of loops."""
    for attribute in node.attribute:
        yield from (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)


def captured(node: onnx.NodeProto) -> Iterator[str]:
    """Tensors that the graphs inside a node read from outside of them."""
    for graph in graphs_in(node):
        own = {v.name for v in (*graph.input, *graph.initializer)}
        for inner in graph.node:
            for name in (*inner.input, *captured(inner)):
                if name and name not in own:
                    yield name
            own |= set(inner.output)
