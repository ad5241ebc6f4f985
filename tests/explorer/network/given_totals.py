"""Totals that an independent planner found for ResNet-18 from tables of cycles, and ours.

Its rules are those of the transitions `trial`, at one cycle a byte; its tables are in
`tests/data/given`. ``python -m tests.explorer.network.given_totals [CONFIG…]`` plans with all rows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from explorer.network.candidates.given import given_candidates
from explorer.network.plan.network_plan import NetworkPlan, plan_network
from explorer.network.plan.transitions import Host, model
from explorer.network.plan.wishes import Wishes
from explorer.network.shipped import shipped
from isa.config import Config

TABLES = Path(__file__).resolve().parents[2] / "data" / "given"
TOTALS = {
    "default": (7_106_383, 7_106_876),
    "b2": (4_431_155, 7_132_883),
    "b4": (3_548_331, 7_302_132),
}
"""Cycles of the best plan, and of TVM's layouts."""
SAMPLED = 2
"""Rows of each layer that are kept beside the planned ones and TVM's."""


def table(config: str) -> pd.DataFrame:
    """The candidates of a configuration, and whether the best plan uses them."""
    return pd.read_csv(TABLES / f"resnet18_{config}.csv.xz")


def reduced(rows: pd.DataFrame) -> pd.DataFrame:
    """What the best plan uses, TVM's, and a few others: a smaller problem of the same optimum.

    A plan of fewer candidates cannot be better, and the best one is among those that are left.
    """
    needed = (rows["planned"] == 1) | (rows["embedding"] == "reference")
    others = rows[~needed].groupby("operator").sample(SAMPLED, random_state=1)
    return rows[needed | rows.index.isin(others.index)]


def planned(rows: pd.DataFrame, config: str) -> NetworkPlan:
    """The best plan of these candidates."""
    network, machine = shipped("resnet18"), Config.load(config)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        rows.to_csv(path, index=False)
        spaces, hosts = given_candidates(path, network, machine)
    return plan_network(network, machine, spaces, hosts, model("trial"), Host(), Wishes())


def totals(found: NetworkPlan) -> tuple[int, int]:
    """Cycles of a proven plan, and of TVM's layouts."""
    (best,) = found.planned.plans
    assert found.planned.proven
    assert found.fixed is not None
    return best.cost.cycles, found.fixed.cost.cycles


def main() -> int:
    """Compare the totals; the exit status is the number of those that differ."""
    wrong = 0
    for config in sys.argv[1:] or TOTALS:
        rows = table(config)
        found, expected = totals(planned(rows, config)), TOTALS[config]
        wrong += sum(a != b for a, b in zip(found, expected, strict=True))
        told = "as expected" if found == expected else f"expected {expected[0]:,}, {expected[1]:,}"
        print(f"{config}: {len(rows):,} rows, plan {found[0]:,}, fixed {found[1]:,}: {told}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
