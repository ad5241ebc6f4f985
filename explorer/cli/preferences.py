"""The command that finds embeddings by preferences and requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import note, say
from explorer.cli.embeddings import (
    ComparedClassesOption,
    ConfigOption,
    OperatorArgument,
)
from explorer.cli.interrupts import INTERRUPTED
from explorer.cli.output import OutputOption, progress, show_table
from explorer.embedding.facts import CLASSES, parse_classes
from explorer.embedding.rule_files import profiles
from explorer.preference.optima import Method
from isa.interrupts import pressed

EveryTileOption = Annotated[
    bool,
    typer.Option(
        "--all-tiles",
        help="Every tile extent, not only the least for each number of outer iterations.",
    ),
]
MethodOption = Annotated[
    Method,
    typer.Option(
        help="How a front is found: by cutting off what a point dominates, by enumerating all, or "
        "by what is faster (auto)."
    ),
]


TimeLimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        min=1,
        max=10**6,
        metavar="SECONDS",
        help="Time to search, after which the best so far is shown; by default 60 with --rules, "
        "and else as long as it takes.",
    ),
]


def optimize(
    operator: OperatorArgument,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Preferences: " + ", ".join(profiles())),
    ] = None,
    prefer: Annotated[
        str | None,
        typer.Option(
            "--prefer",
            metavar="METRICS",
            help="Metrics, the most important first: steps,footprint:2+transform,rows. Plus mixes "
            "metrics by weight; of one tensor: footprint.input. They break a profile's ties.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="NAMES",
            help="dense, no-im2col, no-padding, no-swap, max-METRIC=VALUE, min-utilisation=0.9, "
            "keep-input-layout=NCHW1n16c, …",
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            metavar="METRICS",
            help="All embeddings that none dominates in these metrics, in place of preferences.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Stop after so many points of the front.")
    ] = None,
    method: MethodOption = "auto",
    everything: Annotated[bool, typer.Option("--all", help="Every optimum, not only one.")] = False,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="Rules of your own: metrics, requirements."),
    ] = None,
    config: ConfigOption = "default",
    classes: ComparedClassesOption = None,
    all_tiles: EveryTileOption = False,
    time_limit: TimeLimitOption = None,
    output: OutputOption = None,
) -> None:
    """Find the embeddings that are preferred, with proof.

    The exit status is 1 if no embedding meets the requirements; the conflict is then told. It is 1
    as well if the time limit ended the search; the best so far is then shown.
    """
    from explorer import api  # noqa: PLC0415 - imports every stage, which its help need not

    with progress(f"searching the embeddings of {operator}"):
        found = api.optimize(
            operator,
            config,
            None if classes is None else parse_classes(classes),
            profile=profile,
            prefer=prefer or "",
            require=require or (),
            objectives=objectives or "",
            rules=rules or (),
            all_tiles=all_tiles,
            everything=everything,
            method=method,
            limit=limit,
            time_limit=time_limit,
        )
    stopped = INTERRUPTED if (time_limit is None and not rules) or pressed.is_set() else 1
    left_out = [name for name in CLASSES if name not in found.problem.classes]
    more = f". Classes left out, which may hold better ones: {', '.join(left_out)}."
    if not found.best.answers:
        lines = found.conflict.lines() if found.conflict else ["interrupted, with nothing found"]
        lines += [more.removeprefix(". ")] if left_out else []
        say("explorer: " + "\n".join(lines), err=True)
        raise typer.Exit(1 if found.conflict else stopped)
    frame = found.frame()
    # Layouts stand behind what the embeddings are compared in.
    show_table(frame, output, keep=[*frame].index("input") if "input" in frame else None)
    note(found.summary() + (more if left_out else ""), aside=bool(output))
    best = found.best
    if not best.proven or (not best.complete and best.method != "optimum" and limit is None):
        if stopped == INTERRUPTED:
            typer.echo("explorer: interrupted: partial, others may be better", err=True)
        raise typer.Exit(stopped)  # with what was found until then
