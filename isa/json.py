"""JSON that people write: what is wrong with it is said in one line."""

from __future__ import annotations

import json
from typing import Any

from isa.errors import InputError
from isa.files import parsing


def parse_json(text: str, source: str) -> dict[str, Any]:
    """The object that a JSON text holds.

    Raises:
        InputError: it is not JSON, a key stands twice in one object, or it is not an object.
    """

    # Python would keep the last of two equal keys, and the user would not know which one counts.
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                raise InputError(source, key, value, "a key may stand once")
            values[key] = value
        return values

    def number(text: str) -> float:
        raise InputError(source, "", text, "JSON has no such number")

    # Besides its own errors there are those of deep nesting and of numbers with too many digits.
    with parsing(source, "a plain JSON object is needed"):
        try:
            values = json.loads(text, object_pairs_hook=unique, parse_constant=number)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno} column {error.colno}"
            found = text[error.pos : error.pos + 20] or "end of file"
            raise InputError(source, place, found, f"JSON is needed ({error.msg})") from None
    if not isinstance(values, dict):
        raise InputError(source, "", type(values).__name__, "a JSON object is needed")
    return values
