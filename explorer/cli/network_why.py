"""The command that tells what a node's own best would cost elsewhere in a plan."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from explorer.cli.common import note
from explorer.cli.embeddings import ConfigOption, NodeClassesOption
from explorer.cli.network import Concat, ConcatOption, ModelArgument, ShapeOption, shapes
from explorer.cli.network_options import (
    Asked,
    CandidatesOption,
    EffortOption,
    HostBytesOption,
    HostCallsOption,
    PinOption,
    RequireOption,
    StoreOption,
    TableOption,
    TransitionsOption,
    Work,
    check_table,
    named_classes,
)
from explorer.cli.output import JobsOption, OutputOption, progress, show_table, table_of
from explorer.deployment.pricing import Programs, simulated
from explorer.network.models import resolve
from explorer.network.plan.network_plan import CANDIDATES
from explorer.network.plan.own_best import check_node, own_best
from explorer.network.plan.transitions import model, priced
from explorer.network.plan.wishes import Wishes, parse_limits
from isa.config import Config


def why(
    network: ModelArgument,
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="A node that has a program.", show_default=False)
    ],
    config: ConfigOption = "default",
    transitions: TransitionsOption = "repack",
    host_cycles_per_byte: HostBytesOption = "1",
    host_cycles_per_call: HostCallsOption = 0,
    pin: PinOption = None,
    require: RequireOption = None,
    count: CandidatesOption = CANDIDATES,
    effort: EffortOption = None,
    candidate_cycles: TableOption = None,
    classes: NodeClassesOption = None,
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
    jobs: JobsOption = None,
    store: StoreOption = None,
    output: OutputOption = None,
) -> None:
    """Tell what a node's own best embedding would cost elsewhere in the plan.

    The exit status is 1 if no plan can have it.
    """
    asked = Asked(
        Config.load(config),
        model(transitions),
        priced(host_cycles_per_byte, host_cycles_per_call),
        Wishes(limits=parse_limits(require or [])),
        Work(count, effort, named_classes(classes), jobs, store, candidate_cycles),
        pin or (),
    )
    check_table(candidate_cycles, classes=classes, effort=effort, store=store)
    found = resolve(network, concat.value, shapes(shape))
    asked.check(found)
    check_node(found, node)
    planned = asked.planned(found)
    with progress("simulating plans"):
        refined = partial(simulated, programs=Programs.of(asked.config))
        planned = refined(planned)
        told = own_best(planned, node, planned.wishes, refined)
    if told is None:
        typer.echo(f"explorer: {node}: no plan can have its own best", err=True)
        raise typer.Exit(1)
    names = ["place", "planned", "planned_cycles", "other", "other_cycles", "more"]
    table = table_of((asdict(change) for change in told.changes), names)
    show_table(table, output, table)
    for line in told.lines():
        note(line, aside=output is not None)
