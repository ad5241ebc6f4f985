"""Structured embeddings in plain Python, judged by the definition itself on every single MAC.

Independent of the encodings: nothing here knows the local rule. Every digit is tried on every axis,
every skew with every small coefficient, and `keeps_definition` decides.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from isa.computation import ROLES, Computation, Role

Point = tuple[int, ...]
Stands = Mapping[Point, tuple[Point, Point]]
"""For each operator MAC, the step and the intrinsic MAC (its place on each axis)."""


class Piece(NamedTuple):
    """A digit: `lanes` iterations of the flattened dims on one axis, or on two."""

    axes: tuple[str, ...]
    dims: tuple[str, ...]
    kind: str
    lanes: int
    outer: int
    partner: str = ""
    coefficient: int = 0

    def __str__(self) -> str:
        skew = f"~{self.partner}{self.coefficient:+d}" if self.partner else ""
        return f"{'.'.join(self.dims)}{skew}{'%' if self.kind == 'strided' else ':'}{self.lanes}"


class Candidate(NamedTuple):
    """A binding and digits, in canonical order."""

    swapped: bool
    pieces: tuple[Piece, ...]

    @property
    def id(self) -> str:
        """The id that the product gives the same embedding."""
        parts = ["swap"] if self.swapped else []
        axes = dict.fromkeys(p.axes for p in self.pieces)
        parts += [
            f"{'+'.join(a)}={','.join(str(p) for p in self.pieces if p.axes == a)}" for a in axes
        ]
        return "/".join(parts if axes else [*parts, "scalar"])


class Problem(NamedTuple):
    """What is embedded into what, with which classes; maximal ones only unless `all_tiles`."""

    operator: Computation
    intrinsic: Computation
    classes: set[str]
    all_tiles: bool


def enumerate_ids(
    operator: Computation, intrinsic: Computation, classes: set[str], *, all_tiles: bool
) -> set[str]:
    """Ids of all legal candidates of these classes; maximal ones only unless `all_tiles`."""
    return {c.id for c in candidates(operator, intrinsic, classes, all_tiles=all_tiles)}


def candidates(
    operator: Computation, intrinsic: Computation, classes: set[str], *, all_tiles: bool
) -> Iterator[Candidate]:
    """All legal candidates of these classes; maximal ones only unless `all_tiles`."""
    problem = Problem(operator, intrinsic, classes, all_tiles)
    for swapped in (False, True) if "swapped" in classes else (False,):
        yield from _candidates(problem, swapped)


def _candidates(problem: Problem, swapped: bool) -> Iterator[Candidate]:
    operator, intrinsic, classes, all_tiles = problem
    alone = _alone(problem, swapped)
    skews = [p for p in _skews(problem, alone) if is_embedding(operator, intrinsic, swapped, (p,))]
    for shifted in _combinations(skews, intrinsic, "multi" in classes):
        if len({p.partner for p in shifted}) < len(shifted):
            continue
        sizes = _widened(operator, shifted)
        usable = [
            p
            for p in _pieces(problem, sizes, alone)
            if not {d for q in shifted for d in q.dims} & set(p.dims)
            and is_embedding(operator, intrinsic, swapped, (*shifted, p))
        ]
        for chosen in _combinations(usable, intrinsic, "multi" in classes, shifted):
            candidate = _canonical(swapped, chosen, operator, intrinsic)
            if "padded" not in classes and not _dense(candidate, sizes, intrinsic):
                continue
            if not is_embedding(operator, intrinsic, swapped, candidate.pieces):
                continue
            if all_tiles or not _grows(problem, candidate, sizes, [*usable, *skews]):
                yield candidate


def _alone(problem: Problem, swapped: bool) -> set[tuple[str, str]]:
    """Axes and dimensions that go together without skew or diagonal."""
    operator, intrinsic, _, _ = problem
    found = set()
    for axis, dim in itertools.product(intrinsic.dims, operator.dims):
        if axis.extent > 1 and dim.extent > 1:
            piece = Piece((axis.name,), (dim.name,), "contiguous", 2, -(-dim.extent // 2))
            if is_embedding(operator, intrinsic, swapped, (piece,)):
                found.add((axis.name, dim.name))
    return found


def _lanes(problem: Problem, total: int, room: int) -> Iterator[tuple[int, int]]:
    """Lanes and outer iterations of digits over so many values on an axis of so many lanes."""
    for lanes in range(2, min(room, total) + 1):
        outer = math.ceil(total / lanes)
        if "padded" not in problem.classes and lanes * outer != total:
            continue
        if problem.all_tiles or math.ceil(total / outer) == lanes or lanes == room:
            yield lanes, outer


def _skews(problem: Problem, alone: set[tuple[str, str]]) -> Iterator[Piece]:
    operator, intrinsic, classes, _ = problem
    reductions = operator.reductions
    for axis, dim in itertools.product(intrinsic.dims, operator.dims):
        if "skewed" not in classes or dim.name in reductions or (axis.name, dim.name) in alone:
            continue
        for partner in (d for d in operator.dims if d.name in reductions):
            for coefficient in range(1 - partner.extent, partner.extent):
                for lanes, outer in _lanes(problem, dim.extent, axis.extent):
                    if coefficient:
                        skew = ("skew", lanes, outer, partner.name, coefficient)
                        yield Piece((axis.name,), (dim.name,), *skew)


def _widened(operator: Computation, pieces: Iterable[Piece]) -> dict[str, int]:
    """The loops that the dimensions run over under these skews."""
    sizes = operator.extents
    for piece in pieces:
        if piece.partner:
            sizes[piece.partner] += abs(piece.coefficient) * (piece.lanes - 1)
    return sizes


def _pieces(
    problem: Problem, sizes: Mapping[str, int], alone: set[tuple[str, str]]
) -> Iterator[Piece]:
    _, intrinsic, classes, _ = problem
    names = [name for name, size in sizes.items() if size > 1]
    subjects: list[tuple[str, ...]] = [(n,) for n in names]
    if "fused" in classes:
        subjects += [
            s for size in range(2, len(names) + 1) for s in itertools.combinations(names, size)
        ]
    for axis in intrinsic.dims:
        for dims in subjects:
            total = math.prod(sizes[d] for d in dims)
            for lanes, outer in _lanes(problem, total, axis.extent):
                if len(dims) > 1 and not _crosses(dims, sizes, lanes):
                    continue
                yield Piece((axis.name,), dims, "contiguous", lanes, outer)
                least = math.ceil(total / outer) == lanes
                if "strided" in classes and len(dims) == 1 and outer > 1 and least:
                    yield Piece((axis.name,), dims, "strided", lanes, outer)
    if "diagonal" in classes:
        for first, second in itertools.combinations(intrinsic.dims, 2):
            for name in names:
                both = set(_lanes(problem, sizes[name], first.extent))
                both &= set(_lanes(problem, sizes[name], second.extent))
                if not {(first.name, name), (second.name, name)} & alone:
                    for lanes, outer in sorted(both):
                        yield Piece((first.name, second.name), (name,), "diagonal", lanes, outer)


def _crosses(dims: tuple[str, ...], sizes: Mapping[str, int], lanes: int) -> bool:
    inner = math.prod(sizes[d] for d in dims[1:])
    return inner % lanes != 0 and lanes % sizes[dims[-1]] != 0


def _combinations(
    usable: list[Piece], intrinsic: Computation, multi: bool, fixed: tuple[Piece, ...] = ()
) -> Iterator[tuple[Piece, ...]]:
    """Sets of pieces, the fixed ones among them, of different dimensions, that fit the axes."""

    def fits(chosen: tuple[Piece, ...], piece: Piece) -> bool:
        if {d for p in chosen for d in p.dims} & set(piece.dims):
            return False
        for axis in piece.axes:
            same = [p.lanes for p in chosen if axis in p.axes]
            if (same and not multi) or math.prod(same) * piece.lanes > intrinsic.extents[axis]:
                return False
        return True

    def extend(start: int, chosen: tuple[Piece, ...]) -> Iterator[tuple[Piece, ...]]:
        yield chosen
        for i in range(start, len(usable)):
            if fits(chosen, usable[i]):
                yield from extend(i + 1, (*chosen, usable[i]))

    return extend(0, fixed)


def _canonical(
    swapped: bool, pieces: Iterable[Piece], operator: Computation, intrinsic: Computation
) -> Candidate:
    order, axes = list(operator.extents), list(intrinsic.extents)
    ordered = sorted(
        pieces,
        key=lambda p: (len(p.axes), [axes.index(a) for a in p.axes], order.index(p.dims[0])),
    )
    return Candidate(swapped, tuple(ordered))


def _filled(pieces: Iterable[Piece], axis: str) -> int:
    return math.prod(p.lanes for p in pieces if axis in p.axes)


def _dense(candidate: Candidate, sizes: Mapping[str, int], intrinsic: Computation) -> bool:
    divides = all(
        p.lanes * p.outer == math.prod(sizes[d] for d in p.dims) for p in candidate.pieces
    )
    return divides and all(
        _filled(candidate.pieces, axis.name) == axis.extent for axis in intrinsic.dims
    )


def _grows(
    problem: Problem, candidate: Candidate, sizes: Mapping[str, int], usable: list[Piece]
) -> bool:
    """Whether a digit can have more lanes and fewer outer iterations, or a loop can be added."""
    mine, room = candidate.pieces, problem.intrinsic.extents
    placed = {d for p in mine for d in p.dims}
    for new in usable:
        old = next((p for p in mine if (p.axes, p.dims) == (new.axes, new.dims)), None)
        fits = all(_filled(set(mine) - {old}, a) * new.lanes <= room[a] for a in new.axes)
        if old is not None and new.outer < old.outer and fits:
            return True
        if old is None and not placed & set(new.dims) and len(new.dims) == 1 and fits:
            free = all("multi" in problem.classes or _filled(mine, a) == 1 for a in new.axes)
            if free and new.kind in ("contiguous", "diagonal"):
                return True
    return False


# ------------------------------------------------------------------- from digits to steps and lanes


def is_embedding(
    operator: Computation, intrinsic: Computation, swapped: bool, pieces: tuple[Piece, ...]
) -> bool:
    """Whether digits (in any order) describe an embedding."""
    stands = assign(operator, intrinsic, pieces)
    return stands is not None and keeps_definition(operator, intrinsic, swapped, stands)


def assign(
    operator: Computation, intrinsic: Computation, pieces: tuple[Piece, ...]
) -> Stands | None:
    """Step and lane of every operator MAC; None if one is covered twice or never."""
    stands: dict[Point, tuple[Point, Point]] = {}
    extents = operator.extents
    for step, position, point in _macs(operator, intrinsic, pieces):
        if all(0 <= point[d] < n for d, n in extents.items()):
            mac = tuple(point[d] for d in extents)
            if mac in stands:
                return None
            stands[mac] = step, position
    return stands if len(stands) == operator.macs else None


def _macs(
    operator: Computation, intrinsic: Computation, pieces: tuple[Piece, ...]
) -> Iterator[tuple[Point, Point, dict[str, int]]]:
    """Every step, lane position on the axes, and operator point it stands for."""
    sizes = _widened(operator, pieces)
    placed = {d for p in pieces for d in p.dims}
    free = [d for d in sizes if d not in placed]
    steps = [range(p.outer) for p in pieces] + [range(sizes[d]) for d in free]
    lanes = list(_lane_points(intrinsic, pieces))
    for step in itertools.product(*steps):
        for position, index in lanes:
            point = dict(zip(free, step[len(pieces) :], strict=True))
            for piece, o, i in zip(pieces, step, index, strict=False):
                flat = o + piece.outer * i if piece.kind == "strided" else o * piece.lanes + i
                for dim in piece.dims[:0:-1]:
                    flat, point[dim] = divmod(flat, sizes[dim])
                point[piece.dims[0]] = flat
            for piece, i in zip(pieces, index, strict=True):
                if piece.partner:
                    back = max(0, piece.coefficient * (piece.lanes - 1))
                    point[piece.partner] += piece.coefficient * i - back
            yield step, position, point


def _lane_points(
    intrinsic: Computation, pieces: tuple[Piece, ...]
) -> Iterator[tuple[Point, tuple[int, ...]]]:
    """Every position on the axes that stands for MACs, and each piece's lane there."""
    # A diagonal digit has a lane loop on each of its axes, and stands for MACs where they agree.
    loops = [(p, axis) for p in pieces for axis in p.axes]
    for lane in itertools.product(*(range(p.lanes) for p, _ in loops)):
        at = dict.fromkeys(intrinsic.extents, 0)
        index: dict[Piece, set[int]] = {}
        for (piece, axis), i in zip(loops, lane, strict=True):
            at[axis] = at[axis] * piece.lanes + i
            index.setdefault(piece, set()).add(i)
        if all(len(values) == 1 for values in index.values()):
            yield tuple(at.values()), tuple(min(index[piece]) for piece in pieces)


# ------------------------------------------------------------------------------- the definition


def keeps_definition(
    operator: Computation, intrinsic: Computation, swapped: bool, stands: Stands
) -> bool:
    """Whether a map from operator MACs to steps and lanes is an embedding (design, section 2)."""
    if len(set(stands.values())) < len(stands):
        return False
    held: dict[Role, dict[tuple[Point, Point], Point]] = {role: {} for role in ROLES}
    scalars, cells = elements(operator), elements(intrinsic)
    for role in ROLES:
        of_role, uses = held[role], scalars[_role(role, swapped)]
        for mac, (step, position) in stands.items():
            scalar = uses[mac]
            if of_role.setdefault((step, cells[role][position]), scalar) != scalar:
                return False
    homes = _homes(held["out"])
    return homes is not None and _is_neutral(intrinsic, stands, held, homes)


def _role(role: Role, swapped: bool) -> Role:
    if not swapped or role == "out":
        return role
    return "in1" if role == "in0" else "in0"


class Elements(dict[Point, Point]):
    """The element of a tensor that each point uses, inside of the domain or not; found once."""

    def __init__(self, computation: Computation, role: Role) -> None:
        """Know nothing yet of this tensor of the computation."""
        self._names = tuple(computation.extents)
        self._rows = computation.tensor(role).index

    def __missing__(self, point: Point) -> Point:
        at = dict(zip(self._names, point, strict=True))
        self[point] = tuple(row.at(at, 0) for row in self._rows)
        return self[point]


@functools.lru_cache(maxsize=16)
def elements(computation: Computation) -> dict[Role, Elements]:
    """For each tensor, the element that every point uses."""
    return {role: Elements(computation, role) for role in ROLES}


def _homes(held: Mapping[tuple[Point, Point], Point]) -> dict[Point, set[Point]] | None:
    """For each step, the accumulator cells at its address where some output is at home.

    An output is at home in one cell, at the address of every step that adds to it. None if one has
    two homes, or two have the same.
    """
    home: dict[Point, Point] = {}
    address: dict[Point, set[Point]] = {}
    for (step, cell), output in held.items():
        if home.setdefault(output, cell) != cell:
            return None
        address.setdefault(step, set()).add(output)
    groups: list[set[Point]] = []
    for outputs in address.values():
        merged = outputs.union(*(g for g in groups if g & outputs))
        groups = [g for g in groups if not g & outputs] + [merged]
    if any(len({home[o] for o in group}) < len(group) for group in groups):
        return None
    cells = {output: {home[o] for o in group} for group in groups for output in group}
    return {step: cells[next(iter(outputs))] for step, outputs in address.items()}


def _is_neutral(
    intrinsic: Computation,
    stands: Stands,
    held: Mapping[Role, Mapping[tuple[Point, Point], Point]],
    homes: Mapping[Point, set[Point]],
) -> bool:
    """Whether each idle lane has an operand of zero, or adds where no output is at home."""
    busy = set(stands.values())
    cells = elements(intrinsic)
    for position in itertools.product(*(range(n) for n in intrinsic.extents.values())):
        left, right, out = (cells[role][position] for role in ROLES)
        for step, kept in homes.items():
            feeds = (step, left) in held["in0"] and (step, right) in held["in1"]
            if feeds and out in kept and (step, position) not in busy:
                return False
    return True
