"""Pareto fronts of tables: the rows that no other row beats, exactly.

A row **dominates** another if it is at least as good in every objective and better in one. The
front is what no row dominates, so rows that are equal in all objectives are on it together, or not
at all. Values are compared as they are, never added or rounded: each column is replaced by the
ranks of its values first, which keeps 64-bit integers exact.

Rows are visited in lexicographic order, where whatever dominates a row stands before it. One or two
objectives then take one pass, three a Fenwick tree (n log n in the worst case); with more, each row
is compared with the front found so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError
from simulator.jit import jit

if TYPE_CHECKING:
    import pandas as pd

Ranks = NDArray[np.int64]

_KEY_BITS = 62  # of a 64-bit sort key
_PIVOTS = 64  # rows that are likely to dominate many, against which all are held first
_FEW = 4096  # rows below which that does not pay


def pareto_mask(
    frame: pd.DataFrame,
    minimize: Sequence[str] = (),
    maximize: Sequence[str] = (),
    group_by: Sequence[str] = (),
    source: str = "table",
) -> NDArray[np.bool_]:
    """Which rows no other row of their group dominates, bool of shape (rows,).

    Args:
        frame: the table.
        minimize: columns of which less is better.
        maximize: columns of which more is better.
        group_by: columns whose values tell the groups apart; none for one front of all rows.
        source: where the table comes from, for errors.

    Raises:
        InputError: no objective is given, a column does not exist, is given twice, is not numeric,
            or has a missing value (NaN), which nothing compares with.
    """
    check_columns(frame, [*minimize, *maximize], group_by, source)
    signs = [1] * len(minimize) + [-1] * len(maximize)
    ranks = np.empty((len(frame), len(signs)), np.int64)
    for column, (name, sign) in enumerate(zip([*minimize, *maximize], signs, strict=True)):
        ranks[:, column] = sign * _ranks(_values(frame[name]))
    mask = np.zeros(len(frame), np.bool_)
    for rows in _groups(frame, group_by):
        mask[rows] = non_dominated(ranks[rows])
    return mask


def pareto(
    frame: pd.DataFrame,
    minimize: Sequence[str] = (),
    maximize: Sequence[str] = (),
    group_by: Sequence[str] = (),
    source: str = "table",
) -> pd.DataFrame:
    """The rows of the front, by group and then by the objectives, the best first.

    Rows that are equal in these keep the order that they have in the table. Arguments and errors
    are those of `pareto_mask`.
    """
    front = frame[pareto_mask(frame, minimize, maximize, group_by, source)]
    keys = [*group_by, *minimize, *maximize]
    ascending = [name not in maximize for name in keys]
    return front.sort_values(keys, ascending=ascending, kind="stable", ignore_index=True)


def check_columns(
    frame: pd.DataFrame, objectives: Sequence[str], group_by: Sequence[str], source: str
) -> None:
    """Raise what `pareto_mask` says it raises."""
    if not objectives:
        raise InputError(source, "objectives", None, "name one column or more")
    for name in [*objectives, *group_by]:
        if name not in frame.columns:
            raise InputError(source, "column", name, f"the columns are {', '.join(frame.columns)}")
    for name in objectives:
        if list(objectives).count(name) > 1:
            raise InputError(source, "objectives", name, "it is given twice")
        if frame[name].dtype.kind not in "biuf":
            kind = str(frame[name].dtype)
            raise InputError(source, name, kind, "an objective must be a column of numbers")
        missing = int(frame[name].isna().sum())
        if missing:
            first = int(np.argmax(frame[name].isna().to_numpy()))
            raise InputError(
                source,
                name,
                "NaN",
                f"{missing} of {len(frame)} rows have no value (the first is row {first}); "
                "leave them out before",
            )


def non_dominated(ranks: Ranks) -> NDArray[np.bool_]:
    """Which rows no other row dominates, where less is better.

    Args:
        ranks: integers of shape (rows, objectives), at least one objective.
    """
    count, objectives = ranks.shape
    if count == 0:
        return np.zeros(0, np.bool_)
    if objectives == 1:
        return np.asarray(ranks[:, 0] == ranks[:, 0].min())
    alive = np.arange(count)
    if objectives > 3 and count > _FEW:
        sums = ranks.sum(axis=1)
        pivots = ranks[np.argpartition(sums, _PIVOTS)[:_PIVOTS]]
        alive = np.flatnonzero(~_beaten(ranks, pivots))
    order = alive[_lexicographic(ranks[alive])]
    ordered = np.ascontiguousarray(ranks[order])
    if objectives == 2:
        found = _sweep_two(ordered)
    elif objectives == 3:
        found = _sweep_three(ordered, int(ordered[:, 1].min()), int(ordered[:, 1].max()))
    else:
        found = _sweep_many(ordered)
    mask = np.zeros(count, np.bool_)
    mask[order] = found
    return mask


def _values(column: pd.Series[Any]) -> NDArray[np.generic]:
    """A column without missing values as numbers; pandas' own whole numbers are objects else."""
    return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None))


def _ranks(values: NDArray[np.generic]) -> Ranks:
    """The place of each value among the distinct ones."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    ranks = np.empty(len(values), np.int64)
    steps = np.empty(len(values), np.int64)
    steps[:1] = 0
    np.cumsum(ordered[1:] != ordered[:-1], out=steps[1:])
    ranks[order] = steps
    return ranks


def _lexicographic(ranks: Ranks) -> NDArray[np.int64]:
    """The rows in lexicographic order, by one key where the ranks fit into one."""
    low = ranks.min(axis=0)
    widths = [int(span).bit_length() for span in ranks.max(axis=0) - low]
    if sum(widths) > _KEY_BITS:
        return np.lexsort(ranks.T[::-1])
    key = np.zeros(len(ranks), np.int64)
    for column, width in enumerate(widths):
        key = (key << width) | (ranks[:, column] - low[column])
    return np.argsort(key, kind="stable")


def _groups(frame: pd.DataFrame, group_by: Sequence[str]) -> Iterator[NDArray[np.int64]]:
    """The rows of each group; missing values are a group too."""
    if not group_by:
        yield np.arange(len(frame))
        return
    number = frame.groupby(list(group_by), sort=False, dropna=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


@jit
def _sweep_two(ordered: Ranks) -> NDArray[np.bool_]:
    """Two objectives: a row is on the front iff its second is less than all before it."""
    found = np.zeros(len(ordered), np.bool_)
    best = 0
    for i in range(len(ordered)):
        if i == 0 or ordered[i, 1] < best:
            found[i] = True
            best = ordered[i, 1]
        elif ordered[i, 0] == ordered[i - 1, 0] and ordered[i, 1] == ordered[i - 1, 1]:
            found[i] = found[i - 1]
    return found


@jit
def _sweep_three(ordered: Ranks, low: int, high: int) -> NDArray[np.bool_]:
    """Three objectives: a Fenwick tree over the second holds the least third seen so far."""
    found = np.zeros(len(ordered), np.bool_)
    size = high - low + 1
    worst = np.iinfo(np.int64).max
    tree = np.full(size + 1, worst, np.int64)
    for i in range(len(ordered)):
        first, second, third = ordered[i]
        if i > 0 and (
            first == ordered[i - 1, 0]
            and second == ordered[i - 1, 1]
            and third == ordered[i - 1, 2]
        ):
            found[i] = found[i - 1]
            continue
        place = second - low + 1
        least = worst
        j = place
        while j > 0:
            least = min(least, tree[j])
            j -= j & -j
        if least <= third:
            continue
        found[i] = True
        j = place
        while j <= size:
            tree[j] = min(tree[j], third)
            j += j & -j
    return found


@jit
def _sweep_many(ordered: Ranks) -> NDArray[np.bool_]:
    """Any number of objectives: each row against the front, which is kept hottest first."""
    count, objectives = ordered.shape
    found = np.zeros(count, np.bool_)
    front = np.empty(count, np.int64)
    size = 0
    for i in range(count):
        if i > 0 and np.array_equal(ordered[i], ordered[i - 1]):
            found[i] = found[i - 1]
            continue
        beaten = False
        for place in range(size):
            other = front[place]
            beaten = True
            for k in range(objectives):
                if ordered[other, k] > ordered[i, k]:
                    beaten = False
                    break
            if beaten:  # what beat one row is likely to beat the next
                front[place], front[place // 2] = front[place // 2], other
                break
        if not beaten:
            found[i] = True
            front[size] = i
            size += 1
    return found


@jit
def _beaten(ranks: Ranks, pivots: Ranks) -> NDArray[np.bool_]:
    """Which rows one of the pivots dominates."""
    count, objectives = ranks.shape
    beaten = np.zeros(count, np.bool_)
    for i in range(count):
        for pivot in pivots:
            equal, worse = True, False
            for k in range(objectives):
                if pivot[k] > ranks[i, k]:
                    worse = True
                    break
                if pivot[k] < ranks[i, k]:
                    equal = False
            if not worse and not equal:
                beaten[i] = True
                break
    return beaten
