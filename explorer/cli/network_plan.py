"""The command that plans a whole network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import note, say
from explorer.cli.embeddings import ConfigOption, NodeClassesOption
from explorer.cli.interrupts import INTERRUPTED, partial
from explorer.cli.network import Concat, ConcatOption, ModelArgument, ShapeOption, shapes
from explorer.cli.network_options import (
    CERTIFICATE,
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
    TableOption,
    TransitionsOption,
    Work,
    check_table,
    named_classes,
)
from explorer.cli.output import JobsOption, OutputOption, progress, show_table
from explorer.cli.preferences import TimeLimitOption
from explorer.deployment.pricing import simulated
from explorer.network.graph import Network
from explorer.network.handing import handed
from explorer.network.models import resolve
from explorer.network.plan.network_plan import CANDIDATES, NetworkPlan
from explorer.network.plan.planning import check_rules
from explorer.network.plan.transitions import model, priced
from explorer.network.plan.wishes import Wishes, parse_limits, parse_metrics
from explorer.report import network_plan as report
from isa.config import Config
from isa.errors import InputError


class Over(StrEnum):
    """What a plan is best of."""

    LISTED = "listed"
    ALL = "all"


DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Dask scheduler to evaluate candidates on, or local:N.",
        show_default=False,
    ),
]
OverOption = Annotated[
    Over,
    typer.Option(
        help="What the plan is best of: the candidates listed, or all embeddings of the classes, "
        "for which STORE has to write in the reader's order (--transitions stored or trial)."
    ),
]
OnHostOption = Annotated[
    list[str] | None,
    typer.Option("--on-host", metavar="NODE", help="A node that the host runs, program or not."),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        help="With --over all: what is claimed, and the cycles of all that was searched for it.",
    ),
]


def plan(
    network: ModelArgument,
    config: ConfigOption = "default",
    transitions: TransitionsOption = "repack",
    host_cycles_per_byte: HostBytesOption = "1",
    host_cycles_per_call: HostCallsOption = 0,
    pin: PinOption = None,
    require: RequireOption = None,
    prefer: PreferOption = PREFERRED,
    pareto: Annotated[
        str | None,
        typer.Option(metavar="METRICS", help="All plans that none dominates in these metrics."),
    ] = None,
    rules: RulesOption = None,
    count: CandidatesOption = CANDIDATES,
    effort: EffortOption = None,
    candidate_cycles: TableOption = None,
    classes: NodeClassesOption = None,
    time_limit: TimeLimitOption = None,
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
    over: OverOption = Over.LISTED,
    on_host: OnHostOption = None,
    certificate: CertificateOption = None,
    jobs: JobsOption = None,
    store: StoreOption = None,
    dask: DaskOption = None,
    output: OutputOption = None,
) -> None:
    """Choose an embedding for each node such that the whole network is best.

    The exit status is 1 if pins and limits conflict, which is then told, and if the time limit
    ended the search; the best plan so far is then shown.
    """
    objectives = parse_metrics(pareto, "--pareto") if pareto is not None else ()
    wishes = Wishes(parse_metrics(prefer, "--prefer"), parse_limits(require or []), (), objectives)
    asked = Asked(
        Config.load(config),
        model(transitions),
        priced(host_cycles_per_byte, host_cycles_per_call),
        wishes,
        Work(count, effort, named_classes(classes), jobs, store, candidate_cycles, dask),
        pin or (),
        rules or (),
    )
    check_table(candidate_cycles, classes=classes, effort=effort, store=store, dask=dask)
    extents = shapes(shape)
    check_rules(asked.rules, time_limit)
    found = handed(resolve(network, concat.value, extents), on_host or ())
    asked.check(found)
    if over is Over.ALL:
        given: dict[str, object] = {
            "--pin": pin,
            "--require": require,
            "--pareto": pareto,
            "--rules": rules,
        }
        given |= {"--candidate-cycles": candidate_cycles, "--effort": effort}
        given |= {"--store": store, "--dask": dask}
        _prove(asked, found, transitions, given, time_limit, certificate, output)
        return
    if certificate is not None:
        raise InputError(CERTIFICATE, "", str(certificate), "only with --over all")
    planned = asked.planned(found, time_limit)

    def interrupted() -> None:
        so_far = replace(planned, planned=replace(planned.planned, interrupted=True))
        with suppress(typer.Exit):
            _show(so_far, objectives, output)
        told = "programs were not simulated: stores in another order count as free"
        told += ", and copies as the least that they can take" if asked.rule.copies else ""
        typer.echo(f"explorer: {told}", err=True)

    with partial(interrupted), progress("simulating plans") as advance:
        final = simulated(planned, seconds=time_limit, free=not rules, on_progress=advance)
    _show(final, objectives, output)


def _prove(
    asked: Asked,
    network: Network,
    transitions: str,
    given: Mapping[str, object],
    seconds: float | None,
    certificate: Path | None,
    output: Path | None,
) -> None:
    """Search over all embeddings, with what cannot be asked of these."""
    # A search of its own, which plans of the candidates listed need not load.
    from explorer.cli import network_proof  # noqa: PLC0415
    from explorer.network.proof.plans import Proof  # noqa: PLC0415

    proof = Proof(network, asked.config, transitions, asked.host, asked.work.classes, asked.wishes)
    network_proof.show(proof, given, seconds, certificate, asked.work.jobs, output)


def _show(found: NetworkPlan, objectives: Sequence[str], output: Path | None) -> None:
    """Print or write the plan or the front; leave with 1 where it is not proven."""
    planned = found.planned
    if not planned.plans:
        lines = planned.conflict.lines() if planned.conflict else ["nothing was found in time"]
        if planned.interrupted:
            lines = ["interrupted, with nothing found"]
        say("explorer: " + "\n".join(lines), err=True)
        raise typer.Exit(INTERRUPTED if planned.interrupted else 1)
    table = found.frame()
    if objectives:
        names = list(planned.plans[0].cost._fields)
        show_table(table, output, table[names])
        for line in (report.proof(found), *report.free(found)):
            note(line, aside=output is not None)
    else:
        show_table(table, output, table, keep=3)
        for line in report.lines(found):
            note(line, aside=output is not None)
    if planned.interrupted:
        typer.echo("explorer: interrupted: partial, other plans may be better", err=True)
    if planned.interrupted or not planned.proven:
        raise typer.Exit(INTERRUPTED if planned.interrupted else 1)
