"""Files from outside are data of any shape: the one place where they are opened, and how they fail.

Whatever is wrong with a file, it leaves here as an `InputError` that names the file. What parses
its content does so inside `parsing`, so that no parser's own exception gets past that either.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isa.errors import InputError
from isa.words import counted

MAX_DOCUMENT = 2**22
"""Bytes of a document that a person writes; a parser of YAML takes a minute for as much."""

MAX_BINARY = 2**31
"""Bytes of a file of a program: addresses have 32 bits, and a section's size is less than half."""


def read_bytes(path: Path, allowed: str, most: int = MAX_BINARY) -> bytes:
    """All bytes of a regular file.

    Args:
        path: the file.
        allowed: what is needed there, for errors.
        most: bytes that it may have.

    Raises:
        InputError: there is no such file, it is none that can be read to its end, or too large.
    """
    try:
        status = path.stat()
        # A pipe, a terminal or /dev/zero may never end.
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InputError(str(path), "", kind, allowed)
        if status.st_size > most:
            size = counted(status.st_size, "byte")
            raise InputError(str(path), "", size, f"{allowed}, of at most {counted(most, 'byte')}")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(str(path), "", None, allowed) from None
    except InputError:  # a ValueError too, which is told as it is
        raise
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(str(path), "", reason, allowed) from None


def read_text(path: Path, allowed: str, most: int = MAX_DOCUMENT) -> str:
    """The text of a file in UTF-8.

    Raises:
        InputError: as `read_bytes`, or it is no such text.
    """
    data = read_bytes(path, allowed, most)
    try:
        # As files that are opened as text: every kind of line end is one.
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise InputError(str(path), "", "binary data", f"{allowed}, in UTF-8") from None


def exists(path: Path) -> bool:
    """Whether there is a file or directory; False for what cannot be a name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@contextmanager
def parsing(source: str, allowed: str, found: str = "") -> Iterator[None]:
    """Turn whatever a parser raises in the block into one error about the file.

    Args:
        source: the file.
        allowed: what is needed there.
        found: what is there instead, where that says more than the parser.

    Raises:
        InputError: the block has failed.
    """
    try:
        yield
    except InputError:
        raise
    # What parsers of other people's formats raise on damaged data is documented nowhere, and was
    # found to include KeyError, TypeError, OverflowError, MemoryError and RecursionError.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        told = f"{allowed} ({reason})" if found else allowed
        raise InputError(source, "", found or reason, told) from None
