"""A network's plan for people: a row for each node, and what is proven of the sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from explorer.network.network_plan import NetworkPlan
from explorer.network.problem import Cost, Move, Plan


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
    moves = [move for move in plan.moves if name in move.readers]
    made = [move.cost for move in moves if move.readers[0] == name]
    return Row(
        name,
        candidate,
        own[candidate].cycles if candidate in own else 0,
        "; ".join(_read(found, move, name) for move in moves),
        sum(cost.cycles for cost in made),
        sum(cost.host_bytes for cost in made),
        "; ".join(f"{tensor} {layout}" for tensor, layout in node.candidate(candidate).writes),
    )


def _read(found: NetworkPlan, move: Move, node: str) -> str:
    kind = found.assembled.kinds[move.tensor, move.written, move.read]
    shared = "" if move.readers[0] == node or kind == "none" else f" with {move.readers[0]}"
    return f"{move.tensor} {move.read} ({kind}{shared})"


def lines(found: NetworkPlan) -> Iterator[str]:
    """The sums of the best plan and of the others, and what is proven."""
    planned = found.planned
    best = planned.plans[0]
    nodes = sum(row.cycles for row in rows(found, best))
    yield (
        f"plan: {_sums(best.cost)}; programs take {nodes:,} cycles of these, transitions "
        f"{best.cost.cycles - nodes:,}"
    )
    for name, other in (
        ("fixed (TVM's layouts)", found.fixed),
        ("each node's own best", found.greedy),
    ):
        if other is None:
            yield f"{name}: no plan, as some tensor cannot be passed on"
        else:
            ratio = other.cost.cycles / max(best.cost.cycles, 1)
            yield f"{name}: {_sums(other.cost)}; {ratio:.3g} times the plan's cycles"
    yield f"each node's own best without transitions: {found.floor:,} cycles"
    yield proof(found)


def proof(found: NetworkPlan) -> str:
    """What is proven of what."""
    planned, account = found.planned, found.planned.account
    of = f"of the {account.candidates:,} candidates listed"
    if planned.proven:
        text = f"proven {of}: no plan is better"
    else:
        first = planned.plans[0].cost
        excess = 100 * (first.cycles / planned.bound - 1) if planned.bound else 0.0
        share = f", at most {excess:.3g} % above it" if planned.bound else ""
        text = f"not proven {of}: no plan has fewer than {planned.bound:,} cycles{share}"
    return (
        f"{text}. Exact reductions: {account.grouped:,} layouts grouped, {account.dominated:,} "
        f"candidates dominated, {account.outweighed:,} outweighed, {account.joined} joins of nodes."
        f" Left to the solver: nodes {account.nodes}, candidates {account.left:,}"
    )


def _sums(cost: Cost) -> str:
    return (
        f"{cost.cycles:,} cycles, {cost.host_bytes:,} bytes moved by the host in "
        f"{cost.host_copies} copies, {cost.memory:,} bytes of memory"
    )
