"""Tables that fit the screen: which columns are printed, and where long cells are cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

NARROW = 12
"""Columns that a text is given at least: below that, ids and layouts cannot be read."""
WIDE = 36
"""Columns that the widest text is given before a further column is printed beside it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a table's rules and gaps take: between two columns, and at both edges together."""

    gap: int
    edge: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Which columns are printed, and how wide those are whose cells are cut."""

    columns: tuple[int, ...]
    limits: Mapping[int, int]


def fit(
    rows: Sequence[Sequence[str]], texts: Sequence[bool], keep: int, room: int, frame: Frame
) -> Fit | None:
    """The columns for which there is room; None if there is none for those that must be there.

    Args:
        rows: the cells, the names of the columns first.
        texts: of each column, whether its cells may go on in the next line.
        keep: how many of the first columns are printed whatever they take.
        room: columns of the screen.
        frame: what the table takes besides.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    known = [i for i in range(keep) if texts[i]]
    longest = max(known, key=lambda i: widths[i], default=-1)

    def taken(columns: Sequence[int], most: int) -> int:
        cells = sum(min(widths[i], most) if i == longest else widths[i] for i in columns)
        return cells + frame.gap * (len(columns) - 1) + frame.edge

    chosen = list(range(keep))
    for column in range(keep, len(widths)):
        if taken([*chosen, column], WIDE) <= room:
            chosen.append(column)
    excess = taken(chosen, max(widths)) - room
    limits = {i: widths[i] for i in chosen if texts[i]}
    prose = {i for i in limits if any(" " in row[i] for row in rows[1:])}
    for _ in range(excess):
        # Sentences make room before ids, which are cut where a reader does not expect it; of each,
        # the widest first, so that they end up alike.
        left = [i for i in limits if limits[i] > NARROW]
        widest = max(left, key=lambda i: (i in prose, limits[i]), default=-1)
        if widest < 0:
            return None
        limits[widest] -= 1
    return Fit(tuple(chosen), {i: most for i, most in limits.items() if most < widths[i]})


def fold(text: str, limit: int) -> list[str]:
    """A text in lines of at most so many characters, cut where something ends if it can be.

    That is after a slash, a comma or a space, or before a bracket, as in the names of layouts.
    """
    lines = [""]
    for piece in _pieces(text, limit):
        if len(lines[-1]) + len(piece.rstrip()) > limit:
            lines.append("")
        lines[-1] += piece
    # A space where a line ends is not seen, and there may be no room for it.
    return [line.rstrip() for line in lines]


def _pieces(text: str, limit: int) -> Iterator[str]:
    for piece in re.findall(r"\[[^/, \[]*[/, ]?|[^/, \[]+[/, ]?|[/, ]", text):
        yield from (piece[i : i + limit] for i in range(0, len(piece), limit))
