"""Which embeddings of an operator become candidates: the fastest, and such as fit neighbours.

The fastest ones are not enough: what a neighbour offers or takes decides as well
(`explorer.network.candidates.matching`). That is asked in two rounds, as what is found in the first
one is offered in the second. Nodes whose operators are equal share their candidates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from explorer.embedding.digits import Embedding
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.embedding.joint_space import JointSpace
from explorer.embedding.several import AnyEmbedding, term_by_term
from explorer.embedding.virtual_loops import Nest, nest
from explorer.layout.canonical import lanes_along
from explorer.network.candidates.evaluation import Answers, Request, Row, answer, read
from explorer.network.candidates.listing import (
    Measured,
    Option,
    constant_inputs,
    restored,
    restored_fixed,
)
from explorer.network.candidates.matching import Ends, Vectors, ends_of_all, matching
from explorer.network.graph import Network
from explorer.ranking import explore
from explorer.ranking.explore import embeddings, gemm_intrinsic, no_embedding
from explorer.ranking.workers import pool
from explorer.schedule.bound import compute_bound
from isa.computation import Computation, Operator, Role, Tensor
from isa.config import Config

ROUNDS = 3
"""Of evaluation: the fastest, and twice those that fit neighbours."""

Run = Callable[..., Iterable[Any]]
"""A `map`, in this process or over several."""

Progress = Callable[[int], None]


MOST_JOINT = 5_000
"""Embeddings of several terms that are all looked at."""

SOME_JOINT = 256
"""Where they are more: how many are of each sort that is looked at."""


@dataclass(slots=True)
class Space:
    """The embeddings of an operator that are looked at, and those that were evaluated.

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
    evaluated: dict[str, list[Option]] = field(default_factory=dict)
    fixed: list[Option] = field(default_factory=list)

    def all(self) -> list[Option]:
        """The options, the fixed ones first, then the fastest."""
        found = [o for several in self.evaluated.values() for o in several]
        found.sort(key=lambda o: (o.cycles, o.name))
        return [*self.fixed, *found]

    def chosen(self) -> list[Ends]:
        """The vectors of the embeddings that were evaluated, and of TVM's."""
        names = {o.embedding.id for o in self.fixed} | {n for n, o in self.evaluated.items() if o}
        return [ends for (_, e), ends in zip(self.ordered, self.ends, strict=True) if e.id in names]

    def take(self, asked: Request, rows: Iterable[Row]) -> None:
        """Make options of what was answered."""
        known = {embedding.id: embedding for _, embedding in asked.embeddings}
        found: dict[str, list[Measured]] = {}
        if asked.best is None:
            found = {name: [] for name in known}
        for name, measured in read(rows):
            found.setdefault(name, []).append(measured)
        if "" in found:
            self.fixed = restored_fixed(self.operator, self.config, found.pop(""))
        for name, several in found.items():
            self.evaluated[name] = restored(self.operator, self.config, known[name], several)


Known = dict[tuple[int, Embedding], tuple[Nest, dict[str, Vectors]]]
"""Of embeddings of an operator's terms, by the term's number: loops and vectors."""


def ends_of(
    embedding: AnyEmbedding, operator: Operator, config: Config, known: Known | None = None
) -> tuple[tuple[Nest, ...], Ends]:
    """The loops of an embedding's terms, and the vectors that it reads and writes.

    Args:
        embedding: how the operator is laid onto the instruction.
        operator: what is compiled.
        config: what it is compiled for.
        known: what was found of it before, which is added to: joint embeddings share their parts.
    """
    known = {} if known is None else known
    nests, found = list[Nest](), dict[str, Vectors]()
    for number, (each, computation) in enumerate(term_by_term(embedding, operator)):
        key = number, each
        if key not in known:
            known[key] = _vectors(each, operator, computation, config)
        loops, own = known[key]
        nests.append(loops)
        for name, vectors in own.items():
            # All terms have one output, in the layout that the first one tells.
            found.setdefault(name, vectors)
    return tuple(nests), found


def _vectors(
    embedding: Embedding, operator: Operator, computation: Computation, config: Config
) -> tuple[Nest, dict[str, Vectors]]:
    """The loops of a term of an operator, and the vectors that it reads and writes."""
    intrinsic, constants = gemm_intrinsic(config), constant_inputs(operator)
    loops, found = nest(embedding, computation), dict[str, Vectors]()
    ports: tuple[tuple[Role, Tensor], ...] = (
        ("in0", intrinsic.in0),
        ("in1", intrinsic.in1),
        ("out", intrinsic.out),
    )
    for role, port in ports:
        tensor = computation.tensor(embedding.role(role))
        if not constants.get(tensor.name, False):
            found[tensor.name] = _lanes(loops, tensor, port, intrinsic)
    return loops, found


def _lanes(loops: Nest, tensor: Tensor, port: Tensor, intrinsic: Computation) -> Vectors:
    axes = [a.name for a in intrinsic.dims if port.varies({a.name: 1})]
    lanes = [loop for loop in loops.lanes if loop.axis in axes]
    return lanes_along(tensor, loops.rows(tensor, frozenset(axes)), lanes, axes)


def usual_classes(operator: Operator) -> tuple[str, ...]:
    """The classes of embeddings that an operator's candidates are of, when none are named.

    Where a dimension is one of all three tensors, as the channels of a depthwise convolution, only
    diagonal embeddings have it in lanes, and neighbours have it there: others need the host.
    """
    for term in operator.terms:
        tensors = term.computation.in0, term.computation.in1, term.computation.out
        for dim in term.computation.dims:
            if dim.extent > 1 and all(tensor.varies({dim.name: 1}) for tensor in tensors):
                return (*DEFAULT_CLASSES, "diagonal")
    return DEFAULT_CLASSES


def _listed(operator: Operator, config: Config, classes: Sequence[str]) -> Iterable[AnyEmbedding]:
    """The embeddings of an operator; of several terms some where they are very many.

    These are the ones of the fewest steps, such in which equal terms have one embedding, and such
    in which each term has the fewest steps of those that read the same vectors.

    Raises:
        InputError: there is none.
    """
    terms, intrinsic = [term.computation for term in operator.terms], gemm_intrinsic(config)
    if len(terms) == 1:
        return embeddings(operator, config, classes)
    space = JointSpace(terms, intrinsic, classes)
    if space.total == 0:
        raise no_embedding(operator.name, classes)
    if space.total <= MOST_JOINT:
        return [joint for _, joint in space.least(MOST_JOINT)]

    def read(term: int, embedding: Embedding) -> tuple[Vectors, ...]:
        return tuple(_vectors(embedding, operator, terms[term], config)[1].values())

    sorts = space.least(SOME_JOINT), space.alike(SOME_JOINT), space.telling(SOME_JOINT, read)
    return dict.fromkeys(joint for found in sorts for _, joint in found)


def survey(operator: Operator, config: Config, classes: Sequence[str] | None = None) -> Space:
    """The embeddings of an operator, none of them evaluated.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        classes: of embeddings that may be used; None for `usual_classes`.

    Raises:
        InputError: there is none of these classes.
    """
    rows, known = [], Known()
    floors: dict[int, int] = {}
    named = usual_classes(operator) if classes is None else classes
    for embedding in _listed(operator, config, named):
        nests, ends = ends_of(embedding, operator, config, known)
        steps = sum(loops.steps for loops in nests)
        if steps not in floors:
            floors[steps] = compute_bound(operator, config, steps)
        rows.append((floors[steps], embedding.id, embedding, ends))
    rows.sort(key=lambda row: row[:2])
    ordered = [(row[0], row[2]) for row in rows]
    return Space(operator, config, ordered, [row[3] for row in rows])


def spaces(
    network: Network,
    config: Config,
    count: int,
    classes: Sequence[str] | None,
    run: Run,
    on_progress: Progress = lambda _: None,
    effort: int | None = None,
    answers: Answers | None = None,
) -> dict[Operator, Space]:
    """The candidates of every operator of a network whose accelerated nodes have programs.

    Args:
        network: the network.
        config: what it is compiled for.
        count: embeddings of each operator: half of them the fastest, then what neighbours ask for.
        classes: of embeddings that may be used; None for `usual_classes`.
        run: a map, which may share operators among processes.
        on_progress: told when an operator is done, in each of `ROUNDS`.
        effort: programs to simulate for each layout at most; None for proven cycles.
        answers: evaluates requests; None for `run`.
    """
    # What takes long first, so that processes end at about the same time.
    operators = list(dict.fromkeys(n.operator for n in network.accelerated))
    operators.sort(key=lambda o: -o.useful_macs)
    found: dict[Operator, Space] = dict(
        zip(operators, run(partial(survey, config=config, classes=classes), operators), strict=True)
    )

    def evaluate(requests: Sequence[Request]) -> None:
        done = answers(requests) if answers else run(answer, requests)
        for request, rows in zip(requests, done, strict=True):
            found[request.operator].take(request, rows)
            on_progress(1)
        on_progress(len(operators) - len(requests))

    half = max(1, count - count // 2)
    evaluate([Request(o, config, tuple(found[o].ordered), half, effort) for o in operators])
    for most in (count - (count - half) // 2, count):
        around = ends_of_all(network, {o: place.chosen() for o, place in found.items()})
        requests = []
        for operator, place in found.items():
            known = set(place.evaluated)
            room = max(0, most - len(known))
            new = matching(place.ordered, place.ends, around[operator], room, known)
            if new:
                requests.append(Request(operator, config, tuple(new), None, effort))
        evaluate(requests)
    return found


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
