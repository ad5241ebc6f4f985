"""What a buffer in memory holds of the network's tensors, and how the host packs and unpacks it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.layout.alu_passes import Amount, Part
from explorer.layout.canonical import IDLE
from explorer.layout.held import Held
from explorer.layout.packed import Layout
from explorer.network.graph import Tensor
from explorer.network.integers import as_model, signed

Array = NDArray[Any]
Rows = NDArray[np.int32]
"""Entries of a buffer, by their numbers."""
NO_ROWS = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Summand:
    """A tensor that a buffer holds, alone or added to others.

    Attributes:
        tensor: its name in the network.
        held: the tensor's elements in the lanes.
        form, number: what is made of the elements, see `explorer.layout.alu_passes.Part`.
    """

    tensor: str
    held: Held
    form: Amount = "value"
    number: int = 0

    @property
    def index(self) -> NDArray[np.int32]:
        """Of each lane of each entry the tensor's element, by its row-major number.

        Of shape (entries, lanes). Negative ones are `IDLE`, where anything may lie, and `ZERO`.
        """
        return self.held.rows()


@dataclass(frozen=True, eq=False)
class Content:
    """What a buffer holds.

    Attributes:
        summands: tensors with their places, all of one shape of lanes.
        const: a number that is added where a lane holds an element.
        wide: whether it holds int32, as residuals that are added as accumulators; else int8.
        layout: the name of the layout, for people.
    """

    summands: tuple[Summand, ...]
    const: int
    wide: bool
    layout: str

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors of the network that it is made of, each once."""
        return tuple(dict.fromkeys(s.tensor for s in self.summands))

    @property
    def plain(self) -> bool:
        """Whether it is one tensor as it is."""
        (first, *others) = self.summands
        return not (others or self.wide or self.const or first.number or first.form != "value")

    @property
    def size(self) -> int:
        """Bytes."""
        entries, lanes = self.summands[0].held.shape
        return entries * lanes * (4 if self.wide else 1)

    @cached_property
    def key(self) -> bytes:
        """Equal for contents that are equal."""
        found = hashlib.blake2b(repr((self.const, self.wide)).encode(), digest_size=16)
        for s in self.summands:
            found.update(repr((s.tensor, s.form, s.number, s.held.digest)).encode())
        return found.digest()

    def packed(self, tensors: Mapping[str, Array]) -> NDArray[np.uint8]:
        """The buffer's bytes, from the network's tensors as the host has them."""
        total = np.full(self.summands[0].held.shape, self.const, np.int64)
        held = np.zeros(total.shape, np.bool_)
        for s in self.summands:
            flat = signed(tensors[s.tensor]).reshape(-1)
            values = Part(s.tensor, s.form, s.number).of(flat)
            index = s.index
            total += np.where(index >= 0, values[np.maximum(index, 0)], 0)
            held |= index >= 0
        # Sums wrap as the ALU's do.
        whole = np.where(held, total, 0).astype(np.int32)
        data = whole if self.wide else whole.astype(np.int8)
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)

    def elements(
        self, data: NDArray[np.uint8], size: int, without: Rows = NO_ROWS
    ) -> NDArray[np.int8]:
        """The integers of the tensor that a buffer holds, row-major; 0 where no lane has one.

        Args:
            data: the buffer's bytes.
            size: of the tensor.
            without: entries that are not looked at.
        """
        index = self._index(without).reshape(-1)
        flat = np.zeros(size, np.int8)
        flat[index[index >= 0]] = data.view(np.int8)[index >= 0]
        return flat

    def unpacked(self, data: NDArray[np.uint8], tensor: Tensor) -> Array:
        """The tensor that a buffer holds, of the type that the host has it in."""
        return as_model(self.elements(data, tensor.size).reshape(tensor.shape or ()), tensor)

    def made(self, rows: Rows, flat: NDArray[np.int8]) -> NDArray[np.int8]:
        """Some entries, of a tensor's integers; zeros where lanes hold none, (rows, lanes)."""
        index = self.summands[0].held.rows(rows)
        return np.where(index >= 0, flat[np.maximum(index, 0)], np.int8(0))

    def differs(
        self, data: NDArray[np.uint8], tensor: Array, without: Rows = NO_ROWS
    ) -> NDArray[np.bool_]:
        """Which elements of a tensor some lane that should hold them does not, row-major."""
        index, flat = self._index(without).reshape(-1), signed(tensor).reshape(-1)
        held = index >= 0
        bad = np.zeros(flat.size, np.bool_)
        bad[index[held][data.view(np.int8)[held] != flat[index[held]]]] = True
        return bad

    def holds(self, tensor: Array, without: Rows = NO_ROWS) -> NDArray[np.bool_]:
        """Which elements of a tensor some lane holds, row-major; a reader may not want all."""
        index, there = self._index(without).reshape(-1), np.zeros(tensor.size, np.bool_)
        there[index[index >= 0]] = True
        return there

    def _index(self, without: Rows) -> NDArray[np.int32]:
        """The elements that lanes hold, none in some entries."""
        index = self.summands[0].index
        index[without] = IDLE
        return index


def serves(written: Content, read: Content, *, by_host: bool) -> bool:
    """Whether what was written lies as it is to be read.

    A lane that stands for nothing is garbage, or zero where the host has written it; one that a
    reader has idle may hold anything.
    """
    if not (written.plain and read.plain) or written.tensors != read.tensors:
        return False
    return written.summands[0].held.serves(read.summands[0].held, zeros=by_host)


def title(layout: Layout) -> str:
    """What a layout is called: by its blocks, or by its loops."""
    outer = "".join(f"[{c.name}]" for c in layout.coordinates)
    return layout.name or f"{outer}[{'x'.join(str(extent) for _, extent in layout.axes)}]"
