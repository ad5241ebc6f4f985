"""The plan of a network beside what others would do: TVM's layouts, and every layer's own best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.network.candidates.evaluation import Answers
from explorer.network.candidates.listing import (
    REFERENCE,
    REFERENCE_TERMS,
    constant_inputs,
    options,
    programmed,
)
from explorer.network.candidates.spaces import Progress, Run, Space, spaces
from explorer.network.graph import Host, Network, no_program
from explorer.network.plan.assembly import Assembled, assemble
from explorer.network.plan.claim import Claim
from explorer.network.plan.planning import Planned, solve
from explorer.network.plan.problem import Move, Plan, Problem
from explorer.network.plan.transitions import Host as HostCost
from explorer.network.plan.transitions import Model
from explorer.network.plan.wishes import Wishes, parse_pins
from explorer.network.size import check_plan
from explorer.preference.outcome import optimize
from explorer.preference.parsing import wish
from explorer.preference.problem import Problem as Search
from explorer.ranking.explore import find
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES = 50
"""Embeddings of each operator that are evaluated."""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """A network's plan.

    Attributes:
        network: the network.
        config: what it is compiled for.
        assembled: its problem.
        planned: the plan, or the front, and what is proven.
        fixed: TVM's embedding and layouts wherever there are any; None if that is no plan, or if
            the user has ended the search.
        greedy: every node's fastest candidate, whatever its neighbours do; None as there.
        floor: cycles of every node's fastest candidate, with no transitions at all.
        wishes: what was asked, pins included.
        rule: the transitions that there are.
        host: what the host's work costs.
        claim: what is proven over all embeddings; None where that was not asked.
    """

    network: Network
    config: Config
    assembled: Assembled
    planned: Planned
    fixed: Plan | None
    greedy: Plan | None
    floor: int
    wishes: Wishes
    rule: Model
    host: HostCost = HostCost()  # noqa: RUF009 - it is a value
    claim: Claim | None = None

    def frame(self) -> pd.DataFrame:
        """A row for each node of the plan, or for each plan of the front, which may be none."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        plans = self.planned.plans
        if self.wishes.objectives:
            return pd.DataFrame([p.cost._asdict() | dict(p.choices) for p in plans])
        return pd.DataFrame([asdict(row) for plan in plans for row in rows(self, plan)])


@dataclass(frozen=True, slots=True)
class Row:
    """A node of a plan.

    Attributes:
        node: its name; ``input:`` and ``output:`` stand for the network's own.
        candidate: the embedding that it takes, ``reference`` for TVM's with its fixed layouts; of
            the host's nodes, ``host`` or the layout that it writes.
        cycles: of its program, 0 for the host.
        reads: each tensor with its layout and the kind of the transition.
        transitions: cycles of the transitions that are made for it; one for several nodes counts at
            the first of them.
        host_bytes: bytes that the host moves for these.
        writes: each tensor with its layout.
    """

    node: str
    candidate: str
    cycles: int
    reads: str
    transitions: int
    host_bytes: int
    writes: str


def rows(found: NetworkPlan, plan: Plan) -> list[Row]:
    """The nodes of a plan, in their order."""
    return [_row(found, plan, name, candidate) for name, candidate in plan.choices.items()]


def _row(found: NetworkPlan, plan: Plan, name: str, candidate: str) -> Row:
    node = found.assembled.problem.node(name)
    own = found.assembled.options.get(name, {})
    cycles = own[candidate].cycles if candidate in own else 0
    moves = [move for move in plan.moves if name in move.readers]
    made = [move.cost for move in moves if move.readers[0] == name]
    return Row(
        name,
        candidate,
        plan.programs.get(name, cycles),
        "; ".join(_read(found, move, name) for move in moves),
        sum(cost.cycles for cost in made),
        sum(cost.host_bytes for cost in made),
        "; ".join(f"{tensor} {layout}" for tensor, layout in node.candidate(candidate).writes),
    )


def _read(found: NetworkPlan, move: Move, node: str) -> str:
    kind = found.assembled.kinds[move.tensor, move.written, move.read]
    shared = "" if move.readers[0] == node or kind == "none" else f" with {move.readers[0]}"
    return f"{move.tensor} {move.read} ({kind}{shared})"


def candidates(
    network: Network,
    config: Config,
    count: int = CANDIDATES,
    classes: Sequence[str] | None = None,
    *,
    run: Run = map,
    on_progress: Progress = lambda _: None,
    effort: int | None = None,
    answers: Answers | None = None,
) -> tuple[dict[Operator, Space], dict[str, str]]:
    """The candidates of every operator, and the nodes that the host runs, with the reason.

    Arguments as for `spaces`.

    Raises:
        InputError: the network's layouts do not fit into the memory that is free, or there is no
            node that can be programmed.
    """
    check_plan(network)
    hosts = {n.name: n.reason for n in network.nodes if isinstance(n, Host)}
    hosts |= {n.name: reason for n in network.accelerated if (reason := programmed(n, network))}
    left = replace(network, nodes=tuple(n for n in network.nodes if n.name not in hosts))
    if not left.accelerated:
        raise no_program(network, hosts)
    found = spaces(left, config, count, classes, run, on_progress, effort, answers)
    for node in left.accelerated:
        if not found[node.operator].all():
            hosts[node.name] = "no schedule fits the scratchpads"
    return found, hosts


def plan_network(
    network: Network,
    config: Config,
    found: dict[Operator, Space],
    hosts: Mapping[str, str],
    rule: Model,
    host: HostCost,
    wishes: Wishes,
    pins: Sequence[str] = (),
    seconds: float | None = None,
    rules: Sequence[Path] = (),
) -> NetworkPlan:
    """The best plan of a network's candidates, with what to compare it with.

    Args:
        network: the network.
        config: what it is compiled for.
        found: candidates by operator.
        hosts: nodes that the host runs.
        rule: which transitions there are.
        host: what the host's work costs.
        wishes: what is asked, without pins.
        pins: texts as users write them.
        seconds: time for the solver.
        rules: files of rules of a user's own.

    Raises:
        InputError: a pin names nothing that there is.
    """
    for text in pins:
        _supply(text, network, config, found, hosts)
    assembled = assemble(network, config, found, rule, host, hosts)
    problem = assembled.problem
    asked = replace(wishes, pins=parse_pins(pins, problem))
    planned = solve(problem, asked, seconds=seconds, rules=rules)
    usual = Wishes(prefer=("cycles", *(m for m in wishes.prefer if m != "cycles")))
    fixed = greedy = None
    if not planned.interrupted:  # else what was found is wanted, and no further search
        fixed = _following(problem, usual, lambda name: _fixed(assembled, name))
        greedy = _following(problem, usual, lambda name: _fastest(assembled, name))
    least = sum(min(o.cycles for o in own.values()) for own in assembled.options.values())
    return NetworkPlan(network, config, assembled, planned, fixed, greedy, least, asked, rule, host)


def _following(
    problem: Problem, wishes: Wishes, choose: Callable[[str], Sequence[str]]
) -> Plan | None:
    """The best plan in which every node takes what it is told; the host does what suits it."""
    nodes = []
    for node in problem.nodes:
        names = choose(node.name)
        kept = tuple(c for c in node.candidates if not names or c.name in names)
        nodes.append(replace(node, candidates=kept))
    found = solve(replace(problem, nodes=tuple(nodes)), wishes)
    return found.plans[0] if found.plans else None


def _fastest(assembled: Assembled, name: str) -> Sequence[str]:
    own = assembled.options.get(name)
    # Of equal ones the simplest, which has the lesser id or comes from TVM.
    best = own and min(own.values(), key=lambda o: (o.cycles, o.name != REFERENCE))
    return (best.name,) if best else ()


def _fixed(assembled: Assembled, name: str) -> Sequence[str]:
    own = assembled.options.get(name, {})
    # Whichever way of adding a residual costs less: TVM's layouts are compared, not its residuals.
    known = [n for n in (REFERENCE, REFERENCE_TERMS) if n in own]
    return known or _fastest(assembled, name)


# ---------------------------------------------------------------- what pins ask for


def _supply(
    text: str,
    network: Network,
    config: Config,
    found: dict[Operator, Space],
    hosts: Mapping[str, str],
) -> None:
    """Evaluate the embedding that a pin names, or those that have the layout that it names.

    The layout is asked of the solver, of the node that writes the tensor and of those that read it.
    """
    name, _, value = (part.strip() for part in text.partition("="))
    for node in (n for n in network.accelerated if n.name not in hosts):
        place = found[node.operator]
        if node.name == name and value not in {o.name for o in place.all()} and ":" in value:
            embedding = find(node.operator, config, value.partition("#")[0])
            place.evaluated[embedding.id] = options(node.operator, config, embedding)
        if len(node.operator.terms) > 1:  # preferences are of one term
            continue
        words = ["output"] if node.output.tensor == name else []
        constants, computation = constant_inputs(node.operator), node.operator.computation
        for tensor, word in ((computation.in0, "input"), (computation.in1, "weight")):
            if not constants[tensor.name] and node.views[tensor.name].tensor == name:
                words.append(word)
        for word in words:
            _ask(place, word, value)


def _ask(place: Space, word: str, layout: str) -> None:
    """Evaluate the embedding of the fewest steps whose tensor has a layout, if there is one."""
    require = [f"keep-{word}-layout={layout}"]
    try:
        wishes = wish(place.operator, place.config, prefer="steps", require=require)
        answers = optimize(Search(place.operator, place.config, wishes)).best.answers
    except InputError:  # no name of a layout, or none that this operator can have
        return
    for answer in answers:
        embedding = answer.embedding
        if embedding.id not in place.evaluated:
            found = options(place.operator, place.config, embedding)
            place.evaluated[embedding.id] = found
