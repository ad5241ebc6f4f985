"""The definition on single multiply-accumulates, against the digits and against plain Python."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.scalar import scalar_embeddings, unstructured_embeddings
from explorer.operators import resolve
from isa import intrinsics
from isa.computation import Computation
from isa.errors import InputError
from tests import seeded
from tests.oracles.enumeration import candidates, enumerate_ids
from tests.oracles.unstructured import assignments, named
from tests.tiny import computations, instructions

SEEDS, EXAMPLES = (0, 1, 4, 5, 7), 110  # with each of these, every class is met often enough


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_three_formulations_agree(seed: int) -> None:
    """Structured answers of the definition, those of the digits, and Python's are one set."""
    seen: Counter[str] = Counter()

    def compare(operator: Computation, intrinsic: Computation, classes: set[str]) -> None:
        chosen = sorted(classes)
        found = enumerate_embeddings(operator, intrinsic, chosen, all_tiles=True, maximal=False)
        digits = [e.id for e in found]
        nodes = [e.id for e in scalar_embeddings(operator, intrinsic, chosen)]
        assert len(digits) == len(set(digits))
        assert len(nodes) == len(set(nodes))
        oracle = enumerate_ids(operator, intrinsic, classes, all_tiles=True)
        assert set(nodes) == set(digits) == oracle
        seen.update({"examples", *(name for e in found for name in e.classes)})

    some = st.sets(st.sampled_from(sorted(CLASSES)), max_size=3).map(lambda off: set(CLASSES) - off)
    seeded.run(compare, seed, EXAMPLES, computations(), instructions(), some)
    print(f"seed {seed}: {dict(seen)}")
    assert seen["examples"] >= 100
    assert all(seen[name] >= 4 for name in CLASSES if name != "padded")


@settings(max_examples=30)
@given(computations(4), instructions(3), st.booleans())
def test_all_embeddings_equal_all_maps_that_keep_the_definition(
    operator: Computation, intrinsic: Computation, swapped: bool
) -> None:
    """Unstructured answers are the maps from nodes to steps and lanes that plain Python accepts."""
    found = [a for (a,) in unstructured_embeddings([operator], intrinsic, swapped=swapped)]
    kept = {(a.swapped, a.stands) for a in found}
    assert len(kept) == len(found)
    assert kept == set(assignments(operator, intrinsic, swapped=swapped))
    classes = {*CLASSES} - (set() if swapped else {"swapped"})
    for candidate in candidates(operator, intrinsic, classes, all_tiles=True):
        assert named(operator, intrinsic, candidate) in kept


def test_known_counts() -> None:
    """Two products that share nothing, on one lane and on two."""
    operator = resolve("gemm:m=2,n=1,k=1").computation
    single = intrinsics.load("vta_gemm", {"x": 1, "y": 1, "z": 1})
    assert [str(a) for (a,) in unstructured_embeddings([operator], single)] == ["0:0 | 0:1"]
    double = intrinsics.load("vta_gemm", {"x": 2, "y": 1, "z": 1})
    together = {"0:0 1:1", "1:0 0:1"}
    alone = {f"{a}:0 | {b}:1" for a in (0, 1) for b in (0, 1)}
    assert {str(a) for (a,) in unstructured_embeddings([operator], double)} == together | alone


def test_large_operators_are_refused() -> None:
    """What is too large to be looked at node by node is said so, with the limit."""
    intrinsic = intrinsics.load("vta_gemm", {"x": 1, "y": 2, "z": 2})
    operator = resolve("gemm:m=4,n=4,k=4").computation
    with pytest.raises(InputError, match=r"gemm: '4 \* 4 \* 4'.*at most 32"):
        scalar_embeddings(operator, intrinsic)
    with pytest.raises(InputError, match="at most 8"):
        next(unstructured_embeddings([operator], intrinsic))
    large = intrinsics.load("nvidia_m16n16k16")
    with pytest.raises(InputError, match=r"nvidia_m16n16k16: '16 \* 16 \* 16'"):
        scalar_embeddings(resolve("gemm:m=2,n=2,k=2").computation, large)
