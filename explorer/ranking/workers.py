"""Pools of processes on this machine that end when this one does, however it ends."""

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


class Workers:
    """A pool that can be replaced when it breaks, and ended at once.

    Args:
        count: number of processes.
        preload: the module that their work is in.
    """

    def __init__(self, count: int, preload: str) -> None:
        methods = multiprocessing.get_all_start_methods()
        # A fork server starts a worker, with its imports done, in no time, and forks no threads.
        method = "forkserver" if "forkserver" in methods else "spawn"
        self._context = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload([preload])
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
