"""Embeddings of several terms in plain Python, judged by the definition on every single MAC.

Each term's candidates are those of `tests.oracles.enumeration`, in every lane order; which of them
go together, the definition decides on the MACs of all terms.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from isa.computation import ROLES, Computation, Role
from tests.oracles.enumeration import (
    Candidate,
    Piece,
    Point,
    Stands,
    _homes,
    _is_neutral,
    _role,
    assign,
    candidates,
    elements,
)

Named = tuple[tuple[bool, frozenset[str]], ...]
"""Of each term, whether its inputs are exchanged, and its digits with their axes."""

Ordered = tuple[tuple[bool, tuple[tuple[str, ...], ...]], ...]
"""Of each term, whether its inputs are exchanged, and each axis's digits, the slowest first."""

Held = dict[Role, dict[tuple[Point, Point], Point]]


def named(terms: Iterable[Candidate]) -> Named:
    """What candidates consist of, lane orders aside."""
    return tuple((c.swapped, frozenset(f"{'+'.join(p.axes)}={p}" for p in c.pieces)) for c in terms)


def ordered(terms: Iterable[Candidate], intrinsic: Computation) -> Ordered:
    """What candidates consist of, with the order of the digits on each axis."""
    axes = intrinsic.extents
    return tuple(
        (c.swapped, tuple(tuple(str(p) for p in c.pieces if axis in p.axes) for axis in axes))
        for c in terms
    )


def joint_names(
    terms: Sequence[Computation], intrinsic: Computation, classes: set[str]
) -> set[Named]:
    """All embeddings of several terms, with every tile."""
    return {named(chosen) for chosen in _joint(terms, intrinsic, classes, named)}


def joint_orders(
    terms: Sequence[Computation], intrinsic: Computation, classes: set[str]
) -> set[Ordered]:
    """The same in every lane order."""

    def name(chosen: Iterable[Candidate]) -> Ordered:
        return ordered(chosen, intrinsic)

    return {name(chosen) for chosen in _joint(terms, intrinsic, classes, name)}


def _joint(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: set[str],
    name: Callable[[Iterable[Candidate]], object],
) -> Iterator[list[Candidate]]:
    """Candidates that are an embedding together, one of each name."""
    found = set()
    groups = [_by_cells(term, intrinsic, classes) for term in terms]
    for cells in set(groups[0]).intersection(*groups[1:]):
        for chosen in itertools.product(*(group[cells] for group in groups)):
            each = [candidate for candidate, _ in chosen]
            if name(each) not in found and keep_definition(terms, intrinsic, chosen):
                found.add(name(each))
                yield each


def _by_cells(
    term: Computation, intrinsic: Computation, classes: set[str]
) -> dict[frozenset[tuple[Point, Point]], list[tuple[Candidate, Stands]]]:
    """A term's candidates in every lane order, by the cell in which each output is added up."""
    groups: dict[frozenset[tuple[Point, Point]], list[tuple[Candidate, Stands]]] = defaultdict(list)
    for candidate in candidates(term, intrinsic, classes, all_tiles=True):
        for pieces in _orders(candidate.pieces):
            stands = assign(term, intrinsic, pieces)
            assert stands is not None
            held = _held(term, intrinsic, candidate.swapped, stands)
            cells = frozenset((output, cell) for (_, cell), output in held["out"].items())
            groups[cells].append((candidate._replace(pieces=pieces), stands))
    return groups


def _orders(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, ...]]:
    """The pieces in every lane order."""
    yield from itertools.permutations(pieces)


def keep_definition(
    terms: Sequence[Computation],
    intrinsic: Computation,
    chosen: Sequence[tuple[Candidate, Stands]],
) -> bool:
    """Whether maps from the MACs of each term to steps and lanes are together an embedding.

    Steps are told apart by their term. Dataflow and coverage are each term's own; homes, and so
    what is neutral, are those of all sums of an output.
    """
    held: list[Held] = []
    outputs: dict[tuple[Point, Point], Point] = {}
    for number, (term, (candidate, stands)) in enumerate(zip(terms, chosen, strict=True)):
        held.append(_held(term, intrinsic, candidate.swapped, stands))
        outputs |= {((number, *s), cell): out for (s, cell), out in held[-1]["out"].items()}
    homes = _homes(outputs)
    if homes is None:
        return False
    for number, (_, stands) in enumerate(chosen):
        own = {step[1:]: cells for step, cells in homes.items() if step[0] == number}
        if not _is_neutral(intrinsic, stands, held[number], own):
            return False
    return True


def _held(term: Computation, intrinsic: Computation, swapped: bool, stands: Stands) -> Held:
    """What each port's cell holds in each step."""
    scalars, cells = elements(term), elements(intrinsic)
    held: Held = {role: {} for role in ROLES}
    for role in ROLES:
        uses = scalars[_role(role, swapped)]
        for mac, (step, position) in stands.items():
            held[role][step, cells[role][position]] = uses[mac]
    return held
