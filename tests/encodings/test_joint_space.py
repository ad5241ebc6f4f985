"""Embeddings of several terms put together from each term's own, beside the rules for all terms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.counting import Count, summary, tally
from explorer.embedding.digits import Embedding
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance
from explorer.embedding.joint import Joint
from explorer.embedding.joint_space import AscendingJoint, JointSpace
from explorer.embedding.several import count_joint, enumerate_joint, home
from explorer.embedding.virtual_loops import steps
from explorer.operators import resolve
from isa import intrinsics
from isa.computation import Computation
from tests.strategies import gemm_intrinsics
from tests.tiny import instructions, sums

SMALL = {"x": 1, "y": 2, "z": 4}


def _steps(joint: Joint, terms: Sequence[Computation]) -> int:
    return sum(steps(e, t) for e, t in zip(joint.terms, terms, strict=True))


def _count_by_rules(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str],
    all_tiles: bool,
    maximal: bool,
) -> Count:
    """How many answers the rules for all terms have, and of which classes."""
    enforce = ("maximal",) if maximal else ()
    facts = instance(
        terms[0], intrinsic, classes, all_tiles=all_tiles, enforce=enforce, further=terms[1:]
    )
    return summary(tally(facts), classes)


@settings(max_examples=15, deadline=None)
@given(
    sums().filter(lambda terms: len(terms) > 1),
    st.one_of(gemm_intrinsics(3), instructions()),
    st.sets(st.sampled_from(sorted(CLASSES)), max_size=3).map(lambda off: {*CLASSES} - off),
    st.booleans(),
    st.booleans(),
)
def test_terms_alone_tell_all_joint_embeddings(
    terms: list[Computation],
    intrinsic: Computation,
    classes: set[str],
    all_tiles: bool,
    maximal: bool,
) -> None:
    """Each is found, none twice and no other, in the order of steps; and their number is told."""
    chosen = sorted(classes)
    rules = enumerate_joint(terms, intrinsic, chosen, all_tiles=all_tiles, maximal=maximal)
    space = JointSpace(terms, intrinsic, chosen, all_tiles=all_tiles, maximal=maximal)
    found = space.least(len(rules) + 1)
    assert sorted(joint.id for _, joint in found) == [joint.id for joint in rules]
    assert {joint for _, joint in found} == {*rules}
    assert space.total == len(rules)
    numbers = count_joint(terms, intrinsic, chosen, all_tiles=all_tiles, maximal=maximal)
    assert numbers == _count_by_rules(terms, intrinsic, chosen, all_tiles, maximal)
    assert [count for count, _ in found] == sorted(_steps(joint, terms) for joint in rules)


def concatenated(channels: Sequence[int]) -> list[Computation]:
    """A convolution over channels that stand in several tensors: a term for each."""
    shape = "h=2,w=2,k=4,r=2,s=1"
    return [resolve(f"conv2d:n=1,c={c},{shape}").computation for c in channels]


def test_the_first_ones_are_the_head_of_all() -> None:
    """However few are asked for, and with whatever limit: none is missing, and they stay."""
    terms, intrinsic = concatenated([4, 3, 4]), intrinsics.load("vta_gemm", SMALL)
    space = JointSpace(terms, intrinsic)
    every = space.least(space.total)
    assert len(every) == space.total > 200
    for number in (1, 2, 7, 50):
        assert space.least(number) == every[:number]
    limit = every[100][0]
    assert space.least(space.total, limit) == [each for each in every if each[0] <= limit]
    source, given, found = AscendingJoint(space), list[tuple[int, Joint]](), True
    for most in (every[0][0] - 1, every[0][0], limit, limit):
        while found := bool(ready := source.further(most)):
            given += ready
        assert given == [each for each in every if each[0] <= most]
    while ready := source.further():
        given += ready
    assert given == every
    assert not found


def test_what_is_listed_of_very_many() -> None:
    """Equal terms have equal embeddings, or each term the first of its kind; none is left out."""
    terms, intrinsic = concatenated([4, 4, 3]), intrinsics.load("vta_gemm", SMALL)
    space = JointSpace(terms, intrinsic, DEFAULT_CLASSES)
    every = space.least(space.total)
    alike = [each for each in every if each[1].terms[0] == each[1].terms[1]]
    assert 0 < len(alike) < len(every)
    assert space.alike(len(every)) == alike
    assert space.alike(3) == alike[:3]

    def kind(term: int, embedding: Embedding) -> bool:
        return term < 2 and embedding.swapped

    def kinds(found: list[tuple[int, Joint]]) -> dict[object, int]:
        firsts: dict[object, int] = {}
        for count, joint in found:
            first = home(joint.terms[0], terms[0], terms[0], intrinsic)
            told = str(first), *map(kind, range(3), joint.terms)
            firsts.setdefault(told, count)
        return firsts

    telling = space.telling(len(every), kind)
    assert {joint for _, joint in telling} < {joint for _, joint in every}
    assert kinds(telling) == kinds(every)
    assert all(one[0] <= other[0] for one, other in pairwise(telling))


def test_ids_of_the_first_terms_leave_what_fits_them() -> None:
    """Of the others all embeddings are left that stand beside the given ones."""
    terms, intrinsic = concatenated([4, 3]), intrinsics.load("vta_gemm", SMALL)
    space = JointSpace(terms, intrinsic)
    every = [joint for _, joint in space.least(space.total)]
    first = every[len(every) // 2].terms[0]
    left = space.beginning([first])
    fitting = [joint for joint in every if joint.terms[0] == first]
    assert [joint for _, joint in left.least(left.total)] == fitting
    assert left.total == len(fitting) < space.total
