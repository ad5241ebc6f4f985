"""The command that draws the map of a network's plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import say, wants_json
from explorer.cli.embeddings import ConfigOption, NodeClassesOption
from explorer.cli.network import Concat, ConcatOption, ModelArgument, ShapeOption, shapes
from explorer.cli.network_options import (
    PREFERRED,
    Asked,
    CandidatesOption,
    EffortOption,
    HostBytesOption,
    HostCallsOption,
    PinOption,
    PreferOption,
    RequireOption,
    RulesOption,
    StoreOption,
    TransitionsOption,
    Work,
    named_classes,
)
from explorer.cli.output import JobsOption, check_file, progress, write_file
from explorer.deployment.compilation import chosen
from explorer.deployment.pricing import simulated
from explorer.network.models import resolve
from explorer.network.plan.network_plan import CANDIDATES
from explorer.network.plan.planning import check_rules
from explorer.network.plan.transitions import model, priced
from explorer.network.plan.wishes import Wishes, parse_limits, parse_metrics
from explorer.report.pages.network import page
from isa.config import Config
from isa.words import counted


def map_(
    network: ModelArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The page to write (.html).")
    ],
    config: ConfigOption = "default",
    transitions: TransitionsOption = "repack",
    host_cycles_per_byte: HostBytesOption = "1",
    host_cycles_per_call: HostCallsOption = 0,
    pin: PinOption = None,
    require: RequireOption = None,
    prefer: PreferOption = PREFERRED,
    rules: RulesOption = None,
    count: CandidatesOption = CANDIDATES,
    effort: EffortOption = None,
    classes: NodeClassesOption = None,
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
    jobs: JobsOption = None,
    store: StoreOption = None,
) -> None:
    """Draw the candidates of every node, and the best plan, as a page to explore.

    Each candidate is a point above its node; the plan is a line through them. A click shows what a
    candidate reads and writes. The page needs nothing but itself.
    """
    check_file(out, "--out", (".html",))
    asked = Asked(
        Config.load(config),
        model(transitions),
        priced(host_cycles_per_byte, host_cycles_per_call),
        Wishes(parse_metrics(prefer, "--prefer"), parse_limits(require or [])),
        Work(count, effort, named_classes(classes), jobs, store),
        pin or (),
        rules or (),
    )
    check_rules(asked.rules)
    found = resolve(network, concat.value, shapes(shape))
    asked.check(found)
    planned = asked.planned(found)
    with progress("simulating plans") as advance:
        planned = simulated(planned, free=not rules, on_progress=advance)
    chosen(planned)  # refuses what is no plan
    asked.note_unproven(planned)
    text = page(planned)
    write_file(out, text)
    listed, size = planned.planned.account.candidates, len(text.encode())
    if wants_json():
        typer.echo(json.dumps({"file": str(out), "candidates": listed, "bytes": size}))
        return
    say(f"{out}: {counted(listed, 'candidate')}, {size:,} bytes")
