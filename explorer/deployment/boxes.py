"""Transfers: vectors that are to go from one memory to the other, in as few boxes as rows allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_MOST = 2**16 - 1  # of a size or stride: fields of 16 bits
Run = tuple[int, int, int]
"""Vectors in a row: the first in the scratchpad, the first in the buffer, and how many."""


def boxes(pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int, int, int]]:
    """STOREs that move vectors so: scratchpad, DRAM, width, height, stride.

    Vectors that follow each other in both are rows, and rows of one width that follow each other in
    the scratchpad, at one distance in DRAM, are a STORE.
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


def _runs(pairs: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """Vectors that follow each other in both memories."""
    begin: Run | None = None
    for sram, dram in sorted(pairs, key=lambda p: (p[1] - p[0], p[0])):
        if (
            begin is not None
            and (sram - begin[0], dram - begin[1]) == (begin[2], begin[2])
            and begin[2] < _MOST
        ):
            begin = begin[0], begin[1], begin[2] + 1
            continue
        if begin is not None:
            yield begin
        begin = sram, dram, 1
    if begin is not None:
        yield begin
