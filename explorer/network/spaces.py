"""Which embeddings of an operator become candidates: the fastest, and such as fit neighbours.

The fastest ones are not enough: what a neighbour offers or takes decides as well. So a second round
adds, for each combination of vectors that neighbours have, the embedding of the least floor that
reads and writes those. Nodes whose operators are equal share their candidates.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from explorer.embedding.several import AnyEmbedding, term_by_term
from explorer.embedding.virtual_loops import Nest, nest
from explorer.layout.canonical import Digits, lanes_along
from explorer.network.candidates import (
    Option,
    constant_inputs,
    fixed,
    options,
    residuals_of,
)
from explorer.network.graph import Network
from explorer.ranking import explore
from explorer.ranking.explore import embeddings, evaluate, gemm_intrinsic
from explorer.ranking.workers import pool
from explorer.schedule.bound import compute_bound
from isa.computation import Computation, Operator, Role, Tensor
from isa.config import Config

Vectors = tuple[Digits, ...]
"""The lanes of a layout, see `explorer.layout.canonical.lane_strides`."""

Ends = Mapping[str, Vectors]
"""Of each tensor that is read or written and not known offline, its vectors."""

Run = Callable[..., Iterable[Any]]
"""A `map`, in this process or over several."""

Progress = Callable[[int], None]


@dataclass(slots=True)
class Space:
    """All embeddings of an operator, and those that were evaluated.

    Attributes:
        operator, config: what is compiled, and for what.
        ordered: the embeddings with their floors, the least first.
        ends: the vectors of each of them, in the same order.
        evaluated: the options of those that were, by id.
        fixed: TVM's.
    """

    operator: Operator
    config: Config
    ordered: list[tuple[int, AnyEmbedding]]
    ends: list[Ends]
    evaluated: dict[str, list[Option]]
    fixed: list[Option]

    def all(self) -> list[Option]:
        """The options, the fixed ones first, then the fastest."""
        found = [o for several in self.evaluated.values() for o in several]
        found.sort(key=lambda o: (o.cycles, o.name))
        return [*self.fixed, *found]

    def chosen(self) -> list[Ends]:
        """The vectors of the embeddings that were evaluated, and of TVM's."""
        names = {o.embedding.id for o in self.fixed} | {n for n, o in self.evaluated.items() if o}
        return [ends for (_, e), ends in zip(self.ordered, self.ends, strict=True) if e.id in names]


def ends_of(
    embedding: AnyEmbedding, operator: Operator, config: Config
) -> tuple[tuple[Nest, ...], Ends]:
    """The loops of an embedding's terms, and the vectors that it reads and writes."""
    intrinsic, constants = gemm_intrinsic(config), constant_inputs(operator)
    ports: tuple[tuple[Role, Tensor], ...] = (
        ("in0", intrinsic.in0),
        ("in1", intrinsic.in1),
        ("out", intrinsic.out),
    )
    nests, found = list[Nest](), dict[str, Vectors]()
    for each, computation in term_by_term(embedding, operator):
        loops = nest(each, computation)
        nests.append(loops)
        for role, port in ports:
            tensor = computation.tensor(each.role(role))
            # All terms have one output, in one layout.
            if tensor.name not in found and not constants.get(tensor.name, False):
                found[tensor.name] = _lanes(loops, tensor, port, intrinsic)
    return tuple(nests), found


def _lanes(loops: Nest, tensor: Tensor, port: Tensor, intrinsic: Computation) -> Vectors:
    axes = [a.name for a in intrinsic.dims if port.varies({a.name: 1})]
    lanes = [loop for loop in loops.lanes if loop.axis in axes]
    return lanes_along(tensor, loops.rows(tensor, frozenset(axes)), lanes, axes)


def space(
    operator: Operator,
    config: Config,
    count: int,
    classes: Sequence[str],
    effort: int | None = None,
) -> Space:
    """The embeddings of an operator, the fastest of them evaluated, and TVM's.

    Raises:
        InputError: there is none of these classes.
    """
    rows = []
    floors: dict[int, int] = {}
    for embedding in embeddings(operator, config, classes):
        nests, ends = ends_of(embedding, operator, config)
        steps = sum(loops.steps for loops in nests)
        if steps not in floors:
            floors[steps] = compute_bound(operator, config, steps)
        rows.append((floors[steps], embedding.id, embedding, ends))
    rows.sort(key=lambda row: row[:2])
    ordered = [(row[0], row[2]) for row in rows]
    first = fastest(operator, config, ordered, count, effort)
    own = fixed(operator, config, effort)
    return Space(operator, config, ordered, [row[3] for row in rows], first, own)


def fastest(
    operator: Operator,
    config: Config,
    ordered: Sequence[tuple[int, AnyEmbedding]],
    count: int,
    effort: int | None = None,
) -> dict[str, list[Option]]:
    """The embeddings with the fastest programs, with all their layouts, by id.

    They are evaluated in the order of their floors, until the next floor exceeds the cycles of the
    last of them: so none is missing. On the way only that is asked which may change the list.
    """
    cycles: dict[str, int] = {}
    by_id: dict[str, AnyEmbedding] = {}
    limit = math.inf
    for floor, embedding in ordered:
        if floor > limit:
            break
        found = evaluate(operator, config, embedding, effort=effort, below=limit + 1)
        if found.cycles is not None:
            cycles[embedding.id], by_id[embedding.id] = found.cycles, embedding
            if len(cycles) >= count:
                limit = sorted(cycles.values())[count - 1]
    kept = sorted((n, name) for name, n in cycles.items())[:count]
    return {name: options(operator, config, by_id[name], effort) for _, name in kept}


Wanted = tuple[dict[str, set[Vectors]], set[Vectors]]
"""Of each input the vectors that some neighbour writes; those that some reads of the output."""


def matching(
    place: Space, wanted: Wanted, count: int, effort: int | None = None
) -> dict[str, list[Option]]:
    """Embeddings that read and write what neighbours have, evaluated, up to so many in all.

    Args:
        place: an operator's embeddings.
        wanted: what neighbours have.
        count: embeddings evaluated in the end.
        effort: as for `options`.
    """
    offered, taken = wanted
    out = place.operator.out.name
    chosen: dict[tuple[Vectors, ...], AnyEmbedding] = {}
    for (_, embedding), ends in zip(place.ordered, place.ends, strict=True):
        read = {name: vectors for name, vectors in ends.items() if name != out}
        fits = all(not offered[name] or read[name] in offered[name] for name in read)
        # The first of a combination has the least floor.
        if fits and (not taken or ends[out] in taken):
            chosen.setdefault((*(read[name] for name in sorted(read)), ends[out]), embedding)
    new = [e for e in chosen.values() if e.id not in place.evaluated]
    new = new[: max(0, count - len(place.evaluated))]
    return {e.id: options(place.operator, place.config, e, effort) for e in new}


def spaces(
    network: Network,
    config: Config,
    count: int,
    classes: Sequence[str],
    run: Run,
    on_progress: Progress = lambda _: None,
    effort: int | None = None,
) -> dict[Operator, Space]:
    """The candidates of every operator of a network whose accelerated nodes have programs.

    Args:
        network: the network.
        config: what it is compiled for.
        count: embeddings of each operator: half of them the fastest, then what neighbours ask for.
        classes: of embeddings that may be used.
        run: a map, which may share operators among processes.
        on_progress: told when an operator is done, in each of two rounds.
        effort: programs to simulate for each layout at most; None for proven cycles.
    """
    operators = list(dict.fromkeys(n.operator for n in network.accelerated))
    half = max(1, count - count // 2)
    begin = partial(space, config=config, count=half, classes=classes, effort=effort)
    found: dict[Operator, Space] = {}
    for operator, place in zip(operators, run(begin, operators), strict=True):
        found[operator] = place
        on_progress(1)
    wanted = _wanted(found, network)
    more = partial(_matching, count=count, effort=effort)
    pairs = [(found[operator], wanted[operator]) for operator in operators]
    for (place, _), new in zip(pairs, run(more, pairs), strict=True):
        place.evaluated |= new
        on_progress(1)
    return found


def _matching(
    pair: tuple[Space, Wanted], count: int, effort: int | None
) -> dict[str, list[Option]]:
    return matching(*pair, count, effort)


def _wanted(found: Mapping[Operator, Space], network: Network) -> dict[Operator, Wanted]:
    """Of each operator, the vectors that its neighbours write of its inputs and read of its output.

    A residual is read as its node writes, so the node's output takes part in that, too.
    """
    writes: dict[str, set[Vectors]] = {}
    reads: dict[str, set[Vectors]] = {}
    own: dict[Operator, list[Ends]] = {operator: p.chosen() for operator, p in found.items()}
    for node in network.accelerated:
        residuals = residuals_of(node, network)
        out = node.operator.out.name
        for ends in own[node.operator]:
            writes.setdefault(node.output.tensor, set()).add(ends[out])
            for name, vectors in ends.items():
                if name != out:
                    reads.setdefault(node.views[name].tensor, set()).add(vectors)
            for residual in residuals:
                reads.setdefault(residual.tensor, set()).add(ends[out])
    wanted: dict[Operator, Wanted] = {}
    for node in network.accelerated:
        out = node.operator.out.name
        names = (
            [name for name in own[node.operator][0] if name != out] if own[node.operator] else []
        )
        offered, taken = wanted.setdefault(node.operator, ({n: set() for n in names}, set()))
        for name in names:
            offered[name] |= writes.get(node.views[name].tensor, set())
            offered[name] |= {ends[name] for ends in own[node.operator]}
        taken |= reads.get(node.output.tensor, set())
        for residual in residuals_of(node, network):
            taken |= writes.get(residual.tensor, set())
        taken |= {ends[out] for ends in own[node.operator]}
    return wanted


@contextmanager
def running(jobs: int | None) -> Iterator[Run]:
    """A `map` over worker processes, in order; in this process for one job, None for all cores."""
    count = jobs or os.cpu_count() or 1
    if count == 1:
        yield map
        return
    with pool(count, explore.__name__) as executor:

        def run(work: Callable[..., Any], items: Sequence[Any]) -> Iterator[Any]:
            # One at a time, so that all workers end at about the same time.
            return executor.map(work, items)

        yield run
