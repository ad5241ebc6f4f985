"""Candidates of whole networks, evaluated on any backend, and kept in a store.

A part of the store has the rows of one request (`explorer.network.candidates.evaluation`). Its name
is the hash of all that they follow from, so that equal layers share it, also those of other
networks, and a search that was ended goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from explorer.network.candidates import evaluation
from explorer.network.candidates.evaluation import COLUMNS, Answers, Request, Row
from explorer.study.backends import Backend, Dask, Inline, Local, answers, workers_here
from explorer.study.store import Kind, Store
from explorer.study.unit import Layer, content_hash
from explorer.study.version import model_version
from isa.errors import InputError
from isa.interrupts import unbroken

CANDIDATES = Kind.of("candidates", COLUMNS, "--store")
_OPTIONS = {"kind": "candidates"}  # results of sweeps are kept elsewhere


@dataclass(frozen=True)
class Asked:
    """A request, and the version of the model that it asks."""

    request: Request
    model: str

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits: the hash of everything that its rows follow from."""
        asked = self.request
        ids = [embedding.id for _, embedding in asked.embeddings]
        layer, config = Layer(asked.operator).id, asked.config.to_dict()
        return content_hash((layer, config, ids, asked.best, asked.effort, self.model), 32)

    @property
    def family(self) -> str:
        """Requests do not follow from each other."""
        return self.key


def rows(asked: Asked) -> list[Row]:
    """The rows of a request.

    Raises:
        InputError: this process has another version of the model than is asked for.
    """
    own = model_version(evaluation.__name__)
    if own != asked.model:
        allowed = f"this process has {own}; install one version everywhere"
        raise InputError("model version", "", asked.model, allowed)
    return evaluation.answer(asked.request)


@contextmanager
def answering(
    jobs: int | None, store: Path | None, dask: str | None = None
) -> Iterator[Answers | None]:
    """What answers requests while the block runs; None where neither is asked for.

    Args:
        jobs: processes on this machine; None for one a core.
        store: a directory that keeps answers; one that is there is not asked for again.
        dask: the address of a Dask scheduler, or ``local:N``, in place of own processes.

    Raises:
        InputError: the store cannot be used, or no scheduler answers.
    """
    if store is None and dask is None:
        yield None
        return
    if dask is not None:
        workers_here(dask)  # what is wrong is said now, not when there is something to evaluate
    model = model_version(evaluation.__name__)
    kept = None if store is None else Store.create(store, _OPTIONS, model, CANDIDATES)
    desk = _Desk(model, kept, jobs or os.cpu_count() or 1, dask)
    finished = False
    with nullcontext() if kept is None else kept.locked():
        try:
            yield desk.answers
            finished = True
        finally:
            if desk.backend is not None:
                desk.backend.close(at_once=not finished)


def check_store(store: Path | None) -> None:
    """Check that a directory can keep answers, before anything is computed.

    Raises:
        InputError: it cannot.
    """
    if store is not None:
        Store.check(store, _OPTIONS, CANDIDATES)


@dataclass(slots=True)
class _Desk:
    """Where requests are answered; the backend is opened when it is needed."""

    model: str
    store: Store | None
    jobs: int
    dask: str | None
    backend: Backend | None = None

    def answers(self, requests: Sequence[Request]) -> Iterator[list[Row]]:
        """The rows of each request, in their order, as soon as those before are there, too."""
        units = [Asked(request, self.model) for request in requests]
        found: dict[str, list[Row]] = {}
        for unit in units:
            table = None if self.store is None else self.store.find(unit.key)
            if table is not None:
                found[unit.key] = table.to_pylist()
        left = {unit.key: unit for unit in units if unit.key not in found}
        with closing(self._answered(left.values())) as done:
            for unit in units:
                while unit.key not in found:
                    key, answer = next(done)
                    found[key] = answer
                yield found[unit.key]

    def _answered(self, units: Collection[Asked]) -> Generator[tuple[str, list[Row]], None, None]:
        if not units:
            return
        if self.backend is None:
            self.backend = self._opened()
        for unit, answer in answers(units, len(units), self.backend, rows):
            if answer.rows is None:
                raise InputError(unit.request.operator.name, "", None, answer.error)
            if self.store is not None:
                with unbroken:
                    self.store.write(unit.key, answer.rows)
            yield unit.key, answer.rows

    def _opened(self) -> Backend:
        if self.dask is not None:
            return Dask(self.dask)
        return Inline() if self.jobs == 1 else Local(self.jobs)
