"""Networks as workloads: each product of a network is a layer, as often as it occurs.

What lies between the nodes, and what the host runs, is no layer: `explorer network plan` counts it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from explorer.network.candidates.listing import programmed
from explorer.network.graph import no_program
from explorer.network.models import resolve
from isa.computation import Operator

PREFIX = "network:"
"""What a workload begins with that is a network: some suites have a network's name."""


def operators(text: str) -> list[tuple[Operator, int]]:
    """The operators of a network, each named after the first of its nodes, and how often each is.

    Args:
        text: what any command about networks takes, after `PREFIX`.

    Raises:
        InputError: it is no network, or none of its nodes can have a program.
    """
    network = resolve(text.removeprefix(PREFIX))
    left = {n.name: why for n in network.accelerated if (why := programmed(n, network))}
    nodes = [node for node in network.accelerated if node.name not in left]
    if not nodes:
        reasons = {n.name: getattr(n, "reason", "") for n in network.nodes}
        raise no_program(network, reasons | left)
    times = Counter(node.operator for node in nodes)
    names = {node.operator: node.name for node in reversed(nodes)}
    return [(replace(op, name=f"{network.name}:{names[op]}"), n) for op, n in times.items()]
