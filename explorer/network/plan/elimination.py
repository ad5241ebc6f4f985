"""Exact elimination of what joins leave: dynamic programming over a tree decomposition.

What is decided are a row of each table and the layout in which each tensor is written; what a plan
costs is a sum of **parts**, each of which depends on few of these: on a row, on a row and what it
writes, on a written layout and the rows of all its readers. Variables that occur together in few
parts are **eliminated**: for each combination of the variables around them, the best values are
found once, and a new part stands for them. In the end all is decided, and the values are read off
backwards. The layouts written stand between a module's producers and its consumers, so that in a
network of such modules a step looks at the consumers of one module at a time, however many there
are.

A step that is large goes through the variables around it one by one. What is left of the eliminated
ones shrinks on the way: a combination goes where another is better even if all that is still open
costs the other the most that it can, and this one the least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from explorer.network.plan.parts import NEVER, Known, Part, numbers, parts_of
from explorer.network.plan.tables import Array, Mask, Tables

VALUES = 2**24
"""Values that a part may have, and combinations that a step may eliminate: some 100 MB."""

WORK = 2**31
"""Sums that all steps may look at: some ten seconds. What would take more is left to the solver."""

PARTS = 64
"""Parts that a step may have: so many times `NEVER` is a number of 64 bits."""

AT_ONCE = 2**21
"""Sums that are looked at together, as long as they fit a cache; more go through variables."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Variables that are eliminated at once.

    Attributes:
        gone: the variables.
        around: those that occur with them.
        parts: numbers of the parts in which they occur; the new one has the next number.
    """

    gone: tuple[int, ...]
    around: tuple[int, ...]
    parts: tuple[int, ...]

    def gone_with(self, part: Part) -> bool:
        """Whether a part depends on nothing that stays."""
        return set(self.gone).issuperset(part.scope)


def eliminated(problem: Tables) -> list[int] | None:
    """The rows of a best plan; None if that takes too much, or if there is none.

    Args:
        problem: of which one best plan is wanted, without limits.
    """
    unit = numbers(problem)
    if unit is None:
        return None
    parts, sizes = parts_of(problem, unit)
    if any(not part.scope and int(part.whole()) >= NEVER for part in parts):
        return None  # there is no plan
    parts = [part for part in parts if part.scope]
    steps = _steps([part.scope for part in parts], sizes)
    if steps is None:
        return None  # parts are too large
    desk = _Desk(sizes, dict(enumerate(parts)), len(unit))
    found = []
    for step in steps:
        best = desk.eliminate(step)
        if best is None:
            return None
        found.append(best)
    chosen: dict[int, int] = {}
    for step, best in zip(reversed(steps), reversed(found), strict=True):
        flat = int(best[tuple(chosen[v] for v in step.around)])
        places = np.unravel_index(flat, [sizes[v] for v in step.gone])
        chosen |= {v: int(place) for v, place in zip(step.gone, places, strict=True)}
    return [chosen.get(i, 0) for i in range(len(problem.tables))] if desk.possible else None


# ---------------------------------------------------------------- the order of steps


def _steps(scopes: Iterable[Sequence[int]], sizes: Sequence[int]) -> list[_Step] | None:
    """What is eliminated, in turn: what leaves the smallest parts; None if one is too large."""
    left = {i: frozenset(scope) for i, scope in enumerate(scopes)}
    steps: list[_Step] = []
    around: dict[int, frozenset[int]] = {}
    sums: dict[int, int] = {}
    gone: dict[int, set[int]] = {}
    changed = frozenset().union(*left.values())
    for number in count(len(left)):
        for v in changed:
            around[v] = frozenset().union(*(scope for scope in left.values() if v in scope))
            sums[v] = math.prod(sizes[u] for u in around[v])
        for v in frozenset().union(*(around[u] for u in changed)):
            # All that occurs with no others goes at the same time: it costs nothing more.
            gone[v] = {u for u in around[v] if around[u] <= around[v]}
        if not around:
            break
        aim = min(around, key=lambda v: (sums[v] // math.prod(sizes[u] for u in gone[v]), v))
        # Of what goes, first that which occurs with the fewest.
        first = min(gone[aim], key=lambda v: (sums[v], v))
        step = tuple(sorted(gone[first]))
        changed = around[first] - gone[first]
        parts = tuple(i for i, scope in left.items() if scope & gone[first])
        sets = [gone[first], changed, *(left[i] for i in parts)]
        large = any(math.prod(sizes[v] for v in own) > VALUES for own in sets)
        if large or len(parts) > PARTS:
            return None
        steps.append(_Step(step, tuple(sorted(changed)), parts))
        left = {i: scope for i, scope in left.items() if i not in parts}
        if changed:
            left[number] = changed
        for v in step:
            del around[v], sums[v], gone[v]
    return steps


# ---------------------------------------------------------------- steps


@dataclass(slots=True)
class _Desk:
    """What is known while variables are eliminated.

    Attributes:
        sizes: how many values each variable has.
        parts: those that are left, by their numbers.
        numbers: in which costs are told.
        work: sums that were looked at.
        possible: whether there is any plan, as far as is known.
    """

    sizes: list[int]
    parts: dict[int, Part]
    numbers: int
    work: int = 0
    possible: bool = True
    next: int = field(init=False)

    def __post_init__(self) -> None:
        self.next = len(self.parts)

    def eliminate(self, step: _Step) -> Array | None:
        """Put one part in place of those of a step.

        Returns:
            The number of the best combination of what goes, for each of what is around; None if
            finding them takes too much.
        """
        own = [self.parts.pop(i) for i in step.parts]
        search = _Search.of(self, step, own)
        if not search.run():
            return None
        if step.around:
            self.parts[self.next] = Known(step.around, search.values)
        elif search.values[0] >= NEVER:
            self.possible = False
        self.next += 1
        return search.best


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """A part between what goes and what is around, in the first number.

    Attributes:
        around: its variables that stay.
        costs: by these, then by all combinations of its variables that go.
        which: of each combination of all that goes, the number of that of these; None where these
            are all that goes.
        least, most: over what stays, (combinations of its variables that go,).
    """

    around: tuple[int, ...]
    costs: Array
    which: Array | None
    least: Array
    most: Array

    @classmethod
    def of(cls, part: Part, gone: Sequence[int], sizes: Sequence[int]) -> _Link:
        """A part, where some variables go."""
        around = tuple(v for v in part.scope if v not in gone)
        own = tuple(v for v in gone if v in part.scope)
        values = part.whole().transpose([part.scope.index(v) for v in (*around, *own)])
        costs = values.reshape(*values.shape[: len(around)], -1)
        which = None
        if own != tuple(gone):
            flat = np.arange(costs.shape[-1]).reshape([sizes[v] if v in own else 1 for v in gone])
            which = np.broadcast_to(flat, [sizes[v] for v in gone]).reshape(-1)
        outer = tuple(range(len(around)))
        return cls(around, costs, which, costs.min(axis=outer), costs.max(axis=outer))

    def number(self, rows: Array) -> Array:
        """Of combinations of all that goes, the numbers of those of its own variables."""
        return rows if self.which is None else self.which[rows]

    def at(self, fixed: Mapping[int, int], rows: Array) -> Array:
        """The costs of some combinations, where some of what stays is fixed: by the rest of it."""
        place = tuple(fixed.get(v, slice(None)) for v in self.around)
        found: Array = self.costs[place][..., self.number(rows)]
        return found


@dataclass(slots=True)
class _Search:
    """A step that is being taken.

    Attributes:
        desk: where.
        step: which.
        own: its parts.
        cost: of each combination of what goes, as far as it depends on nothing else.
        links: parts between what goes and what is around.
        order: what is around, in the order in which it is gone through.
        values: of each number, the least costs, by what is around.
        best: the combination of what goes that has them.
    """

    desk: _Desk
    step: _Step
    own: list[Part]
    cost: Array
    links: list[_Link]
    order: tuple[int, ...]
    values: tuple[Array, ...]
    best: Array

    @classmethod
    def of(cls, desk: _Desk, step: _Step, own: list[Part]) -> _Search:
        """The start of a step."""
        cost: Array = np.zeros([desk.sizes[v] for v in step.gone], np.int64)
        links = []
        for part in own:
            if not step.gone_with(part):
                links.append(_Link.of(part, step.gone, desk.sizes))
                continue
            # In place: of all that goes there may be as many combinations as memory allows.
            cost += _spread(part, step.gone, desk.sizes)
            np.minimum(cost, NEVER, out=cost)
        # What differs most is fixed first: then little is open, and most combinations go.
        spread = dict.fromkeys(step.around, 0)
        for link in links:
            for v in link.around:
                spread[v] += int((link.most - link.least).max(initial=0))
        order = tuple(sorted(step.around, key=lambda v: (-spread[v], v)))
        best: Array = np.zeros([desk.sizes[v] for v in step.around], np.int64)
        values = tuple(np.zeros_like(best) for _ in range(desk.numbers))
        return cls(desk, step, own, cost.reshape(-1), links, order, values, best)

    def run(self) -> bool:
        """Find the best of what goes for all of what is around; whether it was not too much."""
        if not self.links:  # one combination is the best of all, and another may be as good
            self.desk.work += len(self.cost)
            equals = np.flatnonzero(self.cost == self.cost.min())
            return self._fix({}, equals, self.cost[equals], self.links)
        rows = np.arange(len(self.cost))
        near = _near(self.cost, *self._open(rows, self.links))
        return self._fix({}, rows[near], self.cost[near], self.links)

    def _open(self, rows: Array, links: Sequence[_Link]) -> tuple[Array, Array]:
        """The least and the most that some combinations may cost in links that are open."""
        self.desk.work += len(rows) * (len(links) + 1)
        least, most = np.zeros_like(rows), np.zeros_like(rows)
        for link in links:
            number = link.number(rows)
            least += link.least[number]
            most += link.most[number]
        return least, most

    def _fix(self, fixed: dict[int, int], rows: Array, cost: Array, links: Sequence[_Link]) -> bool:
        """Go through the rest of what is around.

        Args:
            fixed: what of it is fixed.
            rows: combinations of what goes that may be the best.
            cost: of these, as far as it follows from what is fixed.
            links: those that are not yet in it.
        """
        if self.desk.work > WORK:
            return False
        left = [v for v in self.order if v not in fixed]
        sums = len(rows) * math.prod(self.desk.sizes[v] for v in left)
        if sums <= AT_ONCE or not left:
            self.desk.work += sums
            self._least(fixed, rows, cost, links)
            return True
        known = {*fixed, left[0]}
        told = [link for link in links if known.issuperset(link.around)]
        later = [link for link in links if not known.issuperset(link.around)]
        least, most = self._open(rows, later)
        for value in range(self.desk.sizes[left[0]]):
            now = fixed | {left[0]: value}
            total = cost
            for link in told:
                total = total + link.at(now, rows)
            near = _near(total, least, most)
            self.desk.work += len(rows)
            if not self._fix(now, rows[near], total[near], later):
                return False
        return True

    def _least(
        self, fixed: Mapping[int, int], rows: Array, cost: Array, links: Sequence[_Link]
    ) -> None:
        """Note the best of some combinations for all of what is around that is not fixed."""
        left = [v for v in self.step.around if v not in fixed]
        sizes = [self.desk.sizes[v] for v in left]
        total = np.broadcast_to(cost, (*sizes, len(rows)))
        for link in links:
            own = [v for v in link.around if v not in fixed]
            found = link.at(fixed, rows)
            found = found.transpose([*(own.index(v) for v in left if v in own), len(own)])
            shape = [size if v in own else 1 for v, size in zip(left, sizes, strict=True)]
            total = total + found.reshape(*shape, len(rows))
        total = total.reshape(-1, len(rows))
        least = np.minimum(total.min(axis=1), NEVER)
        outer, inner = np.nonzero((total == least[:, None]) & (least < NEVER)[:, None])
        place = np.zeros(len(least), np.int64)
        values = [least, *(np.zeros_like(least) for _ in range(self.desk.numbers - 1))]
        if len(outer):
            choice = self._choice(fixed, left, sizes, outer, rows[inner])
            later = [
                np.asarray(sum(np.broadcast_to(p.at(n, choice), outer.shape) for p in self.own))
                for n in range(1, self.desk.numbers)
            ]
            # The first number is least already; the next ones decide, then the first combination.
            order = np.lexsort([*later[::-1], outer])
            starts = order[np.unique(outer[order], return_index=True)[1]]
            place[outer[starts]] = rows[inner[starts]]
            for value, found in zip(values[1:], later, strict=True):
                value[outer[starts]] = found[starts]
        where = tuple(fixed.get(v, slice(None)) for v in self.step.around)
        self.best[where] = place.reshape(sizes)
        for whole, value in zip(self.values, values, strict=True):
            whole[where] = value.reshape(sizes)

    def _choice(
        self,
        fixed: Mapping[int, int],
        left: Sequence[int],
        sizes: Sequence[int],
        outer: Array,
        rows: Array,
    ) -> dict[int, Array]:
        """The values of all variables of the step, for numbers of what is around and what goes."""
        choice = {v: np.asarray(value) for v, value in fixed.items()}
        if left:
            choice |= dict(zip(left, np.unravel_index(outer, sizes), strict=True))
        extents = [self.desk.sizes[v] for v in self.step.gone]
        return choice | dict(zip(self.step.gone, np.unravel_index(rows, extents), strict=True))


def _spread(part: Part, gone: Sequence[int], sizes: Sequence[int]) -> Array:
    """A part's first number by all that goes; of one value along what it does not depend on."""
    own = [v for v in gone if v in part.scope]
    values: Array = part.whole().transpose([part.scope.index(v) for v in own])
    return values.reshape([sizes[v] if v in own else 1 for v in gone])


def _near(cost: Array, least: Array, most: Array) -> Mask:
    """Which combinations may be the best, whatever is still open costs."""
    found: Mask = cost + least <= (cost + most).min()
    return found
