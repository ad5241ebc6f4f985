"""Exact reductions: what need not be decided by search, since something else is never worse.

Named as in the account that a plan gives of itself:

- **grouped** layouts: two layouts in which a tensor is written, and from which every reader is
  reached at the same costs, are one (and two in which its only reader reads it).
- **dominated** candidates: of those that read and write alike, the cheapest is enough.
- **outweighed** candidates: another one is cheaper even where its layouts cost the most that they
  can cost more.
- **joined** nodes: two neighbours become one node, whose candidates are their pairs. A tensor with
  no reader elsewhere is then decided: what it costs is added, its layouts are forgotten, and most
  pairs are dominated. For chains and residual blocks this is dynamic programming along the graph;
  where a join would have too many rows, what is left is eliminated, or else the solver's.
- **eliminated** nodes: several joined nodes are decided together, given the layouts in which their
  tensors are written (`explorer.network.plan.elimination`).

All of it keeps at least one best plan (with limits or objectives: one for each combination of their
values that counts), and nothing that is no plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce as reduce_in_turn
from itertools import combinations, count

import numpy as np

from explorer.network.plan.elimination import eliminated
from explorer.network.plan.tables import Array, Mask, Passing, Table, Tables


@dataclass(frozen=True, slots=True)
class Size:
    """How large joins may be.

    Attributes:
        pairs: of rows that a join may look at.
        rows: that a joined table may have on the way.
    """

    pairs: int
    rows: int


SMALL = Size(2**15, 2**11)
"""A hundredth of a second: what else is left is eliminated more quickly than joined."""

LARGE = Size(2**19, 2**14)
"""A tenth of a second, where something is left that cannot be eliminated."""


@dataclass(frozen=True, slots=True)
class Account:
    """What was reduced before the solver was asked.

    Attributes:
        candidates: there were.
        grouped: layouts that count as another one.
        dominated: candidates that another one with the same layouts made needless.
        outweighed: candidates that one with other layouts made needless.
        joined: joins of two nodes.
        eliminated: nodes that were decided by elimination.
        nodes: left for the solver; one where all were joined.
        left: candidates left for the solver.
    """

    candidates: int
    grouped: int
    dominated: int
    outweighed: int
    joined: int
    eliminated: int
    nodes: int
    left: int


def reduce(problem: Tables) -> tuple[Tables, Account]:
    """The problem with fewer candidates, and what was done."""
    rows = problem.rows
    problem, grouped = _grouped(problem)
    problem = replace(problem, tables=tuple(_best(t, problem) for t in problem.tables))
    dominated = rows - problem.rows
    problem = replace(problem, tables=tuple(_cheaper(t, problem) for t in problem.tables))
    outweighed = rows - dominated - problem.rows
    problem, joined, gone = _decided(problem)
    left = len(problem.tables)
    account = Account(rows, grouped, dominated, outweighed, joined, gone, left, problem.rows)
    return _narrowed(problem), account


def _decided(problem: Tables) -> tuple[Tables, int, int]:
    """The problem with tables joined, or eliminated; and how many were either."""
    before = len(problem.tables)
    found = _joined(problem, SMALL)
    if _decides(found):
        return found, before - len(found.tables), 0
    # Where several plans are wanted, or limits kept, the best one by itself says little.
    able = not problem.kept and all(len(table.keys) for table in found.tables)
    rows = eliminated(found) if able else None
    if rows is None:
        found = _joined(problem, LARGE)
        return found, before - len(found.tables), 0
    chosen = [t.taking(np.array([row])) for t, row in zip(found.tables, rows, strict=True)]
    whole = reduce_in_turn(lambda left, right: join(left, right, problem), chosen)
    return replace(found, tables=(whole,)), before - len(found.tables), len(found.tables)


def _decides(problem: Tables) -> bool:
    """Whether no tensor is shared any more, so that nothing is left to decide but for limits."""
    return not any(table.tensors for table in problem.tables)


def _narrowed(problem: Tables) -> Tables:
    """The tables without the transitions that no row asks for any longer."""
    passing: dict[str, Passing] = {}
    for tensor, known in problem.passing.items():
        written, read = (np.zeros(n, np.bool_) for n in known.possible.shape)
        for table in problem.tables:
            for column, name in enumerate((*table.reads, *table.writes)):
                side = read if column < len(table.reads) else written
                if name == tensor:
                    side[table.keys[:, column]] = True
        if written.any():
            asked = written[:, None] & read[None, :]
            passing[tensor] = replace(known, possible=known.possible & asked)
    return replace(problem, passing=passing)


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
    codes = _codes(table, problem)
    if not problem.kept and problem.ranks:
        # Most rows are not the least of their key in the first metric, and need not be sorted.
        _, codes = np.unique(codes, return_inverse=True)
        least = np.full(codes.max() + 1, np.iinfo(np.int64).max)
        np.minimum.at(least, codes, table.costs[:, 0])
        near = np.flatnonzero(table.costs[:, 0] == least[codes])
        table, codes = table.taking(near), codes[near]
    # In lexsort the last column decides first: the key, then rank by rank.
    ranked = [table.costs[:, i] for i in range(problem.ranks)]
    order = np.lexsort([*ranked[::-1], codes])
    sorted_codes = codes[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = sorted_codes[1:] != sorted_codes[:-1]
    if not problem.kept:
        return table.taking(order[starts])
    return table.taking(order[_undominated(starts, table.costs[order][:, problem.kept])])


def _codes(table: Table, problem: Tables) -> Array:
    """One number for the key of each row."""
    codes = np.zeros(len(table.keys), np.int64)
    room = 1
    for column, tensor in enumerate((*table.reads, *table.writes)):
        written, read = problem.passing[tensor].possible.shape
        extent = max(read if column < len(table.reads) else written, 1)
        if room * extent >= 2**62:
            _, codes = np.unique(codes, return_inverse=True)
            room = len(codes)
        codes = codes * extent + table.keys[:, column]
        room *= extent
    return codes


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


# ---------------------------------------------------------------- outweighed candidates

COMPARED = 2**8
"""Rows of which each is compared with each."""

NEVER = 2**60
"""More than anything costs; sums of a few still fit 64 bits."""


def _cheaper(table: Table, problem: Tables) -> Table:
    """The rows that no other one undercuts, whatever the neighbours choose."""
    tensors = [*table.reads, *table.writes]
    # The bounds below are those of a tensor that the table only reads, or only writes.
    if len(table.keys) > COMPARED or set(table.reads) & set(table.writes) or not tensors:
        return table
    worse = np.ones((len(table.keys), len(table.keys)), np.bool_)
    for metric in dict.fromkeys((0, *problem.kept)):
        costs = table.costs[:, metric]
        # [a, b]: the most that a may cost more than b.
        more = costs[:, None] - costs[None, :]
        for column, tensor in enumerate(tensors):
            passing = problem.passing[tensor]
            reading = column < len(table.reads)
            extra = (_read_otherwise if reading else _written_otherwise)(passing, metric)
            keys = table.keys[:, column]
            more = np.minimum(more + extra[keys[:, None], keys[None, :]], NEVER)
        # Less in the first metric, so that no two rows can outweigh each other.
        worse &= more < 0 if metric == 0 else more <= 0
    return table.taking(np.flatnonzero(~np.any(worse, axis=0)))


def _written_otherwise(passing: Passing, metric: int) -> Array:
    """[a, b]: the most that it costs more to write a than b: for each reader the worst layout."""
    costs, possible = passing.costs[:, :, metric], passing.possible
    more = np.where(possible[None, :], costs[:, None] - costs[None, :], -NEVER)
    more = np.where(~possible[:, None] & possible[None, :], NEVER, more)
    worst = more.max(axis=2, initial=0)
    # Readers may all want this layout in turn of others that are as bad.
    return np.where(worst < NEVER, np.minimum(worst * passing.readers, NEVER), NEVER)


def _read_otherwise(passing: Passing, metric: int) -> Array:
    """[a, b]: the most that it costs more to read a than b: the worst that can be written."""
    costs, possible = passing.costs[:, :, metric], passing.possible
    there, instead = costs.T[:, None], costs.T[None, :]
    # With other readers, what b costs may be paid anyway.
    more = there - instead if passing.readers == 1 else there + np.zeros_like(instead)
    more = np.where(possible.T[None, :], more, -NEVER)
    more = np.where(~possible.T[:, None] & possible.T[None, :], NEVER, more)
    worst = more.max(axis=2, initial=-NEVER)
    np.fill_diagonal(worst, 0)
    most: Array = np.maximum(worst, 0)
    return most


# ---------------------------------------------------------------- joined nodes


def _joined(problem: Tables, most: Size) -> Tables:
    """The tables joined as far as joins stay small."""
    tables = dict(enumerate(problem.tables))
    small = problem.tables
    own = {table.nodes[0]: len(table.keys) for table in problem.tables}
    # Of each pair, what its join may leave and looks at; None where it is too large.
    known: dict[tuple[int, int], tuple[int, int] | None] = {}
    for number in count(len(tables)):
        pairs = _neighbours(tables)
        for i, j in pairs - known.keys():
            known[i, j] = _expected(tables[i], tables[j], problem, most.pairs)
        open_pairs = [(size, pair) for pair in pairs if (size := known[pair]) is not None]
        if not open_pairs:
            break
        _, (i, j) = min(open_pairs)
        left, right = tables[i], tables[j]
        found = _cheaper(_best(join(left, right, problem), problem), problem)
        if len(found.keys) > max(most.rows, len(left.keys), len(right.keys)):
            known[i, j] = None
            continue
        del tables[i], tables[j]
        tables[number] = found
        # Where the solver goes on, a join that has more rows than its nodes costs more than it
        # saves: cores speak of whole rows then, and no longer of what one node takes.
        if all(len(t.keys) <= sum(own[n] for n in t.nodes) for t in tables.values()):
            small = tuple(tables.values())
    whole = replace(problem, tables=tuple(tables.values()))
    return whole if _decides(whole) else replace(problem, tables=small)


def _expected(left: Table, right: Table, problem: Tables, most: int) -> tuple[int, int] | None:
    """How many rows a join may leave, and at how many it looks; None if those are too many."""
    pairs = len(left.keys) * len(right.keys)
    if pairs > most:
        return None
    reads, writes = [*left.reads, *right.reads], {*left.writes, *right.writes}
    keys = 1
    for tensor in {*reads, *writes}:
        passing, own = problem.passing[tensor], reads.count(tensor)
        if tensor not in writes or own < passing.readers:
            written, read = passing.possible.shape
            keys *= read**own * (written if tensor in writes else 1)
    return min(keys, pairs), pairs


def _neighbours(tables: Mapping[int, Table]) -> set[tuple[int, int]]:
    """The pairs of tables that share a tensor, the lesser number first."""
    sharing: dict[str, list[int]] = {}
    for i, table in tables.items():
        for tensor in table.tensors:
            sharing.setdefault(tensor, []).append(i)
    return {pair for members in sharing.values() for pair in combinations(sorted(members), 2)}


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
    """What a tensor's transitions cost in each row, each layout once; and where they can be.

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
