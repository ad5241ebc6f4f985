"""A search in a process of its own, with limits of time and memory.

A user's rules may ground without end, and clingo cannot be stopped while it grounds; a process can.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from explorer.embedding.control import Examined, Rule, Watch, held_back, watched
from explorer.embedding.rule_files import profiles
from explorer.embedding.user_rules import check, in_turn
from explorer.preference import outcome
from explorer.preference.outcome import Optima
from explorer.preference.problem import Problem
from explorer.ranking.workers import context
from isa.errors import InputError
from isa.interrupts import pressed

SECONDS = 60.0
"""The limit of time where there are rules of a user's, and none is given."""

MEMORY = 2**31
"""Bytes that a search may take beyond what the process has at its start."""

_PATIENCE = 0.5  # seconds in which a search that is stopped has to say what it has found
_POLL = 0.05


Work = Callable[[], Any]
"""What a process can be told to do: it and its result can be pickled."""


def optimize(problem: Problem, seconds: float | None = None, **options: Any) -> Optima:
    """As `explorer.preference.outcome.optimize`, within limits where there are any.

    Args:
        problem: what is asked.
        seconds: time to search; by default `SECONDS` with rules of a user's, and else any.
        options: as there.

    Raises:
        InputError: as there, or nothing was found within the limits.
        KeyboardInterrupt: the user ended the search before anything was found.
    """
    rules = [path for path in problem.wishes.rules if path not in profiles().values()]
    check(rules)
    if seconds is None and not rules:
        return outcome.optimize(problem, **options)
    found: Optima = within_limits(partial(outcome.optimize, problem, **options), rules, seconds)
    return found


def within_limits(work: Work, rules: Sequence[Path], seconds: float | None = None) -> Any:
    """What some work gives, done in another process under limits.

    Args:
        work: a search that ends with what it has when Ctrl-C is pressed.
        rules: the user's, already checked.
        seconds: until it is told to end; by default `SECONDS`.

    Raises:
        InputError: of the work, or it gave nothing within the limits.
        KeyboardInterrupt: the user ended it before anything was found.
    """
    limit = seconds or SECONDS
    with held_back() as stopped:
        search = _Search(work, rules)
        with closing(search):
            kind, content = search.answer(limit, stopped)
        culprit = None
        if kind in _LIMITS and rules and not search.grounded and not stopped.is_set():
            culprit = _culprit(work, rules, limit, stopped)
        interrupted = stopped.is_set()
    if kind == "found":
        return content
    if kind == "input":
        raise content
    if interrupted:
        raise KeyboardInterrupt
    if kind == "defect":
        raise RuntimeError(content)
    raise _exceeded(rules, kind, limit, culprit)


_LIMITS = {"time", "memory"}


def _culprit(
    work: Work, rules: Sequence[Path], seconds: float, stopped: threading.Event
) -> Rule | None:
    """The first rule with which grounding exceeds a limit; None if that is not to be found.

    It is known that all of them do. They are grounded one after another, each with those before it;
    the last one is not tried, as there is no other left.
    """
    search = _Search(work, rules, each=True)
    with closing(search):
        kind, _ = search.answer(seconds, stopped)
    if search.rule is not None and kind in {*_LIMITS, "examined"}:
        return search.rule
    # Not even the program without them was grounded in time: what may be told from the rules alone.
    return next((rule for rule, _ in in_turn(rules) if rule.endless), None)


def _exceeded(rules: Sequence[Path], kind: str, seconds: float, culprit: Rule | None) -> InputError:
    """The error that a limit was reached, which names the rule if it can be told."""
    limit = f"{seconds:g} s (--time-limit)" if kind == "time" else f"{MEMORY >> 20:,} MiB"
    if culprit is not None:
        allowed = (
            f"what it derives from itself must end: grounding it takes more than {limit}"
            if culprit.endless
            else f"it has too many instances: grounding takes more than {limit} with it, and less "
            "without it and the rules after it"
        )
        return InputError(culprit.file, culprit.place, culprit.text, allowed)
    files = ", ".join(map(str, rules))
    allowed = f"nothing was found within {limit}: ask for less, or allow more"
    return InputError(files or "--time-limit", "", seconds if kind == "time" else limit, allowed)


class _Search:
    """A search that runs in another process.

    Args:
        work: what it does.
        rules: the user's.
        each: whether to ground them one after another, and to do nothing else.

    Attributes:
        grounded: whether a program with all of the rules has been grounded.
        rule: the one that was grounded last, or is.
    """

    def __init__(self, work: Work, rules: Sequence[Path], *, each: bool = False) -> None:
        self._each = each
        self.grounded = False
        self.rule: Rule | None = None
        asked = (work, tuple(rules), each)
        made = context(__name__)
        line, self._line = made.Pipe(duplex=False)
        self._answers, answers = made.Pipe(duplex=False)
        self._process = made.Process(target=_work, args=(asked, line, answers), daemon=True)
        self._process.start()
        line.close()
        answers.close()

    def answer(self, seconds: float, stopped: threading.Event) -> tuple[str, Any]:
        """What it says, or ``time`` or ``memory`` for the limit that it has reached.

        Each rule that is grounded alone has the whole time.
        """
        # Loading the process is no rule's fault.
        deadline = time.monotonic() + seconds + SECONDS * self._each
        asked = False
        while True:
            while not self._answers.poll(_POLL):
                if asked and time.monotonic() > deadline:
                    return "time", None
                if not asked and (stopped.is_set() or time.monotonic() > deadline):
                    asked, deadline = True, time.monotonic() + _PATIENCE
                    with suppress(OSError):  # it has just ended
                        self._line.send(None)
            try:
                kind, content = self._answers.recv()
            except EOFError:  # clingo ends the process where there is no memory
                return "memory", None
            if kind != "rule":
                return ("time", None) if kind == "stopped" else (kind, content)
            self.rule, self.grounded = content, content is None
            if self._each and not asked:
                deadline = time.monotonic() + seconds

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._line.close()
        self._answers.close()


_Asked = tuple[Work, tuple[Path, ...], bool]


def _work(asked: _Asked, line: Connection, answers: Connection) -> None:
    """Work in a thread, and listen to the line: a message means to stop, its end to end."""
    _limit_memory()
    threading.Thread(target=_search, args=(*asked, answers), daemon=True).start()
    while True:
        try:
            line.recv()
        except (EOFError, OSError):
            os._exit(1)
        pressed.set()


def _search(work: Work, rules: tuple[Path, ...], each: bool, answers: Connection) -> None:
    def tell(rule: Rule | None) -> None:
        answers.send(("rule", rule))

    try:
        with watched(Watch(tell, in_turn(rules) if each else (), rules)):
            answer: tuple[str, Any] = "found", work()
    except Examined:
        answer = "examined", None
    except InputError as error:
        answer = "input", error
    except KeyboardInterrupt:
        answer = "stopped", None
    except MemoryError:
        answer = "memory", None
    except BaseException:  # a defect: the other process is told of it
        answer = "defect", traceback.format_exc()
    answers.send(answer)


def _limit_memory() -> None:
    """Limit the address space, where the system can."""
    try:
        import resource  # noqa: PLC0415 - not on every system

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
