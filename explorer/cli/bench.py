"""The command that times whole workloads against the baselines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.common import say, wants_json
from explorer.cli.embeddings import ClassesOption, ConfigOption
from explorer.cli.interrupts import partial
from explorer.cli.output import (
    JobsOption,
    check_folder,
    progress,
    show_table,
    table_of,
    write_file,
    write_table,
)
from explorer.embedding.facts import parse_classes
from explorer.operators import resolve
from explorer.operators.workloads import catalogue
from explorer.operators.workloads import group as group_of
from explorer.ranking import gains
from explorer.report.gain_plot import figure, page
from isa.config import Config
from isa.errors import InputError
from isa.words import counted

if TYPE_CHECKING:
    import pandas as pd

_DEFAULT = "all"
SHOWN = [
    "layer", "embedding", "best_cycles", "over_tvm", "over_reference", "over_bound", "tvm_cycles",
    "reference_cycles",
]  # fmt: skip
KEPT = 4
"""Of these, the columns that are printed whatever room there is."""


def bench(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE",
            help="Shipped workloads: deepbench, deepbench:conv/server, resnet18, …; or a file of "
            "layers: of ZigZag, Timeloop or CoSA.",
        ),
    ],
    config: ConfigOption = "default",
    classes: ClassesOption = _DEFAULT,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Write a CSV table, a figure and a page of headlines for each group of layers.",
            file_okay=False,
            callback=lambda path: check_folder(path, "--json prints the table"),
        ),
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, help="Take every so many-th layer only: a sample.")
    ] = 1,
    verify: Annotated[
        bool, typer.Option("--verify", help="Execute each winner's program, and compare every bit.")
    ] = False,
    jobs: JobsOption = None,
) -> None:
    """Compare best embeddings with the baselines.

    Each layer is timed four times by the same cycle model: TVM's template with its best tiling
    (tvm), the reference embedding in TVM's layouts (reference) and in its best layouts (relayout)
    under our schedule search, and the best embedding (best). The columns by_schedule, by_layout and
    by_embedding are the steps between them; their product is over_tvm.

    The exit status is 1 if a winner's program computes a wrong bit.
    """
    machine, names = Config.load(config), parse_classes(classes)
    references = [entry.reference for entry in catalogue(suite)][::every]
    if out is not None:
        _make(out)
    wrong, summaries = False, list[dict[str, object]]()
    every_row: list[dict[str, object]] = []
    for group, members in groupby(references, group_of):
        layers = [resolve(reference) for reference in members]
        rows: list[dict[str, object]] = []
        timing = progress(f"timing {counted(len(layers), 'layer')} of {group}", len(layers))
        with partial(lambda: _interrupted(rows, len(layers), group)), timing as advance:  # noqa: B023 - used before the next
            rows.extend(  # one after the other, as they are done
                gains.table(
                    layers,
                    machine,
                    names,
                    verify=verify,
                    jobs=jobs or os.cpu_count() or 1,
                    on_progress=advance,
                )
            )
        frame = gains.measured(rows)
        lines = gains.summary(frame)
        if out is None and wants_json():
            every_row += rows
        elif out is None:
            show_table(frame, None, frame[SHOWN], keep=KEPT)
        else:
            stem = group if machine.name == "default" else f"{group}_{machine.name}"
            command = _command(suite, config, classes, every, verify)
            _write(out, stem, frame, lines, machine, command)
            files = [str(out / f"{stem}{suffix}") for suffix in (".csv", ".svg", ".md")]
            summaries.append({"group": group, "layers": len(frame), "files": files, "text": lines})
        text = "\n".join([f"{group} on {machine.name}:", *(f"  {x}" for x in lines)])
        say(text, err=wants_json())
        wrong = wrong or (verify and not frame["exact"].all())
    if every_row:  # one document, whatever the number of groups
        show_table(table_of(every_row), None)
    if wants_json() and summaries:
        typer.echo(json.dumps(summaries, indent=2))
    if wrong:
        raise typer.Exit(1)


def _interrupted(rows: Sequence[dict[str, object]], total: int, group: str) -> None:
    """Show the layers that were timed until Ctrl-C; files are of whole groups alone."""
    if rows:
        show_table(table_of(rows)[SHOWN], None, keep=KEPT)
    done = f"{len(rows)} of {counted(total, 'layer')} of {group} timed"
    typer.echo(f"explorer: interrupted: partial, {done}", err=True)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out", "", str(directory), f"cannot be made: {error.strerror}") from None


def _command(suite: str, config: str, classes: str, every: int, verify: bool) -> str:
    words = ["explorer", "bench", suite]
    words += ["--config", config] if config != "default" else []
    words += ["--classes", classes] if classes != _DEFAULT else []
    words += ["--every", str(every)] if every > 1 else []
    words += ["--verify"] if verify else []
    return " ".join([*words, "--out", "results"])


def _write(
    out: Path, stem: str, frame: pd.DataFrame, lines: list[str], machine: Config, command: str
) -> None:
    write_table(frame, out / f"{stem}.csv")
    write_file(out / f"{stem}.svg", figure(frame, stem.replace("_", " ")))
    about = {
        "vta-explorer": version("vta-explorer"),
        "clingo": version("clingo"),
        "configuration": ", ".join(
            f"{k}={v}" for k, v in asdict(machine).items() if k not in ("name", "timing")
        ),
        "timing": ", ".join(f"{k}={v}" for k, v in asdict(machine.timing).items()),
    }
    distant = frame[frame["over_bound"] > gains.NEAR]
    far = [
        f"{r.layer}: {r.best_cycles} cycles, {r.over_bound:.3f} of the bound"
        for r in distant.itertuples()
    ]
    write_file(out / f"{stem}.md", page(stem, command, about, lines, far, gains.class_table(frame)))
