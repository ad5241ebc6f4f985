"""The Pareto front of a table, printed, written and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.common import say
from explorer.cli.output import OutputOption, check_file, show_table, write_file
from explorer.report.front_plot import Front, image, page
from explorer.study.dominance import pareto, pareto_mask
from explorer.study.store import Store
from explorer.study.unit import OK
from isa.errors import InputError
from isa.words import counted

if TYPE_CHECKING:
    import pandas as pd

PICTURES = (".png", ".svg", ".html")
TABLES = ("results", "totals")

TableArgument = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE",
        help="A directory that explorer sweep made, or a .csv or .parquet file.",
        show_default=False,
    ),
]
MinimizeOption = Annotated[
    str, typer.Option("--minimize", metavar="COLUMNS", help="Columns of which less is better.")
]
MaximizeOption = Annotated[
    str, typer.Option("--maximize", metavar="COLUMNS", help="Columns of which more is better.")
]
GroupOption = Annotated[
    str, typer.Option("--group-by", metavar="COLUMNS", help="One front for each of their values.")
]
WhereOption = Annotated[
    str | None,
    typer.Option("--where", metavar="SQL", help="Only rows that meet an SQL condition."),
]
KindOption = Annotated[
    str,
    typer.Option(
        "--table",
        metavar="NAME",
        help="Of a directory: results (one row a point), or totals (one row a configuration).",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="VERSION",
        help="Of a directory: rows of this model version, or all; by default the latest sweep's.",
    ),
]
PlotOption = Annotated[
    list[Path] | None,
    typer.Option("--plot", metavar="FILE", help=f"Draw it ({', '.join(PICTURES)}); repeatable."),
]


def pareto_table(
    table: TableArgument,
    minimize: MinimizeOption = "",
    maximize: MaximizeOption = "",
    group_by: GroupOption = "",
    where: WhereOption = None,
    kind: KindOption = "results",
    model: ModelOption = None,
    plot: PlotOption = None,
    output: OutputOption = None,
) -> None:
    """Find the rows of a table that no other row beats."""
    from explorer.study import tables  # noqa: PLC0415 - see `read`

    down, up, groups = _names(minimize), _names(maximize), _names(group_by)
    for path in plot or ():
        check_file(path, "--plot", PICTURES)
    frame = read(table, kind, model)
    if where:
        frame = tables.where(frame, where)
    mask = pareto_mask(frame, down, up, groups, str(table))
    front = pareto(frame[mask], down, up, groups, str(table))
    if plot:
        title = f"Pareto front of {table.name}: {', '.join([*down, *up])}"
        picture = Front(frame, mask, down, up, groups, title)
        for path in plot:
            _draw(picture, path)
    shown = [*groups, *down, *up]
    named = ("configuration", "workload", "operator", "embedding")
    names = [name for name in named if name in front and name not in shown]
    layouts = [name for name in ("inp", "wgt", "out") if name in front and name not in shown]
    printed = front[[*names, *shown, *layouts]]
    show_table(front, output, printed, keep=len(names) + len(shown))
    say(f"On the front: {len(front):,} of {counted(len(frame), 'row')}.", err=True)


def is_table(text: str) -> bool:
    """Whether an argument means a table (a directory, or a file of rows) and not an operator."""
    path = Path(text)
    return path.is_dir() or path.suffix in (".csv", ".parquet")


def read(path: Path, kind: str = "results", model: str | None = None) -> pd.DataFrame:
    """The rows of a store that have a result, or those of a file.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    from explorer.study import tables  # noqa: PLC0415 - with Arrow, which help need not wait for

    if kind not in TABLES:
        raise InputError("--table", "", kind, f"one of {', '.join(TABLES)}")
    if path.is_dir():
        return _stored(Store.open(path), kind, model)
    return tables.read(path)


def _stored(store: Store, kind: str, model: str | None) -> pd.DataFrame:
    from explorer.study import tables  # noqa: PLC0415 - see `read`

    frame, left_out = tables.results(store, model)
    note_left_out(left_out)
    if kind == "totals":
        frame = tables.totals(store, frame)
        kept = frame[frame["missing"] == 0] if len(frame) else frame
    else:
        kept = frame[frame["status"] == OK]
    if len(kept) < len(frame):
        told = counted(
            len(frame) - len(kept), "row has no result and is", "rows have no result and are"
        )
        say(f"{told} left out.", err=True)
    return kept.reset_index(drop=True)


def note_left_out(count: int) -> None:
    """Say that results of other model versions are there but not shown."""
    if count:
        what = counted(
            count, "unit of another model version is", "units of other model versions are"
        )
        say(
            f"{what} left out (--model all has all).",
            err=True,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _draw(front: Front, path: Path) -> None:
    data = page(front) if path.suffix == ".html" else image(front, path.suffix)
    write_file(path, data, "--plot")
