"""What the three modules do over time, in the terminal and as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from isa.codec import Queue, Table
from simulator.timing import Span

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".png", ".svg")
STATES = ("busy", "waiting for a token", "waiting for the bus", "idle")

_GLYPHS = ("█", "░", "▒", " ")
_STYLES = ("green", "yellow", "red", "dim")
_COLOURS = ("#2a7f4f", "#e3c567", "#c0504d", "#f2f2f2")
_STRIPES = 1500  # more than the figure has pixels
_BEGIN = (Span.START, Span.READY, Span.WAIT)
_END = (Span.WAIT, Span.START, Span.END)


def shares(spans: Table, stripes: int) -> NDArray[np.float64]:
    """How the modules spend each of so many equal stretches of a program's time.

    Args:
        spans: as `simulator.timing.spans` gives them.
        stripes: number of stretches.

    Returns:
        Parts of one, (queues, states, stripes), states as in `STATES`.
    """
    edges = np.linspace(0, int(spans[:, Span.END].max(initial=1)), stripes + 1)
    found = np.zeros((len(Queue), len(STATES), stripes))
    for queue in Queue:
        own = spans[spans[:, Span.QUEUE] == queue]
        for state, (begin, end) in enumerate(zip(_BEGIN, _END, strict=True)):
            spent = _elapsed(own[:, begin], np.maximum(own[:, end], own[:, begin]), edges)
            found[queue, state] = np.diff(spent) / np.diff(edges)
    found[:, -1] = np.clip(1 - found.sum(axis=1), 0, 1)
    return found


def _elapsed(
    begin: NDArray[np.int64], end: NDArray[np.int64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much of intervals in order, which do not overlap, has passed at each time."""
    total = np.concatenate([[0], np.cumsum(end - begin)])
    at = np.searchsorted(begin, times, side="right")
    last = np.maximum(at - 1, 0)
    inside = np.zeros(len(times))
    if len(begin):
        inside = np.where(at > 0, np.minimum(times, end[last]) - begin[last], 0.0)
    elapsed: NDArray[np.float64] = total[last] + inside
    return elapsed


def lines(spans: Table, width: int) -> Iterator[Text]:
    """The timeline as lines of so many characters; each one shows what took most of its time."""
    label = max(len(queue.name) for queue in Queue) + 1
    columns = max(width - label, 1)
    for queue, parts in zip(Queue, shares(spans, columns), strict=True):
        line = Text(queue.name.lower().ljust(label))
        for state in parts.argmax(axis=0).tolist():
            line.append(_GLYPHS[state], style=_STYLES[state])
        yield line
    cycles = int(spans[:, Span.END].max(initial=0))
    yield Text(f"{'cycles':<{label}}0{cycles:>{max(columns - 1, 1)},}")
    key = Text(" " * label)
    for glyph, style, state in zip(_GLYPHS[:-1], _STYLES, STATES, strict=False):
        key.append(glyph, style=style).append(f" {state}   ")
    key.rstrip()
    yield key


def image(spans: Table, title: str, path: Path) -> bytes:
    """The timeline as the bytes of a file with the path's suffix, one of `SUFFIXES`."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only figures need it
    from matplotlib.figure import Figure  # noqa: PLC0415

    cycles = int(spans[:, Span.END].max(initial=1))
    stripes = min(_STRIPES, cycles)
    edges = np.linspace(0, cycles, stripes + 1)
    buffer = BytesIO()
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "explorer", "font.size": 9}):
        figure = Figure(figsize=(10, 2.6), layout="constrained")
        axes = figure.subplots()
        for queue, parts in zip(Queue, shares(spans, stripes), strict=True):
            base = np.full(stripes, -float(queue) - 0.4)
            for state, part in enumerate(parts):
                top = base + 0.8 * part
                axes.fill_between(
                    edges,
                    np.append(base, base[-1]),
                    np.append(top, top[-1]),
                    step="post",
                    color=_COLOURS[state],
                    linewidth=0,
                    label=STATES[state] if queue == Queue.LOAD else None,
                )
                base = top
        axes.set_yticks([-int(queue) for queue in Queue], [q.name.lower() for q in Queue])
        axes.set_xlim(0, cycles)
        axes.set_xlabel("cycles")
        axes.set_title(title)
        figure.legend(loc="outside lower center", ncols=len(STATES), frameon=False)
        figure.savefig(buffer, format=path.suffix[1:], dpi=150, metadata=metadata)
    return buffer.getvalue()
