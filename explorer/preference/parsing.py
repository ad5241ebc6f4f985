"""Texts → wishes: preferences, requirements and objectives as users write them.

Which metrics and demands there are is known to the encodings alone (a user's rules may add some),
so that `explorer.embedding.solver.Solver` checks the names. The texts parsed here::

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
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from explorer.embedding.metrics import (
    MORE_IS_BETTER,
    ROLES_BY_NAME,
    Demand,
    Keep,
    Limit,
    Metric,
    Requirement,
    Wishes,
    parse_tensor,
)
from explorer.embedding.rule_files import profiles
from explorer.embedding.step_costs import LARGEST, steps_limit
from explorer.operators.letters import usual
from isa.computation import Computation, Operator, Role, Tensor
from isa.config import Config
from isa.errors import InputError

MAX_WEIGHT = 10**6

_PREFER, _REQUIRE = "--prefer", "--require"


def parse_metric(text: str, source: str) -> Metric:
    """A metric as users write it: ``row-length``, ``footprint.weight``.

    Raises:
        InputError: the text is none; that the encodings know the metric is not checked here.
    """
    name, dot, tensor = text.strip().partition(".")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise InputError(source, "", text, "a metric's name is needed, such as steps or row-length")
    if not dot:
        return Metric(name.replace("-", "_"))
    found = parse_tensor(tensor)
    if found is None:
        allowed = f"after the dot, one of {', '.join(ROLES_BY_NAME)}; of term 2 input2, weight2"
        raise InputError(source, text, tensor, allowed)
    return Metric(name.replace("-", "_"), *found)


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


Lanes = Mapping[Role, tuple[int, int]]
"""Of each tensor, the lanes of its port: for what is outer and what is inner in an entry."""


def lanes_of(config: Config) -> Lanes:
    """The lanes of the ports, as they hold the tensors of a straight binding."""
    return {
        "in0": (config.batch, config.block_in),
        "in1": (config.block_out, config.block_in),
        "out": (config.batch, config.block_out),
    }


def parse_requirements(
    texts: Iterable[str],
    operator: Computation,
    multipliers: int,
    lanes: Lanes | None = None,
    further: Sequence[Computation] = (),
) -> tuple[Requirement, ...]:
    """Requirements; each text may hold several, separated by commas.

    Args:
        texts: what the user wrote.
        operator: whose tensors have the layouts that are named; of several terms, the first.
        multipliers: lanes of the instruction.
        lanes: of the ports; what blocks without a factor have (``NCHWnc``), and in which a layout
            without blocks lies in memory as if it had one (``NHWC`` as ``NHWC16c``).
        further: the other terms.

    Raises:
        InputError: a text is no requirement, or two are about the same.
    """
    parts = [part.strip() for text in texts for part in text.split(",")]
    found = [_requirement(part, (operator, *further), multipliers, lanes or {}) for part in parts]
    keys = [r.name if isinstance(r, Demand) else _subject(r) for r in found]
    for key, part in zip(keys, parts, strict=True):
        if keys.count(key) > 1:
            raise InputError(_REQUIRE, "", part, "a requirement may stand once")
    return tuple(found)


def _subject(requirement: Limit | Keep) -> Metric | tuple[Role, int]:
    if isinstance(requirement, Limit):
        return requirement.metric
    return requirement.role, requirement.term


def _requirement(
    text: str, terms: Sequence[Computation], multipliers: int, lanes: Lanes
) -> Requirement:
    if match := _COMPARED.fullmatch(text):  # as a condition of a sweep is written
        least = "min" if match[2] == ">=" else "max"
        text = f"{least}-{match[1].replace('_', '-')}={match[3]}"
    name, equals, value = text.partition("=")
    if match := re.fullmatch(r"keep-(\w+)-layout", name):
        found = parse_tensor(match[1], len(terms))
        if found is None:
            more = [f"{name}{n}" for n in range(2, len(terms) + 1) for name in ("input", "weight")]
            allowed = f"one of {', '.join([*ROLES_BY_NAME, *more])}"
            raise InputError(_REQUIRE, text, match[1], allowed)
        role, term = found
        tensor = terms[term].tensor(role)
        named = _spelled(usual(value, tensor.letters), tensor, lanes.get(role))
        return Keep(role, _blocks(named, tensor.letters, text), text, term)
    if match := re.fullmatch(r"(max|min)-(.+)", name):
        metric = parse_metric(match[2], _REQUIRE)
        better = "min" if metric.name in MORE_IS_BETTER else "max"
        if match[1] != better:
            raise InputError(_REQUIRE, "", name, f"{better}-{metric} can be limited")
        return Limit(metric, _bound(metric, value, text, terms, multipliers), text)
    if equals or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        allowed = "NAME, max-METRIC=VALUE, min-METRIC=VALUE or keep-TENSOR-layout=LAYOUT is needed"
        raise InputError(_REQUIRE, "", text, allowed)
    return Demand(name.replace("-", "_"), text)


def _bound(
    metric: Metric, value: str, text: str, terms: Sequence[Computation], multipliers: int
) -> int:
    """The greatest cost that meets a limit."""
    if metric.name == "utilisation":
        share = _number(value, text)
        if not 0 < share <= 1:
            raise InputError(_REQUIRE, text, value, "a utilisation is more than 0 and at most 1")
        macs = sum(term.useful_macs for term in terms)
        return steps_limit(math.floor(Fraction(macs) / (share * multipliers)), *terms)
    bound = math.floor(_number(value, text))
    if metric.name == "steps":
        return steps_limit(bound, *terms)
    if bound >= LARGEST:
        raise InputError(_REQUIRE, text, value, f"a limit is at most {LARGEST - 1}")
    return -math.ceil(_number(value, text)) if metric.name in MORE_IS_BETTER else bound


_COMPARED = re.compile(r"\s*([a-z][a-z0-9_.-]*)\s*([<>]=)\s*(\S+)\s*")
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "k": 10**3, "M": 10**6}


def _number(value: str, text: str) -> Fraction:
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([A-Za-z]*)", value)
    if match is None or match[2] not in _UNITS:
        units = ", ".join(unit for unit in _UNITS if unit)
        raise InputError(_REQUIRE, text, value, f"a number, with a unit or without ({units})")
    return Fraction(match[1]) * _UNITS[match[2]]


def _spelled(layout: str, tensor: Tensor, lanes: tuple[int, int] | None) -> str:
    """The layout with the factors of its blocks.

    Blocks without factors are as wide as the port's lanes. A layout without blocks has the bytes of
    one whose innermost dimension is cut in blocks that fill the lanes, where they divide it: an
    entry is then a piece of a row. (With no block at all, lanes would be idle, and bytes between.)
    Where the innermost dimension is one such block, the next one fills the other lanes in the same
    way: of 16 channels, NHWC has the bytes of NHWC4w16c, and HWOI of 16 inputs those of OIHW16o16i.
    """
    if lanes is None:
        return layout
    if match := re.fullmatch(r"([A-Z]+)([a-z]{1,2})", layout):
        factors = lanes[-len(match[2]) :]
        return match[1] + "".join(f"{n}{x}" for n, x in zip(factors, match[2], strict=True))
    if re.fullmatch(r"[A-Z]+", layout) and layout[-1] in tensor.letters:
        extent = tensor.shape[tensor.letters.index(layout[-1])]
        if extent % lanes[1] == 0:
            inner = f"{lanes[1]}{layout[-1].lower()}"
            return f"{layout}{_outer(layout, extent, tensor, lanes)}{inner}"
    return layout


def _outer(layout: str, innermost: int, tensor: Tensor, lanes: tuple[int, int]) -> str:
    """The block of a plain layout's second dimension from the end, if entries hold some of it."""
    if innermost != lanes[1] or lanes[0] == 1 or layout[-2:-1] not in tensor.letters:
        return ""
    letter = layout[-2:-1]
    divided = letter and tensor.shape[tensor.letters.index(letter)] % lanes[0] == 0
    return f"{lanes[0]}{letter.lower()}" if divided else ""


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
        # A block of one, as 1n, says nothing of the lanes, and has no place among the others.
        real = sum(place > 0 for _, place in blocks.values())
        blocks[letter] = (int(extent), real + 1 if int(extent) > 1 else 0)
    return tuple(blocks.get(letter.lower(), (1, 0)) for letter in letters)


def wish(
    operator: Operator,
    config: Config,
    *,
    profile: str | None = None,
    prefer: str = "",
    require: Iterable[str] = (),
    objectives: str = "",
    rules: Iterable[Path] = (),
) -> Wishes:
    """What is wished for, from texts as the command line takes them.

    Without preferences, objectives or rules, the profile is ``latency``.

    Raises:
        InputError: a text is none of what is allowed, or a file is missing.
    """
    lanes = config.batch * config.block_in * config.block_out
    first, *further = (term.computation for term in operator.terms)
    files = list(rules)
    for path in files:
        if not path.is_file():
            raise InputError("--rules", "", str(path), "a file of rules is needed")
    if profile is None and not (prefer or objectives or files):
        profile = "latency"
    if profile is not None:
        known = profiles()
        if profile not in known:
            raise InputError("--profile", "", profile, f"one of {', '.join(known)}")
        files.insert(0, known[profile])
    return Wishes(
        parse_preferences(prefer) if prefer else {},
        parse_requirements(require, first, lanes, lanes_of(config), further),
        parse_objectives(objectives) if objectives else (),
        tuple(files),
    )
