"""Addresses by liveness: what is needed at the same time lies apart."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from explorer.deployment.memory import Life, arranged

UNIT = 16
LIVES = st.lists(
    st.builds(
        lambda size, first, length: Life(size, first, first + length),
        st.integers(1, 100),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=12,
)


@given(LIVES)
def test_apart(lives: list[Life]) -> None:
    """Buffers that meet in time lie apart, all are aligned, and the peak is where the last ends."""
    arena = arranged(lives, UNIT)
    assert all(place % UNIT == 0 for place in arena.places)
    for (p, a), (q, b) in combinations(zip(arena.places, lives, strict=True), 2):
        if a.first <= b.last and b.first <= a.last:
            assert p + a.size <= q or q + b.size <= p
    ends = [p + -(-a.size // UNIT) * UNIT for p, a in zip(arena.places, lives, strict=True)]
    assert arena.peak == max(ends, default=0)


@given(LIVES)
def test_bound(lives: list[Life]) -> None:
    """The bound is what the fullest step holds, counted step by step; no peak is below it."""
    arena = arranged(lives, UNIT)
    held = [
        sum(-(-x.size // UNIT) * UNIT for x in lives if x.first <= step <= x.last)
        for step in range(20)
    ]
    assert arena.bound == max(held) <= arena.peak


def test_chain() -> None:
    """Of a chain of equal tensors two places are enough: the bound is reached."""
    arena = arranged([Life(64, step, step + 1) for step in range(10)], UNIT)
    assert arena.peak == arena.bound == 128
