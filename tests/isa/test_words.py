"""Numbers of things, in words."""

from __future__ import annotations

import pytest

from isa.words import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("byte",), "0 bytes"),
        (1, ("byte",), "1 byte"),
        (1_024, ("byte",), "1,024 bytes"),
        (1, ("copy", "copies"), "1 copy"),
        (2, ("row is", "rows are"), "2 rows are"),
    ],
)
def test_counted(number: int, words: tuple[str, ...], said: str) -> None:
    """One is singular, and nothing else is."""
    assert counted(number, *words) == said
