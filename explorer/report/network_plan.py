"""A network's plan for people: a row for each node, and what is proven of the sums."""

from __future__ import annotations

from collections.abc import Iterator

from explorer.network.network_plan import NetworkPlan, rows
from explorer.network.problem import Cost

__all__ = ["lines", "proof", "rows"]


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
    if found.claim is None:
        yield proof(found)
    else:
        yield from found.claim.lines()


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
