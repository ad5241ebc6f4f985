"""Operators of several terms: three formulations of their embeddings, and what comes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance
from explorer.embedding.several import (
    Joint,
    count_joint,
    enumerate_joint,
    home,
    parse_joint,
    scalar_joint,
    why_joint,
)
from explorer.operators import resolve
from explorer.program.stepwise import arrangements, execute
from isa import intrinsics
from isa.computation import Computation
from isa.errors import InputError
from simulator.reference import accumulate
from tests.oracles.joint import Named, joint_names
from tests.strategies import gemm_intrinsics
from tests.tiny import instructions, sums

SEEDS = range(6)
EXAMPLES = 60


def names(joint: Joint) -> Named:
    """What an embedding consists of, lane orders aside, as the oracle says it."""
    return tuple(
        (e.swapped, frozenset(f"{'+'.join(d.axes)}={d}" for d in e.digits)) for e in joint.terms
    )


@pytest.mark.slow
def test_three_formulations_agree() -> None:
    """Structured answers of the definition, those of the digits, and Python's are one set."""
    seen: Counter[str] = Counter()

    def compare(
        terms: list[Computation], intrinsic: Computation, classes: set[str], between: bool
    ) -> None:
        if len(terms) < 2:
            return
        chosen = sorted(classes)
        found = enumerate_joint(terms, intrinsic, chosen, all_tiles=True, maximal=False)
        digits = [e.id for e in found]
        nodes = [e.id for e in scalar_joint(terms, intrinsic, chosen)]
        assert len(digits) == len(set(digits))
        assert digits == nodes
        oracle = joint_names(terms, intrinsic, classes)
        assert {names(e) for e in found} == oracle
        assert len(oracle) == len(found)
        assert all(len({str(home(e, t, terms[0], intrinsic)) for e, t in zip(j.terms, terms, strict=True)}) == 1 for j in found)
        reductions = {tuple(t.extents[n] for n in t.reductions) for t in terms}
        seen.update(
            {
                "examples": 1,
                "many": len(found) >= 20,
                "three": len(terms) > 2,
                "reductions": len(reductions) > 1,
                "between": between,
            }
        )
        seen.update(name for e in found for name in e.classes)

    some = st.sets(st.sampled_from(sorted(CLASSES)), max_size=2).map(lambda off: set(CLASSES) - off)
    lanes = st.one_of(gemm_intrinsics(3), instructions())
    for seed in SEEDS:
        examples = given(sums(), lanes, some, st.booleans())(compare)
        hypothesis.seed(seed)(settings(max_examples=EXAMPLES)(examples))()
        print(f"up to seed {seed}: {dict(seen)}")
    assert seen["examples"] >= 300
    assert seen["many"] >= 100
    assert seen["reductions"] >= 50
    assert seen["between"] >= 50
    assert all(seen[name] >= 20 for name in CLASSES if name != "padded")
