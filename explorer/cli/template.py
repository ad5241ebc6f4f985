"""The command about TVM's own schedule template."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from typing import Annotated

import pandas as pd
import typer

from explorer.baselines.template import PackedLayer, TvmTiling
from explorer.baselines.template_program import lower
from explorer.baselines.template_search import MAX_INSTRUCTIONS, best
from explorer.baselines.template_tile import counters, reason_invalid
from explorer.baselines.tophub import tuned
from explorer.cli.embeddings import ConfigOption, OperatorArgument
from explorer.cli.output import OutputOption, show_table
from explorer.operators import resolve
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from simulator.timing import cycles

KNOBS = tuple(knob.name for knob in fields(TvmTiling))
BEST, TUNED = "best", "tuned"


def template(
    operator: OperatorArgument,
    config: ConfigOption = "default",
    tiling: Annotated[
        str,
        typer.Option(
            metavar="best|tuned|KNOBS",
            help="The tiling of least cycles; the one that TVM's published log holds for the "
            "layer; or a given one, as in th=7,tw=14,tci=4,tco=2. Knobs are "
            f"{', '.join(KNOBS)}; those left out are 1.",
        ),
    ] = BEST,
    output: OutputOption = None,
) -> None:
    """Show what TVM's fixed template makes of an operator.

    Cycles are those of the cycle model; the other columns are counted by formula, and agree with
    what VTA's functional simulator reports for TVM's programs.
    """
    op, machine = resolve(operator), Config.load(config)
    layer = PackedLayer.of(op, machine)
    chosen = _tiling(op, machine, layer, tiling)
    reason = reason_invalid(layer, chosen)
    if reason is not None:
        raise InputError("--tiling", "", tiling, f"TVM does not run it: {reason}")
    counted = counters(layer, chosen)
    if counted.instructions > MAX_INSTRUCTIONS:
        allowed = f"at most {MAX_INSTRUCTIONS} instructions; it has {counted.instructions}"
        raise InputError("--tiling", "", tiling, allowed)
    found = cycles(machine, lower(layer, chosen).table)
    frame = pd.DataFrame([{**asdict(chosen), "cycles": found, **asdict(counted)}])
    counters_down = frame.T.reset_index().set_axis(["counter", "value"], axis=1)
    show_table(frame, output, counters_down)


def _tiling(op: Operator, machine: Config, layer: PackedLayer, text: str) -> TvmTiling:
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
