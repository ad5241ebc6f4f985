"""What a plan costs as it is executed: its programs simulated with the stores that readers want.

A plan counts stores in another order as free. Here they are simulated, in a few rounds: what the
programs of a plan take on top is added to what its layouts cost, and the best plan under these
costs is simulated in turn, until it holds nothing new. What is added never exceeds what a plan with
these layouts takes, as long as a program with more stores takes no less; so the last round's
optimum is a bound.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from explorer.deployment.programs import NodeProgram, compiled
from explorer.deployment.stores import Director
from explorer.network.assembly import PLAIN
from explorer.network.network_plan import NetworkPlan
from explorer.network.planning import Conflict, Planned, solve
from explorer.network.problem import Plan, Problem, plan
from explorer.network.tables import meets
from explorer.network.wishes import Wishes
from isa.config import Config

ROUNDS = 12
"""Plans that are looked for; most networks need fewer."""

Choice = tuple[str, str]
"""A node and its candidate."""

Readers = tuple[frozenset[str], bool]
"""The layouts in which a program stores its output, and whether others read its own order."""

Extra = dict[Choice, dict[Readers, int]]
"""Cycles that programs take on top, by what they store."""


@dataclass(slots=True)
class Programs:
    """Programs of a network's candidates that were simulated: none is made again.

    Whoever plans a network several times, at several prices of the host's bytes, shares them.

    Attributes:
        director: gives programs their stores.
        own: programs as candidates have them, without constants.
    """

    director: Director
    own: dict[Choice, NodeProgram] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Programs:
        """None yet, for a machine."""
        return cls(Director(config))


def simulated(
    found: NetworkPlan,
    *,
    seconds: float | None = None,
    free: bool = True,
    programs: Programs | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> NetworkPlan:
    """A network's plan, with the cycles that its programs have in the end.

    Plans of a front, of candidates of which only cycles are known, those whose transitions nobody
    makes, and those that the user has ended the search for are left as they are.

    Args:
        found: the plan.
        seconds: time for the solver, in all rounds together.
        free: whether other plans may be looked for; else the one that is there is simulated.
        programs: of the same network's candidates, on the same machine, known so far.
        on_progress: told when a plan was simulated.
    """
    if found.planned.interrupted:
        return found
    options = found.assembled.options
    known = all(o.schedule is not None for own in options.values() for o in own.values())
    able = known and found.rule.executable and not found.planned.interrupted
    if not (found.planned.plans and able) or found.wishes.objectives:
        return found
    desk = _Desk(found, programs or Programs.of(found.config))
    first = found.planned.plans[0]
    plans = [desk.exact(first)]
    on_progress(1)
    bound = found.planned.bound
    wishes = found.wishes
    matters = found.rule.stores and "cycles" in {wishes.ranked[0], *wishes.limits}
    if free and matters and found.planned.proven:
        bound = desk.search(plans, bound, seconds, on_progress)
    fixed, greedy = (
        None if other is None else desk.exact(other) for other in (found.fixed, found.greedy)
    )
    if free and not (wishes.pins or wishes.limits):
        plans += [other for other in (fixed, greedy) if other is not None]
    planned = _best(found, plans, bound)
    return replace(found, planned=planned, fixed=fixed, greedy=greedy)


def _best(found: NetworkPlan, plans: Sequence[Plan], bound: int) -> Planned:
    """The best of the plans that keep to a limit on cycles; if none does, that is told."""
    wishes = found.wishes
    limit = wishes.limits.get("cycles")
    kept = [made for made in plans if limit is None or made.cost.cycles <= limit]
    if kept:
        best = min(kept, key=lambda made: _rank(made, wishes))
        least = min(bound, best.cost.of(wishes.ranked[0]))
        return replace(found.planned, plans=(best,), bound=least)
    cycles = min(made.cost.cycles for made in plans)
    told = f"without it, the plans that were simulated take {cycles:,} cycles or more"
    conflict = Conflict((f"cycles<={limit}",), (told,))
    return replace(found.planned, plans=(), conflict=conflict)


def _rank(made: Plan, wishes: Wishes) -> tuple[int, ...]:
    return tuple(made.cost.of(metric) for metric in wishes.ranked)


@dataclass(slots=True)
class _Desk:
    """A plan's problem, and what is known of its programs.

    Attributes:
        found: the plan.
        known: programs that were made.
        extra: what programs take on top.
    """

    found: NetworkPlan
    known: Programs
    extra: Extra = field(default_factory=dict)

    def programs(self, made: Plan) -> dict[str, int]:
        """Cycles of each program of a plan."""
        network, options = self.found.network, self.found.assembled.options
        programs = {}
        for node in network.accelerated:
            if node.name in options:
                choice = node.name, made.choices[node.name]
                own = self.known.own
                if choice not in own:
                    option = options[node.name][choice[1]]
                    own[choice] = compiled(node, network, None, self.found.config, option)
                programs[node.name] = own[choice]
        if self.found.rule.stores:
            programs = self.known.director.directed(network, programs)
        return {name: program.cycles for name, program in programs.items()}

    def exact(self, made: Plan) -> Plan:
        """A plan of the problem with the cycles of its programs; and what they are, noted."""
        options, more = self.found.assembled.options, 0
        read, programs = dict(_stored(self.found, made)), self.programs(made)
        for name, cycles in programs.items():
            choice = name, made.choices[name]
            extra = cycles - options[name][choice[1]].cycles
            self.extra.setdefault(choice, {})[read[name]] = extra
            more += extra
        cost = made.cost._replace(cycles=made.cost.cycles + more)
        return replace(made, cost=cost, programs=programs)

    def search(
        self,
        plans: list[Plan],
        bound: int,
        seconds: float | None,
        on_progress: Callable[[int], None],
    ) -> int:
        """Look for better plans, which are added to those that there are; the bound in the end."""
        assembled, shared = self.found.assembled, True
        problem = _pinned(assembled.problem, self.found.wishes)
        wishes = replace(self.found.wishes, pins=())
        deadline = None if seconds is None else time.monotonic() + seconds
        for _ in range(ROUNDS):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            solved = solve(self._guided(problem, shared=shared), wishes, seconds=left)
            if not solved.plans:
                break
            if shared:
                bound = max(bound, solved.bound)
            choices = dict(solved.plans[0].choices)
            if all(choices != dict(known.choices) for known in plans):
                made = plan(assembled.problem, choices)
                assert made is not None, "a plan of a problem with fewer candidates"
                plans.append(self.exact(made))
                on_progress(1)
            elif shared:
                # Nothing new below the bound. What stores for several readers take together is
                # not in it, but tells where else to look.
                shared = False
            else:
                break
        return bound

    def _guided(self, problem: Problem, *, shared: bool) -> Problem:
        """The problem with what is known of programs added to the transitions that ask for it.

        Args:
            problem: nodes and transitions.
            shared: a transition has its part only, so that all of a tensor together take no more
                than the greatest of them.
        """
        reads = [set(node.candidates[0].reads) for node in problem.nodes]
        # The host reads the plain order in every plan, so that a program always keeps its own.
        kept = {tensor for own in reads for tensor, label in own if label == PLAIN}
        readers = Counter(t for own in reads for t in {t for t, label in own if label != PLAIN})
        passages = dict(problem.passages)
        nodes = []
        for node in problem.nodes:
            candidates = []
            for candidate in node.candidates:
                known = self.extra.get((node.name, candidate.name))
                if known is None:
                    candidates.append(candidate)
                    continue
                ((tensor, label),) = candidate.writes
                own = f"{label} of {candidate.name}"
                candidates.append(replace(candidate, writes=((tensor, own),)))
                share = readers[tensor] if shared else 0
                for read in problem.layouts(tensor)[1]:
                    cost = problem.passage(tensor, label, read)
                    if cost is not None:
                        more = _more(known, read, share, kept=tensor in kept)
                        passages[tensor, own, read] = cost._replace(cycles=cost.cycles + more)
            nodes.append(replace(node, candidates=tuple(candidates)))
        return Problem(tuple(nodes), passages)


def _more(known: Mapping[Readers, int], read: str, share: int, *, kept: bool) -> int:
    """What a layout that is read adds to the cycles of the program that stores it.

    Args:
        known: what the program takes on top, by what it stores.
        read: the layout.
        share: readers that this is shared among, so that it is no more than a plan takes; 0 for a
            guess, which may be more.
        kept: whether the program keeps its own order in any case.
    """
    alone = known.get((frozenset({read}), kept))
    if alone is not None:
        return max(alone, 0) // max(share, 1)
    if share:
        return 0  # what it takes with others says nothing of it alone
    return max((max(n, 0) // len(s) for (s, _), n in known.items() if read in s), default=0)


def _pinned(problem: Problem, wishes: Wishes) -> Problem:
    """The problem without the candidates that pins exclude."""
    nodes = []
    for node in problem.nodes:
        kept = tuple(c for c in node.candidates if meets(c, node.name, wishes))
        nodes.append(replace(node, candidates=kept))
    return Problem(tuple(nodes), problem.passages)


def _stored(found: NetworkPlan, made: Plan) -> Iterator[tuple[str, Readers]]:
    """Of each node that is programmed, what it stores."""
    kinds, read, kept = found.assembled.kinds, dict[str, set[str]](), set[str]()
    for move in made.moves:
        if kinds[move.tensor, move.written, move.read] in {"stored", "filled"}:
            read.setdefault(move.tensor, set()).add(move.read)
        else:
            kept.add(move.tensor)
    for node in found.network.accelerated:
        tensor = node.output.tensor
        yield node.name, (frozenset(read.get(tensor, ())), tensor in kept)
