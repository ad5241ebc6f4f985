"""clingo's Control: facts and encodings in, a grounded program out; Ctrl-C waits meanwhile."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from threading import Event, current_thread, main_thread

import clingo
from clingo import Number, Symbol
from clingo.ast import AST, ProgramBuilder

from explorer.embedding.rule_files import encoding
from explorer.embedding.step_costs import logarithm, lost_bits
from isa.errors import InputError
from isa.files import read_text
from isa.interrupts import pressed


@contextmanager
def held_back() -> Iterator[Event]:
    """While the block runs, Ctrl-C sets the event that it gets, and raises nothing.

    An exception that comes while clingo calls back into Python would end the process.
    """
    if current_thread() is not main_thread():  # only that one gets signals, and may pass them on
        yield pressed
        return
    own = Event()
    before = signal.signal(signal.SIGINT, lambda *_: own.set())
    try:
        yield own
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


NEEDED = "a file of rules is needed"


class EncodingError(RuntimeError):
    """clingo refused an encoding, or said something about it: a defect, never the user's input."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a user's.

    Attributes:
        file: it stands in.
        place: the line in words.
        text: of the rule, as far as it stands on that line.
        endless: whether it may derive from itself without end.
    """

    file: str
    place: str
    text: str
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """How the grounding of a user's rules is watched from outside.

    Attributes:
        told: is called with None when the program is grounded.
        steps: rules with the statements that say them. If there are any, programs with none, one,
            two, … of them are grounded in place of one with all, and `told` is called before each,
            with the rule that is new. The last one is not tried: whoever watches knows already that
            it is too much with all others.
        files: those that the rules stand in.
    """

    told: Callable[[Rule | None], None]
    steps: Sequence[tuple[Rule, Sequence[AST]]] = ()
    files: Sequence[Path] = ()


class Examined(Exception):  # noqa: N818 - all went well
    """The steps of a `Watch` were grounded, and that was all that was wanted."""


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """While the block runs, the first program with a user's rules is grounded as a watch says.

    Raises:
        Examined: it has steps.
    """
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


def ground(
    facts: Iterable[Symbol],
    entry: str = "entries/enumerate.lp",
    rules: Sequence[Path] = (),
    options: Sequence[str] = (),
) -> clingo.Control:
    """A grounded program: facts, an entry file, and files of a user's own rules.

    Raises:
        EncodingError: clingo has something to say about the encodings.
        InputError: it has something to say about the user's rules.
    """
    messages: list[str] = []
    watch = _watch.get() if rules else None
    if watch is not None and watch.steps:
        _examine(watch, list(facts), entry, [path for path in rules if path not in watch.files])
        raise Examined
    control = _loaded(facts, entry, options, messages)
    with held_back() as stopped:
        try:
            for path in rules:
                control.load(str(path))
            control.ground(context=_Functions)
        except RuntimeError as error:
            messages.append(str(error))
    if stopped.is_set():
        raise KeyboardInterrupt
    if watch is not None:
        watch.told(None)
    if messages:
        raise _rejected(messages, rules) or EncodingError("\n".join(messages))
    # What `domain.lp` finds wrong with the facts: callers check their input, so it is a defect.
    warnings = [str(a.symbol) for a in control.symbolic_atoms.by_signature("warning", 2)]
    if warnings:
        raise EncodingError(f"malformed instance: {', '.join(warnings)}")
    return control


def _loaded(
    facts: Iterable[Symbol], entry: str, options: Sequence[str], messages: list[str]
) -> clingo.Control:
    """A program of facts and an entry file, and where messages about it go."""
    control = clingo.Control(
        # All warnings on: a misspelt predicate is a warning, and would silently mean "never".
        ["--warn=all", *options, "0"],
        logger=lambda code, text: messages.append(f"{code.name}: {text}"),
    )
    # Facts first: closing a backend checks every #show that is loaded by then.
    with control.backend() as backend:
        for fact in facts:
            backend.add_rule([backend.add_atom(fact)])
    control.load(str(encoding(entry)))
    return control


def _examine(watch: Watch, facts: Sequence[Symbol], entry: str, shipped: Sequence[Path]) -> None:
    """Ground a program with none of a user's rules, with one, with two, and tell of each before."""
    statements: list[AST] = []
    for number, (rule, more) in enumerate([(None, ()), *watch.steps]):
        watch.told(rule)
        if number == len(watch.steps):
            return
        statements += more
        control = _loaded(facts, entry, (), [])
        for path in shipped:
            control.load(str(path))
        with ProgramBuilder(control) as builder:
            for statement in statements:
                builder.add(statement)
        control.ground(context=_Functions)


class _Functions:
    """What encodings call by ``@name(…)``."""

    @staticmethod
    def log2(number: Symbol) -> Symbol:
        """The fixed-point logarithm of a number."""
        return Number(logarithm(number.number))

    @staticmethod
    def bits(left: Symbol, right: Symbol, whole: Symbol) -> Symbol:
        """How much greater a product is than a whole; see `lost_bits`."""
        return Number(lost_bits(left.number * right.number, whole.number))


def ground_part(control: clingo.Control, name: str, *arguments: Symbol) -> None:
    """Ground a part of the encodings that has parameters."""
    with held_back() as stopped:
        control.ground([(name, arguments)])
    if stopped.is_set():
        raise KeyboardInterrupt


def solutions(
    control: clingo.Control, assumptions: Sequence[tuple[Symbol, bool]], most: int | None = None
) -> list[Sequence[Symbol]]:
    """The symbols that each answer under the assumptions shows, or so many answers at most.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the search.
    """
    found: list[Sequence[Symbol]] = []

    def take(model: clingo.Model) -> bool:
        found.append(model.symbols(shown=True))
        return most is None or len(found) < most

    with (
        held_back() as stopped,
        control.solve(assumptions=assumptions, on_model=take, async_=True) as handle,
    ):
        # Not get() at once: Python would not see Ctrl-C until the search is over.
        while not handle.wait(0.1):
            if stopped.is_set():
                handle.cancel()
        handle.get()
    if stopped.is_set():
        raise KeyboardInterrupt
    return found


def _rejected(messages: Sequence[str], rules: Sequence[Path]) -> InputError | None:
    """The first message about one of these files, with its line and what stands there."""
    for message in messages:
        for path in rules:
            found = re.search(re.escape(f"{path}:") + r"(\d+)[^ ]*: \w+: (.*)", message, re.DOTALL)
            if found:
                line = int(found[1])
                reason, *more = [text.strip() for text in found[2].splitlines() if text.strip()]
                notes = [text.partition("note: ")[2] for text in more if "note: " in text]
                # The slice is empty where clingo means the line after the last one.
                text = "".join(read_text(path, NEEDED).splitlines()[line - 1 : line]).strip()
                allowed = f"{reason.rstrip(':')}{f' ({notes[0]})' if notes else ''}"
                return InputError(str(path), f"line {line}", text or "end of file", allowed)
    return None
