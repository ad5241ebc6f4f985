"""``python -m benchmarks.network_tables NETWORK… [options]``: the tables of whole networks.

Plans each network on each machine, at each price of the host's bytes, and writes into the folder of
results what `explorer network plan` shows of it: ``networks.csv`` and ``networks.md`` with a row a
plan, and for each network and machine a table of its nodes. Rows of networks that are not asked for
stay. Candidates are evaluated once for all prices, and how long that took is printed.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import product
from pathlib import Path

import pandas as pd

from explorer.deployment.pricing import Programs, simulated
from explorer.network.candidates.spaces import running
from explorer.network.plan.network_plan import CANDIDATES, NetworkPlan, candidates, plan_network
from explorer.network.plan.network_plan import rows as rows_of
from explorer.network.plan.problem import Plan
from explorer.network.plan.transitions import Host, model
from explorer.network.plan.wishes import Wishes
from explorer.network.shipped import NETWORKS, shipped
from explorer.study.candidates import answering
from isa.config import PRESETS, Config

TRANSITIONS = "stored"
SELF, CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
KEYS = ["network", "configuration", "host_cycles_per_byte"]
INTRODUCTION = """\
# Whole networks

`python -m benchmarks.network_tables NETWORK --config MACHINE --host-cycles-per-byte 1 0.125
--candidates N --effort E` writes its rows; `networks.csv` has N and E of each, and E is left out
where it is empty. With `--store DIR --missing` a run that was ended goes on: no row is made again,
and no candidate evaluated twice.

All layers are counted, pooling by the host and residuals included. *plan* is the best of the
candidates listed, *TVM's layouts* has one layout throughout (nodes that TVM has none for take
their fastest candidate), *own bests* takes each node's fastest candidate whatever its neighbours
do. Each byte that the host moves costs the cycles in column *host*. Programs store what their
readers want, with the cycles that this takes. In brackets: how many times the plan's cycles. No
plan of the candidates takes fewer cycles than *bound*: the plan is proven best of them where the
two are equal. *Without transitions* is the sum of the fastest candidates. A network's name leads to
the table of its nodes, at the first price.
"""


def figures(found: NetworkPlan, price: Fraction, asked: argparse.Namespace) -> dict[str, object]:
    """The row of a plan."""
    best = found.planned.plans[0]
    others = {"fixed": found.fixed, "own_bests": found.greedy}
    return {
        "network": found.network.name,
        "configuration": found.config.name,
        "host_cycles_per_byte": f"{float(price):g}",
        "candidates": asked.candidates,
        "effort": asked.effort or "",
        "plan": best.cost.cycles,
        "bound": found.planned.bound,
        "listed": found.planned.account.candidates,
        **{name: _cycles(other) for name, other in others.items()},
        "without_transitions": found.floor,
        "host_bytes": best.cost.host_bytes,
        "host_copies": best.cost.host_copies,
        "memory": best.cost.memory,
    }


def _cycles(plan: Plan | None) -> int:
    return plan.cost.cycles if plan else 0


def table(rows: pd.DataFrame) -> str:
    """The page."""
    lines = [
        INTRODUCTION,
        "| network | machine | host | plan | bound | TVM's layouts | own bests "
        "| without transitions | host's bytes | copies | candidates |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.to_dict("records"):
        plan, *others = (int(row[name]) for name in ("plan", "fixed", "own_bests"))
        ratios = [f"{x:,} ({x / plan:.2f})" if x else "no plan" for x in others]
        page = f"network_{row['network']}_{row['configuration']}.csv"
        cells = [
            f"[{row['network']}]({page})",
            row["configuration"],
            row["host_cycles_per_byte"],
            f"{plan:,}",
            f"{bound:,}" if (bound := int(row["bound"])) < plan else "the same",
            *ratios,
            *(f"{int(row[name]):,}" for name in ("without_transitions", "host_bytes")),
            row["host_copies"],
            f"{int(row['listed']):,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _plans(
    asked: argparse.Namespace, name: str, config: Config, prices: Sequence[Fraction]
) -> Iterator[tuple[Fraction, NetworkPlan]]:
    """The plans of a network on a machine, one for each price."""
    network, begin = shipped(name), time.perf_counter()
    with answering(asked.jobs, asked.store) as answers, running(asked.jobs) as run:
        spaces, hosts = candidates(
            network, config, asked.candidates, run=run, effort=asked.effort, answers=answers
        )
    print(f"{name} on {config.name}: candidates in {time.perf_counter() - begin:.0f} s", flush=True)
    programs = Programs.of(config)
    for price in prices:
        begin, own = time.perf_counter(), time.process_time()
        host = Host(price, 0)
        found = plan_network(
            network, config, spaces, hosts, model(TRANSITIONS), host, Wishes(), (), asked.time_limit
        )
        found = simulated(found, seconds=asked.time_limit, programs=programs)
        planned = found.planned
        print(
            f"  {price} a byte: planned in {time.perf_counter() - begin:.1f} s "
            f"({time.process_time() - own:.1f} s of one core), "
            f"{planned.account.left:,} candidates, {planned.rules:,} ground rules and "
            f"{planned.conflicts:,} conflicts of the solver; peak memory {_peak()}",
            flush=True,
        )
        yield price, found


def _peak() -> str:
    """The most memory that this process, and its largest worker, have had."""
    own, worker = (resource.getrusage(who).ru_maxrss for who in (SELF, CHILDREN))
    return f"{own >> 10} MiB (a worker {worker >> 10} MiB)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="+", choices=list(NETWORKS))
    parser.add_argument("--config", nargs="+", choices=list(PRESETS), default=["default"])
    parser.add_argument("--host-cycles-per-byte", nargs="+", type=Fraction, default=[Fraction(1)])
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--effort", type=int)
    parser.add_argument("--jobs", type=int, help="processes; one a core where not given")
    parser.add_argument("--missing", action="store_true", help="only rows that are not there yet")
    parser.add_argument("--store", type=Path, help="keeps candidates, so that a run can go on")
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--out", type=Path, default=Path("results"))
    asked = parser.parse_args(arguments)
    path = asked.out / "networks.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else None
    for name, preset in product(asked.networks, asked.config):
        prices = list(dict.fromkeys(asked.host_cycles_per_byte))
        if asked.missing and rows is not None:
            prices = [price for price in prices if not _known(rows, name, preset, price)]
        if not prices:
            continue
        for price, found in _plans(asked, name, Config.load(preset), prices):
            if price == asked.host_cycles_per_byte[0]:
                nodes = [asdict(row) for row in rows_of(found, found.planned.plans[0])]
                pd.DataFrame(nodes).to_csv(asked.out / f"network_{name}_{preset}.csv", index=False)
            new = pd.DataFrame([figures(found, price, asked)]).astype(str)
            rows = new if rows is None else pd.concat([rows, new])
            rows = rows.drop_duplicates(KEYS, keep="last").sort_values(KEYS)
            rows.to_csv(path, index=False)
            path.with_suffix(".md").write_text(table(rows), encoding="utf-8")


def _known(rows: pd.DataFrame, network: str, machine: str, price: Fraction) -> bool:
    """Whether there is a row of this plan."""
    wanted = (network, machine, f"{float(price):g}")
    return wanted in set(rows[KEYS].itertuples(index=False, name=None))


if __name__ == "__main__":
    main()
