"""Operators as YAML documents of stages: products and steps on one accumulator, in order.

::

    name: block
    out: {name: output, shape: [1, 64, 56, 56], letters: NCHW}
    stages:
      - term:
          dimensions: {n: 1, oc: 64, oh: 56, ow: 56, ic: 64}
          in0: {name: data, shape: [1, 64, 56, 56], index: [n, ic, oh, ow], letters: NCHW}
          in1: {name: weight, shape: [64, 64], index: [oc, ic], letters: OI}
          out: [n, oc, oh, ow]
      - add: {name: bias, shape: [64], index: [oc], bits: 20}
      - shift: {by: 8, rounding: half-even}
      - max: -128
      - min: 127
      - term: …
      - shift: -2
      - add: 3

A term whose second input is one number everywhere, or that number times an identity, says so with
``fill: 1`` or ``fill: {identity: 1}``; no data is then given for it.

Maps of the steps' tensors use dimensions of the first term.
"""

from __future__ import annotations

from string import ascii_uppercase
from typing import Annotated

from pydantic import Field

from explorer.operators.stages import check_stages
from explorer.operators.tensor_document import (
    InputRole,
    TensorDocument,
    Title,
    dump_tensor,
    read_tensor,
)
from isa.computation import (
    Add,
    Computation,
    Dimension,
    Fill,
    Max,
    Min,
    Operator,
    Rounding,
    Shift,
    Stage,
    Term,
)
from isa.errors import InputError
from isa.schema import MAX_RANK, Document, Extent, Index, Name

MAX_STAGES = 64
"""Most stages that a document may have."""

_Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
_Amount = Annotated[int, Field(ge=-31, le=31)]


class _OutputDocument(Document):
    """The output of all terms, without a map: each term has its own."""

    name: Name
    shape: Annotated[list[Extent], Field(min_length=1, max_length=MAX_RANK)]
    letters: str | None = None


_Int8 = Annotated[int, Field(ge=-128, le=127)]


class _IdentityDocument(Document):
    """A `Fill` of an identity."""

    identity: _Int8


class _TermDocument(Document):
    """A `Term`; ``out`` is its access map into the output."""

    dimensions: Annotated[dict[Name, Extent], Field(min_length=1, max_length=MAX_RANK)]
    in0: TensorDocument
    in1: TensorDocument
    out: Index
    constants: list[InputRole] = Field(default_factory=lambda: list[InputRole](["in1"]))
    fill: _Int8 | _IdentityDocument | None = None


class _AddendDocument(TensorDocument):
    """A tensor that is added."""

    bits: Annotated[int, Field(ge=1, le=32)] = 32
    left: Annotated[int, Field(ge=0, le=31)] = 0


class _AmountsDocument(TensorDocument):
    """A tensor of shift amounts, and between which numbers they are."""

    span: Annotated[list[_Amount], Field(min_length=2, max_length=2)]


class _ShiftDocument(Document):
    """A `Shift`."""

    by: _Amount | _AmountsDocument
    rounding: Rounding = "floor"


class _StageDocument(Document):
    """One stage: exactly one of the keys is given."""

    term: _TermDocument | None = None
    add: _Int32 | _AddendDocument | None = None
    shift: _Amount | _ShiftDocument | None = None
    max: _Int32 | None = None
    min: _Int32 | None = None


class StagesDocument(Document):
    """An operator as a list of stages."""

    name: Title
    kind: Title = "custom"
    out: _OutputDocument
    stages: Annotated[list[_StageDocument], Field(min_length=1, max_length=MAX_STAGES)]


def read_stages(document: StagesDocument, source: str) -> Operator:
    """The operator of a document whose fields are right one by one.

    Raises:
        InputError: a stage cannot be, or not where it is (see `stages.check_stages`).
    """
    stages: list[Stage] = []
    names: list[str] = []
    for number, stage in enumerate(document.stages):
        field = f"stages.{number}"
        given = [key for key in type(stage).model_fields if getattr(stage, key) is not None]
        if len(given) != 1:
            allowed = "a stage has one key of term, add, shift, max, min"
            raise InputError(source, field, ", ".join(given) or None, allowed)
        if stage.term is not None:
            computation = _computation(stage.term, document, source, f"{field}.term")
            stages.append(Term(computation, frozenset(stage.term.constants), _fill(stage.term)))
            names = names or list(computation.parallel)
        else:
            stages.append(_step(stage, names, source, field))
    operator = Operator(document.name, document.kind, tuple(stages))
    check_stages(operator, source)
    return operator


def _fill(term: _TermDocument) -> Fill | None:
    if isinstance(term.fill, _IdentityDocument):
        return Fill(term.fill.identity, identity=True)
    return None if term.fill is None else Fill(term.fill)


def _computation(
    term: _TermDocument, document: StagesDocument, source: str, field: str
) -> Computation:
    names = list(term.dimensions)
    dims = tuple(Dimension(name, extent) for name, extent in term.dimensions.items())
    in0 = read_tensor(term.in0, names, source, f"{field}.in0")
    in1 = read_tensor(term.in1, names, source, f"{field}.in1")
    out = TensorDocument(
        name=document.out.name,
        shape=document.out.shape,
        index=term.out,
        letters=document.out.letters or ascii_uppercase[: len(document.out.shape)],
    )
    return Computation(
        document.kind, dims, in0, in1, read_tensor(out, names, source, f"{field}.out")
    )


def _step(stage: _StageDocument, names: list[str], source: str, field: str) -> Stage:
    """A step; `names` are the dimensions of the output that its tensor's map may use."""
    if isinstance(stage.add, TensorDocument):
        return Add(
            read_tensor(stage.add, names, source, f"{field}.add"), stage.add.bits, stage.add.left
        )
    if stage.add is not None:
        return Add(stage.add)
    if stage.max is not None:
        return Max(stage.max)
    if stage.min is not None:
        return Min(stage.min)
    if isinstance(stage.shift, int):
        return Shift(stage.shift)
    assert stage.shift is not None
    by, rounding = stage.shift.by, stage.shift.rounding
    if isinstance(by, int):
        return Shift(by, rounding)
    low, high = by.span
    return Shift(read_tensor(by, names, source, f"{field}.shift.by"), rounding, (low, high))


def dump_stages(operator: Operator) -> dict[str, object]:
    """The document from which `read_stages` makes the same operator."""
    out = dump_tensor(operator.out)
    del out["index"]
    return {
        "name": operator.name,
        "kind": operator.kind,
        "out": out,
        "stages": [_dumped(stage) for stage in operator.stages],
    }


def _dumped(stage: Stage) -> dict[str, object]:
    if isinstance(stage, Term):
        computation, fill = stage.computation, stage.fill
        said = {"fill": {"identity": fill.value} if fill.identity else fill.value} if fill else {}
        return {
            "term": {
                "dimensions": computation.extents,
                "in0": dump_tensor(computation.in0),
                "in1": dump_tensor(computation.in1),
                "out": dump_tensor(computation.out)["index"],
                "constants": sorted(stage.constants),
                **said,
            }
        }
    if isinstance(stage, Add):
        if isinstance(stage.value, int):
            return {"add": stage.value}
        left = {"left": stage.left} if stage.left else {}
        return {"add": {**dump_tensor(stage.value), "bits": stage.bits, **left}}
    if isinstance(stage, Shift):
        by: object = stage.amount
        if not isinstance(stage.amount, int):
            by = {**dump_tensor(stage.amount), "span": list(stage.span)}
        return {"shift": {"by": by, "rounding": stage.rounding}}
    return {"max" if isinstance(stage, Max) else "min": stage.bound}
