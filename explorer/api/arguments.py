"""What the API's functions accept: objects, or the texts that the command line takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from explorer.embedding.facts import parse_classes
from explorer.operators import resolve
from isa import intrinsics
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError

OperatorLike = Operator | str
ConfigLike = Config | str | Path
IntrinsicLike = Computation | str | Path
ClassesLike = Sequence[str] | str
"""Names of classes, or one text as the command line takes it: ``all``, ``padded,multi``."""
TextsLike = Sequence[str] | str
"""Texts, or several in one, separated by commas."""


def operator_of(operator: OperatorLike) -> Operator:
    """The operator, resolved if it is a text."""
    return operator if isinstance(operator, Operator) else resolve(operator)


def config_of(config: ConfigLike) -> Config:
    """The configuration, loaded if it is a name or a path."""
    return config if isinstance(config, Config) else Config.load(config)


def classes_of(classes: ClassesLike) -> tuple[str, ...]:
    """The names of classes, checked."""
    return parse_classes(classes) if isinstance(classes, str) else parse_classes(",".join(classes))


def texts_of(texts: TextsLike) -> Sequence[str]:
    """The texts, one at least in a list."""
    return [texts] if isinstance(texts, str) else texts


def write_text(path: Path, text: str, name: str) -> None:
    """Write a file that an argument names.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(name, "", str(path), f"cannot write it: {reason}") from None


def check_range(name: str, value: float | None, least: int, most: int) -> None:
    """Check a number that the command line takes in this range; None is one that is not given.

    Raises:
        InputError: it is outside of it.
    """
    if value is not None and not least <= value <= most:
        raise InputError(name, "", value, f"a number from {least} to {most}")


def intrinsic_of(intrinsic: IntrinsicLike, config: ConfigLike) -> Computation:
    """The instruction, loaded if it is a name or a path."""
    if isinstance(intrinsic, Computation):
        return intrinsic
    return intrinsics.load(intrinsic, config_of(config).axes)


def names_of(texts: TextsLike) -> tuple[str, ...]:
    """The names in texts, which may hold several."""
    return tuple(
        name.strip() for text in texts_of(texts) for name in text.split(",") if name.strip()
    )
