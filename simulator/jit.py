"""Just-in-time compilation of the loops that take the time, and where machine code is kept.

numba keeps machine code by the file of the function alone, though compiled callers hold the code of
what they call: after a change of one module the callers in others would go on with the old one. So
every state of the sources has a folder of its own, and those of older states are removed.

numba itself, a quarter of what a command loads, is imported when a compiled function is called.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import shutil
import threading
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

Function = TypeVar("Function", bound="Callable[..., Any]")

_HOME = Path(__file__).resolve().parents[1]  # the packages lie side by side, installed or not
# Where compiled functions are, and the constants that numba copies into them.
_COMPILED = ("isa", "simulator", "explorer/schedule", "explorer/study")
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


@functools.cache
def _kept() -> Path | None:
    """The folder that machine code is kept in, without those of old states; the user's, if any."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    with suppress(OSError, RuntimeError):  # nothing to write to, or no home: numba's own places
        folder = cache_folder()
        if not folder.is_dir():
            folder.mkdir(parents=True)
            states = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in states[:-_KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        return folder
    return None


class Door:
    """A function that is compiled when Python calls it first."""

    __name__: str

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Call it, compiled."""
        compiled = self._compiled
        if compiled is None:
            compiled = self._compiled = awake().door(self._function)
        return compiled(*arguments)


# Of the modules that are loaded.
_doors: list[Door] = []
_helpers: list[Callable[..., Any]] = []
_makers: list[Callable[..., Any]] = []
# What numba has not been told yet, which is done in the order in which it is declared.
_untold: list[Callable[[ModuleType], None]] = []
_lock = threading.RLock()


def awake() -> Any:
    """The compiler, which knows all parts of the modules that are loaded."""
    with _lock:
        compiler = _compiler()
        while _untold:
            _untold.pop(0)(compiler)
    return compiler


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage while the block loads what stays; numba would take a third longer."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@functools.cache
def _compiler() -> ModuleType:
    with _uncollected():
        from simulator import compiler  # noqa: PLC0415 - see the module's text

    folder = _kept()
    if folder is not None:
        compiler.keep_in(folder)
    compiler.watch(_announced)
    return compiler


def jit(function: Function) -> Function:
    """Compile a function on its first call, and keep the machine code on disk where possible.

    It is a door: Python calls it. What it calls in turn is a `helper`; that way there are few
    functions to make callable from Python, and to keep.

    Its signature stays what it is to those who check types.
    """
    door = Door(function)
    _doors.append(door)
    return cast("Function", door)


def helper(function: Function) -> Function:
    """Have compiled functions call this one, which is compiled as a part of them.

    Called from Python it runs as Python. Unlike a door it gets no wrappers and no place on disk,
    and is compiled once for all integers rather than again for each constant that it is given.

    It makes no arrays and returns none, so that none needs its references counted: what counts them
    takes long to compile. One that does make or return some, or calls one that does, is a `maker`.
    """
    _helpers.append(function)
    _untold.append(lambda to: to.part(function, counted=False))
    return function


def maker(function: Function) -> Function:
    """The same of a function that makes or returns arrays."""
    _makers.append(function)
    _untold.append(lambda to: to.part(function, counted=True))
    return function


def emitted(module: str) -> Callable[[Function], Function]:
    """Have compiled functions contain what a module's `generate` emits instead of a call.

    See `simulator.compiler.emitted`. Called from Python the decorated function runs as Python.
    """

    def decorate(function: Function) -> Function:
        _untold.append(lambda to: to.emitted(function, import_module(module).generate))
        return function

    return decorate


def is_kept() -> bool:
    """Whether there is a folder in which machine code is kept."""
    return _kept() is not None


def missing(doors: Iterable[Callable[..., Any]]) -> list[Callable[..., Any]]:
    """Those without machine code on disk, as far as can be told: all where none can be kept."""
    folder = _kept()
    # numba calls the index of a function's machine code MODULE.FUNCTION-LINE.VERSION.nbi.
    kept = {path.name.split("-")[0] for path in folder.rglob("*.nbi")} if folder else set()
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
    _listeners[:] = [say]


# Of them there is one at most.
_listeners: list[Callable[[int], None]] = []


def _announced() -> None:
    """Pass on the first of the compiler's events after it has been told to whom."""
    if _listeners:
        _listeners.pop()(estimate(_doors))
