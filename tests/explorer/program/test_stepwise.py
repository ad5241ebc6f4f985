"""Embeddings on any instruction, executed step by step against the direct result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.ids import parse
from explorer.operators import resolve
from explorer.program.stepwise import arrangements, check
from isa import intrinsics
from isa.computation import Computation
from isa.config import Config
from simulator.reference import accumulate
from tests.oracles.naive import naive
from tests.tiny import computations, instructions


def tensors(
    operator: Computation, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]]:
    """Random inputs and their direct result."""
    rng = np.random.default_rng(seed)
    in0 = rng.integers(-128, 128, operator.in0.shape, np.int8)
    in1 = rng.integers(-128, 128, operator.in1.shape, np.int8)
    return in0, in1, accumulate(operator, in0, in1)


@settings(max_examples=150)
@given(computations(24), instructions(), st.data())
def test_every_embedding_is_exact_on_any_instruction(
    operator: Computation, intrinsic: Computation, data: st.DataObject
) -> None:
    """All embeddings, of all classes, lane orders and layouts, compute the operator."""
    given_tensors = tensors(operator, data.draw(st.integers(0, 9)))
    assert np.array_equal(given_tensors[2], naive(operator, *given_tensors[:2]))
    orders = data.draw(st.sampled_from([(), ("lanes",)]))
    for embedding in enumerate_embeddings(operator, intrinsic, tuple(CLASSES), orders=orders):
        for outcome in check(embedding, operator, intrinsic, given_tensors):
            assert outcome.wrong == 0, embedding.id


@settings(max_examples=40)
@given(computations(24), instructions(), st.data())
def test_any_order_of_outer_loops_is_exact(
    operator: Computation, intrinsic: Computation, data: st.DataObject
) -> None:
    """An order of the outer loops orders steps and entries; values stay."""
    found = enumerate_embeddings(operator, intrinsic, tuple(CLASSES), orders=("outer",))
    embedding = data.draw(st.sampled_from(found))
    for outcome in check(embedding, operator, intrinsic, tensors(operator, 0)):
        assert outcome.wrong == 0, embedding.id


OPERATORS = (
    "conv2d:n=2,c=3,h=7,w=9,k=5,r=3,s=3,pad=1",
    "depthwise2d:n=1,c=6,h=6,w=6,r=3,s=3,pad=1",
    "bmm:b=3,m=5,n=7,k=9",
)


@pytest.mark.slow
@pytest.mark.parametrize("text", OPERATORS)
@pytest.mark.parametrize("name", intrinsics.names())
def test_shipped_instructions(name: str, text: str) -> None:
    """On each shipped instruction, embeddings of every class that occurs are exact."""
    operator = resolve(text).computation
    intrinsic = intrinsics.load(name, Config.default().axes)
    found = enumerate_embeddings(operator, intrinsic, tuple(CLASSES))
    data = tensors(operator, 1)
    for embedding in examples(found):
        for outcome in check(embedding, operator, intrinsic, data):
            assert outcome.wrong == 0, embedding.id


def examples(found: list[Embedding]) -> list[Embedding]:
    """Of each mix of classes, the first and the last embedding."""
    by_classes: dict[tuple[str, ...], list[Embedding]] = {}
    for embedding in found:
        by_classes.setdefault(embedding.classes, []).append(embedding)
    return [e for group in by_classes.values() for e in dict.fromkeys((group[0], group[-1]))]


def test_windows_are_packed_in_both_ways() -> None:
    """A convolution's input may be packed with its windows apart or in shared entries."""
    operator = resolve("conv1d:n=1,c=4,w=8,k=4,s=3").computation
    intrinsic = intrinsics.load("m16n16k16")
    embedding = parse("y=oc:4/z=ic:4", operator, intrinsic)
    assert {x.halo for x, _, _ in arrangements(embedding, operator, intrinsic)} == {True, False}
