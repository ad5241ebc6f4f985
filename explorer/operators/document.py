"""Operators as YAML documents.

Any operator, by its dimensions and access maps::

    name: strided
    dimensions: {n: 1, oc: 64, oh: 28, ow: 28, ic: 32, kh: 3, kw: 3}
    in0: {name: data, shape: [1, 32, 56, 56], index: [n, ic, 2*oh + kh - 1, 2*ow + kw - 1]}
    in1: {name: weight, shape: [64, 32, 3, 3], index: [oc, ic, kh, kw]}
    out: {name: output, shape: [1, 64, 28, 28], index: [n, oc, oh, ow]}
    epilogue: {shift: 8, relu: true}

or, shorter, one of the kinds in `kinds.KINDS` by its arguments::

    kind: conv2d
    n: 1
    c: 32
    …
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Literal

import yaml
from pydantic import Field, StringConstraints

from explorer.operators.kinds import construct
from explorer.operators.validate import check
from isa.computation import Computation, Dimension, Epilogue, Operator, Tensor
from isa.errors import InputError
from isa.schema import (
    MAX_RANK,
    Document,
    Extent,
    Index,
    Name,
    parse_affine,
    parse_yaml,
    read_text,
    validate,
)

_Title = Annotated[str, StringConstraints(pattern=r"^[!-~]+( [!-~]+)*$", max_length=200)]
_Letters = Annotated[str, StringConstraints(pattern=r"^[A-Z]+$")]
_Int8 = Annotated[int, Field(ge=-128, le=127)]
_Input = Literal["in0", "in1"]
_Clip = Annotated[list[_Int8], Field(min_length=2, max_length=2)]


class _TensorDocument(Document):
    """A tensor: its extents, one row of the access map and one letter a dimension."""

    name: Name
    shape: Annotated[list[Extent], Field(min_length=1, max_length=MAX_RANK)]
    index: Index
    letters: _Letters | None = None


class _EpilogueDocument(Document):
    """An `Epilogue`."""

    shift: Annotated[int, Field(ge=0, le=31)] = 8
    bias: _TensorDocument | None = None
    residual: bool = False
    relu: bool = False
    clip: _Clip | None = Field(default_factory=lambda: [-128, 127])


class _OperatorDocument(Document):
    """An operator by its dimensions and access maps."""

    name: _Title
    kind: _Title = "custom"
    dimensions: Annotated[dict[Name, Extent], Field(min_length=1, max_length=MAX_RANK)]
    in0: _TensorDocument
    in1: _TensorDocument
    out: _TensorDocument
    epilogue: _EpilogueDocument = _EpilogueDocument()
    constants: list[_Input] = Field(default_factory=lambda: list[_Input](["in1"]))


class _Titled(Document):
    """The optional name of a document in the short form."""

    name: _Title


def load(path: Path) -> Operator:
    """The operator in a file.

    Raises:
        InputError: as `parse`, or the file cannot be read.
    """
    return parse(read_text(path), str(path))


def parse(text: str, source: str) -> Operator:
    """The operator that a YAML text gives.

    Args:
        text: the document, in either form.
        source: its file, for errors.

    Raises:
        InputError: the text is not YAML, has a key or value it must not have, or gives a
            computation that cannot be embedded (see `validate.check`).
    """
    data = parse_yaml(text, source)
    if "kind" in data and "dimensions" not in data:
        arguments = {key: value for key, value in data.items() if key not in {"kind", "name"}}
        operator = construct(source, str(data["kind"]), arguments)
        if "name" not in data:
            return operator
        return replace(operator, name=validate(_Titled, {"name": data["name"]}, source).name)
    return _operator(validate(_OperatorDocument, data, source), source)


def dump(operator: Operator) -> str:
    """A YAML document from which `parse` makes the same operator."""
    computation, epilogue = operator.computation, operator.epilogue
    data = {
        "name": operator.name,
        "kind": operator.kind,
        "dimensions": computation.extents,
        "in0": _dumped(computation.in0),
        "in1": _dumped(computation.in1),
        "out": _dumped(computation.out),
        "epilogue": {
            "shift": epilogue.shift,
            "bias": _dumped(epilogue.bias) if epilogue.bias else None,
            "residual": epilogue.residual,
            "relu": epilogue.relu,
            "clip": list(epilogue.clip) if epilogue.clip else None,
        },
        "constants": sorted(operator.constants),
    }
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100)


def _dumped(tensor: Tensor) -> dict[str, object]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "index": [str(row) if row.terms else row.const for row in tensor.index],
        "letters": tensor.letters,
    }


def _operator(document: _OperatorDocument, source: str) -> Operator:
    """The operator of a document whose fields are right one by one."""
    names = list(document.dimensions)
    dims = tuple(Dimension(name, extent) for name, extent in document.dimensions.items())
    in0 = _tensor(document.in0, names, source, "in0")
    in1 = _tensor(document.in1, names, source, "in1")
    out = _tensor(document.out, names, source, "out")
    computation = Computation(document.kind, dims, in0, in1, out)
    check(computation, source)
    epilogue = _epilogue(document.epilogue, computation, source)
    return Operator(
        document.name, document.kind, computation, epilogue, frozenset(document.constants)
    )


def _tensor(document: _TensorDocument, names: list[str], source: str, field: str) -> Tensor:
    """A tensor; `names` are the dimensions its index may use."""
    rank = len(document.shape)
    if len(document.index) != rank:
        allowed = f"must have as many rows as the shape, {rank}"
        raise InputError(source, f"{field}.index", document.index, allowed)
    letters = document.letters or ascii_uppercase[:rank]
    if len(letters) != rank or len(set(letters)) != rank:
        allowed = f"must be {rank} different letters, one for each dimension of the shape"
        raise InputError(source, f"{field}.letters", letters, allowed)
    index = tuple(
        parse_affine(row, names, source, f"{field}.index.{position}")
        for position, row in enumerate(document.index)
    )
    return Tensor(document.name, tuple(document.shape), index, letters)


def _epilogue(document: _EpilogueDocument, computation: Computation, source: str) -> Epilogue:
    """An epilogue, whose bias may depend on what tells output elements apart only."""
    bias = None
    if document.bias:
        field = "epilogue.bias"
        names = [n for n in computation.extents if n not in computation.reductions]
        bias = _tensor(document.bias, names, source, field)
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
