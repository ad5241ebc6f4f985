"""Problems of Timeloop, and of CoSA, which are the same: a shape and the extents of its dimensions.

::

    problem:
      version: 0.4
      shape:
        name: gemm
        dimensions: [M, N, K]
        data_spaces:
          - {name: A, projection: [[[M]], [[K]]]}
          - {name: B, projection: [[[N]], [[K]]]}
          - {name: Z, projection: [[[M]], [[N]]], read_write: true}
      instance: {M: 64, N: 1000, K: 512}

A projection is a list of tensor dimensions, each a list of terms ``[dimension]`` or ``[dimension,
coefficient]`` that are added. The shapes ``cnn-layer`` and ``gemm-ABZ`` that Timeloop brings along
may be named instead. Extents may also stand beside the shape, as in the files of CoSA.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated

from pydantic import AliasChoices, ConfigDict, Field

from explorer.operators.products import Product, Row, operator
from isa.computation import Affine, Operator
from isa.errors import InputError, InputWarning
from isa.schema import MAX_EXTENT, MAX_RANK, Document, validate

_Word = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$", max_length=32)]
_Term = Annotated[list[_Word], Field(min_length=1, max_length=2)]
_Sum = Annotated[list[_Term], Field(min_length=1, max_length=MAX_RANK)]
_UNUSED = {"densities", "bitwidths"}
_WEIGHTS = {"weight", "weights", "filter", "filters", "w"}


class Space(Document):
    """A tensor."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    name: Annotated[str, Field(max_length=200)]
    projection: Annotated[list[_Sum], Field(min_length=1, max_length=MAX_RANK)]
    read_write: bool = Field(
        default=False, validation_alias=AliasChoices("read_write", "read-write")
    )


class Coefficient(Document):
    """A step of a projection; `default` holds where the problem says nothing."""

    name: _Word
    default: int = 1


class Shape(Document):
    """The dimensions of a problem, and the tensors that they address."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    name: Annotated[str, Field(max_length=200)] = ""
    dimensions: Annotated[list[_Word], Field(min_length=1, max_length=MAX_RANK)]
    coefficients: list[Coefficient] = Field(default_factory=list)
    data_spaces: list[Space] = Field(validation_alias=AliasChoices("data_spaces", "data-spaces"))


def _space(name: str, *rows: str, written: bool = False) -> dict[str, object]:
    """A tensor from text: `R*Wdilation+P*Wstride` is one dimension."""
    projection = [[term.split("*") for term in row.split("+")] for row in rows]
    return {"name": name, "projection": projection, "read_write": written}


_LAYER = {
    "dimensions": list("RSPQCKN"),
    "coefficients": [{"name": f"{axis}{what}"} for what in ("stride", "dilation") for axis in "WH"],
    "data_spaces": [
        _space("Weights", "C", "K", "R", "S"),
        _space("Inputs", "N", "C", "R*Wdilation+P*Wstride", "S*Hdilation+Q*Hstride"),
        _space("Outputs", "N", "K", "Q", "P", written=True),
    ],
}
_GEMM = {
    "dimensions": list("MNK"),
    "data_spaces": [
        _space("A", "M", "K"),
        _space("B", "N", "K"),
        _space("Z", "M", "N", written=True),
    ],
}
SHAPES = {"cnn-layer": _LAYER, "gemm-ABZ": _GEMM}
"""The shapes that a problem may name, with ``-`` or ``_``."""


def read(problem: Mapping[str, object], name: str, source: str) -> Operator:
    """The operator that a problem is.

    Args:
        problem: what stands below ``problem``.
        name: the operator's.
        source: the file, for errors.

    Raises:
        InputError: the shape is unknown or no product of two tensors, or an extent is missing.
    """
    shape = _shape(problem.get("shape", "cnn-layer"), source)
    _check_names(shape, source)
    place, sizes = _instance(problem)
    loops = {d.lower(): _number(sizes, d, None, 1, f"{source}: {place}") for d in shape.dimensions}
    steps = {
        c.name: _number(sizes, c.name, c.default, 1, f"{source}: {place}")
        for c in shape.coefficients
    }
    known = {*shape.dimensions, *steps, *_UNUSED, *(f"{x}{y}" for x in "WH" for y in ("", "pad"))}
    for key in sizes:
        if key not in known:
            text = f"{source}: {place}.{key}: Timeloop has no such dimension here; not used"
            warnings.warn(text, InputWarning, stacklevel=2)
    inputs = [s for s in shape.data_spaces if not s.read_write]
    outputs = [s for s in shape.data_spaces if s.read_write]
    if len(inputs) != 2 or len(outputs) != 1:
        given = f"{len(inputs)} inputs and {len(outputs)} outputs"
        allowed = "two inputs and one read_write output: an instruction multiplies two tensors"
        raise InputError(source, "problem.shape.data_spaces", given, allowed)
    weight = next((s for s in inputs if s.name.lower() in _WEIGHTS), inputs[1])
    windowed = [s for s in inputs if any(len(row) > 1 for row in s.projection)]
    if windowed == [weight]:
        weight = next(s for s in inputs if s is not weight)
    (data,) = (s for s in inputs if s is not weight)
    image, kernel, out = (
        tuple(_rows(space, steps, loops, sizes)) for space in (data, weight, outputs[0])
    )
    return operator(Product(loops, image, kernel, out), name, source)


def _shape(given: object, source: str) -> Shape:
    """The shape, by its name or as it is."""
    if isinstance(given, str):
        named = {name.replace("-", "_"): shape for name, shape in SHAPES.items()}
        found = named.get(given.replace("-", "_"))
        if found is None:
            allowed = f"a shape that is written out, or one of {', '.join(SHAPES)}"
            raise InputError(source, "problem.shape", given, allowed)
        given = found
    return validate(Shape, given, f"{source}: problem.shape")


def _check_names(shape: Shape, source: str) -> None:
    """Check that what projections use is declared, and once."""
    dimensions = {d.lower() for d in shape.dimensions}
    coefficients = {c.name for c in shape.coefficients}
    if len(dimensions) < len(shape.dimensions):
        allowed = "each once; case makes no difference"
        raise InputError(source, "problem.shape.dimensions", shape.dimensions, allowed)
    for space in shape.data_spaces:
        for term in (term for row in space.projection for term in row):
            if term[0].lower() not in dimensions or not coefficients.issuperset(term[1:]):
                allowed = "[dimension] or [dimension, coefficient], both as declared in the shape"
                where = f"problem.shape.data_spaces.{space.name}"
                raise InputError(source, where, term, allowed)


def _instance(problem: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """Where the extents stand, and what stands there."""
    instance = problem.get("instance")
    if isinstance(instance, Mapping):
        return "problem.instance", instance
    beside = {k: v for k, v in problem.items() if k not in ("shape", "version", "instance")}
    return "problem", beside


def _number(
    sizes: Mapping[str, object], key: str, default: int | None, low: int, source: str
) -> int:
    value = sizes.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= MAX_EXTENT:
        raise InputError(source, key, value, f"a whole number from {low} to {MAX_EXTENT}")
    return value


def _rows(
    space: Space, steps: Mapping[str, int], loops: Mapping[str, int], sizes: Mapping[str, object]
) -> list[Row]:
    """A tensor's dimensions; with a border where the problem gives one that fits."""
    rows = []
    for terms in space.projection:
        index: dict[str, int] = {}
        for dimension, *step in terms:
            name = dimension.lower()
            index[name] = index.get(name, 0) + (steps[step[0]] if step else 1)
        row = Row(Affine.of(index))
        axes = {step[0] for _, *step in terms if step and step[0].endswith("stride")}
        axis = axes.pop().removesuffix("stride") if len(axes) == 1 else ""
        if axis in ("W", "H"):
            row = _bordered(row, axis, steps[f"{axis}stride"], loops, sizes)
        rows.append(row)
    return rows


def _bordered(
    row: Row, axis: str, stride: int, loops: Mapping[str, int], sizes: Mapping[str, object]
) -> Row:
    """The row with the image and border that `Wpad`, `W` and the like say, if windows fit them so.

    Timeloop does not read these keys, and files are found in which they contradict the extents.
    There the image is what the windows reach, as it is to Timeloop.
    """
    pad, size = sizes.get(f"{axis}pad", 0), sizes.get(axis)
    if not isinstance(pad, int) or not isinstance(size, int) or pad < 0 or size < 1:
        return row
    reach = row.index.bounds(loops)[1] + 1
    if not reach <= size + 2 * pad < reach + stride:
        return row
    return Row(row.index, (pad, pad), size)
