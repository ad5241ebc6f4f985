"""Running units on any `concurrent.futures.Executor`, and losing none.

Units are handed out a few ahead of the workers, so that memory does not grow with their number, and
answers come back to one place. Units that may follow from each other go to one worker together, in
ever smaller portions, so that the workers end at about the same time (guided self-scheduling). When
a worker dies, what it may have been doing is done again, one unit at a time: a unit that takes its
worker down then does so alone, and is given up after `ATTEMPTS` times.
"""

from __future__ import annotations

import gc
import logging
import re
import traceback
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from explorer.ranking.workers import Workers, deaf
from explorer.study.unit import Row, evaluate_in_turn
from isa.errors import InputError

ATTEMPTS = 3
AHEAD = 2  # portions handed out for each worker
PORTION = 16  # units of a portion, at most: what a worker that dies has been doing

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Keyed(Protocol):
    """What can be handed out: its answer follows from its key."""

    @property
    def key(self) -> str:
        """A hash of everything that its rows follow from."""

    @property
    def family(self) -> object:
        """What units share that may follow from each other."""


_U = TypeVar("_U", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says of a unit: rows, or an error as text, since not all errors travel.

    Attributes:
        rows: the unit's rows; None if it failed.
        error: what went wrong, in one line.
        details: the traceback.
        is_input: whether the study is at fault, and not the program.
    """

    rows: list[Row] | None
    error: str = ""
    details: str = ""
    is_input: bool = False


Work = Callable[[Any], list[Row]]


@dataclass(frozen=True, slots=True)
class Task:
    """What is sent to a worker: evaluations of units that never raise."""

    work: Work = evaluate_in_turn

    def __call__(self, units: Sequence[Keyed]) -> list[Answer]:
        """The answers to units."""
        return [self._answer(unit) for unit in units]

    def _answer(self, unit: Keyed) -> Answer:
        try:
            return Answer(self.work(unit))
        except InputError as error:
            return Answer(None, str(error), is_input=True)
        except Exception as error:  # a unit's defect must not end the sweep
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            return Answer(None, text, traceback.format_exc())


class Backend(ABC):
    """Where units run."""

    portion: int = PORTION
    """The most units that are handed out together."""
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)
    """Exceptions of a future whose worker is gone."""

    @abstractmethod
    def executor(self) -> Executor:
        """The executor to submit to."""

    @abstractmethod
    def slots(self) -> int:
        """How many portions to hand out at a time."""

    @abstractmethod
    def replace(self) -> None:
        """Make another executor after this one has broken."""

    @abstractmethod
    def close(self, *, at_once: bool) -> None:
        """Free the workers; at once means without waiting for what they do."""


class Inline(Backend, Executor):
    """This process, one unit after the other."""

    portion = 1

    def executor(self) -> Executor:
        """This very object."""
        return self

    def slots(self) -> int:
        """One unit, which is done when `submit` returns."""
        return 1

    def replace(self) -> None:
        """It cannot break."""

    def close(self, *, at_once: bool) -> None:
        """Nothing is held."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """A future that already has its result."""
        future: Future[_T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Local(Backend):
    """A pool of processes on this machine, which end when this one does, however it ends."""

    def __init__(self, workers: int) -> None:
        self._workers = Workers(workers, evaluate_in_turn.__module__)

    def executor(self) -> Executor:
        """The pool."""
        return self._workers.pool

    def slots(self) -> int:
        """Some more than it has workers."""
        return AHEAD * self._workers.count

    def replace(self) -> None:
        """Another pool."""
        self._workers.replace()

    def close(self, *, at_once: bool) -> None:
        """End the workers."""
        self._workers.close(at_once=at_once)


def workers_here(address: str) -> int | None:
    """N of ``local:N``, and None of the address of a scheduler.

    Raises:
        InputError: N is no number of workers.
    """
    kind, _, count = address.partition(":")
    if kind != "local":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,3}", count):
        allowed = "local:N, where N is the number of workers, at most 9999"
        raise InputError("--dask", "", address, allowed)
    return int(count)


class Dask(Backend):
    """A Dask cluster: the scheduler at an address, or ``local:N`` for N processes here.

    Raises:
        InputError: `distributed` is not installed, or no scheduler answers.
    """

    def __init__(self, address: str, timeout: float = 30) -> None:
        try:
            import distributed  # noqa: PLC0415 - optional, and slow to import
            from distributed.scheduler import KilledWorker  # noqa: PLC0415
        except ImportError:
            allowed = "needs the package distributed: pip install 'vta-explorer[dask]'"
            raise InputError("--dask", "", address, allowed) from None
        self.lost = (BrokenExecutor, CancelledError, KilledWorker)
        self._cluster: Any = None
        where: Any = address
        count = workers_here(address)
        if count is not None:
            with deaf():
                self._cluster = where = distributed.LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    dashboard_address=":0",  # any free port
                    # Errors of units come back as answers. What is left are workers that miss the
                    # scheduler's heartbeat while both are ended.
                    silence_logs="CRITICAL",
                )
        else:
            _ask(address, timeout)
        self._client = distributed.Client(where, timeout=timeout, set_as_default=False)
        self._executor: Executor = self._client.get_executor(pure=False)

    def executor(self) -> Executor:
        """The cluster's executor."""
        return self._executor

    def slots(self) -> int:
        """Some more than the workers have threads now, since clusters grow and shrink."""
        threads: dict[str, int] = self._client.nthreads()
        return AHEAD * max(1, sum(threads.values()))

    def replace(self) -> None:
        """The cluster itself replaces workers."""

    def close(self, *, at_once: bool) -> None:
        """Leave the cluster, and end it if it is our own."""
        patience = 5 if at_once else 30
        if at_once:  # what breaks off in the middle is of no interest
            logging.disable(logging.CRITICAL)
        with suppress(TimeoutError):
            self._client.close(timeout=patience)
            if self._cluster is not None:
                self._cluster.close(timeout=patience)
        if at_once:
            gc.collect()  # asyncio complains of broken connections when they are collected
            logging.disable(logging.NOTSET)


def _ask(address: str, timeout: float) -> None:
    """Check that a scheduler answers at an address, before there is a client that waits for it.

    Raises:
        InputError: none does.
    """
    import asyncio  # noqa: PLC0415 - slow to import, and only schedulers need it

    import distributed  # noqa: PLC0415 - optional, and slow to import

    async def ask() -> None:
        async with distributed.rpc(address) as scheduler:
            await scheduler.identity()

    try:
        asyncio.run(asyncio.wait_for(ask(), timeout))
    # Each of its protocols fails in its own way where there is no scheduler, or something else.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        allowed = f"no scheduler answers there within {timeout:g} s ({reason})"
        raise InputError("--dask", "", address, allowed) from None


class Given(Backend):
    """An executor of the caller's, which stays open."""

    def __init__(self, executor: Executor, slots: int) -> None:
        self._executor, self._slots = executor, slots

    def executor(self) -> Executor:
        """The caller's."""
        return self._executor

    def slots(self) -> int:
        """As the caller said."""
        return self._slots

    def replace(self) -> None:
        """There is no other.

        Raises:
            BrokenExecutor: always.
        """
        raise BrokenExecutor("the executor has lost a worker, and there is no other")

    def close(self, *, at_once: bool) -> None:
        """Leave it to the caller."""


def run(
    units: Iterable[_U], count: int, backend: Backend, work: Work = evaluate_in_turn
) -> Generator[tuple[_U, Answer], None, None]:
    """Each unit with its answer, in the order in which they are done.

    The backend is closed when the last answer is out, or the generator is closed.

    Args:
        units: what is to be done.
        count: how many there are, about: it decides on the size of portions.
        backend: where.
        work: what evaluates a unit.
    """
    finished = False
    try:
        yield from answers(units, count, backend, work)
        finished = True
    finally:
        backend.close(at_once=not finished)


def answers(
    units: Iterable[_U], count: int, backend: Backend, work: Work
) -> Generator[tuple[_U, Answer], None, None]:
    """As `run`, on a backend that stays open."""
    run = _Run(iter(units), count, backend, Task(work))
    while run.hand_out():
        yield from run.answers()


class _Run(Generic[_U]):
    """What is out, and what has to be done again."""

    def __init__(self, units: Iterator[_U], count: int, backend: Backend, task: Task) -> None:
        self._units, self._left, self._backend, self._task = units, count, backend, task
        self._next = next(units, None)
        self._out: dict[Future[list[Answer]], list[_U]] = {}
        self._suspects: deque[_U] = deque()
        self._deaths: Counter[str] = Counter()

    def hand_out(self) -> bool:
        """Submit what there is room for; False when all is done."""
        slots = self._backend.slots()
        while len(self._out) < (1 if self._suspects else slots):
            units = [self._suspects.popleft()] if self._suspects else self._portion(slots)
            if not units:
                break
            try:
                self._out[self._backend.executor().submit(self._task, units)] = units
            except BrokenExecutor:  # it broke since the last answer
                self._suspects.extend(units)
                self._recover()
        return bool(self._out)

    def _portion(self, slots: int) -> list[_U]:
        """The next units of one family: of all that are left, half a share of each slot at most."""
        most = min(self._backend.portion, max(1, self._left // (2 * slots)))
        units: list[_U] = []
        while self._next is not None and len(units) < most:
            if units and self._next.family != units[0].family:
                break
            units.append(self._next)
            self._next = next(self._units, None)
        self._left -= len(units)
        return units

    def answers(self) -> Iterator[tuple[_U, Answer]]:
        """Those that come next."""
        alone = len(self._out) == 1
        broken = False
        for future in wait(self._out, return_when=FIRST_COMPLETED).done:
            units = self._out.pop(future)
            error = CancelledError() if future.cancelled() else future.exception()
            if error is None:
                yield from zip(units, future.result(), strict=True)
            elif not isinstance(error, self._backend.lost):
                raise error
            else:
                # A broken pool does not say which task broke it; any other error does.
                broken = broken or isinstance(error, BrokenExecutor)
                suspected = alone or not isinstance(error, BrokenExecutor)
                yield from self._lost(units, suspected and len(units) == 1)
        if broken:
            self._recover()

    def _lost(self, units: Sequence[_U], guilty: bool) -> Iterator[tuple[_U, Answer]]:
        """Do units again whose worker died, unless one alone has had its last attempt."""
        for unit in units:
            self._deaths[unit.key] += guilty
            if self._deaths[unit.key] < ATTEMPTS:
                self._suspects.append(unit)
            else:
                yield unit, Answer(None, f"its worker died, {ATTEMPTS} times")

    def _recover(self) -> None:
        """Take back what is out, and go on with another executor."""
        for units in self._out.values():
            self._suspects.extend(units)
        self._out.clear()
        self._backend.replace()
