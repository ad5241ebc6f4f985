"""Canonical forms: equal forms are equal arrays, and the other way round where rows are affine."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.embedding.facts import CLASSES
from explorer.layout.canonical import IDLE, ZERO, Form, contents, form, lane_strides
from explorer.layout.design import designs
from explorer.layout.packed import Layout
from explorer.operators import resolve
from explorer.ranking.explore import embeddings, gemm_intrinsic, reference
from isa.config import Config

OPERATORS = (
    "conv2d:n=1,c=3,h=5,w=5,k=4,r=3,s=3,pad=1",
    "conv2d:n=1,c=4,h=6,w=6,k=4,r=3,s=3,stride=2,pad=1",
    "gemm:m=3,n=4,k=6",
)
TINY = Config.load("default")


def layouts(text: str, classes: tuple[str, ...] = tuple(CLASSES)) -> list[Layout]:
    """The layouts of an operator's embeddings, every seventh of them."""
    operator, intrinsic = resolve(text), gemm_intrinsic(TINY)
    found = []
    for embedding in embeddings(operator, TINY, classes)[::7]:
        for design in designs(operator, TINY, intrinsic, embedding):
            found += [x for x in design.layouts if x.role in {"in0", "out"}]
    return found


@pytest.mark.parametrize("text", OPERATORS)
def test_forms_tell_arrays_apart(text: str) -> None:
    """Of one tensor, layouts have equal forms exactly where they hold the same, lane by lane."""
    arrays: dict[tuple[object, ...], set[Form]] = {}
    forms: dict[tuple[object, ...], set[tuple[object, ...]]] = {}
    for layout in layouts(text):
        axes = tuple(extent for _, extent in layout.axes)
        array = (layout.role, axes, contents(layout).tobytes())
        arrays.setdefault(array, set()).add(form(layout))
        forms.setdefault((layout.role, form(layout)), set()).add(array)
    assert all(len(found) == 1 for found in forms.values())
    assert all(len(found) == 1 for found in arrays.values())


def test_contents_tell_padding_from_idle_lanes() -> None:
    """Channels that are missing are idle, a window's border is zero, the rest is the tensor."""
    operator, intrinsic = resolve(OPERATORS[0]), gemm_intrinsic(TINY)
    fixed = reference(operator, TINY)
    assert fixed is not None
    (held,) = {
        contents(d.inp).tobytes(): contents(d.inp)
        for d in designs(operator, TINY, intrinsic, fixed)
        if d.inp.halo and not d.inp.is_padded
    }.values()
    # 7 by 7 positions, of which 24 are the border; 16 lanes, of which 3 have channels.
    assert (held == ZERO).sum() == 24 * 3
    assert (held == IDLE).sum() == 49 * 13
    assert np.array_equal(np.unique(held[held >= 0]), np.arange(75))
    assert lane_strides(next(designs(operator, TINY, intrinsic, fixed)).inp) == ((), ((3, (25,)),))
