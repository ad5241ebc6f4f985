"""Commands about the best programs of one operator's embeddings: show, verify."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from explorer.cli.common import note, say, wants_json, width
from explorer.cli.interrupts import partial, whole
from explorer.cli.output import (
    STANDARD,
    OutputOption,
    check_file,
    progress,
    show_table,
    table_of,
    write_file,
)
from explorer.embedding.digits import Embedding
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, parse_classes
from explorer.embedding.several import AnyEmbedding, find_any, term_by_term
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.program import verification
from explorer.ranking import explore
from explorer.report.describe import describe_embedding, describe_evaluation, record
from explorer.report.lanes import pictures
from explorer.report.timeline import SUFFIXES
from explorer.report.timeline import image as timeline_image
from explorer.report.timeline import lines as draw_timeline
from explorer.report.trace import trace as make_trace
from isa import intrinsics
from isa.codec import Table
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError
from isa.words import counted
from simulator.implementations import admitted
from simulator.interleaving import POLICIES, Interleaving
from simulator.lint import CHISEL_UOPS, MAX_DISTANCE, PORTABLE
from simulator.timing import Span, spans

if TYPE_CHECKING:
    import pandas as pd

OperatorArgument = Annotated[
    str,
    typer.Argument(
        metavar="OPERATOR",
        help="A workload (deepbench:conv/server/…), an inline operator (gemm:m=4,n=4,k=4) or a "
        "YAML file.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    str, typer.Option("--config", metavar="FILE", help="A vta_config.json, or a preset's name.")
]


USUAL_CLASSES = ",".join(DEFAULT_CLASSES)
ClassesOption = Annotated[
    str,
    typer.Option(
        "--classes",
        metavar="NAMES",
        help="Classes of embeddings besides plain tiles: " + ", ".join(CLASSES) + "; or all.",
    ),
]
ComparedClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="NAMES",
        help=f"Classes of embeddings besides plain tiles: {', '.join(CLASSES)}; or all. By default "
        f"all where fewest steps come first, as with the profile latency, else {USUAL_CLASSES}: "
        "layouts of all classes take minutes to compare where those with more steps count, too. "
        "The result names the classes that were left out.",
    ),
]
"""Of commands that search layouts, too."""
NodeClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="NAMES",
        help=f"Classes of embeddings besides plain tiles: {', '.join(CLASSES)}; or all. By default "
        f"{USUAL_CLASSES}, and diagonal for operators such as depthwise convolutions.",
        show_default=False,
    ),
]
"""Of commands about networks."""
TilesOption = Annotated[
    bool,
    typer.Option(
        "--all-tiles",
        help="Every tile extent, and axes that could take more: not only the embeddings that "
        "fill their axes as far as they can.",
    ),
]
VERDICT = (
    "embedding", "verdict", "outputs", "wrong", "cycles", "accumulators", "wrong_accumulators",
)  # fmt: skip
"""The columns of `verify` as they are printed: the first four in any case."""
KEPT = 4
VTA = "vta_gemm"
TRACE = "--trace"
REFERENCE = "reference"
"""The id that means TVM's embedding in TVM's layouts, wherever an id can be given."""
InstructionOption = Annotated[
    str,
    typer.Option(
        "--intrinsic",
        metavar="NAME",
        help="The instruction: a shipped one, with or without its vendor, or a YAML file.",
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the random tensors.")
]
InterleavingOption = Annotated[
    str,
    typer.Option(
        "--schedule",
        metavar="ORDER",
        help=f"The order in which the three queues execute: {', '.join(POLICIES)}.",
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        help=f"{PORTABLE}: every VTA. hls: also what HLS needs of the configuration. "
        f"chisel: also its default Chisel build, which holds {CHISEL_UOPS} micro-ops.",
    ),
]
DistanceOption = Annotated[
    int,
    typer.Option(
        "--safe-distance",
        min=1,
        max=MAX_DISTANCE,
        metavar="N",
        help="Use an accumulator again no sooner than the N-th micro-op after the one that wrote "
        "it, as HLS may need; 1 allows the next one.",
    ),
]


def _check_trace(path: Path | None) -> Path | None:
    """The path as given, once it is known that a trace can be written there."""
    if path is not None:
        check_file(path, TRACE, (".json",))
    return path


TraceOption = Annotated[
    Path | None,
    typer.Option(
        TRACE,
        callback=_check_trace,
        metavar="FILE",
        help="Write what each instruction does when to FILE (.json), in the Trace Event format "
        "that Perfetto opens.",
    ),
]
EVERY_CLASS = "all"
"""What a command takes, if it can: a class that is left out may hold the best."""


def note_classes(classes: Sequence[str]) -> None:
    """Say on standard error which classes a table has nothing of."""
    left_out = [name for name in CLASSES if name not in classes]
    if left_out:
        note(f"Classes left out (--classes all has them): {', '.join(left_out)}.", aside=True)


def embeddings_of(
    op: Operator, machine: Config, classes: str, all_tiles: bool
) -> list[AnyEmbedding]:
    """The embeddings that the options `ClassesOption` and `TilesOption` ask for.

    Raises:
        InputError: there is no such class, or no embedding.
    """
    return explore.embeddings(
        op, machine, parse_classes(classes), all_tiles=all_tiles, maximal=not all_tiles
    )


def restricted(
    op: Operator, machine: Config, text: str, restrictions: Restrictions
) -> tuple[explore.Evaluation, str]:
    """The best restricted program of an embedding's id, and what the restrictions cost, in words.

    Raises:
        InputError: the id is none, or no program fits.
    """
    found, fixed = explore.find(op, machine, text), text == REFERENCE
    plain = explore.evaluate(op, machine, found, fixed_layout=fixed)
    if restrictions == explore.UNRESTRICTED:
        return plain, ""
    evaluation = explore.evaluate(op, machine, found, fixed_layout=fixed, restrictions=restrictions)
    if plain.scheduled is None or evaluation.scheduled is None:
        raise InputError(op.name, "", text, "no schedule fits the scratchpads and restrictions")
    ours, free = evaluation.scheduled.cycles, plain.scheduled.cycles
    return (
        evaluation,
        f"{ours:,} cycles under the restrictions, {free:,} without ({ours / free - 1:+.2%})",
    )


def show(
    operator: OperatorArgument,
    embedding: Annotated[
        str, typer.Argument(metavar="ID", help="An embedding's id, or: reference.")
    ],
    config: ConfigOption = "default",
    instruction: InstructionOption = VTA,
    step: Annotated[int, typer.Option(min=0, help="The step whose lanes are drawn.")] = 0,
    lanes: Annotated[bool, typer.Option("--lanes", help="Only the lanes of that step.")] = False,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Only what VTA's three modules do over time.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help=f"Write the timeline as a figure to FILE ({', '.join(SUFFIXES)}).",
        ),
    ] = None,
    trace: TraceOption = None,
    target: TargetOption = PORTABLE,
    safe_distance: DistanceOption = 1,
) -> None:
    """Show one embedding and what follows from it."""
    op, machine = resolve(operator), Config.load(config)
    restrictions = Restrictions.of(target, safe_distance, machine)
    if output == STANDARD:
        raise InputError("--out", "", "-", "a figure goes to a file; --timeline prints the same")
    if output:
        check_file(output, "--out", SUFFIXES)
    if timeline or output or trace:
        if instruction != VTA:
            raise InputError("--intrinsic", "", instruction, f"only {VTA} has a timing model")
        evaluation, _ = restricted(op, machine, embedding, restrictions)
        _show_timeline(evaluation, timeline, output, trace)
        return
    if lanes:
        intrinsic = intrinsics.load(instruction, machine.axes)
        chosen = find_any([term.computation for term in op.terms], intrinsic, embedding)
        named, text = chosen.id, "\n".join(_pictures(term_by_term(chosen, op), intrinsic, step))
    elif instruction == VTA:
        evaluation, cost = restricted(op, machine, embedding, restrictions)
        if wants_json():
            typer.echo(json.dumps(record(evaluation), indent=2))
            return
        text = describe_evaluation(evaluation, step)
        text += f"\n\nRestrictions\n  {cost}" if cost else ""
    else:
        intrinsic = intrinsics.load(instruction, machine.axes)
        chosen = find_any([term.computation for term in op.terms], intrinsic, embedding)
        each = term_by_term(chosen, op)
        named = chosen.id
        texts = [describe_embedding(*pair, intrinsic, step) for pair in each]
        heads = [f"Term {n}: " if len(each) > 1 else "" for n, _ in enumerate(each, start=1)]
        text = "\n\n".join(map(str.__add__, heads, texts))
    if wants_json():
        typer.echo(json.dumps({"embedding": named, "text": text.splitlines()}, indent=2))
        return
    say(text)


def _pictures(
    each: Sequence[tuple[Embedding, Computation]], intrinsic: Computation, step: int
) -> Iterator[str]:
    """The lanes of a step of each term; several stand under headings."""
    drawn = zip(each, pictures(each, intrinsic, step), strict=True)
    for number, ((embedding, _), lines) in enumerate(drawn, start=1):
        if len(each) > 1:
            yield f"term {number}, {embedding.id}"
        yield from lines


def _show_timeline(
    evaluation: explore.Evaluation, shown: bool, output: Path | None, trace: Path | None
) -> None:
    """Draw the timeline in the terminal unless a file is asked for instead, and write the files."""
    design, table = evaluation.design, evaluation.code.table
    title = f"{evaluation.embedding.id} of {design.operator.name}"
    times = spans(design.config, table)
    cycles = int(times[:, Span.END].max())
    said: dict[str, object] = {"embedding": evaluation.embedding.id, "cycles": cycles}
    if output is not None:
        write_file(output, timeline_image(times, title, output))
        said["file"] = str(output)
    elif wants_json() and shown:
        said["timeline"] = [str(line) for line in draw_timeline(times, width())]
    elif shown or trace is None:
        console = Console()
        for line in draw_timeline(times, console.width):
            console.print(line, no_wrap=True, overflow="crop")
    if wants_json():
        typer.echo(json.dumps(said, indent=2))
    elif output is not None:
        say(f"{output}: {cycles:,} cycles")
    if trace is not None:
        write_trace(trace, design.config, table, title, aside=wants_json())


def write_trace(path: Path, config: Config, table: Table, title: str, *, aside: bool) -> None:
    """Write a program's trace to the file of ``--trace``, and say so, or say so on standard error.

    Raises:
        InputError: it cannot be written.
    """
    write_file(path, make_trace(config, table, title), TRACE)
    say(f"{path}: {counted(len(table), 'instruction')}", err=aside)


def verify(
    operator: OperatorArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Embeddings' ids.")
    ] = None,
    config: ConfigOption = "default",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Verify so many embeddings, drawn at random.")
    ] = None,
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    seed: SeedOption = 0,
    schedule: InterleavingOption = "program",
    target: TargetOption = PORTABLE,
    safe_distance: DistanceOption = 1,
    output: OutputOption = None,
) -> None:
    """Execute embeddings and check the results."""
    op, machine = resolve(operator), Config.load(config)
    restrictions = Restrictions.of(target, safe_distance, machine)
    interleaving = Interleaving.parse(schedule)
    if ids and sample:
        raise InputError("--sample", "", sample, "give ids or a sample size, not both")
    if ids:
        chosen = [(text, explore.find(op, machine, text)) for text in ids]
    else:
        found = embeddings_of(op, machine, classes, all_tiles)
        if sample is not None and sample < len(found):
            found = sorted(random.Random(seed).sample(found, sample), key=lambda e: e.id)
        chosen = [(item.id, item) for item in found]
    data = verification.random_data(op, seed)
    rows: list[dict[str, object]] = []

    def interrupted() -> None:
        if rows:
            _show_verdicts(table_of(rows), output)
        done = f"{len(rows)} of {counted(len(chosen), 'embedding')} verified"
        typer.echo(f"explorer: interrupted: partial, {done}", err=True)

    verifying = progress(f"verifying {counted(len(chosen), 'embedding')}", len(chosen))
    with partial(interrupted), verifying as advance:
        for text, item in chosen:
            evaluation = explore.evaluate(
                op, machine, item, fixed_layout=text == REFERENCE, restrictions=restrictions
            )
            rows.append(_verified(evaluation, data, interleaving))
            advance(1)
    frame = table_of(rows)
    with whole():
        _show_verdicts(frame, output)
        beside = wants_json()  # then the document is all that is printed
        say(f"executed as {', '.join(admitted(machine))}", err=beside)
        say(_distance_note(safe_distance), err=beside)
    if (frame["verdict"] == "differs").any():
        raise typer.Exit(1)


def _show_verdicts(frame: pd.DataFrame, output: Path | None) -> None:
    printed = frame[[name for name in VERDICT if name in frame]]
    show_table(frame, output, printed, keep=KEPT)


def _distance_note(safe_distance: int) -> str:
    """What the execution as HLS takes for granted."""
    kept = (
        f"programs keep {safe_distance} micro-ops between uses of an accumulator"
        if safe_distance > 1
        else "see --safe-distance"
    )
    return f"hls executes micro-ops in sequence here; its pipeline may need a distance: {kept}"


def _verified(
    evaluation: explore.Evaluation, data: verification.Data, interleaving: Interleaving
) -> dict[str, object]:
    name = evaluation.embedding.id
    if evaluation.scheduled is None:
        return {"embedding": name, "verdict": "does not fit", "outputs": 0, "wrong": 0}
    verdict = verification.verify(evaluation.code, data, interleaving=interleaving)
    return {
        "embedding": name,
        "verdict": "exact" if verdict.exact else "differs",
        "outputs": verdict.outputs,
        "wrong": verdict.wrong,
        "accumulators": verdict.accumulators,
        "wrong_accumulators": verdict.wrong_accumulators,
        "cycles": evaluation.scheduled.cycles,
    }
