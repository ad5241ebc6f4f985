"""The command that tells what rejects an embedding."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from explorer.cli.common import say
from explorer.cli.embeddings import ConfigOption, OperatorArgument
from explorer.cli.programs import JsonOption
from explorer.embedding.facts import parse_classes
from explorer.embedding.several import why_joint
from explorer.operators import resolve
from explorer.ranking.explore import gemm_intrinsic
from isa.config import Config


def why(
    operator: OperatorArgument,
    embedding: Annotated[str, typer.Argument(metavar="ID", help="An embedding's id.")],
    config: ConfigOption = "default",
    classes: Annotated[
        str, typer.Option("--classes", metavar="NAMES", help="Classes that are allowed, or: all.")
    ] = "all",
    as_json: JsonOption = False,
) -> None:
    """Tell whether an embedding is legal, and if not, why.

    The exit status is 1 if it is not.
    """
    intrinsic = gemm_intrinsic(Config.load(config))
    terms = [term.computation for term in resolve(operator).terms]
    found = why_joint(terms, intrinsic, embedding, parse_classes(classes))
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"legal": found.legal}, indent=2))
    else:
        say("\n".join(found.lines()))
    if not found.legal:
        raise typer.Exit(1)
