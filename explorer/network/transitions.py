"""What it costs to pass a tensor on: from the layout that is written to the one that is read.

How is said by a named model, which is data (`transitions.yaml`). The kinds, cheapest first:

- **none**: what is read lies there as it was written. Lanes that stand for nothing may differ.
- **stored**: every vector that the reader wants is one that the producer has, and STORE writes it
  there.
- **filled**: the same, but for vectors that the producer lacks: the host makes those. Vectors of
  nothing but zeros are only written.
- **copied**: a program of its own makes one layout of the other (`explorer.network.copying`), in
  place of the host where that takes fewer cycles.
- **host**: the host reads all that was written and writes all that is wanted.

Which of them it is, is decided by bytes alone (`Lacking.kind`), and whether it is copied by the
cycles of the copy (`better`), so that whoever makes programs of a plan decides the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.layout.canonical import IDLE, ZERO
from explorer.network.copying import GARBAGE, Places
from explorer.network.problem import Cost
from isa.errors import InputError
from isa.schema import Document, parse_yaml, validate

Kind = Literal["none", "stored", "filled", "copied", "host"]


class Model(Document):
    """A model of transitions; see `transitions.yaml`."""

    summary: str
    stores: bool
    copies: bool
    empty: Literal["told", "alike"]
    border: Literal["plain", "free"]

    @property
    def executable(self) -> bool:
        """Whether programs and the host can make what it takes to be there."""
        return (self.border, self.empty) == ("plain", "told")


@cache
def models() -> Mapping[str, Model]:
    """The models that ship, by name."""
    text = (files("explorer.network") / "transitions.yaml").read_text(encoding="utf-8")
    known = parse_yaml(text, "transitions.yaml")
    assert isinstance(known, dict)
    return {name: validate(Model, fields, "transitions.yaml") for name, fields in known.items()}


def model(name: str, source: str = "--transitions") -> Model:
    """A model by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in models():
        raise InputError(source, "", name, f"one of {', '.join(models())}")
    return models()[name]


def executable(name: str, source: str = "--transitions") -> Model:
    """A model by its name, whose transitions programs and the host can make.

    Raises:
        InputError: there is none of this name, or it takes for free what has to be done.
    """
    found = model(name, source)
    if not found.executable:
        names = (n for n, m in models().items() if m.executable)
        allowed = f"one that says what is done, {' or '.join(names)}: its layouts are not all made"
        raise InputError(source, "", name, allowed)
    return found


Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Laid:
    """A tensor in a layout.

    Attributes:
        key: equal for layouts that hold the same elements, lane by lane.
        size: bytes in DRAM.
        vector: bytes of an entry.
        source: `held`, or what tells it; None for the plain tensor.
    """

    key: str
    size: int
    vector: int = 1
    source: Rows | Callable[[], Rows] | None = None

    @cached_property
    def held(self) -> Rows | None:
        """The tensor's elements by their flat index, (entries, lanes); None for the plain tensor.

        As `explorer.layout.canonical.contents` has them.
        """
        return self.source() if callable(self.source) else self.source

    @cached_property
    def wanted(self) -> list[tuple[tuple[int, ...], Rows]]:
        """What a reader of the layout asks for.

        Of each set of lanes that are not idle together, what entries hold in them,
        (entries, lanes).
        """
        assert self.held is not None
        used = self.held != IDLE
        if used.all():
            return [(tuple(range(used.shape[1])), self.held)]
        bits = np.packbits(used, axis=1)
        bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
        # One number a mask, where lanes are few: sorting numbers is quick.
        masks = bits.view(np.uint64) if bits.shape[1] == 8 else bits.view(f"V{bits.shape[1]}")
        found = []
        _, first, which = np.unique(masks[:, 0], return_index=True, return_inverse=True)
        for number, entry in enumerate(first):
            lanes = np.flatnonzero(used[entry])
            if len(lanes):
                rows = np.ascontiguousarray(self.held[which == number][:, lanes])
                found.append((tuple(lanes.tolist()), rows))
        return found

    @cached_property
    def _places(self) -> dict[int, Places]:
        return {}

    def places(self, batch: int) -> Places:
        """Where each element is, of vectors with so many rows."""
        assert self.held is not None
        if batch not in self._places:
            self._places[batch] = Places.of(self.held, batch)
        return self._places[batch]

    @cached_property
    def _asked(self) -> dict[tuple[bool, bool], list[_Asked]]:
        return {}

    def asked(self, by_host: bool, zeros: bool) -> list[_Asked]:
        """`wanted`, with how many vectors nobody can have written: with zeros, but for the host.

        Vectors of nothing but zeros are left out where `zeros` says that they are there.
        """
        if (by_host, zeros) not in self._asked:
            found = []
            for lanes, rows in self.wanted:
                empty = rows == ZERO
                blank = empty.all(axis=1)
                mixed = empty.any(axis=1) & ~blank & (not by_host)
                # The host has zeros itself, and looks them up like everything else.
                apart = blank if zeros or not by_host else np.zeros_like(blank)
                prints = Prints.of(rows[~(mixed | apart)])
                alone = 0 if zeros else int(np.count_nonzero(apart))
                found.append(_Asked(lanes, int(np.count_nonzero(mixed)), alone, prints))
            self._asked[by_host, zeros] = found
        return self._asked[by_host, zeros]

    @cached_property
    def _offered(self) -> dict[tuple[tuple[int, ...], bool], Prints]:
        return {}

    def offered(self, lanes: tuple[int, ...], by_host: bool) -> Prints:
        """What was written in some lanes."""
        assert self.held is not None
        if (lanes, by_host) not in self._offered:
            rows = _meaning(self.held[:, lanes], by_host)
            self._offered[lanes, by_host] = Prints.of(rows)
        return self._offered[lanes, by_host]

    def forget(self) -> None:
        """Give back what was kept for further comparisons, which takes more than the layout."""
        for name in ("held", "wanted", "_asked", "_offered", "_places"):
            self.__dict__.pop(name, None)


@dataclass(frozen=True, eq=False)
class Prints:
    """Vectors with numbers by which equal ones are found.

    Attributes:
        rows: (vectors, lanes).
        whole: a number for each vector; equal ones have equal numbers.
        order: the vectors in the order of their numbers.
        steps: numbers of what lanes have beyond the first: layouts have few of these.
    """

    rows: Rows
    whole: NDArray[np.uint64]
    order: NDArray[np.intp]
    steps: frozenset[int]

    @classmethod
    def of(cls, rows: Rows) -> Prints:
        """The vectors' numbers: sums over lanes, each times a number of its own, which wrap."""
        if not len(rows):
            return cls(rows, np.zeros(0, np.uint64), np.zeros(0, np.intp), frozenset())
        factors = np.random.default_rng(1).integers(1, 2**63, rows.shape[1], np.uint64) | np.uint64(
            1
        )
        whole = rows.astype(np.int64).view(np.uint64) @ factors
        # What is left when the first lane's element is taken off all lanes.
        first = rows[:, 0].astype(np.int64).view(np.uint64)
        steps = np.unique(whole - first * factors.sum(dtype=np.uint64))
        return cls(rows, whole, np.argsort(whole), frozenset(steps.tolist()))

    def lacking(self, other: Prints) -> int:
        """How many of the other's vectors are none of these."""
        # Vectors that are equal step alike.
        if self.steps.isdisjoint(other.steps):
            return len(other.rows)
        ordered = self.whole[self.order]
        place = np.minimum(np.searchsorted(ordered, other.whole), len(ordered) - 1)
        left = np.flatnonzero(ordered[place] == other.whole)
        entries = self.order[place[left]]
        if (self.rows[entries] == other.rows[left]).all():
            return len(other.rows) - len(left)
        # Two vectors share a number by chance: look each up.
        there = {row.tobytes() for row in np.ascontiguousarray(self.rows)}
        return sum(row.tobytes() not in there for row in np.ascontiguousarray(other.rows))


class _Asked(NamedTuple):
    """Vectors that a reader asks for in some lanes.

    Attributes:
        lanes: those that are not idle.
        mixed: vectors with zeros beside elements, which no program writes.
        blank: vectors of nothing but zeros that nobody has written.
        prints: the others.
    """

    lanes: tuple[int, ...]
    mixed: int
    blank: int
    prints: Prints


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a producer lacks of the vectors that a reader wants.

    Attributes:
        made: vectors with elements that are none of the producer's.
        blank: vectors of nothing but zeros.
        live: vectors with elements that are wanted in all.
    """

    made: int
    blank: int
    live: int

    @property
    def moved(self) -> int:
        """Vectors that the host reads and writes: it reads what it makes vectors of, but zeros."""
        return 2 * self.made + self.blank

    def kind(self, written: int, read: int, vector: int) -> Kind:
        """How vectors are passed on that do not lie there: as moves the fewest bytes.

        Args:
            written: bytes of the tensor as it is written.
            read: and as it is wanted.
            vector: bytes of a vector.
        """
        if not (self.made or self.blank):
            return "stored"
        # Where no vector is the producer's, nothing is left for STORE.
        if self.made < self.live and self.moved * vector < written + read:
            return "filled"
        return "host"


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


def priced(per_byte: str, per_call: int, source: str = "--host-cycles-per-") -> Host:
    """The host's costs, as users write them.

    Raises:
        InputError: cycles a byte are no number from 0 to a million, or cycles a call none to 2^31.
    """
    text = per_byte.strip()
    if not re.fullmatch(r"\d{1,7}(\.\d{1,9}|/[1-9]\d{0,8})?", text) or Fraction(text) > 10**6:
        allowed = "a number from 0 to 1000000, as 1 or 0.125"
        raise InputError(f"{source}byte", "", per_byte, allowed)
    if not 0 <= per_call <= 2**31:
        raise InputError(f"{source}call", "", per_call, f"a number from 0 to {2**31}")
    return Host(Fraction(text), per_call)


def widened(
    written: int, read: int, host: Host, *, further: bool = False, besides: int = 0
) -> tuple[Kind, Cost]:
    """What it costs that the host makes int32 of a tensor.

    Args:
        written: bytes of the tensor as it is written.
        read: and as it is wanted.
        host: what its work costs.
        further: whether it is added to what is made of another tensor, in one copy.
        besides: bytes of constants that are added to it.
    """
    if further:
        return "host", replace(host, per_call=0).cost(written, 0)._replace(host_copies=0)
    return "host", host.cost(written + besides + 4 * read, 4 * read)


def passed(
    written: Laid, read: Laid, rule: Model, host: Host, *, by_host: bool
) -> tuple[Kind, Cost]:
    """The cheapest transition, and what it costs.

    Args:
        written: the tensor as it is written.
        read: the tensor as it is wanted.
        rule: which transitions there are.
        host: what its work costs.
        by_host: whether the host has written it, with zeros where lanes hold none.
    """
    alike = rule.empty == "alike"
    by_host = by_host or alike
    if _in_place(written, read, by_host):
        return "none", Cost()
    if rule.stores and written.held is not None and read.held is not None:
        missing = lacking(written, read, by_host, zeros=alike)
        if alike:
            # The trial's rule: whatever is missing is read and written, however much it is.
            count = missing.made + missing.blank
            cost = host.cost(2 * count * read.vector, read.size)
            return ("filled" if count else "stored"), cost
        kind = missing.kind(written.size, read.size, read.vector)
        if kind != "host":
            return kind, host.cost(missing.moved * read.vector, read.size)
    return "host", host.cost(written.size + read.size, read.size)


def better(cycles: int | None, kind: Kind, host: int) -> bool:
    """Whether a program that copies is better than what else there is.

    Args:
        cycles: that it takes; None where there is none.
        kind: of what else there is.
        host: cycles of that.
    """
    return cycles is not None and kind in {"filled", "host"} and cycles < host


def _in_place(written: Laid, read: Laid, by_host: bool) -> bool:
    if written.source is None or read.source is None:
        return written.source is read.source
    assert written.held is not None
    assert read.held is not None
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


def lacking(written: Laid, read: Laid, by_host: bool = False, *, zeros: bool = False) -> Lacking:
    """How many of the vectors that are read are none that was written.

    A lane that is idle in the reader may hold anything; one that is to be zero holds zero only
    where the host has written it.

    Args:
        written: as it is written.
        read: as it is wanted.
        by_host: whether the host has written it.
        zeros: whether vectors of nothing but zeros are there, as somebody wrote them once.
    """
    assert written.held is not None
    assert read.held is not None
    same = written.held.shape[1] == read.held.shape[1]
    made = blank = live = 0
    for lanes, mixed, alone, wanted in read.asked(by_host, zeros):
        others = len(wanted.rows)
        live += mixed + others
        blank += alone
        made += mixed + (written.offered(lanes, by_host).lacking(wanted) if same else others)
    return Lacking(made, blank, live)
