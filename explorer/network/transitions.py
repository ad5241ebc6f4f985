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
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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


Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
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
    held: Rows | None = None

    @cached_property
    def wanted(self) -> list[tuple[NDArray[np.intp], Rows]]:
        """What a reader of the layout asks for: entries with the lanes in which they are not idle.

        Of each set of such lanes, (lanes,), what the entries hold in them, (lanes, entries).
        """
        assert self.held is not None
        bits = np.packbits(self.held != IDLE, axis=1)
        found = []
        for mask in np.unique(bits, axis=0):
            lanes = np.flatnonzero(np.unpackbits(mask, count=self.held.shape[1]))
            if len(lanes):
                rows = (bits == mask).all(axis=1)
                found.append((lanes, np.ascontiguousarray(self.held[rows][:, lanes].T)))
        return found

    @cached_property
    def _places(self) -> dict[int, NDArray[np.intp] | None]:
        return {}

    def places(self, lane: int) -> NDArray[np.intp] | None:
        """By element, the entry that has it in a lane, or -1; None where several have one."""
        assert self.held is not None
        if lane not in self._places:
            column = self.held[:, lane]
            live = np.flatnonzero(column >= 0)
            place = np.full(int(self.held.max(initial=0)) + 1, -1, np.intp)
            place[column[live]] = live
            twice = np.count_nonzero(place >= 0) < len(live)
            self._places[lane] = None if twice else place
        return self._places[lane]


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
    written: Laid, read: Laid, rule: Model, host: Host, *, by_host: bool, wide: bool
) -> tuple[Kind, Cost]:
    """The cheapest transition, and what it costs.

    Args:
        written: the tensor as it is written.
        read: the tensor as it is wanted.
        rule: which transitions there are.
        host: what its work costs.
        by_host: whether the host has written it, with zeros where lanes hold none.
        wide: whether it is read as int32, which the host makes of it.
    """
    factor = 4 if wide else 1
    if not wide:
        if _in_place(written, read, by_host):
            return "none", Cost()
        if rule.stores and written.held is not None and read.held is not None:
            missing = lacking(written, read, by_host)
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
    # Most layouts differ in their first entries already.
    for rows in (slice(0, 16), slice(None)):
        held, asked = written.held[rows], read.held[rows]
        if not np.all((asked == IDLE) | (asked == _meaning(held, by_host))):
            return False
    return True


def _meaning(held: Rows, by_host: bool) -> Rows:
    """What was written; where lanes stand for nothing, garbage, or the zeros that hosts write."""
    return np.where(held < 0, np.int32(ZERO if by_host else GARBAGE), held)


def lacking(written: Laid, read: Laid, by_host: bool = False) -> int:
    """How many of the vectors that are read are none that was written.

    A lane that is idle in the reader may hold anything; one that is to be zero holds zero only
    where the host has written it.
    """
    assert written.held is not None
    assert read.held is not None
    if written.held.shape[1] != read.held.shape[1]:
        return len(read.held)
    missing = 0
    for lanes, wanted in read.wanted:
        place = written.places(int(lanes[0])) if wanted[0].min() >= 0 else None
        if place is None:
            known = _meaning(written.held, by_host)[:, lanes]
            missing += _absent(known, np.ascontiguousarray(wanted.T))
            continue
        # Each element is the first of one vector at most: that one it is, or none. Lane by lane,
        # as most vectors are found to differ early.
        there = np.where(wanted[0] < len(place), place[np.minimum(wanted[0], len(place) - 1)], -1)
        left = np.flatnonzero(there >= 0)
        entries = there[left]
        for lane, column in zip(lanes[1:], wanted[1:], strict=True):
            same = _meaning(written.held[entries, lane], by_host) == column[left]
            left, entries = left[same], entries[same]
        missing += wanted.shape[1] - len(left)
    return missing


def _absent(known: Rows, wanted: Rows) -> int:
    """How many rows of the one are none of the other."""
    there = {row.tobytes() for row in np.ascontiguousarray(known)}
    return sum(row.tobytes() not in there for row in wanted)
