"""``python -m benchmarks.sweep_page [FOLDER]``: the page of the study that ships, from its rows.

Reads ``vta_deepbench.parquet`` and the fronts beside it, and writes ``vta_deepbench.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from explorer.study.parameters import BLOCK, label, point_of
from explorer.study.tables import totalled
from explorer.study.unit import OK
from isa.config import Config

NAME = "vta_deepbench"
NEARLY = 1.05  # times the default's cycles that still count as about as many
INTRODUCTION = """\
# Which VTA for DeepBench's convolutions on devices?

{configurations} configurations × the {layers} convolutions that DeepBench lists for devices (those
of ResNet-50, batch 1), made by

    explorer sweep studies/vta_deepbench.yaml --out vta_deepbench
    explorer pareto vta_deepbench --table totals --minimize cycles,area,energy \\
      --out results/vta_deepbench_totals.csv --plot results/vta_deepbench_totals.svg \\
      --plot results/vta_deepbench_totals.html
    explorer pareto vta_deepbench --minimize cycles,area,energy --group-by operator \\
      --out results/vta_deepbench_layers.csv --plot results/vta_deepbench_layers.png
    explorer results vta_deepbench --out results/vta_deepbench.parquet
    python -m benchmarks.sweep_page

| file | holds |
|---|---|
| `vta_deepbench.parquet` | all {rows:,} rows; `explorer pareto` and DuckDB read it as it is |
| `vta_deepbench_totals` | the front of whole workloads: {front} of {whole} configurations |
| `vta_deepbench_layers` | the front of each layer: {layer_front} of {ok:,} rows |

{ok:,} units were evaluated; {refused} configurations ({refused_rows} rows) cannot be encoded, since
a micro-op's indices would need more than 32 bits. Model version `{model}`, classes padded, strided,
multi and swapped. **{proven:,} of the {ok:,} are proven**: no schedule in the space of any
embedding of these classes has fewer simulated cycles. The geometric mean of cycles over the
embedding's lower bound is {over:.4f}.

## What it says

| configuration | cycles, {layers} layers | speedup | utilisation | area | energy |
|---|---|---|---|---|---|
"""
BLOCKS = """
The speedup is over TVM's fixed embedding on the same configuration, under the same scheduler. Of
single layers, by block, it is

| batch × in × out | configurations | geometric mean | most | rows that gain |
|---|---|---|---|---|
"""
ENERGY = """
Area and energy are estimates ([sweeps](../docs/reference/sweeps.md#area-and-energy)); over all
rows, {sram:.0f} % of the energy is that of scratchpad accesses, {dram:.0f} % of DRAM and
{compute:.0f} % of arithmetic.
"""


def page(folder: Path) -> str:
    """The text.

    Args:
        folder: where the rows and their fronts are.
    """
    rows = pd.read_parquet(folder / f"{NAME}.parquet")
    fronts = [pd.read_csv(folder / f"{NAME}_{table}.csv") for table in ("totals", "layers")]
    ok = rows[rows["status"] == OK]
    layers = ok["operator"].nunique()
    totals = totalled(ok.assign(workload=NAME, repeat=1), layers)
    refused = rows[rows["status"] != OK]
    (model,) = rows["model"].unique()
    energy = ok["energy"].sum()
    parts = {x: 100 * ok[f"energy_{x}"].sum() / energy for x in ("sram", "dram", "compute")}
    facts = {
        "configurations": rows["configuration"].nunique(),
        "layers": layers,
        "rows": len(rows),
        "ok": len(ok),
        "front": len(fronts[0]),
        "whole": len(totals),
        "layer_front": len(fronts[1]),
        "refused": refused["configuration"].nunique(),
        "refused_rows": len(refused),
        "model": model,
        "proven": int(ok["proven"].sum()),
        "over": _mean(ok["cycles"] / ok["bound"]),
    }
    text = INTRODUCTION.format(**facts) + "".join(f"{line}\n" for line in _chosen(totals))
    text += BLOCKS + "".join(f"{line}\n" for line in _blocks(ok))
    return text + ENERGY.format(**parts)


def _mean(values: pd.Series[Any]) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(values.astype(float)).mean()))


def _chosen(totals: pd.DataFrame) -> Iterator[str]:
    """Configurations that stand out."""
    name = label(point_of(Config.default()))
    default = totals[totals["configuration"] == name].iloc[0]
    near = totals[totals["cycles"] <= NEARLY * default["cycles"]]
    product = totals["cycles"] * totals["energy"]
    yield _row("VTA's default", default)
    yield _row("nearly its time, least area", near.iloc[int(near["area"].argmin())])
    yield _row("least product of energy and time", totals.iloc[int(product.argmin())])
    yield _row("fastest", totals.iloc[int(totals["cycles"].argmin())])
    yield _row("least energy", totals.iloc[int(totals["energy"].argmin())])


def _row(title: str, row: pd.Series[Any]) -> str:
    cells = [
        f"{title}, `{row['configuration']}`",
        f"{int(row['cycles']):,}",
        f"{row['speedup']:.2f}",
        f"{100 * row['utilisation']:.0f} %",
        f"{row['area']:.2f} mm²",
        f"{row['energy'] / 1000:.1f} mJ",
    ]
    return f"| {' | '.join(cells)} |"


def _blocks(ok: pd.DataFrame) -> Iterator[str]:
    """What embeddings gain, by the lanes of the machine."""
    for block, part in ok.groupby(list(BLOCK)):
        logs: Any = block
        speedup = part["speedup"].dropna()
        cells = [
            " × ".join(str(2 ** int(log)) for log in logs),
            str(part["configuration"].nunique()),
            f"{_mean(speedup):.2f}",
            f"{speedup.max():.2f}",
            f"{int((speedup > 1).sum())} of {len(part)}",
        ]
        yield f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> None:
    """Write the page into a folder, by default ``results``."""
    folder = Path(arguments[0]) if arguments else Path("results")
    (folder / f"{NAME}.md").write_text(page(folder), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
