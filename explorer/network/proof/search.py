"""The gap between the best plan known and what no plan undercuts, closed over all embeddings.

Each round solves the relaxed network. Its optimum is the bound. A way whose best plan, with floors
and jokers for true, is no better than the best one known is dropped for good; of the others the
most promising are evaluated, and where a joker is among them its operator's limit is raised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from explorer.network.candidates.spaces import Run
from explorer.network.proof.marginals import NEVER
from explorer.network.proof.relaxation import Relaxation, Solved
from explorer.network.proof.ways import Pool, Question, Way, answer, asked, bounds
from isa.computation import Operator

RAISED = 1.06
"""The most that a limit is raised by in a round: when others are raised, it may need no more."""
PORTION = 16
"""Searches of an operator's programs in a round at most."""
NEAR = 2
"""Ways are promising in the first such part of what is between the bound and the best plan."""


@dataclass(slots=True)
class Progress:
    """How far a proof has come.

    Attributes:
        bound: cycles that no plan undercuts.
        best: cycles of the best plan known; `NEVER` or more if none is.
        rounds: relaxed networks solved.
        embeddings: of all operators, each counted once.
        reached: those whose layouts are known.
        ways: of these, in their layouts.
        evaluated: searches of ways' programs.
        open: ways that may still be of use.
        exact: whether rounds are exact; else the bound may stay below the best plan.
    """

    bound: int = 0
    best: int = NEVER
    rounds: int = 0
    embeddings: int = 0
    reached: int = 0
    ways: int = 0
    evaluated: int = 0
    open: int = 0
    exact: bool = True

    def line(self) -> str:
        """The same in a line."""
        return (
            f"round {self.rounds}: no plan below {self.bound:,} cycles, best {self.best:,}; "
            f"{self.reached:,} of {self.embeddings:,} embeddings looked at, {self.evaluated:,} of "
            f"{self.ways:,} layouts evaluated, {self.open:,} open"
        )

    @property
    def proven(self) -> bool:
        """Whether no plan is better than the best one known."""
        return self.bound >= self.best


@dataclass(slots=True)
class Closing:
    """A search for the best plan and its proof, which can be ended between rounds.

    Attributes:
        relaxation: the network.
        progress: how far it is.
        chosen: the ways of the best plan known; several of a node where those are as good.
    """

    relaxation: Relaxation
    progress: Progress = field(default_factory=Progress)
    chosen: dict[str, list[Way]] = field(default_factory=dict)

    @property
    def pools(self) -> Mapping[Operator, Pool]:
        """The ways of each operator."""
        return self.relaxation.pools

    def rounds(self, run: Run) -> Iterator[Progress]:
        """Rounds, until the gap is closed or nothing is left that could close it."""
        self._reach({o: (j, math.inf) for o, p in self.pools.items() if (j := p.joker)}, run)
        while True:
            self._plan(run)
            solved = self.relaxation.solve()
            known = self.progress
            known.rounds += 1
            known.exact = solved.exact
            known.bound = max(known.bound, min(solved.least, known.best))
            self._drop(solved)
            self._count()
            yield known
            if known.proven or not self._advance(solved, run):
                return

    def compare(self, run: Run) -> None:
        """Find each operator's fastest programs, to compare with: no part of the proof.

        The limits stay where they are, and layouts that are of no use for a plan are searched too.
        """
        while True:
            limits: dict[Operator, float] = {}
            for operator, pool in self.pools.items():
                place, most = pool.faster()
                least = most - 1 if most < NEVER else pool.joker or 0
                limits[operator] = least if place is None else pool.way(place)[2].least
            self._bound(limits, run)
            questions, searched = [], []
            for operator, pool in self.pools.items():
                place, most = pool.faster()
                if place is not None:
                    embedding, number, programs = pool.way(place)
                    way = (embedding, number, float(most))
                    questions.append(Question(operator, pool.config, (way,)))
                    searched.append((programs, float(most)))
            if not questions:
                return
            for (programs, below), (found,) in zip(searched, run(answer, questions), strict=True):
                programs.told(found, below)

    def _plan(self, run: Run) -> None:
        """Find the best plan of the ways that there are, evaluating those that seem to make it."""
        while True:
            found = self.relaxation.solve(jokers=False)
            if found.least >= self.progress.best:
                return
            chosen: dict[Operator, dict[int, int]] = {}
            for node in self.relaxation.nodes:
                rows, marginals = found.rows[node.name]
                pool = self.pools[node.operator]
                best = rows.ways[marginals == found.least].tolist()
                # An evaluated one will do, if there is one.
                if not any(pool.ways[i].exact for i in best):
                    chosen.setdefault(node.operator, {})[best[0]] = found.least
            if not chosen:
                break
            self._ask(chosen, run)
        found = self.relaxation.solve(jokers=False, exact=True)
        if found.least < self.progress.best:
            self.progress.best = found.least
            for node in self.relaxation.nodes:
                rows, marginals = found.rows[node.name]
                best = rows.ways[marginals == found.least].tolist()
                self.chosen[node.name] = [self.pools[node.operator].ways[i] for i in best]

    def _drop(self, solved: Solved) -> None:
        """Drop ways that no better plan has; those of the best one known stay."""
        best = self.progress.best
        for operator, pool in self.pools.items():
            for way, marginal in zip(pool.ways, solved.ways[operator].tolist(), strict=True):
                if marginal > best or (marginal == best and not way.exact):
                    way.dropped = True

    def _count(self) -> None:
        known, pools = self.progress, self.pools.values()
        known.embeddings = sum(len(pool.ordered) for pool in pools)
        known.reached = sum(len(pool.reached) for pool in pools)
        known.ways = sum(len(pool.ways) for pool in pools)
        known.open = sum(1 for pool in pools for _ in pool.open())

    def _advance(self, solved: Solved, run: Run) -> bool:
        """Raise limits and evaluate ways where that may raise the bound; whether there were any."""
        known = self.progress
        gap = known.best - known.bound
        near = known.bound + gap // NEAR if known.best < NEVER else known.bound
        limits = {}
        for operator, pool in self.pools.items():
            marginal, joker = solved.jokers[operator], pool.joker
            if joker is not None and marginal <= near and marginal < known.best:
                # What costs so much more than the joker makes no better plan than it would.
                useless = joker + known.best - marginal
                limits[operator] = (min(useless - 1, joker * RAISED), useless)
        self._reach(limits, run)
        if limits:  # cheap, and some ways may then be dropped that would be evaluated now
            return True
        chosen: dict[Operator, dict[int, int]] = {}
        for operator, pool in self.pools.items():
            marginals, own = solved.ways[operator], dict[int, int]()
            programs = set[int]()
            for i in np.argsort(marginals, kind="stable").tolist():
                way, marginal = pool.ways[i], int(marginals[i])
                if marginal > near or marginal >= known.best:
                    break
                if not (way.exact or way.dropped):
                    programs.add(id(way.programs))
                    if len(programs) > PORTION:
                        break
                    own[i] = marginal
            chosen[operator] = own
        self._ask(chosen, run)
        return any(chosen.values())

    def _reach(self, limits: Mapping[Operator, tuple[float, float]], run: Run) -> None:
        """Make ways of all layouts up to a limit of each operator, but for those of no use."""
        self._bound({o: limit for o, (limit, _) in limits.items()}, run)
        for operator, (limit, useless) in limits.items():
            self.pools[operator].reach(limit, useless)

    def _bound(self, limits: Mapping[Operator, float], run: Run) -> None:
        """Bound all that reaching these limits needs bounds of."""
        while True:
            waiting = [
                (self.pools[operator], question)
                for operator, limit in limits.items()
                for question in self.pools[operator].questions(limit)
            ]
            if not waiting:
                return
            answers = run(bounds, [question for _, question in waiting])
            for (pool, _), found in zip(waiting, answers, strict=True):
                pool.take(found)

    def _ask(self, chosen: Mapping[Operator, Mapping[int, int]], run: Run) -> None:
        """Search programs of ways of each operator, by number, with their marginals.

        Of ways with the same programs, one is searched, as far as any of them can be of use.
        """
        questions, searched = [], []
        for operator, own in chosen.items():
            pool = self.pools[operator]
            several: dict[int, tuple[Way, float]] = {}
            for i, marginal in own.items():
                way = pool.ways[i]
                # What does not undercut this makes no plan better than the best one known.
                limit = float(way.cycles + self.progress.best - marginal)
                known = several.get(id(way.programs), (way, limit))
                several[id(way.programs)] = known[0], max(known[1], limit)
            for way, limit in several.values():
                questions.append(Question(operator, pool.config, (asked(way, limit),)))
                searched.append((way.programs, limit))
        for (programs, below), (found,) in zip(searched, run(answer, questions), strict=True):
            programs.told(found, below)
            self.progress.evaluated += 1
