"""Exact reductions: what need not be decided by search, since something else is never worse.

Named as in the account that a plan gives of itself:

- **grouped** layouts: two layouts in which a tensor is written, and from which every reader is
  reached at the same costs, are one (and two in which its only reader reads it).
- **dominated** candidates: of those that read and write alike, the cheapest is enough.
- **joined** nodes: two neighbours become one node, whose candidates are their pairs. A tensor with
  no reader elsewhere is then decided: what it costs is added, its layouts are forgotten, and most
  pairs are dominated. For chains and residual blocks this is dynamic programming along the graph;
  where a join would have too many rows, the solver decides what is left.

All of it keeps at least one best plan (with limits or objectives: one for each combination of their
values that counts), and nothing that is no plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from explorer.network.tables import Array, Mask, Passing, Table, Tables

PAIRS = 2**19
"""Pairs of rows that a join may look at: about a tenth of a second."""

ROWS = 2**11
"""Rows that a joined table may have: more are better left to the solver."""


@dataclass(frozen=True, slots=True)
class Account:
    """What was reduced before the solver was asked.

    Attributes:
        candidates: there were.
        grouped: layouts that count as another one.
        dominated: candidates that others made needless.
        joined: joins of two nodes.
        nodes: left for the solver; one where all were joined.
        left: candidates left for the solver.
    """

    candidates: int
    grouped: int
    dominated: int
    joined: int
    nodes: int
    left: int


def reduce(problem: Tables) -> tuple[Tables, Account]:
    """The problem with fewer candidates, and what was done."""
    rows = problem.rows
    problem, grouped = _grouped(problem)
    problem = replace(problem, tables=tuple(_best(t, problem) for t in problem.tables))
    dominated = rows - problem.rows
    count = len(problem.tables)
    problem = _joined(problem)
    left = len(problem.tables)
    return problem, Account(rows, grouped, dominated, count - left, left, problem.rows)


# ---------------------------------------------------------------- grouped layouts


def _grouped(problem: Tables) -> tuple[Tables, int]:
    """The tables with one code for layouts that nobody can tell apart, and how many went."""
    written: dict[str, Array] = {}
    read: dict[str, Array] = {}
    for tensor, passing in problem.passing.items():
        # What is impossible costs -1, which nothing else does.
        costs = np.where(passing.possible[..., None], passing.costs, -1)
        written[tensor] = _classes(costs)
        # With several readers, two layouts of the same costs are still two copies, or one.
        several = passing.readers > 1
        read[tensor] = (
            np.arange(len(passing.read)) if several else _classes(np.swapaxes(costs, 0, 1))
        )
    gone = sum(len(c) - len(np.unique(c)) for side in (written, read) for c in side.values())
    tables = []
    for table in problem.tables:
        keys = table.keys.copy()
        for column, tensor in enumerate(table.reads):
            keys[:, column] = read[tensor][keys[:, column]]
        for column, tensor in enumerate(table.writes, start=len(table.reads)):
            keys[:, column] = written[tensor][keys[:, column]]
        tables.append(replace(table, keys=keys))
    return replace(problem, tables=tuple(tables)), gone


def _classes(costs: Array) -> Array:
    """For each row, the first one that equals it."""
    if not costs.size:
        return np.zeros(len(costs), np.int64)
    flat = costs.reshape(len(costs), -1)
    _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)


# ---------------------------------------------------------------- dominated candidates


def _best(table: Table, problem: Tables) -> Table:
    """Of rows with equal keys, those that are needed."""
    if not len(table.keys):
        return table
    # The first columns decide last in lexsort; by the keys first, then by rank.
    ranked = [table.costs[:, i] for i in range(problem.ranks)]
    columns = [*(table.keys[:, i] for i in range(table.keys.shape[1])), *ranked]
    order = np.lexsort(columns[::-1]) if columns else np.arange(len(table.keys))
    keys, costs = table.keys[order], table.costs[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    if not problem.kept:
        return table.taking(order[starts])
    return table.taking(order[_undominated(starts, costs[:, problem.kept])])


def _undominated(starts: Mask, costs: Array) -> Mask:
    """Of sorted rows in groups, those that no earlier one of their group equals or beats in all."""
    keep = np.zeros(len(costs), np.bool_)
    front: list[list[int]] = []
    for i, (first, values) in enumerate(zip(starts.tolist(), costs.tolist(), strict=True)):
        if first:
            front = []
        if not any(all(a <= b for a, b in zip(other, values, strict=True)) for other in front):
            front.append(values)
            keep[i] = True
    return keep


# ---------------------------------------------------------------- joined nodes


def _joined(problem: Tables) -> Tables:
    """The tables joined as far as joins stay small."""
    tables = list(problem.tables)
    tried: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    while True:
        pairs = [
            (len(tables[i].keys) * len(tables[j].keys), i, j)
            for i, j in _neighbours(tables)
            if (tables[i].nodes, tables[j].nodes) not in tried
        ]
        if not pairs or min(pairs)[0] > PAIRS:
            return replace(problem, tables=tuple(tables))
        _, i, j = min(pairs)
        left, right = tables[i], tables[j]
        found = _best(join(left, right, problem), problem)
        if len(found.keys) > max(ROWS, len(left.keys), len(right.keys)):
            tried.add((left.nodes, right.nodes))
            continue
        del tables[j]
        tables[i] = found


def _neighbours(tables: list[Table]) -> set[tuple[int, int]]:
    """The pairs of tables that share a tensor."""
    sharing: dict[str, list[int]] = {}
    for i, table in enumerate(tables):
        for tensor in table.tensors:
            sharing.setdefault(tensor, []).append(i)
    return {pair for members in sharing.values() for pair in combinations(members, 2)}


def join(left: Table, right: Table, problem: Tables) -> Table:
    """All pairs of rows, with what the tensors cost that no other table reads or writes."""
    n, m = len(left.keys), len(right.keys)
    rows = np.stack([np.repeat(np.arange(n), m), np.tile(np.arange(m), n)], axis=1)
    costs = left.costs[rows[:, 0]] + right.costs[rows[:, 1]]
    reads = [(t, left.keys[rows[:, 0], i]) for i, t in enumerate(left.reads)]
    reads += [(t, right.keys[rows[:, 1], i]) for i, t in enumerate(right.reads)]
    writes = {t: left.keys[rows[:, 0], i] for i, t in enumerate(left.writes, len(left.reads))}
    writes |= {t: right.keys[rows[:, 1], i] for i, t in enumerate(right.writes, len(right.reads))}
    possible = np.ones(len(rows), np.bool_)
    decided = set()
    for tensor, codes in writes.items():
        own = [column for t, column in reads if t == tensor]
        passing = problem.passing[tensor]
        if len(own) == passing.readers:
            added, fine = passed(passing, codes, own)
            costs, possible = costs + added, possible & fine
            decided.add(tensor)
    open_reads = _ordered([(t, c) for t, c in reads if t not in decided])
    open_writes = [(t, c) for t, c in writes.items() if t not in decided]
    columns = [c for _, c in (*open_reads, *open_writes)]
    keys = np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0), np.int64)
    return Table(
        (*left.nodes, *right.nodes),
        tuple(t for t, _ in open_reads),
        tuple(t for t, _ in open_writes),
        keys,
        costs,
        rows,
        (left, right),
    ).taking(possible)


def _ordered(reads: list[tuple[str, Array]]) -> list[tuple[str, Array]]:
    """The columns by tensor; which of a tensor's readers wants which layout makes no difference."""
    found: list[tuple[str, Array]] = []
    for tensor in dict.fromkeys(t for t, _ in reads):
        own = np.sort(np.stack([c for t, c in reads if t == tensor], axis=1), axis=1)
        # A layout that two want is one, however often it is wanted: the first fills the gaps.
        own[:, 1:] = np.where(own[:, 1:] == own[:, :-1], own[:, :1], own[:, 1:])
        own = np.sort(own, axis=1)
        found += [(tensor, own[:, i]) for i in range(own.shape[1])]
    return found


def passed(passing: Passing, written: Array, read: list[Array]) -> tuple[Array, Mask]:
    """What a tensor's transitions cost in each row, each layout counted once; and where they can be.

    Args:
        passing: the tensor's transitions.
        written: the layout that it is written in, (rows,).
        read: the layouts that each reader wants.
    """
    costs = np.zeros((len(written), passing.costs.shape[2]), np.int64)
    possible = np.ones(len(written), np.bool_)
    for i, column in enumerate(read):
        new = np.ones(len(written), np.bool_)
        for other in read[:i]:
            new &= other != column
        costs += np.where(new[:, None], passing.costs[written, column], 0)
        possible &= passing.possible[written, column]
    return costs, possible
