"""The plan of a network beside what others would do: TVM's layouts, and every layer's own best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from explorer.embedding.digits import Embedding
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.network.assembly import Assembled, assemble
from explorer.network.candidates import (
    REFERENCE,
    Progress,
    Run,
    Space,
    options,
    programmed,
    spaces,
    view_of,
)
from explorer.network.graph import Host, Network
from explorer.network.planning import Planned, solve
from explorer.network.problem import Plan, Problem
from explorer.network.transitions import Host as HostCost
from explorer.network.transitions import Model
from explorer.network.wishes import Pin, Wishes, parse_pins
from explorer.preference.outcome import optimize
from explorer.preference.parsing import wish
from explorer.preference.problem import Problem as Search
from explorer.ranking.explore import find
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

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
        fixed: TVM's embedding and layouts wherever there are any; None if that is no plan.
        greedy: every node's fastest candidate, whatever its neighbours do; None if that is no plan.
        floor: cycles of every node's fastest candidate, with no transitions at all.
    """

    network: Network
    config: Config
    assembled: Assembled
    planned: Planned
    fixed: Plan | None
    greedy: Plan | None
    floor: int


def candidates(
    network: Network,
    config: Config,
    count: int = CANDIDATES,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    run: Run = map,
    on_progress: Progress = lambda _: None,
    effort: int | None = None,
) -> tuple[dict[Operator, Space], dict[str, str]]:
    """The candidates of every operator, and the nodes that the host runs, with the reason."""
    hosts = {n.name: n.reason for n in network.nodes if isinstance(n, Host)}
    hosts |= {n.name: reason for n in network.accelerated if (reason := programmed(n, network))}
    left = replace(network, nodes=tuple(n for n in network.nodes if n.name not in hosts))
    found = spaces(left, config, count, classes, run, on_progress, effort)
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

    Raises:
        InputError: a pin names nothing that there is.
    """
    for text in pins:
        _supply(text, network, config, found, hosts)
    assembled = assemble(network, config, found, rule, host, hosts)
    problem = assembled.problem
    asked = replace(wishes, pins=parse_pins(pins, problem))
    planned = solve(problem, asked, seconds=seconds)
    usual = Wishes(prefer=("cycles", *(m for m in wishes.prefer if m != "cycles")))
    fixed = _following(problem, usual, lambda name: _fixed(assembled, name))
    greedy = _following(problem, usual, lambda name: _fastest(assembled, name))
    least = sum(min(o.cycles for o in own.values()) for own in assembled.options.values())
    return NetworkPlan(network, config, assembled, planned, fixed, greedy, least)


def _following(
    problem: Problem, wishes: Wishes, choose: Callable[[str], str | None]
) -> Plan | None:
    """The best plan in which every node takes what it is told; the host does what suits it."""
    chosen = {node.name: choose(node.name) for node in problem.nodes}
    pins = tuple(Pin(f"{n}={c}", node=n, candidate=c) for n, c in chosen.items() if c)
    found = solve(problem, replace(wishes, pins=pins))
    return found.plans[0] if found.plans else None


def _fastest(assembled: Assembled, name: str) -> str | None:
    own = assembled.options.get(name)
    # Of equal ones the simplest, which has the lesser id or comes from TVM.
    return min(own.values(), key=lambda o: (o.cycles, o.name != REFERENCE)).name if own else None


def _fixed(assembled: Assembled, name: str) -> str | None:
    own = assembled.options.get(name, {})
    return REFERENCE if REFERENCE in own else _fastest(assembled, name)


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
    nodes = [n for n in network.accelerated if n.name not in hosts]
    for node in nodes:
        place = found[node.operator]
        if node.name == name and value not in {o.name for o in place.all()} and ":" in value:
            embedding = find(node.operator, config, value.partition("#")[0])
            assert isinstance(embedding, Embedding)  # nodes of several terms are the host's
            place.evaluated[embedding.id] = options(node.operator, config, embedding)
        words = ["output"] if node.output.tensor == name else []
        for role, word in (("in0", "input"), ("in1", "weight")):
            if role not in node.operator.constants and view_of(node, role) == name:
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
        if isinstance(embedding, Embedding) and embedding.id not in place.evaluated:
            found = options(place.operator, place.config, embedding)
            place.evaluated[embedding.id] = found
