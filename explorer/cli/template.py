"""The command about TVM's own schedule template."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.baselines.asked_tiling import BEST, KNOBS, template_counters
from explorer.cli.embeddings import ConfigOption, OperatorArgument
from explorer.cli.output import OutputOption, show_table, table_of
from explorer.operators import resolve
from isa.config import Config


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
    frame = table_of([template_counters(op, machine, tiling)])
    counters_down = frame.T.reset_index().set_axis(["counter", "value"], axis=1)
    show_table(frame, output, counters_down)
