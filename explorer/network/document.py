"""Networks as YAML or JSON documents.

Tensors by name, operators once for all nodes that are equal, and nodes in an order in which they
can run::

    name: two layers
    inputs: [image]
    outputs: [scores]
    tensors:
      image: {shape: [1, 3, 32, 32], scale: 0.0078125}
      conv.weight: {shape: [16, 3, 3, 3], constant: true}
      …
    operators:
      conv2d: {kind: conv2d, n: 1, c: 3, h: 32, w: 32, k: 16, r: 3, s: 3, pad: 1}
      gemm: {kind: gemm, m: 1, n: 10, k: 16384}
    nodes:
      - name: conv
        operator: conv2d
        inputs: {data: image, weight: conv.weight}
        output: features
      - name: classifier
        operator: gemm
        inputs:
          data: {tensor: features, split: [1, 16384], order: [0, 1]}
          weight: classifier.weight
        output: logits
      - {name: softmax, operation: Softmax, inputs: [logits], outputs: [scores], reason: no product}

An operator is a document of `explorer.operators.document`, in any of its forms. An operand that is
given a name alone has the tensor's elements in their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints

from explorer.network.check import check
from explorer.network.graph import (
    Accelerated,
    Dtype,
    Host,
    Network,
    Node,
    Tensor,
    View,
    taken,
)
from explorer.operators import document as operators
from explorer.operators.tensor_document import Title
from isa.computation import Operator
from isa.errors import InputError
from isa.files import read_text
from isa.json import parse_json
from isa.schema import Document, Name, parse_yaml, validate

MOST_CHARACTERS = {".json": 2**26, ".yaml": 2**23, ".yml": 2**23}
"""Characters of a document: networks with thousands of nodes have fewer. YAML takes minutes."""

_Text = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=1000)]
_Places = Annotated[list[Annotated[int, Field(ge=0, lt=2**62)]], Field(max_length=32)]
_Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _TensorDocument(Document):
    """A `Tensor`; its name is the key."""

    shape: _Places | None
    dtype: Dtype = "int8"
    scale: _Scale | list[_Scale] | None = None
    zero_point: Annotated[int, Field(ge=-(2**31), lt=2**32)] = 0
    constant: bool = False


class _ViewDocument(Document):
    """A `View`; the operand is the key."""

    tensor: Title
    split: _Places
    order: _Places


class _NodeDocument(Document):
    """A node: an `operator` and its `output`, or an `operation` of the host and its `outputs`."""

    name: Title
    operator: Title | None = None
    inputs: dict[Name, Title | _ViewDocument] | list[Title | Annotated[str, Field(max_length=0)]]
    output: Title | _ViewDocument | None = None
    folded: list[Title] = Field(default_factory=list[str])
    inexact: list[_Text] = Field(default_factory=list[str])
    operation: Title | None = None
    outputs: list[Title | Annotated[str, Field(max_length=0)]] | None = None
    reason: _Text | None = None


class NetworkDocument(Document):
    """A `Network`."""

    name: Title
    inputs: list[Title]
    outputs: Annotated[list[Title], Field(min_length=1)]
    tensors: dict[Title, _TensorDocument]
    operators: dict[Title, dict[str, Any]]
    nodes: Annotated[list[_NodeDocument], Field(min_length=1)]


def schema() -> dict[str, Any]:
    """The JSON Schema of a document."""
    whole = NetworkDocument.model_json_schema()
    forms = operators.schemas()
    definitions: dict[str, Any] = {"operator": {"anyOf": forms}, **whole["$defs"]}
    for form in forms:
        definitions |= form.pop("$defs", {})
    # Operators are read one by one, by their own models, so that errors name their fields.
    whole["properties"]["operators"]["additionalProperties"] = {"$ref": "#/$defs/operator"}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **whole, "$defs": definitions}


def load(path: Path) -> Network:
    """The network in a file: JSON where its name ends so, else YAML.

    Raises:
        InputError: as `read`, or the file cannot be read.
    """
    text = read_text(
        path, "must be a readable file", MOST_CHARACTERS.get(path.suffix, MOST_CHARACTERS[".yaml"])
    )
    return parse(text, str(path))


def parse(text: str, source: str) -> Network:
    """The network that a text gives.

    Raises:
        InputError: it is not what its file's name says, or as `read`.
    """
    data = parse_json(text, source) if source.endswith(".json") else parse_yaml(text, source)
    return read(data, source)


def read(data: Mapping[str, object], source: str) -> Network:
    """The network that a document's keys and values give.

    Raises:
        InputError: a key or value is not allowed, an operator is none, or the nodes and tensors
            are no network (see `check.check`).
    """
    document = validate(NetworkDocument, data, source)
    tensors = {name: _tensor(name, t) for name, t in document.tensors.items()}
    known = {
        name: operators.read(operator, f"{source}: operators.{name}")
        for name, operator in document.operators.items()
    }
    nodes = tuple(_node(node, known, tensors, source) for node in document.nodes)
    network = Network(
        document.name,
        tuple(document.inputs),
        tuple(document.outputs),
        tuple(tensors.values()),
        nodes,
    )
    return check(network, source)


def _tensor(name: str, document: _TensorDocument) -> Tensor:
    scale = tuple(document.scale) if isinstance(document.scale, list) else document.scale
    shape = None if document.shape is None else tuple(document.shape)
    return Tensor(
        name, shape, document.dtype, scale, document.zero_point, constant=document.constant
    )


def _node(
    document: _NodeDocument,
    known: Mapping[str, Operator],
    tensors: Mapping[str, Tensor],
    source: str,
) -> Node:
    """A node of either kind, from the keys that its kind has."""
    field = f"nodes.{document.name}"
    fields = _OF_OPERATOR if document.operator is not None else _OF_HOST
    others = (_OF_OPERATOR | _OF_HOST) - fields
    for key in sorted(others & document.model_fields_set):
        allowed = "a node has operator, inputs, output, or operation, inputs, outputs, reason"
        raise InputError(source, f"{field}.{key}", getattr(document, key), allowed)
    if document.operator is None:
        return _host(document, source, field)
    if document.operator not in known:
        allowed = f"one of the operators: {', '.join(known)}"
        raise InputError(source, f"{field}.operator", document.operator, allowed)
    operator = known[document.operator]
    if not isinstance(document.inputs, dict):
        allowed = "a mapping of the operator's tensors to the network's"
        raise InputError(source, f"{field}.inputs", document.inputs, allowed)
    if document.output is None:
        raise InputError(source, f"{field}.output", None, "is required")
    order = [tensor.name for tensor, _ in taken(operator)]
    given = dict(document.inputs)
    for name in [n for n in given if n not in order] + [n for n in order if n not in given]:
        allowed = f"the operator takes {', '.join(order)}"
        raise InputError(source, f"{field}.inputs", name, allowed)
    return Accelerated(
        document.name,
        operator,
        tuple(_view(name, given[name], tensors) for name in order),
        _view(operator.out.name, document.output, tensors),
        tuple(document.folded),
        tuple(document.inexact),
    )


_OF_OPERATOR = {"operator", "output", "folded", "inexact"}
_OF_HOST = {"operation", "outputs", "reason"}


def _host(document: _NodeDocument, source: str, field: str) -> Host:
    for key in ("operation", "outputs", "reason"):
        if getattr(document, key) is None:
            raise InputError(source, f"{field}.{key}", None, "is required without an operator")
    if isinstance(document.inputs, dict):
        raise InputError(source, f"{field}.inputs", document.inputs, "a list of tensors")
    return Host(
        document.name,
        document.operation or "",
        tuple(document.inputs),
        tuple(document.outputs or ()),
        document.reason or "",
    )


def _view(name: str, document: str | _ViewDocument, tensors: Mapping[str, Tensor]) -> View:
    if isinstance(document, _ViewDocument):
        return View(name, document.tensor, tuple(document.split), tuple(document.order))
    # A tensor that is not there, or whose shape is not known, is an error of the whole network.
    shape = tensors[document].shape if document in tensors else None
    return View.plain(name, document, shape or ())


# --- Writing --------------------------------------------------------------------------------------


def dump(network: Network, *, as_json: bool = False) -> str:
    """A document from which `parse` makes the same network."""
    data = written(network)
    if as_json:
        return json.dumps(data, indent=1) + "\n"
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100)


def written(network: Network) -> dict[str, object]:
    """The keys and values from which `read` makes the same network."""
    names: dict[Operator, str] = {}
    for node in network.accelerated:
        if node.operator not in names:
            # The first of a kind has its plain name.
            number = sum(operator.kind == node.operator.kind for operator in names)
            kind = node.operator.kind
            names[node.operator] = kind if number == 0 else f"{kind} {number + 1}"
    tensors = network.by_name
    return {
        "name": network.name,
        "inputs": list(network.inputs),
        "outputs": list(network.outputs),
        "tensors": {tensor.name: _tensor_data(tensor) for tensor in network.tensors},
        "operators": {name: operators.written(operator) for operator, name in names.items()},
        "nodes": [
            _accelerated_data(node, names[node.operator], tensors)
            if isinstance(node, Accelerated)
            else _host_data(node)
            for node in network.nodes
        ],
    }


def _tensor_data(tensor: Tensor) -> dict[str, object]:
    scale = list(tensor.scale) if isinstance(tensor.scale, tuple) else tensor.scale
    usual = Tensor(tensor.name, tensor.shape)
    values = {
        "dtype": tensor.dtype,
        "scale": scale,
        "zero_point": tensor.zero_point,
        "constant": tensor.constant,
    }
    shape = None if tensor.shape is None else list(tensor.shape)
    told = {key: value for key, value in values.items() if value != getattr(usual, key)}
    return {"shape": shape, **told}


def _accelerated_data(
    node: Accelerated, operator: str, tensors: Mapping[str, Tensor]
) -> dict[str, object]:
    data: dict[str, object] = {
        "name": node.name,
        "operator": operator,
        "inputs": {view.operand: _view_data(view, tensors) for view in node.inputs},
        "output": _view_data(node.output, tensors),
    }
    for key, texts in (("folded", node.folded), ("inexact", node.inexact)):
        if texts:
            data[key] = list(texts)
    return data


def _view_data(view: View, tensors: Mapping[str, Tensor]) -> str | dict[str, object]:
    if view == View.plain(view.operand, view.tensor, tensors[view.tensor].shape or ()):
        return view.tensor
    return {"tensor": view.tensor, "split": list(view.split), "order": list(view.order)}


def _host_data(node: Host) -> dict[str, object]:
    return {
        "name": node.name,
        "operation": node.operation,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "reason": node.reason,
    }
