"""The manifest of a network's folder: what lies where in memory, and what happens when."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from explorer.layout.alu_passes import Amount
from explorer.network.graph import Dtype
from isa.folder.manifest import Digest
from isa.schema import Document

VERSION: Literal[2] = 2
MOST = 2**31
"""Bytes of memory, as addresses of other formats have them."""

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_FileName = Annotated[str, StringConstraints(pattern=rf"^({_PART}/)?{_PART}$", max_length=200)]
_Size = Annotated[int, Field(ge=0, lt=MOST)]
_Text = Annotated[str, StringConstraints(max_length=1000)]


class File(Document):
    """A file of the folder: its name, bytes and digest."""

    file: _FileName
    size: _Size
    sha256: Digest


class SummandEntry(Document):
    """A tensor in a buffer; `index` has a number of 32 bits for each lane, negative for none."""

    tensor: _Text
    index: File
    form: Amount = "value"
    number: Annotated[int, Field(ge=-64, le=64)] = 0


class ContentEntry(Document):
    """What a buffer holds: sums of tensors' elements, and a number, as int8 or int32."""

    layout: _Text
    dtype: Literal["int8", "int32"]
    lanes: Annotated[int, Field(ge=1)]
    const: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    summands: Annotated[list[SummandEntry], Field(min_length=1, max_length=64)]


class PlacedEntry(Document):
    """A range of memory, and the file that fills it; a tensor's has none.

    `filled` has a number of 32 bits for each entry of a tensor's that the host makes.
    """

    name: _Text
    kind: Literal["tensor", "constant", "micro-ops", "instructions"]
    address: _Size
    size: _Size
    file: _FileName | None
    sha256: Digest | None
    content: ContentEntry | None = None
    filled: File | None = None
    first: _Size = 0
    last: _Size = 0


class NodeEntry(Document):
    """A node of a segment; `instruction` is its first one."""

    name: _Text
    candidate: _Text
    instruction: _Size


class SegmentEntry(Document):
    """A launch; numbers are those of ranges of memory."""

    nodes: Annotated[list[NodeEntry], Field(min_length=1)]
    border: Literal["flow", "barrier"] | None
    micro_ops: _Size
    instructions: _Size
    count: _Size
    outputs: list[_Size]
    relocations: File
    listing: File
    cycles: _Size
    cycles_alone: _Size


class ActionEntry(Document):
    """A step: the host's work on a range of memory, a segment's launch, a node's call.

    `sources` are the ranges that the host takes tensors from, null for those that it has.
    """

    do: Literal["pack", "fill", "unpack", "launch", "call"]
    range: _Size | None = None
    sources: list[_Size | None] | None = None
    tensor: _Text | None = None
    segment: _Size | None = None
    node: _Text | None = None


class HostEntry(Document):
    """A node of the host as an ONNX model, with the model's names by the network's."""

    model: File
    inputs: dict[str, _Text]
    outputs: dict[str, _Text]


class ConstantEntry(Document):
    """A constant that the host needs, row-major and little endian."""

    data: File
    dtype: Dtype
    shape: list[_Size]


class NetworkManifest(Document):
    """All of it. ``source`` says what it was made from; nothing reads it."""

    format: Literal["network"]
    version: Literal[2]
    generator: _Text
    configuration: dict[str, Any]
    network: File
    size: _Size
    alignment: Annotated[int, Field(ge=1)]
    peak: _Size
    bound: _Size
    inputs: list[_Text]
    outputs: list[_Text]
    ranges: list[PlacedEntry]
    segments: list[SegmentEntry]
    steps: list[ActionEntry]
    hosts: dict[str, HostEntry]
    constants: dict[str, ConstantEntry]
    source: dict[str, Any]
