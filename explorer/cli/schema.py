"""The command that prints JSON Schemas."""

from __future__ import annotations

import json
from typing import Annotated

import pandas as pd
import typer

from explorer.cli.output import show_table
from explorer.schemas import ENTRIES
from explorer.schemas import schema as schema_of


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Of which document or output; without, all are listed.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a document or of a command's JSON output."""
    if name is not None:
        typer.echo(json.dumps(schema_of(name), indent=2, ensure_ascii=False))
        return
    rows = [(entry.name, entry.what, entry.command or None) for entry in ENTRIES]
    show_table(pd.DataFrame(rows, columns=["name", "what", "command"]), None)
