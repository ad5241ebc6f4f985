"""Operators of several terms: three formulations of their embeddings, and what comes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance
from explorer.embedding.joint import Joint
from explorer.embedding.several import (
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
from isa.computation import Computation, Operator, Shift, Stage, Term
from isa.errors import InputError
from simulator.reference import accumulate
from tests.oracles.joint import Named, joint_names
from tests.strategies import gemm_intrinsics
from tests.tiny import instructions, sums

SEEDS = range(3)  # with these, each kind is met often enough, as `main` asserts
EXAMPLES = 130
MANY, FEW = 20, 210
"""So many embeddings are many; of spaces with fewer, so many are compared."""
ENOUGH = {"examples": 300, "many": 100, "reductions": 50, "between": 50}
"""How often each kind is met at the least when all seeds are tried."""


def names(joint: Joint) -> Named:
    """What an embedding consists of, lane orders aside, as the oracle says it."""
    return tuple(
        (e.swapped, frozenset(f"{'+'.join(d.axes)}={d}" for d in e.digits)) for e in joint.terms
    )


def homes(joint: Joint, terms: Sequence[Computation], intrinsic: Computation) -> list[str]:
    """What decides in which cell an output is added up, for each term."""
    pairs = zip(joint.terms, terms, strict=True)
    return [str(home(e, term, terms[0], intrinsic)) for e, term in pairs]


def compared(seeds: Iterable[int], examples: int) -> Counter[str]:
    """What random sums of terms were met whose embeddings are the same by all formulations.

    Args:
        seeds: of the random operators and instructions.
        examples: how many are drawn with each.
    """
    seen: Counter[str] = Counter()

    def compare(
        drawn: list[Computation], intrinsic: Computation, classes: set[str], between: bool
    ) -> None:
        if len(drawn) < 2:
            return
        stages: list[Stage] = [Term(term) for term in drawn]
        if between:
            stages.insert(1, Shift(3, "half-up"))
        terms = [t.computation for t in Operator("sum", "sum", tuple(stages)).terms]
        chosen = sorted(classes)
        found = enumerate_joint(terms, intrinsic, chosen, all_tiles=True, maximal=False)
        # Small spaces are drawn most often; large ones say more.
        if len(found) < MANY and seen["examples"] - seen["many"] >= FEW:
            return
        digits = [e.id for e in found]
        nodes = [e.id for e in scalar_joint(terms, intrinsic, chosen)]
        assert len(digits) == len(set(digits))
        assert digits == nodes
        oracle = joint_names(terms, intrinsic, classes)
        assert {names(e) for e in found} == oracle
        assert len(oracle) == len(found)
        assert all(len(set(homes(e, terms, intrinsic))) == 1 for e in found)
        reductions = {tuple(t.extents[n] for n in t.reductions) for t in terms}
        seen.update(
            {
                "examples": 1,
                "many": len(found) >= MANY,
                "three": len(terms) > 2,
                "reductions": len(reductions) > 1,
                "between": between,
            }
        )
        seen.update(name for e in found for name in e.classes)

    some = st.sets(st.sampled_from(sorted(CLASSES)), max_size=2).map(lambda off: set(CLASSES) - off)
    lanes = st.one_of(gemm_intrinsics(3), instructions())
    for seed in seeds:
        drawn = given(sums(), lanes, some, st.booleans())(compare)
        hypothesis.seed(seed)(settings(max_examples=examples, deadline=None)(drawn))()
        print(f"up to seed {seed}: {dict(seen)}")
    return seen


def test_three_formulations_agree() -> None:
    """Structured answers of the definition, those of the digits, and Python's are one set.

    `main` compares ten times as many.
    """
    seen = compared(SEEDS[:1], EXAMPLES // 5)
    assert seen["examples"] >= 20
    assert seen["reductions"] >= 5


def concatenated(split: Sequence[int]) -> list[Computation]:
    """A convolution over channels that stand in several tensors: a term for each."""
    return [resolve(f"conv2d:n=1,c={c},h=5,w=4,k=6,r=3,s=3,pad=1").computation for c in split]


SMALL = {"x": 1, "y": 4, "z": 4}


def test_a_convolution_over_a_concat_is_that_over_the_whole() -> None:
    """The terms add to the same packed accumulators, whatever their reductions look like."""
    terms, intrinsic = concatenated([5, 3]), intrinsics.load("vta_gemm", SMALL)
    rng = np.random.default_rng(0)
    whole = concatenated([8])[0]
    in0 = rng.integers(-128, 128, whole.in0.shape, np.int8)
    in1 = rng.integers(-128, 128, whole.in1.shape, np.int8)
    expected = accumulate(whole, in0, in1)
    classes = ("padded", "multi", "fused", "swapped")
    found = enumerate_joint(terms, intrinsic, classes)
    different = 0
    for joint in found:
        parts, gathers, first = [], [], 0
        for embedding, term in zip(joint.terms, terms, strict=True):
            last = first + term.in0.shape[1]
            layouts = next(arrangements(embedding, term, intrinsic))
            pair = in0[:, first:last], in1[:, first:last]
            parts.append(execute(embedding, term, intrinsic, layouts, *pair))
            numbers = np.arange(expected.size).reshape(expected.shape)
            gathers.append(layouts[2].pack(numbers))
            first = last
        assert np.array_equal(gathers[0], gathers[1])
        assert np.array_equal(sum(parts), expected)
        one, other = ([d for d in e.digits if "z" in d.axes] for e in joint.terms)
        different += list(map(str, one)) != list(map(str, other))
    assert different >= 10


def test_a_diagonal_of_one_term_is_the_fastest_in_all() -> None:
    """A depthwise convolution and a residual agree on the cells, though only one is diagonal."""
    depthwise = resolve("depthwise1d:n=2,c=4,w=4,s=2").computation
    pointwise = resolve("conv1d:n=2,c=3,w=3,k=4,s=1").computation
    intrinsic = intrinsics.load("vta_gemm", {"x": 2, "y": 4, "z": 4})
    joint = enumerate_joint([depthwise, pointwise], intrinsic, sorted(CLASSES))
    assert any("y+z=c:4" in e.terms[0].id and "y=oc:4" in e.terms[1].id for e in joint)
    assert all(len(set(homes(e, [depthwise, pointwise], intrinsic))) == 1 for e in joint)


def test_a_term_alone_is_as_before() -> None:
    """One term has the ids, and the facts, that it has without the notion of terms."""
    operator = resolve("conv2d:n=1,c=6,h=4,w=4,k=6,r=2,s=2").computation
    intrinsic = intrinsics.load("vta_gemm", SMALL)
    alone = [e.id for e in enumerate_embeddings(operator, intrinsic)]
    assert [e.id for e in enumerate_joint([operator], intrinsic)] == alone
    facts = {str(fact) for fact in instance(operator, intrinsic)}
    assert not any("term(" in fact or "image(" in fact for fact in facts)


def test_counting_counts_what_is_listed() -> None:
    """In total and of each class."""
    terms, intrinsic = concatenated([5, 3]), intrinsics.load("vta_gemm", SMALL)
    for classes in (DEFAULT_CLASSES, ("padded", "multi", "fused")):
        found = enumerate_joint(terms, intrinsic, classes)
        number = count_joint(terms, intrinsic, classes)
        assert number.total == len(found) > 10
        for name in set(classes) - {"padded"}:
            assert number.classes[name] == sum(name in e.classes for e in found)


def test_ids_name_each_term() -> None:
    """What is listed is read again, is legal, and can be shortened where that leaves no choice."""
    terms, intrinsic = concatenated([4, 4]), intrinsics.load("vta_gemm", SMALL)
    for joint in enumerate_joint(terms, intrinsic):
        assert parse_joint(joint.id, terms, intrinsic) == joint
    assert why_joint(terms, intrinsic, joint.id).legal
    gemms = [resolve("gemm:m=1,n=4,k=4").computation] * 2
    assert parse_joint("y=n:4/z=k:4", gemms, intrinsic).id == "y=n:4/z=k:4 + y=n:4/z=k:4"
    with pytest.raises(InputError, match=r"y=oc:4.*ways, 'y=oc:4"):
        parse_joint("y=oc:4/z=ic:4", terms, intrinsic)
    with pytest.raises(InputError, match="2 terms"):
        parse_joint("scalar + scalar + scalar", terms, intrinsic)


def test_what_is_wrong_is_told_of_each_term() -> None:
    """A term's own fault by its number, and homes that differ with what lies on the axis."""
    terms, intrinsic = concatenated([4, 4]), intrinsics.load("vta_gemm", SMALL)
    verdict = why_joint(terms, intrinsic, "y=oc:4/z=ic:4 + y=oc:2/z=ic:4")
    assert [r.rule for r in verdict.reasons] == ["home"]
    assert "axis y has oc:2" in verdict.reasons[0].text
    assert "not oc:4" in verdict.reasons[0].text
    verdict = why_joint(terms, intrinsic, "z=ic:4 + z=oc:4")
    assert "term 2: dimension oc cannot lie on axis z" in verdict.reasons[0].text


def test_large_sums_are_refused() -> None:
    """What is too large to be looked at node by node is said so, with the sizes of the terms."""
    terms = [resolve("gemm:m=2,n=3,k=3").computation] * 2
    intrinsic = intrinsics.load("vta_gemm", {"x": 1, "y": 2, "z": 2})
    with pytest.raises(InputError, match=r"18 \+ 18.*at most 32"):
        scalar_joint(terms, intrinsic)


@settings(max_examples=40)
@given(sums(), gemm_intrinsics(3), st.sets(st.sampled_from(("strided", "fused", "diagonal"))))
def test_maximal_are_those_that_no_other_improves(
    terms: list[Computation], intrinsic: Computation, some: set[str]
) -> None:
    """None is left out but by one with a digit more, or a wider one that saves iterations.

    A digit of the output is changed in all terms, another one in its own.
    """
    classes = sorted({"padded", "multi", "swapped", *some})
    every = enumerate_joint(terms, intrinsic, classes, maximal=False)
    found = {e.id for e in enumerate_joint(terms, intrinsic, classes)}
    kept = {e.id for e in every if not any(improves(o, e, terms) for o in every)}
    assert found == kept


def improves(other: Joint, joint: Joint, terms: Sequence[Computation]) -> bool:
    """Whether the other one has one digit more, or one that is wider and saves iterations."""
    changed: set[tuple[str, ...]] = set()
    touched = 0
    for old, new, term in zip(joint.terms, other.terms, terms, strict=True):
        image = dict(zip(term.parallel, terms[0].parallel, strict=True))
        ours, theirs = ({d.dims: d for d in e.digits} for e in (old, new))
        differing = {d for d in ours.keys() | theirs.keys() if ours.get(d) != theirs.get(d)}
        if old.swapped != new.swapped or len(differing) > 1:
            return False
        for dims in differing:
            mine, its = ours.get(dims), theirs.get(dims)
            if its is None or (mine is None and len(dims) > 1):
                return False
            if mine is not None and (its.axes != mine.axes or its.outer >= mine.outer):
                return False
            is_output = all(name in image for name in dims)
            changed.add(tuple(image[n] for n in dims) if is_output else ("", *dims))
            touched += 1
    if len(changed) != 1:
        return False
    return touched == (1 if next(iter(changed))[0] == "" else len(terms))


def main() -> None:
    """Compare some hundred sums: ``python -m tests.encodings.test_several``."""
    seen = compared(SEEDS, EXAMPLES)
    assert all(seen[name] >= number for name, number in ENOUGH.items())
    assert all(seen[name] >= 20 for name in CLASSES if name != "padded")


if __name__ == "__main__":
    main()
