"""Ctrl-C is an answer: what is known so far is shown, and the program ends within a second.

The command runs in a thread of its own, and the main thread waits: for its end, or for Ctrl-C.
Nothing is raised in the command, which may be in the middle of compiled code that calls back into
Python, or in a solver, where an exception crashes the process. Instead,

- where the command has said what it knows so far (`partial`), that is shown at once;
- else it has `GRACE` seconds to notice `isa.interrupts.pressed` and to end by itself.

The process then ends without waiting for the command. Its workers end with it, since each of them
watches for that (`explorer.ranking.workers`), and files are written in one step, or not at all.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context

from isa.interrupts import pressed, unbroken

INTERRUPTED = 130
GRACE = 0.7
"""Seconds: with what it takes to show a table, the end comes within one."""

_POLL = 0.05

_RESTING = threading.Event()  # is never set
_reports: list[Callable[[], None]] = []


def supervise(command: Callable[[], object]) -> int:
    """Run a command; what it returns to the shell.

    Raises:
        BaseException: what the command raised, unless that was its regular end.
    """
    wake = threading.Event()
    ends: list[BaseException | None] = []

    def work() -> None:
        # Threads and processes that it starts have the same mask: only the main thread hears.
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            command()
            ends.append(None)
        except BaseException as error:
            ends.append(error)
        wake.set()

    def press(*_: object) -> None:
        pressed.set()
        wake.set()

    # Processes killed with this one leave semaphores behind, which Python's tracker clears away:
    # nothing to tell the user of.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    signal.signal(signal.SIGINT, press)
    threading.Thread(target=work, daemon=True).start()
    wake.wait()
    if pressed.is_set() and not ends:
        _leave(wake, ends)
    # It has said all that there is; while Python itself ends, Ctrl-C would kill the process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = _code(ends[0])
    if pressed.is_set():  # nobody waits for that then
        with suppress(OSError, ValueError):
            if not code:  # the command has said nothing of it
                print("explorer: interrupted", file=sys.stderr)
            sys.stdout.flush()
        os._exit(code or INTERRUPTED)
    return code


def _code(end: BaseException | None) -> int:
    if end is None:
        return 0
    if not isinstance(end, SystemExit):
        raise end
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _leave(wake: threading.Event, ends: list[BaseException | None]) -> None:
    """Show what is known and end the process, unless the command ends by itself meanwhile."""
    if not _reports:
        wake.clear()
        if ends or (wake.wait(GRACE) and ends):
            return
    teller = _Teller(ends)
    # In a thread: a pipe that nobody reads holds what writes into it, and whoever writes after it.
    teller.start()
    stuck = 0.0
    while teller.is_alive() and stuck < GRACE:
        teller.join(_POLL)
        stuck = 0.0 if _taken() else stuck + _POLL
    if not teller.needless:
        os._exit(INTERRUPTED)


class _Teller(threading.Thread):
    """Says what is known so far.

    Attributes:
        needless: whether the command had come to its end before, and has said it.
    """

    def __init__(self, ends: list[BaseException | None]) -> None:
        super().__init__(daemon=True)
        self._ends, self.needless = ends, False

    def run(self) -> None:
        """Say it, and keep the command from writing anything after it."""
        if unbroken.acquire(timeout=GRACE):  # else it is being written, by who does not get on
            if self._ends:
                self.needless = True
                unbroken.release()
                return
            if _reports:
                # What is known may be in the middle of a change; the rest is said all the same.
                with suppress(Exception):
                    _reports[-1]()
            else:
                print("explorer: interrupted", file=sys.stderr)
        with suppress(OSError, ValueError):  # closed by whoever read it
            sys.stdout.flush()


def _taken() -> bool:
    """Whether the readers of both outputs get on; so it is assumed where that cannot be asked."""
    with suppress(AttributeError, OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            asked = select.poll()
            asked.register(stream.fileno(), select.POLLOUT)
            if not asked.poll(0):
                return False
    return True


@contextmanager
def partial(report: Callable[[], None]) -> Iterator[None]:
    """While the block runs, Ctrl-C ends the program with this report of what is known so far."""
    # The other thread, which makes the report, has not the options of the command otherwise.
    known: Callable[[], None] = functools.partial(copy_context().run, report)
    _reports.append(known)
    try:
        yield
    finally:
        with whole():  # if the report is being made, this is the end
            _reports.remove(known)


@contextmanager
def whole() -> Iterator[None]:
    """Ctrl-C waits for the block, which shows results or writes a file and does not take long."""
    if not unbroken.acquire(blocking=False):
        if pressed.is_set():
            _RESTING.wait()  # the main thread has it, and ends the process
        unbroken.acquire()
    try:
        yield
    finally:
        unbroken.release()
