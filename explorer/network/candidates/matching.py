"""Which further embeddings fit the neighbours: what neighbours offer and take decides as well.

What is compared are the vectors that an embedding reads and writes. Of embeddings with the same
ones, that of the least floor stands for all; those come first that take the fewest cycles together
with the bytes that the host would move for what fits no neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest

from explorer.embedding.several import AnyEmbedding
from explorer.layout.canonical import Digits
from explorer.network.candidates.listing import residuals_of
from explorer.network.graph import Accelerated, Network, operand
from isa.computation import Operator

Vectors = tuple[Digits, ...]
"""The lanes of a layout, see `explorer.layout.canonical.lane_strides`."""

Ends = Mapping[str, Vectors]
"""Of each tensor that is read or written and not known offline, its vectors."""

PRICES = (Fraction(1), Fraction(1, 8))
"""Cycles of a byte that the host moves: embeddings are chosen for each of them in turn."""


@dataclass(slots=True)
class End:
    """A tensor of an operator, and what its neighbours have of it.

    Attributes:
        name: by which the operator knows the vectors that have to fit: a residual is read as the
            output is written.
        size: bytes of the tensor.
        known: vectors that some neighbour writes or reads; none if none of them is programmed.
        own: vectors of the operator's candidates.
    """

    name: str
    size: int
    known: set[Vectors] = field(default_factory=set)
    own: set[Vectors] = field(default_factory=set)


def ends_of_all(
    network: Network, chosen: Mapping[Operator, Sequence[Ends]]
) -> dict[Operator, list[End]]:
    """Of each operator, what the neighbours of all its nodes have.

    Args:
        network: the network, of nodes that are programmed.
        chosen: the vectors of each operator's candidates.
    """
    writes: dict[str, set[Vectors]] = {}
    reads: dict[str, set[Vectors]] = {}
    for node in network.accelerated:
        for name, tensor, written in _sides(node, network, chosen[node.operator]):
            known = (writes if written else reads).setdefault(tensor, set())
            known |= {ends[name] for ends in chosen[node.operator]}
    found: dict[Operator, dict[tuple[str, str], End]] = {}
    for node in network.accelerated:
        own = chosen[node.operator]
        ends = found.setdefault(node.operator, {})
        out = node.operator.out.name
        for name, tensor, written in _sides(node, network, own):
            # Two residuals of an operator are two ends, by the operand that is read.
            key = (name, tensor if name == out and not written else name)
            size = operand(node.operator, name).size
            end = ends.setdefault(key, End(name, size, own={e[name] for e in own}))
            end.known |= (reads if written else writes).get(tensor, set())
    return {operator: list(ends.values()) for operator, ends in found.items()}


def _sides(
    node: Accelerated, network: Network, own: Sequence[Ends]
) -> Iterator[tuple[str, str, bool]]:
    """Each end of a node by its operator's name, with the network's tensor; and if it is written.

    A residual is read as the node writes.
    """
    out = node.operator.out.name
    for name in own[0] if own else ():
        tensor = node.output.tensor if name == out else node.views[name].tensor
        yield name, tensor, name == out
    if own:
        for residual in residuals_of(node, network):
            yield out, residual.tensor, False


def matching(
    ordered: Sequence[tuple[int, AnyEmbedding]],
    ends: Sequence[Ends],
    around: Sequence[End],
    count: int,
    known: set[str],
) -> list[tuple[int, AnyEmbedding]]:
    """Up to so many embeddings that fit what neighbours have, with their floors.

    Args:
        ordered: an operator's embeddings with their floors, the least first.
        ends: the vectors of each of them.
        around: what neighbours have.
        count: how many at most.
        known: ids of those that need not be found again, nor others with the same vectors.
    """
    first: dict[tuple[Vectors, ...], tuple[int, AnyEmbedding, Ends]] = {}
    for (floor, embedding), own in zip(ordered, ends, strict=True):
        # What fits no neighbour may at least fit what the operator's candidates have.
        if all(not e.known or own[e.name] in e.known | e.own for e in around):
            first.setdefault(tuple(own[n] for n in sorted(own)), (floor, embedding, own))
    left = [f for f in first.values() if f[1].id not in known]

    def cost(found: tuple[int, AnyEmbedding, Ends], price: Fraction) -> Fraction:
        floor, _, own = found
        # What does not fit is read and written once more.
        moved = sum(2 * e.size for e in around if e.known and own[e.name] not in e.known)
        return floor + price * moved

    by_price = [sorted(left, key=lambda f: (cost(f, price), f[0])) for price in PRICES]
    in_turn = dict.fromkeys(f[1].id for several in zip_longest(*by_price) for f in several)
    kept = set(list(in_turn)[:count])
    return [(floor, embedding) for floor, embedding, _ in left if embedding.id in kept]
