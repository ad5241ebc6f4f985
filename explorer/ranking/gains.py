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

from explorer.baselines import template_search as tvm
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.program import verification
from explorer.ranking import class_gains, explore
from explorer.ranking.best_first import rank, simplicity
from explorer.ranking.explore import Evaluation
from explorer.ranking.workers import pool
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.words import counted

if TYPE_CHECKING:
    import pandas as pd

WASTED = 0.5
"""Utilisation of the reference embedding below which a layer counts as one that it wastes."""
NEAR = 1.1
"""Cycles over their lower bound above which a layer is counted as far from it."""
_BASES = {"over_reference": "the reference embedding", "over_tvm": "TVM's template"}


@dataclass(frozen=True, slots=True)
class Gain:
    """One layer.

    Attributes:
        operator: the layer, named by its reference.
        tvm: cycles of TVM's template with its best tiling; None where the template has none.
        reference: the reference embedding in TVM's layouts; None where TVM has none.
        relayout: the reference embedding in its best layouts; None alike.
        best: the best embedding.
    """

    operator: Operator
    config: Config
    tvm: int | None
    reference: Evaluation | None
    relayout: Evaluation | None
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
            "macs": self.operator.useful_macs,
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


def _cycles(evaluation: Evaluation | None) -> int | None:
    return evaluation.cycles if evaluation else None


def _bytes(evaluation: Evaluation | None) -> int | None:
    if evaluation is None or evaluation.scheduled is None:
        return None
    return sum(evaluation.scheduled.timing.bytes.values())


def _utilisation(evaluation: Evaluation | None, config: Config) -> float | None:
    if evaluation is None or evaluation.scheduled is None:
        return None
    lanes = config.batch * config.block_in * config.block_out
    design = evaluation.design
    return design.operator.useful_macs / (design.steps * lanes)


def _ratio(one: int | None, other: int | None) -> float | None:
    return one / other if one and other else None


def gain(operator: Operator, config: Config, classes: Sequence[str] = DEFAULT_CLASSES) -> Gain:
    """Time the four programs of a layer.

    Raises:
        InputError: no embedding has a schedule that fits the machine.
    """
    ranking = rank(operator, config, explore.ascending(operator, config, classes), top=1, jobs=1)
    fixed = ranking.reference.embedding if ranking.reference else None
    relayout = explore.evaluate(operator, config, fixed) if fixed else None
    # The space leaves out embeddings that do not fill the axes, and the DRAM orders that TVM fixes.
    candidates = (*ranking.evaluations, relayout, ranking.reference)
    fitting = [e for e in candidates if e and e.scheduled]
    if not fitting:
        raise InputError(operator.name, "", config.name, "no embedding has a schedule that fits")
    best = min(fitting, key=lambda e: (_cycles(e), simplicity(e.embedding, fixed)))
    try:
        template = tvm.best(operator, config)
    except InputError:  # not a convolution or product that the template knows
        template = None
    return Gain(
        operator, config, template.cycles if template else None, ranking.reference, relayout, best
    )


def _row(
    operator: Operator, config: Config, classes: Sequence[str], verify: bool
) -> dict[str, object]:
    found = gain(operator, config, classes)
    row = found.row()
    if set(classes) >= set(class_gains.ORDER):
        known = [e for e in (found.relayout, found.reference) if e]
        least = class_gains.by_class(operator, config, known)
        row |= {class_gains.COLUMNS[step]: cycles for step, cycles in least.items()}
    if verify:
        verdict = verification.verify(
            found.best.code, verification.random_data(operator), accumulators=False
        )
        row["exact"] = verdict.exact
    return row


def table(
    operators: Iterable[Operator],
    config: Config,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    verify: bool = False,
    jobs: int = 1,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Iterator[dict[str, object]]:
    """The rows of a workload; layers that are the same computation are timed once.

    Args:
        operators: the layers.
        config: what they are compiled for.
        classes: of embeddings.
        verify: execute each winner's program on random data, and tell whether every bit is right.
        jobs: worker processes (1: none but this); the rows do not depend on their number.
        on_progress: told how many layers have just been dealt with.

    Raises:
        InputError: a layer has no program.
    """
    layers = [(operator, operator.stages) for operator in operators]
    distinct = {key: operator for operator, key in reversed(layers)}
    if jobs == 1:  # in this process, so that a script needs no guard for workers that import it
        known: dict[object, dict[str, object]] = {}
        for operator, key in layers:
            if key not in known:
                known[key] = _row(distinct[key], config, classes, verify)
            yield {**known[key], "layer": operator.name}
            on_progress(1)
        return
    with pool(jobs, __name__) as executor:
        rows = {
            key: executor.submit(_row, operator, config, classes, verify)
            for key, operator in reversed(distinct.items())
        }
        for operator, key in layers:
            yield {**rows[key].result(), "layer": operator.name}
            on_progress(1)


def measured(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Rows of `table` as a frame; a baseline that no layer has is a column of numbers, too."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    frame = pd.DataFrame(rows)
    return frame.astype({name: float for name in frame if frame[name].isna().all()})


def summary(frame: pd.DataFrame) -> list[str]:
    """The headline: geometric means over all layers and over those that the reference wastes."""
    wasted = frame[frame["reference_utilisation"] < WASTED]
    parts = {
        f"all {len(frame)} layers" if len(frame) > 1 else "the only layer": frame,
        f"the {counted(len(wasted), 'layer that uses', 'layers that use')} less than "
        f"{WASTED:.0%} of the machine under the "
        "reference embedding": wasted,
    }
    lines = [f"{_speeds(part)} on {title}" for title, part in parts.items() if len(part)]
    for column, base in _BASES.items():
        if frame[column].notna().any():
            top = frame.iloc[int(frame[column].argmax())]
            lines.append(f"largest over {base}: {top[column]:.1f} on {top['layer']}")
            slower = int((frame[column] < 1).sum())
            lines.append(f"slower than {base}: {counted(slower, 'layer')}")
    far = int((frame["over_bound"] > NEAR).sum())
    lines.append(
        f"best cycles over their lower bounds: {_geomean(frame['over_bound']):.4f}; "
        f"{counted(far, 'layer')} above {NEAR}"
    )
    if "exact" in frame:
        lines.append(f"winners executed bit-exactly: {int(frame['exact'].sum())} of {len(frame)}")
    return lines


def class_table(frame: pd.DataFrame) -> list[str]:
    """What each class of embeddings adds, as a Markdown table; see `class_gains.summary`."""
    return class_gains.summary(frame, frame["reference_utilisation"] < WASTED)


def _speeds(part: pd.DataFrame) -> str:
    """The geometric means, each over the layers that have such a baseline."""
    said = []
    for column, base in _BASES.items():
        known = int(part[column].notna().sum())
        some = f" ({counted(known, 'layer')})" if known < len(part) else ""
        said += [f"{_geomean(part[column]):.2f} times {base}{some}"] if known else []
    return " and ".join(said) or "no baseline"


def _geomean(values: pd.Series[float]) -> float:
    known = [math.log(v) for v in values if not math.isnan(v)]
    return math.exp(sum(known) / len(known)) if known else math.nan
