"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun, or with noun and verb: ``1 row is``, ``1,024 rows are``."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
