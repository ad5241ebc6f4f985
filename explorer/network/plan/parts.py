"""What a plan costs as a sum of parts, each of which depends on few choices.

The choices are variables: a row of each table, then the layout in which each tensor is written. A
part is what a row costs; that a row writes a layout; or what a tensor's transitions cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.network.plan.tables import Array, Tables

NEVER = 2**56
"""What is impossible costs this; sums of 64 still fit 64 bits."""

MOST = 2**52
"""All that a plan can cost in metrics that are told as one number stays below this."""

FIXED = -1
"""In place of a variable that has one value."""

Choice = Mapping[int, Array]
"""Values of variables, by their numbers, in arrays that broadcast."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A part whose values are there.

    Attributes:
        scope: the variables that it depends on.
        values: of each number in which costs are told, the first one first, by these variables.
    """

    scope: tuple[int, ...]
    values: tuple[Array, ...]

    def whole(self) -> Array:
        """All values in the first number."""
        return self.values[0]

    def at(self, number: int, choice: Choice) -> Array:
        """The values in a number where variables are chosen so."""
        found: Array = self.values[number][tuple(choice[v] for v in self.scope)]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """What a tensor's transitions cost: by the layout written, and the rows of its readers.

    Attributes:
        written: the variable of the layout; `FIXED` where there is one only.
        costs: of each number, by the layouts written and read.
        columns: of each column in which it is read, the variable of its rows and the layouts in
            them; `FIXED` with one layout, where all rows have the same.
    """

    written: int
    costs: tuple[Array, ...]
    columns: tuple[tuple[int, Array], ...]

    @property
    def scope(self) -> tuple[int, ...]:
        """The variables that it depends on."""
        found = dict.fromkeys((self.written, *(v for v, _ in self.columns)))
        return tuple(v for v in found if v != FIXED)

    def whole(self) -> Array:
        """All values in the first number."""
        extents = {self.written: len(self.costs[0])} | {v: len(c) for v, c in self.columns}
        choice = {}
        for place, variable in enumerate(self.scope):
            shape = [-1 if i == place else 1 for i in range(len(self.scope))]
            choice[variable] = np.arange(extents[variable]).reshape(shape)
        return self.at(0, choice)

    def at(self, number: int, choice: Choice) -> Array:
        """The values in a number where variables are chosen so."""
        total = np.zeros((), np.int64)
        seen: list[Array] = []
        for variable, layouts in self.columns:
            read = layouts[choice.get(variable, 0)]
            cost = self.costs[number][choice.get(self.written, 0), read]
            for other in seen:
                # A layout is made once for all that want it.
                cost = np.where(read == other, 0, cost)
            total = total + cost
            seen.append(read)
        return np.minimum(total, NEVER)


Part = Known | Passed

Unit = list[list[tuple[int, int]]]
"""Numbers in which costs are told: in each, metrics with what one of them counts."""


def numbers(problem: Tables) -> Unit | None:
    """How costs are told in few numbers, of which the first decides, then the second.

    Metrics are told as one number as long as no plan's values of the later ones can add up to one
    of the first. None if a metric's values are too large.
    """
    found: Unit = []
    room = MOST
    for metric in range(problem.ranks):
        spread = sum(int(np.ptp(t.costs[:, metric])) for t in problem.tables)
        spread += sum(
            p.readers * int(p.costs[:, :, metric].max(initial=0, where=p.possible))
            for p in problem.passing.values()
        )
        if spread >= MOST:
            return None
        if spread >= room or not found:
            found.append([])
            room = MOST
        room //= spread + 1
        found[-1] = [(m, unit * (spread + 1)) for m, unit in found[-1]] + [(metric, 1)]
    return found


def _in_numbers(costs: Array, unit: Unit) -> tuple[Array, ...]:
    """Costs (..., metrics) in numbers."""
    return tuple(
        np.asarray(sum(costs[..., metric] * one for metric, one in number), np.int64)
        for number in unit
    )


def parts_of(problem: Tables, unit: Unit) -> tuple[list[Part], list[int]]:
    """What a plan's costs are the sum of, and how many values each variable has.

    The variables are the tables' rows, then the layouts in which tensors are written. Those that
    have one value occur in no part.
    """
    parts: list[Part] = []
    sizes = [len(table.keys) for table in problem.tables]
    columns: dict[str, list[tuple[int, Array]]] = {}
    for i, table in enumerate(problem.tables):
        if len(table.keys) > 1:
            parts.append(Known((i,), _in_numbers(table.costs - table.costs.min(axis=0), unit)))
        for column, tensor in enumerate(table.reads):
            layouts = table.keys[:, column]
            fixed = bool((layouts == layouts[0]).all())
            found = (FIXED, layouts[:1]) if fixed else (i, layouts)
            columns.setdefault(tensor, []).append(found)
    for i, table in enumerate(problem.tables):
        for column, tensor in enumerate(table.writes, len(table.reads)):
            read = columns.get(tensor, [])
            layouts, which = np.unique(table.keys[:, column], return_inverse=True)
            variable, passing = FIXED, problem.passing[tensor]
            if read and len(layouts) > 1:
                variable = len(sizes)
                sizes.append(len(layouts))
                apart = np.where(which[:, None] == np.arange(len(layouts)), 0, NEVER)
                zeros = [np.zeros_like(apart)] * (len(unit) - 1)
                parts.append(Known((i, variable), (apart, *zeros)))
            first, *others = _in_numbers(passing.costs[layouts], unit)
            first = np.where(passing.possible[layouts], first, NEVER)
            parts.append(Passed(variable, (first, *others), tuple(read)))
    return parts, sizes
