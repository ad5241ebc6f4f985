"""Arguments of kinds that turn an epilogue into steps which it does not have itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypedDict

from isa.computation import Add, Rounding, Shift, Step


class StepOptions(TypedDict, total=False):
    """What the steps of an epilogue do otherwise.

    Attributes:
        rounding: of the shift; ``floor`` when not given.
        bias_bits: how many bits the bias has, 1 to 32; 32 when not given.
        residual_left: how far the residual is shifted to the left, 0 to 31; 0 when not given.
        residual_first: whether the residual is added before the shift; False when not given.
    """

    rounding: Rounding
    bias_bits: int
    residual_left: int
    residual_first: bool


def changed(steps: Iterable[Step], options: StepOptions) -> tuple[Step, ...]:
    """The steps of an epilogue as the options say; a residual has 8 bits and a bias 32."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Shift):
            found.append(replace(step, rounding=options.get("rounding", "floor")))
        elif isinstance(step, Add) and step.bits == 32:
            found.append(replace(step, bits=options.get("bias_bits", 32)))
        elif isinstance(step, Add):
            early = options.get("residual_first", False) and found and isinstance(found[-1], Shift)
            place = len(found) - 1 if early else len(found)
            found.insert(place, replace(step, left=options.get("residual_left", 0)))
        else:
            found.append(step)
    return tuple(found)
