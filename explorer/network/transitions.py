"""What it costs to pass a tensor on: from the layout that is written to the one that is read.

How is said by a named model, which is data (`transitions.yaml`). The kinds, cheapest first:

- **none**: what is read lies there as it was written. Lanes that stand for nothing may differ.
- **stored**: every vector that the reader wants is one that the producer has, and STORE writes it
  there.
- **filled**: the same, but for vectors that the producer lacks: the host makes those.
- **host**: the host reads all that was written and writes all that is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from explorer.layout.canonical import IDLE, ZERO
from explorer.network.problem import Cost
from isa.errors import InputError
from isa.schema import Document, parse_yaml, validate

Kind = Literal["none", "stored", "filled", "host"]
GARBAGE = -3
"""What a lane holds that was written without meaning: no reader can use it."""


class Model(Document):
    """A model of transitions; see `transitions.yaml`."""

    summary: str
    stores: bool
    border: Literal["plain", "free"]
    residual: Annotated[int, Field(ge=1, le=4)]


@cache
def models() -> Mapping[str, Model]:
    """The models that ship, by name."""
    text = (files("explorer.network") / "transitions.yaml").read_text(encoding="utf-8")
    known = parse_yaml(text, "transitions.yaml")
    assert isinstance(known, dict)
    return {name: validate(Model, fields, "transitions.yaml") for name, fields in known.items()}


def model(name: str) -> Model:
    """A model by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in models():
        raise InputError("--transitions", "", name, f"one of {', '.join(models())}")
    return models()[name]


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """A tensor in a layout.

    Attributes:
        key: equal for layouts that hold the same elements, lane by lane.
        size: bytes in DRAM.
        vector: bytes of an entry.
        held: the tensor's elements by their flat index, (entries, lanes), see
            `explorer.layout.canonical.contents`; None for the plain tensor.
    """

    key: str
    size: int
    vector: int = 1
    held: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """What the host's work costs.

    Attributes:
        per_byte: cycles for each byte that it reads or writes.
        per_call: cycles for each transition that it takes part in.
    """

    per_byte: Fraction = Fraction(1)
    per_call: int = 0

    def cost(self, moved: int, made: int) -> Cost:
        """The costs of moving so many bytes, for a layout of so many bytes."""
        if not moved:
            return Cost(memory=made)
        cycles = math.ceil(moved * self.per_byte) + self.per_call
        return Cost(cycles, moved, made, 1)


def passed(
    written: Laid, read: Laid, rule: Model, host: Host, *, by_host: bool, residual: bool
) -> tuple[Kind, Cost]:
    """The cheapest transition, and what it costs.

    Args:
        written: the tensor as it is written.
        read: the tensor as it is wanted.
        rule: which transitions there are.
        host: what its work costs.
        by_host: whether the host has written it, with zeros where lanes hold none.
        residual: whether it is read as a residual.
    """
    factor = rule.residual if residual else 1
    if factor == 1:
        if _in_place(written, read, by_host):
            return "none", Cost()
        if rule.stores and written.held is not None and read.held is not None:
            missing = lacking(written.held, read.held, by_host)
            # The host reads what it makes them of, and writes them.
            cost = host.cost(2 * missing * read.vector, read.size)
            return ("filled" if missing else "stored"), cost
    return "host", host.cost(written.size + factor * read.size, factor * read.size)


def _in_place(written: Laid, read: Laid, by_host: bool) -> bool:
    if written.held is None or read.held is None:
        return written.held is read.held
    if written.held.shape != read.held.shape:
        return False
    if by_host and written.key == read.key:
        return True
    return bool(np.all((read.held == IDLE) | (read.held == _meaning(written.held, by_host))))


def _meaning(held: NDArray[np.int32], by_host: bool) -> NDArray[np.int32]:
    """What was written; where lanes stand for nothing, garbage, or the zeros that hosts write."""
    return np.where(held < 0, np.int32(ZERO if by_host else GARBAGE), held)


def lacking(written: NDArray[np.int32], read: NDArray[np.int32], by_host: bool = False) -> int:
    """How many of the vectors that are read are none that was written.

    A lane that is idle in the reader may hold anything; one that is to be zero holds zero only
    where the host has written it.
    """
    if written.shape[1] != read.shape[1]:
        return len(read)
    known = _meaning(written, by_host)
    masks, which = np.unique(read != IDLE, axis=0, return_inverse=True)
    missing = 0
    for number, mask in enumerate(masks):
        if mask.any():
            wanted = read[which.reshape(-1) == number][:, mask]
            missing += _absent(known[:, mask], wanted)
    return missing


def _absent(known: NDArray[np.int32], wanted: NDArray[np.int32]) -> int:
    """How many rows of the one are none of the other."""
    place = np.full(max(int(known[:, 0].max()), int(wanted[:, 0].max()), 0) + 1, -1)
    live = np.flatnonzero(known[:, 0] >= 0)
    place[known[live, 0]] = live
    if len(np.unique(known[live, 0])) == len(live) and wanted[:, 0].min() >= 0:
        # Each element is the first of one vector at most: that one it is, or none.
        found = place[wanted[:, 0]]
        same = (known[np.maximum(found, 0)] == wanted).all(axis=1)
        return int((~(same & (found >= 0))).sum())
    there = {row.tobytes() for row in np.ascontiguousarray(known)}
    return sum(row.tobytes() not in there for row in np.ascontiguousarray(wanted))
