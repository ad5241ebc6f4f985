"""Steps as costs in clingo's 32 bits: one by one where they fit, else by logarithms.

The steps of an embedding are a product of loop extents, which can exceed 32 bits; a sum of
logarithms cannot.
"""

from __future__ import annotations

import math
from functools import cache

from isa.computation import Computation

LARGEST = 2**31 - 1
"""The greatest integer that clingo counts with."""

LOGARITHM_UNIT = 2**20
"""Fixed-point logarithms to base 2 count so many to one."""


def counts_exactly(operator: Computation) -> bool:
    """Whether steps are counted one by one, and not by logarithms.

    An embedding has no more steps than the domain has points, but for skewed ones; of those, all
    with `LARGEST` steps or more count alike.
    """
    return operator.macs <= LARGEST


def steps_limit(steps: int, operator: Computation) -> int:
    """The greatest cost of embeddings with at most so many steps.

    Where steps are counted by logarithms, those within their error are let through.
    """
    if counts_exactly(operator):
        return min(steps, LARGEST - 1)
    return logarithm_limit(steps)


def logarithm_limit(steps: int) -> int:
    """What no sum of `logarithm` exceeds whose numbers multiply to at most so many steps."""
    # 31 units of error, and one of rounding.
    return math.floor(LOGARITHM_UNIT * math.log2(max(steps, 1))) + 32


@cache
def logarithm(number: int) -> int:
    """A fixed-point logarithm to base 2: equal products of numbers have equal sums.

    That of a prime is rounded, that of another number is the sum of its factors'. So it is off by
    at most half a unit for each prime factor; for numbers of up to 62 bits, by 31 units, which is
    a factor of 1.00002.
    """
    # By factors: log2(a*b) rounded once need not be the sum of two rounded ones, and embeddings
    # with equal steps must tie.
    total, factor = 0, 2
    while factor * factor <= number:
        while number % factor == 0:
            number //= factor
            total += round(LOGARITHM_UNIT * math.log2(factor))
        factor += 1
    return total + round(LOGARITHM_UNIT * math.log2(number))
