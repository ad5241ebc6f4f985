"""What a program has in DRAM: its tensors in order, and of equal blocks of constants one.

A block is a single entry that the tool fills: ones, or a multiple of the identity, as sums of
tensors and residuals multiply by. Two of the same bytes are one tensor, which is loaded once for
all that multiply by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from explorer.layout.alu_passes import Vector
from explorer.layout.packed import Layout
from isa.computation import Fill
from isa.fields import Memory

Kind = Literal["inp", "wgt", "out", "spread", "level", "digits", "block", "dense", "term"]
SECTIONS: dict[Kind, tuple[str, Memory]] = {
    "inp": ("INP", Memory.INP),
    "wgt": ("WGT", Memory.WGT),
    "out": ("OUT", Memory.OUT),
    "spread": ("ACC", Memory.ACC),
    "level": ("INP", Memory.INP),
    "digits": ("WGT", Memory.WGT),
    "block": ("WGT", Memory.WGT),
    "dense": ("ACC_BIS", Memory.ACC),
    "term": ("INP", Memory.INP),
}
"""The section in which each kind lies, and the memory that it is loaded to or stored from."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a program loads or stores.

    Attributes:
        kind: an input of a term by its port, the output, a vector as accumulators (``spread``,
            ``dense``) or as a product (``digits``, ``term``), what digits are multiplied by
            (``level``), or a multiple of the identity for such terms (``block``).
        what: the term's number, from 0; the vector; or by how many places a block is shifted.
    """

    kind: Kind
    what: int | Vector = 0

    @property
    def vector(self) -> Vector:
        """The vector, where it is one."""
        assert isinstance(self.what, Vector)
        return self.what

    @property
    def number(self) -> int:
        """The number, where it is one."""
        assert isinstance(self.what, int)
        return self.what


@dataclass(frozen=True, slots=True)
class Stored:
    """A packed tensor.

    Attributes:
        use: what it is.
        layout: how it is packed.
        block: its bytes, if it is a block of constants.
    """

    use: Use
    layout: Layout
    block: bytes | None = None

    @property
    def section(self) -> str:
        """The section of DRAM in which it lies."""
        return SECTIONS[self.use.kind][0]

    @property
    def memory(self) -> Memory:
        """The scratchpad's kind that it is loaded to or stored from."""
        return SECTIONS[self.use.kind][1]


def places(found: Iterable[Stored]) -> dict[Use, int]:
    """For each tensor, its place among those that are left when equal blocks are one."""
    rows: dict[Use, int] = {}
    blocks: dict[tuple[str, bytes], int] = {}
    count = 0
    for tensor in found:
        row = count
        if tensor.block is not None:
            row = blocks.setdefault((tensor.section, tensor.block), count)
        rows[tensor.use] = row
        count += row == count
    return rows


def once(found: Iterable[Stored]) -> tuple[Stored, ...]:
    """The tensors that are left when equal blocks are one: of these the first."""
    each = list(found)
    rows = places(each)
    first = {row: tensor for tensor in reversed(each) for row in (rows[tensor.use],)}
    return tuple(first[row] for row in sorted(first))


def filled_block(layout: Layout, fill: Fill | None) -> bytes | None:
    """The bytes of an input that the tool fills, if it is the second one and a single entry."""
    # Asked of every input of every design: a layout is hashed only where there are bytes to find.
    if fill is None or layout.role != "in1" or layout.coordinates:
        return None
    return _filled(layout, fill)


@lru_cache(maxsize=1024)  # embeddings of an operator pack what is filled in few ways
def _filled(layout: Layout, fill: Fill) -> bytes:
    return layout.pack(fill.array(layout.tensor.shape)).tobytes()


@lru_cache(maxsize=1024)
def identity_block(layout: Layout, factor: int) -> bytes:
    """The bytes of a block with a power of two on its diagonal."""
    return layout.pack(np.eye(*layout.tensor.shape, dtype=np.int8) << factor).tobytes()
