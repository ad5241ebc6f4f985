"""A network of ways and jokers as costs of variables and pairs of them, for `marginals`.

There is a variable for each node, whose values are the layouts that its ways read and write, and
one for each tensor, whose values say in which layout it is written. A joker's layouts fit those of
every neighbour; where the host's tensors are plain, it still pays for the bytes that any layout
has.

A layout that several readers want is made once. So a tensor has further values, by which all its
readers, or some, want the same layout, which then costs them nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from explorer.network.graph import Accelerated, Network, Tensor, View, operand
from explorer.network.plan.assembly import PLAIN, Desk, without_zeros
from explorer.network.plan.transitions import Host, Model
from explorer.network.proof.layouts import Layouts
from explorer.network.proof.marginals import NEVER, Array, Marginals, Pair, min_marginals
from explorer.network.proof.ways import Pool, Way
from isa.computation import Operator
from isa.config import Config

JOKER = -1
"""In place of a layout's number: whatever fits."""

SHARING = 3
"""Readers of a tensor up to which it is exact that a layout is made once for all who want it."""


@dataclass(slots=True)
class _Block:
    """What is known of a tensor's transitions, by layouts' numbers; -1 where nothing is."""

    written: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)
    costs: Array = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def places(self, written: list[int], read: list[int]) -> tuple[list[int], list[int]]:
        """The rows and columns of some layouts, which are made where they are not there yet."""
        rows = [self.written.setdefault(n, len(self.written)) for n in written]
        columns = [self.read.setdefault(n, len(self.read)) for n in read]
        more = len(self.written) - len(self.costs), len(self.read) - self.costs.shape[1]
        self.costs = np.pad(self.costs, ((0, more[0]), (0, more[1])), constant_values=-1)
        return rows, columns


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of the network between nodes that are programmed, or the host.

    Attributes:
        tensor: it.
        by_host: whether the host writes it.
        plain: whether the host reads it.
        columns: how often nodes that are programmed read it.
    """

    tensor: Tensor
    by_host: bool
    plain: bool
    columns: int


@dataclass(slots=True)
class _Kept:
    """The layouts of a pool's ways, as far as they are known, by number.

    Attributes:
        tensors: the network's tensor of each column, the one that is written last.
        rows: of each way that was asked for, by its place in the pool.
    """

    tensors: tuple[str, ...]
    rows: dict[int, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows of a node.

    Attributes:
        ways: which way of the pool each is, `JOKER` for the joker.
        costs: of each.
        keys: layouts, (values, columns): what differs in these is a value of the node's variable.
        value: of each row.
        least: of each value, the least cost of its rows.
    """

    ways: Array
    costs: Array
    keys: Array
    value: Array
    least: Array

    def marginals(self, of: Array) -> Array:
        """Of each row, from those of the values."""
        found = self.costs - self.least[self.value] + of[self.value]
        return np.where(of[self.value] >= NEVER, NEVER, found)


@dataclass(frozen=True, slots=True)
class Solved:
    """What plans cost at the least.

    Attributes:
        least: of all of them.
        exact: whether a plan has these costs, jokers and floors taken for true.
        ways: of each operator, by way: of plans with it, at whatever node.
        jokers: of each operator, of plans with its joker.
        rows: of each node, the rows with their marginals.
    """

    least: int
    exact: bool
    ways: Mapping[Operator, Array]
    jokers: Mapping[Operator, int]
    rows: Mapping[str, tuple[Chosen, Array]]


class Relaxation:
    """A network whose nodes take ways of their operators' pools."""

    def __init__(
        self,
        network: Network,
        config: Config,
        rule: Model,
        host: Host,
        hosts: Mapping[str, str],
        pools: Mapping[Operator, Pool],
    ) -> None:
        self.network, self.pools, self.rule = network, pools, rule
        self.nodes = [n for n in network.accelerated if n.name not in hosts]
        self._desk = Desk(network, config, rule)
        self._layouts = Layouts(self._desk, host)
        self._kept: dict[tuple[object, ...], _Kept] = {}
        self._blocks: dict[str, _Block] = {}
        known = network.by_name
        self._views = {
            n.name: [v for v in n.inputs if not known[v.tensor].constant] for n in self.nodes
        }
        self.places = dict(_places(network, self.nodes, rule))

    def solve(self, *, jokers: bool = True, exact: bool = False) -> Solved:
        """What plans cost at the least.

        Args:
            jokers: let them stand for what is beyond their limits; else that counts for nothing.
            exact: of evaluated ways alone, else of all that are not dropped.
        """
        chosen = {node.name: self._chosen(node, jokers, exact) for node in self.nodes}
        own: dict[int, Array] = {i: chosen[n.name].least for i, n in enumerate(self.nodes)}
        pairs: dict[Pair, Array] = {}
        for number, place in enumerate(self.places.values(), start=len(self.nodes)):
            own[number] = self._between(place, number, chosen, pairs)
        return self._solved(min_marginals(own, pairs), chosen)

    def _solved(self, found: Marginals, chosen: Mapping[str, Chosen]) -> Solved:
        ways = {o: np.full(len(p.ways), NEVER, np.int64) for o, p in self.pools.items()}
        jokers = dict.fromkeys(self.pools, NEVER)
        rows = {}
        for number, node in enumerate(self.nodes):
            own = chosen[node.name]
            marginals = own.marginals(found.of[number])
            rows[node.name] = own, marginals
            real = own.ways != JOKER
            # Equal nodes share their operator, whose way counts where it costs the least.
            np.minimum.at(ways[node.operator], own.ways[real], marginals[real])
            if not real.all():
                jokers[node.operator] = min(jokers[node.operator], int(marginals[~real].min()))
        loose = any(place.columns > SHARING for place in self.places.values())
        return Solved(found.least, found.exact and not loose, ways, jokers, rows)

    # ------------------------------------------------------------------------ nodes

    def _chosen(self, node: Accelerated, jokers: bool, exact: bool) -> Chosen:
        pool, kept = self.pools[node.operator], self._kept_of(node)
        alive = [i for i, w in enumerate(pool.ways) if (w.exact if exact else not w.dropped)]
        for i in alive:
            if i not in kept.rows:
                kept.rows[i] = self._row(node, pool.ways[i])
        keys = [kept.rows[i] for i in alive]
        costs = [pool.ways[i].cycles for i in alive]
        if jokers and pool.joker is not None:
            alive.append(JOKER)
            keys.append([JOKER] * len(kept.tensors))
            costs.append(pool.joker)
        unique, value = np.unique(np.array(keys, np.int64), axis=0, return_inverse=True)
        value = value.reshape(-1)
        least = np.full(len(unique), NEVER, np.int64)
        np.minimum.at(least, value, np.array(costs, np.int64))
        return Chosen(np.array(alive, np.int64), np.array(costs, np.int64), unique, value, least)

    def _kept_of(self, node: Accelerated) -> _Kept:
        """What is known of the layouts of a node's ways; nodes with equal views share it."""
        views = self._read(node)
        shapes = [self._desk.tensor(v.tensor).shape for v in (*views, node.output)]
        seen = [
            (v.operand, v.split, v.order, s)
            for v, s in zip((*views, node.output), shapes, strict=True)
        ]
        key = (node.operator, *seen)
        tensors = (*(v.tensor for v in views), node.output.tensor)
        if key not in self._kept:
            self._kept[key] = _Kept(tensors)
        # The rows are the same whatever the tensors are called.
        return replace(self._kept[key], tensors=tensors)

    def _read(self, node: Accelerated) -> list[View]:
        """The views of tensors that are read and not known offline."""
        return self._views[node.name]

    def _row(self, node: Accelerated, way: Way) -> list[int]:
        option, strict, out = way.option, without_zeros(node.operator), node.operator.out
        row = []
        for view in self._read(node):
            name = view.operand
            if name in option.wide:
                row.append(self._layouts.widened(node, option, view))
                continue
            tensor = operand(node.operator, name)
            layout = replace(option.layouts[name], role=None, tensor=tensor)
            row.append(self._layouts.reading(layout, view, strict=name in strict))
        layout = replace(option.layouts[out.name], role=None, tensor=out)
        return [*row, self._layouts.writing(layout, node.output)]

    # ------------------------------------------------------------------------ tensors

    def _between(
        self, place: Place, number: int, chosen: Mapping[str, Chosen], pairs: dict[Pair, Array]
    ) -> Array:
        """The costs of a tensor's variable; those with its neighbours are added to the pairs."""
        name = place.tensor.name
        readers = [
            (i, [c for c, v in enumerate(self._read(n)) if v.tensor == name])
            for i, n in enumerate(self.nodes)
            if any(v.tensor == name for v in self._read(n))
        ]
        columns = [chosen[self.nodes[i].name].keys[:, c] for i, own in readers for c in own]
        read = np.unique(np.concatenate(columns)) if columns else np.zeros(0, np.int64)
        writer = next((i for i, n in enumerate(self.nodes) if n.output.tensor == name), None)
        written = self._written(place, writer, chosen, read)
        costs = self._block(place, written, read)
        shared = _shared(columns, read, costs)
        values = _values(len(written), shared, place.columns)
        makes, takes = _passing(values, costs, place.columns)
        for i, own in readers:
            found = np.zeros((len(values), len(chosen[self.nodes[i].name].keys)), np.int64)
            keys = chosen[self.nodes[i].name].keys
            for c in own:
                # A node that reads a tensor twice in one layout pays once.
                new = ~np.any([keys[:, c] == keys[:, d] for d in own if d < c] or [False], axis=0)
                found += np.where(new, takes[:, np.searchsorted(read, keys[:, c])], 0)
            pairs[i, number] = np.minimum(found.T, NEVER)
        if place.plain:
            makes = makes + np.array([self._plain(place, w) for w in written.tolist()])[:, None]
        if writer is None:
            least: Array = makes.min(axis=0, initial=NEVER)
            return least
        keys = chosen[self.nodes[writer].name].keys
        pairs[writer, number] = np.minimum(makes[np.searchsorted(written, keys[:, -1])], NEVER)
        return np.zeros(len(values), np.int64)

    def _written(
        self, place: Place, writer: int | None, chosen: Mapping[str, Chosen], read: Array
    ) -> Array:
        """The layouts in which a tensor may be written."""
        if writer is not None:
            return np.unique(chosen[self.nodes[writer].name].keys[:, -1])
        if self.rule.border == PLAIN:
            return np.array([self._layouts.plain_written(place.tensor.size)], np.int64)
        # Whatever suits; behind a reader's joker there may be layouts that are not known.
        known = [JOKER if r == JOKER else self._layouts.free[r] for r in read.tolist()]
        return np.unique(np.array(known, np.int64))

    def _block(self, place: Place, written: Array, read: Array) -> Array:
        """Cycles of all transitions of a tensor from some layouts to some."""
        known = self._blocks.setdefault(place.tensor.name, _Block())
        rows, columns = known.places(written.tolist(), read.tolist())
        found: Array = known.costs[np.ix_(rows, columns)]
        for i, j in np.argwhere(found < 0).tolist():
            found[i, j] = self._cost(place, int(written[i]), int(read[j]))
        known.costs[np.ix_(rows, columns)] = found
        return found

    def _cost(self, place: Place, written: int, read: int) -> int:
        """Cycles of a transition, or of a joker's what none undercuts."""
        if JOKER not in (written, read):
            return self._layouts.cost(written, read)
        if read == JOKER and written != JOKER and place.by_host and self.rule.border == PLAIN:
            size = place.tensor.size + self._least(place.tensor)
            return self._layouts.host.cost(size, 0).cycles
        return 0

    def _plain(self, place: Place, written: int) -> int:
        """Cycles of making the tensor plain; any layout has all its elements."""
        size = place.tensor.size
        if written == JOKER:
            return self._layouts.host.cost(2 * size, 0).cycles
        return self._layouts.cost(written, self._layouts.plain_read(size))

    def _least(self, tensor: Tensor) -> int:
        """Elements of a tensor that every layout of some reader has."""
        found = [
            touched(node.operator, view.operand)
            for node in self.nodes
            for view in self._read(node)
            if view.tensor == tensor.name
        ]
        return min(found, default=0)


def touched(operator: Operator, name: str) -> int:
    """How many elements of a tensor are read by products, at least; all of one that is added."""
    for term in operator.terms:
        computation = term.computation
        extents = {dim.name: dim.extent for dim in computation.dims}
        for tensor in (computation.in0, computation.in1):
            if tensor.name != name:
                continue
            used = [n for row in tensor.index for n, _ in row.terms]
            if len(used) != len(set(used)):
                return 0  # rows depend on each other: not worth a count
            count = 1
            for row, size in zip(tensor.index, tensor.shape, strict=True):
                values = np.array([row.const])
                for loop, factor in row.terms:
                    steps = factor * np.arange(extents[loop])
                    values = np.unique(values[:, None] + steps)
                count *= int(np.count_nonzero((values >= 0) & (values < size)))
            return count
    return operand(operator, name).size


def _places(
    network: Network, nodes: Sequence[Accelerated], rule: Model
) -> Iterator[tuple[str, Place]]:
    """The tensors that nodes pass on, to each other or to the host."""
    names = {n.name for n in nodes}
    written = {n.output.tensor for n in nodes}
    read = [v.tensor for n in nodes for v in n.inputs if not network.by_name[v.tensor].constant]
    asked = {t for n in network.nodes if n.name not in names for t in n.reads}
    asked |= set(network.outputs)
    for tensor in network.tensors:
        name, columns = tensor.name, read.count(tensor.name)
        plain = rule.border == PLAIN and name in asked and name in written
        if columns or plain:
            yield name, Place(tensor, name not in written, plain, columns)


def _shared(columns: Sequence[Array], read: Array, costs: Array) -> list[int]:
    """The layouts that two readers may want, and that cost something."""
    times = np.zeros(len(read), np.int64)
    for column in columns:
        times[np.searchsorted(read, np.unique(column))] += 1
    dear = np.any(costs > 0, axis=0)
    return np.flatnonzero((times > 1) & dear & (read != JOKER)).tolist()


def _values(written: int, shared: list[int], columns: int) -> list[tuple[int, int]]:
    """What a tensor may be: a layout that is written, and one that is made for several readers.

    -1 stands for any, and for none. Of two readers both want the shared one, so that it does not
    matter what it was made of.
    """
    found = [(w, -1) for w in range(written)]
    if columns == 2:
        found += [(-1, s) for s in shared]
    elif columns == SHARING:
        found += list(product(range(written), shared))
    return found


def _passing(values: Sequence[tuple[int, int]], costs: Array, columns: int) -> tuple[Array, Array]:
    """What it costs to make each value of each layout written, and to read it, by layout."""
    makes = np.full((len(costs), len(values)), NEVER, np.int64)
    takes = np.full((len(values), costs.shape[1]), NEVER, np.int64)
    for i, (written, shared) in enumerate(values):
        rows = slice(None) if written < 0 else slice(written, written + 1)
        makes[rows, i] = 0 if shared < 0 else costs[rows, shared]
        if written >= 0:
            # With more readers, each pays a share: no more than all of them do together.
            takes[i] = costs[written] if columns <= SHARING else costs[written] // columns
        if shared >= 0:
            takes[i, shared] = 0
    return makes, takes
