"""What a plan costs as it is executed: its programs simulated with the stores that readers want.

A plan counts stores in another order as free. Here they are simulated, in a few rounds: what the
programs of a plan take on top is added to what its layouts cost, and the best plan under these
costs is simulated in turn, until it holds nothing new. What is added never exceeds what a plan with
these layouts takes, as long as a program with more stores takes no less; so the last round's
optimum is a bound. Copies are counted with the least that they can take until a plan has them; then
they are simulated, which says whether they are copies. A front is searched anew likewise, until it
holds no plan that is new.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from explorer.deployment.programs import NodeProgram, compiled
from explorer.deployment.stores import Director
from explorer.network.graph import Network
from explorer.network.plan.assembly import PLAIN, Copied, Key
from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.plan.planning import Conflict, Planned, solve
from explorer.network.plan.problem import Cost, Plan, Problem, plan
from explorer.network.plan.tables import meets
from explorer.network.plan.transitions import Kind, better
from explorer.network.plan.wishes import Wishes
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

    Of candidates of which only cycles are known, programs are not simulated, but copies are. Plans
    whose transitions nobody makes, and those that the user has ended the search for, are left as
    they are.

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
    able = (known or found.rule.copies) and found.rule.executable
    if not (found.planned.plans and able):
        return found
    assembled = found.assembled
    desk = _Desk(
        found,
        programs or Programs.of(found.config),
        dict(assembled.problem.passages),
        dict(assembled.kinds),
        programmed=known,
    )
    plans = []
    for each in found.planned.plans:
        plans.append(desk.exact(each))
        on_progress(1)
    bound, excess, wishes = found.planned.bound, 0.0, found.wishes
    matters = "cycles" in {*(wishes.objectives or wishes.ranked[:1]), *wishes.limits}
    matters |= found.rule.copies
    search = free and matters and found.rule.stores and found.planned.proven
    if wishes.objectives:
        if matters:
            limit = seconds if search else 0
            bound, excess = desk.search_front(plans, bound, limit, on_progress)
    elif search:
        bound = desk.search(plans, bound, seconds, on_progress)
    fixed, greedy = (
        None if other is None else desk.exact(other) for other in (found.fixed, found.greedy)
    )
    if free and not (wishes.pins or wishes.limits):
        plans += [other for other in (fixed, greedy) if other is not None]
    planned = replace(_best(found, plans, bound), excess=excess)
    assembled = replace(assembled, problem=desk.problem, kinds=desk.kinds, copied=desk.left)
    return replace(found, assembled=assembled, planned=planned, fixed=fixed, greedy=greedy)


def _best(found: NetworkPlan, plans: Sequence[Plan], bound: int) -> Planned:
    """The best of the plans that keep to the limits, or their front; else what conflicts."""
    wishes = found.wishes
    limits = wishes.limits.items()
    kept = [made for made in plans if all(made.cost.of(m) <= most for m, most in limits)]
    if kept:
        kept.sort(key=lambda made: _rank(made, wishes))
        best = tuple(_undominated(kept, wishes)) if wishes.objectives else (kept[0],)
        least = min(bound, best[0].cost.of(wishes.ranked[0]))
        return replace(found.planned, plans=best, bound=least)
    broken = {m: most for m, most in limits if any(made.cost.of(m) > most for made in plans)}
    fewest = {m: min(made.cost.of(m) for made in plans) for m in broken}
    told = [
        f"without it, the plans that were simulated take {n:,} {m} or more"
        for m, n in fewest.items()
    ]
    conflict = Conflict(tuple(f"{m}<={most}" for m, most in broken.items()), tuple(told))
    return replace(found.planned, plans=(), conflict=conflict)


def _rank(made: Plan, wishes: Wishes) -> tuple[int, ...]:
    return tuple(made.cost.of(metric) for metric in wishes.ranked)


def _excess(front: Sequence[Plan], known: Mapping[tuple[Choice, ...], Plan]) -> float:
    """The greatest share by which a plan takes more cycles than were counted.

    Infinity where it takes more of anything else, as what was to be copied is the host's.
    """
    found = 0.0
    for made in front:
        taken = known[tuple(made.choices.items())].cost
        if any(a > b for a, b in zip(taken[1:], made.cost[1:], strict=True)):
            return math.inf
        found = max(found, taken.cycles / max(made.cost.cycles, 1) - 1)
    return found


def _undominated(ordered: Iterable[Plan], wishes: Wishes) -> Iterator[Plan]:
    """One plan of each combination of values that none dominates; those of lesser values first."""
    kept: list[tuple[int, ...]] = []
    for made in ordered:
        values = _rank(made, wishes)
        # Whatever dominates it comes before it, and is dominated by nothing that is left out.
        if not any(all(a <= b for a, b in zip(k, values, strict=True)) for k in kept):
            kept.append(values)
            yield made


@dataclass(slots=True)
class _Desk:
    """A plan's problem, and what is known of its programs.

    Attributes:
        found: the plan.
        known: programs that were made.
        passages: what transitions cost; of copies the least, until they are simulated.
        kinds: what transitions are, likewise.
        programmed: whether candidates have programs.
        extra: what programs take on top.
    """

    found: NetworkPlan
    known: Programs
    passages: dict[Key, Cost]
    kinds: dict[Key, Kind]
    programmed: bool
    extra: Extra = field(default_factory=dict)
    done: set[Key] = field(default_factory=set)

    @property
    def problem(self) -> Problem:
        """The problem with all that is known of copies."""
        return replace(self.found.assembled.problem, passages=self.passages)

    @property
    def left(self) -> dict[Key, Copied]:
        """The copies that were not simulated."""
        return {k: c for k, c in self.found.assembled.copied.items() if k not in self.done}

    def simulate_copy(self, key: Key) -> None:
        """Have the cycles of a transition that a program may make, or what else there is."""
        found = self.found.assembled.copied[key]
        assert found.written.held is not None
        assert found.read.held is not None
        made = self.known.director.copy(found.written.held, found.read.held)
        self.kinds[key], self.passages[key] = found.kind, found.cost
        if made is not None and better(made.cycles, found.kind, found.cost.cycles):
            memory = found.read.size + len(made.blocks)
            self.kinds[key], self.passages[key] = "copied", Cost(made.cycles, memory=memory)
        self.done.add(key)
        for laid in (found.written, found.read):
            laid.forget()

    def programs(self, made: Plan) -> dict[str, int]:
        """Cycles of each program of a plan; none where candidates have none."""
        network, options = self.found.network, self.found.assembled.options
        if not self.programmed:
            return {}
        programs = {}
        for node in network.accelerated:
            if node.name in options:
                choice = node.name, made.choices[node.name]
                own = self.known.own
                if choice not in own:
                    option = options[node.name][choice[1]]
                    own[choice] = compiled(node, network, None, self.found.config, option)
                programs[node.name] = own[choice]
        directed = self.known.director.directed(network, programs, self.found.rule, self.found.host)
        return {name: program.cycles for name, program in directed.nodes.items()}

    def exact(self, made: Plan) -> Plan:
        """A plan of the problem with the cycles of its programs; and what they are, noted."""
        options, more = self.found.assembled.options, 0
        for move in made.moves:
            key = move.tensor, move.written, move.read
            if key in self.found.assembled.copied and key not in self.done:
                self.simulate_copy(key)
        taken = plan(self.problem, made.choices)
        assert taken is not None, "every transition of a plan is possible"
        made, programs = taken, self.programs(made)
        read = dict(_stored(self.found.network, self.kinds, made))
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
        shared = True
        wishes = replace(self.found.wishes, pins=())
        deadline = None if seconds is None else time.monotonic() + seconds
        for _ in range(ROUNDS):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            solved = solve(self._guided(shared=shared), wishes, seconds=left)
            if not solved.plans:
                break
            if shared:
                bound = max(bound, solved.bound)
            choices = dict(solved.plans[0].choices)
            if all(choices != dict(known.choices) for known in plans):
                made = plan(self.problem, choices)
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

    def search_front(
        self,
        plans: list[Plan],
        bound: int,
        seconds: float | None,
        on_progress: Callable[[int], None],
    ) -> tuple[int, float]:
        """Look for plans of the front, which are added; the bound, and `Planned.excess`.

        A round's front is that of costs which no plan undercuts. What it dominates is dominated by
        what its plans take, but for the cycles that they take on top.
        """
        wishes = replace(self.found.wishes, pins=())
        known = {tuple(made.choices.items()): made for made in plans}
        front = self.found.planned.plans
        excess = _excess(front, known)
        deadline = None if seconds is None else time.monotonic() + seconds
        for _ in range(ROUNDS):
            left = None if deadline is None else deadline - time.monotonic()
            if not excess or (left is not None and left <= 0):
                break
            solved = solve(self._guided(shared=True), wishes, seconds=left)
            if not (solved.plans and solved.proven):
                break
            bound, front = max(bound, solved.bound), solved.plans
            new = [made.choices for made in front if tuple(made.choices.items()) not in known]
            for choices in new:
                taken = plan(self.problem, choices)
                assert taken is not None, "a plan of a problem with fewer candidates"
                plans.append(self.exact(taken))
                known[tuple(choices.items())] = plans[-1]
                on_progress(1)
            excess = min(excess, _excess(front, known))
            if not new:
                break
        return bound, excess

    def _guided(self, *, shared: bool) -> Problem:
        """The problem with what is known of programs added to the transitions that ask for it.

        Candidates that pins exclude are left out.

        Args:
            shared: a transition has its part only, so that all of a tensor together take no more
                than the greatest of them.
        """
        problem = _pinned(self.problem, self.found.wishes)
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


def _stored(
    network: Network, kinds: Mapping[Key, Kind], made: Plan
) -> Iterator[tuple[str, Readers]]:
    """Of each node that is programmed, what it stores."""
    read, kept = dict[str, set[str]](), set[str]()
    for move in made.moves:
        if kinds[move.tensor, move.written, move.read] in {"stored", "filled"}:
            read.setdefault(move.tensor, set()).add(move.read)
        else:
            kept.add(move.tensor)
    for node in network.accelerated:
        tensor = node.output.tensor
        yield node.name, (frozenset(read.get(tensor, ())), tensor in kept)
