"""The command that finds embeddings by preferences and requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from explorer.cli.embeddings import (
    USUAL_CLASSES,
    ClassesOption,
    ConfigOption,
    OperatorArgument,
    TilesOption,
    parse_classes,
)
from explorer.cli.output import OutputOption, show_table
from explorer.embedding import nest
from explorer.encoding import profiles
from explorer.explore import gemm_intrinsic
from explorer.facts import requirement_term
from explorer.operators import resolve
from explorer.optima import Best, conflict, design, optimum, pareto, search
from explorer.preferences import (
    NAMES_BY_ROLE,
    Wishes,
    parse_objectives,
    parse_preferences,
    parse_requirements,
)
from explorer.solve import Answer, Search
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError


def optimize(
    operator: OperatorArgument,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Preferences: " + ", ".join(profiles())),
    ] = None,
    prefer: Annotated[
        str | None,
        typer.Option(
            "--prefer",
            metavar="METRICS",
            help="Metrics, the most important first: steps,footprint:2+transform,rows. Plus mixes "
            "metrics by weight; of one tensor: footprint.input. They break a profile's ties.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="NAMES",
            help="dense, no-im2col, no-padding, no-swap, max-METRIC=VALUE, min-utilisation=0.9, "
            "keep-input-layout=NCHW1n16c, …",
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            metavar="METRICS",
            help="All embeddings that none dominates in these metrics, in place of preferences.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Stop after so many points of the front.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every optimum, not only one.")] = False,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="Rules of your own: metrics, requirements."),
    ] = None,
    config: ConfigOption = "default",
    classes: ClassesOption = USUAL_CLASSES,
    all_tiles: TilesOption = False,
    output: OutputOption = None,
) -> None:
    """Find the embeddings that are preferred, with proof."""
    op, machine = resolve(operator), Config.load(config)
    lanes = machine.batch * machine.block_in * machine.block_out
    wishes = Wishes(
        parse_preferences(prefer) if prefer else {},
        parse_requirements(require or [], op.computation, lanes),
        parse_objectives(objectives) if objectives else (),
        (*_profile(profile, default=not (prefer or objectives or rules)), *_files(rules or [])),
    )
    program = search(
        op, machine, gemm_intrinsic(machine), wishes, parse_classes(classes), all_tiles=all_tiles
    )
    best = pareto(program, limit=limit) if objectives else optimum(program, everything=everything)
    if not best.answers:
        text = _conflict(op, machine, program, wishes) if best.complete else "interrupted"
        typer.echo(f"explorer: {text}", err=True)
        raise typer.Exit(1)
    frame = pd.DataFrame([_row(op, machine, answer) for answer in best.answers])
    show_table(frame, output)
    typer.echo(_summary(best), err=bool(output))


def _profile(name: str | None, *, default: bool) -> tuple[Path, ...]:
    found = profiles()
    if name is None:
        return (found["latency"],) if default else ()
    if name not in found:
        raise InputError("--profile", "", name, f"one of {', '.join(found)}")
    return (found[name],)


def _files(paths: list[Path]) -> list[Path]:
    for path in paths:
        if not path.is_file():
            raise InputError("--rules", "", str(path), "a file of rules is needed")
    return paths


def _row(op: Operator, machine: Config, answer: Answer) -> dict[str, object]:
    """One answer: its embedding, layouts, and the costs that were asked for."""
    steps = nest(answer.embedding, op.computation).steps
    lanes = machine.batch * machine.block_in * machine.block_out
    layouts = design(op, machine, gemm_intrinsic(machine), answer).layouts
    of_role = {x.role: x.name for x in layouts}
    names = {name: of_role[role] for role, name in NAMES_BY_ROLE.items()}
    costs = {
        name: -value if name.startswith("row_length") else value
        for name, value in sorted(answer.costs.items())
        if name not in ("steps", "utilisation")
    }
    return {
        "embedding": answer.embedding.id,
        "steps": steps,
        "utilisation": op.computation.macs / (steps * lanes),
        **costs,
        **names,
        "halo": "+".join(NAMES_BY_ROLE[r] for r in ("in0", "in1") if r in answer.shared) or None,
        "dma_padding": bool(answer.trimmed),
    }


def _conflict(op: Operator, machine: Config, program: Search, wishes: Wishes) -> str:
    """Which requirements conflict, and what would be found without each."""
    texts = {str(requirement_term(r)): r.text for r in wishes.requirements}
    names = conflict(program)
    if names is None:
        return f"no embedding of {op.name} has these classes alone"
    parts = []
    for name in names:
        best = optimum(program, waived=program.requirements.keys() - (set(names) - {name})).answers[
            0
        ]
        steps = nest(best.embedding, op.computation).steps
        share = op.computation.macs / (steps * machine.batch * machine.block_in * machine.block_out)
        parts.append(
            f"without {texts.get(name, name)}, {best.embedding.id} is found "
            f"(utilisation {share:.4g})"
        )
    listed = " and ".join(texts.get(name, name) for name in names)
    verb = "cannot be met" if len(names) == 1 else "conflict"
    return f"{listed} {verb}: {'; '.join(parts)}"


def _summary(best: Best) -> str:
    if best.method == "optimum":
        proof = "proven optimal" if best.proven else "interrupted: the best so far, not proven"
        return f"{len(best.answers)} found, {proof}"
    rest = "none is missing, proven" if best.complete else "others may be missing"
    proof = "each proven" if best.proven else "not proven"
    how = "by cutting off what is dominated" if best.method == "cuts" else "by enumeration"
    return f"{best.points} points, {len(best.answers)} embeddings, {proof} {how}; {rest}"
