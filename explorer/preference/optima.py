"""The preferable part of the space: optima, and the answers that none dominates, with proof.

The solver decides what is better; this module asks it, and keeps account of what is proven.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from operator import le
from typing import Literal

from explorer.embedding.control import held_back
from explorer.embedding.facts import named
from explorer.embedding.solver import Answer, Found, Model, Solver, Values
from explorer.layout.design import Design, designs
from explorer.layout.packed import Layout
from isa.computation import ROLES, Computation, Operator, Role
from isa.config import Config

Method = Literal["auto", "cuts", "enumerate"]
FEW = 300  # answers that are compared sooner than cut


@dataclass(frozen=True, slots=True)
class Best:
    """Answers that preferences rank first, or that none dominates.

    Attributes:
        answers: sorted, a Pareto set by its objectives, and then by embedding and layouts.
        points: number of different values of the objectives or preferences among the answers.
        proven: whether it is shown that none is better than any of them.
        complete: whether it is shown that none is missing.
        method: "optimum" (one), "optima" (all), or how a Pareto set was found, "enumerate" or
            "cuts".
    """

    answers: tuple[Answer, ...]
    points: int
    proven: bool
    complete: bool
    method: str


def optimum(program: Solver, *, everything: bool = False, waived: Collection[str] = ()) -> Best:
    """An answer that the preferences rank first, or all such; none if none meets the requirements.

    Ctrl-C ends the search; the best answer so far is then given as not proven.
    """
    found = program.solve("opt", waived=waived)
    proven, complete = found.exhausted, found.exhausted and not found.models
    if proven and found.models and everything:
        every = program.solve("optN", waived=waived)
        found, complete = (every if every.models else found), every.exhausted
    with held_back():
        answers = sorted((program.answer(symbols) for _, symbols in found.models), key=_identity)
    method = "optima" if everything else "optimum"
    return Best(tuple(answers), min(1, len(answers)), proven, complete, method)


def pareto(program: Solver, *, method: Method = "auto", limit: int | None = None) -> Best:
    """The answers that none dominates in the objectives.

    All methods give the same set. Enumeration compares all answers, and proves nothing before it
    has seen the last. Cuts find one point at a time, each proven when it is found: the answers that
    are least in the first objective, among those in the second, and so on; what they dominate is
    cut off, until nothing is left. Ctrl-C ends the search; what was found so far is given.

    Args:
        program: a problem with objectives.
        method: "auto" enumerates up to `FEW` answers, and cuts where there are more.
        limit: stop after so many points.
    """
    if method == "auto":
        found = program.solve("enum", most=FEW)
        if found.exhausted or found.interrupted:
            return _compared(program, found, limit)
    if method == "enumerate":
        return _compared(program, program.solve("enum"), limit)
    return _cut(program, limit)


def _compared(program: Solver, found: Found, limit: int | None) -> Best:
    """The Pareto set among answers that were enumerated."""
    front = minima(values for values, _ in found.models)
    kept = set(front[:limit])
    models = [(values, symbols) for values, symbols in found.models if values in kept]
    complete = found.exhausted and len(kept) == len(front)
    return _front(program, models, found.exhausted, complete, "enumerate")


def minima(values: Iterable[Values]) -> list[Values]:
    """The values that no other one dominates, each once, in lexicographic order."""
    front: list[Values] = []
    for value in sorted(set(values)):  # none is dominated by a later one
        if not any(all(map(le, other, value)) for other in front):
            front.append(value)
    return front


def _cut(program: Solver, limit: int | None) -> Best:
    """The Pareto set by cutting off what its points dominate, one after the other."""
    models: list[Model] = []
    complete = False
    with suppress(KeyboardInterrupt):  # one that comes between two runs of the solver
        for point in count():
            if point == limit:
                break
            found = program.solve("optN")
            models += found.models
            complete = found.exhausted and not found.models
            if complete or not found.exhausted:
                break
            program.cut(point, found.models[0][0])
    return _front(program, models, True, complete, "cuts")


def _front(
    program: Solver, models: Sequence[Model], proven: bool, complete: bool, method: str
) -> Best:
    points = len({values for values, _ in models})
    with held_back():
        answers = [(values, program.answer(symbols)) for values, symbols in models]
    ordered = sorted(answers, key=lambda found: (found[0], _identity(found[1])))
    return Best(tuple(answer for _, answer in ordered), points, proven, complete, method)


def _identity(answer: Answer) -> tuple[str, list[str], list[str]]:
    return answer.embedding.id, sorted(answer.shared), sorted(answer.trimmed)


def inputs_of(design: Design) -> dict[tuple[Role, int], Layout]:
    """The layouts of the inputs of each term, by their role and the term's number, from 0."""
    found: dict[tuple[Role, int], Layout] = {}
    for term, pair in enumerate(((design.inp, design.wgt), *design.further)):
        roles = {layout.role: layout for layout in pair}
        found |= {(role, term): roles[role] for role in ROLES if role in roles}
    return found


def design(operator: Operator, config: Config, intrinsic: Computation, answer: Answer) -> Design:
    """The layouts that an answer stands for."""
    for found in designs(operator, config, intrinsic, answer.embedding):
        inputs = inputs_of(found)
        shared = {str(named(*place)) for place, x in inputs.items() if x.halo}
        trimmed = {str(named(*place)) for place, x in inputs.items() if x.is_padded}
        if shared == answer.shared and trimmed == answer.trimmed:
            return found
    raise AssertionError(f"no layouts of {answer.embedding.id} are those of {answer}")
