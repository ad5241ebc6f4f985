"""Commands about programs: emit one, read one, run one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.embeddings import (
    ConfigOption,
    DistanceOption,
    InterleavingOption,
    OperatorArgument,
    SeedOption,
    TargetOption,
    restricted,
)
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.program import memory
from explorer.program.emission import check_target, load_data, write_folder
from explorer.program.emission import emit as emit_files
from isa.config import Config
from isa.errors import InputError
from isa.folder import FILES, Folder, read, stored_instructions
from isa.folder.manifest import FORMATS, Format
from isa.listing import listing, records
from simulator.errors import SimulationError
from simulator.folder_run import Execution, Run
from simulator.folder_run import run as run_folder
from simulator.implementations import Implementation
from simulator.interleaving import Interleaving
from simulator.lint import TARGETS

FolderArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="A folder of a program, emitted or of the stand-alone simulator."
    ),
]
FolderConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="What it is encoded for: a vta_config.json, or a preset's name. By default what the "
        "folder's manifest says, or VTA's default configuration.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def emit(
    operator: OperatorArgument,
    embedding: Annotated[
        str, typer.Argument(metavar="ID", help="An embedding's id, or: reference.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.")],
    config: ConfigOption = "default",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="raw: base-relative, with a relocation table. standalone-vta: what VTA's "
            "stand-alone functional simulator reads.",
        ),
    ] = "raw",
    seed: SeedOption = 0,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="FILES",
            help="Tensors instead of random ones: .npy files separated by commas, in the order "
            "in0, in1, bias, or as NAME=FILE.",
        ),
    ] = "",
    target: TargetOption = TARGETS[0],
    safe_distance: DistanceOption = 1,
) -> None:
    """Write a program with its tensors and the expected output."""
    chosen, (op, machine) = _format(form), (resolve(operator), Config.load(config))
    restrictions = Restrictions.of(target, safe_distance, machine)
    check_target(out)
    memory.check(op)
    given = load_data(op, data)
    evaluation, cost = restricted(op, machine, embedding, restrictions)
    files = emit_files(evaluation.code, chosen, given=given, seed=seed)
    write_folder(out, files)
    total = sum(map(len, files.values()))
    typer.echo(
        f"{out}: {len(files)} files, {total:,} bytes; {len(evaluation.code.table)} instructions"
    )
    if cost:
        typer.echo(cost)


def _format(text: str) -> Format:
    for form in FORMATS:
        if text == form:
            return form
    raise InputError("--format", "", text, f"one of {', '.join(FORMATS)}")


def disasm(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A file of instructions, or a folder of a program."),
    ],
    config: FolderConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the instructions of a program."""
    machine, table, uops = stored_instructions(path, Config.load(config) if config else None)
    if not as_json:
        typer.echo(listing(table, uops))
        return
    lines = [json.dumps(record) for record in records(machine, table)]
    typer.echo("[\n" + ",\n".join(lines) + "\n]")


def run(
    path: FolderArgument,
    config: FolderConfigOption = None,
    schedule: InterleavingOption = "program",
    implementation: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help=f"Execute as one implementation of VTA: {', '.join(Implementation)}. Without, as "
            "each that the configuration admits.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Execute and time the program in a folder."""
    interleaving = Interleaving.parse(schedule)
    chosen = None if implementation is None else Implementation.parse(implementation)
    folder = read(path, Config.load(config) if config else None)
    try:
        result = run_folder(folder, interleaving, chosen)
    except SimulationError as error:
        record = {
            "verdict": "fails",
            "instruction": error.instruction,
            "reason": error.reason,
            "rule": error.rule,
        }
        typer.echo(json.dumps(record, indent=2) if as_json else f"fails: {error}{_rule(error)}")
        raise typer.Exit(1) from None
    typer.echo(
        json.dumps(result.record(), indent=2) if as_json else "\n".join(_lines(folder, result))
    )
    if result.best.wrong:
        raise typer.Exit(1)


def _lines(folder: Folder, result: Run) -> Iterator[str]:
    timing, roof, objection = result.timing, result.roofline, result.objection
    yield f"output       {result.verdict}{_comparison(result.best)}"
    for each in result.executions:
        name = f"as {each.implementation}"
        detail = f": {each.failure}" if each.failure else _comparison(each)
        yield f"{name:<12} {each.verdict}{detail}"
    verdict = "yes" if objection is None else f"no: {objection}{_rule(objection)}"
    yield f"portable     {verdict}"
    yield f"machine      {folder.program.config.bitstream}"
    yield f"cycles       {timing.cycles:,}, {timing.instructions:,} instructions"
    for name in ("load", "compute", "store"):
        part = getattr(timing, name)
        yield (
            f"{name:<12} busy {part.busy:,}, waiting for a token {part.waiting_for_token:,}, "
            f"for the bus {part.waiting_for_bus:,}, idle {part.idle:,}"
        )
    moved = ", ".join(f"{name} {count:,}" for name, count in timing.bytes.items())
    yield f"DRAM bytes   {moved}"
    yield (
        f"roofline     {roof.achieved:.4g} of {roof.attainable:.4g} multiply-accumulates a cycle, "
        f"{roof.limit} bound at {roof.intensity:.4g} a byte"
    )


def _rule(error: SimulationError) -> str:
    return f" (rule {error.rule})" if error.rule else ""


def _comparison(execution: Execution) -> str:
    unknown = f"; {execution.undefined:,} are undefined" if execution.undefined else ""
    compared, wrong = execution.compared, execution.wrong
    if not compared:
        return f": {FILES['OUT']} and expected_out.bin give no bytes{unknown}"
    if wrong:
        return f": {wrong:,} of {compared:,} bytes, the first at {execution.first_wrong}{unknown}"
    return f", all {compared:,} bytes{unknown}"
