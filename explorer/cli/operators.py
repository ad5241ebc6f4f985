"""The command that lists the operators that ship."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import pandas as pd
import typer

from explorer.cli.output import print_table
from explorer.operators import catalogue


def operators(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="SUITE",
            help="Which to list: resnet18, deepbench, deepbench:conv/server …",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """List the operators that ship: dimensions, multiply-adds, and elements of each tensor."""
    entries = [asdict(entry) for entry in catalogue(suite)]
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(entry))
    else:
        print_table(pd.DataFrame(entries), title=f"{len(entries)} operators")
