"""Operators as YAML documents.

Any operator, by its dimensions and access maps::

    name: strided
    dimensions: {n: 1, oc: 64, oh: 28, ow: 28, ic: 32, kh: 3, kw: 3}
    in0: {name: data, shape: [1, 32, 56, 56], index: [n, ic, 2*oh + kh - 1, 2*ow + kw - 1]}
    in1: {name: weight, shape: [64, 32, 3, 3], index: [oc, ic, kh, kw]}
    out: {name: output, shape: [1, 64, 28, 28], index: [n, oc, oh, ow]}
    epilogue: {shift: 8, relu: true}

or several products and any steps, in order, as `explorer.operators.stages_document` says; or,
shorter, one of the kinds in `kinds.KINDS` by its arguments::

    kind: conv2d
    n: 1
    c: 32
    …
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import yaml
from pydantic import Field

from explorer.operators.kinds import KINDS, construct
from explorer.operators.stages_document import StagesDocument, dump_stages, read_stages
from explorer.operators.tensor_document import (
    InputRole,
    TensorDocument,
    Title,
    dump_tensor,
    read_tensor,
)
from explorer.operators.validate import check
from isa.computation import Computation, Dimension, Epilogue, Operator, Term
from isa.errors import InputError
from isa.schema import (
    MAX_RANK,
    Document,
    Extent,
    Name,
    parse_yaml,
    validate,
)

_Int8 = Annotated[int, Field(ge=-128, le=127)]
_Clip = Annotated[list[_Int8], Field(min_length=2, max_length=2)]


class _EpilogueDocument(Document):
    """An `Epilogue`."""

    shift: Annotated[int, Field(ge=0, le=31)] = 8
    bias: TensorDocument | None = None
    residual: bool = False
    relu: bool = False
    clip: _Clip | None = Field(default_factory=lambda: [-128, 127])


class OperatorDocument(Document):
    """An operator by its dimensions and access maps."""

    name: Title
    kind: Title = "custom"
    dimensions: Annotated[dict[Name, Extent], Field(min_length=1, max_length=MAX_RANK)]
    in0: TensorDocument
    in1: TensorDocument
    out: TensorDocument
    epilogue: _EpilogueDocument = _EpilogueDocument()
    constants: list[InputRole] = Field(default_factory=lambda: list[InputRole](["in1"]))


class Titled(Document):
    """The optional name of a document in the short form."""

    name: Title


def parse(text: str, source: str) -> Operator:
    """The operator that a YAML text gives.

    Args:
        text: the document, in either form.
        source: its file, for errors.

    Raises:
        InputError: the text is not YAML, has a key or value it must not have, or gives a
            computation that cannot be embedded (see `validate.check`).
    """
    return read(parse_yaml(text, source), source)


def read(data: Mapping[str, object], source: str) -> Operator:
    """The operator that a document gives, of which the YAML is read already.

    Raises:
        InputError: as `parse`.
    """
    if "kind" in data and not {"dimensions", "stages"} & data.keys():
        arguments = {key: value for key, value in data.items() if key not in {"kind", "name"}}
        operator = construct(source, str(data["kind"]), arguments)
        if "name" not in data:
            return operator
        return replace(operator, name=validate(Titled, {"name": data["name"]}, source).name)
    if "stages" in data:
        return read_stages(validate(StagesDocument, data, source), source)
    return _operator(validate(OperatorDocument, data, source), source)


def dump(operator: Operator) -> str:
    """A YAML document from which `parse` makes the same operator."""
    return yaml.safe_dump(written(operator), sort_keys=False, default_flow_style=None, width=100)


def written(operator: Operator) -> dict[str, object]:
    """The keys and values from which `read` makes the same operator."""
    epilogue = short_form(operator)
    if epilogue is None:
        return dump_stages(operator)
    computation = operator.computation
    return {
        "name": operator.name,
        "kind": operator.kind,
        "dimensions": computation.extents,
        "in0": dump_tensor(computation.in0),
        "in1": dump_tensor(computation.in1),
        "out": dump_tensor(computation.out),
        "epilogue": {
            "shift": epilogue.shift,
            "bias": dump_tensor(epilogue.bias) if epilogue.bias else None,
            "residual": epilogue.residual,
            "relu": epilogue.relu,
            "clip": list(epilogue.clip) if epilogue.clip else None,
        },
        "constants": sorted(operator.constants),
    }


def schemas() -> list[dict[str, Any]]:
    """The JSON Schemas of the three forms; a kind's own arguments are any."""
    kind = {
        "type": "object",
        "title": "A kind by its arguments",
        "properties": {"kind": {"enum": list(KINDS)}, "name": {"type": "string"}},
        "required": ["kind"],
        "not": {"anyOf": [{"required": ["dimensions"]}, {"required": ["stages"]}]},
    }
    return [kind, OperatorDocument.model_json_schema(), StagesDocument.model_json_schema()]


def short_form(operator: Operator) -> Epilogue | None:
    """The epilogue of an operator that has one term and then an epilogue's steps; else None."""
    if len(operator.terms) > 1:
        return None
    return Epilogue.of([s for s in operator.stages if not isinstance(s, Term)], operator.out)


def _operator(document: OperatorDocument, source: str) -> Operator:
    """The operator of a document whose fields are right one by one."""
    names = list(document.dimensions)
    dims = tuple(Dimension(name, extent) for name, extent in document.dimensions.items())
    in0 = read_tensor(document.in0, names, source, "in0")
    in1 = read_tensor(document.in1, names, source, "in1")
    out = read_tensor(document.out, names, source, "out")
    computation = Computation(document.kind, dims, in0, in1, out)
    check(computation, source)
    epilogue = _epilogue(document.epilogue, computation, source)
    return Operator.of(
        document.name, document.kind, computation, epilogue, frozenset(document.constants)
    )


def _epilogue(document: _EpilogueDocument, computation: Computation, source: str) -> Epilogue:
    """An epilogue, whose bias may depend on what tells output elements apart only."""
    bias = None
    if document.bias:
        field = "epilogue.bias"
        names = [n for n in computation.extents if n not in computation.reductions]
        bias = read_tensor(document.bias, names, source, field)
        for row, size in zip(bias.index, bias.shape, strict=True):
            low, high = row.bounds(computation.extents)
            if low < 0 or high >= size:
                raise InputError(
                    source, f"{field}.index", str(row), f"must stay within 0 to {size - 1}"
                )
    clip = None
    if document.clip:
        low, high = document.clip
        if low > high:
            raise InputError(source, "epilogue.clip", document.clip, "must be [least, greatest]")
        clip = (low, high)
    return Epilogue(
        shift=document.shift,
        bias=bias,
        residual=document.residual,
        relu=document.relu,
        clip=clip,
    )
