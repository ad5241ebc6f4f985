"""Nodes handed to the host: a network that has them run there, whatever programs they have."""

from __future__ import annotations

from collections.abc import Collection
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
            allowed = f"one of {', '.join(known)}" if known else "the host runs all nodes already"
            raise InputError(source, "", name, allowed)
    nodes = tuple(_handed(n) if n.name in names else n for n in network.nodes)
    return replace(network, nodes=nodes)


def _handed(node: Node) -> Node:
    if not isinstance(node, Accelerated):
        return node
    return Host(node.name, node.operator.name, node.reads, node.writes, "handed to it")
