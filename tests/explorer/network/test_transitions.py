"""Transitions: which vectors a reader finds, and what the host has to do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from explorer.layout.canonical import IDLE, ZERO
from explorer.layout.held import Held
from explorer.network.plan.problem import Cost
from explorer.network.plan.transitions import (
    Host,
    Laid,
    executable,
    lacking,
    model,
    models,
    passed,
    widened,
)
from isa.errors import InputError


def laid(rows: list[list[int]], key: str = "") -> Laid:
    """A tensor in a layout of these entries, a byte an element."""
    held = np.array(rows)
    return Laid(key or str(rows), held.size, held.shape[1], Held.of_rows([held]))


def total(written: Laid, read: Laid, by_host: bool = False, *, zeros: bool = False) -> int:
    """Vectors that are lacking, those of zeros among them."""
    found = lacking(written, read, by_host, zeros=zeros)
    return found.made + found.blank


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
def test_total(rows: list[list[int]], missing: int) -> None:
    """A vector is found in any place, but whole and in its order; idle lanes may hold anything."""
    assert total(PAIRS, laid(rows)) == missing


def test_garbage_is_no_zero() -> None:
    """A lane that was written without meaning is no zero, unless the host has written it."""
    written = laid([[0, ZERO], [1, IDLE]])
    read = laid([[0, ZERO], [1, ZERO], [ZERO, 1]])
    assert total(written, read) == 3
    assert total(written, read, by_host=True) == 1


def test_vectors_of_zeros_that_stay() -> None:
    """Where zeros were written once, vectors of nothing else are not lacking; others are."""
    read = laid([[ZERO, ZERO], [ZERO, IDLE], [0, ZERO], [0, 1]])
    assert total(PAIRS, read) == 3
    assert total(PAIRS, read, zeros=True) == 1


def test_vectors_that_stand_twice() -> None:
    """Where an element is first in several vectors, each of them is found."""
    written = laid([[0, 1], [0, 2], [3, 4]])
    assert total(written, laid([[0, 2], [0, 1], [0, 4]])) == 1


HOST = Host(Fraction(1, 8), 100)


@pytest.mark.parametrize(
    ("name", "read", "expected"),
    [
        ("repack", PAIRS, ("none", Cost())),
        ("repack", laid([[6, 7], [0, 1]]), ("host", Cost(102, 12, 4, 1))),
        ("repack", PLAIN, ("host", Cost(102, 16, 8, 1))),
        ("stored", laid([[6, 7], [0, 1]]), ("stored", Cost(0, 0, 4, 0))),
        ("stored", laid([[6, 7], [1, 0]]), ("filled", Cost(101, 4, 4, 1))),
        ("stored", laid([[6, 7], [ZERO, ZERO]]), ("filled", Cost(101, 2, 4, 1))),
        ("stored", laid([[6, 7], [0, ZERO]]), ("filled", Cost(101, 4, 4, 1))),
        ("stored", laid([[1, 0], [3, 2]]), ("host", Cost(102, 12, 4, 1))),
        ("stored", laid([[1, 0], [2, 1], [5, 4], [6, 7]]), ("filled", Cost(102, 12, 8, 1))),
        (
            "stored",
            laid([[1, 0], [2, 1], [5, 4], [3, 4], [6, 7]]),
            ("filled", Cost(102, 16, 10, 1)),
        ),
        ("stored", laid([[1, 0]] * 9 + [[6, 7]]), ("host", Cost(104, 28, 20, 1))),
        ("stored", PLAIN, ("host", Cost(102, 16, 8, 1))),
    ],
)
def test_kinds(name: str, read: Laid, expected: tuple[str, Cost]) -> None:
    """Each kind costs what it says: bytes by their price, rounded up, and a call."""
    found = passed(PAIRS, read, model(name), HOST, by_host=False)
    assert found == expected


def test_residuals_that_are_widened() -> None:
    """Where a program loads a residual as int32, the host makes it of the same layout, too."""
    assert widened(8, 8, Host()) == ("host", Cost(40, 40, 32, 1))
    # What is added to it in the same copy is only read.
    assert widened(8, 8, HOST, None) == ("host", Cost(1, 8, 0, 0))
    assert widened(8, 8, Host(), 4) == ("host", Cost(44, 44, 32, 1))


def test_what_can_be_executed() -> None:
    """A model whose layouts nobody makes is refused for programs, with those that are made."""
    assert executable("stored").stores
    with pytest.raises(InputError, match="repack or stored"):
        executable("trial")


def test_models() -> None:
    """The models that ship are read; another name is refused with theirs."""
    assert {"repack", "trial"} <= models().keys()
    with pytest.raises(InputError, match="repack"):
        model("never")


def test_lanes_are_compared_one_by_one() -> None:
    """Counting lane by lane is the same as looking each vector up, for random layouts."""
    random = np.random.default_rng(1)
    for _ in range(200):
        written, read = (random.integers(-2, 6, (random.integers(1, 9), 3)) for _ in range(2))
        for by_host in (False, True):
            held = np.where(written < 0, ZERO if by_host else -9, written)
            rows = [r for r in read if (r != IDLE).any()]
            expected = sum(not ((held == r) | (r == IDLE)).all(axis=1).any() for r in rows)
            assert total(laid(written.tolist()), laid(read.tolist()), by_host) == expected
