"""Workloads of ZigZag: a YAML list of layers, each a loop nest with an equation.

::

    - id: 0
      operator_type: Conv
      equation: O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]
      dimension_relations: [ix=2*ox+1*fx, iy=2*oy+1*fy]
      loop_dims: [B, K, C, OY, OX, FY, FX]
      loop_sizes: [1, 64, 3, 112, 112, 7, 7]
      operand_precision: {W: 8, I: 8, O: 16, O_final: 8}
      operand_source: {I: 0, W: 0}

What is computed follows from the equation; an operand is constant that comes from the layer itself.
Layers that add, or pool (operands of zero bits), are no products of two tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from explorer.operators.products import Product, Row, operator
from isa.computation import Affine, Operator
from isa.errors import InputError
from isa.schema import MAX_RANK, Document, Extent, parse_affine, validate

_Text = Annotated[str, Field(max_length=400)]
_Border = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
_Loops = Annotated[list[_Text], Field(max_length=MAX_RANK)]
_Sizes = Annotated[list[Extent], Field(max_length=MAX_RANK)]

_OPERAND = r"([a-z]\w*)((?:\[\w*\])+)"
_EQUATION = re.compile(rf"{_OPERAND}\+?=([a-z]\w*)((?:\[\w*\])+)([*+])([a-z]\w*)((?:\[\w*\])+)")
_RELATION = re.compile(r"([a-z]\w*)=(.+)")
_EXAMPLE = "O[b][k]+=W[k][c]*I[b][c]"


class Layer(Document):
    """A layer, as ZigZag's documentation describes it."""

    id: int
    name: _Text | None = None
    operator_type: _Text
    equation: _Text
    dimension_relations: list[_Text] = Field(default_factory=list)
    loop_dims: _Loops
    loop_sizes: _Sizes
    operand_precision: dict[str, int] = Field(default_factory=dict)
    operand_source: dict[str, int] = Field(default_factory=dict)
    pr_loop_dims: _Loops | None = None
    pr_loop_sizes: _Sizes | None = None
    padding: list[_Border] | None = None
    time_dim: _Text | None = None

    @property
    def label(self) -> str:
        """What the layer is called: its name, else its number."""
        return self.name or str(self.id)


def is_workload(data: object) -> bool:
    """Whether a file holds such layers."""
    return isinstance(data, list) and any(isinstance(x, Mapping) and "equation" in x for x in data)


def layers(data: Sequence[object], source: str) -> list[Layer]:
    """The layers of a file.

    Raises:
        InputError: one lacks a field, or has one that ZigZag does not know.
    """
    return [validate(Layer, item, f"{source}: layer {i}") for i, item in enumerate(data)]


def is_product(layer: Layer) -> bool:
    """Whether a layer multiplies two tensors, as neither addition nor pooling does."""
    # The last of several bracketed groups: the operator between the inputs.
    found = _EQUATION.fullmatch(_plain(layer.equation))
    empty = any(bits == 0 for bits in layer.operand_precision.values())
    pools = "pool" in layer.operator_type.lower()
    return not (pools or empty or (found and found[5] == "+"))


def read(layer: Layer, name: str, source: str) -> Operator:
    """The operator that a layer is.

    Args:
        layer: one that is a product.
        name: the operator's.
        source: the file and the layer in it, for errors.

    Raises:
        InputError: its fields contradict each other, or it cannot be embedded.
    """
    found = _EQUATION.fullmatch(_plain(layer.equation))
    if found is None:
        raise InputError(source, "equation", layer.equation, f"must be as {_EXAMPLE}")
    loops = _loops(layer, source)
    rows = _related(layer, loops, source)
    operands = {
        operand: tuple(_row(n, loops, rows, layer, source) for n in re.findall(r"\[(\w+)\]", text))
        for operand, text in ((found[1], found[2]), (found[3], found[4]), (found[6], found[7]))
    }
    if len(operands) != 3:
        raise InputError(source, "equation", layer.equation, "must have three different operands")
    output, *inputs = operands
    weight = _weight(inputs, operands, layer)
    data = next(name for name in inputs if name != weight)
    sources = {operand.lower(): at for operand, at in layer.operand_source.items()}
    constant = sources.get(weight, layer.id) == layer.id
    product = Product(loops, operands[data], operands[weight], operands[output], constant)
    return operator(product, name, source)


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text).lower()


def _weight(inputs: list[str], operands: Mapping[str, tuple[Row, ...]], layer: Layer) -> str:
    """The input without windows; else the one that no other layer makes, or the second."""
    windowed = [n for n in inputs if any(row.loop is None for row in operands[n])]
    if len(windowed) == 1:
        return next(n for n in inputs if n not in windowed)
    sources = {operand.lower(): at for operand, at in layer.operand_source.items()}
    own = [n for n in inputs if sources.get(n) == layer.id]
    if len(own) == 1:
        return own[0]
    return "w" if "w" in inputs else inputs[1]


def _loops(layer: Layer, source: str) -> dict[str, int]:
    if len(layer.loop_dims) != len(layer.loop_sizes):
        allowed = f"as many as loop_dims, {len(layer.loop_dims)}"
        raise InputError(source, "loop_sizes", layer.loop_sizes, allowed)
    names = [_plain(name) for name in layer.loop_dims]
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or names.count(name) > 1:
            raise InputError(source, "loop_dims", name, "different names of letters and digits")
    return dict(zip(names, layer.loop_sizes, strict=True))


def _related(layer: Layer, loops: Mapping[str, int], source: str) -> dict[str, Affine]:
    """The windows: of each name on the left of a relation, the loops on its right."""
    found: dict[str, Affine] = {}
    for text in layer.dimension_relations:
        relation = _RELATION.fullmatch(_plain(text))
        if relation is None or relation[1] in found or relation[1] in loops:
            allowed = "must be as ix=2*ox+1*fx, one for each name that is no loop"
            raise InputError(source, "dimension_relations", text, allowed)
        found[relation[1]] = parse_affine(relation[2], loops, source, "dimension_relations")
    return found


def _row(
    name: str, loops: Mapping[str, int], rows: Mapping[str, Affine], layer: Layer, source: str
) -> Row:
    """A dimension of an operand, with the border and size that the layer gives it."""
    if name in loops:
        return Row(Affine.of({name: 1}))
    if name not in rows:
        allowed = f"loop_dims are {', '.join(loops)}; other names need a relation"
        raise InputError(source, "equation", name, allowed)
    known = [_plain(n) for n in layer.pr_loop_dims or ()]
    for field in ("padding", "pr_loop_sizes"):
        given = getattr(layer, field)
        if given is not None and len(given) != len(known):
            raise InputError(source, field, given, f"as many as pr_loop_dims, {len(known)}")
    if name not in known:
        return Row(rows[name])
    at = known.index(name)
    before, after = layer.padding[at] if layer.padding else (0, 0)
    size = layer.pr_loop_sizes[at] if layer.pr_loop_sizes else None
    return Row(rows[name], (before, after), size)
