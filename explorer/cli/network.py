"""Commands about whole networks: show, import."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.common import note, wants_json
from explorer.cli.output import OutputOption, check_file, progress, show_table, table_of, write_file
from explorer.network import document
from explorer.network.models import resolve
from explorer.report import network as report
from isa.errors import InputError


class Concat(StrEnum):
    """What becomes of Concat."""

    TERMS = "terms"
    HOST = "host"


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A shipped network (resnet18), a document (.yaml, .json) or an ONNX model (.onnx).",
        show_default=False,
    ),
]
ConcatOption = Annotated[
    Concat,
    typer.Option(
        "--concat",
        help="terms: a product over joined tensors has a term for each. host: the host joins them.",
    ),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=1x3x224x224",
        help="The shape of an input of an ONNX model; may be given several times.",
        show_default=False,
    ),
]


def shapes(texts: list[str] | None) -> dict[str, tuple[int, ...]]:
    """The shapes that are given by name.

    Raises:
        InputError: one is not written as it has to be, or a name stands twice.
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts or []:
        name, _, extents = text.rpartition("=")
        if not name or not re.fullmatch(r"[0-9]{1,7}(x[0-9]{1,7})*", extents):
            raise InputError("--shape", "", text, "is written NAME=1x3x224x224")
        if name in found:
            raise InputError("--shape", name, extents, "stands twice")
        found[name] = tuple(map(int, extents.split("x")))
        if 0 in found[name]:
            raise InputError("--shape", name, extents, "extents are 1 or more")
    return found


def show(
    model: ModelArgument,
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
    output: OutputOption = None,
) -> None:
    """List the nodes: what is accelerated, and what is exact."""
    with progress("reading the model"):
        network = resolve(model, concat.value, shapes(shape))
    rows = [asdict(row) for row in report.rows(network)]
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    printed = pd.DataFrame(
        {
            "node": [row["node"] for row in rows],
            "kind": [row["kind"] for row in rows],
            "output": [row["output"] for row in rows],
            "MACs": [row["macs"] or None for row in rows],
            "arithmetic": [
                row["arithmetic"] if row["runs"] == "accelerator" else f"host: {row['arithmetic']}"
                for row in rows
            ],
            "stands for": [", ".join(row["folded"]) or None for row in rows],
        },
        dtype=object,
    )
    if all(not row["folded"] for row in rows):
        del printed["stands for"]
    table = table_of(rows)
    if output and output.suffix != ".json":
        for name in ("reads", "folded"):
            table[name] = [", ".join(value) for value in table[name]]
    show_table(table, output, printed, keep=5)
    note(report.summary(network), aside=output is not None)


def import_(
    model: ModelArgument,
    output: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The document: .yaml, .yml or .json."),
    ],
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
) -> None:
    """Write a model as a document."""
    check_file(output, "--out", (".yaml", ".yml", ".json"))
    with progress("writing the document"):
        network = resolve(model, concat.value, shapes(shape))
        text = document.dump(network, as_json=output.suffix == ".json")
    write_file(output, text)
    if wants_json():
        accelerated = len(network.accelerated)
        record = {"file": str(output), "nodes": len(network.nodes), "accelerated": accelerated}
        typer.echo(json.dumps(record | {"macs": network.macs}))
        return
    note(report.summary(network), aside=False)
