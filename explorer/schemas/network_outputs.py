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


class Changed(Output):
    """A place where two plans of a network differ."""

    place: str
    """a node or a tensor"""
    planned: str
    """what it has in the best plan"""
    planned_cycles: int
    """of that"""
    other: str
    """what it has where a node takes its own best"""
    other_cycles: int
    """of that"""
    more: int
    """cycles that the other takes on top"""


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


class TensorVerified(Output):
    """A tensor of a network that was executed."""

    tensor: str
    """its name"""
    node: str
    """that writes it"""
    runs: str
    """where: accelerator or host"""
    elements: int
    """that it has"""
    compared: int
    """of them, those that were somewhere to be seen"""
    wrong: int
    """of them, those that are not the integer reference's"""
    executions: int
    """in which it was compared"""
    difference: float | None
    """of an output, the greatest distance from ONNX Runtime's; null where there is no model"""


class NetworkEmitted(Output):
    """A network's folder that was written."""

    folder: str
    """where"""
    files: int
    """in it"""
    bytes: int
    """of all files"""
    segments: int
    """launches"""
    programs: int
    """nodes that the accelerator runs"""
    cycles: int
    """of all segments"""
    memory: int
    """bytes that everything takes on the device"""
    peak: int
    """of these, bytes that tensors share"""
    bound: int
    """bytes that some step needs of them"""


class NetworkOutput(Output):
    """An output of a network that was run."""

    output: str
    """its name"""
    dtype: str
    """of its elements"""
    shape: str
    """extents"""
    least: float | None
    """of its elements"""
    greatest: float | None
    """of its elements"""


class NetworkStep(Output):
    """A step of a network that was run."""

    step: int
    """its number"""
    runs: str
    """where: accelerator or host"""
    what: str
    """launch, pack, clear, unpack or call"""
    names: str
    """of nodes or tensors"""
    begin: int
    """cycle"""
    cycles: int
    """that it takes; 0 for the host's nodes, whose time is not known"""
    bytes: int
    """that the host moves"""
