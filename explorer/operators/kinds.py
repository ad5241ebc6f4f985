"""The kinds of operator that a text or a document can ask for, and the arguments they take.

A kind is a function in `constructors`; its signature says what may be given, so nothing is listed
twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from inspect import Parameter, signature
from typing import Literal, get_args, get_origin, get_type_hints

from explorer.operators import constructors, moves
from explorer.operators.assembly import Clip, EpilogueOptions
from explorer.operators.axes import Pads, PerAxis
from isa.computation import Operator
from isa.errors import InputError

KINDS: dict[str, Callable[..., Operator]] = {
    "conv1d": constructors.conv1d,
    "conv2d": constructors.conv2d,
    "conv3d": constructors.conv3d,
    "depthwise": constructors.depthwise2d,
    "depthwise1d": constructors.depthwise1d,
    "depthwise2d": constructors.depthwise2d,
    "transposed": constructors.transposed2d,
    "transposed1d": constructors.transposed1d,
    "transposed2d": constructors.transposed2d,
    "conv1d_transpose": constructors.transposed1d,
    "conv2d_transpose": constructors.transposed2d,
    "gemm": constructors.gemm,
    "dense": constructors.gemm,
    "batched_matmul": constructors.batched_matmul,
    "bmm": constructors.batched_matmul,
    "attention_scores": constructors.attention_scores,
    "attention_values": constructors.attention_values,
    "add": moves.add,
    "copy": moves.copy,
    "average_pool": moves.average_pool,
}
"""Name of a kind, or another name of it, and the constructor."""

_SPATIAL = "dhw"
_ALLOWED: dict[object, str] = {
    PerAxis: "a whole number or one for each axis, as in 3x1",
    Pads: "a whole number, one for each axis (3x1), both ends of each (0x1x0x1), or same",
    Clip: "0, 1, or the least and the greatest value, as in -128x127",
}
"""What an argument of these types can be, in words."""
_FLAGS = {"0": False, "false": False, "1": True, "true": True}


def construct(source: str, kind: str, arguments: Mapping[str, object]) -> Operator:
    """The operator of a kind with these arguments.

    An argument that takes a value for each spatial axis (`pad`, `stride`, `dilation`) may be given
    as a number, as ``3x1`` or a list, or for single axes as ``pad_h``.

    Args:
        source: the file or text they come from, for errors.
        kind: a key of `KINDS`.
        arguments: values by name; a number or a truth value may still be text.

    Raises:
        InputError: the kind or an argument is unknown, missing, or has a value it cannot have.
    """
    if kind not in KINDS:
        raise InputError(source, "kind", kind, expected(kind, KINDS, "one of"))
    build = KINDS[kind]
    types = _types(build)
    known = [*types, *(name for names in _single_axes(types).values() for name in names)]
    for name in arguments:
        if name not in known:
            allowed = expected(name, known, f"no such argument; {kind} takes")
            raise InputError(source, name, arguments[name], allowed)
    values = {n: _value(source, n, v, types[n]) for n, v in arguments.items() if n in types}
    values |= _joined_axes(source, build, arguments)
    for name, parameter in signature(build).parameters.items():
        required = parameter.default is Parameter.empty and name in types
        if required and name not in values:
            raise InputError(source, name, None, f"{kind} takes {', '.join(known)}")
    try:
        return build(**values)
    except InputError as error:
        raise InputError(source, error.field, error.value, error.allowed) from None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of operator, and what it takes.

    Attributes:
        name: of the kind.
        aliases: other names of it.
        required: arguments that have to be given.
        optional: the others, with their defaults.
        summary: what it is.
    """

    name: str
    aliases: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    summary: str


def kinds() -> list[Kind]:
    """Every kind, in the order of `KINDS`."""
    names: dict[Callable[..., Operator], list[str]] = {}
    for name, build in KINDS.items():
        names.setdefault(build, []).append(name)
    return [_kind(build, known) for build, known in names.items()]


def arguments(kind: str) -> tuple[list[str], list[str]]:
    """What a kind takes: the arguments that have to be given, and all of them."""
    build = KINDS[kind]
    types, parameters = _types(build), signature(build).parameters
    known = [*types, *(name for names in _single_axes(types).values() for name in names)]
    needed = (name for name in types if name in parameters)
    return [n for n in needed if parameters[n].default is Parameter.empty], known


def _kind(build: Callable[..., Operator], names: list[str]) -> Kind:
    parameters = signature(build).parameters
    own = [name for name in _types(build) if name in parameters]
    required = [n for n in own if parameters[n].default is Parameter.empty]
    optional = [f"{n}={parameters[n].default}" for n in own if n not in required]
    aliases = [name for name in names if name != build.__name__]
    summary = (build.__doc__ or "").partition("\n")[0]
    return Kind(build.__name__, tuple(aliases), tuple(required), tuple(optional), summary)


def _single_axes(types: Mapping[str, object]) -> dict[str, list[str]]:
    """Of each argument that takes a value for each axis, the names for single axes."""
    axes = [axis for axis in _SPATIAL if axis in types]
    return {n: [f"{n}_{axis}" for axis in axes] for n, t in types.items() if t in (PerAxis, Pads)}


def _joined_axes(
    source: str, build: Callable[..., Operator], arguments: Mapping[str, object]
) -> dict[str, object]:
    """The arguments that are given for single axes, as tuples; an axis left out has the default."""
    joined: dict[str, object] = {}
    for whole, names in _single_axes(_types(build)).items():
        given = [name for name in names if name in arguments]
        if given and whole in arguments:
            allowed = f"{whole} is given too, and holds for every axis"
            raise InputError(source, given[0], arguments[given[0]], allowed)
        if given:
            default = signature(build).parameters[whole].default
            values = (_value(source, name, arguments.get(name, default), int) for name in names)
            joined[whole] = tuple(values)
    return joined


def expected(given: str, names: Iterable[str], opening: str) -> str:
    """The part of an error that lists what is allowed, the likeliest first."""
    names = list(names)
    close = get_close_matches(given, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}{opening} {', '.join(names)}"


@cache  # written types are evaluated as Python, which takes longer than all else of an operator
def _types(build: Callable[..., Operator]) -> Mapping[str, object]:
    """The arguments that a constructor takes, in order, each with its type."""
    hints = get_type_hints(build)
    plain = {name: hints[name] for name in signature(build).parameters if name != "epilogue"}
    return plain | get_type_hints(EpilogueOptions)


def _value(source: str, name: str, value: object, wanted: object) -> object:
    """A value of the type of a constructor's argument from one that may be text."""
    text = str(value).strip()
    if get_origin(wanted) is Literal:
        if text.lower() in get_args(wanted):
            return text.lower()
        raise InputError(source, name, value, f"one of {', '.join(get_args(wanted))}")
    if wanted is str:
        return text
    if wanted in (bool, Clip) and text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    if wanted is bool:
        raise InputError(source, name, value, "must be 0 or 1")
    if wanted == Pads and text.lower() == "same":
        return "same"
    many = wanted in (PerAxis, Pads, Clip)
    if many and isinstance(value, list | tuple):
        text = "x".join(map(str, value))
    if wanted != Clip and re.fullmatch(r"-?\d{1,12}", text):
        return int(text)
    if many and re.fullmatch(r"-?\d{1,12}(x-?\d{1,12})+", text):
        numbers = tuple(map(int, text.split("x")))
        if wanted != Clip or len(numbers) == 2:
            return numbers
    allowed = _ALLOWED.get(wanted, "a whole number")
    if re.search(r"\d{13}", text):
        allowed += ", of at most 12 digits"
    raise InputError(source, name, value, f"must be {allowed}")
