"""From what a user wishes to the embeddings that are preferred, or to why there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from explorer.embedding.metrics import MORE_IS_BETTER, ROLES_BY_NAME, tensor_name
from explorer.embedding.solver import Answer, TooManyDigitsError
from explorer.preference.conflicts import Conflict, explain
from explorer.preference.optima import Best, Method, design, inputs_of, optimum, pareto
from explorer.preference.problem import Problem
from explorer.ranking.best_first import describe
from isa.words import counted

if TYPE_CHECKING:
    import pandas as pd


_FACTORS = 1, 4, 16
"""How many times the fewest steps are searched in turn. (What meets usual requirements, no im2col
or a given layout, has a few times as many; 64 times as many have most digits that there are.)"""


@dataclass(frozen=True, slots=True)
class Optima:
    """The outcome of `optimize`.

    Attributes:
        problem: what was asked.
        best: the answers, and what is proven of them.
        conflict: where the requirements exclude every answer, which of them and why.
    """

    problem: Problem
    best: Best
    conflict: Conflict | None = None

    @property
    def steps(self) -> int | None:
        """The most steps that one of the answers has; None if there is no answer."""
        return max((self.problem.steps(a.embedding) for a in self.best.answers), default=None)

    def frame(self) -> pd.DataFrame:
        """One row an answer: its embedding, its costs in what was asked for, and its layouts."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        return pd.DataFrame([self.row(answer) for answer in self.best.answers])

    def row(self, answer: Answer) -> dict[str, object]:
        """The columns of one answer, in the order of the table."""
        problem = self.problem
        steps = problem.steps(answer.embedding)
        found = design(problem.operator, problem.config, problem.intrinsic, answer)
        inputs = {tensor_name(*place): x for place, x in inputs_of(found).items()}
        held = {"output": found.acc, **inputs}
        names = [*ROLES_BY_NAME, *(name for name in held if name not in ROLES_BY_NAME)]
        costs = {
            name: -value if name.partition("(")[0] in MORE_IS_BETTER else value
            for name, value in sorted(answer.costs.items())
            if name not in ("steps", "utilisation")
        }
        return {
            "embedding": answer.embedding.id,
            "steps": steps,
            "utilisation": problem.utilisation(steps),
            **costs,
            **{name: held[name].name or describe(held[name]) for name in names},
            "halo": "+".join(name for name in names if held[name].halo) or None,
            "dma_padding": bool(answer.trimmed),
        }

    def summary(self) -> str:
        """What is proven, in a line."""
        best = self.best
        if best.method in ("optimum", "optima"):
            proof = "proven optimal" if best.proven else "interrupted: the best so far, not proven"
            some = best.proven and not best.complete and best.method == "optima"
            return f"{len(best.answers)} found, {proof}{'; others may be missing' if some else ''}"
        rest = "none is missing, proven" if best.complete else "others may be missing"
        proof = "each proven" if best.proven else "not proven"
        how = "by cutting off what is dominated" if best.method == "cuts" else "by enumeration"
        found = f"{counted(best.points, 'point')}, {counted(len(best.answers), 'embedding')}"
        return f"{found}, {proof} {how}; {rest}"


def optimize(
    problem: Problem,
    *,
    everything: bool = False,
    method: Method = "auto",
    limit: int | None = None,
    otherwise: Sequence[str] | None = None,
) -> Optima:
    """The answers that preferences rank first; with objectives, those that none dominates.

    Where fewer steps come before all else, only embeddings of so few are compared as are needed for
    the proof: no more than one has that meets the requirements.

    Args:
        problem: what is asked.
        everything: all that are ranked first, not only one.
        method: how those that none dominates are found, see `explorer.preference.optima.pareto`.
        limit: stop after so many points of the front.
        otherwise: the classes to make do with where it may take long to compare all of the
            problem's; the outcome's problem tells which were compared.

    Raises:
        InputError: a name or a rule of the user's cannot be used, or the operator's layouts cannot
            be told from its access maps.
        TooManyDigitsError: it takes too long to compare all classes, and there are none to make do
            with.
    """
    usual = [name for name in problem.classes if name not in ("fused", "skewed")]
    few = replace(problem, classes=usual if otherwise is None else otherwise)
    if not problem.prefers_steps:
        return _search(few if otherwise else problem, everything, method, limit)
    fewest, too_many = problem.fewest_steps(), math.inf
    for limit_of_steps in [] if fewest is None else [factor * fewest for factor in _FACTORS]:
        try:
            found = _among(problem, limit_of_steps, everything)
        except TooManyDigitsError:  # so they are where more steps are allowed
            too_many = limit_of_steps
            break
        if found is not None:
            return found
    # No embedding with so few steps meets the requirements, or there are too many. One of fewer
    # classes that meets them is found sooner, and those of all classes with more steps are worse.
    if [*few.classes] != [*problem.classes]:
        fewer = _search(few, everything, method, limit)
        if not fewer.best.proven:
            return fewer
        found = None
        if fewer.steps is not None and fewer.steps < too_many:
            with suppress(TooManyDigitsError):
                found = _among(problem, fewer.steps, everything)
        if found is not None or otherwise:
            return found or fewer
    return _search(problem, everything, method, limit)


def _search(problem: Problem, everything: bool, method: Method, limit: int | None) -> Optima:
    """What is best of all embeddings, or why there is none."""
    ranked = not problem.wishes.objectives
    program = problem.search(simplest=ranked and not everything)
    if not ranked:
        best = pareto(program, method=method, limit=limit)
    else:
        best = optimum(program, everything=everything)
    if best.answers or not best.complete:
        return Optima(problem, best)
    return Optima(problem, best, explain(problem, program))


def _among(problem: Problem, steps: int, everything: bool) -> Optima | None:
    """What is best where fewer steps come first, if it has at most so many.

    Args:
        problem: what is asked; fewer steps come first in it.
        steps: the most that are looked at.
        everything: all that are ranked first.

    Returns:
        The outcome; None if none with so few steps meets the requirements.

    Raises:
        TooManyDigitsError: those are too many to compare.
    """
    program = problem.search(within=steps, simplest=not everything)
    found = Optima(problem, optimum(program, everything=everything))
    # Digits of embeddings with few steps make embeddings with more steps, too, of which not all are
    # there to compare.
    beyond = found.steps is None or found.steps > steps
    return None if beyond and found.best.proven else found
