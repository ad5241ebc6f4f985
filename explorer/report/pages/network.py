"""The map of a network: every candidate of every node, and the plans that take one of each."""

from __future__ import annotations

from typing import Any

from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.plan.problem import METRICS, Plan
from explorer.report import network_plan as report
from explorer.report.pages.document import document

SCRIPTS = ("common", "chart", "table", "network")


def page(found: NetworkPlan) -> str:
    """The map of a network's plan as a page; see `data`."""
    title = f"{found.network.name} on {found.config.name}"
    return document(title, "network", SCRIPTS, data(found, title))


def data(found: NetworkPlan, title: str) -> dict[str, Any]:
    """What the map of a network shows.

    Args:
        found: a plan, not a front.
        title: what the map is called.
    """
    problem, options = found.assembled.problem, found.assembled.options
    named = [
        (key, label, plan)
        for key, label, plan in (
            ("plan", "plan", found.planned.plans[0]),
            ("fixed", "TVM's layouts", found.fixed),
            ("greedy", "each node's own best", found.greedy),
        )
        if plan is not None
    ]
    columns: dict[str, list[Any]] = {
        name: [] for name in ("node", "name", "cycles", "memory", "proven", "reads", "writes")
    }
    place: dict[tuple[str, str], int] = {}
    for number, node in enumerate(problem.nodes):
        for candidate in node.candidates:
            option = options.get(node.name, {}).get(candidate.name)
            place[node.name, candidate.name] = len(place)
            columns["node"].append(number)
            columns["name"].append(candidate.name)
            columns["cycles"].append(option.cycles if option else 0)
            columns["memory"].append(candidate.cost.memory)
            columns["proven"].append(option is None or option.proven)
            columns["reads"].append([" ".join(read) for read in candidate.reads])
            columns["writes"].append([" ".join(written) for written in candidate.writes])
    macs = {node.name: node.macs for node in found.network.accelerated}
    kinds = {node.name: node.operator.kind for node in found.network.accelerated}
    nodes = [
        {
            "name": node.name,
            "kind": kinds.get(node.name, "") if node.name in options else "host",
            "macs": macs.get(node.name, 0),
            "why": found.assembled.hosts.get(node.name, ""),
        }
        for node in problem.nodes
    ]
    return {
        "about": {
            "title": title,
            "lines": list(report.lines(found)),
            "metrics": list(METRICS),
        },
        "nodes": nodes,
        "candidates": columns,
        "plans": [_plan(found, key, label, plan, place) for key, label, plan in named],
    }


def _plan(
    found: NetworkPlan, key: str, label: str, plan: Plan, place: dict[tuple[str, str], int]
) -> dict[str, Any]:
    """A plan: its costs, and for each node the candidate, by number, and what is passed on."""
    return {
        "key": key,
        "label": label,
        "cost": list(plan.cost),
        "rows": [
            {
                "candidate": place[row.node, row.candidate],
                "cycles": row.cycles,
                "transitions": row.transitions,
                "bytes": row.host_bytes,
                "reads": row.reads,
            }
            for row in report.rows(found, plan)
        ],
    }
