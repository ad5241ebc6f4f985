"""A tiling of TVM's template as a user asks for it, and what the template then does."""

from __future__ import annotations

import re
from dataclasses import asdict, fields

from explorer.baselines.template import PackedLayer, TvmTiling
from explorer.baselines.template_program import lower
from explorer.baselines.template_search import MAX_INSTRUCTIONS, best
from explorer.baselines.template_tile import counters, reason_invalid
from explorer.baselines.tophub import tuned
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from simulator.timing import cycles

KNOBS = tuple(knob.name for knob in fields(TvmTiling))
BEST, TUNED = "best", "tuned"


def template_counters(op: Operator, machine: Config, tiling: str = BEST) -> dict[str, int]:
    """Knobs, cycles and counters of the template's program.

    Raises:
        InputError: the template does not take the operator, or does not run the tiling.
    """
    layer = PackedLayer.of(op, machine)
    chosen = parse_tiling(op, machine, layer, tiling)
    reason = reason_invalid(layer, chosen)
    if reason is not None:
        raise InputError("--tiling", "", tiling, f"TVM does not run it: {reason}")
    counted = counters(layer, chosen)
    if counted.instructions > MAX_INSTRUCTIONS:
        allowed = f"at most {MAX_INSTRUCTIONS} instructions; it has {counted.instructions}"
        raise InputError("--tiling", "", tiling, allowed)
    found = cycles(machine, lower(layer, chosen).table)
    return {**asdict(chosen), "cycles": found, **asdict(counted)}


def parse_tiling(op: Operator, machine: Config, layer: PackedLayer, text: str) -> TvmTiling:
    """The tiling that a text means: best, tuned, or knobs.

    Raises:
        InputError: it means none, or one that does not divide the layer.
    """
    if text == BEST:
        found = best(op, machine)
        if found is None:
            raise InputError(op.name, "", machine.name, "no tiling of TVM's template runs on it")
        return found.tiling
    if text == TUNED:
        for entry in tuned():
            same = entry.operator.computation == op.computation
            if same and entry.config.axes == machine.axes:
                return entry.tiling
        raise InputError("--tiling", "", text, f"TVM's log has no entry for {op.name}")
    knobs = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in KNOBS or not re.fullmatch(r"[1-9][0-9]{0,8}", value):
            allowed = f"best, tuned, or knobs with positive numbers: {', '.join(KNOBS)}"
            raise InputError("--tiling", "", part, allowed)
        knobs[name] = int(value)
    chosen = TvmTiling(**knobs)
    loops = {
        "th": layer.rows.out,
        "tw": layer.cols.out,
        "tci": layer.ci,
        "tco": layer.co,
    }
    for name, extent in loops.items():
        if extent % getattr(chosen, name):
            raise InputError("--tiling", name, getattr(chosen, name), f"a divisor of {extent}")
    return chosen
