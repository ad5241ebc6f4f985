"""The encoding against an independent enumeration, and small programs with known answers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.facts import DEFAULT_CLASSES
from explorer.solve import enumerate_embeddings
from isa import intrinsics
from isa.computation import Computation, Operator
from tests.oracles.enumeration import enumerate_ids
from tests.strategies import gemm_intrinsics, operators

VTA = intrinsics.load("vta_gemm", {"x": 1, "y": 16, "z": 16})
CLASSES = (*DEFAULT_CLASSES, "fused")


@settings(max_examples=120)
@given(
    operators(3),
    gemm_intrinsics(),
    st.sets(st.sampled_from(CLASSES)).map(lambda s: s | {"padded"}),
    st.booleans(),
)
def test_answers_equal_plain_enumeration(
    operator: Operator, intrinsic: Computation, classes: set[str], all_tiles: bool
) -> None:
    """The solver's embeddings are those that the definition admits, as sets, without duplicates."""
    found = enumerate_embeddings(
        operator.computation,
        intrinsic,
        sorted(classes),
        all_tiles=all_tiles,
        maximal=not all_tiles,
    )
    ids = [e.id for e in found]
    assert len(ids) == len(set(ids))
    assert set(ids) == enumerate_ids(operator.computation, intrinsic, classes, all_tiles=all_tiles)
