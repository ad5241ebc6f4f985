"""Pareto fronts as pictures: PNG and SVG by matplotlib, and a page that needs nothing but itself.

Equal tables give equal files: nothing in them tells when or where they were made.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.report.pages.document import document
from isa.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PANELS = 16  # groups that get a panel of their own
DRAWN = 20_000  # dominated rows that are drawn at most, and
HOVERED = 1_000  # at most on a page, in each case spread evenly over the table
THOUSAND = 1000  # values from here on are written 20k, 3M
WIDE = 8.0  # ratio of greatest to least value from which an axis is logarithmic

HASHES = ("unit", "layer", "model")  # columns that say nothing to the eye
UNITS = {"area": "mm²", "energy": "µJ", "dram_bytes": "bytes", "footprint": "bytes"}

_GREY, _FRONT = "0.72", "tab:blue"

TITLE_WIDTH = 30  # characters over one of several pictures


@dataclass(frozen=True, slots=True)
class Front:
    """A table, which of its rows are on the front, and by what.

    Attributes:
        frame: all rows.
        mask: those on the front, bool of shape (rows,).
        minimize, maximize: the objectives.
        group_by: columns that tell groups apart.
        title: what the picture shows.
    """

    frame: pd.DataFrame
    mask: NDArray[np.bool_]
    minimize: tuple[str, ...]
    maximize: tuple[str, ...]
    group_by: tuple[str, ...]
    title: str

    @property
    def objectives(self) -> tuple[str, ...]:
        """All objectives, those to minimise first."""
        return self.minimize + self.maximize

    def groups(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Each group's name and rows, sorted by name."""
        if not self.group_by:
            return [("", np.arange(len(self.frame)))]
        found = self.frame.groupby(list(self.group_by), sort=True, dropna=False).indices
        return [
            (", ".join(map(str, key if isinstance(key, tuple) else (key,))), np.asarray(rows))
            for key, rows in found.items()
        ]


def image(front: Front, suffix: str) -> bytes:
    """The figure as the bytes of a ``.png`` or ``.svg`` file."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only figures need it

    buffer = BytesIO()
    metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "explorer", "font.size": 9}):
        _figure(front).savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
    return buffer.getvalue()


def page(front: Front) -> str:
    """A page that shows the front, with every value of a row under the pointer."""
    places = np.flatnonzero(~front.mask)
    shown = np.sort(np.concatenate([np.flatnonzero(front.mask), _spread(places, HOVERED)]))
    part = front.frame.iloc[shown]
    varying = [n for n in part.columns if n not in HASHES and part[n].nunique(dropna=False) > 1]
    columns = list(dict.fromkeys([*front.group_by, *front.objectives, *varying]))
    data = {
        "title": front.title,
        "columns": columns,
        "numeric": [name for name in columns if part[name].dtype.kind in "iuf"],
        "objectives": list(front.objectives),
        "maximize": list(front.maximize),
        "groups": list(front.group_by),
        "units": UNITS,
        "rows": [[_cell(value) for value in row] for row in part[columns].itertuples(index=False)],
        "front": front.mask[shown].astype(int).tolist(),
        "dominated": len(places),
    }
    return document(front.title, "front", ("common", "chart", "table", "front"), {"front": data})


def _cell(value: Any) -> Any:
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    if value is None or value is pd.NA:
        return None
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    return int(value) if isinstance(value, int | np.integer) else str(value)


def _spread(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """So many of the places at most, evenly."""
    if len(places) <= count:
        return places
    return places[np.linspace(0, len(places) - 1, count).astype(np.int64)]


def _figure(front: Front) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - see `image`

    groups = front.groups()
    shown = groups[:PANELS]
    shared = _shared([name for name, _ in groups])
    across = min(4, math.ceil(math.sqrt(len(shown))))
    down = math.ceil(len(shown) / across)
    figure = Figure(figsize=(1.2 + 3.6 * across, 0.9 + 3.0 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, (name, rows) in zip(axes.flat, shown, strict=False):
        _panel(axis, front, rows, name.removeprefix(shared))
    rest = f" ({PANELS} of {len(groups)} groups)" if len(groups) > PANELS else ""
    figure.suptitle(front.title + (f"; {shared}" if shared else "") + rest)
    return figure


def _shared(names: list[str]) -> str:
    """What all names begin with, up to a slash."""
    first, last = min(names), max(names)
    alike = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )
    return first[: first.rfind("/", 0, alike) + 1]


def _panel(axis: Axes, front: Front, rows: NDArray[np.int64], name: str) -> None:
    """One group: its front over what it dominates; a third objective is the colour."""
    from matplotlib.ticker import (  # noqa: PLC0415 - see `image`
        EngFormatter,
        LogLocator,
        NullFormatter,
    )

    x, y = (*front.objectives, *front.objectives)[:2]
    frame, mask = front.frame.iloc[rows], front.mask[rows]
    grey = frame.iloc[_spread(np.flatnonzero(~mask), DRAWN)]
    best = frame[mask].sort_values([x, y], kind="stable")
    many = len(grey) > DRAWN // 10
    axis.scatter(
        _numbers(grey[x]), _numbers(grey[y]), s=6, color=_GREY, linewidths=0, rasterized=many
    )
    if len(front.objectives) == 2 and len(best) > 1:
        # Between two rows of the front, what is reached is the value of the one before.
        where: Literal["pre", "post"] = "pre" if x in front.maximize else "post"
        xs, ys = _numbers(best[x]), _numbers(best[y])
        axis.step(xs, ys, where=where, color=_FRONT, linewidth=0.8, alpha=0.6)
    if len(front.objectives) > 2:
        third = front.objectives[2]
        colours = axis.scatter(_numbers(best[x]), _numbers(best[y]), s=20, c=_numbers(best[third]))
        axis.figure.colorbar(colours, ax=axis, label=_label(third))
    else:
        axis.scatter(_numbers(best[x]), _numbers(best[y]), s=20, color=_FRONT)
    for column, scale, ticks in (
        (x, axis.set_xscale, axis.xaxis),
        (y, axis.set_yscale, axis.yaxis),
    ):
        values = _numbers(frame[column])
        if _is_wide(values):
            scale("log")
            ticks.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ticks.set_minor_formatter(NullFormatter())
        if len(values) and values.min() >= THOUSAND:
            ticks.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlabel(_label(x))
    axis.set_ylabel(_label(y))
    axis.set_title(
        f"{_in_lines(name)}\n{len(best)} of {counted(len(frame), 'row')}" if name else "",
        fontsize=7,
    )


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    return column.to_numpy(dtype=np.float64)


def _is_wide(values: NDArray[np.float64]) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() / finite.min() > WIDE)


def _label(name: str) -> str:
    return f"{name} [{UNITS[name]}]" if name in UNITS else name


def _in_lines(name: str) -> str:
    """A long name in lines that a small picture has room for, cut after ``_``, ``/`` or a comma."""
    lines = [""]
    for piece in re.findall(r"[^_/,]*[_/,]?", name):
        if len(lines[-1]) + len(piece) > TITLE_WIDTH:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)
