"""Addresses by liveness: buffers that are never needed at the same time may share memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """How long a buffer is needed.

    Attributes:
        size: bytes.
        first, last: steps, both inclusive.
    """

    size: int
    first: int
    last: int

    def meets(self, other: Life) -> bool:
        """Whether both are needed in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Arena:
    """Where buffers lie.

    Attributes:
        places: the first byte of each.
        peak: bytes from the first to the last.
        bound: bytes that some step needs: no arrangement has a lower peak.
    """

    places: tuple[int, ...]
    peak: int
    bound: int


def arranged(lives: Sequence[Life], unit: int) -> Arena:
    """Buffers in one memory, each at a multiple of the unit, by first fit in two orders.

    The large ones first, or those that are needed early: whichever has the lower peak.
    """
    whole = [Life(-(-life.size // unit) * unit, life.first, life.last) for life in lives]
    numbers = range(len(whole))
    orders = (
        sorted(numbers, key=lambda n: (-whole[n].size, whole[n].first, n)),
        sorted(numbers, key=lambda n: (whole[n].first, -whole[n].size, n)),
    )
    return min((_first_fit(whole, order) for order in orders), key=lambda arena: arena.peak)


def _first_fit(lives: Sequence[Life], order: Iterable[int]) -> Arena:
    places: dict[int, int] = {}
    for number in order:
        life, begin = lives[number], 0
        met = sorted((places[n], lives[n].size) for n in places if lives[n].meets(life))
        for place, size in met:
            if begin + life.size <= place:
                break
            begin = max(begin, place + size)
        places[number] = begin
    peak = max((places[n] + lives[n].size for n in places), default=0)
    steps = {life.first for life in lives}
    bound = max((sum(x.size for x in lives if x.first <= s <= x.last) for s in steps), default=0)
    return Arena(tuple(places[n] for n in range(len(lives))), peak, bound)
