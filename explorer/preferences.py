"""What a user wishes of embeddings, as typed values: metrics, preferences, and requirements.

The words are the encodings': which metrics and demands there are is known to them alone (a user's
rules may add some), so that `explorer.solve.Search` checks the names. The texts parsed here::

    steps,duplication                   preferences, the strongest first
    steps,footprint:2+transform         on the second level, two metrics mixed, the first twice
    footprint.weight                    a metric of one tensor: input, weight or output
    no-padding                          a demand by its name
    max-footprint=2MiB                  a metric's limit; min-… for those of which more is better
    keep-input-layout=NCHW1n16c         the layout that a tensor has to have, up to its outer order
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

from isa.computation import Computation, Role
from isa.errors import InputError

ROLES_BY_NAME: dict[str, Role] = {"input": "in0", "weight": "in1", "output": "out"}
NAMES_BY_ROLE: dict[Role, str] = {role: name for name, role in ROLES_BY_NAME.items()}

MORE_IS_BETTER = frozenset({"utilisation", "row_length"})
"""Metrics of which a user wants much: their cost in the encodings grows the other way."""

LARGEST = 2**31 - 1
"""The greatest integer that clingo counts with."""

LOGARITHM_UNIT = 2**20
"""Fixed-point logarithms to base 2 count so many to one."""

MAX_WEIGHT = 10**6

_PREFER, _REQUIRE = "--prefer", "--require"


@dataclass(frozen=True, slots=True, order=True)
class Metric:
    """A metric by the encodings' name, of all tensors or of one."""

    name: str
    role: Role | None = None

    def __str__(self) -> str:
        text = self.name.replace("_", "-")
        return f"{text}.{NAMES_BY_ROLE[self.role]}" if self.role else text


@dataclass(frozen=True, slots=True)
class Demand:
    """A requirement that is on or off, by the encodings' name; `text` is the user's."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A metric's cost is at most `bound`; `text` is what the user wrote."""

    metric: Metric
    bound: int
    text: str


@dataclass(frozen=True, slots=True)
class Keep:
    """A tensor keeps a layout.

    Attributes:
        role: the tensor.
        blocks: for each row of its access map, the block's extent (1: none) and its place among the
            blocks (from 1; 0: none).
        text: what the user wrote.
    """

    role: Role
    blocks: tuple[tuple[int, int], ...]
    text: str


Requirement = Demand | Limit | Keep


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything a user asks for.

    Attributes:
        levels: by level, greater ones first, weights of the metrics that are mixed there.
        requirements: what answers must fulfil.
        objectives: metrics in which no answer may be dominated (empty: answers are ranked).
        rules: files with further rules, a profile's and the user's own.
    """

    levels: Mapping[int, Mapping[Metric, int]] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    objectives: tuple[Metric, ...] = ()
    rules: tuple[Path, ...] = ()


def parse_metric(text: str, source: str) -> Metric:
    """A metric as users write it: ``row-length``, ``footprint.weight``.

    Raises:
        InputError: the text is none; that the encodings know the metric is not checked here.
    """
    name, dot, tensor = text.strip().partition(".")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise InputError(source, "", text, "a metric's name is needed, such as steps or row-length")
    if dot and tensor not in ROLES_BY_NAME:
        allowed = f"after the dot, one of {', '.join(ROLES_BY_NAME)}"
        raise InputError(source, text, tensor, allowed)
    return Metric(name.replace("-", "_"), ROLES_BY_NAME[tensor] if dot else None)


def parse_objectives(text: str, source: str = "--objectives") -> tuple[Metric, ...]:
    """Metrics separated by commas.

    Raises:
        InputError: one is none or stands twice.
    """
    metrics = tuple(parse_metric(part, source) for part in text.split(","))
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise InputError(source, "", str(metric), "an objective may stand once")
    return metrics


def parse_preferences(text: str) -> dict[int, dict[Metric, int]]:
    """Levels, the strongest first: 0, -1, …, so that they break ties of a profile's.

    Raises:
        InputError: the text does not fit ``METRIC[:WEIGHT][+…][,…]``, or names a metric twice.
    """
    levels: dict[int, dict[Metric, int]] = {}
    seen: set[Metric] = set()
    for index, level in enumerate(text.split(",")):
        weights: dict[Metric, int] = {}
        for part in level.split("+"):
            name, colon, weight = part.partition(":")
            metric = parse_metric(name, _PREFER)
            if metric in seen:
                raise InputError(_PREFER, "", name.strip(), "a metric may stand once")
            seen.add(metric)
            weights[metric] = _weight(weight, part) if colon else 1
        levels[-index] = weights
    return levels


def _weight(text: str, part: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text.strip()) or not 1 <= int(text) <= MAX_WEIGHT:
        raise InputError(_PREFER, part, text, f"a weight is a whole number from 1 to {MAX_WEIGHT}")
    return int(text)


def parse_requirements(
    texts: Iterable[str], operator: Computation, multipliers: int
) -> tuple[Requirement, ...]:
    """Requirements; each text may hold several, separated by commas.

    Args:
        texts: what the user wrote.
        operator: whose tensors have the layouts that are named.
        multipliers: lanes of the instruction.

    Raises:
        InputError: a text is no requirement, or two are about the same.
    """
    parts = [part.strip() for text in texts for part in text.split(",")]
    found = [_requirement(part, operator, multipliers) for part in parts]
    keys = [r.name if isinstance(r, Demand) else _subject(r) for r in found]
    for key, part in zip(keys, parts, strict=True):
        if keys.count(key) > 1:
            raise InputError(_REQUIRE, "", part, "a requirement may stand once")
    return tuple(found)


def _subject(requirement: Limit | Keep) -> Metric | Role:
    return requirement.metric if isinstance(requirement, Limit) else requirement.role


def _requirement(text: str, operator: Computation, multipliers: int) -> Requirement:
    name, equals, value = text.partition("=")
    if match := re.fullmatch(r"keep-(\w+)-layout", name):
        if match[1] not in ROLES_BY_NAME:
            raise InputError(_REQUIRE, text, match[1], f"one of {', '.join(ROLES_BY_NAME)}")
        role = ROLES_BY_NAME[match[1]]
        return Keep(role, _blocks(value, operator.tensor(role).letters, text), text)
    if match := re.fullmatch(r"(max|min)-(.+)", name):
        metric = parse_metric(match[2], _REQUIRE)
        better = "min" if metric.name in MORE_IS_BETTER else "max"
        if match[1] != better:
            raise InputError(_REQUIRE, "", name, f"{better}-{metric} can be limited")
        return Limit(metric, _bound(metric, value, text, operator, multipliers), text)
    if equals or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        allowed = "NAME, max-METRIC=VALUE, min-METRIC=VALUE or keep-TENSOR-layout=LAYOUT is needed"
        raise InputError(_REQUIRE, "", text, allowed)
    return Demand(name.replace("-", "_"), text)


def _bound(metric: Metric, value: str, text: str, operator: Computation, multipliers: int) -> int:
    """The greatest cost that meets a limit."""
    if metric.name == "utilisation":
        share = _number(value, text)
        if not 0 < share <= 1:
            raise InputError(_REQUIRE, text, value, "a utilisation is more than 0 and at most 1")
        return steps_limit(math.floor(Fraction(operator.macs) / (share * multipliers)), operator)
    bound = math.floor(_number(value, text))
    if metric.name == "steps":
        return steps_limit(bound, operator)
    if bound >= LARGEST:
        raise InputError(_REQUIRE, text, value, f"a limit is at most {LARGEST - 1}")
    return -math.ceil(_number(value, text)) if metric.name in MORE_IS_BETTER else bound


_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "k": 10**3, "M": 10**6}


def _number(value: str, text: str) -> Fraction:
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([A-Za-z]*)", value)
    if match is None or match[2] not in _UNITS:
        units = ", ".join(unit for unit in _UNITS if unit)
        raise InputError(_REQUIRE, text, value, f"a number, with a unit or without ({units})")
    return Fraction(match[1]) * _UNITS[match[2]]


def _blocks(layout: str, letters: str, text: str) -> tuple[tuple[int, int], ...]:
    """Block and place of each letter of a layout such as ``NCHW1n16c``."""
    example = f"{letters}16{letters[-1].lower()}"
    match = re.fullmatch(r"([A-Z]+)((?:[1-9][0-9]{0,8}[a-z])*)", layout)
    if match is None or sorted(match[1]) != sorted(letters):
        allowed = f"each of the letters {letters} once, then blocks of them, as in {example}"
        raise InputError(_REQUIRE, text, layout, allowed)
    blocks: dict[str, tuple[int, int]] = {}
    for extent, letter in re.findall(r"([0-9]+)([a-z])", match[2]):
        if letter.upper() not in letters or letter in blocks:
            raise InputError(_REQUIRE, text, layout, f"one block for a letter, as in {example}")
        blocks[letter] = (int(extent), len(blocks) + 1 if int(extent) > 1 else 0)
    return tuple(blocks.get(letter.lower(), (1, 0)) for letter in letters)


# ------------------------------------------------------------------------------- steps in 32 bits


def counts_exactly(operator: Computation) -> bool:
    """Whether steps are counted one by one, and not by logarithms.

    An embedding has no more steps than the domain has points, but for skewed ones; of those, all
    with `LARGEST` steps or more count alike.
    """
    return operator.macs <= LARGEST


def steps_limit(steps: int, operator: Computation) -> int:
    """The greatest cost of embeddings with at most so many steps.

    Where steps are counted by logarithms, those within their error are let through.
    """
    if counts_exactly(operator):
        return min(steps, LARGEST - 1)
    return math.floor(LOGARITHM_UNIT * math.log2(max(steps, 1))) + 32


@cache
def logarithm(number: int) -> int:
    """A fixed-point logarithm to base 2: equal products of numbers have equal sums.

    That of a prime is rounded, that of another number is the sum of its factors'. So it is off by
    at most half a unit for each prime factor; for numbers of up to 62 bits, by 31 units, which is
    a factor of 1.00002.
    """
    total, factor = 0, 2
    while factor * factor <= number:
        while number % factor == 0:
            number //= factor
            total += round(LOGARITHM_UNIT * math.log2(factor))
        factor += 1
    return total + round(LOGARITHM_UNIT * math.log2(number))
