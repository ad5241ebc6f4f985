"""How a tensor gets from the layout that a program writes to one that another reads.

By the same rule as plans count (`explorer.network.plan.transitions`), but with the place of each
vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.content import Content, serves
from explorer.layout.held import Held
from explorer.network.plan.transitions import Host, Kind, Lacking, better

BLANK, MADE, UNUSED = -1, -2, -3
"""Vectors of nothing but zeros, those that the host makes of elements, and those that nobody needs.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """How a tensor is passed on.

    Attributes:
        kind: as plans call it.
        sources: of each entry that is read, which entry that is written it is; or `BLANK`, `MADE`,
            `UNUSED`. Empty where that is not looked at.
        moved: bytes that the host reads and writes for it.
    """

    kind: Kind
    sources: NDArray[np.int64]
    moved: int = 0

    @property
    def direct(self) -> bool:
        """Whether STORE writes what is read."""
        return self.kind in {"stored", "filled"}

    def copied(self, cycles: int | None, host: Host) -> bool:
        """Whether a copy of so many cycles is better; None where there is none."""
        return better(cycles, self.kind, host.cost(self.moved, 0).cycles)

    @property
    def filled(self) -> NDArray[np.int32]:
        """The entries that the host has to write."""
        return np.flatnonzero((self.sources == BLANK) | (self.sources == MADE)).astype(np.int32)


_NOWHERE = np.zeros(0, np.int64)


def passage(written: Content, read: Content, *, stores: bool) -> Passage:
    """How what a program has written becomes what is to be read.

    Args:
        written: in the program's own order.
        read: what another program reads of the same tensor.
        stores: whether STOREs may write what is read.
    """
    if serves(written, read, by_host=False):
        return Passage("none", _NOWHERE)
    whole = written.size + read.size
    there, here = written.summands[0].held, read.summands[0].held
    if not (stores and read.plain and there.shape[1] == here.shape[1]):
        return Passage("host", _NOWHERE, whole)
    found = sources(there, here)
    live = int(here.times[here.some].sum())
    made, blank = (int(np.count_nonzero(found == code)) for code in (MADE, BLANK))
    lacking = Lacking(made, blank, live)
    kind = lacking.kind(written.size, read.size, here.shape[1])
    if kind == "host":
        return Passage(kind, _NOWHERE, whole)
    return Passage(kind, found, lacking.moved * here.shape[1])


def sources(there: Held, here: Held) -> NDArray[np.int64]:
    """Of each entry that is read, which one that is written it is; see `Passage`.

    Args:
        there: the tensor's elements as they are written.
        here: the same as they are read.
    """
    some, zero = here.some, here.zeroed
    # What a program writes beside its elements is garbage, and no zero that somebody may want.
    code = np.where(some, MADE, np.where(zero, BLANK, UNUSED))
    found: NDArray[np.int64] = code[here.which]
    for lanes, patterns in here.groups():
        left = patterns[some[patterns] & ~zero[patterns]]
        if len(left):
            entries, places = there.find(here, lanes, left, zeros=False)
            found[entries] = np.where(places >= 0, places, MADE)
    return found
