"""Orders of several terms as choices, and their embeddings that no digits describe."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.facts import CLASSES
from explorer.embedding.joint import PLUS, Joint
from explorer.embedding.scalar import unstructured_embeddings
from explorer.embedding.several import (
    count_joint,
    enumerate_joint,
    find_joint,
    why_joint,
)
from explorer.embedding.virtual_loops import nest
from explorer.operators import resolve
from explorer.program import verification
from explorer.ranking import explore
from isa import intrinsics
from isa.computation import Computation
from isa.config import Config
from isa.errors import InputError
from simulator.lint import lint
from tests.oracles.joint import Ordered, joint_orders
from tests.oracles.unstructured import joint_assignments
from tests.strategies import gemm_intrinsics
from tests.tiny import instructions, sums

ALL = tuple(CLASSES)
BOTH = ("lanes", "outer")


def several(most: int) -> st.SearchStrategy[list[Computation]]:
    """Two or three terms of so many multiply-accumulates together."""
    return sums(most).filter(lambda terms: len(terms) > 1)


def in_order(joint: Joint, intrinsic: Computation) -> Ordered:
    """What an embedding consists of, with the order of the digits on each axis."""
    axes = intrinsic.extents
    return tuple(
        (e.swapped, tuple(tuple(str(d) for d in e.digits if axis in d.axes) for axis in axes))
        for e in joint.terms
    )


def loop_orders(joint: Joint, terms: Sequence[Computation]) -> int:
    """In how many ways the outer loops can stand, if those over outputs do so alike."""
    shared: Counter[tuple[str, ...]] | None = None
    for embedding, term in zip(joint.terms, terms, strict=True):
        image = dict(zip(term.parallel, terms[0].parallel, strict=True))
        loops = [loop.first for loop in nest(embedding, term).outer]
        found = Counter(
            tuple(image[name] for name in order if name in image)
            for order in itertools.permutations(loops)
        )
        shared = found if shared is None else Counter({k: n * found[k] for k, n in shared.items()})
    assert shared is not None
    return sum(shared.values())


@settings(max_examples=10)
@given(several(12), st.one_of(gemm_intrinsics(2), instructions(8)), st.sets(st.sampled_from(ALL)))
def test_every_order_is_one_answer(
    terms: list[Computation], intrinsic: Computation, left_out: set[str]
) -> None:
    """Lane orders are those that the definition admits, loop orders all that agree on addresses."""
    classes = sorted({*CLASSES} - left_out)
    listed = partial(enumerate_joint, terms, intrinsic, classes, all_tiles=True, maximal=False)
    counted = partial(count_joint, terms, intrinsic, classes, all_tiles=True, maximal=False)
    plain, found = listed(), listed(orders=["lanes"])
    assert len({e.id for e in found}) == len(found)
    assert {in_order(e, intrinsic) for e in found} == joint_orders(terms, intrinsic, {*classes})
    assert {e.id for e in plain} <= {e.id for e in found}
    assert counted(orders=["outer"]).total == sum(loop_orders(e, terms) for e in plain)
    assert counted(orders=BOTH).total == sum(loop_orders(e, terms) for e in found)


def test_listed_orders_are_counted_and_read_again() -> None:
    """Each id is its own, is legal, and reads back; there are as many as are counted."""
    terms = [resolve(f"conv2d:n=1,c={c},h=3,w=2,k=2,r=2,s=1").computation for c in (2, 3)]
    intrinsic = intrinsics.load("vta_gemm", {"x": 1, "y": 4, "z": 4})
    classes = ("padded", "multi", "strided")
    found = enumerate_joint(terms, intrinsic, classes, orders=BOTH)
    counted = count_joint(terms, intrinsic, classes, orders=BOTH)
    assert len({e.id for e in found}) == len(found) == counted.total > 50
    assert [find_joint(terms, intrinsic, e.id) for e in found[::37]] == found[::37]


def test_orders_that_differ_in_the_output_are_told() -> None:
    """Lanes and loops over outputs in another order than in the first term, by what they are."""
    terms = [resolve(f"conv2d:n=1,c={c},h=3,w=2,k=2,r=2,s=1").computation for c in (2, 3)]
    intrinsic = intrinsics.load("vta_gemm", {"x": 1, "y": 4, "z": 4})
    first = "swap/y=oh:2,ow:2/z=ic:2,kh:2"
    verdict = why_joint(terms, intrinsic, f"{first} + swap/y=ow:2,oh:2/z=ic:3")
    assert "axis y has ow:2,oh:2 of the output, not oh:2,ow:2" in verdict.reasons[0].text
    verdict = why_joint(terms, intrinsic, "z=ic:2/@ow,oh,oc,kh + z=ic:3/@oc,kh,ow,oh")
    assert "in the order oc,ow,oh of the output, not ow,oh,oc" in verdict.reasons[0].text


def test_programs_keep_the_order(root: Path) -> None:
    """Entries of each tensor stand in the order of its term's loops, and the program is exact."""
    operator, config = resolve(str(root / "docs/block.yaml")), Config.default()
    text = "y=oc:16/z=ic:16/@ow,oc,oh + y=c:16/z=r:16/@r,w,c,h"
    evaluation = explore.evaluate(operator, config, explore.find(operator, config, text), effort=1)
    design = evaluation.design
    assert [c.name for c in design.acc.coordinates] == ["ow", "oc.o", "oh"]
    assert [c.name for c in design.further[0][0].coordinates] == ["r.o", "ow", "oh"]
    assert verification.verify(evaluation.code, verification.random_data(operator)).exact
    assert not lint(evaluation.code.program)


@settings(max_examples=10)
@given(several(4), instructions(2), st.booleans())
def test_all_embeddings_equal_all_maps_that_keep_the_definition(
    terms: list[Computation], intrinsic: Computation, swapped: bool
) -> None:
    """Unstructured answers of several terms are the maps that plain Python accepts."""
    answers = unstructured_embeddings(terms, intrinsic, swapped=swapped)
    found = [tuple((a.swapped, a.stands) for a in each) for each in answers]
    assert len(found) == len(set(found))
    assert set(found) == set(joint_assignments(terms, intrinsic, swapped=swapped))


def test_several_products_that_share_their_outputs() -> None:
    """Where both outputs meet in a step of one term, they have different lanes in the other."""
    terms = [resolve("gemm:m=2,n=1,k=1").computation] * 2
    double = intrinsics.load("vta_gemm", {"x": 2, "y": 1, "z": 1})
    found = {PLUS.join(map(str, each)) for each in unstructured_embeddings(terms, double)}
    assert {"0:0 1:1 + 0:0 1:1", "0:0 1:1 + 0:0 | 1:1", "0:0 | 0:1 + 0:0 | 0:1"} <= found
    assert "0:0 1:1 + 0:0 | 0:1" not in found
    assert len(found) == 10
    with pytest.raises(InputError, match=r"8 \+ 8.*at most 8"):
        next(unstructured_embeddings([resolve("gemm:m=2,n=2,k=2").computation] * 2, double))
