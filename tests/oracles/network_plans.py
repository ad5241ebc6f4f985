"""The best plans of a network by other means: a sweep over its nodes, and all combinations.

The sweep goes through the nodes once and keeps, for each state of the tensors that later nodes
still read (the layout written, and those already made of it), what the nodes so far may cost. It
shares with the planner only the problem.

``python -m tests.oracles.network_plans 1000`` compares both with the planner on random networks,
once with its reductions and once without, and with elimination alone, in large and in small steps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from itertools import product
from math import prod
from random import Random

from explorer.network.plan import elimination
from explorer.network.plan.planning import Planned, solve
from explorer.network.plan.problem import METRICS, Candidate, Cost, Problem, plan
from explorer.network.plan.tables import tables
from explorer.network.plan.wishes import Wishes
from tests.oracles.network_graphs import SHAPES, network, wishes

Values = tuple[int, ...]
State = frozenset[tuple[str, str, frozenset[str]]]
"""Of each tensor that is still read: the layout written, and the layouts made of it."""


def _fits(candidate: Candidate, node: str, asked: Wishes) -> bool:
    for pin in asked.pins:
        if pin.node == node and pin.candidate != candidate.name:
            return False
        if (
            pin.tensor in {t for t, _ in candidate.writes}
            and (pin.tensor, pin.layout) not in candidate.writes
        ):
            return False
    return True


def _read(
    problem: Problem, state: dict[str, tuple[str, frozenset[str]]], candidate: Candidate
) -> tuple[dict[str, tuple[str, frozenset[str]]], Cost] | None:
    """The state and the costs after a candidate has read its tensors; None if it cannot."""
    after, cost = dict(state), candidate.cost
    for tensor, layout in candidate.reads:
        written, made = after[tensor]
        if layout in made:
            continue
        step = problem.passages.get((tensor, written, layout))
        if step is None and written != layout:
            return None
        cost = Cost(*(a + b for a, b in zip(cost, step or Cost(), strict=True)))
        after[tensor] = (written, made | {layout})
    return after, cost


def _front(values: Iterable[Cost], metrics: Iterable[int]) -> list[Cost]:
    """Of costs, those that no other one beats in all metrics that matter; one of equal ones."""
    kept: list[Cost] = []
    places = tuple(metrics)
    for value in sorted(values, key=lambda v: [v[i] for i in places]):
        if not any(all(k[i] <= value[i] for i in places) for k in kept):
            kept.append(value)
    return kept


def sweep(problem: Problem, asked: Wishes) -> list[Cost]:
    """What the plans cost that no other beats in what is asked, under pins and limits."""
    last = {t: i for i, n in enumerate(problem.nodes) for t, _ in n.candidates[0].reads}
    matter = [METRICS.index(m) for m in METRICS if m in {*asked.ranked, *asked.limits}]
    states: dict[State, list[Cost]] = {frozenset(): [Cost()]}
    for i, node in enumerate(problem.nodes):
        found: dict[State, list[Cost]] = {}
        for state, costs in states.items():
            now = {t: (written, made) for t, written, made in state}
            for candidate in node.candidates:
                step = (
                    _read(problem, now, candidate) if _fits(candidate, node.name, asked) else None
                )
                if step is None:
                    continue
                after = step[0] | {t: (layout, frozenset()) for t, layout in candidate.writes}
                live = frozenset((t, w, m) for t, (w, m) in after.items() if last.get(t, -1) > i)
                found.setdefault(live, []).extend(c.plus(step[1]) for c in costs)
        states = {state: _front(costs, matter) for state, costs in found.items()}
    ends = [c for costs in states.values() for c in costs]
    return [c for c in ends if all(c.of(m) <= v for m, v in asked.limits.items())]


def combinations(problem: Problem, asked: Wishes) -> list[Cost]:
    """What each plan costs, all candidates against all."""
    found = []
    for chosen in product(*(n.candidates for n in problem.nodes)):
        if not all(_fits(c, n.name, asked) for c, n in zip(chosen, problem.nodes, strict=True)):
            continue
        state: dict[str, tuple[str, frozenset[str]]] = {}
        total = Cost()
        for candidate in chosen:
            step = _read(problem, state, candidate)
            if step is None:
                break
            state = step[0] | {t: (layout, frozenset()) for t, layout in candidate.writes}
            total = total.plus(step[1])
        else:
            if all(total.of(m) <= v for m, v in asked.limits.items()):
                found.append(total)
    return found


def best(costs: Iterable[Cost], asked: Wishes) -> list[Values]:
    """Of costs, the values in the ranking metrics: the least, or the front."""
    places = [METRICS.index(m) for m in asked.ranked]
    if asked.objectives:
        return [tuple(c[i] for i in places) for c in _front(costs, places)]
    return sorted(tuple(c[i] for i in places) for c in costs)[:1]


def agree(problem: Problem, asked: Wishes, planned: Planned) -> bool:
    """Whether the planner's values are the oracle's, and its plans keep what is asked."""
    expected = best(sweep(problem, asked), asked)
    if prod(len(n.candidates) for n in problem.nodes) <= 500:
        assert expected == best(combinations(problem, asked), asked)
    values = [tuple(p.cost.of(m) for m in asked.ranked) for p in planned.plans]
    kept = all(p.cost.of(m) <= v for p in planned.plans for m, v in asked.limits.items())
    pins = all(
        _fits(problem.node(n).candidate(c), n, asked)
        for p in planned.plans
        for n, c in p.choices.items()
    )
    told = (planned.conflict is not None) == (not expected)
    bound = not expected or planned.bound == expected[0][0]
    return planned.proven and values == expected and kept and pins and told and bound


def eliminates(problem: Problem, asked: Wishes) -> bool:
    """Whether elimination alone finds a best plan, limits and objectives left aside."""
    free = Wishes(asked.prefer, {}, asked.pins)
    expected = best(sweep(problem, free), free)
    given = tables(problem, free)
    rows = None
    if all(len(table.keys) for table in given.tables):
        rows = elimination.eliminated(given)
    if rows is None:
        return not expected
    chosen = [t.candidates(row) for t, row in zip(given.tables, rows, strict=True)]
    choices = {node: problem.node(node).candidates[n].name for own in chosen for node, n in own}
    found = plan(problem, choices)
    return found is not None and best([found.cost], free) == expected


def case(seed: int, most: int = 8) -> tuple[Problem, Wishes]:
    """A random network and what is asked of it; every shape in turn, large costs at times."""
    random = Random(seed)
    scale = random.choice([1, 1, 1, 10**9 + 7])
    problem = network(random, SHAPES[seed % len(SHAPES)], random.randint(2, most), 5, scale)
    asked = wishes(random, problem)
    limits = {m: v * scale for m, v in asked.limits.items()}
    return problem, Wishes(asked.prefer, limits, asked.pins, asked.objectives)


def main(count: int) -> int:
    """Compare on so many networks; the number of disagreements."""
    start, wrong, none, fronts = time.monotonic(), [], 0, 0
    for seed in range(count):
        problem, asked = case(seed)
        planned = solve(problem, asked)
        whole = solve(problem, asked, reductions=False)
        none += planned.conflict is not None
        fronts += bool(asked.objectives)
        # In small steps, even small networks are gone through variable by variable.
        elimination.AT_ONCE = 2**21 if seed % 2 else 4
        right = eliminates(problem, asked)
        if not (agree(problem, asked, planned) and agree(problem, asked, whole) and right):
            wrong.append(seed)
    seconds = time.monotonic() - start
    print(
        f"{count} networks, {fronts} with objectives, {none} with conflicts: "
        f"{len(wrong)} disagree {wrong[:10]} ({seconds:.0f} s)"
    )
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000) > 0)
