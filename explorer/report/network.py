"""A network as a table: what each node is, what it stands for, and whether it is exact."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.network.graph import Accelerated, Network, Node
from isa.words import counted


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of a node.

    Attributes:
        node: its name.
        runs: where it runs, ``accelerator`` or ``host``.
        kind: the operator's kind, or the operation.
        output: the shape of what it writes.
        macs: multiply-accumulates; 0 for the host's.
        reads: the tensors that it reads but for constants.
        steps: what an operator does in order, with its constants' names.
        folded: nodes of the model that it stands for.
        exact: whether its integers are the model's; None where that is not known.
        arithmetic: why it is not exact, or why the host runs it.
    """

    node: str
    runs: str
    kind: str
    output: str
    macs: int
    reads: tuple[str, ...]
    steps: str
    folded: tuple[str, ...]
    exact: bool | None
    arithmetic: str


def rows(network: Network) -> list[Row]:
    """A row for each node, in the order in which they run."""
    return [_row(network, node) for node in network.nodes]


def _row(network: Network, node: Node) -> Row:
    tensors = network.by_name
    shapes = [tensors[name].shape for name in node.writes]
    output = ", ".join("?" if s is None else "x".join(map(str, s)) or "1" for s in shapes)
    reads = tuple(name for name in node.reads if not tensors[name].constant)
    if not isinstance(node, Accelerated):
        return Row(node.name, "host", node.operation, output, 0, reads, "", (), None, node.reason)
    exact, arithmetic = _arithmetic(network, node)
    return Row(
        node.name,
        "accelerator",
        node.operator.kind,
        output,
        node.macs,
        reads,
        ", ".join(map(str, node.operator.stages)),
        node.folded,
        exact,
        arithmetic,
    )


def _arithmetic(network: Network, node: Accelerated) -> tuple[bool | None, str]:
    """Whether a node's integers are the model's, and in words."""
    if node.inexact:
        return False, "; ".join(node.inexact)
    tensors = network.by_name
    if any(tensors[name].scale is None for name in (*node.reads[:1], *node.writes)):
        return None, "no scales"
    return True, "exact"


def summary(network: Network) -> str:
    """How many nodes there are of each sort, in a sentence."""
    found = rows(network)
    accelerated = [row for row in found if row.runs == "accelerator"]
    exact = sum(row.exact is True for row in accelerated)
    inexact = sum(row.exact is False for row in accelerated)
    text = (
        f"{network.name}: {counted(len(found), 'node')}, {len(accelerated)} accelerated with "
        f"{network.macs:,} multiply-accumulates, {len(found) - len(accelerated)} by the host"
    )
    if exact or inexact:
        text += f"; {exact} exact, {inexact} not"
    return f"{text}."
