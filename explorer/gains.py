"""Whole workloads: what the best embedding gains on every layer, and what the gain is made of.

Four programs of a layer are timed by the same model: TVM's template with its best tiling; the
reference embedding in TVM's layouts under our scheduler; that embedding in its best layouts; and
the best embedding. The steps between them are what scheduling, layout and embedding gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer import explore
from explorer.baselines import search as tvm
from explorer.explore import Evaluation
from explorer.facts import DEFAULT_CLASSES
from explorer.ranking import rank
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

WASTED = 0.5
"""Utilisation of the reference embedding below which a layer counts as one that it wastes."""


@dataclass(frozen=True, slots=True)
class Gain:
    """One layer.

    Attributes:
        operator: the layer, named by its reference.
        tvm: cycles of TVM's template with its best tiling; None where the template has none.
        reference: the reference embedding in TVM's layouts.
        relayout: the reference embedding in its best layouts.
        best: the best embedding.
    """

    operator: Operator
    config: Config
    tvm: int | None
    reference: Evaluation
    relayout: Evaluation
    best: Evaluation

    def row(self) -> dict[str, object]:
        """The layer as a row of the table; cycles are simulated, bytes move over the DRAM bus."""
        timing = self.best.code, self.best.scheduled
        assert timing[1] is not None
        cycles = {
            "tvm_cycles": self.tvm,
            "reference_cycles": _cycles(self.reference),
            "relayout_cycles": _cycles(self.relayout),
            "best_cycles": _cycles(self.best),
        }
        tvm_cycles, reference, relayout, best = cycles.values()
        return {
            "layer": self.operator.name,
            "macs": self.operator.computation.macs,
            "embedding": self.best.embedding.id,
            **cycles,
            "bound": self.best.bound,
            "proven": self.best.proven,
            "reference_utilisation": _utilisation(self.reference, self.config),
            "best_utilisation": _utilisation(self.best, self.config),
            "over_tvm": _ratio(tvm_cycles, best),
            "over_reference": _ratio(reference, best),
            "by_schedule": _ratio(tvm_cycles, reference),
            "by_layout": _ratio(reference, relayout),
            "by_embedding": _ratio(relayout, best),
            "over_bound": _ratio(best, self.best.bound),
            "reference_bytes": _bytes(self.reference),
            "best_bytes": _bytes(self.best),
        }


def _cycles(evaluation: Evaluation) -> int | None:
    return evaluation.scheduled.cycles if evaluation.scheduled else None


def _bytes(evaluation: Evaluation) -> int | None:
    return sum(evaluation.scheduled.timing.bytes.values()) if evaluation.scheduled else None


def _utilisation(evaluation: Evaluation, config: Config) -> float | None:
    if evaluation.scheduled is None:
        return None
    lanes = config.batch * config.block_in * config.block_out
    design = evaluation.design
    return design.operator.computation.macs / (design.nest.steps * lanes)


def _ratio(one: int | None, other: int | None) -> float | None:
    return one / other if one and other else None


def gain(
    operator: Operator, config: Config, classes: Sequence[str] = DEFAULT_CLASSES, jobs: int = 1
) -> Gain:
    """Time the four programs of a layer."""
    fixed = explore.reference(operator, config)
    ranking = rank(
        operator, config, explore.embeddings(operator, config, classes), top=1, jobs=jobs
    )
    relayout = explore.evaluate(operator, config, fixed)
    # The default classes leave out what does not fill the axes, which the reference may not.
    candidates = [*ranking.evaluations, relayout]
    best = min((e for e in candidates if e.scheduled), key=lambda e: _cycles(e) or math.inf)
    try:
        template = tvm.best(operator, config)
    except InputError:  # not a convolution or product that the template knows
        template = None
    return Gain(
        operator, config, template.cycles if template else None, ranking.reference, relayout, best
    )


def table(
    operators: Iterable[Operator],
    config: Config,
    classes: Sequence[str] = DEFAULT_CLASSES,
    jobs: int = 1,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Iterator[dict[str, object]]:
    """The rows of a workload; layers that are the same computation are timed once."""
    seen: dict[object, dict[str, object]] = {}
    for operator in operators:
        key = (operator.computation, operator.epilogue)
        if key not in seen:
            seen[key] = gain(operator, config, classes, jobs).row()
        yield {**seen[key], "layer": operator.name}
        on_progress(1)


def summary(frame: pd.DataFrame) -> list[str]:
    """The headline: geometric means over all layers and over those that the reference wastes."""
    lines = []
    wasted = frame[frame["reference_utilisation"] < WASTED]
    for title, part in ((f"all {len(frame)} layers", frame), (
        f"the {len(wasted)} layers that the reference uses less than {WASTED:.0%} of", wasted
    )):  # fmt: skip
        if len(part):
            lines.append(
                f"{title}: {_geomean(part['over_reference']):.2f} times the speed of the "
                f"reference embedding, {_geomean(part['over_tvm']):.2f} times TVM's template"
            )
    for column, base in (
        ("over_reference", "the reference embedding"),
        ("over_tvm", "TVM's template"),
    ):
        if frame[column].notna().any():
            top = frame.iloc[int(frame[column].argmax())]
            lines.append(f"largest over {base}: {top[column]:.1f} on {top['layer']}")
    lines.append(f"best cycles are {_geomean(frame['over_bound']):.4f} of their lower bounds")
    return lines


def _geomean(values: pd.Series[float]) -> float:
    known = [math.log(v) for v in values if not math.isnan(v)]
    return math.exp(sum(known) / len(known)) if known else math.nan
