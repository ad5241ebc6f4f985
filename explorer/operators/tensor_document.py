"""Tensors in operators' documents: extents, a row of the access map and a letter for each."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from isa.computation import Tensor
from isa.errors import InputError
from isa.schema import MAX_RANK, Document, Extent, Index, Name, parse_affine

Title = Annotated[str, StringConstraints(pattern=r"^[!-~]+( [!-~]+)*$", max_length=200)]
InputRole = Literal["in0", "in1"]
_Letters = Annotated[str, StringConstraints(pattern=r"^[A-Z]+$")]


class TensorDocument(Document):
    """A tensor: its extents, one row of the access map and one letter a dimension."""

    name: Name
    shape: Annotated[list[Extent], Field(min_length=1, max_length=MAX_RANK)]
    index: Index
    letters: _Letters | None = None


def dump_tensor(tensor: Tensor) -> dict[str, object]:
    """What a document says of a tensor."""
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "index": [str(row) if row.terms else row.const for row in tensor.index],
        "letters": tensor.letters,
    }


def read_tensor(document: TensorDocument, names: Sequence[str], source: str, field: str) -> Tensor:
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
