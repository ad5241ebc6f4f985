"""Instructions as data: the axes of one issue, and the ports that its multiply-adds read and write.

Each is a YAML document in this folder, a computation like an operator: ``in0``, ``in1`` and ``out``
are its ports. A port's shape follows from its access map, which has to tell all lanes of the axes
that it uses apart.

In: a name or a path, and extents that the configuration gives. Out: `isa.computation.Computation`.
Imports `isa` only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated

import numpy as np
from pydantic import Field

from isa.computation import Affine, Computation, Dimension, Tensor
from isa.errors import InputError
from isa.plugins import documents
from isa.schema import (
    MAX_EXTENT,
    MAX_RANK,
    Document,
    Extent,
    Index,
    Name,
    is_document,
    parse_affine,
    parse_yaml,
    read_text,
    validate,
)

_MAX_ENUMERATED = 2**20  # lanes that are compared cell by cell


class _PortDocument(Document):
    """A port's name and its access map, one row a dimension of the block that it holds."""

    name: Name
    index: Index


class IntrinsicDocument(Document):
    """An instruction; the extent of an axis is a number or the name of a configuration value."""

    name: Name
    axes: Annotated[dict[Name, Extent | Name], Field(min_length=1, max_length=MAX_RANK)]
    in0: _PortDocument
    in1: _PortDocument
    out: _PortDocument


def shipped() -> Traversable:
    """The folder of those that ship: an entry point, see `isa.plugins`."""
    return files("isa.intrinsics")


def names() -> list[str]:
    """The instructions that ship or that a package adds, sorted."""
    return list(documents("intrinsics"))


def load(name_or_path: str | Path, extents: Mapping[str, int] | None = None) -> Computation:
    """An instruction as a computation: its axes are the dimensions, its ports the tensors.

    Args:
        name_or_path: one of `names`, with or without the vendor (``m16n16k16``), or the path of a
            YAML document.
        extents: extents of the axes that the document leaves to the configuration, by the name of
            the axis (``x``) or of the configuration's value (``batch``). Others are ignored, so
            that a configuration can be given whatever the instruction is.

    Raises:
        InputError: there is no such instruction, an extent is missing, or the document is wrong.
    """
    text, source = _read(name_or_path)
    document = _document(text, source)
    axes = {axis: _extent(axis, e, extents or {}, source) for axis, e in document.axes.items()}
    dims = tuple(Dimension(axis, extent) for axis, extent in axes.items())
    in0 = _port(document.in0, axes, source, "in0")
    in1 = _port(document.in1, axes, source, "in1")
    out = _port(document.out, axes, source, "out")
    for axis, extent in axes.items():
        if not any(port.varies({axis: 1}) for port in (in0, in1, out)):
            allowed = "some port must use the axis: else its lanes would repeat one product"
            raise InputError(source, f"axes.{axis}", extent, allowed)
    return Computation(document.name, dims, in0, in1, out)


@lru_cache(maxsize=64)  # of a text, not a name: a file may be written anew
def _document(text: str, source: str) -> IntrinsicDocument:
    return validate(IntrinsicDocument, parse_yaml(text, source), source)


def _read(name_or_path: str | Path) -> tuple[str, str]:
    """The text of an instruction's document, and what to call it in errors."""
    name, known = str(name_or_path), documents("intrinsics")
    # Names before files: a file that happens to be called like an instruction must not hide it.
    meant = [name] if name in known else [n for n in known if n.endswith(f"_{name}")]
    if len(meant) == 1:
        return known[meant[0]].read_text(encoding="utf-8"), meant[0]
    if is_document(name):
        return read_text(Path(name)), name
    close = get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    allowed = f"{guess}a YAML file, or one of {', '.join(known)}"
    raise InputError("intrinsic", "", name, allowed)


def _extent(axis: str, given: int | str, extents: Mapping[str, int], source: str) -> int:
    """The extent of an axis, looked up when the document only names it."""
    if isinstance(given, int):
        return given
    extent = extents.get(given, extents.get(axis))
    if extent is None:
        allowed = f"the configuration has to give {given}, the extent of axis {axis}"
        raise InputError(source, f"axes.{axis}", None, allowed)
    if not 1 <= extent <= MAX_EXTENT:
        raise InputError(source, f"axes.{axis}", extent, f"an extent is 1 to {MAX_EXTENT}")
    return extent


def _port(document: _PortDocument, axes: Mapping[str, int], source: str, role: str) -> Tensor:
    """A port just as large as its access map reaches."""
    rows, shape, initials = [], [], ""
    for position, text in enumerate(document.index):
        field = f"{role}.index.{position}"
        row = parse_affine(text, axes, source, field)
        low, high = row.bounds(axes)
        if low < 0:
            raise InputError(source, field, str(text), "must not be negative")
        rows.append(row)
        shape.append(high + 1)
        initials += "".join(name[0] for name, _ in row.terms[:1])
    if not _tells_apart(rows, axes):
        text = ", ".join(map(str, rows))
        raise InputError(source, f"{role}.index", text, "two lanes of these axes share a cell")
    # A row without one name of its own has no letter, or two rows the same: then A, B, C.
    distinct = len(set(initials)) == len(rows)
    letters = initials.upper() if distinct else ascii_uppercase[: len(rows)]
    return Tensor(document.name, tuple(shape), tuple(rows), letters)


def _tells_apart(rows: Sequence[Affine], axes: Mapping[str, int]) -> bool:
    """Whether no two lanes of the axes that the rows use have the same cell."""
    used = [name for name in axes if any(row.coefficient(name) for row in rows)]
    # An axis with a row to itself is told apart by it; only the others need to be enumerated.
    left = set(used) - {row.terms[0][0] for row in rows if len(row.terms) == 1}
    if not left:
        return True
    lanes = math.prod(axes[name] for name in used)
    if lanes > _MAX_ENUMERATED:
        return False
    points = np.indices([axes[name] for name in used]).reshape(len(used), lanes)
    place = dict(zip(used, points, strict=True))
    cells = np.stack([row.at(place, np.zeros(lanes, np.int64)) for row in rows])
    return bool(np.unique(cells, axis=1).shape[1] == lanes)
