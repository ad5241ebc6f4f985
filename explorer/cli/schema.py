"""The command that prints JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from explorer.cli.output import show_table, write_file
from explorer.schemas import ENTRIES
from explorer.schemas import schema as schema_of
from isa.errors import InputError


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Of which document or output; without, all are listed.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it to FILE.")
    ] = None,
) -> None:
    """Print the JSON Schema of a document or of a command's JSON output."""
    if name is not None:
        text = json.dumps(schema_of(name), indent=2, ensure_ascii=False)
        if output is None:
            typer.echo(text)
        else:
            write_file(output, f"{text}\n")
        return
    if output is not None:
        raise InputError("--out", "", str(output), "a NAME, of which the schema is written")
    rows = [(entry.name, entry.what, entry.command or None) for entry in ENTRIES]
    show_table(pd.DataFrame(rows, columns=["name", "what", "command"]), None)
