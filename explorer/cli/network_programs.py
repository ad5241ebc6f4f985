"""Commands about a planned network's programs: emit, run, verify."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from explorer.cli.common import note, say, wants_json
from explorer.cli.embeddings import (
    TRACE,
    ConfigOption,
    InterleavingOption,
    NodeClassesOption,
    SeedOption,
    TraceOption,
)
from explorer.cli.interrupts import partial
from explorer.cli.network import Concat, ConcatOption, ModelArgument, ShapeOption, shapes
from explorer.cli.network_options import (
    PREFERRED,
    Asked,
    CandidatesOption,
    EffortOption,
    HostBytesOption,
    HostCallsOption,
    PinOption,
    PreferOption,
    RequireOption,
    RulesOption,
    StoreOption,
    TransitionsOption,
    Work,
    named_classes,
)
from explorer.cli.output import (
    JobsOption,
    OutputOption,
    check_file,
    check_folder,
    progress,
    show_table,
    table_of,
    write_file,
)
from explorer.deployment.compilation import Compiled, chosen, compiled_plan, emitted, is_one_by_one
from explorer.deployment.host_work import total
from explorer.deployment.image import Deployment
from explorer.deployment.pricing import simulated
from explorer.deployment.reading import read
from explorer.deployment.running import ALLOWED
from explorer.deployment.running import run as run_folder
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import Verification, executions
from explorer.deployment.verification import verify as verify_network
from explorer.network.graph import Network
from explorer.network.plan.network_plan import CANDIDATES
from explorer.network.plan.planning import check_rules
from explorer.network.plan.transitions import Host, executable, priced
from explorer.network.plan.wishes import Wishes, parse_limits, parse_metrics
from explorer.program import npy
from explorer.program.emission import check_target, write_folder
from explorer.report import network_trace
from isa.config import Config
from isa.errors import InputError
from isa.files import parsing
from isa.words import counted
from simulator.implementations import Implementation
from simulator.interleaving import Interleaving
from simulator.lint import PORTABLE

Array = NDArray[Any]

TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        help="portable: consecutive nodes are one instruction stream. hls: one program a node, "
        "since HLS's modules have memory ports of their own.",
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="FILES",
        help="The inputs: .npy files separated by commas, in their order, or as NAME=FILE.",
    ),
]


def _compiled(found: Subject, asked: Asked) -> Compiled:
    """The programs of the best plan.

    Raises:
        InputError: a pin names nothing that there is, a rule cannot be used, or pins and limits
            conflict.
    """
    asked.check(found.network)
    planned = asked.planned(found.network)
    with progress("simulating plans") as advance:
        planned = simulated(planned, free=not asked.rules, on_progress=advance)
    count = len(chosen(planned))
    asked.note_unproven(planned)
    with progress(f"programs of {counted(count, 'node')}", count) as advance:
        return compiled_plan(found, planned, on_progress=advance)


def verify(
    network: ModelArgument,
    config: ConfigOption = "default",
    data: DataOption = "",
    transitions: TransitionsOption = "repack",
    host_cycles_per_byte: HostBytesOption = "1",
    host_cycles_per_call: HostCallsOption = 0,
    pin: PinOption = None,
    require: RequireOption = None,
    prefer: PreferOption = PREFERRED,
    rules: RulesOption = None,
    count: CandidatesOption = CANDIDATES,
    effort: EffortOption = None,
    classes: NodeClassesOption = None,
    target: TargetOption = PORTABLE,
    schedule: InterleavingOption = "program",
    seed: SeedOption = 0,
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
    jobs: JobsOption = None,
    store: StoreOption = None,
    output: OutputOption = None,
) -> None:
    """Execute a planned network and compare every tensor with the integer reference.

    The exit status is 1 if an element differs, or an output of an exact model from ONNX Runtime's.
    """
    apart, interleaving = is_one_by_one(target), Interleaving.parse(schedule)
    asked = Asked(
        Config.load(config),
        executable(transitions),
        priced(host_cycles_per_byte, host_cycles_per_call),
        Wishes(parse_metrics(prefer, "--prefer"), parse_limits(require or [])),
        Work(count, effort, named_classes(classes), jobs, store),
        pin or (),
        rules or (),
    )
    check_rules(asked.rules)
    found = subject(network, concat.value, shapes(shape), seed)
    given = _given(found.network, data, found.inputs())
    compiled = _compiled(found, asked)
    compared: list[int] = []

    def interrupted() -> None:
        done = f"{len(compared)} of {executions(compiled.config) - 1} executions compared"
        wrong = "nothing is known"
        if compared:
            wrong = f"{counted(compared[-1], 'element differs', 'elements differ')} so far"
        typer.echo(f"explorer: interrupted: partial, {done}, {wrong}", err=True)

    with partial(interrupted), progress("executing", executions(compiled.config)) as advance:
        result = verify_network(
            found, compiled, given, one_by_one=apart, interleaving=interleaving,
            on_progress=advance, on_compared=compared.append,
        )  # fmt: skip
    table = table_of(asdict(row) for row in result.rows)
    # What tells whether all is right stands in front, as there is not always room for the rest.
    verdicts = ["tensor", "runs", "wrong", *([] if found.drawn else ["difference"])]
    names = [*verdicts, "compared", "elements", "executions", "node"]
    show_table(table, output, table[names], keep=len(verdicts))
    for line in _verdict(found, result, asked.host):
        note(line, aside=output is not None)
    if not result.right:
        raise typer.Exit(1)


def _verdict(found: Subject, result: Verification, host: Host) -> list[str]:
    wrong = sum(row.wrong for row in result.rows)
    names = ", ".join(result.implementations)
    lines = [
        f"{counted(len(result.rows), 'tensor')}, as {names}: "
        + (counted(wrong, "element differs", "elements differ") if wrong else "equal in every bit")
    ]
    outputs = [row for row in result.rows if row.difference is not None]
    if outputs:
        worst = max(row.difference or 0.0 for row in outputs)
        verdict = "equal in every bit" if not worst else f"up to {worst:g} apart"
        kind = "" if result.exact else ", of a model that is not exact"
        lines.append(f"{counted(len(outputs), 'output')} beside ONNX Runtime's{kind}: {verdict}")
    if found.drawn:
        drawn = "constants" if found.imported else "constants, and what host nodes write,"
        lines.append(f"{drawn} are random (seed {found.seed}): the model does not have them")
    return [*lines, *_summary(result.deployment, host)]


def _summary(deployment: Deployment, host: Host) -> list[str]:
    segments = deployment.segments
    nodes = sum(len(s.nodes) for s in segments)
    cycles, alone = (sum(getattr(s, name) for s in segments) for name in ("cycles", "alone"))
    inexact = sum(bool(node.inexact) for node in deployment.network.accelerated)
    told = f"{counted(inexact, 'node is', 'nodes are')} not exact"
    told += " and computed with the nearest powers of two"
    work = total(deployment, host)
    known = {node.name for node in deployment.network.nodes}
    copies = sum(name not in known for s in segments for name in s.nodes)
    which = f" ({counted(copies, 'copy', 'copies')} among them)" if copies else ""
    return [
        f"{counted(nodes, 'program')}{which} in {counted(len(segments), 'segment')}: "
        f"{counted(cycles, 'cycle')}, one by one {alone:,}",
        f"the host moves {counted(work.bytes, 'byte')} in "
        f"{counted(work.copies, 'copy', 'copies')}: "
        f"{counted(work.cycles, 'cycle')}",
        f"memory: {deployment.size:,} bytes; tensors share {deployment.peak:,} of them, and no "
        f"arrangement needs fewer than {deployment.bound:,}",
        *([told] if inexact else []),
    ]


def emit(
    network: ModelArgument,
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
    transitions: TransitionsOption = "repack",
    host_cycles_per_byte: HostBytesOption = "1",
    host_cycles_per_call: HostCallsOption = 0,
    pin: PinOption = None,
    require: RequireOption = None,
    prefer: PreferOption = PREFERRED,
    rules: RulesOption = None,
    count: CandidatesOption = CANDIDATES,
    effort: EffortOption = None,
    classes: NodeClassesOption = None,
    target: TargetOption = PORTABLE,
    seed: SeedOption = 0,
    shape: ShapeOption = None,
    concat: ConcatOption = Concat.TERMS,
    jobs: JobsOption = None,
    store: StoreOption = None,
) -> None:
    """Write a planned network: segments, constants, and what the host has to do."""
    apart = is_one_by_one(target)
    asked = Asked(
        Config.load(config),
        executable(transitions),
        priced(host_cycles_per_byte, host_cycles_per_call),
        Wishes(parse_metrics(prefer, "--prefer"), parse_limits(require or [])),
        Work(count, effort, named_classes(classes), jobs, store),
        pin or (),
        rules or (),
    )
    check_rules(asked.rules)
    check_target(out)
    found = subject(network, concat.value, shapes(shape), seed)
    compiled = _compiled(found, asked)
    with progress("segments and memory"):
        deployment, files = emitted(found, compiled, Path(network).name, one_by_one=apart)
        write_folder(out, files)
    total = sum(map(len, files.values()))
    if wants_json():
        record = {
            "folder": str(out),
            "files": len(files),
            "bytes": total,
            "segments": len(deployment.segments),
            "programs": sum(len(s.nodes) for s in deployment.segments),
            "cycles": sum(s.cycles for s in deployment.segments),
            "memory": deployment.size,
            "peak": deployment.peak,
            "bound": deployment.bound,
        }
        typer.echo(json.dumps(record))
        return
    say(f"{out}: {counted(len(files), 'file')}, {counted(total, 'byte')}")
    for line in _summary(deployment, asked.host):
        say(line)


def run(
    path: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that network emit has written.")
    ],
    data: DataOption = "",
    out: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="FILES",
            help="Write the outputs: .npy files separated by commas, in their order, or as "
            "NAME=FILE.",
        ),
    ] = "",
    implementation: Annotated[
        str,
        typer.Option(
            "--as", metavar="NAME", help=f"One implementation of VTA: {', '.join(Implementation)}."
        ),
    ] = "fsim",
    schedule: InterleavingOption = "program",
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Print what happens when, step by step.")
    ] = False,
    trace: TraceOption = None,
    host_cycles_per_byte: HostBytesOption = "1",
    host_cycles_per_call: HostCallsOption = 0,
) -> None:
    """Run a network that was emitted, on data of yours.

    Segments run on the functional simulator, the host in between.

    Print its outputs, or with --timeline its steps.
    """
    machine, interleaving = Implementation.parse(implementation), Interleaving.parse(schedule)
    host = priced(host_cycles_per_byte, host_cycles_per_call)
    deployment = read(path)
    network = deployment.network
    files = _files("--out", out, network.outputs)
    for file in files.values():
        check_file(file, "--out", (".npy",))
    given = _given(network, data, {})
    if timeline or trace:
        with parsing(str(path), ALLOWED):
            rows = network_trace.rows(deployment, host)
    with progress("running"):
        found = run_folder(
            path, deployment, given, implementation=machine, interleaving=interleaving
        )
    for name, file in files.items():
        buffer = BytesIO()
        np.save(buffer, found[name])
        write_file(file, buffer.getvalue())
    if trace is not None:
        write_file(trace, network_trace.trace(deployment, host), TRACE)
    if timeline:
        show_table(table_of(asdict(row) for row in rows), None)
    else:
        show_table(table_of(_described(n, found[n]) for n in network.outputs), None)
    if not wants_json():
        say("\n".join(_summary(deployment, host)))


def _described(name: str, array: Array) -> dict[str, object]:
    numbers = array.astype(np.float64)
    return {
        "output": name,
        "dtype": array.dtype.name,
        "shape": "x".join(map(str, array.shape)),
        "least": float(numbers.min(initial=np.inf)) if array.size else None,
        "greatest": float(numbers.max(initial=-np.inf)) if array.size else None,
    }


def _files(option: str, text: str, names: tuple[str, ...]) -> dict[str, Path]:
    """Files by what they are for.

    Raises:
        InputError: there are too many, or a name stands twice or is unknown.
    """
    found: dict[str, Path] = {}
    for place, part in enumerate(filter(None, text.split(","))):
        name, equals, file = part.rpartition("=")
        known = name if equals else next(iter(names[place : place + 1]), None)
        if known not in names or known is None:
            allowed = f"{counted(len(names), 'file')}, of {', '.join(names)}, or NAME=FILE"
            raise InputError(option, "", part, allowed)
        if known in found:
            raise InputError(option, known, file, "is given twice")
        found[known] = Path(file)
    return found


def _given(network: Network, text: str, otherwise: Mapping[str, Array]) -> dict[str, Array]:
    """The network's inputs from files, or other ones where there are none.

    Raises:
        InputError: a file holds no array of the right type and shape, or an input is missing.
    """
    found: dict[str, Array] = {}
    files = _files("--data", text, network.inputs)
    for name in network.inputs:
        tensor = network.by_name[name]
        if name in files and tensor.shape is not None:
            dtype = np.dtype(tensor.dtype)
            found[name] = npy.load(files[name], dtype, tensor.shape, name)
        elif name in otherwise:
            found[name] = otherwise[name]
        else:
            allowed = f"a file of {tensor.dtype}, {tensor.shape}, is needed"
            if tensor.shape is None:
                allowed = "the model leaves its shape open: emit it with --shape"
            raise InputError("--data", name, None, allowed)
    return found
