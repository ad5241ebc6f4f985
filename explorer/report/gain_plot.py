"""The gains on a workload as a picture and as a page of text."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SERIES = {"over_tvm": "TVM's template", "over_reference": "reference embedding"}


def figure(frame: pd.DataFrame, title: str) -> bytes:
    """How many times as fast the best embedding is on each layer, as an SVG file.

    Layers stand in the order of their gain over the reference embedding; the scale is logarithmic.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only figures need it
    from matplotlib.figure import Figure  # noqa: PLC0415

    ordered = frame.sort_values(["over_reference", "layer"], ascending=[False, True])
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "explorer", "font.size": 9}):
        picture = Figure(figsize=(8, 3.6), layout="constrained")
        axes = picture.subplots()
        for column, name in SERIES.items():
            axes.plot(range(len(ordered)), ordered[column], ".", label=f"over {name}", markersize=4)
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlabel("layers")
        axes.set_ylabel("times as fast")
        axes.set_title(title)
        axes.legend(frameon=False)
        picture.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def page(
    name: str,
    command: str,
    about: dict[str, str],
    lines: list[str],
    far: list[str],
    classes: list[str],
) -> str:
    """What was run, and what came out, as Markdown.

    Args:
        name: of the workload.
        command: that makes the page.
        about: versions and the configuration.
        lines: the headline figures.
        far: layers that are far from their lower bound, with their ratio.
        classes: a table of what each class of embeddings adds; empty where it was not asked.
    """
    text = [f"# {name}", "", f"`{command}`", ""]
    text += [f"- {key}: {value}" for key, value in about.items()]
    text += ["", *(f"- {line}" for line in lines), ""]
    if classes:
        text += ["Times as fast as the reference embedding, one class more a row:", ""]
        text += [*classes, ""]
    if far:
        text += ["Layers far from their lower bound:", "", *(f"- {line}" for line in far), ""]
    return "\n".join(text)
