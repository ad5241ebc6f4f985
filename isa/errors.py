"""The one exception that bad input raises: every command turns it into one line and exit code 2."""

from __future__ import annotations


class InputWarning(UserWarning):
    """Input that is used although something in it is not understood; commands print it once."""


class InputError(ValueError):
    """Input that cannot be used.

    Args:
        source: the file, option or argument that holds the value.
        field: where in it the value stands (``dims.oc``, ``LOG_BLOCK``), or "".
        value: the offending value as the user wrote it, or None when it is missing.
        allowed: what would be accepted, in words.
    """

    def __init__(self, source: str, field: str, value: object, allowed: str) -> None:
        place = f"{source}: {field}" if field else source
        given = "missing" if value is None else f"{value!r} is not allowed"
        super().__init__(f"{place}: {given}; {allowed}")
        self.source, self.field, self.value, self.allowed = source, field, value, allowed
