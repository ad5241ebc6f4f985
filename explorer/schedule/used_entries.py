"""How much of a packed tensor some step uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from explorer.layout.packed import Layout


def used_entries(layout: Layout, extents: Mapping[str, int]) -> int:
    """Stored entries that some step uses: coordinates of overlapping windows may have gaps."""
    total = 1
    for c in layout.coordinates:
        if _is_gapless(c.terms, extents):
            total *= c.stored
            continue
        reached = np.zeros(c.extent, np.bool_)
        reached[0] = True
        for name, factor in c.terms:
            spread = reached.copy()
            for i in range(1, extents[name]):
                spread[i * factor :] |= reached[: c.extent - i * factor]
            reached = spread
        total *= int(reached[c.low : c.high].sum())
    return total


def _is_gapless(terms: Iterable[tuple[str, int]], extents: Mapping[str, int]) -> bool:
    """Whether sums of such multiples take every value up to the largest."""
    reach = 0
    for name, factor in sorted(terms, key=lambda term: term[1]):
        if factor > reach + 1:
            return False
        reach += factor * (extents[name] - 1)
    return True
