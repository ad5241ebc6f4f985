"""Tables that fit the screen: which columns are printed, and where long cells are cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NARROW = 24
"""Columns that the widest text is given at least, before others make room for it."""
WIDE = 36
"""Columns that the widest text is given before a further column is printed beside it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a table's rules and gaps take: between two columns, and at both edges together."""

    gap: int
    edge: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Which columns are printed, and how wide the one is whose cells are cut (None: none is)."""

    columns: tuple[int, ...]
    cut: int | None
    limit: int


def fit(rows: Sequence[Sequence[str]], keep: int, room: int, frame: Frame) -> Fit:
    """The columns for which there is room.

    Args:
        rows: the cells, the names of the columns first.
        keep: how many of the first columns are printed whatever they take.
        room: columns of the screen.
        frame: what the table takes besides.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    longest = max(range(keep), key=lambda i: widths[i])

    def taken(columns: Sequence[int], most: int) -> int:
        cells = sum(min(widths[i], most) if i == longest else widths[i] for i in columns)
        return cells + frame.gap * (len(columns) - 1) + frame.edge

    chosen = list(range(keep))
    for column in range(keep, len(widths)):
        if taken([*chosen, column], WIDE) <= room:
            chosen.append(column)
    excess = taken(chosen, widths[longest]) - room
    if excess <= 0:
        return Fit(tuple(chosen), None, 0)
    return Fit(tuple(chosen), longest, max(NARROW, widths[longest] - excess))


def fold(text: str, limit: int) -> list[str]:
    """A text in lines of at most so many characters, cut after a slash or comma if it can be."""
    lines = [""]
    for piece in _pieces(text, limit):
        if len(lines[-1]) + len(piece) > limit:
            lines.append("")
        lines[-1] += piece
    return lines


def _pieces(text: str, limit: int) -> Iterator[str]:
    for piece in re.findall(r"[^/,]+[/,]?|[/,]", text):
        yield from (piece[i : i + limit] for i in range(0, len(piece), limit))
