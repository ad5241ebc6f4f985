"""The command that ranks an operator's embeddings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from explorer.baselines.template_search import TvmScheduled
from explorer.baselines.template_search import best as best_template
from explorer.cli.common import compiling, note, wants_json, wrapped
from explorer.cli.embeddings import (
    EVERY_CLASS,
    ClassesOption,
    ConfigOption,
    DistanceOption,
    OperatorArgument,
    TargetOption,
    TilesOption,
    embeddings_of,
)
from explorer.cli.interrupts import partial, whole
from explorer.cli.output import JobsOption, OutputOption, progress, show_table
from explorer.embedding.ascending import Ascending
from explorer.embedding.facts import CLASSES, parse_classes
from explorer.embedding.joint_space import AscendingJoint
from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.ranking import explore
from explorer.ranking.best_first import Known, Ranking, parse_share
from explorer.ranking.best_first import rank as rank_embeddings
from explorer.ranking.compilation import compiled
from explorer.report.searched import explained
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.words import counted
from simulator.lint import PORTABLE

EFFORT_FOR_ALL = 4
FIRST = ("rank", "embedding", "cycles", "speedup")
"""The columns that every table has; the others follow as far as there is room."""
OTHERS = (
    "utilisation", "unrestricted", "cost", "bound", "steps", "inp", "wgt", "out", "tile",
    "classes", "footprint", "dram_bytes", "instructions", "proven",
)  # fmt: skip


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
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    within: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="Put the simplest embedding first that is at most so much slower than the best: "
            "1%, 0.01. The reference is the simplest, then what has fewer classes and digits.",
        ),
    ] = "0",
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
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Columns to print after {', '.join(FIRST)}: {', '.join(OTHERS)}; or all. By "
            "default those for which there is room.",
        ),
    ] = None,
    jobs: JobsOption = None,
    target: TargetOption = PORTABLE,
    safe_distance: DistanceOption = 1,
    output: OutputOption = None,
) -> None:
    """Rank the embeddings by simulated cycles."""
    op, machine = resolve(operator), Config.load(config)
    restrictions = Restrictions.of(target, safe_distance, machine)
    share, chosen = parse_share(within), _columns(columns)
    if explain_space:
        text = wrapped(explained(op, machine, embeddings_of(op, machine, classes, all_tiles)))
        typer.echo(json.dumps({"text": text.splitlines()}, indent=2) if wants_json() else text)
        return
    with compiled(jobs, compiling):
        found, title, number = _candidates(op, machine, classes, all_tiles, everything)
    template = _template(op, machine) if baseline is Baseline.TVM else None
    known = Known()

    def interrupted() -> None:
        so_far = known.ranking(op, machine, None if everything else top)
        if so_far is not None:
            _show(so_far, template, chosen, output)
        of_all = f" of {number}" if number else ""
        done = f"{len(known.evaluations)}{of_all} embeddings evaluated"
        typer.echo(f"explorer: interrupted: partial, {done}; others may be better", err=True)

    with partial(interrupted), progress(title, number) as advance:
        ranking = rank_embeddings(
            op,
            machine,
            found,
            top=None if everything else top,
            effort=effort if effort or not everything else EFFORT_FOR_ALL,
            jobs=jobs,
            on_progress=advance,
            restrictions=restrictions,
            within=share,
            known=known,
        )
    if not ranking.evaluations:
        raise InputError(op.name, "", config, "no embedding has a schedule that fits the machine")
    with whole():
        _show(ranking, template, chosen, output)
        note(" ".join(_summary(ranking, template, parse_classes(classes))), aside=bool(output))


def _candidates(
    op: Operator, machine: Config, classes: str, all_tiles: bool, everything: bool
) -> tuple[Ascending | AscendingJoint | list[AnyEmbedding], str, int | None]:
    """What is ranked, the title of its progress, and how many there are, if that is known."""
    make = explore.embeddings if everything else explore.ascending
    names = parse_classes(classes)
    found = make(op, machine, names, all_tiles=all_tiles, maximal=not all_tiles)
    if isinstance(found, Ascending | AscendingJoint):
        return found, "embeddings ranked", None
    return found, f"ranking {counted(len(found), 'embedding')}", len(found)


def _show(
    ranking: Ranking, template: TvmScheduled | None, chosen: tuple[str, ...], output: Path | None
) -> None:
    """Print the table, or write it to a file."""
    frame = ranking.frame()
    if template is not None:
        frame["speedup"] = template.cycles / frame["cycles"]
    rest = chosen or tuple(name for name in OTHERS if name in frame)
    printed = frame[[*FIRST, *(n for n in rest if n in frame)]].astype({"rank": object})
    printed.loc[printed["rank"] == 0, "rank"] = "ref"
    show_table(frame, output, printed, keep=len(printed.columns) if chosen else len(FIRST))


def _columns(text: str | None) -> tuple[str, ...]:
    """The columns that the option names; none by default.

    Raises:
        InputError: there is no such column.
    """
    if text is None:
        return ()
    names = OTHERS if text == "all" else tuple(n.strip() for n in text.split(",") if n.strip())
    for name in names:
        if name not in (*FIRST, *OTHERS):
            raise InputError("--columns", "", name, f"all, or some of {', '.join(OTHERS)}")
    return tuple(name for name in names if name not in FIRST)


def _template(op: Operator, machine: Config) -> TvmScheduled:
    found = best_template(op, machine)
    if found is None:
        raise InputError(op.name, "", machine.name, "TVM's template has no tiling that runs on it")
    return found


def _summary(
    ranking: Ranking, template: TvmScheduled | None, classes: tuple[str, ...]
) -> Iterator[str]:
    """What the table means, in sentences."""
    of_all = "" if ranking.total is None else f" of {ranking.total}"
    everything = "the only embedding" if ranking.total == 1 else f"all {ranking.total} embeddings"
    space = (
        f"{everything} ranked"
        if ranking.evaluated == ranking.total
        else f"{ranking.evaluated}{of_all} embeddings evaluated; the bounds of all others exceed "
        "the cycles of the last one listed"
    )
    unfit = f"; {ranking.unfit} have no schedule that fits" if ranking.unfit else ""
    unproven = sum(not e.proven for e in ranking.evaluations)
    proof = (
        f"{unproven} of those listed may have a better schedule (--effort)"
        if unproven
        else "each has the best schedule of its space, proven"
    )
    yield f"{space}{unfit}; {proof}."
    left_out = [name for name in CLASSES if name not in classes]
    if left_out:
        yield f"Classes left out, which may hold better ones: {', '.join(left_out)}."
    yield from _simplest(ranking)
    yield _base(ranking, template)
    if ranking.unrestricted:
        yield (
            "Cost is what the restrictions add to the cycles of each embedding's unrestricted "
            "program."
        )


def _simplest(ranking: Ranking) -> Iterator[str]:
    """What choosing the simplest embedding costs."""
    first, fastest = ranking.evaluations[0], ranking.fastest
    if not ranking.within or fastest is None or not fastest.cycles or not first.cycles:
        return
    extra = first.cycles / fastest.cycles - 1
    if first == fastest:
        yield f"None within {ranking.within:.2%} of the best is simpler than it."
    else:
        yield (
            f"The first is the simplest within {ranking.within:.2%} of the best; it takes "
            f"{extra:.2%} more cycles than {fastest.embedding.id} with {fastest.cycles}."
        )


def _base(ranking: Ranking, template: TvmScheduled | None) -> str:
    """What speedups are over."""
    if template is not None:
        free = ", without restrictions" if ranking.unrestricted else ""
        return (
            "Cycles are simulated; speedup is over TVM's template, which takes "
            f"{template.cycles} cycles with its best tiling{free}."
        )
    if ranking.reference is None:
        return (
            "Cycles are simulated; there is no speedup, because TVM has no way to lay this "
            "operator onto the instruction."
        )
    if ranking.base is None:
        return "Cycles are simulated; there is no speedup: the reference embedding does not fit."
    return (
        "Cycles are simulated; speedup is over the reference embedding (ref), which has TVM's "
        "fixed layout and the same schedule search."
    )
