"""Processes on this machine that leave Ctrl-C to this one, and pools that end when it does.

Every process of the product's own is started through `context` or inside `deaf`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any


@contextmanager
def deaf() -> Iterator[None]:
    """What is started in the block, processes and threads, never hears of Ctrl-C.

    A program that loads itself has no handler yet: Python would end it with a traceback. The
    signal is therefore blocked before it starts, which goes on to what it starts in turn. It comes
    to this thread when the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # nothing is inherited there
        yield
        return
    from multiprocessing import resource_tracker  # noqa: PLC0415 - where there are signal masks

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        # Any lock of multiprocessing starts this process, which unblocks the signal in the thread
        # that happens to do it. Once it runs, none does.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def context(*preload: str) -> Any:
    """How processes are started: by a server that has imported modules, where the system has one.

    Such a server starts a process, with its imports done, in no time, and forks no threads. It runs
    when this returns, and it and all that it starts are `deaf`.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver  # noqa: PLC0415 - not on every system

    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(preload))
    with deaf():
        forkserver.ensure_running()
    return found


_COMPILER = "simulator.compiler"
"""What imports numba, which whatever a worker does calls for: once for all of them."""


class Workers:
    """A pool that can be replaced when it breaks, and ended at once.

    Args:
        count: number of processes.
        preload: the module that their work is in.
    """

    def __init__(self, count: int, preload: str) -> None:
        self._preload = preload, _COMPILER
        self._context = context(*self._preload)
        # Workers hold the reading end of this pipe alone: it closes for them when we are gone.
        self._reader, self._writer = self._context.Pipe(duplex=False)
        self.count = count
        self.pool = self._make()

    def _make(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.count, self._context, initializer=_follow, initargs=(self._reader,)
        )

    def replace(self) -> None:
        """Another pool: one that has lost a worker takes no more work."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self._context = context(*self._preload)  # the server may be lost too
        self.pool = self._make()

    def close(self, *, at_once: bool) -> None:
        """End the workers; at once means without waiting for what they do."""
        if at_once:
            self._writer.close()
        self.pool.shutdown(wait=not at_once, cancel_futures=True)
        self._writer.close()
        self._reader.close()


@contextmanager
def pool(count: int, preload: str) -> Iterator[ProcessPoolExecutor]:
    """A pool for the time of the block; what is left undone when that fails is given up."""
    workers = Workers(count, preload)
    finished = False
    try:
        yield workers.pool
        finished = True
    finally:
        workers.close(at_once=not finished)


def _follow(line: Connection) -> None:
    """Make a worker leave Ctrl-C to its parent, and end as soon as the line to that is dead.

    A pool's worker waits for work on a pipe that its siblings hold open too: without this, it would
    wait for ever after its parent was killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        wait_for([line])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
