"""Plans over all embeddings on the command line: what is asked, progress, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from explorer.cli.common import is_quiet, note
from explorer.cli.interrupts import partial, whole
from explorer.cli.network_options import CERTIFICATE
from explorer.cli.output import check_file, progress, show_table, write_file
from explorer.deployment.pricing import simulated
from explorer.network.candidates.spaces import running
from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.proof.certificate import certificate as made
from explorer.network.proof.certificate import text
from explorer.network.proof.plans import Proof
from explorer.network.proof.search import Progress
from explorer.report import network_plan as report


def show(
    proof: Proof,
    given: Mapping[str, object],
    seconds: float | None,
    certificate: Path | None,
    jobs: int | None,
    output: Path | None,
) -> None:
    """Search over all embeddings and show the plan; leave with 1 where it is not proven.

    Args:
        proof: what is asked.
        given: values of options that cannot be met over all embeddings.
        seconds: time for the search.
        certificate: where to write what is claimed.
        jobs: processes.
        output: where to write the plan.

    Raises:
        InputError: see `Proof.check`.
    """
    proof.check(given, "--")
    if certificate is not None:
        check_file(certificate, CERTIFICATE, (".json",))

    def interrupted() -> None:
        known = proof.known(interrupted=True)
        if known is not None:
            _show(known, proof, certificate, output)
        what = "the best plan so far" if known else "no plan yet"
        typer.echo(f"explorer: interrupted: {what}", err=True)

    with partial(interrupted), running(jobs) as run, progress("searching all embeddings"):
        proof.run(run, seconds, _said)
    found = proof.known()
    assert found is not None
    assert found.claim is not None
    with progress("simulating stores") as advance:
        found = simulated(found, free=False, on_progress=advance)
    assert found.claim is not None
    with whole():
        _show(found, proof, certificate, output)
    if not found.claim.proven:
        raise typer.Exit(1)


def _said(known: Progress) -> None:
    """A line for each round."""
    if not is_quiet():
        typer.echo(known.line(), err=True)


def _show(found: NetworkPlan, proof: Proof, certificate: Path | None, output: Path | None) -> None:
    table = found.frame()
    show_table(table, output, table, keep=3)
    for line in report.lines(found):
        note(line, aside=output is not None)
    if certificate is not None:
        write_file(certificate, text(made(found, proof.rule_name, proof.host)), CERTIFICATE)
