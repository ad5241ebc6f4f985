"""What users' documents may hold: the base of every model, and the types of common fields.

Operators, instructions, studies and manifests are read through this. Whatever is wrong with one
leaves here as one `InputError` that names the file, the path of the field in it, the value and
what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from isa import files
from isa.computation import Affine
from isa.errors import InputError

MAX_EXTENT = 2**20
"""Greatest extent of a dimension, an axis or one tensor dimension."""

MAX_RANK = 16
"""Most dimensions that a document may declare, and greatest rank of its tensors."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]
Row = int | Annotated[str, StringConstraints(max_length=400)]
Index = Annotated[list[Row], Field(min_length=1, max_length=MAX_RANK)]

_SIGN = re.compile(r"\s*([+-]?)\s*")
# Nine digits at the most: what is read here becomes a fact, and clingo counts in 32 bits.
_TERM = re.compile(
    r"(?:(?P<factor>\d{1,9})\s*\*\s*)?(?P<name>[a-z][a-z0-9_]*)(?:\s*\*\s*(?P<after>\d{1,9}))?"
    r"|(?P<const>\d{1,9})"
)


class Document(BaseModel):
    """Base of every document model: no unknown keys, no silent conversions."""

    # Strict: else pydantic would take "3" or True for a number, and a slip would pass unseen.
    # Deferred: a command reads few kinds of documents, and checkers of all take long to build.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


Model = TypeVar("Model", bound=Document)


class _Loader(yaml.SafeLoader):
    """A safe loader to which repeated keys and aliases are errors.

    YAML's default keeps the last of two keys. A few lines of aliases stand for more than any
    machine can hold, or for a list that holds itself.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            mark = event.start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[Any] = set()
        for key in [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


def is_document(text: str) -> bool:
    """Whether a text that could also be a name means a file."""
    # Also where there is no such file: "no such file" helps more than "no such name".
    if text.endswith((".yaml", ".yml")):
        return True
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a file's name can be, or with a NUL
        return False


def read_text(path: Path) -> str:
    """The text of a document.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    return files.read_text(path, "must be a readable file")


def load_yaml(text: str, source: str) -> object:
    """What a YAML text holds: mappings, lists, texts and numbers.

    Raises:
        InputError: it is not YAML, or a key stands twice.
    """
    with files.parsing(source, "must be well-formed YAML"):
        try:
            return yaml.load(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = f"line {mark.line + 1}" if mark else ""
            raise InputError(source, line, error.problem, "must be well-formed YAML") from None


def parse_yaml(text: str, source: str) -> dict[str, object]:
    """The mapping that a YAML text holds.

    Raises:
        InputError: as `load_yaml`, or it is not a mapping of names.
    """
    return check_mapping(load_yaml(text, source), source)


def check_mapping(data: object, source: str) -> dict[str, object]:
    """The data as given, once it is known to be a mapping of names.

    Raises:
        InputError: it is none.
    """
    if not isinstance(data, dict):
        # "missing" would say that there is no such file.
        given = "an empty document" if data is None else data
        raise InputError(source, "", given, "must be a mapping of keys to values")
    for key in data:
        if not isinstance(key, str):
            raise InputError(source, str(key), key, "a key must be text; put it in quotes")
    return data


def validate(model: type[Model], data: object, source: str) -> Model:
    """The data as a document model.

    Raises:
        InputError: the first thing in which they differ.
    """
    with files.parsing(source, "must have the fields that are documented"):
        try:
            return model.model_validate(data)
        except ValidationError as error:
            problems = error.errors(include_url=False)
    # One at a time: the others are often only what follows from it.
    first = problems[0]
    location = _within(data, first["loc"])
    value = first["input"]
    # A value that may have one of several types has a problem with each.
    here = [p["msg"] for p in problems if _within(data, p["loc"]) == location]
    allowed = " or ".join(message[0].lower() + message[1:] for message in here)
    if first["type"] == "missing":
        location, value, allowed = first["loc"], None, "is required"
    elif first["type"] == "extra_forbidden":
        allowed = f"no such key; the keys here are {', '.join(_keys(model, location[:-1]))}"
    raise InputError(source, ".".join(map(str, location)), value, allowed)


def _within(data: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A problem's location without what pydantic appends to tell the types of a union apart."""
    for depth, part in enumerate(location):
        try:
            data = data[part]
        except (LookupError, TypeError):
            return location[:depth]
    return location


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the model at a place inside another."""
    for part in location:
        # Other parts are places in a list, or keys of a mapping, whose items have the model.
        if part in model.model_fields:
            model = next(_models(model.model_fields[str(part)].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The document models in a type: itself, or those of its items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def parse_affine(row: Row, names: Collection[str], source: str, field: str) -> Affine:
    """An affine expression from text such as ``oh*2 + kh - 1``, or from an integer.

    Args:
        row: the text, or the constant.
        names: dimensions that may occur.
        source: the document, for errors.
        field: where the expression stands in it, for errors.

    Raises:
        InputError: it is not a sum of terms ``name``, ``name*2``, ``2*name`` or ``2``, or names
            something else.
    """
    if isinstance(row, int):
        return Affine.of({}, row)
    terms: dict[str, int] = {}
    const = position = 0
    while True:
        sign = _SIGN.match(row, position)
        term = _TERM.match(row, sign.end()) if sign else None
        # Only the first term may go without a sign.
        if not sign or not term or (position and not sign[1]):
            allowed = "must be a sum of terms such as 'oh*2 + kh - 1'"
            raise InputError(source, field, row, allowed)
        factor = -1 if sign[1] == "-" else 1
        if name := term["name"]:
            if name not in names:
                allowed = f"no dimension {name!r}; the dimensions are {', '.join(names)}"
                raise InputError(source, field, row, allowed)
            # A dimension may stand in several terms, as in h + h: they are added.
            factor *= int(term["factor"] or 1) * int(term["after"] or 1)
            terms[name] = terms.get(name, 0) + factor
        else:
            const += factor * int(term["const"])
        position = term.end()
        if not row[position:].strip():
            return Affine.of(terms, const)
