"""Searching only embeddings of few steps gives what searching all of them gives."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import explorer
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance, place_symbol
from explorer.embedding.fewest_steps import digits, fewest_steps
from explorer.embedding.virtual_loops import nest
from explorer.preference.optima import optimum
from explorer.preference.outcome import optimize
from explorer.preference.parsing import wish
from explorer.preference.problem import Problem
from explorer.ranking.explore import gemm_intrinsic
from isa.computation import Operator
from isa.config import Config
from tests.strategies import configs, operators

DEPTHWISE = "depthwise2d:n=1,c=192,h=28,w=28,r=3,s=3,pad=1"
DEMANDS = ("dense", "no-im2col", "no-padding", "no-swap", "no-fused", "no-skew", "max-transform=0")


@settings(max_examples=12)
@given(operators(3), configs(), st.sets(st.sampled_from(sorted(CLASSES))))
def test_no_digit_of_few_steps_is_lost(
    operator: Operator, config: Config, classes: set[str]
) -> None:
    """Embeddings of at most so many steps have no digits but those found; some take the fewest."""
    computation, intrinsic = operator.computation, gemm_intrinsic(config)
    names = sorted(classes | {"padded"})
    facts = instance(computation, intrinsic, names, enforce=())
    every = enumerate_embeddings(computation, intrinsic, names, maximal=False)

    def steps(embedding: Embedding) -> int:
        return nest(embedding, computation).steps

    fewest = fewest_steps(computation, intrinsic, facts)
    assert fewest is not None
    assert min(map(steps, every)) <= fewest <= 1.01 * min(map(steps, every))
    for limit in (fewest, 2 * fewest):
        possible, impossible = digits(facts, limit)
        few = {place_symbol(d) for e in every if steps(e) <= limit for d in e.digits}
        assert few <= possible
        assert not few & {*impossible}
        some, _ = digits(facts, limit, most=2)
        assert some == possible if len(possible) <= 2 else 2 < len(some) <= len(possible)
        assert some <= possible


@settings(max_examples=6)
@given(operators(3), configs(), st.sets(st.sampled_from(DEMANDS), max_size=2))
def test_the_optimum_is_that_of_all_embeddings(
    operator: Operator, config: Config, demands: set[str]
) -> None:
    """With requirements or without, the optima are those of a search that leaves out nothing."""
    wishes = wish(operator, config, require=sorted(demands))
    problem = Problem(operator, config, wishes, tuple(CLASSES))
    assert problem.prefers_steps
    whole = optimum(problem.search(), everything=True)
    assert optimize(problem, everything=True).best.answers == whole.answers
    one = optimize(problem).best
    assert one.proven
    assert {a.embedding.id for a in one.answers} <= {a.embedding.id for a in whole.answers}


def test_every_class_by_default() -> None:
    """A depthwise convolution's optimum is of all classes, and ties go to the simplest."""
    found = explorer.optimize(DEPTHWISE)
    assert set(found.problem.classes) == set(CLASSES)
    assert found.best.proven
    every = explorer.optimize(DEPTHWISE, classes="all", everything=True)
    tied = [answer.embedding for answer in every.best.answers]
    (best,) = (answer.embedding for answer in found.best.answers)
    assert best in tied
    assert len(tied) > 1
    assert "fused" not in best.classes
    assert any("fused" in embedding.classes for embedding in tied)
    assert explorer.optimize(DEPTHWISE, prefer="footprint").problem.classes == DEFAULT_CLASSES
