"""Exact min-marginals: what the best of all assignments costs that gives a variable some value.

Costs are sums over variables and pairs of them. A variable with at most two neighbours is
eliminated: what it costs at the least becomes a cost of these, as in dynamic programming. The same
way back tells what each of its values costs at the least together with all others. Chains, trees,
residual blocks and branches that meet again come to nothing this way. Where every variable left has
three neighbours or more, a pair's costs are weakened to what each value of one of them costs at the
least: then all that is said are lower bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]
NEVER = 2**59
"""What is impossible costs so much or more; sums of a few still fit 64 bits."""

Pair = tuple[int, int]
"""Two variables, the lesser first: rows of a pair's costs are values of that one."""


@dataclass(frozen=True, slots=True)
class Marginals:
    """What assignments cost at the least.

    Attributes:
        least: of all; `NEVER` or more if there is none.
        of: of each variable, by value: with that value.
        exact: whether these are the costs, and not only lower bounds of them.
    """

    least: int
    of: Mapping[int, Array]
    exact: bool


@dataclass(frozen=True, slots=True)
class _Gone:
    """A variable that was eliminated.

    Attributes:
        variable: which.
        own: its own costs, with those of variables eliminated before.
        beside: its neighbours, two at most, with the costs of each pair, (neighbour, variable).
        made: what it has become: costs of the neighbours.
    """

    variable: int
    own: Array
    beside: tuple[tuple[int, Array], ...]
    made: Array


@dataclass(frozen=True, slots=True)
class _Weakened:
    """A pair whose costs count only by what each value of the first costs at the least."""

    first: int
    second: int
    costs: Array
    made: Array


SPARSE = 8
"""Where at most one in so many pairs is possible, only those are gone through."""

PORTION = 2**22
"""Numbers that are held at a time then."""


def product(left: Array, right: Array) -> Array:
    """Of costs (a, v) and (v, b) the least sums, (a, b)."""
    n, k = left.shape
    m = right.shape[1]
    if _sparse(left):
        return _sparsely(left, right)
    if _sparse(right):
        turned: Array = _sparsely(right.T, left.T).T
        return turned
    found = np.full((n, m), NEVER, np.int64)
    if k <= min(n, m):
        for i in range(k):
            np.minimum(found, left[:, i, None] + right[i], out=found)
    elif n <= m:
        for i in range(n):
            found[i] = (left[i, :, None] + right).min(axis=0, initial=NEVER)
    else:
        for i in range(m):
            found[:, i] = (left + right[:, i]).min(axis=1, initial=NEVER)
    return found


def beside(costs: Array, left: Array, right: Array) -> Array:
    """Costs (a, b), and with them the least sums of (a, v) and (v, b)."""
    if not _sparse(costs):
        whole: Array = np.minimum(costs + product(left, right), NEVER)
        return whole
    found = np.full(costs.shape, NEVER, np.int64)
    rows, columns = np.nonzero(costs < NEVER)
    portion = max(1, PORTION // max(1, left.shape[1]))
    turned = np.ascontiguousarray(right.T)
    for start in range(0, len(rows), portion):
        i, j = rows[start : start + portion], columns[start : start + portion]
        least = (left[i] + turned[j]).min(axis=1, initial=NEVER)
        found[i, j] = np.minimum(costs[i, j] + least, NEVER)
    return found


def _sparse(costs: Array) -> bool:
    """Whether few pairs are possible: as of a node and the layouts that its ways write."""
    return int(np.count_nonzero(costs < NEVER)) * SPARSE <= costs.size


def _sparsely(left: Array, right: Array) -> Array:
    """The least sums, by the pairs of the first one that are possible."""
    found = np.full((len(left), right.shape[1]), NEVER, np.int64)
    for i in range(left.shape[1]):
        rows = np.flatnonzero(left[:, i] < NEVER)
        if len(rows):
            found[rows] = np.minimum(found[rows], left[rows, i, None] + right[i])
    return found


@dataclass(slots=True)
class _Sums:
    """What is left while variables are eliminated."""

    own: dict[int, Array]
    pairs: dict[Pair, Array]
    around: dict[int, set[int]] = field(default_factory=dict)
    done: list[_Gone | _Weakened] = field(default_factory=list)

    def between(self, first: int, second: int) -> Array:
        """The costs of a pair, (first, second)."""
        if first < second:
            return self.pairs[first, second]
        return self.pairs[second, first].T

    def add(self, first: int, second: int, costs: Array) -> None:
        """Add costs (first, second) to those of the pair."""
        pair = (first, second) if first < second else (second, first)
        turned = costs if first < second else costs.T
        known = self.pairs.get(pair)
        self.pairs[pair] = np.minimum(turned if known is None else known + turned, NEVER)
        self.around[first].add(second)
        self.around[second].add(first)

    def work(self, variable: int) -> int:
        """About what its elimination looks at."""
        size = len(self.own[variable])
        for other in self.around[variable]:
            size *= len(self.own[other])
        return size

    def eliminate(self, variable: int) -> None:
        """Make a variable's costs those of its neighbours, two at most."""
        own = self.own.pop(variable)
        others = sorted(self.around.pop(variable))
        around = tuple((other, self._taken(other, variable)) for other in others)
        with_own = [np.minimum(costs + own, NEVER) for _, costs in around]
        if not around:
            made = np.array([own.min(initial=NEVER)], np.int64)
        elif len(around) == 1:
            made = with_own[0].min(axis=1, initial=NEVER)
            self.own[others[0]] = np.minimum(self.own[others[0]] + made, NEVER)
        else:
            made = product(with_own[0], around[1][1].T)
            self.add(others[0], others[1], made)
        self.done.append(_Gone(variable, own, around, made))

    def _taken(self, other: int, variable: int) -> Array:
        """The costs (other, variable), which are then gone."""
        costs = self.between(other, variable)
        del self.pairs[min(other, variable), max(other, variable)]
        self.around[other].discard(variable)
        return costs

    def weaken(self) -> None:
        """Weaken the pair whose costs say the least."""

        def said(pair: Pair) -> int:
            costs = np.minimum(self.pairs[pair], NEVER)
            return int((costs - costs.min(axis=1, keepdims=True, initial=NEVER)).max(initial=0))

        first, second = min(self.pairs, key=lambda pair: (said(pair), pair))
        costs = self._taken(first, second)
        self.around[second].discard(first)
        made = costs.min(axis=1, initial=NEVER)
        self.own[first] = np.minimum(self.own[first] + made, NEVER)
        self.done.append(_Weakened(first, second, costs, made))


def min_marginals(own: Mapping[int, Array], pairs: Mapping[Pair, Array]) -> Marginals:
    """The min-marginals of all variables.

    Args:
        own: of each variable, what its values cost by themselves.
        pairs: of pairs of them, what their values cost together.
    """
    sums = _Sums(dict(own), {})
    sums.around = {variable: set() for variable in own}
    for (first, second), costs in pairs.items():
        sums.add(first, second, costs)
    exact = True
    while sums.own:
        narrow = [v for v in sums.own if len(sums.around[v]) <= 2]
        if narrow:
            sums.eliminate(min(narrow, key=lambda v: (sums.work(v), v)))
        else:
            exact = False
            sums.weaken()
    ends = [gone for gone in sums.done if isinstance(gone, _Gone) and not gone.beside]
    least = min(sum(int(gone.made[0]) for gone in ends), NEVER)
    return Marginals(least, _backward(sums.done, least), exact)


def _backward(done: list[_Gone | _Weakened], least: int) -> dict[int, Array]:
    """The way back: of each variable, by value, the least cost of everything."""
    of: dict[int, Array] = {}
    both: dict[Pair, Array] = {}

    def keep(first: int, second: int, costs: Array) -> None:
        turned = costs if first < second else costs.T
        both[min(first, second), max(first, second)] = np.minimum(turned, NEVER)

    for gone in reversed(done):
        if isinstance(gone, _Weakened):
            rest = _without(of[gone.first], gone.made)
            keep(gone.first, gone.second, rest[:, None] + gone.costs)
        elif not gone.beside:
            of[gone.variable] = np.minimum(gone.own + (least - int(gone.made[0])), NEVER)
        elif len(gone.beside) == 1:
            (other, costs), own = gone.beside[0], gone.own
            rest = _without(of[other], gone.made)
            found = rest[:, None] + np.minimum(costs + own, NEVER)
            keep(other, gone.variable, found)
            of[gone.variable] = np.minimum(found.min(axis=0, initial=NEVER), NEVER)
        else:
            (first, left), (second, right) = gone.beside
            rest = _without(both[first, second], gone.made)
            found = beside(np.minimum(left + gone.own, NEVER), rest, right)
            keep(first, gone.variable, found)
            behind = beside(np.minimum(right + gone.own, NEVER), rest.T, left)
            keep(second, gone.variable, behind)
            of[gone.variable] = np.minimum(found.min(axis=0, initial=NEVER), NEVER)
    return of


def _without(whole: Array, part: Array) -> Array:
    """What is left of sums when a part is taken off; `NEVER` where the part is impossible."""
    return np.where((part >= NEVER) | (whole >= NEVER), NEVER, whole - np.minimum(part, NEVER))
