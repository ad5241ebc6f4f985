"""The best plan of a problem, or all that none dominates, with what is proven; else the conflict.

Pins come first, then the exact reductions, then the solver, which decides what is left under the
limits. A plan is put together from the rows that were chosen, and costed anew from the problem.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from clingo import Symbol

from explorer.embedding.user_rules import check as check_files
from explorer.network.plan.facts import Instance, instance, requirement_of
from explorer.network.plan.problem import Candidate, Cost, Node, Plan, Problem, check, plan
from explorer.network.plan.reduction import Account, reduce
from explorer.network.plan.solving import Found, Program
from explorer.network.plan.tables import Tables, tables
from explorer.network.plan.wishes import Wishes
from explorer.preference.limited import SECONDS, within_limits

_OVERHEAD = 2.0  # time for grounding and a first plan, beside the solver's


@dataclass(frozen=True, slots=True)
class Conflict:
    """Pins and limits that no plan meets together, each of which can be met without the others.

    Attributes:
        requirements: as the user wrote them; none if there is no plan at all.
        relaxations: what there is without each of them, in words.
    """

    requirements: tuple[str, ...]
    relaxations: tuple[str, ...]

    def lines(self) -> list[str]:
        """The conflict in sentences."""
        if not self.requirements:
            return ["there is no plan: some tensor cannot be passed on, or a rule forbids all"]
        verb = "cannot be met" if len(self.requirements) == 1 else "conflict"
        names = " and ".join(self.requirements)
        return [f"{names} {verb}", *(f"  {text}" for text in self.relaxations)]


@dataclass(frozen=True, slots=True)
class Planned:
    """The outcome of `solve`.

    Attributes:
        plans: the best one, or the front by its objectives; none if nothing was found.
        proven: whether it is shown that no plan is better, of a front that none is missing.
        bound: what no plan undercuts in the first metric.
        account: what was reduced beforehand.
        conflict: where there is no plan, why.
        interrupted: whether the user ended the search.
        rules: ground rules that the solver was given; none where the reductions left no plan.
        conflicts: that its search met.
        excess: of a front whose programs were simulated: for each other plan, one of it takes at
            most this share more cycles, and no more of anything else.
    """

    plans: tuple[Plan, ...]
    proven: bool
    bound: int
    account: Account
    conflict: Conflict | None = None
    interrupted: bool = False
    rules: int = 0
    conflicts: int = 0
    excess: float = 0.0


def solve(
    problem: Problem,
    wishes: Wishes,
    *,
    seconds: float | None = None,
    rules: Sequence[Path] = (),
    reductions: bool = True,
    inside: bool = False,
) -> Planned:
    """The best plan; with objectives, one of each combination of values that none dominates.

    Args:
        problem: nodes and transitions.
        wishes: what is asked.
        seconds: time for the solver; what was found by then is given, with the bound.
        rules: files of rules of a user's own, over the predicates of `encodings/network.lp`. They
            may speak of any candidate, so that nothing is reduced then.
        reductions: whether to reduce the problem where that is exact; else the solver does it all.
        inside: this is the process that rules are kept in.

    Raises:
        InputError: the problem is none, or a rule cannot be used.
        KeyboardInterrupt: the user ended the search before anything was found.
    """
    check(problem)
    check_files(rules)
    if rules and not inside:
        # A rule may ground without end, which only another process can be stopped at.
        work = partial(solve, problem, wishes, seconds=seconds, rules=rules, inside=True)
        # The solver stops by itself in time to say what it has; grounding does not.
        found: Planned = within_limits(work, rules, _OVERHEAD * (seconds or SECONDS))
        return found
    limit = seconds if seconds is not None or not rules else SECONDS
    planned = _searched(problem, wishes, limit, rules, reductions=reductions)
    if not planned.plans and planned.proven:
        planned = replace(planned, conflict=explain(problem, wishes, rules))
    return planned


def check_rules(rules: Sequence[Path], seconds: float | None = None) -> None:
    """Check rules of a user's own before candidates are evaluated, which takes minutes.

    They are grounded beside `encodings/network.lp`, of two nodes, so that what clingo says of them
    is said at once.

    Args:
        rules: files.
        seconds: as for `solve`.

    Raises:
        InputError: a rule cannot be used.
        KeyboardInterrupt: the user ended it.
    """
    if rules:
        solve(_SMALLEST, Wishes(), seconds=seconds, rules=rules)


_READ, _WRITTEN = (("tensor", "read"),), (("tensor", "written"),)
_SMALLEST = Problem(
    (
        Node("writer", (Candidate("one", Cost(1, 1, 1, 1), (), _WRITTEN),)),
        Node("reader", (Candidate("other", Cost(1, 1, 1, 1), _READ, ()),)),
    ),
    {("tensor", "written", "read"): Cost(1, 1, 1, 1)},
)
"""A problem in which there is every fact that a rule may be about."""


def _searched(
    problem: Problem,
    wishes: Wishes,
    seconds: float | None,
    rules: Sequence[Path],
    *,
    reductions: bool = True,
) -> Planned:
    """As `solve`, without an explanation where there is no plan."""
    if rules or not reductions:
        found = tables(problem, wishes, pinned=False)
        reduced, account = found, Account(found.rows, 0, 0, 0, 0, 0, len(found.tables), found.rows)
        names = _names(problem)
    else:
        reduced, account = reduce(tables(problem, wishes))
        names = None
    if any(not len(table.keys) for table in reduced.tables):
        return Planned((), True, 0, account)
    facts = instance(reduced, wishes, names)
    search = _Search(problem, wishes, reduced, facts, Program(reduced, facts, rules), seconds)
    planned = search.front(account) if wishes.objectives else search.best(account)
    return replace(planned, rules=search.program.size, conflicts=sum(search.conflicts))


def _names(problem: Problem) -> dict[str, list[str]]:
    return {node.name: [c.name for c in node.candidates] for node in problem.nodes}


@dataclass(frozen=True, slots=True)
class _Search:
    """A grounded program, and what is needed to read its answers."""

    problem: Problem
    wishes: Wishes
    tables: Tables
    facts: Instance
    program: Program
    seconds: float | None
    conflicts: list[int] = field(default_factory=list)

    def best(self, account: Account) -> Planned:
        """The best plan."""
        plans = []
        if self.seconds is not None:
            # Proofs by cores may end with no plan at all: so there is one to begin with.
            first = self.solve(self.seconds, any_one=True)
            plans += [self.plan(first)] if first.choices else []
        found = self.solve(self.seconds)
        plans += [self.plan(found)] if found.choices else []
        if found.interrupted and not plans:
            raise KeyboardInterrupt
        ranked = min(plans, key=self._rank, default=None)
        bound = self.facts.scales[0].value(found.bound)
        if found.exhausted and ranked is not None:
            bound = ranked.cost.of(self.wishes.ranked[0])
        kept = () if ranked is None else (ranked,)
        return Planned(kept, found.exhausted, bound, account, None, found.interrupted)

    def solve(self, seconds: float | None, *, any_one: bool = False) -> Found:
        """One run of the solver."""
        found = self.program.solve(seconds=seconds, any_one=any_one)
        self.conflicts.append(found.conflicts)
        return found

    def front(self, account: Account) -> Planned:
        """The plans that none dominates, by cutting off what each found one dominates."""
        plans: list[Plan] = []
        deadline = None if self.seconds is None else time.monotonic() + self.seconds
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return self._front(plans, account, proven=False)
            found = self.solve(left)
            if found.interrupted and not plans:
                raise KeyboardInterrupt
            if not found.exhausted:
                return self._front(plans, account, proven=False, interrupted=found.interrupted)
            if found.choices is None:
                return self._front(plans, account, proven=True)
            plans.append(self.plan(found))
            scales = self.facts.scales
            values = [plans[-1].cost.of(m) for m in self.wishes.objectives]
            scaled = [(v - s.least) // s.unit for v, s in zip(values, scales, strict=False)]
            self.program.cut(len(plans), scaled)

    def _front(
        self, plans: list[Plan], account: Account, *, proven: bool, interrupted: bool = False
    ) -> Planned:
        ordered = tuple(sorted(plans, key=self._rank))
        # The first one found is the least in the first objective.
        bound = min((self._rank(p)[0] for p in ordered), default=self.facts.scales[0].least)
        return Planned(ordered, proven, bound, account, None, interrupted)

    def _rank(self, found: Plan) -> tuple[int, ...]:
        return tuple(found.cost.of(metric) for metric in self.wishes.ranked)

    def plan(self, found: Found) -> Plan:
        """The plan that an answer stands for."""
        assert found.choices is not None
        choices: dict[str, str] = {}
        for table in self.tables.tables:
            chosen = found.choices[table.nodes[0]]
            if isinstance(chosen, str):
                choices[table.nodes[0]] = chosen
                continue
            for node, number in table.candidates(chosen):
                choices[node] = self.problem.node(node).candidates[number].name
        made = plan(self.problem, choices)
        assert made is not None, "an answer is a plan"
        return made


def explain(problem: Problem, wishes: Wishes, rules: Sequence[Path] = ()) -> Conflict:
    """A conflict among the requirements of a problem without plans.

    The solver's core is made minimal: each requirement that the rest of it does not need is taken
    away.

    Raises:
        KeyboardInterrupt: the user ended the search.
    """
    whole = tables(problem, wishes, pinned=False)
    program = Program(whole, instance(whole, wishes, _names(problem)), rules)
    kept = _core(program, program.requirements)
    assert kept is not None, "the problem has plans"
    for name in sorted(kept):
        if name in kept and (smaller := _core(program, kept - {name})) is not None:
            kept = smaller
    names = sorted(kept)
    texts = tuple(_text(name, wishes) for name in names)
    return Conflict(texts, tuple(_without(name, problem, wishes, rules) for name in names))


def _core(program: Program, held: frozenset[Symbol]) -> frozenset[Symbol] | None:
    """Those of the requirements that exclude every plan; None if there are plans."""
    found = program.solve(waived=program.requirements - held, any_one=True)
    if found.interrupted:
        raise KeyboardInterrupt
    return None if found.choices is not None else found.core


def _text(name: Symbol, wishes: Wishes) -> str:
    """A requirement as the user wrote it."""
    for metric, limit in wishes.limits.items():
        if name == requirement_of(metric):
            return f"{metric}<={limit}"
    return wishes.pins[name.arguments[0].number].text


def _without(name: Symbol, problem: Problem, wishes: Wishes, rules: Sequence[Path]) -> str:
    """What there is when a requirement is given up, in words."""
    text = _text(name, wishes)
    prefer = wishes.prefer
    metric = next((m for m in wishes.limits if name == requirement_of(m)), None)
    if metric is None:
        pins = tuple(p for i, p in enumerate(wishes.pins) if name.arguments[0].number != i)
        freed = replace(wishes, pins=pins, objectives=())
    else:
        limits = {m: v for m, v in wishes.limits.items() if m != metric}
        prefer = (metric, *(m for m in prefer if m != metric))
        freed = replace(wishes, limits=limits, objectives=(), prefer=prefer)
    found = _searched(problem, freed, None, rules)
    if found.interrupted:
        raise KeyboardInterrupt
    if not found.plans:
        return f"without {text}, other requirements still conflict"
    made = found.plans[0]
    if metric is not None:
        return f"without {text}, the least {metric} is {made.cost.of(metric):,}"
    pin = wishes.pins[name.arguments[0].number]
    written = {
        t: x for n, c in made.choices.items() for t, x in problem.node(n).candidate(c).writes
    }
    there = f"{pin.node} takes {made.choices[pin.node]}" if pin.node else ""
    there = there or f"{pin.tensor} is written as {written[pin.tensor]}"
    return f"without {text}, {there}: {made.cost.of(prefer[0]):,} {prefer[0]}"
