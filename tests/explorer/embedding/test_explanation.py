"""Explanations: a verdict agrees with the enumeration, and a conflict is minimal and true."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import explorer
from explorer.embedding.enumeration import is_legal
from explorer.embedding.explanation import why
from explorer.embedding.ids import parse
from explorer.embedding.metrics import Wishes
from explorer.preference.conflicts import conflict
from explorer.preference.parsing import parse_requirements
from explorer.preference.problem import Problem
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError
from tests.strategies import configs, gemm_intrinsics, operators

DEMANDS = (
    "dense", "no-im2col", "no-padding", "no-swap", "no-strided", "no-multi",
    "min-utilisation=0.9", "max-steps=2", "max-footprint=64", "max-transform=0",
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn, operator: Computation, intrinsic: Computation) -> str:
    """Digits of any kind on any axis, some of them over dimensions that others have."""
    names = [d.name for d in operator.dims]
    free = list(draw(st.permutations(names)))
    axes = [a.name for a in intrinsic.dims]
    parts = ["swap"] if draw(st.booleans()) else []
    while free and len(parts) < 4 and draw(st.integers(0, 4)):
        kind = draw(st.sampled_from(["one", "one", "strided", "fused", "skew", "diagonal"]))
        dims = [free.pop() for _ in range(min(len(free), 2 if kind == "fused" else 1))]
        free += [draw(st.sampled_from(names))] if draw(st.integers(0, 9)) == 0 else []
        subject = ".".join(d for d in operator.extents if d in dims)
        pair = draw(st.permutations(axes))[: 2 if kind == "diagonal" else 1]
        if kind == "skew":
            partner = draw(st.sampled_from(list(operator.extents)))
            subject += f"~{partner}{draw(st.sampled_from([-9, -2, -1, 1])):+d}"
        lanes = draw(st.integers(1, 5))
        mark = "%" if kind == "strided" else ":"
        parts.append(f"{'+'.join(sorted(pair))}={subject}{mark}{lanes}")
    return "/".join(dict.fromkeys(parts)) or "scalar"


@settings(max_examples=200)
@given(st.data(), operators(), gemm_intrinsics())
def test_verdicts_agree_with_the_enumeration(
    data: st.DataObject, operator: Operator, intrinsic: Computation
) -> None:
    """An embedding has reasons against it iff it is not among the answers."""
    text = data.draw(texts(operator.computation, intrinsic))
    embedding = parse(text, operator.computation, intrinsic)
    found = why(operator.computation, intrinsic, text)
    assert found.embedding == embedding.id
    assert found.legal == is_legal(embedding, operator.computation, intrinsic)


@settings(max_examples=30)
@given(operators(), configs(), st.sets(st.sampled_from(DEMANDS), min_size=2))
def test_conflicts_are_minimal_and_true(
    operator: Operator, config: Config, demands: set[str]
) -> None:
    """No answer meets the requirements named, and one meets them as soon as any is left out."""
    lanes = config.batch * config.block_in * config.block_out
    wishes = parse_requirements(sorted(demands), operator.computation, lanes)
    program = Problem(operator, config, Wishes(requirements=wishes)).search()
    assume(not program.is_satisfiable())
    named = conflict(program)
    assert named
    others = program.requirements.keys() - set(named)
    assert not program.is_satisfiable(others)
    assert all(program.is_satisfiable(others | {name}) for name in named)


def test_the_tensor_and_the_port_are_named() -> None:
    """A broken dataflow is told by dimension, axis, tensor and port."""
    (reason,) = explorer.why("gemm:m=4,n=20,k=20", "z=n:4").reasons
    assert (reason.rule, reason.tensor, reason.port) == ("dataflow", "output", "acc")
    assert reason.text == (
        "dimension n cannot lie on axis z: the output moves along it, and port acc, which holds "
        "the output, has no axis z"
    )


@pytest.mark.parametrize(
    ("embedding", "reason"),
    [
        ("y=n:32", "n:32 has 32 lanes, and axis y has 16"),
        ("y=n:1", "n:1 has one lane: a digit has at least two"),
        ("z=k:4,k:2", "dimension k is placed or widened more than once"),
        ("z=k:4/y=k:4", "dimension k is placed or widened more than once"),
        ("y=m~k+30:4", "m~k+30:4 moves k by 30 a lane: it must be less than its extent, 20"),
    ],
)
def test_what_every_readable_id_lacks(embedding: str, reason: str) -> None:
    """Lanes, repeated dimensions and reach are judged, not refused as input."""
    found = explorer.why("gemm:m=4,n=20,k=20", embedding)
    assert reason in [r.text for r in found.reasons]
    with pytest.raises(InputError, match="no legal embedding"):
        explorer.verify("gemm:m=4,n=20,k=20", embedding)


def test_classes_that_are_off_are_told() -> None:
    """A legal embedding of another class is rejected by that class alone."""
    rules = {r.rule for r in explorer.why("gemm:m=4,n=20,k=20", "y=n%10", classes=()).reasons}
    assert "class" in rules
    assert explorer.why("gemm:m=4,n=20,k=20", "y=n%10").legal
