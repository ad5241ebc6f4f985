"""Evaluating embeddings of an operator, here or elsewhere: what is asked, and what is answered.

Answers are rows of plain values, so that other processes and machines can give them, and a store
keep them: `explorer.network.candidates.listing.Measured`, from which options are made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from explorer.embedding.several import AnyEmbedding
from explorer.network.candidates.listing import Measured, designs_of, measured, measured_fixed
from explorer.ranking.explore import evaluate as best_of
from explorer.schedule.space import Schedule
from isa.computation import Operator
from isa.config import Config

Row = dict[str, Any]
COLUMNS: dict[str, type] = {
    "embedding": str,
    "name": str,
    "design": int,
    "cycles": int,
    "proven": bool,
    "tile": str,
    "order": str,
    "load_contexts": int,
    "acc_contexts": int,
}
"""Of a row: the embedding's id, empty for TVM's; then as `Measured` and `Schedule` have it."""


@dataclass(frozen=True, slots=True)
class Request:
    """Embeddings of an operator that are to be evaluated.

    Attributes:
        operator, config: what is compiled, and for what.
        embeddings: with their floors, the least first.
        best: so many of them, those with the fastest programs, and TVM's besides; None for all of
            them, and without TVM's.
        effort: programs to simulate for each layout at most; None for proven cycles.
    """

    operator: Operator
    config: Config
    embeddings: tuple[tuple[int, AnyEmbedding], ...]
    best: int | None
    effort: int | None


Answers = Callable[[Sequence[Request]], Iterable[Sequence[Row]]]
"""The rows of each request, in their order."""


def answer(request: Request) -> list[Row]:
    """The rows of a request."""
    operator, config, effort = request.operator, request.config, request.effort
    chosen = [embedding for _, embedding in request.embeddings]
    if request.best is not None:
        chosen = fastest(operator, config, request.embeddings, request.best, effort)
    found = [(e.id, m) for e in chosen for m in measured(operator, config, e, effort)]
    if request.best is not None:
        found += [("", m) for m in measured_fixed(operator, config, effort)]
    return [_row(name, each) for name, each in found]


def fastest(
    operator: Operator,
    config: Config,
    ordered: Iterable[tuple[int, AnyEmbedding]],
    count: int,
    effort: int | None = None,
) -> list[AnyEmbedding]:
    """The embeddings with the fastest programs, the fastest first.

    They are evaluated in the order of their floors, until the next floor exceeds the cycles of the
    last of them: so none is missing. On the way only that is asked which may change the list.
    """
    cycles: dict[str, int] = {}
    by_id: dict[str, AnyEmbedding] = {}
    limit = math.inf
    for floor, embedding in ordered:
        if floor > limit:
            break
        made = designs_of(operator, config, embedding)
        found = best_of(operator, config, embedding, effort=effort, below=limit + 1, known=made)
        if found.cycles is not None:
            cycles[embedding.id], by_id[embedding.id] = found.cycles, embedding
            if len(cycles) >= count:
                limit = sorted(cycles.values())[count - 1]
    kept = sorted((n, name) for name, n in cycles.items())[:count]
    return [by_id[name] for _, name in kept]


def _row(embedding: str, found: Measured) -> Row:
    schedule = asdict(found.schedule)
    numbers = {name: " ".join(map(str, schedule[name])) for name in ("tile", "order")}
    values = {"name": found.name, "design": found.design, "cycles": found.cycles}
    values |= {"proven": found.proven, "embedding": embedding}
    return {name: (values | schedule | numbers)[name] for name in COLUMNS}


def read(rows: Iterable[Row]) -> Iterator[tuple[str, Measured]]:
    """Each row's embedding, by its id, and what was measured."""
    for row in rows:
        tile, order = (tuple(map(int, row[name].split())) for name in ("tile", "order"))
        schedule = Schedule(tile, order, row["load_contexts"], row["acc_contexts"])
        found = Measured(row["name"], row["design"], schedule, row["cycles"], row["proven"])
        yield row["embedding"], found
