"""One unit of a study: an operator under one configuration, and the rows it evaluates to.

What a unit evaluates to follows from its `Unit.key`, so that it can be done anywhere, any number of
times, and kept for good.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any

from explorer.ranking.best_first import Ranking, simplicity
from explorer.ranking.candidates import Counted
from explorer.study.cost import Costs
from explorer.study.dominance import pareto_mask
from explorer.study.expression import Expression
from explorer.study.parameters import (
    IN_TURN,
    PARAMETERS,
    SCRATCHPADS,
    Point,
    configuration,
    label,
    sizes,
)
from explorer.study.shared import Shared
from explorer.study.version import model_version
from isa.computation import Epilogue, Operator, Stage, Term
from isa.config import Config
from isa.errors import InputError

if TYPE_CHECKING:
    from explorer.ranking.explore import Evaluation

Row = dict[str, Any]

OK = "ok"
UNENCODABLE = "unencodable"
UNEMBEDDABLE = "unembeddable"
EXCLUDED = "excluded"
UNFIT = "unfit"
STATUSES = {
    OK: "evaluated",
    UNENCODABLE: "no such accelerator can be encoded",
    UNEMBEDDABLE: "no embedding is legal with these classes",
    EXCLUDED: "no embedding meets the requirements",
    UNFIT: "no schedule fits the scratchpads",
}

MORE_IS_BETTER = ("utilisation", "speedup")
"""Objectives and preferences that are maximised; all others are minimised."""

_BUFFERS = ("uop", "inp", "wgt", "acc", "out", "insn")

# Name, type and meaning of every column: the schema of a part.
COLUMNS: dict[str, tuple[type, str]] = {
    "unit": (str, "key of the unit: a hash of what follows to `model`, and of the options"),
    "layer": (str, "hash of the operator, whatever its name"),
    "configuration": (str, "short name of the configuration"),
    **dict.fromkeys(PARAMETERS, (int, "parameter of the configuration")),
    "model": (str, "version of the model that evaluated it"),
    "status": (str, "ok, or why there is no result"),
    "reason": (str, "the same in words"),
    "mac_units": (int, "multiply-accumulate lanes"),
    "on_chip_bytes": (int, "bytes of all scratchpads"),
    "area": (float, "mm2, estimated"),
    "macs": (int, "multiply-accumulates whose output is kept"),
    "point": (int, "number of the point among the unit's best, from 0"),
    "embedding": (str, "id of the embedding"),
    "classes": (str, "classes the embedding belongs to"),
    "cycles": (int, "simulated cycles"),
    "reference_cycles": (int, "of the reference embedding in its fixed layouts"),
    "speedup": (float, "over the reference embedding"),
    "bound": (int, "cycles that no schedule of the embedding undercuts"),
    "proven": (bool, "whether the schedule is proven the best of its space"),
    "steps": (int, "GEMM micro-ops that multiply"),
    "utilisation": (float, "multiply-accumulates a lane and step"),
    "instructions": (int, "of the program"),
    "dram_bytes": (int, "bytes over the DRAM bus"),
    **{f"dram_{name}": (int, f"of them, {name}") for name in _BUFFERS},
    "footprint": (int, "bytes of the packed tensors in DRAM"),
    "energy": (float, "microjoules, estimated"),
    "energy_compute": (float, "of them, arithmetic"),
    "energy_sram": (float, "of them, scratchpads"),
    "energy_dram": (float, "of them, DRAM"),
    "inp": (str, "packed layout on port inp"),
    "wgt": (str, "packed layout on port wgt"),
    "out": (str, "packed layout of the output"),
    "tile": (str, "the schedule's tile"),
}
METRICS: tuple[str, ...] = tuple(
    name
    for name, (kind, _) in COLUMNS.items()
    if kind in (int, float) and name not in (*PARAMETERS, "point")
)
"""What objectives, preferences and requirements may name."""

EARLY: tuple[str, ...] = ("steps", "utilisation", "macs", "mac_units", "on_chip_bytes", "area")
"""Of these, what is known before a program is made."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a unit is evaluated.

    Attributes:
        classes: classes of embeddings besides plain tiles.
        all_tiles: every tile extent, not only those that fill the axes.
        effort: programs simulated for each design at most; None proves each one's best.
        objectives: metrics; the points that none of the candidates dominates are kept.
        preferences: metrics that order the points after the objectives.
        requirements: conditions over metrics and parameters that a point must meet.
        candidates: how many of the fastest embeddings the points are chosen from; None is all.
            With cycles as the one objective and no more to ask, 1 is enough.
        costs: what area and energy are estimated from.
    """

    classes: tuple[str, ...]
    costs: Costs
    all_tiles: bool = False
    effort: int | None = 2
    objectives: tuple[str, ...] = ("cycles",)
    preferences: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    candidates: int | None = 1

    def describe(self) -> dict[str, Any]:
        """The options as plain data, costs by name and hash: equal ones evaluate alike."""
        values = asdict(self) | {"costs": f"{self.costs.name} {self.costs.digest}"}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in sorted(values.items())}

    def conditions(self) -> list[Expression]:
        """The requirements, parsed."""
        return [Expression.parse(text, "requirements") for text in self.requirements]


def _content(stage: Stage) -> list[object]:
    """A stage as data, by the name of its type."""
    fields = asdict(stage)
    if isinstance(stage, Term):
        fields["constants"] = sorted(stage.constants)
    return [type(stage).__name__, fields]


@dataclass(frozen=True)
class Layer:
    """An operator, and the hash of what it computes (its name is no part of that)."""

    operator: Operator

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits."""
        terms = self.operator.terms
        if len(terms) > 1 or terms[0].fill is not None:
            stages = [_content(stage) for stage in self.operator.stages]
            return content_hash({"kind": self.operator.kind, "stages": stages}, 16)
        content = {
            "kind": self.operator.kind,
            "computation": asdict(self.operator.computation),
            "constants": sorted(self.operator.constants),
        }
        # Of its epilogue where it is one, not of its steps: so stored results keep their names.
        epilogue = Epilogue.of(self.operator.steps, self.operator.out)
        if epilogue is not None:
            return content_hash(content | {"epilogue": asdict(epilogue)}, 16)
        steps = [[type(step).__name__, asdict(step)] for step in self.operator.steps]
        return content_hash(content | {"steps": steps}, 16)


@dataclass(frozen=True, slots=True)
class Unit:
    """A layer under one configuration.

    Attributes:
        layer: what is computed.
        point: the configuration's parameters, whether or not they can be encoded.
        options: how it is evaluated.
        model: the version of the model that it asks for.
    """

    layer: Layer
    point: Point
    options: Options
    model: str

    @property
    def key(self) -> str:
        """32 hexadecimal digits: the hash of everything that its rows follow from."""
        content = (self.layer.id, self.point, self.options.describe(), self.model)
        return content_hash(content, 32)

    @property
    def family(self) -> tuple[object, ...]:
        """What units share that may follow from each other: all but the sizes of scratchpads."""
        return self.layer.id, *(self.point[name] for name in IN_TURN if name not in SCRATCHPADS)


def content_hash(content: object, digits: int) -> str:
    """So many hexadecimal digits, the same for the same plain data."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def evaluate(unit: Unit, known: Shared | None = None) -> list[Row]:
    """The rows of a unit: its best points, or one row that says why there is none.

    Args:
        unit: what is asked.
        known: what units before it have found, and this one adds to; the rows do not depend on it.

    Raises:
        InputError: this process has another version of the model than the unit asks for.
    """
    if model_version() != unit.model:
        allowed = f"this process has {model_version()}; install one version everywhere"
        raise InputError("model version", "", unit.model, allowed)
    shared = _shared(unit)
    try:
        config = configuration(unit.point)
    except InputError as error:
        reason = f"{error.field} = {error.value}: {error.allowed}"
        return [shared | {"status": UNENCODABLE, "reason": reason}]
    operator, options, known = unit.layer.operator, unit.options, known or Shared()
    try:
        block = known.block(unit.layer.id, operator, config, options.classes, options.all_tiles)
    except InputError as error:
        return [shared | {"status": UNEMBEDDABLE, "reason": str(error)}]
    conditions = options.conditions()
    values = shared | unit.point
    early = [c for c in conditions if c.names <= {*EARLY, *PARAMETERS}]
    found = kept = block.prepared.counted
    if early:
        steps = ((item, _steps(operator, config, item[0])) for item in found.items)
        kept = Counted(tuple(item for item, row in steps if _meets(early, values | row)))
    if not len(kept):
        return [shared | {"status": EXCLUDED, "reason": _unmet(early, len(found))}]
    ranking = block.rank(config, kept, options.candidates, options.effort)
    rows = [shared | row for row in _rows(ranking, options.costs)]
    if not rows:
        reason = f"none of {len(kept)} embeddings has a schedule that fits the scratchpads"
        return [shared | {"status": UNFIT, "reason": reason}]
    chosen = [row for row in rows if _meets(conditions, row | unit.point)]
    if not chosen:
        return [shared | {"status": EXCLUDED, "reason": _unmet(conditions, len(rows))}]
    for name in options.objectives:  # no speedup where the reference has no schedule that fits
        chosen = [row for row in chosen if not math.isnan(row[name])]
        if not chosen:
            return [shared | {"status": EXCLUDED, "reason": f"no candidate has a {name}"}]
    return best(chosen, options)


_KNOWN = Shared()


def evaluate_in_turn(unit: Unit) -> list[Row]:
    """The same; what is found is kept for the next unit that this process evaluates."""
    return evaluate(unit, _KNOWN)


def best(rows: Sequence[Row], options: Options) -> list[Row]:
    """The rows that none dominates in the objectives, the best in the first one first.

    Of rows that are equal in all objectives, only one is kept: what is preferred, else the first,
    which is the simplest.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and only here

    keys = [*options.objectives, *options.preferences]
    ordered = sorted(rows, key=lambda row: tuple(_signed(row, key) for key in keys))
    distinct: dict[tuple[Any, ...], Row] = {}
    for row in ordered:
        distinct.setdefault(tuple(row[name] for name in options.objectives), row)
    table = pd.DataFrame(list(distinct), columns=list(options.objectives))
    up = [name for name in options.objectives if name in MORE_IS_BETTER]
    down = [name for name in options.objectives if name not in MORE_IS_BETTER]
    front = compress(distinct.values(), pareto_mask(table, down, up))
    return [row | {"point": number} for number, row in enumerate(front)]


def _signed(row: Row, name: str) -> Any:
    return -row[name] if name in MORE_IS_BETTER else row[name]


def _shared(unit: Unit) -> Row:
    """The columns that all rows of a unit share."""
    size = sizes(unit.point)
    return {
        "unit": unit.key,
        "layer": unit.layer.id,
        "configuration": label(unit.point),
        **unit.point,
        "model": unit.model,
        "status": OK,
        "reason": "",
        "mac_units": _whole(size["mac_units"]),
        "on_chip_bytes": _whole(size["on_chip_bytes"]),
        "area": unit.options.costs.area(unit.point),
        "macs": unit.layer.operator.useful_macs,
    }


def _whole(number: float) -> int | None:
    """An integer of a column, or None where no configuration can be so large."""
    return int(number) if number < 2**63 else None


def _steps(operator: Operator, config: Config, steps: int) -> Row:
    return {"steps": steps, "utilisation": _utilisation(operator, config, steps)}


def _utilisation(operator: Operator, config: Config, steps: int) -> float:
    return operator.useful_macs / (steps * config.batch * config.block_in * config.block_out)


def _rows(ranking: Ranking, costs: Costs) -> Iterator[Row]:
    """The ranked embeddings, the reference in its fixed layouts where those are better."""
    fixed = ranking.reference
    evaluations = {e.embedding: e for e in ranking.evaluations}
    if fixed and fixed.scheduled:
        rival = evaluations.get(fixed.embedding, fixed)
        if rival.scheduled is None or fixed.scheduled.cycles <= rival.scheduled.cycles:
            evaluations[fixed.embedding] = fixed
    known = fixed.embedding if fixed else None
    for evaluation in sorted(
        evaluations.values(), key=lambda e: simplicity(e.embedding, known)
    ):  # the first of equal rows is kept
        yield _row(ranking, evaluation, costs) | {"reference_cycles": ranking.base}


def _row(ranking: Ranking, evaluation: Evaluation, costs: Costs) -> Row:
    row = ranking.row(evaluation)
    assert evaluation.scheduled is not None
    counts = evaluation.scheduled.timing.counts
    energy = costs.energy(ranking.config, counts, evaluation.design.steps)
    row |= {f"dram_{name}": counts.bytes[name] for name in _BUFFERS}
    row |= {
        "energy": energy.total,
        "energy_compute": energy.compute,
        "energy_sram": energy.sram,
        "energy_dram": energy.dram,
    }
    return {name: value for name, value in row.items() if name in COLUMNS}


def _meets(conditions: Sequence[Expression], values: Mapping[str, Any]) -> bool:
    return all(condition.holds(values) for condition in conditions)


def _unmet(conditions: Sequence[Expression], count: int) -> str:
    texts = " and ".join(condition.text for condition in conditions)
    return f"none of {count} candidates has {texts}"
