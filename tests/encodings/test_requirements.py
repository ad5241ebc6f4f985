"""What each named requirement lets through, against the materialised embeddings."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.facts import CLASSES
from explorer.embedding.metrics import Wishes
from explorer.layout.design import Design
from explorer.preference.optima import design
from explorer.preference.parsing import parse_requirements
from explorer.preference.problem import Problem
from explorer.ranking.explore import gemm_intrinsic
from isa.computation import Operator
from isa.config import Config
from tests.oracles.costs import touched
from tests.strategies import configs, operators

OF_CLASSES = {"no-swap": "swapped", "no-skew": "skewed"} | {
    f"no-{name}": name for name in ("strided", "multi", "fused", "diagonal")
}
DEMANDS = ("dense", "no-im2col", "no-padding", *OF_CLASSES)


def is_met(demand: str, found: Design) -> bool:
    """Whether an embedding and its layouts are as demanded."""
    operator = found.operator.computation
    if demand == "dense":
        lanes = found.config.batch * found.config.block_in * found.config.block_out
        return operator.macs == found.nest.steps * lanes
    if demand == "no-padding":
        return all(bool((layout.gather() >= 0).all()) for layout in found.layouts)
    if demand == "no-im2col":
        inputs = [layout for layout in found.layouts if layout.role in ("in0", "in1")]
        held = [int((layout.gather() >= 0).sum()) for layout in inputs]
        return held == [touched(operator, layout.role) for layout in inputs if layout.role]
    return OF_CLASSES[demand] not in found.embedding.classes


@settings(max_examples=40)
@given(
    st.sampled_from(DEMANDS),
    operators(3),
    configs(),
    st.sets(st.sampled_from(sorted(CLASSES))),
    st.integers(0, 2**32),
)
def test_requirements_mean_what_they_say(
    demand: str, operator: Operator, config: Config, classes: set[str], seed: int
) -> None:
    """An answer is let through iff it is as demanded.

    Skewed and diagonal digits copy elements for another reason than windows, so that the array
    cannot tell; no-im2col is looked at without these.
    """
    if demand == "no-im2col":
        classes -= {"skewed", "diagonal"}
    names = sorted(classes | {"padded"})
    wishes = Wishes(requirements=parse_requirements([demand], operator.computation, 1))
    intrinsic = gemm_intrinsic(config)
    program = Problem(operator, config, wishes, names).search()
    everything = program.solve("enum", waived=list(program.requirements), most=2000)
    kept = {symbols for _, symbols in program.solve("enum").models}
    chosen = random.Random(seed).sample(everything.models, min(20, len(everything.models)))
    for _, symbols in chosen:
        found = design(operator, config, intrinsic, program.answer(symbols))
        assert (symbols in kept) == is_met(demand, found), found.embedding.id
