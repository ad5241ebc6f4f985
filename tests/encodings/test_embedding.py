"""The encoding against an independent enumeration, and small programs with known answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.counting import count
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.operators import resolve
from isa import intrinsics
from isa.computation import Affine, Computation, Operator
from tests.oracles.enumeration import enumerate_ids
from tests.strategies import gemm_intrinsics, operators
from tests.tiny import computation


def ids(operator: Computation, intrinsic: Computation, *classes: str) -> list[str]:
    """The ids of all maximal embeddings with useful tiles."""
    return [e.id for e in enumerate_embeddings(operator, intrinsic, classes)]


@pytest.mark.slow
@settings(max_examples=80)
@given(
    operators(3).filter(lambda op: op.computation.macs <= 300),
    gemm_intrinsics(),
    st.sets(st.sampled_from(sorted(CLASSES)), max_size=4).map(lambda off: set(CLASSES) - off),
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


@pytest.mark.parametrize("axes", [{"x": 1, "y": 4, "z": 4}, {"x": 4, "y": 4, "z": 2}])
def test_a_fused_digit_runs_over_all_that_skews_have_widened(axes: dict[str, int]) -> None:
    """Fused digits of dimensions that several skews widen at once are those of the definition."""
    operator = resolve("conv2d:n=1,c=1,h=3,w=3,k=1,r=2,s=2,pad=0").computation
    intrinsic, classes = intrinsics.load("vta_gemm", axes), sorted(CLASSES)
    found = enumerate_embeddings(operator, intrinsic, classes, all_tiles=True, maximal=False)
    skews = [sum(d.kind == "skew" for d in e.digits) for e in found if "fused" in e.classes]
    assert max(skews) == 2
    assert {e.id for e in found} == enumerate_ids(operator, intrinsic, set(classes), all_tiles=True)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_digit_grows_only_to_what_its_own_axis_admits(swapped: bool) -> None:
    """Four lanes fill x, and are no useful digit of y: there two are the most that there are."""
    operator = resolve("depthwise2d:n=1,c=1,h=2,w=3,r=1,s=1").computation
    intrinsic = intrinsics.load("vta_gemm", {"x": 4, "y": 7, "z": 1})
    classes = {"padded", "fused", *(["swapped"] if swapped else [])}
    found = set(ids(operator, intrinsic, *sorted(classes)))
    assert found == enumerate_ids(operator, intrinsic, classes, all_tiles=False)
    assert len(found) == count(operator, intrinsic, sorted(classes)).total
    assert ("swap/y=oh.ow:2" in found) == swapped
    assert "x=oh.ow:2" not in found


def test_each_class_is_switched_by_its_name() -> None:
    """A class adds the embeddings that it names, and no others."""
    operator = resolve("conv1d:n=1,c=6,w=6,k=6,s=3,pad=1,groups=3").computation
    intrinsic = intrinsics.load("vta_gemm", {"x": 2, "y": 2, "z": 4})
    on = set(ids(operator, intrinsic, *CLASSES))
    assert len(on) > len(CLASSES)
    for name in CLASSES:
        off = enumerate_embeddings(operator, intrinsic, [c for c in CLASSES if c != name])
        assert all(name not in e.classes for e in off)
        assert {e.id for e in off} != on


def test_a_skew_needs_a_port_that_tells_idle_lanes_apart() -> None:
    """Where no input has the lanes of both dimensions, idle ones would add products of others."""
    d, window = Affine.of({"d": 1}), Affine.of({"d": 1, "k": 1})
    operator = computation("o", {"d": 3, "k": 2}, {"in0": [d], "in1": [window], "out": [d]})
    x, z = Affine.of({"x": 1}), Affine.of({"z": 1})
    axes = {"x": 3, "z": 4}
    apart = computation("i", axes, {"in0": [x], "in1": [z], "out": [x]})
    assert ids(operator, apart, "padded", "skewed") == ["x=d~k-1:3", "z=k:2"]
    together = computation("i", axes, {"in0": [x, z], "in1": [z], "out": [x]})
    assert ids(operator, together, "padded", "skewed") == ["x=d~k-1:3/z=k:4", "z=k:2"]


def test_a_diagonal_needs_a_port_that_has_both_axes() -> None:
    """Where none has, lanes off the diagonal would multiply what the others do."""
    c = Affine.of({"c": 1})
    operator = computation("o", {"c": 2}, {"in0": [c], "in1": [c], "out": [c]})
    x, z = Affine.of({"x": 1}), Affine.of({"z": 1})
    axes = {"x": 2, "z": 2}
    apart = computation("i", axes, {"in0": [x], "in1": [z], "out": [x]})
    assert ids(operator, apart, "padded", "diagonal") == ["scalar"]
    together = computation("i", axes, {"in0": [x], "in1": [z], "out": [x, z]})
    assert ids(operator, together, "padded", "diagonal") == ["x+z=c:2"]
