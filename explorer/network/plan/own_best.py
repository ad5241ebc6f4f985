"""Why a node of a plan does not take its own best: what that would cost elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from explorer.network.graph import Host, Network
from explorer.network.plan.assembly import Key
from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.plan.planning import solve
from explorer.network.plan.problem import Plan
from explorer.network.plan.transitions import Kind
from explorer.network.plan.wishes import Wishes
from isa.errors import InputError
from isa.words import counted


@dataclass(frozen=True, slots=True)
class Change:
    """A place where two plans differ.

    Attributes:
        place: a node, or a tensor.
        planned, other: the candidate, or how the tensor is written and read, in either plan.
        planned_cycles, other_cycles: of the program, or of the tensor's transitions.
        more: cycles that the other plan takes on top.
    """

    place: str
    planned: str
    planned_cycles: int
    other: str
    other_cycles: int
    more: int


@dataclass(frozen=True, slots=True)
class OwnBest:
    """A plan beside the best one in which a node takes its fastest candidate.

    Attributes:
        node: which.
        planned, planned_cycles: the candidate that it takes in the plan.
        best, best_cycles: its fastest one; of several, that of the better plan.
        changes: where the two plans differ: nodes, then tensors, each in their order.
        more: cycles that the other plan takes on top, 0 or more where cycles come first.
    """

    node: str
    planned: str
    planned_cycles: int
    best: str
    best_cycles: int
    changes: tuple[Change, ...]
    more: int

    def lines(self) -> list[str]:
        """The same in sentences."""
        if self.planned_cycles == self.best_cycles:
            return [
                f"{self.node} takes one of its fastest candidates: "
                f"{counted(self.planned_cycles, 'cycle')}"
            ]
        saved = self.planned_cycles - self.best_cycles
        return [
            f"{self.node} takes {self.planned}: {counted(self.planned_cycles, 'cycle')}",
            f"its own best is {self.best}: {counted(self.best_cycles, 'cycle')}, {saved:,} fewer",
            f"elsewhere that costs {counted(self.more + saved, 'cycle')}, so that the whole takes "
            f"{self.more:,} more",
        ]


def check_node(network: Network, node: str) -> None:
    """Check that the accelerator may have a node: before candidates, which take minutes.

    Raises:
        InputError: there is no such node, or it is no product.
    """
    hosts = {n.name: n.reason for n in network.nodes if isinstance(n, Host)}
    _check(network, node, [n.name for n in network.accelerated], hosts)


def _check(
    network: Network, node: str, programmed: Collection[str], hosts: Mapping[str, str]
) -> None:
    if node not in programmed:
        reason = hosts.get(node)
        told = f"the host runs it, as it has no program ({reason}); " if reason else ""
        others = f"one of {', '.join(programmed)}" if programmed else "no node has a program"
        raise InputError(network.name, "node", node, told + others)


def own_best(
    found: NetworkPlan,
    node: str,
    wishes: Wishes,
    refined: Callable[[NetworkPlan], NetworkPlan] = lambda plan: plan,
) -> OwnBest | None:
    """What a node's own best would cost elsewhere in a plan; None if no plan can have it.

    Args:
        found: a network's plan.
        node: one of its nodes that are programmed.
        wishes: what is asked of both plans; pins of this node are left aside.
        refined: what was done to the plan after it was found, such as to simulate its programs.

    Raises:
        InputError: there is no such node, or no plan to compare with.
        KeyboardInterrupt: the user ended the search for one of the plans.
    """
    options, problem = found.assembled.options, found.assembled.problem
    _check(found.network, node, options, found.assembled.hosts)
    if found.planned.interrupted:
        raise KeyboardInterrupt
    if not found.planned.plans:
        raise InputError(found.network.name, "", "no plan", "pins and limits that some plan meets")
    planned = found.planned.plans[0]
    least = min(o.cycles for o in options[node].values())
    nodes = tuple(
        replace(n, candidates=tuple(c for c in n.candidates if c.cost.cycles == least))
        if n.name == node
        else n
        for n in problem.nodes
    )
    kinds = found.assembled.kinds
    if options[node][planned.choices[node]].cycles == least:
        other = planned
    else:
        pins = tuple(pin for pin in wishes.pins if pin.node != node)
        asked = replace(wishes, pins=pins, objectives=())
        solved = solve(replace(problem, nodes=nodes), asked)
        if solved.interrupted:
            raise KeyboardInterrupt
        if not solved.plans:
            return None
        assembled = replace(found.assembled, problem=replace(problem, nodes=nodes))
        left = replace(found, assembled=assembled, planned=solved, fixed=None, greedy=None)
        compared = refined(replace(left, wishes=asked))
        kinds, other = compared.assembled.kinds, compared.planned.plans[0]
    return OwnBest(
        node,
        planned.choices[node],
        options[node][planned.choices[node]].cycles,
        other.choices[node],
        least,
        tuple(_changes(found, planned, other, kinds)),
        other.cost.cycles - planned.cost.cycles,
    )


def _changes(
    found: NetworkPlan, planned: Plan, other: Plan, kinds: Mapping[Key, Kind]
) -> Iterator[Change]:
    """Where the plans differ; the transitions of the other one are of these kinds."""
    problem = found.assembled.problem
    for name, first in planned.choices.items():
        second = other.choices[name]
        cycles = [
            plan.programs.get(name, problem.node(name).candidate(plan.choices[name]).cost.cycles)
            for plan in (planned, other)
        ]
        if first != second or cycles[0] != cycles[1]:
            yield Change(name, first, cycles[0], second, cycles[1], cycles[1] - cycles[0])
    for tensor in problem.tensors():
        sides = [
            _passed(known, plan, tensor)
            for known, plan in ((found.assembled.kinds, planned), (kinds, other))
        ]
        if sides[0] != sides[1]:
            (first, before), (second, after) = sides
            yield Change(tensor, first, before, second, after, after - before)


def _passed(kinds: Mapping[Key, Kind], plan: Plan, tensor: str) -> tuple[str, int]:
    """How a plan passes a tensor on, in words, and the cycles of that."""
    moves = [move for move in plan.moves if move.tensor == tensor]
    parts = [f"{m.read} ({kinds[tensor, m.written, m.read]})" for m in moves]
    text = f"{moves[0].written} → {', '.join(parts)}" if moves else ""
    return text, sum(move.cost.cycles for move in moves)
