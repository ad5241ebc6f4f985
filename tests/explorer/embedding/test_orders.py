"""Orders of lanes and of outer loops as choices: how many there are, and that ids tell them."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings

from explorer.embedding.digits import Embedding, canonical
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.ids import parse
from explorer.embedding.virtual_loops import nest
from explorer.operators import resolve
from explorer.program import verification
from explorer.ranking import explore
from isa.computation import Computation
from isa.config import Config
from isa.errors import InputError
from simulator.lint import lint
from tests.tiny import computations, instructions


def lane_orders(embedding: Embedding) -> int:
    """In how many ways the digits of each axis can stand, if they stand in one row overall."""
    axes = {axis for digit in embedding.digits for axis in digit.axes}
    return len(
        {
            tuple(tuple(d for d in row if axis in d.axes) for axis in sorted(axes))
            for row in itertools.permutations(embedding.digits)
        }
    )


@settings(max_examples=60)
@given(computations(12), instructions(16))
def test_every_order_is_one_answer(operator: Computation, intrinsic: Computation) -> None:
    """Each embedding comes once in each order; its id is its own and reads back as the same."""
    plain = enumerate_embeddings(operator, intrinsic, tuple(CLASSES))
    for orders, ways in (
        (("lanes",), lane_orders),
        (("outer",), lambda e: math.factorial(len(nest(e, operator).outer))),
    ):
        found = enumerate_embeddings(operator, intrinsic, tuple(CLASSES), orders=orders)
        assert len(found) == sum(ways(e) for e in plain)
        assert len({e.id for e in found}) == len(found)
        assert {canonical(e.swapped, e.digits, operator, intrinsic) for e in found} == set(plain)
        assert [parse(e.id, operator, intrinsic) for e in found] == found


def test_programs_keep_the_order() -> None:
    """Packed entries stand in the order of the outer loops, and the program is exact."""
    operator, config = resolve("conv2d:n=1,c=16,h=6,w=6,k=32,r=3,s=3,pad=1"), Config.default()
    embedding = explore.find(operator, config, "y=oc:16/z=ic:16/@ow,oh,oc,kw,kh")
    evaluation = explore.evaluate(operator, config, embedding, effort=1)
    acc, wgt = evaluation.design.acc, evaluation.design.wgt
    assert [c.name for c in acc.coordinates] == ["ow", "oh", "oc.o"]
    assert [c.name for c in wgt.coordinates] == ["oc.o", "kw", "kh"]
    assert verification.verify(evaluation.code, verification.random_data(operator)).exact
    assert not lint(evaluation.code.program)


@pytest.mark.parametrize("order", ["ow,oh", "ow,oh,oc,kw,ic", "ow,oh,oc,kw,kw", ","])
def test_an_order_names_every_outer_loop(order: str) -> None:
    """An id whose order leaves out a loop, or names another, is refused with the loops."""
    operator, config = resolve("conv2d:n=1,c=16,h=6,w=6,k=32,r=3,s=3,pad=1"), Config.default()
    with pytest.raises(InputError, match="outer loops are oc,oh,ow,kh,kw"):
        explore.find(operator, config, f"y=oc:16/z=ic:16/@{order}")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("y=oc:99999999999", ["oc:99999999999", "DIM:LANES"]),
        ("y=oc:999", ["oc:999", "axis y has 16"]),
        ("y=ow~kw-99:2", ["kw-99", "its extent, 3"]),
        ("y=oc:2,oc:2", ["oc:2,oc:2", "stands twice"]),
        ("x=oc:16", ["oc:16", "axis x has 1"]),
        ("q=oc:16", ["'q'", "['x', 'y', 'z']"]),
        ("y=oc:", ["'oc:'", "DIM:LANES"]),
        ("y=oc:1", ["oc:1", "at least two"]),
        ("y=od:2", ["'od'", "'oc'"]),
        ("z=oh:2", ["z=oh:2", "no legal embedding"]),
    ],
)
def test_ids_that_name_nothing_are_refused(text: str, parts: list[str]) -> None:
    """Whatever is wrong with an id is said with the part that is, and what is allowed."""
    operator, config = resolve("conv2d:n=1,c=16,h=6,w=6,k=32,r=3,s=3,pad=1"), Config.default()
    with pytest.raises(InputError) as error:
        explore.find(operator, config, text)
    for part in parts:
        assert part in str(error.value)


def test_long_fused_loops_are_refused() -> None:
    """A fused loop that the solver's integers cannot count is refused, not miscounted."""
    operator = resolve("gemm:m=65536,n=65536,k=3")
    with pytest.raises(InputError, match="at most 2147483647 iterations"):
        explore.find(operator, Config.default(), "y=m.n:16")
