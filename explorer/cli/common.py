"""Options that every command has: --json, --quiet and --out, and how wide the screen is.

They stand here once and are added to a command when it is called, so that no command can lack them.
"""

from __future__ import annotations

import gc
import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from isa.errors import InputError

_STEP = 2
"""Columns that the continuation of an item is moved by, beyond the item itself."""

_json: ContextVar[bool] = ContextVar("json", default=False)
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_own: ContextVar[bool] = ContextVar("own", default=False)
_OPTIONS: dict[str, tuple[ContextVar[bool], Any]] = {
    "as_json": (_json, typer.Option("--json", help="Print JSON instead of text or tables.")),
    "quiet": (_quiet, typer.Option("--quiet", help="No progress on standard error.")),
}


_PRINTED = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Write what is printed to FILE, or to standard output (-).",
    ),
]
"""The --out of a command that prints and has none by itself."""


def extended(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options that all have, but for those that it reads by itself."""
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    added = {name: option for name, option in _OPTIONS.items() if name not in hints}
    prints = not {"output", "out"} & hints.keys()

    @wraps(command)
    def run(**arguments: Any) -> None:
        path: Path | None = arguments.pop("printed") if prints else None
        tokens = [(state, state.set(arguments.pop(name))) for name, (state, _) in added.items()]
        # Commands without compiled functions do not wait for the compiler to be imported.
        if (jit := sys.modules.get("simulator.jit")) is not None:
            jit.announce(compiling)
        if _own.get():
            loaded()
        try:
            with _printed_to(path):
                command(**arguments)
        finally:
            for state, token in tokens:
                state.reset(token)

    kinds = {name: Annotated[bool, option] for name, (_, option) in added.items()}
    further = {"printed": _PRINTED} if prints else {}
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in kinds.items()
    ]
    extra += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in further.items()
    ]
    known = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    run.__annotations__ = hints | kinds | further
    run.__signature__ = signature.replace(parameters=[*known, *extra])  # type: ignore[attr-defined]
    del run.__wrapped__  # its signature is not the one to be read
    return run


_TABLES = {".csv", ".parquet"}
"""Formats of files that other commands write tables in."""


@contextmanager
def _printed_to(path: Path | None) -> Iterator[None]:
    """Have what the block prints in a file instead; all of it, or nothing if the input is bad.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None or str(path) == "-":
        yield
        return
    # That module needs this one, and what is behind it is for commands that run.
    output = import_module("explorer.cli.output")
    output.check_file(path, output.OPTION)
    if path.suffix in _TABLES:
        allowed = "is text, or JSON with --json: a table of this format is not what is printed"
        raise InputError(output.OPTION, "", str(path), allowed)
    text = StringIO()
    try:
        with redirect_stdout(text):
            yield
    except typer.Exit:  # an answer, too: the findings of lint-program, say
        output.write_file(path, text.getvalue())
        raise
    output.write_file(path, text.getvalue())


def own_process() -> None:
    """Note that this process runs a command and nothing else."""
    _own.set(True)


def loaded() -> None:
    """Have Python look for garbage from here on, though not in what is there already, which stays.

    A loaded command is a few hundred thousand objects. To go through them again and again while
    there are more of them, and twice when the process ends, takes a third of what loading takes.
    """
    gc.freeze()
    gc.enable()


def compiling(seconds: int) -> None:
    """Say that functions are being compiled, which is done once for all commands to come.

    Only in a process of the command's own: elsewhere it is for the caller to say, and what a
    command prints there does not depend on what was compiled before.
    """
    if _own.get() and not is_quiet():
        print(f"compiling for this machine (once), about {seconds} s", file=sys.stderr, flush=True)


def wants_json() -> bool:
    """Whether the command that runs is to print JSON."""
    return _json.get()


def is_quiet() -> bool:
    """Whether the command that runs is to show no progress."""
    return _quiet.get()


def width() -> int:
    """Columns of the screen: the terminal's, or 80 where there is none; COLUMNS overrides both."""
    return shutil.get_terminal_size().columns


_HEAD = re.compile(r" *(\S+( \S+)? {2,})?")
"""What the continuation of a line stands below: an indentation, or a label and its text."""


def wrapped(text: str) -> str:
    """A text in which only sentences that are wider than the screen go on in further lines.

    Rows of marks and numbers, as in pictures of lanes, stay whole: they mean nothing in pieces.
    """
    return "\n".join(
        _filled(line, " " * _indent(line)) if len(line) > width() and _speaks(line) else line
        for line in text.splitlines()
    )


def _speaks(line: str) -> bool:
    """Whether a line has words beside its label."""
    head = _HEAD.match(line)
    assert head is not None
    return re.search("[A-Za-z]{2}", line[len(head[0]) :]) is not None


def _indent(line: str) -> int:
    head = _HEAD.match(line)
    assert head is not None
    return min(len(head[0]) + (0 if head[1] or not head[0] else _STEP), width() // 2)


def say(text: str, *, err: bool = False) -> None:
    """Print sentences, in lines that are no wider than the screen; every command does it so."""
    typer.echo(wrapped(text), err=err)


def _filled(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        width(),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def note(text: str, *, aside: bool) -> None:
    """Print what is to be said of a table; on standard error where standard output is for data."""
    say(text, err=aside or wants_json())
