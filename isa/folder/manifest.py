"""The manifest of a program folder: what its files are, for which machine, and from what made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from isa.schema import Document

VERSION: Literal[1] = 1

Format = Literal["raw", "standalone-vta"]
FORMATS: tuple[Format, ...] = ("raw", "standalone-vta")

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
"""A file in the folder itself."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a file, in hexadecimal."""

_Size = Annotated[int, Field(ge=0, lt=2**31)]


class FileEntry(Document):
    """A file: its name, bytes and digest."""

    file: FileName
    size: _Size
    sha256: Digest


class CoordinateEntry(Document):
    """A coordinate of packed entries: a sum of outer loops, which counts from ``first`` on."""

    name: str
    loops: str
    first: int


class TensorEntry(Document):
    """How a section holds a tensor.

    ``packed`` is the shape of the section as an array of ``dtype``: an extent for each coordinate,
    and then for each axis. ``lanes`` are loops by the position on an axis. ``index`` gives, for
    each dimension of the logical tensor, the position that an element of the packed one stands for;
    where that is outside the tensor, or one of the ``guards`` does not hold, the element is zero
    (in an output: of no meaning). Expressions are Python's, in names of coordinates, lanes and
    axes.
    """

    name: str
    dtype: Literal["int8", "int32"]
    shape: list[int]
    layout: str | None
    packed: list[int]
    coordinates: list[CoordinateEntry]
    axes: list[str]
    lanes: dict[str, str]
    index: dict[str, str]
    guards: list[str]


class SectionEntry(Document):
    """A range of DRAM and the file that fills it; a section without a file starts as zeros.

    Attributes:
        address: of its first byte; null where the program is base-relative.
        alignment: what its address has to be a multiple of.
        tensor: what it holds; several tensors stand one after the other.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Z_]+$")]
    address: _Size | None
    size: _Size
    alignment: Annotated[int, Field(ge=1)]
    element_bytes: Annotated[int, Field(ge=1)]
    file: FileName | None
    sha256: Digest | None
    tensor: TensorEntry | list[TensorEntry] | None = None


class Manifest(Document):
    """All of it. ``source`` says what the program was made from; nothing reads it."""

    format: Format
    version: Literal[1]
    generator: str
    configuration: dict[str, Any]
    instructions: _Size
    uops: _Size
    sections: list[SectionEntry]
    relocations: FileEntry | None
    expected: FileEntry | None
    listing: FileEntry | None
    source: dict[str, Any]
