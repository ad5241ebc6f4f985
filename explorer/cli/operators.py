"""The command that lists the operators that ship or that a file holds, and TVM's embeddings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from explorer.cli.common import wants_json
from explorer.cli.embeddings import ConfigOption
from explorer.cli.output import OutputOption, print_table, progress, show_table, table_of
from explorer.operators import catalogue, resolve
from explorer.ranking.explore import evaluate, reference
from isa.config import Config
from isa.words import counted

NONE = "none"
"""What stands for TVM's embedding where TVM has no way to lay an operator onto the instruction."""


def operators(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="SUITE",
            help="Which to list: resnet18, deepbench, deepbench:conv/server …; or a file of "
            "layers: of ZigZag, Timeloop or CoSA.",
            show_default=False,
        ),
    ] = None,
    tvm: Annotated[
        bool,
        typer.Option(
            "--reference",
            help=f"Also TVM's embedding of each ({NONE} where it has none), and the cycles of its "
            "best program in TVM's layouts, which speedups are over.",
        ),
    ] = False,
    config: ConfigOption = "default",
    output: OutputOption = None,
) -> None:
    """List the operators that ship: dimensions, multiply-adds, and elements of each tensor."""
    machine, entries = Config.load(config), list(catalogue(suite))
    rows = [asdict(entry) for entry in entries]
    if tvm:
        embedding = progress(f"embedding {counted(len(rows), 'operator')} as TVM does", len(rows))
        with embedding as advance:
            for entry, row in zip(entries, rows, strict=True):
                row.update(_reference(entry.reference, machine))
                advance(1)
    frame = table_of(rows)
    if output or wants_json() or tvm:
        shown = ["reference", "tvm_embedding", "tvm_cycles"] if tvm else list(frame)
        show_table(frame, output, frame[shown], keep=len(shown))
    else:
        print_table(frame, title=counted(len(entries), "operator"))


def _reference(name: str, machine: Config) -> dict[str, object]:
    """TVM's embedding of an operator; no cycles where there is no program that fits."""
    operator = resolve(name)
    found = reference(operator, machine)
    if found is None:
        return {"tvm_embedding": NONE, "tvm_cycles": None}
    scheduled = evaluate(operator, machine, found, fixed_layout=True).scheduled
    return {"tvm_embedding": found.id, "tvm_cycles": scheduled and scheduled.cycles}
