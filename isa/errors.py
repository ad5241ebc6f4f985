"""The one exception that bad input raises: every command turns it into one line and exit code 2."""

from __future__ import annotations

import reprlib

MOST_SHOWN = 200
"""Characters of a value that are shown: what a user gives may have any length."""

_MOST_OF_A_PLACE = 200
_MOST_ALLOWED = 400  # with source, field and value, a message stays below 1,000 characters
_CUT = "…"


class _Short(reprlib.Repr):
    """Python's own notation, without walking through more of a value than is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = MOST_SHOWN
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 20
        self.maxlevel = (
            3  # nested lists of twenty each are long enough, and may be one and the same
        )

    def repr_str(self, x: str, level: int) -> str:
        """The beginning of a text: what is wrong with it is likelier there than at the end."""
        return repr(x) if len(x) <= self.maxstring else repr(x[: self.maxstring]) + _CUT

    def repr_int(self, x: int, level: int) -> str:
        """A number, if it has not more digits than Python is willing to convert."""
        return repr(x) if x.bit_length() < 2048 else f"a number of {x.bit_length()} bits"


_SHORT = _Short()


def shown(value: object) -> str:
    """A value as messages show it: in Python's notation, on one line, cut where it is long."""
    return _cut(one_line(_SHORT.repr(value)), MOST_SHOWN)


def one_line(text: str) -> str:
    """A text without line breaks, and with control characters escaped.

    What a file holds must not move the cursor, change colours or start another line.
    """
    words = " ".join(text.split())
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + _CUT


class InputWarning(UserWarning):
    """Input that is used although something in it is not understood; commands print it once."""


class InputError(ValueError):
    """Input that cannot be used.

    Args:
        source: the file, option or argument that holds the value.
        field: where in it the value stands (``dims.oc``, ``LOG_BLOCK``), or "".
        value: the offending value as the user wrote it, or None when it is missing.
        allowed: what would be accepted, in words.

    The message is one line of less than 1,000 characters, whatever the arguments are.
    """

    def __init__(self, source: str, field: str, value: object, allowed: str) -> None:
        place = _cut(one_line(source), _MOST_OF_A_PLACE)
        if field:
            place += f": {_cut(one_line(field), _MOST_OF_A_PLACE // 2)}"
        given = "missing" if value is None else f"{shown(value)} is not allowed"
        super().__init__(f"{place}: {given}; {_cut(one_line(allowed), _MOST_ALLOWED)}")
        self.source, self.field, self.value, self.allowed = source, field, value, allowed

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, object, str]]:
        """How it travels between processes: exceptions are made of their message else."""
        return InputError, (self.source, self.field, self.value, self.allowed)
