"""What the commands have in common that plan a network: their options, and the plan itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import note
from explorer.cli.interrupts import partial
from explorer.cli.output import check_folder, progress
from explorer.embedding.facts import parse_classes
from explorer.network.candidates.given import COLUMNS, given_candidates
from explorer.network.candidates.spaces import ROUNDS, Space, running
from explorer.network.graph import Network
from explorer.network.plan.network_plan import NetworkPlan, candidates, plan_network
from explorer.network.plan.problem import METRICS
from explorer.network.plan.transitions import Host, Model, models
from explorer.network.plan.wishes import Wishes, check_ids, check_names
from explorer.report.network_plan import proof
from explorer.study.candidates import answering, check_store
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.words import counted

CERTIFICATE = "--certificate"


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
RulesOption = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="FILE", help="Rules of your own over encodings/network.lp."),
]


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


@dataclass(frozen=True, slots=True)
class Work:
    """How candidates are found.

    Attributes:
        count: embeddings evaluated for each operator.
        effort: programs simulated for each layout at most; None for proven cycles.
        classes: of embeddings; None for the usual ones.
        jobs: processes; None for one a core.
        store: a directory that keeps candidates.
        table: a table to take candidates from instead.
        dask: the address of a Dask scheduler.
    """

    count: int
    effort: int | None
    classes: tuple[str, ...] | None
    jobs: int | None
    store: Path | None
    table: Path | None = None
    dask: str | None = None

    def gathered(
        self, network: Network, config: Config
    ) -> tuple[dict[Operator, Space], dict[str, str]]:
        """The candidates of every operator, and what the host runs."""
        if self.table is not None:
            return given_candidates(self.table, network, config)
        operators = len({node.operator for node in network.accelerated})
        store = self.store

        def interrupted() -> None:
            told = f"what was evaluated is kept in {store}, and the same command goes on from there"
            if store is None:
                told = "what was evaluated is lost; with --store DIR, the same command would go on"
            typer.echo(f"explorer: interrupted: {told}", err=True)

        with (
            partial(interrupted),
            answering(self.jobs, store, self.dask) as answers,
            progress(
                f"candidates of {counted(operators, 'operator')}, {ROUNDS} rounds for each",
                ROUNDS * operators,
            ) as advance,
            running(self.jobs) as run,
        ):
            return candidates(
                network,
                config,
                self.count,
                self.classes,
                run=run,
                on_progress=advance,
                effort=self.effort,
                answers=answers,
            )


@dataclass(frozen=True, slots=True)
class Asked:
    """What is planned, and how.

    Attributes:
        config: the machine.
        rule: which transitions there are.
        host: what the host's work costs.
        wishes: what is asked, without pins.
        work: how candidates are found.
        pins: as users write them.
        rules: files of rules of a user's own.
    """

    config: Config
    rule: Model
    host: Host
    wishes: Wishes
    work: Work
    pins: Sequence[str] = ()
    rules: Sequence[Path] = ()

    def check(self, network: Network) -> None:
        """Check pins before candidates are evaluated, which takes minutes.

        Raises:
            InputError: one of them names nothing that there is.
        """
        check_names(self.pins, network)
        check_ids(self.pins, network, self.config)

    def planned(self, network: Network, seconds: float | None = None) -> NetworkPlan:
        """The best plan, of programs as candidates have them; so many seconds for the solver.

        Raises:
            InputError: a rule cannot be used, or a pin names nothing that there is.
        """
        spaces, hosts = self.work.gathered(network, self.config)
        with progress("planning"):
            return plan_network(
                network,
                self.config,
                spaces,
                hosts,
                self.rule,
                self.host,
                self.wishes,
                self.pins,
                seconds,
                self.rules,
            )

    def note_unproven(self, found: NetworkPlan) -> None:
        """Say what is proven, on standard error, where a search with rules ended early.

        Without rules it goes on to its end.
        """
        if self.rules and not found.planned.proven:
            note(proof(found), aside=True)
