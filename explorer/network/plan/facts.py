"""Tables → clingo's symbols, with values that 32 bits hold: the only module that names predicates.

Values are exact whatever their size: each node's least value of a metric is taken off and added
back at the end, what is left is divided by the greatest number that divides it all, and where a sum
could still exceed 32 bits it is split in two limbs (see `encodings/network.lp`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from clingo import Function, Number, String, Symbol

from explorer.network.plan.tables import Array, Table, Tables
from explorer.network.plan.wishes import Wishes
from isa.errors import InputError

LARGEST = 2**31 - 1
"""clingo's integers."""


def atom(name: str, *arguments: str | int | Symbol) -> Symbol:
    """An atom; texts become strings."""
    return Function(name, [_symbol(a) for a in arguments])


def _symbol(value: str | int | Symbol) -> Symbol:
    if isinstance(value, str):
        return String(value)
    return Number(value) if isinstance(value, int) else value


def metric_term(metric: str) -> Symbol:
    """A metric's constant: ``host_bytes``."""
    return Function(metric.replace("-", "_"))


def requirement_of(metric: str) -> Symbol:
    """The name of the requirement that a limit is."""
    return Function("at_most", [metric_term(metric)])


@dataclass(frozen=True, slots=True)
class Scale:
    """How the values of a metric are written.

    Attributes:
        least: what was taken off, over all nodes.
        unit: what values were divided by.
        radix: values from this on have a high limb; 0 where no sum needs one.
        most_low: the greatest sum of low limbs.
    """

    least: int
    unit: int
    radix: int
    most_low: int

    def limbs(self, value: int) -> tuple[int, int]:
        """High and low limb of a scaled value."""
        return divmod(value, self.radix) if self.radix else (0, value)

    def limit(self, value: int) -> tuple[int, int]:
        """The greatest scaled value of a plan that stays at a value, in limbs; -1 if none can."""
        scaled = (value - self.least) // self.unit
        if scaled < 0:
            return -1, 0
        high, low = self.limbs(scaled)
        return min(high, LARGEST), min(low, LARGEST)

    def value(self, scaled: int) -> int:
        """The value of a scaled sum."""
        return self.least + self.unit * scaled


def scale(tables: Tables, metric: int, *, compared: bool) -> Scale:
    """How to write a metric's values.

    Args:
        tables: all values.
        metric: its place among the metrics.
        compared: whether sums are compared with a number, and not only made least. clasp then adds
            up the values of all candidates, though a plan has one of each node.

    Raises:
        InputError: the values are too large even for two limbs.
    """
    columns = [table.costs[:, metric] for table in tables.tables]
    least = sum(int(c.min()) for c in columns)
    # A tensor is made in as many layouts as it has readers, at the most.
    parts = [(1, c - c.min()) for c in columns]
    parts += [
        (p.readers, p.costs[:, :, metric][p.possible])
        for p in tables.passing.values()
        if p.possible.any()
    ]
    unit = math.gcd(*(int(np.gcd.reduce(c)) for _, c in parts)) or 1
    # As Python's integers, since all together may exceed 64 bits.
    whole = sum(int(v) for _, c in parts for v in c) // unit
    highest = sum(n * int(c.max()) for n, c in parts) // unit
    if (whole if compared else highest) <= LARGEST:
        return Scale(least, unit, 0, highest)
    # All low limbs together stay within 32 bits, with what carries take from them, and so do all
    # high ones with the carries: clasp adds up the absolute values.
    count, carries = sum(len(c) for _, c in parts), sum(n for n, _ in parts)
    radix = max(LARGEST // (count + carries), 1)
    if whole // radix + carries > LARGEST:
        allowed = f"{count} values that two limbs of 32 bits can add up"
        raise InputError("network", tables.metrics[metric], whole, allowed)
    return Scale(least, unit, radix, carries * (radix - 1))


@dataclass(frozen=True, slots=True)
class Instance:
    """Facts, and how to read the answers.

    Attributes:
        facts: of the nodes and transitions, of preferences, limits and pins.
        scales: of each metric.
    """

    facts: tuple[Symbol, ...]
    scales: tuple[Scale, ...]


def instance(
    tables: Tables, wishes: Wishes, names: Mapping[str, Sequence[str]] | None = None
) -> Instance:
    """The facts of a problem; no table may be empty.

    Args:
        tables: nodes, or what joins made of them.
        wishes: what is asked.
        names: of each node, what its candidates are called; else rows are called by their number.
            Pins are facts only here, since joined tables know them no longer.
    """
    compared = {*wishes.limits, *wishes.objectives}
    scales = tuple(
        scale(tables, i, compared=metric in compared) for i, metric in enumerate(tables.metrics)
    )
    facts: list[Symbol] = []
    for table in tables.tables:
        facts += _candidates(table, tables, scales, names)
    for tensor, passing in tables.passing.items():
        for i, j in np.argwhere(passing.possible).tolist():
            places = (tensor, passing.written[i], passing.read[j])
            facts.append(atom("passage", *places))
            facts += _weights(atom("move", *places), passing.costs[i, j], tables, scales)
    for place, (metric, found) in enumerate(zip(tables.metrics, scales, strict=True)):
        facts += _metric(metric, place, found, tables, wishes)
    if names is not None:
        facts += _pins(wishes)
    return Instance(tuple(facts), scales)


def _candidates(
    table: Table,
    tables: Tables,
    scales: Sequence[Scale],
    names: Mapping[str, Sequence[str]] | None,
) -> Iterator[Symbol]:
    node = table.nodes[0]
    yield atom("node", node)
    costs = table.costs - table.costs.min(axis=0)
    for row, keys in enumerate(table.keys.tolist()):
        name: str | int = names[node][int(table.origin[row, 0])] if names else row
        yield atom("candidate", node, name)
        reads = sorted(set(zip(table.reads, keys, strict=False)))
        for tensor, code in reads:
            yield atom("takes", node, name, tensor, tables.passing[tensor].read[code])
        for tensor, code in zip(table.writes, keys[len(table.reads) :], strict=True):
            yield atom("gives", node, name, tensor, tables.passing[tensor].written[code])
        yield from _weights(atom("choose", node, name), costs[row], tables, scales)


def _weights(
    item: Symbol, costs: Array, tables: Tables, scales: Sequence[Scale]
) -> Iterator[Symbol]:
    for metric, value, found in zip(tables.metrics, costs.tolist(), scales, strict=True):
        high, low = found.limbs(value // found.unit)
        for limb, part in enumerate((low, high)):
            if part:
                yield atom("weight", item, metric_term(metric), limb, part)


def _metric(
    metric: str, place: int, found: Scale, tables: Tables, wishes: Wishes
) -> Iterator[Symbol]:
    term = metric_term(metric)
    if place < tables.ranks:
        yield atom("level", term, tables.ranks - place)
    if metric in wishes.objectives:
        yield atom("objective", term, place + 1)
    if metric in wishes.limits:
        yield atom("requirement", requirement_of(metric))
        yield atom("most", term, *found.limit(wishes.limits[metric]))
    if found.radix:
        yield atom("radix", term, found.radix)
        for number in range(1, found.most_low // found.radix + 1):
            yield atom("carries", term, number, number * found.radix)


def _pins(wishes: Wishes) -> Iterator[Symbol]:
    for number, pin in enumerate(wishes.pins):
        name = Function("pin", [Number(number)])
        yield atom("requirement", name)
        if pin.node:
            yield atom("pinned", name, pin.node, pin.candidate)
        else:
            yield atom("laid", name, pin.tensor, pin.layout)
