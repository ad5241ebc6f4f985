"""``python -m benchmarks.network_proofs NETWORK [options]``: optima over all embeddings.

Plans the network over all embeddings on each machine, at each price of the host's bytes, and writes
a certificate of each into ``network_proofs`` in the folder of results, and a table of all that are
there: ``network_proofs.csv`` and ``network_proofs.md``. How long each took is printed.
``python -m tests.oracles.network_proofs results/network_proofs/*.json`` checks the certificates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from explorer.deployment.pricing import simulated
from explorer.embedding.facts import DEFAULT_CLASSES, parse_classes
from explorer.network.candidates.spaces import running
from explorer.network.handing import handed
from explorer.network.plan.transitions import Host
from explorer.network.proof.certificate import Certificate, certificate, read, text
from explorer.network.proof.plans import Proof
from explorer.network.shipped import NETWORKS, shipped
from isa.config import PRESETS, Config

COLUMNS = [
    "network", "configuration", "on_host", "transitions", "host_cycles_per_byte", "classes",
    "optimum", "bound", "proven", "executed", "fixed", "embeddings", "operators", "reached",
    "searched", "rounds",
]  # fmt: skip
INTRODUCTION = """\
# Optima over all embeddings

`python -m benchmarks.network_proofs NETWORK --config MACHINE --host-cycles-per-byte 1 0.125`
writes the certificates in `network_proofs` and this table of them;
`python -m tests.oracles.network_proofs results/network_proofs/*.json` checks them by a sweep over
all embeddings without jokers, and has confirmed each.

*optimum* is the plan's cycles and *bound* what no plan over all *embeddings* undercuts, in every
choice of layouts, of the usual classes where no others are told. Stores in a reader's order
count as free in both; *executed* has them simulated, and so have *TVM's layouts*, in brackets: how
far above the bound. Jokers stood for all embeddings but those *looked at* with their layouts. Of so
many layouts programs were *searched*, or have those of one that was; of all others, schedules were
bounded. Nodes that were handed to the host are in `network_proofs.csv`.
"""


def row(found: Certificate) -> list[object]:
    """The row of a certificate."""
    return [
        found.network, found.configuration, " ".join(found.on_host), found.transitions,
        found.host_cycles_per_byte, " ".join(found.classes or ["usual"]), found.cycles, found.bound,
        found.proven, found.executed, found.fixed or "", found.embeddings, found.operators,
        found.reached, len(found.searched), found.rounds,
    ]  # fmt: skip


def table(found: Sequence[Certificate]) -> str:
    """The page."""
    lines = [
        INTRODUCTION,
        "| network | machine | host | optimum | bound | executed | TVM's layouts | embeddings "
        "| looked at | searched |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        above = [
            f"{cycles:,} ({100 * (cycles / one.bound - 1):.3g} %)" if cycles else "no plan"
            for cycles in (one.executed, one.fixed)
        ]
        usual = (
            ""
            if one.classes in (None, list(DEFAULT_CLASSES))
            else f" ({', '.join(one.classes or ())})"
        )
        cells = [
            one.network, one.configuration, f"{float(Fraction(one.host_cycles_per_byte)):g}",
            f"{one.cycles:,}", f"{one.bound:,}" + ("" if one.proven else " (not proven)"), *above,
            f"{one.embeddings:,}{usual}", f"{one.reached:,}", f"{len(one.searched):,}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class Timed:
    """Work that tells how long it has computed, wherever that is."""

    work: Callable[[Any], Any]

    def __call__(self, item: object) -> tuple[float, Any]:
        """Seconds of CPU, and what the work gives."""
        begin = time.process_time()
        found = self.work(item)
        return time.process_time() - begin, found


def proven(asked: argparse.Namespace, preset: str, price: Fraction) -> tuple[Certificate, float]:
    """The certificate of a plan, and seconds of CPU that other processes have spent on it."""
    elsewhere = 0.0
    network = handed(shipped(asked.network), asked.on_host)
    host, classes = Host(price), parse_classes(asked.classes) if asked.classes else None
    search = Proof(network, Config.load(preset), asked.transitions, host, classes)
    search.check({})
    with running(asked.jobs) as share:

        def run(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
            nonlocal elsewhere
            for spent, answer in share(Timed(work), items):
                elsewhere += spent if share is not map else 0.0
                yield answer

        search.run(run, asked.time_limit, lambda known: print(known.line(), flush=True))
    found = search.known()
    assert found is not None
    return certificate(simulated(found, free=False), asked.transitions, host), elsewhere


def main(arguments: Sequence[str] | None = None) -> None:
    """Write certificates and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", choices=list(NETWORKS))
    parser.add_argument("--config", nargs="*", choices=list(PRESETS), default=["default"])
    parser.add_argument("--host-cycles-per-byte", nargs="+", type=Fraction, default=[Fraction(1)])
    parser.add_argument("--transitions", default="stored")
    parser.add_argument("--classes")
    parser.add_argument("--on-host", nargs="*", default=[])
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--out", type=Path, default=Path("results"))
    asked = parser.parse_args(arguments)
    folder: Path = asked.out / "network_proofs"
    folder.mkdir(exist_ok=True)
    for preset in asked.config:
        for price in asked.host_cycles_per_byte:
            begin, used = time.perf_counter(), time.process_time()
            made, elsewhere = proven(asked, preset, price)
            name = f"{asked.network}_{preset}_{float(price):g}.json"
            (folder / name).write_text(text(made), encoding="utf-8")
            wall, spent = time.perf_counter() - begin, time.process_time() - used + elsewhere
            print(f"{name}: {wall:.0f} s, {spent:.0f} s of CPU", flush=True)
    all_of_them = [read(path) for path in sorted(folder.glob("*.json"))]
    rows = pd.DataFrame([row(one) for one in all_of_them], columns=COLUMNS)
    rows.to_csv(asked.out / "network_proofs.csv", index=False)
    (asked.out / "network_proofs.md").write_text(table(all_of_them), encoding="utf-8")


if __name__ == "__main__":
    main()
