"""From what a user wishes to the embeddings that are preferred, or to why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.embedding.metrics import MORE_IS_BETTER, ROLES_BY_NAME, tensor_name
from explorer.embedding.solver import Answer
from explorer.preference.conflicts import Conflict, explain
from explorer.preference.optima import Best, Method, design, inputs_of, optimum, pareto
from explorer.preference.problem import Problem
from explorer.ranking.best_first import describe

if TYPE_CHECKING:
    import pandas as pd


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
        return f"{best.points} points, {len(best.answers)} embeddings, {proof} {how}; {rest}"


def optimize(
    problem: Problem,
    *,
    everything: bool = False,
    method: Method = "auto",
    limit: int | None = None,
) -> Optima:
    """The answers that preferences rank first; with objectives, those that none dominates.

    Args:
        problem: what is asked.
        everything: all that are ranked first, not only one.
        method: how those that none dominates are found, see `explorer.preference.optima.pareto`.
        limit: stop after so many points of the front.

    Raises:
        InputError: a name or a rule of the user's cannot be used, or the operator's layouts cannot
            be told from its access maps.
    """
    program = problem.search()
    if problem.wishes.objectives:
        best = pareto(program, method=method, limit=limit)
    else:
        best = optimum(program, everything=everything)
    if best.answers or not best.complete:
        return Optima(problem, best)
    return Optima(problem, best, explain(problem, program))
