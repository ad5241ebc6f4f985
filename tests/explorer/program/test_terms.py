"""Programs of several terms: what they compute, and what their search proves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.joint import Joint
from explorer.embedding.several import enumerate_joint
from explorer.layout.design import designs
from explorer.operators import document, resolve
from explorer.program import verification
from explorer.program.emission import emit
from explorer.ranking import explore
from explorer.report.describe import describe_evaluation
from explorer.report.searched import explained
from explorer.schedule.search import search
from isa.computation import Add, Affine, Max, Min, Operator, Shift, Step, Tensor, Term
from isa.config import Config
from isa.errors import InputError
from isa.folder import MANIFEST
from simulator.lint import lint
from tests.explorer.schedule.test_search import check_whole_space
from tests.strategies import configs

BLOCK8 = Config.load("block8")
STEPS: tuple[Step, ...] = (Shift(6, "half-even"), Max(-128), Min(127))


def convolution(channels: int, window: int, number: int) -> Term:
    """A term of a 5×4 image with 12 output channels; its tensors' names tell its number."""
    pad = window // 2
    text = f"conv2d:n=1,c={channels},h=5,w=4,k=12,r={window},s={window},pad={pad}"
    term = resolve(text).computation
    data, weight = (replace(t, name=f"{t.name}{number}") for t in (term.in0, term.in1))
    return Term(replace(term, in0=data, in1=weight))


def operator(*stages: Term | Step) -> Operator:
    """An operator of these stages."""
    return Operator("sum", "sum", stages)


def test_a_concat_is_a_kind_of_convolution() -> None:
    """`concat` gives the terms of the parts and the steps of the whole, and is part of the name."""
    name = "conv2d:n=1,c=13,h=5,w=4,k=12,r=3,s=3,pad=1,concat=9+4,bias=1,shift=6"
    made = resolve(name)
    assert made.name == name
    shapes = [term.computation.in0.shape for term in made.terms]
    assert shapes == [(1, 9, 5, 4), (1, 4, 5, 4)]
    assert made.steps == resolve(name.replace(",concat=9+4", "")).steps
    assert [t.computation.in1.name for t in made.terms] == ["weight1", "weight2"]
    for text in ("9+5", "13", "9+4+0", "9x4"):
        with pytest.raises(InputError, match="concat"):
            resolve(name.replace("9+4", text))
    with pytest.raises(InputError, match="groups must be 1"):
        resolve("conv2d:n=1,c=8,h=5,w=4,k=8,r=3,s=3,groups=2,concat=4+4")


def different(joint: Joint) -> bool:
    """Whether the terms have different digits on axis z."""
    digits = [[(d.lanes, d.kind) for d in e.digits if "z" in d.axes] for e in joint.terms]
    return any(each != digits[0] for each in digits)


def test_a_convolution_over_a_concat_is_that_over_the_whole() -> None:
    """Two tensors of 9 and 4 channels give the bytes of their concatenation, whatever z holds."""
    parts = convolution(9, 3, 1), convolution(4, 3, 2)
    split, whole = operator(*parts, *STEPS), operator(convolution(13, 3, 0), *STEPS)
    rng = np.random.default_rng(1)
    data = rng.integers(-128, 128, (1, 13, 5, 4), np.int8)
    weight = rng.integers(-9, 10, (12, 13, 3, 3), np.int8)
    expected = verification.direct(
        whole, verification.complete(whole, {"in0": data, "in1": weight})
    )
    given_tensors = {
        "in0": data[:, :9],
        "in1": weight[:, :9],
        "data2": data[:, 9:],
        "weight2": weight[:, 9:],
    }
    tensors = verification.complete(split, given_tensors)
    assert np.array_equal(verification.direct(split, tensors), expected)
    found = [e for e in explore.embeddings(split, BLOCK8) if isinstance(e, Joint) and different(e)]
    for joint in found[:: max(1, len(found) // 4)]:
        code = explore.evaluate(split, BLOCK8, joint, effort=1).code
        assert not lint(code.program)
        for output in verification.run_everywhere(code, tensors).values():
            assert np.array_equal(output, expected), joint.id


STAGES: dict[str, tuple[Term | Step, ...]] = {
    "behind a rounding": (
        Shift(4, "half-even"),
        Max(-100),
        convolution(5, 1, 2),
        Shift(2),
        Max(-128),
        Min(127),
    ),
    "three terms": (
        convolution(3, 3, 2),
        Add(Tensor("bias", (12,), (Affine.of({"oc": 1}),), "O"), 16),
        convolution(10, 1, 3),
        *STEPS,
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_terms_and_steps_are_exact_in_their_order(name: str) -> None:
    """Every way to lay the terms out, in programs of several tiles, leaves the direct result."""
    made = operator(convolution(6, 3, 1), *STAGES[name])
    found = explore.embeddings(made, BLOCK8)
    data = verification.random_data(made, 3)
    for joint in found[:: max(1, len(found) // 3)]:
        evaluation = explore.evaluate(made, BLOCK8, joint, effort=1)
        assert not lint(evaluation.code.program)
        assert verification.verify(evaluation.code, data).exact, joint.id


def test_terms_may_name_their_axes_in_another_order() -> None:
    """Lanes of x and y agree where a term's are diagonal, though its id names them last."""
    made, b2 = resolve("conv2d:n=2,c=4,h=6,w=5,k=4,r=3,s=2,concat=2+2,shift=4"), Config.load("b2")
    text = "x+z=oc:2/y+z=ow:4 + y=ow~kw-1:4/z=ic:2,kh:3/x+z=oc:2"
    code = explore.evaluate(made, b2, explore.find(made, b2, text), effort=1).code
    assert verification.verify(code, verification.random_data(made)).exact
    assert not lint(code.program)


def test_a_manifest_lists_the_tensors_of_a_section() -> None:
    """Sections INP and WGT hold a tensor of each term, one after the other, and a residual."""
    output = convolution(1, 1, 0).computation.out
    made = operator(
        convolution(6, 3, 1),
        convolution(5, 1, 2),
        Shift(6),
        Add(replace(output, name="residual"), 8),
        Max(-128),
        Min(127),
    )
    joints = (e for e in explore.embeddings(made, BLOCK8) if isinstance(e, Joint))
    joint = next(e for e in joints if not any(term.swapped for term in e.terms))
    found = designs(made, BLOCK8, explore.gemm_intrinsic(BLOCK8), joint)
    design = next(design for design in found if design.terms)
    best = search(design, effort=1).best
    assert best
    files = emit(best.code, "raw")
    manifest = json.loads(files[MANIFEST])
    tensors = {section["name"]: section["tensor"] for section in manifest["sections"]}
    assert [t["name"] for t in tensors["INP"]] == ["data1", "data2", "residual"]
    assert [t["name"] for t in tensors["WGT"]] == ["weight1", "weight2", "identity*1"]
    parsed = document.parse(manifest["source"]["operator"], MANIFEST)
    assert list(map(str, parsed.stages)) == list(map(str, made.stages))


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), configs(), st.data())
def test_bounds_hold_for_several_terms(
    channels: int, others: int, window: int, config: Config, data: st.DataObject
) -> None:
    """Simulating the whole space gives the search's cycles; no bound exceeds a simulation."""
    terms = convolution(channels, 1, 1), convolution(others, window, 2)
    bias = Tensor("bias", (12,), (Affine.of({"oc": 1}),), "O")
    added = [Add(bias, data.draw(st.integers(4, 24)))] if data.draw(st.booleans()) else []
    made = operator(*terms, *added, Shift(3), Max(0), Min(127))
    intrinsic = explore.gemm_intrinsic(config)
    joints = enumerate_joint([term.computation for term in terms], intrinsic)
    joint = data.draw(st.sampled_from(joints))
    check_whole_space(data.draw(st.sampled_from(list(designs(made, config, intrinsic, joint)))))


@pytest.mark.parametrize("preset", ["block8", "b2"])
def test_a_bias_as_a_product_is_exact(preset: str) -> None:
    """Digits times a constant add every bias of the bits that are said, in all rows of a batch."""
    config = Config.load(preset)
    text = "gemm:m=6,n=20,k=9,bias=1,bias_bits=10,shift=3,rounding=half-even,residual=1"
    made, wide = resolve(text), resolve(text.replace("bits=10", "bits=30"))
    data = verification.random_data(made, 5)
    intrinsic, seen = explore.gemm_intrinsic(config), 0
    for embedding in explore.embeddings(made, config)[::4]:
        for design in designs(made, config, intrinsic, embedding):
            best = search(design, effort=1).best
            if not design.products or best is None:
                continue
            seen += 1
            assert not lint(best.code.program)
            assert verification.verify(best.code, data).exact, embedding.id
        assert not any(d.products for d in designs(wide, config, intrinsic, embedding))
    assert seen >= 2


def test_a_product_of_digits_is_said_and_counted() -> None:
    """The ranking, the description, the size of the space and the manifest name it."""
    made = resolve("gemm:m=64,n=16,k=16,bias=1,bias_bits=12")
    embedding = explore.find(made, BLOCK8, "y=n:8/z=k:8")
    found = designs(made, BLOCK8, explore.gemm_intrinsic(BLOCK8), embedding)
    best = search(next(d for d in found if d.products), effort=1).best
    assert best
    evaluation = explore.Evaluation(embedding, None, False, best)
    text = describe_evaluation(evaluation)
    assert "GEMM + bias, its digits times a constant" in text
    counted = explained(made, BLOCK8, [embedding])
    assert "multiplied out of digits, as in 1" in " ".join(counted.split())
    manifest = json.loads(emit(best.code, "raw")[MANIFEST])
    tensors = {section["name"]: section["tensor"] for section in manifest["sections"]}
    assert [t["name"] for t in tensors["INP"]] == ["data", "level"]
    assert [t["name"] for t in tensors["WGT"]] == ["weight", "bias.digits"]


def test_accumulators_of_several_terms_are_compared() -> None:
    """All of them, and one that is wrong is counted."""
    made = operator(convolution(6, 3, 1), *STAGES["behind a rounding"])
    embedding = explore.embeddings(made, BLOCK8)[0]
    code = explore.evaluate(made, BLOCK8, embedding, effort=1).code
    data = verification.random_data(made, 3)
    verdict = verification.verify(code, data)
    assert verdict.accumulators == verdict.outputs
    assert verdict.exact
    wrong = data.accumulated.copy()
    wrong[0, 0, 0, 0] += 1 << 20
    assert verification.verify(code, replace(data, accumulated=wrong)).wrong_accumulators == 1
