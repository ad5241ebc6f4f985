"""Numbers as bytes that a constant multiplies: each within the reach, and the layouts of both."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.layout.constant_product import digits, level, reach


@pytest.mark.parametrize("lanes", [1, 2, 4, 16, 32])
def test_every_number_within_the_reach_has_digits(lanes: int) -> None:
    """Those at both ends, around zero, and some between are their digits times the constant."""
    low, high = reach(lanes)
    ends = [*range(low, min(low + 5000, high)), *range(max(high - 5000, low), high + 1)]
    between = np.random.default_rng(lanes).integers(low, high + 1, 20_000)
    values = np.array([*ends, *range(-3000, 3000), *between]).clip(low, high).astype(np.int32)
    found = digits(values, lanes)
    assert found.dtype == np.int8
    assert np.array_equal(found.astype(np.int64) @ level(lanes).astype(np.int64), values)


def test_the_reach_is_that_of_bytes() -> None:
    """No bytes add up to more, or to less."""
    for lanes in (1, 2, 16):
        factor = level(lanes).astype(np.int64)
        assert reach(lanes) == (-128 * int(factor.sum()), 127 * int(factor.sum()))
