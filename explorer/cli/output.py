"""What commands print and write: tables on the screen and in files, and progress."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from datetime import time as clock
from decimal import Decimal
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from explorer.cli.common import is_quiet, wants_json, width
from explorer.cli.fitting import NARROW, Fit, Frame, fit, fold
from explorer.cli.interrupts import whole
from isa.errors import InputError
from isa.files import parsing
from isa.interrupts import pressed

if TYPE_CHECKING:
    import pandas as pd

OPTION = "--out"
STANDARD = Path("-")
"""The path that means standard output."""
FIRST = 2.0
"""Seconds after which work says that it goes on, where there is no terminal."""
LONGEST = 60.0
"""Seconds between such lines at most: longer silence looks like a hang."""
_RULED, _PLAIN = Frame(gap=3, edge=4), Frame(gap=2, edge=0)


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _json(frame: pd.DataFrame) -> bytes:
    """A list of objects, one a line; floats are exact, missing values null."""
    cells = ((str(name), column) for name, column in _plain(frame).items())
    columns = {name: [_speakable(value, name) for value in column] for name, column in cells}
    records = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def _speakable(value: object, column: str) -> object:
    """A cell as JSON can say it: dates as text, decimals as numbers, lists and structures whole.

    Raises:
        InputError: it cannot, as infinity.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        case date() | clock() | timedelta() | UUID():  # a datetime is a date
            return str(value)
        case list() | tuple() | np.ndarray():
            return [_speakable(part, column) for part in value]
        case dict():
            return {str(key): _speakable(part, column) for key, part in value.items()}
        case np.generic():
            return _speakable(value.item(), column)
    raise InputError(OPTION, column, value, "JSON has no such value; .csv and .parquet do")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The same cells as Python's own objects, None where a value is missing."""
    return frame.astype(object).where(frame.notna(), None)


_ENCODERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    ".csv": _csv,
    ".json": _json,
    ".parquet": _parquet,
}


def check_folder(path: Path | None, instead: str, option: str = OPTION) -> Path | None:
    """The path as given, once it is known not to mean standard output, which holds no folder.

    Args:
        path: of ``--out``.
        instead: what prints what there is to say of the folder.
        option: by which the folder is given.

    Raises:
        InputError: it does.
    """
    if path is not None and path == STANDARD:
        raise InputError(option, "", str(path), f"a folder is written; {instead}")
    return path


def check_output(path: Path | None) -> Path | None:
    """The path as given, once it is known that a table can be written there.

    Raises:
        InputError: if the suffix names no format, or the directory is missing or not writable.
    """
    if path is None or path == STANDARD:
        return path
    check_file(path, OPTION, tuple(_ENCODERS))
    return path


def check_file(path: Path, option: str, suffixes: Sequence[str] = ()) -> None:
    """Find out whether a file of an option can be written, before what goes into it is computed.

    Args:
        path: of the file.
        option: the option's name.
        suffixes: those that it may have; none means any.

    Raises:
        InputError: the suffix is none of these, or the directory is missing or not writable.
    """
    if "\0" in str(path):
        allowed = "a name has no NUL"
    elif suffixes and path.suffix not in suffixes:
        allowed = f"the suffix must be {'one of ' * (len(suffixes) > 1)}{', '.join(suffixes)}"
    elif path.is_dir():
        allowed = "it is a directory"
    elif not path.parent.is_dir():
        allowed = f"there is no directory {path.parent}"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        allowed = f"the directory {path.parent} is not writable"
    else:
        return
    raise InputError(option, "", str(path), allowed)


JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs", "--workers", min=1, max=1024, help="Worker processes; by default one a core."
    ),
]

OutputOption = Annotated[
    Path | None,
    typer.Option(
        OPTION,
        "-o",
        callback=check_output,
        metavar="FILE",
        help=f"Write the table to FILE ({', '.join(_ENCODERS)}), or as CSV to standard output (-).",
    ),
]
"""The option of every command that makes a table; it is checked before the command starts."""


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of the path's suffix: all of it, or nothing.

    Equal tables give equal bytes. The index is not written.

    Raises:
        InputError: if the file cannot be written.
    """
    check_output(path)
    if path == STANDARD:
        typer.echo(_csv(frame), nl=False)
        return
    with parsing(OPTION, f"{path.suffix} must be able to hold the table"):
        data = _ENCODERS[path.suffix](frame)
    write_file(path, data)


def write_file(path: Path, data: bytes | str, option: str = OPTION) -> None:
    """Write a file of an option, in one step as `atomic_write`.

    Raises:
        InputError: it cannot be written.
    """
    try:
        atomic_write(path, data)
    except OSError as error:
        raise InputError(option, "", str(path), f"cannot write it: {error.strerror}") from None


def atomic_write(path: Path, data: bytes | str) -> None:
    """Replace a file's contents in one step; a reader sees the old or the new, never a part.

    Raises:
        OSError: if it cannot be written; the old file is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with whole():
        try:
            temporary.write_bytes(data.encode() if isinstance(data, str) else data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def table_of(rows: Iterable[object], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table of these rows, each a mapping or the values of the columns."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and work need not wait for it

    return pd.DataFrame(list(rows), columns=None if columns is None else list(columns))


def show_table(
    frame: pd.DataFrame,
    path: Path | None,
    printed: pd.DataFrame | None = None,
    keep: int | None = None,
) -> None:
    """Write a table to the file of ``--out`` or as JSON, or print what is `printed` of it."""
    if path:
        write_table(frame, path)
    elif wants_json():
        typer.echo(_json(frame), nl=False)
    else:
        print_table(frame if printed is None else printed, keep=keep)


def print_table(frame: pd.DataFrame, title: str | None = None, keep: int | None = None) -> None:
    """Print a table: ruled on a terminal, else as aligned plain text without the title.

    No line is wider than the screen, and no cell is ever shortened: texts go on in the next line,
    and where that is not enough each row is printed as a list. Where `keep` says how many of the
    first columns are needed, others are left out if there is no room.
    """
    names = [str(name) for name in frame.columns]
    numeric = [_is_numeric(column) for _, column in frame.items()]
    rows = [[_text(value) for value in row] for row in _plain(frame).itertuples(index=False)]
    console = Console()
    shape, texts = _RULED if console.is_terminal else _PLAIN, [not x for x in numeric]
    first = len(names) if keep is None else min(keep, len(names))
    found = fit([names, *rows], texts, first, width(), shape) if names else Fit((), {})
    if found is None:
        typer.echo("\n".join(_listed(names[:first], row) for row in rows), nl=False)
        return
    for row in (names, *rows):
        for place, limit in found.limits.items():
            row[place] = "\n".join(fold(row[place], limit))
    names, numeric = [names[i] for i in found.columns], [numeric[i] for i in found.columns]
    rows = [[row[i] for i in found.columns] for row in rows]
    if not console.is_terminal:
        typer.echo(_aligned([names, *rows], numeric), nl=False)
        return
    table = Table(title=title, title_justify="left")
    for name, right in zip(names, numeric, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _is_numeric(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers, where it holds anything."""
    if column.dtype.kind != "O":
        return column.dtype.kind in "iuf"
    there = [value for value in column if value is not None]
    return bool(there) and all(type(value) in (int, float) for value in there)


def _listed(names: Sequence[str], row: Sequence[str]) -> str:
    """A row as lines of a name and a value; a long value goes on below itself."""
    room = max(map(len, names))
    values = ["\n".join(fold(v, max(NARROW, width() - room - _PLAIN.gap))) for v in row]
    return _aligned([list(pair) for pair in zip(names, values, strict=False)], [False, False])


def _text(value: object) -> str:
    """A cell for people: whole numbers in full, four significant digits of a fraction."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _aligned(rows: list[list[str]], right: list[bool]) -> str:
    """Rows as lines, two spaces between columns; a cell of several lines makes a row of as many."""
    rows = [list(line) for row in rows for line in zip_longest(*_lines(row), fillvalue="")]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _lines(row: list[str]) -> list[list[str]]:
    return [cell.split("\n") for cell in row]


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error while the block runs: a bar on a terminal, else lines.

    Yields:
        A function that adds a number of finished pieces of work.
    """
    console, done = Console(stderr=True), 0

    def add(finished: int) -> None:
        nonlocal done
        done += finished

    def told() -> str:
        return f"{done:,} of {total:,}" if total else f"{done:,}" if done else ""

    if is_quiet() or not console.is_terminal:
        with logged(description, told):
            yield add
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda finished: bar.advance(task, finished)


@contextmanager
def logged(description: str, told: Callable[[], str]) -> Iterator[None]:
    """Say now and then, in lines for a log, how far the block is; nothing if quiet.

    Args:
        description: what is done.
        told: how far it is, in words; "" where nobody knows.
    """
    if is_quiet():
        yield
        return
    ended, begin = Event(), time.monotonic()

    def watch() -> None:
        # Each pause is as long as all that was before: a log of hours need not be long.
        pause = FIRST
        while not ended.wait(pause) and not pressed.is_set():
            elapsed = time.monotonic() - begin
            text = ", ".join(filter(None, (told(), f"{elapsed:.0f} s")))
            sys.stderr.write(f"{description}: {text}\n")
            sys.stderr.flush()
            pause = min(elapsed, LONGEST)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
