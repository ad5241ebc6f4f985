"""The command that draws the map of a network's plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import say, wants_json
from explorer.cli.embeddings import ConfigOption, NodeClassesOption
from explorer.cli.network import Concat, ConcatOption, ModelArgument, ShapeOption, shapes
from explorer.cli.network_plan import (
    PREFERRED,
    CandidatesOption,
    EffortOption,
    HostBytesOption,
    HostCallsOption,
    PinOption,
    PreferOption,
    RequireOption,
    StoreOption,
    TransitionsOption,
    gathered,
    named_classes,
)
from explorer.cli.output import JobsOption, check_file, progress, write_file
from explorer.deployment.compilation import chosen as chosen_of
from explorer.deployment.pricing import simulated
from explorer.network.models import resolve
from explorer.network.plan.network_plan import CANDIDATES, plan_network
from explorer.network.plan.transitions import model, priced
from explorer.network.plan.wishes import Wishes, check_ids, check_names, parse_limits, parse_metrics
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
    host = priced(host_cycles_per_byte, host_cycles_per_call)
    wishes = Wishes(parse_metrics(prefer, "--prefer"), parse_limits(require or []))
    rule, chosen, extents = model(transitions), named_classes(classes), shapes(shape)
    found, machine = resolve(network, concat.value, extents), Config.load(config)
    check_names(pin or (), found)
    check_ids(pin or (), found, machine)
    spaces, hosts = gathered(found, machine, count, chosen, jobs, None, effort, store)
    with progress("planning"):
        planned = plan_network(found, machine, spaces, hosts, rule, host, wishes, pin or ())
        if planned.planned.interrupted:
            raise KeyboardInterrupt
        planned = simulated(planned)
    chosen_of(planned)
    text = page(planned)
    write_file(out, text)
    listed, size = planned.planned.account.candidates, len(text.encode())
    if wants_json():
        typer.echo(json.dumps({"file": str(out), "candidates": listed, "bytes": size}))
        return
    say(f"{out}: {counted(listed, 'candidate')}, {size:,} bytes")
