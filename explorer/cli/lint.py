"""The command that looks for what keeps a program from running everywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from explorer.cli.common import say
from explorer.cli.programs import FolderArgument, FolderConfigOption, JsonOption
from isa.codec import Table
from isa.config import Config
from isa.folder import read
from isa.listing import format_instruction
from isa.words import counted
from simulator.lint import MAX_DISTANCE, PORTABLE, RULES, Finding, check_options, lint

SHOWN = 20  # findings of one rule; --json prints all


def lint_program(
    path: FolderArgument,
    config: FolderConfigOption = None,
    target: Annotated[
        str,
        typer.Option(
            help="portable: what every VTA needs. hls: also what HLS needs of the configuration. "
            "chisel: also what its default Chisel build needs."
        ),
    ] = PORTABLE,
    safe_distance: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_DISTANCE,
            metavar="N",
            help="Accumulators must not be used again before the N-th micro-op after the one that "
            "writes them; 1 allows the next one. HLS promises nothing for close ones.",
        ),
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Check a program for races, deadlocks, and what is not portable."""
    check_options(target, safe_distance)
    folder = read(path, Config.load(config) if config else None)
    table = folder.stored
    found = lint(folder.program, folder.inputs, target=target, safe_distance=safe_distance)
    if as_json:
        records = [asdict(f) | {"listing": format_instruction(table[f.instruction])} for f in found]
        typer.echo(json.dumps({"instructions": len(table), "findings": records}, indent=2))
    else:
        say("\n".join(_lines(table, found)))
    if found:
        raise typer.Exit(1)


def _lines(table: Table, found: Sequence[Finding]) -> Iterator[str]:
    if not found:
        kept = counted(len(table), "instruction keeps", "instructions keep")
        yield f"no findings: {kept} all {len(RULES)} rules"
        return
    seen: Counter[str] = Counter()
    for finding in found:
        seen[finding.rule] += 1
        if seen[finding.rule] > SHOWN:
            continue
        yield f"{finding.instruction:6d}  {format_instruction(table[finding.instruction])}"
        yield f"        {finding.rule}: {finding.why}"
        if finding.other is not None:
            yield f"        with {finding.other}: {format_instruction(table[finding.other])}"
    for rule, count in sorted(seen.items()):
        more = f", of which {SHOWN} are shown; all with --json" if count > SHOWN else ""
        yield f"{rule}: {counted(count, 'finding')}{more}; the rule: {RULES[rule]}"
