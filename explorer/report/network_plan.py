"""A network's plan for people: a row for each node, and what is proven of the sums."""

from __future__ import annotations

import math
from collections.abc import Iterator

from explorer.network.plan.network_plan import NetworkPlan, rows
from explorer.network.plan.problem import Cost
from isa.words import counted

_NEAR = 1.1
"""Times the cycles, below which the difference is told as a share: 1.000069 times says nothing."""

__all__ = ["lines", "proof", "rows"]


def lines(found: NetworkPlan) -> Iterator[str]:
    """The sums of the best plan and of the others, and what is proven."""
    planned = found.planned
    best = planned.plans[0]
    nodes = sum(row.cycles for row in rows(found, best))
    yield (
        f"plan: {_sums(best.cost)}; programs take {counted(nodes, 'cycle')} of these, transitions "
        f"{best.cost.cycles - nodes:,}"
    )
    others = (("fixed (TVM's layouts)", found.fixed), ("each node's own best", found.greedy))
    for name, other in () if planned.interrupted else others:
        if other is None:
            yield f"{name}: no plan, as some tensor cannot be passed on"
        else:
            yield f"{name}: {_sums(other.cost)}; {_beside(other.cost.cycles, best.cost.cycles)}"
    yield f"each node's own best without transitions: {counted(found.floor, 'cycle')}"
    if found.claim is None:
        yield proof(found)
        yield from free(found)
    else:
        yield from found.claim.lines()
        if best.cost.cycles > found.claim.cycles:
            more = best.cost.cycles - found.claim.cycles
            excess = 100 * (best.cost.cycles / max(found.claim.bound, 1) - 1)
            yield (
                f"its stores, simulated, take {counted(more, 'cycle')} more: with these it is at "
                f"most "
                f"{excess:.3g} % above what no plan undercuts"
            )


def _beside(cycles: int, planned: int) -> str:
    """Cycles of another plan beside those of the best one, in words.

    The other may take fewer: it keeps no pins, limits and rules, and cycles need not come first.
    """
    if cycles == planned:
        return "as many cycles as the plan"
    ratio = cycles / max(planned, 1)
    if ratio < 1:
        asked = "without what is asked of the plan"
        return f"{100 * (1 - ratio):.3g} % fewer cycles than the plan, {asked}"
    if ratio < _NEAR:
        return f"{100 * (ratio - 1):.3g} % more cycles than the plan"
    return f"{ratio:.3g} times the plan's cycles"


def free(found: NetworkPlan) -> Iterator[str]:
    """That stores were not simulated, where they were not, and why."""
    planned = found.planned
    if found.rule.stores and not planned.interrupted and not planned.plans[0].programs:
        why = "what these transitions take to be there, nobody makes"
        if found.rule.executable:
            why = "of candidates of a table only cycles are known"
        yield f"programs were not simulated, and stores in another order count as free: {why}"


def proof(found: NetworkPlan) -> str:
    """What is proven of what."""
    planned, account = found.planned, found.planned.account
    of = f"of the {counted(account.candidates, 'candidate')} listed"
    first, metric = planned.plans[0].cost, found.wishes.ranked[0]
    excess = 100 * (first.of(metric) / planned.bound - 1) if planned.bound else 0.0
    least = f"no plan has fewer than {planned.bound:,} {metric}"
    least += f", at most {excess:.3g} % above it" if planned.bound else ""
    if found.wishes.objectives:
        text = f"proven {of}: none is missing" if planned.proven else f"not proven {of}"
        if planned.proven and planned.excess == math.inf:
            text = f"not proven {of}: others were not simulated, and may be better"
        elif planned.proven and planned.excess:
            text = (
                f"proven {of}, where more stores take no less: for any other plan, one of these "
                f"takes at most {100 * planned.excess:.3g} % more cycles, and no more of the rest"
            )
    elif planned.proven and (planned.plans[0].programs or found.rule.copies) and excess:
        # What stores in another order take is known of the plans that were simulated.
        text = f"proven {of}, where more stores take no less: {least}"
    elif planned.proven:
        text = f"proven {of}: no plan is better"
    else:
        text = f"not proven {of}: {least}"
    return (
        f"{text}. Exact reductions: {counted(account.grouped, 'layout')} grouped, "
        f"{counted(account.dominated, 'candidate')} dominated, {account.outweighed:,} outweighed, "
        f"{counted(account.joined, 'join')} of nodes, {counted(account.eliminated, 'node')} "
        f"eliminated. Left to the solver: nodes {account.nodes}, candidates {account.left:,}"
    )


def _sums(cost: Cost) -> str:
    return (
        f"{counted(cost.cycles, 'cycle')}, {counted(cost.host_bytes, 'byte')} moved by the host in "
        f"{counted(cost.host_copies, 'copy', 'copies')}, {counted(cost.memory, 'byte')} of memory"
    )
