"""What a study asks: layers, configurations, and how each unit is judged; also as a YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from explorer.embedding.facts import CLASSES
from explorer.operators import resolve
from explorer.operators.layer_files import split
from explorer.operators.workloads import members
from explorer.study import cost
from explorer.study.expression import Expression
from explorer.study.networks import PREFIX
from explorer.study.networks import operators as network_operators
from explorer.study.parameters import (
    BLOCK,
    IN_TURN,
    PARAMETERS,
    SCRATCHPADS,
    Grid,
    Point,
    check_values,
    parse_values,
    sizes,
)
from explorer.study.store import NamedLayer
from explorer.study.unit import METRICS, Layer, Options, Unit
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.schema import Document, is_document, load_yaml, parse_yaml, read_text, validate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")  # it names a file of the store
_Count = Annotated[int, Field(ge=1)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=400)]

_REPEATED = re.compile(r"(\d{1,6})\s*\*\s*(.+)")
CANDIDATES = 10
"""Embeddings among which points are chosen, where cycles are not all that matters."""


class _WorkloadDocument(Document):
    operator: _Text
    repeat: _Count = 1


class StudyDocument(Document):
    """A study file; the fields are explained in docs/reference/sweeps.md."""

    name: str
    workloads: Annotated[list[Any], Field(min_length=1)]
    base: str = "default"
    vary: dict[str, Any] = Field(default_factory=dict)
    configurations: list[dict[str, int]] = Field(default_factory=list)
    constraints: list[_Text] = Field(default_factory=list)
    classes: list[str] = Field(default_factory=lambda: list(CLASSES))
    all_tiles: bool = False
    effort: _Count | None = 2
    objectives: Annotated[list[str], Field(min_length=1)] = Field(
        default_factory=lambda: ["cycles"]
    )
    preferences: list[str] = Field(default_factory=list)
    requirements: list[_Text] = Field(default_factory=list)
    candidates: _Count | None = None
    costs: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """Layers × configurations.

    Attributes:
        name: under which the workload is kept.
        layers: each layer with its name and how often the workload runs it.
        grid: the configurations.
        constraints: conditions that a configuration has to meet to be looked at.
        options: how units are evaluated.
    """

    name: str
    layers: tuple[tuple[Layer, int], ...]
    grid: Grid
    constraints: tuple[Expression, ...]
    options: Options

    def points(self) -> Iterator[Point]:
        """The configurations that meet the constraints, in the order of the grid."""
        for point in self.grid:
            known = point | _derived(point, self.options)
            if all(condition.holds(known) for condition in self.constraints):
                yield point

    def units(self, model: str) -> Iterator[Unit]:
        """Every unit once, in the order in which each has most from those before it.

        Block by block, in each layer by layer; of a layer, configurations that differ in
        scratchpads alone stand together, the larger ones first (see `explorer.study.shared`).
        """
        layers = list({layer.id: layer for layer, _ in self.layers}.values())
        # Tuples: a grid may have a million points, and dictionaries are some times as large.
        points = sorted(tuple(map(point.__getitem__, IN_TURN)) for point in self.points())
        for _, block in groupby(points, key=itemgetter(*range(len(BLOCK)))):
            alike = groupby(block, key=itemgetter(*range(len(IN_TURN) - len(SCRATCHPADS))))
            ordered = list(chain.from_iterable(reversed(list(group)) for _, group in alike))
            for layer in layers:
                for values in ordered:
                    named = dict(zip(IN_TURN, values, strict=True))
                    point = {name: named[name] for name in PARAMETERS}
                    yield Unit(layer, point, self.options, model)

    def named_layers(self) -> list[NamedLayer]:
        """What the store keeps of the workload."""
        return [
            NamedLayer(layer.operator.name, repeat, layer.id, layer.operator.useful_macs)
            for layer, repeat in self.layers
        ]


def _derived(point: Point, options: Options) -> dict[str, float]:
    size = sizes(point)
    return {
        "mac_units": size["mac_units"],
        "on_chip_bytes": size["on_chip_bytes"],
        "area": options.costs.area(point),
    }


def make(
    name: str,
    workloads: Iterable[tuple[str, int]],
    grid: Grid,
    options: Options,
    *,
    constraints: Sequence[str] = (),
    source: str = "sweep",
) -> Study:
    """A study, checked: what is wrong in it is found here and not in a unit.

    Args:
        name: see `Study`.
        workloads: operators and suites as the command line takes them, each with a repeat count.
        grid: the configurations.
        options: how units are evaluated.
        constraints: conditions on configurations.
        source: where all this comes from, for errors.

    Raises:
        InputError: a name, value or condition cannot be used, or no configuration is left.
    """
    if not _NAME.fullmatch(name):
        raise InputError(source, "name", name, "letters, digits, '.', '_' and '-', at most 80")
    grid.check(source)
    _check_options(options, source)
    conditions = tuple(Expression.parse(text, f"{source}: constraints") for text in constraints)
    for condition in conditions:
        condition.check_names((*PARAMETERS, "mac_units", "on_chip_bytes", "area"))
    study = Study(name, _layers(workloads), grid, conditions, options)
    if next(study.points(), None) is None:
        allowed = "the grid is empty: no configuration meets the constraints"
        raise InputError(source, "constraints", list(constraints), allowed)
    return study


def load(path: Path) -> Study:
    """The study in a YAML file.

    Raises:
        InputError: the file cannot be read, has an unknown key, or as `make`.
    """
    source = str(path)
    document = validate(StudyDocument, parse_yaml(read_text(path), source), source)
    vary = {name: _values(values, source, name) for name, values in document.vary.items()}
    for index, point in enumerate(document.configurations):
        for name, value in point.items():
            check_values([value], f"{source}: configurations.{index}", name)
    grid = Grid(Config.load(_beside(document.base, path)), vary, tuple(document.configurations))
    options = Options(
        classes=tuple(document.classes) if document.classes != ["all"] else tuple(CLASSES),
        costs=cost.load(Path(_beside(document.costs, path)) if document.costs else None),
        all_tiles=document.all_tiles,
        effort=document.effort,
        objectives=tuple(document.objectives),
        preferences=tuple(document.preferences),
        requirements=tuple(document.requirements),
        candidates=document.candidates
        or default_candidates(document.objectives, document.preferences, document.requirements),
    )
    workloads = []
    for index, item in enumerate(document.workloads):
        text, repeat = _workload(item, f"{source}: workloads.{index}")
        workloads.append((_beside(text, path), repeat))
    return make(
        document.name,
        workloads,
        grid,
        options,
        constraints=document.constraints,
        source=source,
    )


def is_study(text: str) -> bool:
    """Whether a command's argument is a study file rather than an operator."""
    if not is_document(text) or parse_workload(text)[0].startswith(PREFIX):
        return False
    data = load_yaml(read_text(Path(text)), text)
    return isinstance(data, Mapping) and "workloads" in data


def default_candidates(
    objectives: Sequence[str], preferences: Sequence[str], requirements: Sequence[str]
) -> int | None:
    """How many of the fastest embeddings the points are chosen from.

    One where cycles alone count; all where there are requirements, as the fastest may not meet
    them.
    """
    if requirements:
        return None
    return 1 if tuple(objectives) == ("cycles",) and not preferences else CANDIDATES


def parse_workload(text: str) -> tuple[str, int]:
    """Operator and repeat count of ``4*resnet18:C2``."""
    repeated = _REPEATED.fullmatch(text.strip())
    return (repeated[2], int(repeated[1])) if repeated else (text, 1)


def _workload(item: object, source: str) -> tuple[str, int]:
    if isinstance(item, str):
        return parse_workload(item)
    if not isinstance(item, Mapping):
        raise InputError(source, "", item, "an operator, or {operator: …, repeat: …}")
    entry = validate(_WorkloadDocument, item, source)
    return entry.operator, entry.repeat


def _values(values: object, source: str, name: str) -> tuple[int, ...]:
    """A parameter's values from a number, a list, or a text such as ``3..6``."""
    if isinstance(values, str):
        return parse_values(values, f"{source}: vary", name)
    items: list[Any] = values if isinstance(values, list) else [values]
    for item in items:
        if not isinstance(item, int) or isinstance(item, bool):
            raise InputError(source, f"vary.{name}", item, "an integer, a list, or text as 3..6")
    return check_values(items, f"{source}: vary", name)


def _beside(text: str, study: Path) -> str:
    """A file (or a layer of one) beside the study file by its path, anything else as it is."""
    if text.startswith(PREFIX):
        return f"{PREFIX}{_beside(text.removeprefix(PREFIX), study)}"
    file, label = split(text) or (Path(text), "")
    try:
        beside = study.parent / file
        return f"{beside}{f':{label}' if label else ''}" if beside.is_file() else text
    except OSError:  # longer than a file's name can be
        return text


def _operators(text: str) -> list[tuple[Operator, int]]:
    """What a workload consists of, and how often each operator is in it."""
    if text.startswith(PREFIX):
        return network_operators(text)
    return [(resolve(reference), times) for reference, times in members(text)]


def _layers(workloads: Iterable[tuple[str, int]]) -> tuple[tuple[Layer, int], ...]:
    """The layers, those that compute the same under the same name added up."""
    layers: dict[tuple[str, str], tuple[Layer, int]] = {}
    for text, repeat in workloads:
        if repeat < 1:
            raise InputError("workload", "repeat", repeat, "a positive number")
        for operator, times in _operators(text):
            layer = Layer(operator)
            key = layer.operator.name, layer.id
            _, before = layers.get(key, (layer, 0))
            layers[key] = (layer, before + repeat * times)
    return tuple(layers.values())


def _check_options(options: Options, source: str) -> None:
    for name in options.classes:
        if name not in CLASSES:
            raise InputError(source, "classes", name, f"some of {', '.join(CLASSES)}")
    for field in ("objectives", "preferences"):
        names = getattr(options, field)
        for name in names:
            if name not in METRICS:
                raise InputError(source, field, name, f"the metrics are {', '.join(METRICS)}")
            if names.count(name) > 1:
                raise InputError(source, field, name, "it is given twice")
    if not options.objectives:
        raise InputError(source, "objectives", None, f"some of {', '.join(METRICS)}")
    for text in options.requirements:
        Expression.parse(text, f"{source}: requirements").check_names((*METRICS, *PARAMETERS))
