"""Commands about studies: sweep, results."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from explorer.cli.common import is_quiet, say, wants_json
from explorer.cli.embeddings import EVERY_CLASS, ClassesOption, TilesOption
from explorer.cli.front_tables import ModelOption, note_left_out
from explorer.cli.interrupts import INTERRUPTED
from explorer.cli.interrupts import partial as known_so_far
from explorer.cli.output import (
    JobsOption,
    OutputOption,
    check_folder,
    logged,
    print_table,
    show_table,
)
from explorer.embedding.facts import CLASSES, parse_classes
from explorer.network.shipped import NETWORKS
from explorer.operators.workloads import members
from explorer.study import cost
from explorer.study.backends import Backend, Dask, Inline, Local
from explorer.study.networks import PREFIX
from explorer.study.parameters import Grid, configuration, parse_assignment
from explorer.study.store import Store
from explorer.study.study import Study, default_candidates, is_study, load, make, parse_workload
from explorer.study.sweep import Summary
from explorer.study.sweep import sweep as run_sweep
from explorer.study.unit import OK, STATUSES, Options
from explorer.study.version import model_version
from isa.config import Config
from isa.errors import InputError
from isa.words import counted

SHOWN = 10  # reasons and failures that are listed
KEPT = 4  # columns of results that are printed whatever room there is

WorkloadArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="WORKLOAD",
        help="Operators (4*resnet18:C2 runs four times), suites (deepbench:conv/device, a file of "
        "layers), networks (network:resnet50, network:model.onnx), or one study file.",
        show_default=False,
    ),
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option("--vary", metavar="NAME=VALUES", help="As LOG_BLOCK=3..6 or BUS_BITS=64,128."),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Directory that keeps the results.",
        callback=lambda path: check_folder(path, "explorer results DIR --out - prints the table"),
    ),
]


def sweep(
    context: typer.Context,
    workloads: WorkloadArgument,
    vary: VaryOption = None,
    out: StoreOption = None,
    config: Annotated[
        str, typer.Option("--config", metavar="FILE", help="What does not vary: a vta_config.json.")
    ] = "default",
    constraint: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="On configurations: 'on_chip_bytes <= 2**19'."),
    ] = None,
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    effort: Annotated[
        str,
        typer.Option(
            metavar="N|all", help="Programs simulated for each layout at most; all proves the best."
        ),
    ] = "2",
    objectives: Annotated[
        str, typer.Option(metavar="METRICS", help="What a unit's best points are best in.")
    ] = "cycles",
    prefer: Annotated[
        str, typer.Option(metavar="METRICS", help="What decides between equal points.")
    ] = "",
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="On points: 'utilisation >= 0.5'."),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(min=1, help="Choose points among so many of the fastest embeddings."),
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table for area and energy, or its name.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the workload.")] = "workload",
    jobs: JobsOption = 1,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to run on, or local:N."),
    ] = None,
    dask_timeout: Annotated[
        float,
        typer.Option(
            min=0.1, max=3600, metavar="SECONDS", help="Time for the scheduler to answer."
        ),
    ] = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
) -> None:
    """Evaluate operators under many configurations, and keep the results."""
    for text in workloads:
        _check_prefix(text)
    if any(is_study(text) for text in workloads):
        study = _study_file(context, workloads)
    else:
        grid = Grid(Config.load(config), _assignments(vary or []))
        wanted, preferred, required = _split(objectives), _split(prefer), tuple(require or ())
        options = Options(
            classes=parse_classes(classes),
            costs=cost.load(costs),
            all_tiles=all_tiles,
            effort=_effort(effort),
            objectives=wanted,
            preferences=preferred,
            requirements=required,
            candidates=candidates or default_candidates(wanted, preferred, required),
        )
        pairs = [parse_workload(text) for text in workloads]
        study = make(name, pairs, grid, options, constraints=constraint or [])
    if dry_run:
        _describe(study, out)
        return
    if out is None:
        raise InputError("--out", "", None, "a directory for the results")
    backend = (
        partial(Dask, dask, dask_timeout)
        if dask
        else partial(Local, jobs)
        if jobs and jobs > 1
        else Inline
    )
    _run(study, out, backend)


def _check_prefix(text: str) -> None:
    """Raise `InputError` if a workload is the name of a network and of nothing else."""
    known, _ = parse_workload(text)
    if known in NETWORKS and members(known) == [(known, 1)]:
        raise InputError("WORKLOAD", "", text, f"the network of this name is {PREFIX}{known}")


def _effort(text: str) -> int | None:
    """The greatest number of programs, None for as many as a proof takes."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InputError("--effort", "", text, "a whole number of at least 1, or all")
    return int(text)


def _study_file(context: typer.Context, workloads: list[str]) -> Study:
    """The study in the one file given; options that it has fields for are refused."""
    if len(workloads) > 1:
        raise InputError("WORKLOAD", "", workloads[1], "a study file stands alone")
    free = {"workloads", "out", "jobs", "dask", "dask_timeout", "dry_run", "as_json", "quiet"}
    for option in context.params.keys() - free:
        source = context.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            flag = f"--{option.replace('_', '-')}"
            raise InputError(flag, "", context.params[option], "the study file says that")
    return load(Path(workloads[0]))


def _assignments(texts: list[str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, values = parse_assignment(text, "--vary")
        if name in found:
            raise InputError("--vary", name, text, "it is varied twice")
        found[name] = values
    return found


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _describe(study: Study, out: Path | None) -> None:
    """What a sweep would do."""
    refused: Counter[str] = Counter()
    points = 0
    for point in study.points():
        points += 1
        try:
            configuration(point)
        except InputError as error:
            refused[f"{error.field} = {error.value}: {error.allowed}"] += 1
    layers = len({layer.id for layer, _ in study.layers})
    left = None
    if out is not None and (out / "store.json").exists():
        store, model = Store.open(out), model_version()
        left = points * layers - sum(store.part(u.key).exists() for u in study.units(model))
    if wants_json():
        record: dict[str, object] = {
            "study": study.name,
            "layers": layers,
            "units": points * layers,
        }
        record |= {"configurations": points, "refused": dict(refused.most_common()), "left": left}
        typer.echo(json.dumps(record, indent=2))
        return
    none = counted(sum(refused.values()), "configuration")
    say(
        f"{study.name}: {counted(layers, 'layer')} x {counted(points, 'configuration')}, "
        f"{counted(points * layers, 'unit')}{f'; {none} cannot be encoded' * bool(refused)}"
    )
    for reason, count in refused.most_common(SHOWN):
        say(f"  {counted(count, 'configuration')}: {reason}")
    if left is not None:
        done = points * layers - left
        say(f"{counted(done, 'unit is', 'units are')} done, {left:,} left ({model_version()}).")


def _run(study: Study, out: Path, backend: Callable[[], Backend]) -> None:
    summary = Summary()

    def interrupted() -> None:
        kept = summary.reused + summary.done
        typer.echo(
            f"explorer: interrupted; {kept:,} of {counted(summary.total, 'unit')} are kept in "
            f"{out}, and the same command goes on from there",
            err=True,
        )

    try:
        with known_so_far(interrupted), _progress(study.name) as show:
            run_sweep(study, out, backend, on_progress=show, summary=summary)
    except KeyboardInterrupt:
        interrupted()
        raise typer.Exit(INTERRUPTED) from None
    left_out = [name for name in CLASSES if name not in study.options.classes]
    if wants_json():
        typer.echo(json.dumps(_record(summary, out) | {"classes_left_out": left_out}, indent=2))
        if summary.failures:
            raise typer.Exit(1)
        return
    _report(summary, out)
    if left_out:
        text = f"Classes left out, which may hold better ones: {', '.join(left_out)}."
        say(text)
    if summary.failures:
        raise typer.Exit(1)


def _record(summary: Summary, out: Path) -> dict[str, object]:
    """The end of a sweep as data."""
    return {
        "store": str(out),
        "units": summary.total,
        "done": summary.done,
        "reused": summary.reused,
        "failed": len(summary.failures),
        "statuses": dict(sorted(summary.statuses.items())),
        "reasons": [
            {"status": status, "reason": reason, "units": count}
            for (status, reason), count in summary.reasons.most_common()
        ],
        "failures": [
            {"layer": unit.layer.operator.name, "unit": unit.key, "error": answer.error}
            for unit, answer in summary.failures
        ],
    }


def _report(summary: Summary, out: Path) -> None:
    """The end of a sweep: what was done, and what has no result."""
    say(
        f"{counted(summary.total, 'unit')}: {summary.done:,} done now, {summary.reused:,} kept "
        f"from before, {len(summary.failures):,} failed. Results are in {out}."
    )
    for status, count in sorted(summary.statuses.items()):
        say(f"  {count} {status}: {STATUSES[status]}")
    if summary.reasons:
        say("Without a result:")
        for (status, reason), count in summary.reasons.most_common(SHOWN):
            say(f"  {count} {status}: {reason}")
        if len(summary.reasons) > SHOWN:
            more = counted(len(summary.reasons) - SHOWN, "more reason")
            say(f"  … and {more} (column reason)")
    _report_failures(summary)


def _report_failures(summary: Summary) -> None:
    """The units that failed, on standard error."""
    if summary.failures:
        say("Failed, to be tried again by the same command:", err=True)
        for unit, answer in summary.failures[:SHOWN]:
            where = f"{unit.layer.operator.name} on {unit.key}"
            say(f"  {where}: {answer.error}", err=True)
        typer.echo(summary.failures[0][1].details, err=True, nl=False)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[Summary], None]]:
    """Show how far a sweep is, how fast, and how long it will take, on standard error."""
    console, begin = Console(stderr=True), time.monotonic()
    latest = Summary()

    def speed(summary: Summary) -> str:
        rate = summary.new / max(time.monotonic() - begin, 1e-9)
        return f"{rate:.2f} units/s, {_duration(summary.left / rate)} left" if rate else ""

    def note(summary: Summary) -> None:
        nonlocal latest
        latest = summary

    def told() -> str:
        if not latest.total:
            return ""
        done = latest.total - latest.left
        return ", ".join(
            filter(None, (f"{done:,} of {counted(latest.total, 'unit')}", speed(latest)))
        )

    if is_quiet() or not console.is_terminal:
        with logged(title, told):
            yield note
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, speed="")

        def show(summary: Summary) -> None:
            done = summary.total - summary.left
            bar.update(task, total=summary.total, completed=done, speed=speed(summary))

        yield show


def _duration(seconds: float) -> str:
    """A time to wait, roughly."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def results(
    store: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory that explorer sweep made.")
    ],
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="SQL", help="Query on: results, totals, workloads."),
    ] = None,
    totals: Annotated[
        bool, typer.Option("--totals", help="Whole workloads, one row a configuration.")
    ] = False,
    model: ModelOption = None,
    output: OutputOption = None,
) -> None:
    """Query or export what a sweep found."""
    from explorer.study import tables  # noqa: PLC0415 - with Arrow, which a sweep does not start with

    opened = Store.open(store)
    if sql and totals:
        raise InputError("--totals", "", sql, "with --sql, query the table totals")
    if sql:
        frame, left_out = tables.query(opened, sql, model)
    else:
        frame, left_out = tables.results(opened, model)
        if totals:
            frame = tables.totals(opened, frame)
    note_left_out(left_out)
    if output or sql or wants_json():
        show_table(frame, output)
    elif totals:
        shown = ["workload", "configuration", "cycles", "speedup", "utilisation", "area", "energy"]
        shown += ["dram_bytes", "with_reference"]
        # Sums that lack something must not look like others.
        shown.insert(3 if frame["missing"].any() else len(shown), "missing")
        print_table(frame[shown], keep=KEPT)
    else:
        shown = ["operator", "configuration", "cycles", "speedup", "utilisation", "area", "energy"]
        shown += ["dram_bytes", "footprint", "on_chip_bytes"]
        found = frame[frame["status"] == OK]
        print_table(found[shown], keep=KEPT)
        say(
            f"{counted(len(frame), 'row')}, {len(frame) - len(found):,} without a result; --out "
            "exports all columns, --sql queries them.",
            err=True,
        )
