"""The parameters a study varies: their values, grids of them, and the configuration of one point.

A point is a full assignment, by the keys of ``vta_config.json`` (`PARAMETERS`); whether it can be
encoded is known when its configuration is made. ``LOG_BLOCK`` sets both sides of the block,
and ``FETCH_BATCH`` follows from the bus and the burst where the base configuration has it so.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isa.config import Config, Timing, fetch_batch
from isa.errors import InputError

Point = dict[str, int]
"""A value for each of `PARAMETERS`, in that order."""

_LOGS = (
    "LOG_BATCH",
    "LOG_BLOCK_IN",
    "LOG_BLOCK_OUT",
    "LOG_UOP_BUFF_SIZE",
    "LOG_INP_BUFF_SIZE",
    "LOG_WGT_BUFF_SIZE",
    "LOG_ACC_BUFF_SIZE",
)
_TIMING = ("BUS_BITS", "BURST_BEATS", "MEMORY_LATENCY", "FETCH_BATCH", "QUEUE_DEPTH")
PARAMETERS: tuple[str, ...] = _LOGS + _TIMING
BLOCK: tuple[str, ...] = _LOGS[:3]
"""Those that embeddings depend on."""
SCRATCHPADS: tuple[str, ...] = _LOGS[4:]
"""Those that programs do not depend on, as long as they fit."""
IN_TURN: tuple[str, ...] = (*BLOCK, _LOGS[3], *_TIMING, *SCRATCHPADS)
"""All of them, those of which most depends first."""
VARIABLE: tuple[str, ...] = ("LOG_BLOCK", *PARAMETERS)
"""What a user may set."""

MAX_LOG = 64
MAX_VALUE = 2**20
MAX_POINTS = 1_000_000

_RANGE = re.compile(r"(\d{1,7})\s*\.\.\s*(\d{1,7})(?:\s*/\s*(\d{1,7}))?")


def parse_values(text: str, source: str, name: str) -> tuple[int, ...]:
    """The values that ``3``, ``3,5``, ``3..6`` (both ends included), or ``8..64/8`` mean.

    Raises:
        InputError: the text has another form, or means no value.
    """
    values: list[int] = []
    for part in text.split(","):
        span = _RANGE.fullmatch(part.strip())
        if span:
            low, high, step = int(span[1]), int(span[2]), int(span[3] or 1)
            if step < 1 or (high - low) // step >= MAX_VALUE:
                raise InputError(source, name, text, "the step must be positive, the range short")
            values.extend(range(low, high + 1, step))
        elif re.fullmatch(r"\d{1,7}", part.strip()):
            values.append(int(part))
        else:
            raise InputError(source, name, text, "values are written 3, or 3,5, 3..6, or 8..64/8")
    return check_values(values, source, name, text)


def check_values(
    values: Sequence[int], source: str, name: str, shown: object = None
) -> tuple[int, ...]:
    """The values without repetition.

    Raises:
        InputError: the parameter is unknown, there is no value, or one is out of any range.
    """
    if name not in VARIABLE:
        raise InputError(source, "parameter", name, f"the parameters are {', '.join(VARIABLE)}")
    if not values:
        allowed = "the grid is empty: give one value or more"
        raise InputError(source, name, list(values) if shown is None else shown, allowed)
    high = MAX_LOG if name.startswith("LOG_") else MAX_VALUE
    for value in values:
        if not 0 <= value <= high:
            raise InputError(source, name, value, f"an integer from 0 to {high}")
    return tuple(dict.fromkeys(values))


def parse_assignment(text: str, source: str) -> tuple[str, tuple[int, ...]]:
    """Name and values of ``LOG_BLOCK=3..6``.

    Raises:
        InputError: as `parse_values`, or it is no assignment.
    """
    name, equals, values = text.partition("=")
    if not equals:
        raise InputError(source, "", text, "written NAME=VALUES, as in LOG_BLOCK=3..6")
    return name.strip(), parse_values(values, source, name.strip())


@dataclass(frozen=True, slots=True)
class Grid:
    """Points around a base configuration: the product of value lists, or given one by one.

    Attributes:
        base: where the parameters that do not vary come from.
        vary: each varied parameter with its values; the last one changes fastest.
        points: assignments beside the grid, each of some parameters.
    """

    base: Config
    vary: Mapping[str, tuple[int, ...]]
    points: tuple[Mapping[str, int], ...] = ()

    def check(self, source: str) -> None:
        """Raise `InputError` if parameters contradict each other or the grid is too large."""
        for names in (self.vary, *self.points):
            for side in ("LOG_BLOCK_IN", "LOG_BLOCK_OUT"):
                if "LOG_BLOCK" in names and side in names:
                    raise InputError(source, side, names[side], "LOG_BLOCK already sets both sides")
        size = math.prod(len(values) for values in self.vary.values())
        if size > MAX_POINTS:
            raise InputError(source, "grid", size, f"at most {MAX_POINTS:,} configurations")

    def __iter__(self) -> Iterator[Point]:
        """Every point once, in the order given."""
        seen: set[tuple[int, ...]] = set()
        assignments: Iterator[Mapping[str, int]] = iter(self.points)
        if self.vary or not self.points:
            product = itertools.product(*self.vary.values())
            grid = (dict(zip(self.vary, values, strict=True)) for values in product)
            assignments = itertools.chain(grid, assignments)
        for assignment in assignments:
            point = self.point(assignment)
            key = tuple(point.values())
            if key not in seen:
                seen.add(key)
                yield point

    def point(self, assignment: Mapping[str, int]) -> Point:
        """The base's point with these parameters set."""
        values = dict(assignment)
        if "LOG_BLOCK" in values:
            values["LOG_BLOCK_IN"] = values["LOG_BLOCK_OUT"] = values.pop("LOG_BLOCK")
        base = point_of(self.base)
        point = base | values
        if "FETCH_BATCH" not in values and base["FETCH_BATCH"] == _fetch_batch(base):
            point["FETCH_BATCH"] = _fetch_batch(point)
        return point


def point_of(config: Config) -> Point:
    """The point of a configuration."""
    logs = {name: getattr(config, name.lower()) for name in _LOGS}
    return logs | {name: getattr(config.timing, name.lower()) for name in _TIMING}


def configuration(point: Mapping[str, int]) -> Config:
    """The configuration at a point.

    Raises:
        InputError: no such accelerator can be encoded; the error says why.
    """
    timing = Timing(**{name.lower(): point[name] for name in _TIMING})
    logs: dict[str, Any] = {name.lower(): point[name] for name in _LOGS}
    return Config(label(point), timing=timing, **logs)


def label(point: Mapping[str, int]) -> str:
    """A short name: lanes (x, z, y), log sizes (uop, inp, wgt, acc), bus, and unusual timing."""
    batch, block_in, block_out, *buffers = (point[name] for name in _LOGS)
    text = f"{2**batch}x{2**block_in}x{2**block_out}_{'_'.join(map(str, buffers))}"
    text += f"_{point['BUS_BITS']}b"
    usual = Timing()
    follows = {"FETCH_BATCH": _fetch_batch(point)}
    for name in _TIMING[1:]:
        if point[name] != follows.get(name, getattr(usual, name.lower())):
            text += f"_{name.lower()}{point[name]}"
    return text


def sizes(point: Mapping[str, int]) -> dict[str, float]:
    """What follows from a point even if it cannot be encoded: MAC units, ALU lanes, on-chip bytes.

    The OUT scratchpad has as many elements as ACC, a quarter as wide.
    """
    batch, block_in, block_out, uop, inp, wgt, acc = (2.0 ** point[name] for name in _LOGS)
    return {
        "mac_units": batch * block_in * block_out,
        "alu_lanes": batch * block_out,
        "on_chip_bytes": uop + inp + wgt + acc + acc / 4,
    }


def _fetch_batch(point: Mapping[str, int]) -> int:
    """What the hardware's fetch unit reads at a time with the bus and the burst of a point."""
    return fetch_batch(point["BUS_BITS"], point["BURST_BEATS"])
