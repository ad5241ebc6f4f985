"""Commands about programs: emit one, read one, run one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from explorer.baselines.asked_tiling import BEST, parse_tiling
from explorer.baselines.template import PackedLayer
from explorer.baselines.template_program import TvmCode
from explorer.baselines.template_program import lower as lower_template
from explorer.cli.common import say, wants_json
from explorer.cli.embeddings import (
    ConfigOption,
    DistanceOption,
    InterleavingOption,
    OperatorArgument,
    SeedOption,
    TargetOption,
    TraceOption,
    restricted,
    write_trace,
)
from explorer.cli.output import check_folder
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.program import memory
from explorer.program.emission import check_target, emit_program, load_data, write_folder
from explorer.program.emission import emit as emit_files
from explorer.ranking.explore import UNRESTRICTED
from explorer.schedule.dma import Infeasible
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.folder import FILES, Folder, read, stored_instructions
from isa.folder.manifest import FORMATS, Format
from isa.folder.reading import UNTOLD
from isa.listing import listing, records
from isa.words import counted
from simulator.errors import SimulationError
from simulator.folder_run import Execution, Run
from simulator.folder_run import run as run_folder
from simulator.implementations import Implementation
from simulator.interleaving import Interleaving
from simulator.lint import PORTABLE

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
TEMPLATE = "template"
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def emit(
    operator: OperatorArgument,
    embedding: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An embedding's id, or: reference, or: template, for TVM's template with its best "
            "tiling (template:tuned, template:th=7,tw=14 for another one).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="The folder to write.",
            callback=lambda path: check_folder(path, "--json prints what there is to say of it"),
        ),
    ],
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
    data_layout: Annotated[
        str,
        typer.Option(
            "--data-layout",
            metavar="LAYOUTS",
            help="How the arrays of --data are laid out where that is not as the tensors: "
            "data=NHWC,weight=HWIO. Joined groups, multipliers and heads are taken apart.",
        ),
    ] = "",
    target: TargetOption = PORTABLE,
    safe_distance: DistanceOption = 1,
) -> None:
    """Write a program with its tensors and the expected output."""
    chosen, (op, machine) = _format(form), (resolve(operator), Config.load(config))
    restrictions = Restrictions.of(target, safe_distance, machine)
    check_target(out)
    memory.check(op)
    given = load_data(op, data, data_layout)
    cost = ""
    if embedding.partition(":")[0] == TEMPLATE:
        if restrictions != UNRESTRICTED:
            raise InputError("ID", "", embedding, "TVM's template keeps to no restrictions")
        code = template_code(op, machine, embedding.partition(":")[2])
        source = {"template": asdict(code.tiling)}
        files, table = emit_program(code, chosen, source, given=given, seed=seed), code.table
    else:
        evaluation, cost = restricted(op, machine, embedding, restrictions)
        files = emit_files(evaluation.code, chosen, given=given, seed=seed)
        table = evaluation.code.table
    write_folder(out, files)
    total = sum(map(len, files.values()))
    if wants_json():
        record: dict[str, object] = {"folder": str(out), "files": len(files), "bytes": total}
        record |= {"restrictions": cost} if cost else {}
        typer.echo(json.dumps(record | {"instructions": len(table)}))
        return
    what = counted(len(table), "instruction")
    say(f"{out}: {len(files)} files, {total:,} bytes; {what}")
    if cost:
        say(cost)


def template_code(op: Operator, machine: Config, tiling: str) -> TvmCode:
    """The program of TVM's template, with its best tiling where none is given.

    Raises:
        InputError: the template does not take the operator, or the tiling does not run.
    """
    layer = PackedLayer.of(op, machine)
    chosen = parse_tiling(op, machine, layer, tiling or BEST)
    try:
        return lower_template(layer, chosen)
    except Infeasible as error:
        raise InputError("ID", "", tiling, f"TVM does not run it: {error}") from None


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
    trace: TraceOption = None,
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
        if as_json:
            typer.echo(json.dumps(record, indent=2))
        else:
            say(f"fails: {error}{_rule(error)}")
        _hint(folder, config)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(result.record(), indent=2))
    else:
        say("\n".join(_lines(folder, result)))
    if trace is not None:
        program = folder.program
        write_trace(trace, program.config, program.table, path.name, aside=as_json)
    if result.best.wrong:
        _hint(folder, config)
        raise typer.Exit(1)


def _hint(folder: Folder, config: str | None) -> None:
    """Say what may be wrong with a program that nobody said the configuration of."""
    if folder.manifest is None and config is None:
        typer.echo(f"explorer: {UNTOLD}", err=True)


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
    yield f"cycles       {timing.cycles:,}, {counted(timing.instructions, 'instruction')}"
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
    unknown = (
        f"; {counted(execution.undefined, 'is', 'are')} undefined" if execution.undefined else ""
    )
    compared, wrong = execution.compared, execution.wrong
    if not compared:
        return f": {FILES['OUT']} and expected_out.bin give no bytes{unknown}"
    if wrong:
        of_all = f"{wrong:,} of {counted(compared, 'byte')}"
        return f": {of_all}, the first at {execution.first_wrong}{unknown}"
    return f", all {counted(compared, 'byte')}{unknown}"
