"""Structured embeddings in plain Python, judged by the definition itself on every single MAC.

Independent of the encoding: nothing here knows the local rule. A candidate is kept if, in every
step, instruction MACs that share a port's cell stand for operator MACs that share that port's
element, and every operator MAC is covered exactly once.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isa.computation import ROLES, Computation, Role

Point = tuple[int, ...]


class Piece(NamedTuple):
    """A digit: `lanes` iterations of the flattened dims on an axis."""

    axis: str
    dims: tuple[str, ...]
    kind: str
    lanes: int
    outer: int

    def __str__(self) -> str:
        return f"{'.'.join(self.dims)}{'%' if self.kind == 'strided' else ':'}{self.lanes}"


class Candidate(NamedTuple):
    """A binding and digits, in canonical order."""

    swapped: bool
    pieces: tuple[Piece, ...]

    @property
    def id(self) -> str:
        """The id that the product gives the same embedding."""
        parts = ["swap"] if self.swapped else []
        axes = sorted({p.axis for p in self.pieces})
        parts += [f"{a}={','.join(str(p) for p in self.pieces if p.axis == a)}" for a in axes]
        return "/".join(parts if axes else [*parts, "scalar"])


def enumerate_ids(
    operator: Computation, intrinsic: Computation, classes: set[str], *, all_tiles: bool
) -> set[str]:
    """Ids of all legal candidates of these classes; maximal ones only unless `all_tiles`."""
    legal: set[Candidate] = set()
    for swapped in (False, True) if "swapped" in classes else (False,):
        usable = [
            p
            for p in _pieces(operator, intrinsic, classes, all_tiles)
            if is_embedding(operator, intrinsic, Candidate(swapped, (p,)))
        ]
        for chosen in _combinations(usable, intrinsic, "multi" in classes):
            candidate = _canonical(Candidate(swapped, chosen), operator)
            if "padded" not in classes and not _dense(candidate, operator, intrinsic):
                continue
            if is_embedding(operator, intrinsic, candidate):
                legal.add(candidate)
    if all_tiles:
        return {c.id for c in legal}
    return {c.id for c in legal if not _grows(c, legal)}


def _pieces(
    operator: Computation, intrinsic: Computation, classes: set[str], all_tiles: bool
) -> Iterator[Piece]:
    extents = operator.extents
    names = [d.name for d in operator.dims if d.extent > 1]
    subjects: list[tuple[str, ...]] = [(n,) for n in names]
    if "fused" in classes:
        subjects += [
            s for size in range(2, len(names) + 1) for s in itertools.combinations(names, size)
        ]
    for axis in intrinsic.dims:
        for dims in subjects:
            total = math.prod(extents[d] for d in dims)
            for lanes in range(2, min(axis.extent, total) + 1):
                outer = math.ceil(total / lanes)
                least = math.ceil(total / outer) == lanes
                if "padded" not in classes and lanes * outer != total:
                    continue
                if not (all_tiles or least or lanes == axis.extent):
                    continue
                if len(dims) > 1 and not _crosses(dims, extents, lanes):
                    continue
                yield Piece(axis.name, dims, "contiguous", lanes, outer)
                if "strided" in classes and len(dims) == 1 and outer > 1 and least:
                    yield Piece(axis.name, dims, "strided", lanes, outer)


def _crosses(dims: tuple[str, ...], extents: Mapping[str, int], lanes: int) -> bool:
    inner = math.prod(extents[d] for d in dims[1:])
    return inner % lanes != 0 and lanes % extents[dims[-1]] != 0


def _combinations(
    usable: list[Piece], intrinsic: Computation, multi: bool
) -> Iterator[tuple[Piece, ...]]:
    room = intrinsic.extents

    def extend(start: int, chosen: tuple[Piece, ...]) -> Iterator[tuple[Piece, ...]]:
        yield chosen
        for i in range(start, len(usable)):
            piece = usable[i]
            taken = {d for p in chosen for d in p.dims}
            same = [p.lanes for p in chosen if p.axis == piece.axis]
            if taken & set(piece.dims) or (same and not multi):
                continue
            if math.prod(same) * piece.lanes <= room[piece.axis]:
                yield from extend(i + 1, (*chosen, piece))

    return extend(0, ())


def _canonical(candidate: Candidate, operator: Computation) -> Candidate:
    order = [d.name for d in operator.dims]
    pieces = sorted(candidate.pieces, key=lambda p: (p.axis, order.index(p.dims[0])))
    return Candidate(candidate.swapped, tuple(pieces))


def _dense(candidate: Candidate, operator: Computation, intrinsic: Computation) -> bool:
    return all(
        math.prod(p.lanes for p in candidate.pieces if p.axis == axis.name) == axis.extent
        for axis in intrinsic.dims
    )


def _grows(candidate: Candidate, legal: set[Candidate]) -> bool:
    """Whether another candidate has one digit more, or one that saves outer iterations."""
    mine = set(candidate.pieces)
    for other in legal:
        if other.swapped != candidate.swapped:
            continue
        theirs = set(other.pieces)
        added, gone = theirs - mine, mine - theirs
        if len(added) != 1 or len(gone) > 1:
            continue
        (new,) = added
        if not gone and new.kind == "contiguous" and len(new.dims) == 1:
            return True
        if gone:
            (old,) = gone
            if (old.axis, old.dims) == (new.axis, new.dims) and new.outer < old.outer:
                return True
    return False


# ------------------------------------------------------------------------------- the definition


def is_embedding(operator: Computation, intrinsic: Computation, candidate: Candidate) -> bool:
    """Conditions 1 and 3 of the definition, MAC by MAC (2 holds by zeroing the idle lanes)."""
    extents = operator.extents
    covered: Counter[Point] = Counter()
    cells: dict[tuple[Point, Role, Point], Point] = {}
    for step, lanes, point in _macs(operator, candidate):
        if any(not 0 <= point[d] < n for d, n in extents.items()):
            continue
        covered[tuple(point[d] for d in extents)] += 1
        for role in ROLES:
            port = intrinsic.tensor(role)
            held = _role(role, candidate.swapped)
            cell = tuple(row.at(lanes, 0) for row in port.index)
            element = tuple(row.at(point, 0) for row in operator.tensor(held).index)
            if cells.setdefault((step, role, cell), element) != element:
                return False
    return len(covered) == operator.macs and set(covered.values()) == {1}


def _role(role: Role, swapped: bool) -> Role:
    if not swapped or role == "out":
        return role
    return "in1" if role == "in0" else "in0"


def _macs(
    operator: Computation, candidate: Candidate
) -> Iterator[tuple[Point, dict[str, int], dict[str, int]]]:
    """Every step, lane position on the axes, and operator point it stands for."""
    extents = operator.extents
    placed = {d for p in candidate.pieces for d in p.dims}
    free = [d for d in extents if d not in placed]
    steps = [range(p.outer) for p in candidate.pieces] + [range(extents[d]) for d in free]
    for step in itertools.product(*steps):
        for lane in itertools.product(*(range(p.lanes) for p in candidate.pieces)):
            position: dict[str, int] = {}
            point = dict(zip(free, step[len(candidate.pieces) :], strict=True))
            for piece, o, i in zip(candidate.pieces, step, lane, strict=False):
                position[piece.axis] = position.get(piece.axis, 0) * piece.lanes + i
                flat = o + piece.outer * i if piece.kind == "strided" else o * piece.lanes + i
                for dim in piece.dims[:0:-1]:
                    flat, point[dim] = divmod(flat, extents[dim])
                point[piece.dims[0]] = flat
            for axis in ("x", "y", "z"):
                position.setdefault(axis, 0)
            yield step, position, point
