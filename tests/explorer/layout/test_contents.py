"""What packed tensors hold, counted without making them, and counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.layout.contents import contents, is_in_place
from explorer.layout.design import designs
from explorer.layout.packed import Layout
from explorer.operators import resolve
from explorer.ranking.explore import find, gemm_intrinsic
from isa.computation import Operator
from isa.config import Config
from tests.strategies import configs, operators


def check(layout: Layout) -> None:
    """Compare with the gather map of the whole packed tensor."""
    index = layout.gather().reshape(-1)
    found = contents(layout)
    assert found.size == index.size
    assert found.held == (index >= 0).sum()
    assert found.distinct == len(np.unique(index[index >= 0]))
    assert is_in_place(layout) == np.array_equal(index, np.arange(layout.tensor.size))


@settings(max_examples=40)
@given(operators(), configs(), st.data())
def test_counts_are_those_of_the_gather_map(
    operator: Operator, config: Config, data: st.DataObject
) -> None:
    """With halo or im2col, padding, fused, skewed and diagonal digits: the same numbers."""
    intrinsic = gemm_intrinsic(config)
    found = enumerate_embeddings(operator.computation, intrinsic, tuple(CLASSES))
    embedding = data.draw(st.sampled_from(found))
    for design in designs(operator, config, intrinsic, embedding):
        for layout in design.layouts:
            check(layout)


@pytest.mark.parametrize(
    ("operator", "embedding"),
    [
        ("gemm:m=4,n=16,k=16", "y=n:16/z=k:16"),
        ("conv2d:n=1,c=3,h=9,w=9,k=16,r=3,s=3,pad=2", "y=oc:16/z=ic.kh.kw:16"),
        ("depthwise2d:n=1,c=16,h=8,w=8,r=3,s=3", "y+z=c:16"),
    ],
)
def test_chosen_ones(operator: str, embedding: str) -> None:
    """A tensor that is its own layout, fused digits with a border, and a diagonal digit."""
    op, config = resolve(operator), Config.default()
    found = find(op, config, embedding)
    for design in designs(op, config, gemm_intrinsic(config), found):
        for layout in design.layouts:
            check(layout)
