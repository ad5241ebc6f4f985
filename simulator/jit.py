"""Just-in-time compilation of the loops that take the time, and where machine code is kept.

numba keeps machine code by the file of the function alone, though compiled callers hold the code of
what they call: after a change of one module the callers in others would go on with the old one. So
every state of the sources has a folder of its own, and those of older states are removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
from numba.core import event
from numba.extending import register_jitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Function = TypeVar("Function", bound="Callable[..., Any]")

_HOME = Path(__file__).resolve().parents[1]  # the packages lie side by side, installed or not
# Where compiled functions are, and the constants that numba copies into them.
_COMPILED = ("isa", "simulator", "explorer/schedule", "explorer/study")
_OPTIONS: dict[str, Any] = {"error_model": "numpy"}  # no divisor is 0; code that raises takes long
SECONDS = 3.0  # that a door takes to compile with its helpers, on average
_KEPT = 3  # states of one checkout whose machine code stays: a process may still run an older one


def cache_folder() -> Path:
    """The folder for the machine code of the sources as they are now, in the user's cache."""
    digest = hashlib.sha256()
    for folder in _COMPILED:
        for path in sorted((_HOME / folder).rglob("*.py")):
            state = path.stat()
            digest.update(f"{path}:{state.st_mtime_ns}:{state.st_size}\n".encode())
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    checkout = hashlib.sha256(str(_HOME).encode()).hexdigest()[:16]
    return Path(base) / "vta-explorer" / checkout / digest.hexdigest()[:16]


def _prepare() -> None:
    """Tell numba the folder, unless the user has, and remove those of old states."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    with suppress(OSError, RuntimeError):  # nothing to write to, or no home: numba's own places
        folder = cache_folder()
        if not folder.is_dir():
            folder.mkdir(parents=True)
            states = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in states[:-_KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


_prepare()
# Of the modules that are loaded.
_doors: list[Callable[..., Any]] = []
_helpers: list[Callable[..., Any]] = []
_makers: list[Callable[..., Any]] = []


def jit(function: Function) -> Function:
    """Compile a function on its first call, and keep the machine code on disk where possible.

    It is a door: Python calls it. What it calls in turn is a `helper`; that way there are few
    functions to make callable from Python, and to keep.

    Other threads run meanwhile: the one that waits for Ctrl-C must, however long a loop takes.

    numba ships no types, so this also is where the function's own signature survives.
    """
    try:
        compiled = numba.njit(cache=True, nogil=True, **_OPTIONS)(function)
    except RuntimeError:  # neither the installation nor the user's cache folder can be written
        compiled = numba.njit(nogil=True, **_OPTIONS)(function)
    _doors.append(compiled)
    return cast("Function", compiled)


def helper(function: Function) -> Function:
    """Have compiled functions call this one, which is compiled as a part of them.

    Called from Python it runs as Python. Unlike a door it gets no wrappers and no place on disk,
    and is compiled once for all integers rather than again for each constant that it is given.

    It makes no arrays and returns none, so that none needs its references counted: what counts them
    takes long to compile. One that does make or return some, or calls one that does, is a `maker`.
    """
    _helpers.append(function)
    return _part(function, _nrt=False)


def maker(function: Function) -> Function:
    """The same of a function that makes or returns arrays."""
    _makers.append(function)
    return _part(function)


def _part(function: Function, **options: Any) -> Function:
    compiled: Function = register_jitable(no_cfunc_wrapper=True, **_OPTIONS, **options)(function)
    return compiled


class _Thrift(event.Listener):
    """Has the parts of a door optimised lightly while they are compiled one by one.

    The door's own code, which then contains all of theirs, is optimised in full, so that nothing is
    lost but time in which the same code would be optimised again and again.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._full: tuple[int, object] | None = None

    def on_start(self, event: event.Event) -> None:
        """Go over to light optimisation with the first part of a door."""
        if self._depth or event.data["dispatcher"] in _doors:
            self._depth += 1
        if self._depth == 2 and self._full is None:
            config: Any = numba.config
            self._full = config.OPT, config.LOOP_VECTORIZE
            config.OPT, config.LOOP_VECTORIZE = type(config.OPT)(1), 0

    def on_end(self, event: event.Event) -> None:
        """Come back to the door itself."""
        self._depth = max(0, self._depth - 1)
        if self._depth == 1 and self._full is not None:
            config: Any = numba.config
            config.OPT, config.LOOP_VECTORIZE = self._full
            self._full = None


event.register("numba:compile", _Thrift())


def is_kept() -> bool:
    """Whether there is a folder in which machine code is kept."""
    return bool(numba.config.CACHE_DIR)  # type: ignore[attr-defined]


def missing(doors: Iterable[Callable[..., Any]]) -> list[Callable[..., Any]]:
    """Those without machine code on disk, as far as can be told: all where none can be kept."""
    folder = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    # numba calls the index of a function's machine code MODULE.FUNCTION-LINE.VERSION.nbi.
    kept = {path.name.split("-")[0] for path in Path(folder).rglob("*.nbi")} if folder else set()
    return [
        door for door in doors if f"{door.__module__.split('.')[-1]}.{door.__name__}" not in kept
    ]


def estimate(doors: Iterable[Callable[..., Any]]) -> int:
    """About how many seconds of a processor it takes to compile what is missing of them."""
    return round(SECONDS * len(missing(doors)))


def announce(say: Callable[[int], None]) -> None:
    """Have a function told when compiling begins, about how many seconds of a processor it takes.

    It is told once; the function of an earlier call is not told any more.
    """
    _ANNOUNCEMENT.say = say


class _Announcement(event.Listener):
    """Passes on the first of the compiler's events after it has been told to whom."""

    say: Callable[[int], None] | None = None

    def on_start(self, event: event.Event) -> None:
        """Say it."""
        if self.say is not None:
            say, self.say = self.say, None
            say(estimate(_doors))

    def on_end(self, event: event.Event) -> None:
        """Nothing: the end of the first one is not the end of all."""


_ANNOUNCEMENT = _Announcement()
event.register("numba:compile", _ANNOUNCEMENT)
