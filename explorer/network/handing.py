"""Nodes handed to the host: a network that has them run there, whatever programs they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from explorer.network.graph import Accelerated, Host, Network, Node
from isa.errors import InputError


def handed(network: Network, names: Collection[str], source: str = "--on-host") -> Network:
    """The network whose nodes of these names are the host's.

    Raises:
        InputError: a name is that of no node with an operator.
    """
    known = [node.name for node in network.accelerated]
    for name in names:
        if name not in known:
            raise InputError(source, "", name, f"one of {', '.join(known)}")
    nodes = tuple(_handed(n) if n.name in names else n for n in network.nodes)
    return replace(network, nodes=nodes)


def none_programmed(network: Network, hosts: Mapping[str, str]) -> InputError:
    """The error that the host runs all nodes; `hosts` has the reasons."""
    allowed = "at least one has to be programmed"
    opened = [name for name in network.inputs if network.by_name[name].shape is None]
    if opened:
        allowed += f"; --shape tells the open shapes of {', '.join(opened)}"
    elif hosts:
        reason, number = Counter(hosts.values()).most_common(1)[0]
        allowed += f"; of {number} of them: {reason}"
    given = f"{len(network.nodes)} nodes of the host"
    return InputError(network.name, "nodes", given, allowed)


def _handed(node: Node) -> Node:
    if not isinstance(node, Accelerated):
        return node
    return Host(node.name, node.operator.name, node.reads, node.writes, "handed to it")
