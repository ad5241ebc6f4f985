"""Orders of lanes and of outer loops as choices: how many there are, and that ids tell them."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings

from explorer.embedding import Embedding, canonical, nest, parse
from explorer.facts import CLASSES
from explorer.solve import enumerate_embeddings
from isa.computation import Computation
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
