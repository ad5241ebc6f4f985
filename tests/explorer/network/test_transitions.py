"""Transitions: which vectors a reader finds, and what the host has to do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from explorer.layout.canonical import IDLE, ZERO
from explorer.network.problem import Cost
from explorer.network.transitions import Host, Laid, lacking, model, models, passed
from isa.errors import InputError


def laid(rows: list[list[int]], key: str = "") -> Laid:
    """A tensor in a layout of these entries, a byte an element."""
    held = np.array(rows, np.int32)
    return Laid(key or str(rows), held.size, held.shape[1], held)


PLAIN = Laid("plain", 8)
PAIRS = laid([[0, 1], [2, 3], [4, 5], [6, 7]])


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ([[6, 7], [0, 1], [0, 1]], 0),
        ([[1, 0]], 1),
        ([[1, 2], [2, 3]], 1),
        ([[0, IDLE], [IDLE, 1], [IDLE, IDLE]], 0),
        ([[1, IDLE]], 1),
        ([[0, ZERO], [ZERO, ZERO]], 2),
        ([[0, 1, 2, 3]], 1),
    ],
)
def test_lacking(rows: list[list[int]], missing: int) -> None:
    """A vector is found in any place, but whole and in its order; idle lanes may hold anything."""
    assert lacking(PAIRS.held, np.array(rows, np.int32)) == missing  # type: ignore[arg-type]


def test_garbage_is_no_zero() -> None:
    """A lane that was written without meaning is no zero, unless the host has written it."""
    written = np.array([[0, ZERO], [1, IDLE]], np.int32)
    read = np.array([[0, ZERO], [1, ZERO], [ZERO, 1]], np.int32)
    assert lacking(written, read) == 3
    assert lacking(written, read, by_host=True) == 1


def test_vectors_that_stand_twice() -> None:
    """Where an element is first in several vectors, each of them is found."""
    written = np.array([[0, 1], [0, 2], [3, 4]], np.int32)
    assert lacking(written, np.array([[0, 2], [0, 1], [0, 4]], np.int32)) == 1


HOST = Host(Fraction(1, 8), 100)


@pytest.mark.parametrize(
    ("name", "read", "expected"),
    [
        ("repack", PAIRS, ("none", Cost())),
        ("repack", laid([[6, 7], [0, 1]]), ("host", Cost(102, 12, 4, 1))),
        ("repack", PLAIN, ("host", Cost(102, 16, 8, 1))),
        ("stored", laid([[6, 7], [0, 1]]), ("stored", Cost(0, 0, 4, 0))),
        ("stored", laid([[6, 7], [1, 0]]), ("filled", Cost(101, 4, 4, 1))),
        ("stored", PLAIN, ("host", Cost(102, 16, 8, 1))),
    ],
)
def test_kinds(name: str, read: Laid, expected: tuple[str, Cost]) -> None:
    """Each kind costs what it says: bytes by their price, rounded up, and a call."""
    found = passed(PAIRS, read, model(name), HOST, by_host=False, residual=False)
    assert found == expected


def test_residuals_that_are_widened() -> None:
    """Where programs load residuals of 32 bits, the host makes them of the same layout, too."""
    kind, cost = passed(PAIRS, PAIRS, model("widened"), Host(), by_host=False, residual=True)
    assert (kind, cost) == ("host", Cost(40, 40, 32, 1))


def test_models() -> None:
    """The models that ship are read; another name is refused with theirs."""
    assert {"repack", "trial"} <= models().keys()
    with pytest.raises(InputError, match="repack"):
        model("never")
