"""What is to be planned: nodes with candidates, and what it costs to pass tensors between them.

A candidate reads tensors in certain layouts and writes tensors in certain layouts. A plan takes one
candidate for each node. Where a reader wants a tensor in another layout than it is written in, a
transition makes it, once for all readers that want this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from isa.errors import InputError

METRICS = ("cycles", "host-bytes", "memory", "host-copies")
"""What a plan is judged by, in the order of the fields of `Cost`."""

LARGEST = 2**53
"""No single cost exceeds this: sums of a thousand nodes then stay below 64 bits."""


class Cost(NamedTuple):
    """What a candidate, a transition or a plan costs.

    Attributes:
        cycles: of the accelerator and of the host.
        host_bytes: bytes that the host reads and writes to change layouts.
        memory: bytes of DRAM for tensors and their copies.
        host_copies: transitions that the host takes part in.
    """

    cycles: int = 0
    host_bytes: int = 0
    memory: int = 0
    host_copies: int = 0

    def plus(self, other: Cost) -> Cost:
        """The sum, metric by metric."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))

    def of(self, metric: str) -> int:
        """The value of one of `METRICS`."""
        return self[METRICS.index(metric)]


Place = tuple[str, str]
"""A tensor and a layout that it is read or written in."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a node.

    Attributes:
        name: tells it from the other candidates of the node.
        cost: what it costs by itself.
        reads: tensors with the layouts in which they are read; a tensor may be read twice.
        writes: tensors with the layouts in which they are written.
    """

    name: str
    cost: Cost
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the network with its candidates, of which a plan takes one."""

    name: str
    candidates: tuple[Candidate, ...]

    def candidate(self, name: str) -> Candidate:
        """The candidate of this name."""
        return next(c for c in self.candidates if c.name == name)


Passages = Mapping[tuple[str, str, str], Cost]
"""By tensor, layout written, and layout read: what the transition costs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Nodes and transitions.

    Attributes:
        nodes: all candidates of a node read the same tensors, equally often, and write the same.
        passages: the transitions that there are. A layout that is read as it is written is free
            where this does not say otherwise; anything else that is missing here is impossible.
    """

    nodes: tuple[Node, ...]
    passages: Passages

    def node(self, name: str) -> Node:
        """The node of this name."""
        return next(n for n in self.nodes if n.name == name)

    def passage(self, tensor: str, written: str, read: str) -> Cost | None:
        """What the transition costs; None if there is none."""
        found = self.passages.get((tensor, written, read))
        return Cost() if found is None and written == read else found

    def writers(self) -> dict[str, Node]:
        """The node that writes each tensor."""
        return {t: node for node in self.nodes for t, _ in node.candidates[0].writes}

    def layouts(self, tensor: str) -> tuple[list[str], list[str]]:
        """The layouts in which some candidate writes a tensor, and in which some reads it."""
        written: dict[str, None] = {}
        read: dict[str, None] = {}
        for node in self.nodes:
            for candidate in node.candidates:
                written |= dict.fromkeys(lay for t, lay in candidate.writes if t == tensor)
                read |= dict.fromkeys(lay for t, lay in candidate.reads if t == tensor)
        return list(written), list(read)

    def tensors(self) -> list[str]:
        """The tensors, in the order in which nodes write them."""
        return list(self.writers())


def check(problem: Problem, source: str = "network") -> None:
    """Check that a problem is one.

    Raises:
        InputError: a name stands twice, a node has no candidates or such that differ in their
            tensors, a tensor is read that no node writes, or a cost is out of range.
    """
    _once(source, "nodes", [n.name for n in problem.nodes])
    for node in problem.nodes:
        if not node.candidates:
            raise InputError(source, node.name, [], "a node needs at least one candidate")
        _once(source, node.name, [c.name for c in node.candidates])
        ends = {_ends(candidate) for candidate in node.candidates}
        if len(ends) > 1:
            allowed = "all candidates of a node read and write the same tensors"
            raise InputError(source, node.name, sorted(ends)[1], allowed)
    written = [t for node in problem.nodes for t, _ in node.candidates[0].writes]
    _once(source, "tensors", written)
    for node in problem.nodes:
        for tensor, _ in node.candidates[0].reads:
            if tensor not in written:
                raise InputError(source, node.name, tensor, "a tensor that some node writes")
    for where, cost in _costs(problem):
        if not all(0 <= value <= LARGEST for value in cost):
            raise InputError(source, where, tuple(cost), f"costs are from 0 to {LARGEST}")


def _ends(candidate: Candidate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    reads, writes = candidate.reads, candidate.writes
    return tuple(sorted(t for t, _ in reads)), tuple(sorted(t for t, _ in writes))


def _costs(problem: Problem) -> Iterator[tuple[str, Cost]]:
    for node in problem.nodes:
        yield from ((node.name, candidate.cost) for candidate in node.candidates)
    yield from ((key[0], cost) for key, cost in problem.passages.items())


def _once(source: str, field: str, names: list[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise InputError(source, field, name, "a name may stand once")


@dataclass(frozen=True, slots=True)
class Move:
    """A transition of a plan: what is made of a tensor for some of its readers.

    Attributes:
        tensor: what is passed on.
        written: the layout that its node writes.
        read: the layout that readers want.
        readers: the nodes that read it so.
        cost: what it costs, once for all of them.
    """

    tensor: str
    written: str
    read: str
    readers: tuple[str, ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Plan:
    """One candidate for each node, and what follows.

    Attributes:
        choices: the candidate of each node, in the order of the nodes.
        moves: what lies between them, by tensor; the free ones too.
        cost: of all.
        programs: cycles of the nodes' programs where they were simulated with the stores that the
            moves ask for; they are then in `cost`, in place of what the candidates have.
    """

    choices: Mapping[str, str]
    moves: tuple[Move, ...]
    cost: Cost
    programs: Mapping[str, int] = field(default_factory=dict)


def plan(problem: Problem, choices: Mapping[str, str]) -> Plan | None:
    """The plan that takes these candidates; None if a transition that it needs is impossible."""
    taken = {n.name: n.candidate(choices[n.name]) for n in problem.nodes}
    written = {t: layout for c in taken.values() for t, layout in c.writes}
    readers: dict[tuple[str, str], dict[str, None]] = {}
    cost = Cost()
    for name, candidate in taken.items():
        cost = cost.plus(candidate.cost)
        for place in candidate.reads:
            readers.setdefault(place, {})[name] = None
    moves = []
    for (tensor, read), names in sorted(readers.items()):
        found = problem.passage(tensor, written[tensor], read)
        if found is None:
            return None
        cost = cost.plus(found)
        moves.append(Move(tensor, written[tensor], read, tuple(names), found))
    return Plan({n.name: choices[n.name] for n in problem.nodes}, tuple(moves), cost)
