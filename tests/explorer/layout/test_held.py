"""Beginnings and patterns say the same as arrays, and vectors are found by them where they are."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from explorer.layout.canonical import IDLE, ZERO, contents
from explorer.layout.held import Held
from tests.explorer.layout.test_canonical import OPERATORS, layouts

GARBAGE = -3


@pytest.mark.parametrize("text", OPERATORS[:2])
def test_equal_to_arrays(text: str) -> None:
    """Of embeddings of all classes, each lane is what the array says, however it was found."""
    random, fused = Random(1), 0
    for layout in random.sample(layouts(text), 150):
        array = contents(layout)
        held = Held.of(layout)
        assert np.array_equal(held.rows(), array)
        assert held.digest == Held.of_rows([array[:5], array[5:]]).digest
        strict = np.where(array == IDLE, ZERO, array)
        assert held.strict().digest == Held.of_rows([strict]).digest
        fused += any(row.terms for row in layout.rows)
    assert fused


def drawn(
    random: Random, entries: int, lanes: int
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Entries that count on, some of whose lanes hold nothing."""
    begin = np.array([random.randint(0, 6) for _ in range(entries)])
    step = np.array([random.choice((1, 1, 2, -1)) for _ in range(entries)])
    array = begin[:, None] + 6 + step[:, None] * np.arange(lanes)
    for code in (IDLE, ZERO):
        mask = [[random.random() < 0.15 for _ in range(lanes)] for _ in range(entries)]
        array = np.where(mask, code, array)
    return array


@pytest.mark.parametrize("zeros", [False, True])
def test_vectors_are_found(zeros: bool) -> None:
    """What is found is the last of the entries that hold the same, and else there is none."""
    random, hits = Random(2), 0
    for _ in range(150):
        lanes = random.randint(1, 4)
        there, here = (drawn(random, random.randint(1, 30), lanes) for _ in range(2))
        written, read = Held.of_rows([there]), Held.of_rows([here])
        meaning = np.where(there < 0, ZERO if zeros else GARBAGE, there)
        for used, group in read.groups():
            # Programs write no zeros that a reader could ask for.
            whole = read.element[group][:, used].all(axis=1)
            patterns = group if zeros else group[whole]
            entries, places = written.find(read, used, patterns, zeros=zeros)
            assert np.array_equal(entries, np.flatnonzero(np.isin(read.which, patterns)))
            for entry, place in zip(entries, places, strict=True):
                same = (meaning[:, used] == here[entry, used]).all(axis=1)
                assert place == max(np.flatnonzero(same), default=-1)
                hits += place >= 0
    assert hits


@pytest.mark.parametrize("zeros", [False, True])
def test_what_serves(zeros: bool) -> None:
    """A layout serves a reader where every lane that is not idle holds what is wanted."""
    random, served = Random(3), 0
    for _ in range(300):
        entries, lanes = random.randint(1, 20), random.randint(1, 4)
        there = drawn(random, entries, lanes)
        here = there.copy()
        for _ in range(random.randint(0, 3)):
            place = random.randrange(entries), random.randrange(lanes)
            here[place] = random.choice((IDLE, IDLE, ZERO, here[place]))
        meaning = np.where(there < 0, ZERO if zeros else GARBAGE, there)
        expected = bool(((here == IDLE) | (here == meaning)).all())
        assert Held.of_rows([there]).serves(Held.of_rows([here]), zeros=zeros) == expected
        served += expected
    assert 0 < served < 300
