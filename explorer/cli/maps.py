"""The command that draws the map of an operator's embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import say, wants_json
from explorer.cli.embeddings import (
    EVERY_CLASS,
    ClassesOption,
    ConfigOption,
    DistanceOption,
    OperatorArgument,
    TargetOption,
    TilesOption,
    embeddings_of,
)
from explorer.cli.interrupts import partial
from explorer.cli.output import JobsOption, check_file, progress, write_file
from explorer.cli.rank import EFFORT_FOR_ALL
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.ranking.best_first import Known
from explorer.ranking.best_first import rank as rank_embeddings
from explorer.report.pages.space import page, words
from isa.config import Config
from isa.errors import InputError
from isa.words import counted
from simulator.lint import PORTABLE

OUT = "--out"


def map_(
    operator: OperatorArgument,
    out: Annotated[
        Path, typer.Option(OUT, "-o", metavar="FILE", help="The page to write (.html).")
    ],
    config: ConfigOption = "default",
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    effort: Annotated[
        int, typer.Option(min=1, help="Programs to simulate for each layout at most.")
    ] = EFFORT_FOR_ALL,
    jobs: JobsOption = None,
    target: TargetOption = PORTABLE,
    safe_distance: DistanceOption = 1,
) -> None:
    """Draw all embeddings as a page that one explores.

    Each is a point: by cycles, bound, steps, footprint, duplication, transform, DRAM bytes or
    utilisation. A click shows what follows from it. The page needs nothing but itself.
    """
    check_file(out, OUT, (".html",))
    op, machine = resolve(operator), Config.load(config)
    restrictions = Restrictions.of(target, safe_distance, machine)
    found = embeddings_of(op, machine, classes, all_tiles)
    known = Known()

    def interrupted() -> None:
        done = f"{len(known.evaluations)} of {counted(len(found), 'embedding')} evaluated"
        typer.echo(f"explorer: interrupted: {done}; {out} is not written", err=True)

    ranking_all = progress(f"ranking {counted(len(found), 'embedding')}", len(found))
    with partial(interrupted), ranking_all as advance:
        ranking = rank_embeddings(
            op,
            machine,
            found,
            top=None,
            effort=effort,
            jobs=jobs,
            on_progress=advance,
            restrictions=restrictions,
            known=known,
        )
        if not ranking.evaluations:
            allowed = "no embedding has a schedule that fits the machine"
            raise InputError(op.name, "", config, allowed)
    ranked = len(ranking.evaluations)
    describing = progress(f"describing {counted(ranked, 'embedding')}", ranked)
    with partial(interrupted), describing as advance:
        command = words(operator, config, target, safe_distance)
        text = page(ranking, command, advance)
    write_file(out, text)
    size = len(text.encode())
    if wants_json():
        record = {"file": str(out), "embeddings": ranked, "unfit": ranking.unfit, "bytes": size}
        typer.echo(json.dumps(record))
        return
    say(f"{out}: {counted(ranked, 'embedding')}, {counted(size, 'byte')}")
