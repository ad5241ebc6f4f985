"""Rankings that find embeddings as they need them are those of all embeddings, found beforehand."""

from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.ascending import Ascending
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.several import term_by_term
from explorer.embedding.virtual_loops import nest, steps
from explorer.layout.design import designs
from explorer.operators import resolve
from explorer.ranking import explore
from explorer.ranking.best_first import rank
from explorer.ranking.candidates import Candidates
from explorer.schedule.bound import compute_bound, lower_bound
from isa import intrinsics
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError
from tests.strategies import configs, operators
from tests.tiny import computations, instructions

DEFAULT = Config.default()
DEPTHWISE = "depthwise2d:n=1,c=4,h=5,w=5,r=2,s=2"
TERMS = "conv2d:n=1,c=13,h=5,w=4,k=12,r=3,s=3,pad=1,concat=9+4"
PRODUCTS = "batched_matmul:b=2,m=3,n=20,k=5"
LAYER = "deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2"
classes_of = st.sets(st.sampled_from(sorted(CLASSES)))


def sorted_by_steps(
    operator: Computation, intrinsic: Computation, classes: list[str], *, all_tiles: bool = False
) -> list[tuple[int, str]]:
    """Steps and ids of all embeddings, the steps counted from their loops."""
    found = enumerate_embeddings(
        operator, intrinsic, classes, all_tiles=all_tiles, maximal=not all_tiles
    )
    return sorted((nest(e, operator).steps, e.id) for e in found)


@settings(max_examples=10)
@given(computations(), instructions(), classes_of, st.booleans(), st.data())
def test_ranges_of_steps_hold_each_embedding_once(
    operator: Computation,
    intrinsic: Computation,
    classes: set[str],
    all_tiles: bool,
    data: st.DataObject,
) -> None:
    """Whatever limits are asked for, what is given so far is what has at most so many steps."""
    every = sorted_by_steps(operator, intrinsic, sorted(classes), all_tiles=all_tiles)
    source = Ascending(
        operator, intrinsic, sorted(classes), all_tiles=all_tiles, maximal=not all_tiles
    )
    limits = data.draw(st.lists(st.integers(0, 2 * operator.macs), max_size=3).map(sorted))
    given: list[tuple[int, str]] = []
    for limit in (*limits, 100 * operator.macs, math.inf):
        while found := source.further(limit):
            given += [(count, embedding.id) for count, embedding in found]
        assert given == [item for item in every if item[0] <= limit]
    assert source.total == len(every)


@pytest.mark.parametrize("text", [DEPTHWISE, "gemm:m=3000,n=3001,k=3002"])
def test_ranges_of_larger_spaces(text: str) -> None:
    """The same for spaces of every class, and for steps beyond 32 bits."""
    operator, intrinsic = resolve(text).computation, explore.gemm_intrinsic(DEFAULT)
    if operator.macs > 2**32:
        intrinsic = intrinsics.load("vta_gemm", {"x": 1, "y": 2, "z": 2})
    source, given = Ascending(operator, intrinsic, tuple(CLASSES)), list[tuple[int, str]]()
    while found := source.further():
        given += [(count, embedding.id) for count, embedding in found]
    assert given == sorted_by_steps(operator, intrinsic, list(CLASSES))


@settings(max_examples=6)
@given(operators(3, epilogues=True), configs(), st.data())
def test_steps_bound_every_design(operator: Operator, config: Config, data: st.DataObject) -> None:
    """The cycles that a limit on steps stands for are a lower bound of each design's own."""
    intrinsic = explore.gemm_intrinsic(config)
    found = enumerate_embeddings(operator.computation, intrinsic, tuple(CLASSES))
    embedding = data.draw(st.sampled_from(found))
    count = steps(embedding, operator.computation)
    assert count == nest(embedding, operator.computation).steps
    floor = explore.floor(operator, config, embedding)
    assert floor == compute_bound(operator, config, count)
    assert floor == compute_bound(operator, config, 0) + count
    assert all(floor <= lower_bound(d) for d in designs(operator, config, intrinsic, embedding))


@settings(max_examples=5)
@given(
    operators(3),
    configs(),
    classes_of,
    st.integers(1, 4),
    st.sampled_from([0.0, 0.01, 0.3]),
    st.sampled_from([None, 1]),
)
def test_the_table_is_that_of_all_embeddings(
    operator: Operator,
    config: Config,
    classes: set[str],
    top: int,
    within: float,
    effort: int | None,
) -> None:
    """Bounds, proofs and ties included, a pruned ranking's table is that of the whole list."""
    try:
        source = explore.ascending(operator, config, sorted(classes))
    except InputError:
        return
    every = explore.embeddings(operator, config, sorted(classes))
    judge = partial(rank, operator, config, top=top, within=within, effort=effort, jobs=1)
    pruned, whole = judge(source), judge(every)
    assert pruned.frame().to_csv() == whole.frame().to_csv()
    assert (pruned.evaluated, pruned.unfit) == (whole.evaluated, whole.unfit)
    assert pruned.total in {None, whole.total}


def test_the_top_is_the_head_of_everything() -> None:
    """The proven top is what ranking every embedding without any limit begins with."""
    operator = resolve(PRODUCTS)
    every = explore.embeddings(operator, DEFAULT, tuple(CLASSES))
    source = explore.ascending(operator, DEFAULT, tuple(CLASSES))
    found = rank(operator, DEFAULT, source, top=3, jobs=1)
    whole = rank(operator, DEFAULT, every, top=None, jobs=1)
    head = [(e.embedding.id, e.cycles) for e in whole.evaluations[:3]]
    assert [(e.embedding.id, e.cycles) for e in found.evaluations] == head
    assert found.evaluated <= whole.evaluated == whole.total


def test_several_terms_are_ranked_by_the_sum_of_their_steps() -> None:
    """Of several terms each bound counts the steps of all, and none is found too late."""
    operator = resolve(TERMS)
    every = explore.embeddings(operator, DEFAULT)
    queue, floors = Candidates(operator, DEFAULT, explore.ascending(operator, DEFAULT)), []
    assert sorted(queue.first(math.inf), key=lambda e: e.id) == every
    for place, embedding in enumerate(queue.first(math.inf)):
        count = sum(nest(*each).steps for each in term_by_term(embedding, operator))
        floors.append(explore.floor(operator, DEFAULT, embedding))
        assert floors[-1] == compute_bound(operator, DEFAULT, count)
        if place % 50 == 0:
            made = designs(operator, DEFAULT, explore.gemm_intrinsic(DEFAULT), embedding)
            assert all(floors[-1] <= lower_bound(design) for design in made)
    assert floors == sorted(floors)
    assert len(set(floors)) > 1
    near = queue.take(math.inf, floors[0])
    assert len(near) == floors.count(floors[0])
    assert len(queue.first(math.inf)) == len(every) - len(near)


def test_what_takes_too_many_steps_is_not_made() -> None:
    """Asked for those of the fewest steps, the solver has not looked for the others."""
    operator = resolve(LAYER).computation
    source = Ascending(operator, explore.gemm_intrinsic(DEFAULT), tuple(CLASSES))
    first = source.further()
    assert source.further(first[-1][0]) == []
    assert source.total is None
    assert [count for count, _ in first] == sorted(count for count, _ in first)
