"""All embeddings of a tiny operator: every map of nodes to steps and lanes is tried."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from isa.computation import Computation
from tests.oracles.enumeration import Candidate, assign, keeps_definition
from tests.oracles.joint import keep_definition

Named = tuple[bool, tuple[tuple[int, int], ...]]
"""Whether the inputs are exchanged; of each node, its step (the first node in it) and its lane."""


def assignments(operator: Computation, intrinsic: Computation, *, swapped: bool) -> Iterator[Named]:
    """Every embedding of the straight binding and, if wanted, of the swapped one."""
    nodes = list(itertools.product(*(range(n) for n in operator.extents.values())))
    lanes = list(itertools.product(*(range(n) for n in intrinsic.extents.values())))
    for steps in _partitions(len(nodes)):
        for chosen in itertools.product(range(len(lanes)), repeat=len(nodes)):
            pairs = [((s,), lanes[i]) for s, i in zip(steps, chosen, strict=True)]
            stands = dict(zip(nodes, pairs, strict=True))
            for exchanged in (False, True) if swapped else (False,):
                if keeps_definition(operator, intrinsic, exchanged, stands):
                    yield exchanged, tuple(zip(steps, chosen, strict=True))


def joint_assignments(
    terms: Sequence[Computation], intrinsic: Computation, *, swapped: bool
) -> Iterator[tuple[Named, ...]]:
    """Every embedding of several terms, of each as `assignments` says it.

    What is none of a term alone is none of it beside others, which only add conditions.
    """
    lanes = list(itertools.product(*(range(n) for n in intrinsic.extents.values())))
    each = [list(assignments(term, intrinsic, swapped=swapped)) for term in terms]
    for chosen in itertools.product(*each):
        pairs = []
        for (exchanged, stands), term in zip(chosen, terms, strict=True):
            nodes = itertools.product(*(range(n) for n in term.extents.values()))
            places = {n: ((s,), lanes[i]) for n, (s, i) in zip(nodes, stands, strict=True)}
            pairs.append((Candidate(exchanged, ()), places))
        if keep_definition(terms, intrinsic, pairs):
            yield chosen


def _partitions(count: int) -> Iterator[tuple[int, ...]]:
    """Every way to put nodes into steps: for each node, the first node of its step."""
    if count == 0:
        yield ()
        return
    for rest in _partitions(count - 1):
        yield from ((*rest, first) for first in sorted({*rest, count - 1}))


def named(operator: Computation, intrinsic: Computation, candidate: Candidate) -> Named:
    """What a candidate of digits does, in the same terms."""
    stands = assign(operator, intrinsic, candidate.pieces)
    assert stands is not None
    first: dict[tuple[int, ...], int] = {}
    result = []
    for node, (_, (step, lane)) in enumerate(sorted(stands.items())):
        number = 0
        for index, extent in zip(lane, intrinsic.extents.values(), strict=True):
            number = number * extent + index
        result.append((first.setdefault(step, node), number))
    return candidate.swapped, tuple(result)
