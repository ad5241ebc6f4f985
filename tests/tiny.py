"""Operators and instructions of a few multiply-accumulates, with any access maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from isa.computation import ROLES, Affine, Computation, Dimension, Role, Tensor
from tests.strategies import operators

EITHER: tuple[frozenset[Role], ...] = (
    frozenset({"in0", "out"}),
    frozenset({"in1", "out"}),
    frozenset({"in0", "in1"}),
    frozenset({"in0", "in1", "out"}),
)
"""Tensors that a dimension may move: as in a product of matrices, or all three."""


USUALLY = st.sampled_from((True, True, True, False))


@st.composite
def computations(draw: st.DrawFn, most: int = 16) -> Computation:
    """An operator of any access maps (windows among them), or a shipped kind, of few points."""
    if not draw(USUALLY):
        return draw(operators(2).filter(lambda op: 1 < op.computation.macs <= most)).computation
    extents = [draw(st.integers(2, min(most, 6)))]
    while len(extents) < 4 and (room := most // math.prod(extents)) > 1 and draw(USUALLY):
        extents.append(draw(st.integers(2, min(room, 6))))
    names = "abcd"[: len(extents)]
    uses = {name: draw(st.sampled_from(EITHER)) for name in names}
    rows = {role: [Affine.of({n: 1}) for n in names if role in uses[n]] for role in ROLES}
    outputs = [n for n in names if "out" in uses[n]]
    reductions = [n for n in names if "out" not in uses[n]]
    if draw(USUALLY) and outputs and reductions:
        factors = st.sampled_from((1, 1, 1, 2, -1))
        window = (draw(st.sampled_from(outputs)), draw(st.sampled_from(reductions)))
        slid = Affine.of({n: draw(factors) for n in window})
        for role in ("in0", "in1"):
            if all(role in uses[n] for n in window):
                rows[role] = [r for r in rows[role] if r.terms[0][0] not in window] + [slid]
                break
    return computation("tiny", dict(zip(names, extents, strict=True)), rows)


@st.composite
def sums(draw: st.DrawFn, most: int = 24) -> list[Computation]:
    """Two or three terms with one output, each with inputs and reductions of its own."""
    first = draw(computations(8).filter(lambda term: term.parallel))
    terms = [first]
    for number in range(1, 3 if draw(USUALLY) else 2):
        used = sum(term.macs for term in terms)
        parallel = {n: first.extents[n] for n in first.parallel}
        points = math.prod(parallel.values())
        if most - used < points:
            break
        reductions: dict[str, int] = {}
        while len(reductions) < 2 and draw(USUALLY):
            room = (most - used) // (points * math.prod(reductions.values()))
            if room < 2:
                break
            reductions["rs"[len(reductions)]] = draw(st.integers(2, min(room, 4)))
        terms.append(draw(_further(first, number, reductions)))
    return terms


@st.composite
def _further(
    draw: st.DrawFn, first: Computation, number: int, reductions: dict[str, int]
) -> Computation:
    """A term with the output of the first, under names of its own."""
    parallel = {n: first.extents[n] for n in first.parallel}
    own = {name: name if draw(USUALLY) else f"{name}{number}" for name in parallel}
    uses = {own[n]: draw(st.sampled_from((*EITHER[:2], EITHER[3]))) for n in parallel}
    uses |= dict.fromkeys(reductions, EITHER[2])
    extents = {own[n]: e for n, e in parallel.items()}
    order = [*extents]
    for name in reductions:
        order.insert(draw(st.integers(0, len(order))), name)
    rows = {role: [Affine.of({n: 1}) for n in order if role in uses[n]] for role in ROLES}
    slides: bool = draw(st.booleans())
    if reductions and slides:
        window = (draw(st.sampled_from([*extents])), draw(st.sampled_from([*reductions])))
        factors = st.sampled_from((1, 1, 1, 2, -1))
        slid = Affine.of({n: draw(factors) for n in window})
        for role in ("in0", "in1"):
            if all(role in uses[n] for n in window):
                rows[role] = [r for r in rows[role] if r.terms[0][0] not in window] + [slid]
                break
    built = computation("tiny", {n: (extents | reductions)[n] for n in order}, rows)
    index = tuple(
        Affine.of({own[n]: c for n, c in row.terms}, row.const) for row in first.out.index
    )
    return replace(built, out=replace(first.out, index=index))


@st.composite
def instructions(draw: st.DrawFn, most: int = 16) -> Computation:
    """An instruction of one to three axes, each on one port or more, of few lanes."""
    extents: list[int] = []
    for _ in range(draw(st.integers(1, 3))):
        extents.append(min(draw(st.sampled_from((2, 3, 4, 1))), most // math.prod(extents)))
    names = "xyz"[: len(extents)]
    if draw(st.booleans()):
        uses = dict(zip(names, EITHER, strict=False))  # a GEMM, as far as it goes
    else:
        some = st.frozensets(st.sampled_from(ROLES), min_size=1)
        uses = {name: draw(some) for name in names}
    rows = {role: [Affine.of({n: 1}) for n in names if role in uses[n]] for role in ROLES}
    return computation("lanes", dict(zip(names, extents, strict=True)), rows)


def computation(
    name: str, extents: dict[str, int], rows: Mapping[Role, Sequence[Affine]]
) -> Computation:
    """A computation whose tensors are as large as their rows reach."""
    dims = tuple(Dimension(n, e) for n, e in extents.items())
    return Computation(name, dims, *(_tensor(role, rows[role], extents) for role in ROLES))


def _tensor(role: Role, rows: Sequence[Affine], extents: dict[str, int]) -> Tensor:
    """A tensor as large as its rows reach; one element if there are none."""
    shape: list[int] = []
    index: list[Affine] = []
    for row in rows or [Affine(())]:
        low, high = row.bounds(extents)
        shape.append(high - low + 1)
        index.append(Affine(row.terms, row.const - low))
    return Tensor(role, tuple(shape), tuple(index), _letters(index))


def _letters(rows: Iterable[Affine]) -> str:
    return "ABCDEFGH"[: len(list(rows))]
