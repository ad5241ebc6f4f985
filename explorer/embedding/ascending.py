"""The embeddings of an operator by their steps, found no further than they are asked for.

One grounded program is solved for one range of steps after the other: what has too many steps to be
wanted is never made, and excluded before it is looked at (`encodings/steps.lp`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from clingo import Number, Symbol

from explorer.embedding.control import ground, ground_part, solutions
from explorer.embedding.decoding import Decoder
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import MANY_ANSWERS
from explorer.embedding.facts import DEFAULT_CLASSES, atom, instance
from explorer.embedding.step_costs import lost_limit
from explorer.embedding.virtual_loops import steps
from isa.computation import Computation

GROWTH = 1.1
"""How much further the first range of steps reaches than its beginning.

A range takes some milliseconds even where it is empty; a wide one finds what is not asked for.
"""
WIDEST = 4.0
"""The most that a range reaches."""


class Ascending:
    """The embeddings that `enumerate_embeddings` gives, by steps; of equal steps, by id.

    Attributes:
        total: how many there are, once all of them have been found; None before.
    """

    def __init__(
        self,
        operator: Computation,
        intrinsic: Computation,
        classes: Sequence[str] = DEFAULT_CLASSES,
        *,
        all_tiles: bool = False,
        maximal: bool = True,
    ) -> None:
        """Ground the program; the arguments are those of `enumerate_embeddings`."""
        self._operator, self._intrinsic = operator, intrinsic
        self._decoder = Decoder(operator, intrinsic)
        enforce = ("maximal",) if maximal else ()
        facts = instance(operator, intrinsic, classes, all_tiles=all_tiles, enforce=enforce)
        self._limits = set[int]()
        self._control = ground(facts, "entries/ascending.lp", options=MANY_ANSWERS)
        # No embedding has fewer steps than full lanes would take.
        self._reach = -(-operator.macs // intrinsic.macs) - 1
        self._beyond: list[tuple[Symbol, bool]] = []  # what holds of all with more steps than that
        self._waiting: list[tuple[int, str, Embedding]] = []
        self._growth = GROWTH
        self._found = 0
        self.total: int | None = 0 if self._next() is None else None

    def further(self, limit: float = math.inf) -> list[tuple[int, Embedding]]:
        """The next ones with their steps, which are at most `limit`; none if there are no more."""
        while True:
            known = min(limit, self._reach) if self.total is None else limit
            ready = [(count, item) for count, _, item in self._waiting if count <= known]
            if ready or known == limit:
                self._waiting = self._waiting[len(ready) :]
                return ready
            self._extend(limit)

    def _extend(self, limit: float) -> None:
        """Find those of the next range of steps, which reaches to the limit at most."""
        reach = int(min(limit, self._after(self._growth)))
        if math.isfinite(limit):
            # All up to the limit are wanted, unless it falls meanwhile: in few, ever wider ranges.
            self._growth = min(self._growth**2, WIDEST)
        fresh = solutions(self._control, [(self._slow(reach), False), *self._beyond])
        self._excluded(reach)
        for symbols in fresh:
            embedding = self._decoder.embedding(symbols)
            self._waiting.append((steps(embedding, self._operator), embedding.id, embedding))
        self._found += len(fresh)
        # Some that are beyond the reach have been found with them, and wait for their turn.
        self._waiting.sort(key=lambda item: item[:2])
        if not fresh:
            self._approach()

    def _approach(self) -> None:
        """Move the reach up to shortly before the next ones, by halving the way on a log scale."""
        least = self._next()
        if least is None:
            self.total = self._found
        while least is not None and least > self._after(GROWTH):
            # Never where the reach is already: roots of small numbers are rounded down.
            middle = max(self._reach + 1, math.isqrt(self._reach * least))
            nearer = self._next(middle)
            if nearer is None:
                self._excluded(middle)
            elif nearer < least:
                least = nearer
            else:  # beyond the middle, but not by more than is rounded off
                break

    def _after(self, growth: float) -> int:
        """Where the next range ends; it has one number of steps at least."""
        return max(self._reach + 1, math.floor(self._reach * growth))

    def _next(self, limit: int | None = None) -> int | None:
        """The steps of some embedding beyond the reach, within a limit; None if there is none."""
        within = [] if limit is None else [(self._slow(limit), False)]
        found = solutions(self._control, [*within, *self._beyond], most=1)
        return steps(self._decoder.embedding(found[0]), self._operator) if found else None

    def _excluded(self, reach: int) -> None:
        """Note that everything of at most so many steps has been found."""
        self._reach = reach
        self._beyond = [(self._slow(reach), True)]

    def _slow(self, count: int) -> Symbol:
        """The atom that is false of embeddings with at most so many steps."""
        most = lost_limit(count, self._operator, self._intrinsic)
        if most not in self._limits:
            self._limits.add(most)
            ground_part(self._control, "slow", Number(most))
        return atom("slow", most)
