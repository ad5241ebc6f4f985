"""Transfers: vectors that are to go from one memory to the other, in as few boxes as rows allow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_MOST = 2**16 - 1  # of a size or stride: fields of 16 bits
Run = tuple[int, int, int]
"""Vectors in a row: the first in the scratchpad, the first in the buffer, and how many."""


def boxes(pairs: NDArray[np.int64]) -> Iterator[tuple[int, int, int, int, int]]:
    """STOREs that move vectors so: scratchpad, DRAM, width, height, stride.

    Vectors that follow each other in both are rows, and rows of one width that follow each other in
    the scratchpad, at one distance in DRAM, are a STORE.

    Args:
        pairs: where each vector is, and where it goes, (vectors, 2).
    """
    rows = sorted(_runs(pairs))
    left = dict.fromkeys(rows)
    begins: dict[tuple[int, int], list[Run]] = {}
    for run in rows:
        begins.setdefault((run[0], run[2]), []).append(run)
    for first in rows:
        if first not in left:
            continue
        del left[first]
        chain, stride = [first], 0
        while len(chain) < _MOST:
            sram, dram, width = chain[-1]
            following = [r for r in begins.get((sram + width, width), ()) if r in left]
            fits = [
                r
                for r in following
                if (r[1] - dram == stride if len(chain) > 1 else 0 <= r[1] - dram <= _MOST)
            ]
            if not fits:
                break
            stride = fits[0][1] - dram
            del left[fits[0]]
            chain.append(fits[0])
        yield first[0], first[1], first[2], len(chain), stride if len(chain) > 1 else first[2]


def _runs(pairs: NDArray[np.int64]) -> Iterator[Run]:
    """Vectors that follow each other in both memories."""
    apart = pairs[:, 1] - pairs[:, 0]
    order = np.lexsort([pairs[:, 0], apart])
    sram, dram, apart = pairs[order, 0], pairs[order, 1], apart[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (apart[1:] != apart[:-1]) | (sram[1:] != sram[:-1] + 1)
    places = np.arange(len(order))
    begins |= (places - np.maximum.accumulate(np.where(begins, places, 0))) % _MOST == 0
    starts = np.flatnonzero(begins)
    widths = np.diff(np.append(starts, len(order)))
    yield from zip(sram[starts].tolist(), dram[starts].tolist(), widths.tolist(), strict=True)
