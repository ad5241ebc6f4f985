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


def counts_exactly(*terms: Computation) -> bool:
    """Whether steps are counted one by one, and not by logarithms.

    An embedding has no more steps than the domain has points, but for skewed ones; of those, all
    with `LARGEST` steps or more count alike.
    """
    return sum(term.macs for term in terms) <= LARGEST


def steps_limit(steps: int, *terms: Computation) -> int:
    """The greatest cost of embeddings with at most so many steps.

    Where steps are counted by logarithms, those within their error are let through.
    """
    if counts_exactly(*terms):
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


BIT = 256
"""Units to a bit in which losses are counted.

A digit loses a bit at most, in so many different amounts: the sum of all that any answer could lose
stays within clingo's 32 bits for 65,000 subjects of digits.
"""


def lost_bits(product: int, whole: int) -> int:
    """By how many units of `BIT` a product exceeds a whole that is no greater, rounded down."""
    # An error of floating point must not round up: that would exclude what is within a limit.
    return max(0, math.floor(BIT * math.log2(product / whole) - 1e-6))


def lost_limit(steps: int, operator: Computation, intrinsic: Computation) -> int:
    """What an embedding of so many steps loses at most, each part rounded down; see `steps.lp`.

    Below zero where no embedding has so few steps.
    """
    # The parts are rounded down, and so is their sum, which is an integer.
    return math.floor(BIT * math.log2(steps * intrinsic.macs / operator.macs) + 1e-6)
