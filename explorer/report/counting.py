"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun: ``1 segment``, ``1,024 segments``."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
