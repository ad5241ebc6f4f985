"""A problem as tables of numbers: what the exact reductions work on.

A table holds the candidates of one node, or of several that were joined: a row each, with the codes
of the layouts that it reads and writes, and what it costs in the metrics that matter. Whoever joins
tables keeps where each row comes from, so that a row of the last one names a candidate of every
node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.network.plan.problem import METRICS, Candidate, Problem
from explorer.network.plan.wishes import Wishes

Array = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Table:
    """Candidates as rows.

    Attributes:
        nodes: whose candidates they are.
        reads: the tensor of each column of layouts read; a tensor may stand several times.
        writes: the tensor of each column of layouts written.
        keys: codes of layouts, (rows, reads and then writes).
        costs: (rows, metrics that matter).
        origin: of a node's own table, which candidate a row is, (rows, 1); of a joined one, the
            rows of its two parts, (rows, 2).
        parts: the tables that were joined.
    """

    nodes: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    keys: Array
    costs: Array
    origin: Array
    parts: tuple[Table, Table] | None = None

    @property
    def tensors(self) -> set[str]:
        """What it shares with other tables."""
        return {*self.reads, *self.writes}

    def taking(self, rows: Array | Mask) -> Table:
        """The table with some of its rows."""
        return Table(
            self.nodes,
            self.reads,
            self.writes,
            self.keys[rows],
            self.costs[rows],
            self.origin[rows],
            self.parts,
        )

    def candidates(self, row: int) -> Iterator[tuple[str, int]]:
        """Of each node, the number of the candidate that a row stands for."""
        if self.parts is None:
            yield self.nodes[0], int(self.origin[row, 0])
            return
        for part, own in zip(self.parts, self.origin[row], strict=True):
            yield from part.candidates(int(own))


@dataclass(frozen=True, slots=True)
class Passing:
    """The transitions of one tensor.

    Attributes:
        written, read: the layouts, by their codes.
        costs: (written, read, metrics that matter).
        possible: (written, read).
        readers: columns in which it is read, over all tables.
    """

    written: tuple[str, ...]
    read: tuple[str, ...]
    costs: Array
    possible: Mask
    readers: int


@dataclass(frozen=True, slots=True)
class Tables:
    """A problem as tables.

    Attributes:
        tables: of the nodes.
        passing: by tensor.
        metrics: those that matter, the ones that rank first.
        ranks: how many of them rank, one after the other; the others are only limited.
        kept: metrics in which no row may be dominated by the one that is kept in its place.
    """

    tables: tuple[Table, ...]
    passing: Mapping[str, Passing]
    metrics: tuple[str, ...]
    ranks: int
    kept: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(len(table.keys) for table in self.tables)


def tables(problem: Problem, wishes: Wishes, *, pinned: bool = True) -> Tables:
    """The problem in the metrics that its wishes name.

    Args:
        problem: nodes and transitions.
        wishes: what is asked.
        pinned: leave out the candidates that pins exclude, so that a table may be empty.
    """
    limited = [m for m in METRICS if m in wishes.limits and m not in wishes.ranked]
    metrics = (*wishes.ranked, *limited)
    layouts = _layouts(problem)
    codes = {
        t: [{x: i for i, x in enumerate(names)} for names in pair] for t, pair in layouts.items()
    }
    columns = [METRICS.index(m) for m in metrics]
    found = []
    for node in problem.nodes:
        # In the order of the tensors, which is the same for all candidates.
        ends = [(sorted(c.reads), sorted(c.writes)) for c in node.candidates]
        keys = [
            [codes[t][1][x] for t, x in reads] + [codes[t][0][x] for t, x in writes]
            for reads, writes in ends
        ]
        costs = [[c.cost[i] for i in columns] for c in node.candidates]
        rows = [
            i for i, c in enumerate(node.candidates) if not pinned or meets(c, node.name, wishes)
        ]
        reads, writes = ends[0]
        table = Table(
            (node.name,),
            tuple(t for t, _ in reads),
            tuple(t for t, _ in writes),
            np.array(keys, np.int64).reshape(len(keys), len(reads) + len(writes)),
            np.array(costs, np.int64).reshape(len(keys), len(columns)),
            np.arange(len(keys), dtype=np.int64)[:, None],
        )
        found.append(table.taking(np.array(rows, np.int64)))
    limits = [metrics.index(m) for m in METRICS if m in wishes.limits]
    fronts = range(len(wishes.objectives))
    kept = tuple(sorted({*limits, *fronts}))
    counts = _readers(found)
    passing = {t: _passing(problem, t, *layouts[t], columns, counts[t]) for t in layouts}
    return Tables(tuple(found), passing, metrics, len(wishes.ranked), kept)


def _layouts(problem: Problem) -> dict[str, tuple[list[str], list[str]]]:
    """The layouts in which each tensor is written and read."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {
        t: ({}, {}) for t in problem.tensors()
    }
    for node in problem.nodes:
        for candidate in node.candidates:
            for tensor, layout in candidate.writes:
                found[tensor][0][layout] = None
            for tensor, layout in candidate.reads:
                found[tensor][1][layout] = None
    return {t: (list(written), list(read)) for t, (written, read) in found.items()}


def meets(candidate: Candidate, node: str, wishes: Wishes) -> bool:
    """Whether a node's candidate is what pins ask for."""
    written = dict(candidate.writes)
    return all(
        (pin.node != node or pin.candidate == candidate.name)
        and (pin.tensor not in written or written[pin.tensor] == pin.layout)
        for pin in wishes.pins
    )


def _readers(found: Iterable[Table]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in found:
        for tensor in table.writes:
            counts.setdefault(tensor, 0)
        for tensor in table.reads:
            counts[tensor] = counts.get(tensor, 0) + 1
    return counts


def _passing(
    problem: Problem,
    tensor: str,
    written: Sequence[str],
    read: Sequence[str],
    columns: Sequence[int],
    readers: int,
) -> Passing:
    costs = np.zeros((len(written), len(read), len(columns)), np.int64)
    possible = np.zeros((len(written), len(read)), np.bool_)
    for i, there in enumerate(written):
        for j, here in enumerate(read):
            found = problem.passage(tensor, there, here)
            if found is not None:
                possible[i, j] = True
                costs[i, j] = [found[k] for k in columns]
    return Passing(tuple(written), tuple(read), costs, possible, readers)
