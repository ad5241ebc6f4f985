"""The vocabulary of wishes, as typed values: metrics, what they are limited to, and requirements.

The words are the encodings': which metrics and demands there are is known to them alone (a user's
rules may add some), so that `explorer.embedding.solver.Solver` checks the names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from isa.computation import Role

ROLES_BY_NAME: dict[str, Role] = {"input": "in0", "weight": "in1", "output": "out"}
NAMES_BY_ROLE: dict[Role, str] = {role: name for name, role in ROLES_BY_NAME.items()}


def tensor_name(role: Role, term: int = 0) -> str:
    """A tensor as users name it: ``input``, ``weight``, ``output``; ``input2`` of term 1."""
    return f"{NAMES_BY_ROLE[role]}{term + 1}" if term else NAMES_BY_ROLE[role]


def parse_tensor(text: str, terms: int | None = None) -> tuple[Role, int] | None:
    """The role and the term of a tensor's name; None if it is none.

    Args:
        text: as `tensor_name` gives it.
        terms: how many there are, if that is known.
    """
    match = re.fullmatch(r"(input|weight|output)([2-9]|[1-9][0-9])?", text)
    if match is None or (match[1] == "output" and match[2]):
        return None
    term = int(match[2] or 1) - 1
    return (ROLES_BY_NAME[match[1]], term) if terms is None or term < terms else None


MORE_IS_BETTER = frozenset({"utilisation", "row_length"})
"""Metrics of which a user wants much: their cost in the encodings grows the other way."""


@dataclass(frozen=True, slots=True, order=True)
class Metric:
    """A metric by the encodings' name, of all tensors or of one, by its role in a term."""

    name: str
    role: Role | None = None
    term: int = 0

    def __str__(self) -> str:
        text = self.name.replace("_", "-")
        return f"{text}.{tensor_name(self.role, self.term)}" if self.role else text


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
        term: of which term.
    """

    role: Role
    blocks: tuple[tuple[int, int], ...]
    text: str
    term: int = 0


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
