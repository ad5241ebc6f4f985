"""The map: every embedding of an operator as a point, with everything that follows from it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.several import term_by_term
from explorer.embedding.virtual_loops import Nest, Row, nest
from explorer.layout.contents import contents, is_in_place
from explorer.layout.design import Design
from explorer.layout.packed import Layout
from explorer.ranking.best_first import Ranking, describe, footprint
from explorer.ranking.explore import Evaluation, gemm_intrinsic
from explorer.report.describe import (
    instruction_lines,
    layout_lines,
    loop_lines,
    schedule_lines,
)
from explorer.report.pages.document import document
from explorer.report.timeline import STATES, shares
from isa.codec import Queue
from isa.computation import ROLES, Affine, Computation
from simulator.lint import PORTABLE
from simulator.timing import spans

TOP = 50  # of the best, timelines are kept, and of each front
STRIPES = 240  # of a timeline
REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Metric:
    """What a point can be placed by.

    Attributes:
        name: its name in tables.
        unit: what it counts.
        meaning: it in a sentence.
        more: whether more is better.
    """

    name: str
    unit: str
    meaning: str
    more: bool = False


METRICS = (
    Metric("cycles", "cycles", "simulated cycles of the best program found"),
    Metric("bound", "cycles", "cycles that no program of the embedding undercuts"),
    Metric("steps", "steps", "issues of the instruction"),
    Metric("footprint", "bytes", "bytes of the packed tensors"),
    Metric(
        "duplication", "elements", "packed elements beyond one copy of each that the operator uses"
    ),
    Metric(
        "transform", "elements", "elements that the host moves to pack inputs and unpack outputs"
    ),
    Metric("dram_bytes", "bytes", "bytes that the program moves to and from DRAM"),
    Metric("utilisation", "share", "share of lanes that work", more=True),
)
SCRIPTS = ("common", "chart", "lanes", "details", "table", "map")


def words(operator: str, config: str, target: str, safe_distance: int) -> list[str]:
    """How a command about one embedding begins: what is not as usual, and the operator."""
    options = (
        ("--config", config, "default"),
        ("--target", target, PORTABLE),
        ("--safe-distance", str(safe_distance), "1"),
    )
    given = [(name, value) for name, value, usual in options if value != usual]
    return [*(word for pair in given for word in pair), operator]


def page(
    ranking: Ranking, command: Sequence[str], on_progress: Callable[[int], None] = lambda _: None
) -> str:
    """The map of a ranking as a page; see `data`."""
    title = f"{ranking.operator.name} on {ranking.config.name}"
    return document(title, "map", SCRIPTS, data(ranking, title, command, on_progress))


def data(
    ranking: Ranking, title: str, command: Sequence[str], on_progress: Callable[[int], None]
) -> dict[str, Any]:
    """What the map of a ranking shows.

    Args:
        ranking: of all embeddings.
        title: what the map is called.
        command: what `words` gives; an id follows in the commands that the page shows.
        on_progress: told how many embeddings have just been described.
    """
    evaluations = list(ranking.evaluations)
    if ranking.reference and ranking.reference.scheduled is not None:
        evaluations.append(ranking.reference)
    held = _Held()
    values = [_values(ranking, evaluation, held) for evaluation in evaluations]
    columns = {m.name: [row[m.name] for row in values] for m in METRICS}
    details = []
    for evaluation in evaluations:
        details.append(_details(evaluation, held))
        on_progress(int(evaluation is not ranking.reference))
    names = [e.embedding.id for e in ranking.evaluations]
    names += [REFERENCE] * (len(evaluations) - len(names))
    points = {
        "id": names,
        "classes": ["+".join(e.embedding.classes) for e in evaluations],
        "layouts": [[held.place(x) for x in _layouts(e.design)] for e in evaluations],
        "proven": [int(e.proven) for e in evaluations],
        "metrics": columns,
    }
    return {
        "about": _about(ranking, title, command, held),
        "points": points,
        "details": details,
        "timelines": _timelines(evaluations, columns, len(ranking.evaluations)),
    }


class _Held:
    """Layouts by number, and what each holds: many embeddings have the same ones."""

    def __init__(self) -> None:
        self._place: dict[Layout, int] = {}
        self.duplication = cache(lambda layout: contents(layout).duplication)
        self.moved = cache(lambda layout: 0 if is_in_place(layout) else contents(layout).size)

    def place(self, layout: Layout) -> int:
        """The layout's number."""
        return self._place.setdefault(layout, len(self._place))

    def texts(self) -> Iterator[dict[str, Any]]:
        """The layouts in the order of their numbers."""
        for layout in self._place:
            yield {
                "name": describe(layout),
                "port": layout.port,
                "tensor": layout.tensor.name,
                "entries": layout.entries,
                "lines": list(layout_lines(layout)),
            }


def _values(ranking: Ranking, evaluation: Evaluation, held: _Held) -> dict[str, Any]:
    """The metrics of one evaluation."""
    design = evaluation.design
    row = ranking.row(evaluation)
    pairs = ((design.inp, design.wgt), *design.further)
    packed = [
        layout
        for pair, term in zip(pairs, design.operator.terms, strict=True)
        for layout in pair
        if layout.role not in term.constants
    ]
    packed.append(design.acc)
    return row | {
        "bound": evaluation.bound,
        "footprint": footprint(evaluation),
        "duplication": sum(map(held.duplication, _layouts(design))),
        "transform": sum(map(held.moved, packed)),
        "utilisation": float(f"{row['utilisation']:.6g}"),
    }


def _layouts(design: Design) -> list[Layout]:
    """The layouts of a design's terms: those on ports inp, wgt and acc; then further inputs."""
    return [*design.layouts, *(layout for pair in design.further for layout in pair)]


def _about(ranking: Ranking, title: str, command: Sequence[str], held: _Held) -> dict[str, Any]:
    """What holds for all points."""
    return {
        "title": title,
        "command": shlex.join(command),
        "total": ranking.total,
        "unfit": ranking.unfit,
        "unproven": sum(not e.proven for e in ranking.evaluations),
        "base": ranking.base,
        "reference": ranking.reference.embedding.id if ranking.base and ranking.reference else None,
        "metrics": [[m.name, m.unit, m.meaning, m.more] for m in METRICS],
        "states": STATES,
        "layouts": list(held.texts()),
        "machine": _machine(gemm_intrinsic(ranking.config)),
        "terms": [_operator(term.computation) for term in ranking.operator.terms],
    }


def _machine(intrinsic: Computation) -> dict[str, Any]:
    """The instruction's axes, and which of them each port has."""
    ports = [
        [port.name, role, [i for i, a in enumerate(intrinsic.dims) if port.varies({a.name: 1})]]
        for role in ROLES
        for port in [intrinsic.tensor(role)]
    ]
    return {"axes": [[a.name, a.extent] for a in intrinsic.dims], "ports": ports}


def _operator(operator: Computation) -> dict[str, Any]:
    """The operator's dimensions, and its tensors with their access maps over these."""
    place = {d.name: i for i, d in enumerate(operator.dims)}
    tensors = {}
    for role in ROLES:
        tensor = operator.tensor(role)
        rows = [_affine(row, place) for row in tensor.index]
        tensors[role] = {"name": tensor.name, "shape": list(tensor.shape), "rows": rows}
    return {"dims": [[d.name, d.extent] for d in operator.dims], "tensors": tensors}


def _affine(row: Affine, place: Mapping[str, int]) -> list[Any]:
    """A sum as its constant and pairs of what it sums, by number, and how often."""
    return [row.const, [[place[name], factor] for name, factor in row.terms]]


def _row(row: Row, place: Mapping[str, int]) -> list[Any]:
    """A row as its affine part and its quasi-affine terms: factor, sum, divisor, modulus."""
    terms = [[f, _affine(q.value, place), q.divisor, q.modulus] for f, q in row.terms]
    return [_affine(row.affine, place), terms]


def _loops(nest: Nest, swapped: bool) -> list[Any]:
    """The virtual loops: outer ones, lanes, rows of the dimensions, pairs of equal lanes."""
    place = {loop.name: i for i, loop in enumerate((*nest.outer, *nest.lanes))}
    return [
        [[loop.name, loop.extent] for loop in nest.outer],
        [[loop.name, loop.extent, loop.axis, loop.stride] for loop in nest.lanes],
        [_row(row, place) for row in nest.dims.values()],
        [[place[a], place[b]] for a, b in nest.equal],
        int(swapped),
    ]


def _details(evaluation: Evaluation, held: _Held) -> list[Any]:
    """What a click on a point shows, but for its layouts, which points refer to."""
    assert evaluation.scheduled is not None
    code, timing = evaluation.code, evaluation.scheduled.timing
    for layout in _layouts(code.design):
        held.place(layout)
    each = term_by_term(evaluation.embedding, code.design.operator)
    modules = [timing.load, timing.compute, timing.store]
    return [
        [_loops(nest(embedding, term), embedding.swapped) for embedding, term in each],
        list(loop_lines(code.design.nest, code.design.steps)),
        list(schedule_lines(code)),
        list(instruction_lines(code)),
        [[m.busy, m.waiting_for_token, m.waiting_for_bus, m.idle] for m in modules],
        timing.read_beats,
        [[name, count] for name, count in timing.bytes.items()],
    ]


def _timelines(
    evaluations: Sequence[Evaluation], columns: Mapping[str, list[Any]], ranked: int
) -> dict[str, Any]:
    """What the modules do over time, in percent: of the best, all fronts, and the reference."""
    chosen = {*range(min(TOP, ranked)), *range(ranked, len(evaluations))}
    for x, y in combinations(METRICS, 2):
        costs = [np.array(columns[m.name][:ranked], float) * (-1 if m.more else 1) for m in (x, y)]
        chosen.update(front(*costs))
    found = {}
    for place in sorted(chosen):
        code = evaluations[place].code
        parts = shares(spans(code.design.config, code.table), STRIPES)[:, : len(STATES) - 1]
        found[str(place)] = np.rint(parts * 100).astype(int).tolist()
    return {"modules": [queue.name.lower() for queue in Queue], "of": found}


def front(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[int]:
    """The points that no other beats in two costs; of points with equal costs, the first one."""
    found: list[int] = []
    for place in np.lexsort((np.arange(len(x)), y, x)).tolist():
        if not found or y[place] < y[found[-1]]:
            found.append(place)
    return found
