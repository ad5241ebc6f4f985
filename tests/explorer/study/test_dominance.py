"""Pareto fronts against the definition, row by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from explorer.study.dominance import pareto, pareto_mask
from isa.errors import InputError

NAMES = "abcdef"
Rows = list[tuple[float, ...]]


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Rows of one to six objectives, with few values, so that there are ties and duplicates."""
    return draw(tables_of(draw(st.integers(1, 6)), draw(st.integers(1, 8))))


@cache  # Hypothesis looks into each new strategy for as long as it then draws from it
def tables_of(width: int, most: int) -> st.SearchStrategy[Rows]:
    """Rows of so many objectives, of which most values are small numbers."""
    few = st.integers(0, most).map(float)
    value = few | st.sampled_from([-0.0, 0.5, 1e300, -1e300, math.inf, -math.inf])
    return st.lists(st.tuples(*[value] * width), min_size=1, max_size=40)


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """The definition: no worse anywhere, better somewhere."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def frame_of(rows: Rows) -> pd.DataFrame:
    """Rows as a table with a column for each letter."""
    return pd.DataFrame(rows, columns=list(NAMES[: len(rows[0])]))


@given(tables())
@example([(1.0, 2.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0)])
def test_front_is_what_nothing_dominates(rows: Rows) -> None:
    """For any number of objectives the mask is that of the definition; equal rows go together."""
    expected = [not any(dominates(other, row) for other in rows) for row in rows]
    frame = frame_of(rows)
    assert pareto_mask(frame, list(frame.columns)).tolist() == expected


@given(tables(), st.lists(st.booleans(), min_size=6, max_size=6))
def test_maximizing_is_minimizing_the_negative(rows: Rows, flips: list[bool]) -> None:
    """Directions may be mixed."""
    frame = frame_of(rows)
    up = [name for name, flip in zip(frame.columns, flips, strict=False) if flip]
    down = [name for name in frame.columns if name not in up]
    negative = frame.assign(**{name: -frame[name] for name in up})
    expected = pareto_mask(negative, list(frame.columns))
    assert (pareto_mask(frame, down, up) == expected).all()


@given(tables(), st.data())
def test_groups_are_fronts_of_their_own(rows: Rows, data: st.DataObject) -> None:
    """With groups, the front is the union of the groups' fronts; a missing value is a group."""
    frame = frame_of(rows)
    names = list(frame.columns)
    group = st.sampled_from(["x", "y", None])
    frame["group"] = data.draw(st.lists(group, min_size=len(rows), max_size=len(rows)))
    whole = pareto_mask(frame, names, group_by=["group"])
    for value in ("x", "y", None):
        rows_of = frame["group"].isna() if value is None else frame["group"] == value
        part = frame[rows_of.to_numpy()]
        if len(part):
            assert (whole[rows_of.to_numpy()] == pareto_mask(part, names)).all()


@pytest.mark.parametrize("objectives", [3, 4, 6])
def test_many_rows(objectives: int) -> None:
    """Where the first rows are held against pivots, the front is still the definition's."""
    rows = np.random.default_rng(objectives).integers(0, 60, (5000, objectives))
    frame = pd.DataFrame(rows, columns=list(NAMES[:objectives]))
    mask = pareto_mask(frame, list(frame.columns))
    for row, kept in zip(rows[:300], mask[:300], strict=True):
        beaten = ((rows <= row).all(axis=1) & (rows < row).any(axis=1)).any()
        assert kept == (not beaten)


def test_large_integers_are_told_apart() -> None:
    """Neighbouring 64-bit integers, which are one number as floats, do not tie."""
    frame = pd.DataFrame({"a": [2**60, 2**60 + 1], "b": [1, 1]})
    assert pareto_mask(frame, ["a", "b"]).tolist() == [True, False]


def test_order_of_the_front() -> None:
    """The front is sorted by group, then by each objective in its own direction."""
    frame = pd.DataFrame(
        {"g": ["y", "x", "x", "x"], "a": [1, 3, 2, 2], "b": [1, 9, 5, 5], "n": [0, 1, 2, 3]}
    )
    assert pareto(frame, ["a"], ["b"], ["g"])["n"].tolist() == [2, 3, 1, 0]


def test_empty_table() -> None:
    """No rows have no front."""
    assert pareto_mask(pd.DataFrame({"a": np.zeros(0)}), ["a"]).tolist() == []


@pytest.mark.parametrize(
    ("objectives", "named"),
    [(["a", "b"], "b: 'NaN'.*1 of 2 rows.*row 1"), (["c"], "'c'.*a, b, t"), (["t"], "t: .*numbers"),
     ([], "objectives"), (["a", "a"], "twice")],
)  # fmt: skip
def test_refused(objectives: list[str], named: str) -> None:
    """What cannot be compared is refused, with the column named."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, math.nan], "t": ["u", "v"]})
    with pytest.raises(InputError, match=named):
        pareto_mask(frame, objectives)
