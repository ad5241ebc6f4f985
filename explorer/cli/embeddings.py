"""Commands about the best programs of one operator's embeddings: rank, show, verify."""

from __future__ import annotations

import random
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

from explorer.baselines.template_search import TvmScheduled
from explorer.baselines.template_search import best as best_template
from explorer.cli.output import OutputOption, atomic_write, progress, show_table
from explorer.embedding.digits import Embedding
from explorer.embedding.explanation import find
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.program import verification
from explorer.ranking import explore
from explorer.ranking.best_first import Ranking
from explorer.ranking.best_first import rank as rank_embeddings
from explorer.report.describe import describe_embedding, describe_evaluation
from explorer.report.lanes import picture
from explorer.report.searched import explained
from explorer.report.timeline import SUFFIXES
from explorer.report.timeline import image as timeline_image
from explorer.report.timeline import lines as draw_timeline
from isa import intrinsics
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from simulator.implementations import admitted
from simulator.interleaving import POLICIES, Interleaving
from simulator.lint import CHISEL_UOPS, MAX_DISTANCE, TARGETS
from simulator.timing import Span, spans

EFFORT_FOR_ALL = 4
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


def parse_classes(text: str) -> tuple[str, ...]:
    """The classes that an option names.

    Raises:
        InputError: there is no such class.
    """
    names = tuple(CLASSES) if text == "all" else tuple(n for n in text.split(",") if n)
    for name in names:
        if name not in CLASSES:
            raise InputError("--classes", "", name, f"all, or some of {', '.join(CLASSES)}")
    return names


ClassesOption = Annotated[
    str,
    typer.Option(
        "--classes",
        metavar="NAMES",
        help="Classes of embeddings besides plain tiles: " + ", ".join(CLASSES) + "; or all.",
    ),
]
TilesOption = Annotated[
    bool,
    typer.Option(
        "--all-tiles",
        help="Every tile extent, and axes that could take more: not only the embeddings that "
        "fill their axes as far as they can.",
    ),
]
VTA = "vta_gemm"
InstructionOption = Annotated[
    str,
    typer.Option(
        "--intrinsic",
        metavar="NAME",
        help="The instruction: a shipped one, with or without its vendor, or a YAML file.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the random tensors.")]
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
        help=f"{TARGETS[0]}: every VTA. hls: also what HLS needs of the configuration. "
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
USUAL_CLASSES = ",".join(DEFAULT_CLASSES)


def _embeddings(op: Operator, machine: Config, classes: str, all_tiles: bool) -> list[Embedding]:
    return explore.embeddings(
        op, machine, parse_classes(classes), all_tiles=all_tiles, maximal=not all_tiles
    )


class Baseline(StrEnum):
    """What a speedup is over."""

    REFERENCE = "reference"
    TVM = "tvm"


def rank(
    operator: OperatorArgument,
    config: ConfigOption = "default",
    top: Annotated[int, typer.Option(min=1, help="How many to rank, with proof.")] = 10,
    everything: Annotated[
        bool, typer.Option("--all", help="Rank every embedding, each with its best program.")
    ] = False,
    classes: ClassesOption = USUAL_CLASSES,
    all_tiles: TilesOption = False,
    effort: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Programs to simulate for each layout at most; by default as many as it takes to "
            f"prove the best, and {EFFORT_FOR_ALL} with --all.",
        ),
    ] = None,
    baseline: Annotated[
        Baseline,
        typer.Option(help="What speedup is over; tvm is TVM's template with its best tiling."),
    ] = Baseline.REFERENCE,
    explain_space: Annotated[
        bool, typer.Option("--explain-space", help="Say what is searched and how large it is.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; by default one a core.")
    ] = None,
    target: TargetOption = TARGETS[0],
    safe_distance: DistanceOption = 1,
    output: OutputOption = None,
) -> None:
    """Rank the embeddings by simulated cycles."""
    op, machine = resolve(operator), Config.load(config)
    restrictions = Restrictions.of(target, safe_distance, machine)
    found = _embeddings(op, machine, classes, all_tiles)
    if explain_space:
        typer.echo(explained(op, machine, found))
        return
    template = _template(op, machine) if baseline is Baseline.TVM else None
    with progress(f"ranking {len(found)} embeddings", len(found)) as advance:
        ranking = rank_embeddings(
            op,
            machine,
            found,
            top=None if everything else top,
            effort=effort if effort or not everything else EFFORT_FOR_ALL,
            jobs=jobs,
            on_progress=advance,
            restrictions=restrictions,
        )
    if not ranking.evaluations:
        raise InputError(op.name, "", config, "no embedding has a schedule that fits the machine")
    frame = ranking.frame()
    if template is not None:
        frame["speedup"] = template.cycles / frame["cycles"]
    shown = ["rank", "embedding", "cycles", "speedup", "bound", "steps", "utilisation"]
    layouts = ["inp", "wgt", "out", "tile"]
    costs = ["unrestricted", "cost"] if ranking.unrestricted else []
    printed = frame[[*shown, *costs, *layouts]].astype({"rank": object})
    printed.loc[printed["rank"] == 0, "rank"] = "ref"
    show_table(frame, output, printed)
    typer.echo(_summary(ranking, template), err=bool(output))


def _template(op: Operator, machine: Config) -> TvmScheduled:
    found = best_template(op, machine)
    if found is None:
        raise InputError(op.name, "", machine.name, "TVM's template has no tiling that runs on it")
    return found


def _summary(ranking: Ranking, template: TvmScheduled | None) -> str:
    space = (
        f"all {ranking.total} embeddings ranked"
        if ranking.evaluated == ranking.total
        else f"{ranking.evaluated} of {ranking.total} embeddings evaluated; the bounds of the "
        "others exceed the cycles of the last one listed"
    )
    unfit = f"; {ranking.unfit} have no schedule that fits" if ranking.unfit else ""
    unproven = sum(not e.proven for e in ranking.evaluations)
    proof = (
        f"{unproven} of those listed may have a better schedule (--effort)"
        if unproven
        else "each has the best schedule of its space, proven"
    )
    base = (
        "the reference embedding (ref), which has TVM's fixed layout and the same schedule search"
        if template is None
        else f"TVM's template, which takes {template.cycles} cycles with its best tiling"
        + (", without restrictions" if ranking.unrestricted else "")
    )
    cost = (
        " Cost is what the restrictions add to the cycles of each embedding's unrestricted program."
        if ranking.unrestricted
        else ""
    )
    return f"{space}{unfit}; {proof}. Cycles are simulated; speedup is over {base}.{cost}"


def restricted(
    op: Operator, machine: Config, text: str, restrictions: Restrictions
) -> tuple[explore.Evaluation, str]:
    """The best restricted program of an embedding's id, and what the restrictions cost, in words.

    Raises:
        InputError: the id is none, or no program fits.
    """
    found, fixed = explore.find(op, machine, text), text == "reference"
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
    target: TargetOption = TARGETS[0],
    safe_distance: DistanceOption = 1,
) -> None:
    """Show one embedding and what follows from it."""
    op, machine = resolve(operator), Config.load(config)
    restrictions = Restrictions.of(target, safe_distance, machine)
    if timeline or output:
        if instruction != VTA:
            raise InputError("--intrinsic", "", instruction, f"only {VTA} has a timing model")
        evaluation, _ = restricted(op, machine, embedding, restrictions)
        _show_timeline(evaluation, output)
        return
    if lanes:
        intrinsic = intrinsics.load(instruction, machine.axes)
        found = find(op.computation, intrinsic, embedding)
        text = "\n".join(picture(found, op.computation, intrinsic, step))
    elif instruction == VTA:
        evaluation, cost = restricted(op, machine, embedding, restrictions)
        text = describe_evaluation(evaluation, step)
        text += f"\n\nRestrictions\n  {cost}" if cost else ""
    else:
        intrinsic = intrinsics.load(instruction, machine.axes)
        found = find(op.computation, intrinsic, embedding)
        text = describe_embedding(found, op.computation, intrinsic, step)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def _show_timeline(evaluation: explore.Evaluation, output: Path | None) -> None:
    if output and output.suffix not in SUFFIXES:
        allowed = f"the suffix must be one of {', '.join(SUFFIXES)}"
        raise InputError("--out", "", str(output), allowed)
    design = evaluation.design
    times = spans(design.config, evaluation.code.table)
    if output is None:
        console = Console()
        for line in draw_timeline(times, console.width):
            console.print(line, no_wrap=True, overflow="crop")
        return
    title = f"{evaluation.embedding.id} of {design.operator.name}"
    try:
        atomic_write(output, timeline_image(times, title, output))
    except OSError as error:
        raise InputError("--out", "", str(output), f"cannot write it: {error.strerror}") from None
    typer.echo(f"{output}: {int(times[:, Span.END].max()):,} cycles")


def verify(
    operator: OperatorArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Embeddings' ids.")
    ] = None,
    config: ConfigOption = "default",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Verify so many embeddings, drawn at random.")
    ] = None,
    classes: ClassesOption = USUAL_CLASSES,
    all_tiles: TilesOption = False,
    seed: SeedOption = 0,
    schedule: InterleavingOption = "program",
    target: TargetOption = TARGETS[0],
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
        chosen = [explore.find(op, machine, text) for text in ids]
    else:
        chosen = _embeddings(op, machine, classes, all_tiles)
        if sample is not None and sample < len(chosen):
            chosen = sorted(random.Random(seed).sample(chosen, sample), key=lambda e: e.id)
    data = verification.random_data(op, seed)
    rows = []
    with progress(f"verifying {len(chosen)} embeddings", len(chosen)) as advance:
        for item in chosen:
            evaluation = explore.evaluate(op, machine, item, restrictions=restrictions)
            rows.append(_verified(evaluation, data, interleaving))
            advance(1)
    frame = pd.DataFrame(rows)
    show_table(frame, output)
    typer.echo(f"executed as {', '.join(admitted(machine))}")
    typer.echo(_distance_note(safe_distance))
    if (frame["verdict"] == "differs").any():
        raise typer.Exit(1)


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
