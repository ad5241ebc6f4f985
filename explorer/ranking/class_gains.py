"""What each class of embeddings adds: the best cycles as one class after the other is allowed.

The first set is what mappers at the level of loops reach: tiles of one dimension an axis that fill
it. Each further set admits one class more, so that its best is never worse than the one before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from explorer.embedding.ascending import Ascending
from explorer.embedding.several import AnyEmbedding, enumerate_any
from explorer.ranking.candidates import Candidates
from explorer.ranking.explore import Evaluation, evaluate, gemm_intrinsic
from isa.computation import Operator
from isa.config import Config

if TYPE_CHECKING:
    import pandas as pd

ORDER = ("padded", "strided", "multi", "fused", "swapped", "skewed", "diagonal")
"""The classes in the order in which they are admitted, from the most to the least usual one."""
STEPS = ("tile", *ORDER)
"""What is admitted, one after the other; "tile" is what needs no class at all."""
COLUMNS = {step: f"cycles_{step}" for step in STEPS}
"""Of a table of gains, the column of each."""


def by_class(
    operator: Operator, config: Config, known: Iterable[Evaluation] = ()
) -> dict[str, int | None]:
    """The least cycles with each set of classes, by the class that it adds; None if it has none.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        known: programs that compete wherever their embeddings are allowed.
    """
    least: dict[str, int | None] = {}
    best, judged = math.inf, set[str]()
    terms, intrinsic = [term.computation for term in operator.terms], gemm_intrinsic(config)
    plain = enumerate_any(terms, intrinsic, ())
    ids = {embedding.id for embedding in plain}
    for count, step in enumerate(STEPS):
        for evaluation in known:
            if evaluation.scheduled and (evaluation.embedding.id in ids or count > 0):
                best = min(best, evaluation.scheduled.cycles)
        classes = ORDER[:count]
        found: Sequence[AnyEmbedding] | Ascending = plain
        if count and len(terms) > 1:
            found = enumerate_any(terms, intrinsic, classes)
        elif count:
            found = Ascending(terms[0], intrinsic, classes)
        waiting = Candidates(operator, config, found)
        while chosen := waiting.take(1, best - 1):  # those that are left have greater bounds
            for embedding in chosen:
                if embedding.id in judged:
                    continue
                judged.add(embedding.id)
                scheduled = evaluate(operator, config, embedding, below=best).scheduled
                best = min(best, scheduled.cycles if scheduled else math.inf)
        least[step] = None if math.isinf(best) else int(best)
    return least


def summary(frame: pd.DataFrame, wasted: pd.Series[bool]) -> list[str]:
    """What each class adds, as the lines of a Markdown table; none if the columns are missing.

    Means are geometric, of the reference embedding's cycles over the best ones, over the layers
    that have an embedding of the classes admitted so far.

    Args:
        frame: a table of gains with `COLUMNS`.
        wasted: the layers that the reference embedding wastes.
    """
    if not set(COLUMNS.values()) <= set(frame):
        return []
    lines = [
        "| classes admitted | the wasted layers | all layers | layers with an embedding |",
        "|---|---|---|---|",
    ]
    for step, column in COLUMNS.items():
        ratios = frame["reference_cycles"] / frame[column].astype(float)
        means = (_mean(ratios[wasted]), _mean(ratios))
        name = "tiles of one dimension an axis" if step == "tile" else f"and {step}"
        shares = f"{int(frame[column].notna().sum())} of {len(frame)}"
        lines.append(f"| {name} | {means[0]} | {means[1]} | {shares} |")
    return lines


def _mean(ratios: pd.Series[float]) -> str:
    known = [math.log(ratio) for ratio in ratios if not math.isnan(ratio)]
    return f"{math.exp(sum(known) / len(known)):.3f}" if known else "–"
