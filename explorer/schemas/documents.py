"""Schemas of documents that are read in several forms, or by other means than a model."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from explorer.operators.document import OperatorDocument
from explorer.operators.kinds import KINDS, arguments
from explorer.operators.stages_document import StagesDocument
from isa.config import RANGES, TARGETS, TIMING_RANGES

_ARGUMENT = {
    "description": "a number, a truth value, or text as on the command line: 3x1, same",
    "anyOf": [
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "string"},
        {"type": "array", "items": {"type": "integer"}},
    ],
}


def operator() -> dict[str, Any]:
    """An operator in one of its three forms."""
    forms = TypeAdapter(OperatorDocument | StagesDocument).json_schema()
    return {
        "anyOf": [*(_kind(name) for name in KINDS), *forms["anyOf"]],
        "$defs": forms["$defs"] | {"Argument": _ARGUMENT},
        "type": "object",
    }


def _kind(name: str) -> dict[str, Any]:
    """A kind with its arguments as keys."""
    required, known = arguments(name)
    properties: dict[str, Any] = {"kind": {"const": name}, "name": {"type": "string"}}
    return {
        "properties": properties | {key: {"$ref": "#/$defs/Argument"} for key in known},
        "required": ["kind", *required],
        "additionalProperties": False,
    }


def configuration() -> dict[str, Any]:
    """VTA's configuration file; keys that nothing reads are warned of, not refused."""
    numbers = {name.upper(): span for name, span in RANGES.items()}
    numbers |= {name.upper(): span for name, span in TIMING_RANGES.items() if name != "bus_bits"}
    numbers |= {"LOG_BLOCK": RANGES["log_block_in"], "LOG_BUS_WIDTH": (3, 12)}
    properties: dict[str, Any] = {
        name: {"type": "integer", "minimum": low, "maximum": high}
        for name, (low, high) in numbers.items()
    }
    properties |= {"TARGET": {"type": "string", "examples": list(TARGETS)}}
    properties |= {"HW_VER": {"type": "string"}}
    optional = {"HW_VER", "LOG_BUS_WIDTH", *(name.upper() for name in TIMING_RANGES)}
    sides = ["LOG_BLOCK_IN", "LOG_BLOCK_OUT"]
    return {
        "type": "object",
        "properties": properties,
        "required": [n for n in properties if n not in optional and "LOG_BLOCK" not in n],
        "anyOf": [{"required": ["LOG_BLOCK"]}, {"required": sides}],
    }
