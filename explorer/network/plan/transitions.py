"""What it costs to pass a tensor on: from the layout that is written to the one that is read.

How is said by a named model, which is data (`transitions.yaml`). The kinds, cheapest first:

- **none**: what is read lies there as it was written. Lanes that stand for nothing may differ.
- **stored**: every vector that the reader wants is one that the producer has, and STORE writes it
  there.
- **filled**: the same, but for vectors that the producer lacks: the host makes those. Vectors of
  nothing but zeros are only written.
- **copied**: a program of its own makes one layout of the other (`explorer.network.plan.copying`),
  in place of the host where that takes fewer cycles.
- **host**: the host reads all that was written and writes all that is wanted.

Which of them it is, is decided by bytes alone (`Lacking.kind`), and whether it is copied by the
cycles of the copy (`better`), so that whoever makes programs of a plan decides the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explorer.layout.held import Held
from explorer.network.plan.copying import Places
from explorer.network.plan.problem import Cost
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


@dataclass(frozen=True)
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
    source: Held | Callable[[], Held] | None = field(default=None, compare=False)

    @cached_property
    def held(self) -> Held | None:
        """The tensor's elements in the lanes; None for the plain tensor."""
        return self.source() if callable(self.source) else self.source

    @cached_property
    def _places(self) -> dict[int, Places]:
        return {}

    def places(self, batch: int) -> Places:
        """Where each element is, of vectors with so many rows."""
        assert self.held is not None
        if batch not in self._places:
            self._places[batch] = Places.of(self.held.rows(), batch)
        return self._places[batch]

    def forget(self) -> None:
        """Give back what can be told again, should it be asked for."""
        for name in ("held", "_places"):
            self.__dict__.pop(name, None)


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


def widened(written: int, read: int, host: Host, besides: int | None = 0) -> tuple[Kind, Cost]:
    """What it costs that the host makes int32 of a tensor.

    Args:
        written: bytes of the tensor as it is written.
        read: and as it is wanted.
        host: what its work costs.
        besides: bytes of constants that are added to it; None if it is itself added to what is made
            of another tensor, in one copy.
    """
    if besides is None:
        return "host", replace(host, per_call=0).cost(written, 0)._replace(host_copies=0)
    return "host", host.cost(written + besides + 4 * read, 4 * read)


@dataclass(frozen=True, slots=True)
class Way:
    """The cheapest transition between two layouts, whatever the host's work costs.

    Attributes:
        kind: what it is.
        moved: bytes that the host reads and writes.
        made: bytes of the layout that is made.
    """

    kind: Kind
    moved: int = 0
    made: int = 0

    def cost(self, host: Host) -> Cost:
        """What it costs."""
        return host.cost(self.moved, self.made)


def passed(
    written: Laid, read: Laid, rule: Model, host: Host, *, by_host: bool
) -> tuple[Kind, Cost]:
    """The cheapest transition, and what it costs.

    Args:
        written: the tensor as it is written.
        read: the tensor as it is wanted.
        rule: which transitions there are.
        host: what the host's work costs.
        by_host: whether the host has written it, with zeros where lanes hold none.
    """
    found = way(written, read, rule.stores, rule.empty == "alike", by_host)
    return found.kind, found.cost(host)


def way(written: Laid, read: Laid, stores: bool, alike: bool, by_host: bool) -> Way:
    """As `passed`, whatever the host's work costs; `stores` and `alike` are the model's."""
    by_host = by_host or alike
    if _in_place(written, read, by_host):
        return Way("none")
    if stores and written.held is not None and read.held is not None:
        missing = lacking(written, read, by_host, zeros=alike)
        if alike:
            # The trial's rule: whatever is missing is read and written, however much it is.
            count = missing.made + missing.blank
            return Way("filled" if count else "stored", 2 * count * read.vector, read.size)
        kind = missing.kind(written.size, read.size, read.vector)
        if kind != "host":
            return Way(kind, missing.moved * read.vector, read.size)
    return Way("host", written.size + read.size, read.size)


known_way = lru_cache(maxsize=2**16)(way)
"""`way` of layouts that are told apart by what they hold: each two are compared once a process."""


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
    return written.held.serves(read.held, zeros=by_host)


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
    there, here = written.held, read.held
    assert there is not None
    assert here is not None
    same = there.shape[1] == here.shape[1]
    made = blank = live = 0
    element, zero = here.some, here.zeroed
    for lanes, patterns in here.groups():
        empty, some = ~element[patterns], zero[patterns]
        # The host has zeros itself, and looks them up like everything else; no program writes
        # vectors with zeros beside elements.
        apart = empty & (zeros or not by_host)
        mixed = some & ~empty & (not by_host)
        times = here.times[patterns]
        left = patterns[~(apart | mixed)]
        others = int(here.times[left].sum())
        blank += 0 if zeros else int(times[apart].sum())
        live += int(times[mixed].sum()) + others
        made += int(times[mixed].sum())
        if same and len(left):
            _, places = there.find(here, lanes, left, zeros=by_host)
            others = int(np.count_nonzero(places < 0))
        made += others
    return Lacking(made, blank, live)
