"""The command that plans a whole network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli import network_proof
from explorer.cli.common import note, say
from explorer.cli.embeddings import ConfigOption, NodeClassesOption
from explorer.cli.interrupts import INTERRUPTED, partial
from explorer.cli.network import Concat, ConcatOption, ModelArgument, ShapeOption, shapes
from explorer.cli.output import JobsOption, OutputOption, check_folder, progress, show_table
from explorer.cli.preferences import TimeLimitOption
from explorer.deployment.pricing import simulated
from explorer.embedding.facts import parse_classes
from explorer.network.candidates.given import COLUMNS, given_candidates
from explorer.network.candidates.spaces import ROUNDS, Space, running
from explorer.network.graph import Network
from explorer.network.handing import handed
from explorer.network.models import resolve
from explorer.network.plan.network_plan import CANDIDATES, NetworkPlan, candidates, plan_network
from explorer.network.plan.planning import check_rules
from explorer.network.plan.problem import METRICS
from explorer.network.plan.transitions import model, models, priced
from explorer.network.plan.wishes import Wishes, check_ids, check_names, parse_limits, parse_metrics
from explorer.network.proof.plans import Proof
from explorer.report import network_plan as report
from explorer.study.candidates import answering, check_store
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.words import counted


def _check_store(path: Path | None) -> Path | None:
    """The path as given, once it is known that candidates can be kept there."""
    check_folder(path, "give the name of one", "--store")
    check_store(path)
    return path


TransitionsOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What passes tensors on: "
        + "; ".join(f"{name}, {known.summary}" for name, known in models().items())
        + ".",
    ),
]
HostBytesOption = Annotated[
    str, typer.Option(metavar="NUMBER", help="For each byte that the host reads or writes.")
]
HostCallsOption = Annotated[
    int, typer.Option(min=0, max=2**31, help="For each transition that the host makes.")
]
PinOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A node takes this embedding, or a tensor is written in this layout.",
    ),
]
CandidatesOption = Annotated[
    int,
    typer.Option(
        "--candidates",
        min=1,
        max=10_000,
        help="Embeddings evaluated for each operator: half of them the fastest, others such as "
        "neighbours' layouts ask for.",
    ),
]

RequireOption = Annotated[
    list[str] | None, typer.Option(metavar="LIMITS", help="host-copies<=2, memory<=4MiB, …")
]
PREFERRED = "cycles,host-bytes,memory"
PreferOption = Annotated[
    str,
    typer.Option(metavar="METRICS", help=f"The most important first, of {', '.join(METRICS)}."),
]
EffortOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="NUMBER",
        help="Programs simulated for each layout at most; by default as many as prove its cycles "
        "the least.",
        show_default=False,
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--candidate-cycles",
        metavar="TABLE",
        help=f"Take candidates and their cycles from a CSV table with columns {', '.join(COLUMNS)},"
        " and evaluate none; nodes that it lacks are the host's.",
    ),
]
OverOption = Annotated[
    network_proof.Over,
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
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Directory that keeps candidates with their cycles: what is there is not evaluated "
        "again, by any of these commands.",
        callback=_check_store,
        show_default=False,
    ),
]
DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Dask scheduler to evaluate candidates on, or local:N.",
        show_default=False,
    ),
]
RulesOption = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="FILE", help="Rules of your own over encodings/network.lp."),
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
    over: OverOption = network_proof.Over.LISTED,
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
    host = priced(host_cycles_per_byte, host_cycles_per_call)
    objectives = parse_metrics(pareto, "--pareto") if pareto is not None else ()
    ranked = parse_metrics(prefer, "--prefer")
    wishes = Wishes(ranked, parse_limits(require or []), (), objectives)
    rule, chosen, extents = model(transitions), named_classes(classes), shapes(shape)
    machine = Config.load(config)
    check_table(candidate_cycles, classes=classes, effort=effort, store=store, dask=dask)
    check_rules(rules or (), time_limit)
    found = handed(resolve(network, concat.value, extents), on_host or ())
    check_names(pin or (), found)
    check_ids(pin or (), found, machine)
    if over is network_proof.Over.ALL:
        given: dict[str, object] = {
            "--pin": pin,
            "--require": require,
            "--pareto": pareto,
            "--rules": rules,
        }
        given |= {"--candidate-cycles": candidate_cycles, "--effort": effort}
        given |= {"--store": store, "--dask": dask}
        proof = Proof(found, machine, transitions, host, chosen, wishes)
        network_proof.show(proof, given, time_limit, certificate, jobs, output)
        return
    network_proof.check_listed(certificate)
    spaces, hosts = gathered(
        found, machine, count, chosen, jobs, candidate_cycles, effort, store, dask
    )
    with progress("planning"):
        planned = plan_network(
            found, machine, spaces, hosts, rule, host, wishes, pin or (), time_limit, rules or ()
        )

    def interrupted() -> None:
        so_far = replace(planned, planned=replace(planned.planned, interrupted=True))
        with suppress(typer.Exit):
            _show(so_far, objectives, output)
        told = "programs were not simulated: stores in another order count as free"
        told += ", and copies as the least that they can take" if rule.copies else ""
        typer.echo(f"explorer: {told}", err=True)

    with partial(interrupted), progress("simulating plans") as advance:
        final = simulated(planned, seconds=time_limit, free=not rules, on_progress=advance)
    _show(final, objectives, output)


def check_table(table: Path | None, **given: object) -> None:
    """Check that nothing is asked of an evaluation where a table takes its place.

    Args:
        table: of candidates; None if they are evaluated.
        given: the values of options that say how, by their names.

    Raises:
        InputError: one of them was given.
    """
    for name, value in given.items():
        if table is not None and value is not None:
            raise InputError(f"--{name}", "", value, "--candidate-cycles evaluates nothing")


def named_classes(text: str | None) -> tuple[str, ...] | None:
    """The classes that are named; None if none are."""
    return None if text is None else parse_classes(text)


def gathered(
    network: Network,
    config: Config,
    count: int,
    classes: Sequence[str] | None,
    jobs: int | None,
    table: Path | None,
    effort: int | None,
    store: Path | None = None,
    dask: str | None = None,
) -> tuple[dict[Operator, Space], dict[str, str]]:
    """The candidates of every operator, and what the host runs: evaluated, or from a table."""
    if table is not None:
        return given_candidates(table, network, config)
    operators = len({node.operator for node in network.accelerated})

    def interrupted() -> None:
        told = f"what was evaluated is kept in {store}, and the same command goes on from there"
        if store is None:
            told = "what was evaluated is lost; with --store DIR, the same command would go on"
        typer.echo(f"explorer: interrupted: {told}", err=True)

    with (
        partial(interrupted),
        answering(jobs, store, dask) as answers,
        progress(
            f"candidates of {counted(operators, 'operator')}, {ROUNDS} rounds for each",
            ROUNDS * operators,
        ) as advance,
        running(jobs) as run,
    ):
        return candidates(
            network,
            config,
            count,
            classes,
            run=run,
            on_progress=advance,
            effort=effort,
            answers=answers,
        )


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
