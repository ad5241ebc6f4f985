"""Operators and instructions of a few multiply-accumulates, with any access maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

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
