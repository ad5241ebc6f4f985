"""The command that finds what nothing else beats: embeddings of an operator, or rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.embeddings import (
    ComparedClassesOption,
    ConfigOption,
)
from explorer.cli.front_tables import (
    GroupOption,
    KindOption,
    MaximizeOption,
    MinimizeOption,
    ModelOption,
    PlotOption,
    WhereOption,
    is_table,
    pareto_table,
)
from explorer.cli.output import OutputOption
from explorer.cli.preferences import (
    EveryTileOption,
    MethodOption,
    TimeLimitOption,
    optimize,
)
from isa.errors import InputError

METRICS = "steps,footprint,transform"


def pareto(
    what: Annotated[
        str,
        typer.Argument(
            metavar="OPERATOR|TABLE",
            help="An operator, for its embeddings; or a directory that explorer sweep made, or a "
            ".csv or .parquet file, for their rows.",
            show_default=False,
        ),
    ],
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            metavar="METRICS",
            help=f"Of embeddings: the metrics, less is better; by default {METRICS}.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="NAME", help="Of embeddings: as in explorer optimize."),
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="Of embeddings: rules of your own."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Of embeddings: stop after so many points."),
    ] = None,
    method: MethodOption = "auto",
    config: ConfigOption = "default",
    classes: ComparedClassesOption = None,
    all_tiles: EveryTileOption = False,
    time_limit: TimeLimitOption = None,
    minimize: MinimizeOption = "",
    maximize: MaximizeOption = "",
    group_by: GroupOption = "",
    where: WhereOption = None,
    kind: KindOption = "results",
    model: ModelOption = None,
    plot: PlotOption = None,
    output: OutputOption = None,
) -> None:
    """Find embeddings, or rows of a table, that no other beats.

    An operator's embeddings are compared by --objectives; the solver proves that none is missing.
    The rows of a table are compared by the columns --minimize and --maximize.
    """
    # What is asked of tables may be meant for one that is not there.
    table = f"a table (a directory of explorer sweep, .csv, .parquet), and {what} is none"
    of_embeddings = {"--objectives": objectives, "--require": require, "--rules": rules}
    of_tables = {"--minimize": minimize, "--maximize": maximize, "--group-by": group_by}
    of_tables |= {"--where": where or "", "--plot": ", ".join(map(str, plot or ()))}
    if is_table(what):
        _refuse(of_embeddings, f"an operator's embeddings, and {what} is a table")
        pareto_table(Path(what), minimize, maximize, group_by, where, kind, model, plot, output)
    else:
        _refuse(of_tables, table)
        optimize(
            what,
            require=require,
            objectives=objectives or METRICS,
            limit=limit,
            method=method,
            rules=rules,
            config=config,
            classes=classes,
            all_tiles=all_tiles,
            time_limit=time_limit,
            output=output,
        )


def _refuse(options: Mapping[str, object], owner: str) -> None:
    for name, value in options.items():
        if value:
            raise InputError(name, "", str(value), f"it is an option for {owner}")
