"""What commands about networks print with ``--json``, and `map`."""

from __future__ import annotations

from pydantic import Field

from explorer.schemas.outputs import OpenOutput, Output


class Mapped(Output):
    """A map that was written."""

    file: str
    """the page"""
    embeddings: int
    """that are in it"""
    unfit: int
    """those for which there is no program"""
    bytes: int
    """of the page"""


class Node(Output):
    """A node of a network."""

    node: str
    """its name"""
    runs: str
    """where: accelerator or host"""
    kind: str
    """of its operator, or the operation"""
    output: str
    """the shape that it writes"""
    macs: int
    """multiply-accumulates"""
    reads: list[str]
    """tensors but for constants"""
    steps: str
    """what an operator does, in order"""
    folded: list[str]
    """nodes of the model that it stands for"""
    exact: bool | None
    """whether its integers are the model's; null where that is not known"""
    arithmetic: str
    """why it is not exact, or why the host runs it"""


class Imported(Output):
    """A document that was written."""

    file: str
    """the document"""
    nodes: int
    """of the network"""
    accelerated: int
    """nodes among them"""
    macs: int
    """multiply-accumulates"""


class NodePlan(Output):
    """A node of a plan."""

    node: str
    """its name; input: and output: stand for the network's own tensors"""
    candidate: str
    """the embedding that it takes; of the host's nodes, host or the layout that it writes"""
    cycles: int
    """of its program"""
    reads: str
    """each tensor with its layout and the kind of transition"""
    transitions: int
    """cycles of the transitions that are made for it first"""
    host_bytes: int
    """bytes that the host moves for these"""
    writes: str
    """each tensor with its layout"""


class NetworkMapped(Output):
    """A map of a network that was written."""

    file: str
    """the page"""
    candidates: int
    """of all nodes"""
    bytes: int
    """of the page"""


class FrontPlan(OpenOutput):
    """A plan of a front (``--pareto``); also each node's candidate, by the node's name."""

    __pydantic_extra__: dict[str, str] = Field(init=False)

    cycles: int
    """of programs and transitions"""
    host_bytes: int
    """that the host moves"""
    memory: int
    """bytes"""
    host_copies: int
    """transitions that the host makes"""
