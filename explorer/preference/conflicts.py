"""Requirements that no embedding meets: which of them conflict, and what giving up each one takes.

The solver says which requirements exclude every answer (an unsatisfiable core), and what is found
nearest to each one that is given up; the encodings say by which metric nearness is told
(``concerns``), and what the answer lacks. This module puts it in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from explorer.embedding.facts import metric_term, requirement_term
from explorer.embedding.metrics import MORE_IS_BETTER, Metric
from explorer.embedding.shortfalls import shortfalls, words
from explorer.embedding.solver import Answer, Solver
from explorer.preference.problem import Problem

UTILISATION = Metric("utilisation")


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The nearest answer once a requirement of a conflict is given up.

    Attributes:
        given_up: what is given up, as the user wrote it.
        metric: what tells how far an answer is from it.
        value: the best value of the metric.
        answer: an answer with this value, of those one with the fewest steps.
        utilisation: the share of lanes that work in it.
        lacks: what is missing to the requirement, in words.
        suffices: whether the answer meets all other requirements, or only those of the conflict.
    """

    given_up: str
    metric: Metric
    value: float
    answer: Answer
    utilisation: float
    lacks: tuple[str, ...]
    suffices: bool

    def line(self) -> str:
        """The relaxation in a sentence."""
        best = "best" if self.metric.name in MORE_IS_BETTER else "least"
        text = f"without {self.given_up}, the {best} {self.metric} is {_number(self.value)}"
        text += f" ({self.answer.embedding.id}"
        if self.metric != UTILISATION:
            text += f", utilisation {self.utilisation:.4g}"
        text += ")" + "".join(f"; {reason}" for reason in self.lacks)
        return text if self.suffices else f"{text}; other requirements would still conflict"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Requirements that no answer meets together, each of which can be met without the others.

    Attributes:
        operator: the operator's name.
        requirements: as the user wrote them; none if there are no answers at all.
        relaxations: what is found without each, in their order.
        freest: where one requirement by itself cannot be met, what is found without any.
    """

    operator: str
    requirements: tuple[str, ...]
    relaxations: tuple[Relaxation, ...]
    freest: Relaxation | None = None

    def lines(self) -> list[str]:
        """The conflict in sentences."""
        if not self.requirements:
            return [f"no embedding of {self.operator} has these classes alone"]
        names = " and ".join(self.requirements)
        verb = "cannot be met" if len(self.requirements) == 1 else "conflict"
        found = [*self.relaxations, *([self.freest] if self.freest else [])]
        return [f"{names} {verb}", *(f"  {relaxation.line()}" for relaxation in found)]


def explain(problem: Problem, program: Solver) -> Conflict:
    """A conflict among the requirements of a problem without answers.

    Args:
        problem: what is asked.
        program: it, grounded.

    Raises:
        KeyboardInterrupt: the user ended the search.
    """
    texts = {str(requirement_term(r)): r.text for r in problem.wishes.requirements}
    names = conflict(program)
    given = program.requirements.keys()
    relaxations = []
    freest = None
    for name in names:
        metric = program.concerns[name]
        wishes = replace(problem.wishes, objectives=tuple(dict.fromkeys((metric, UTILISATION))))
        relaxed = replace(problem, wishes=wishes).search(
            "entries/optimize-relaxed.lp", simplest=True
        )
        text = texts.get(name, words(name))
        # All others are kept; where nothing meets them, those of the conflict.
        found = _nearest(problem, relaxed, metric, name, text, {name})
        if found is None:
            others = given - (set(names) - {name})
            found = _nearest(problem, relaxed, metric, name, text, others)
            assert found is not None, f"{names} is no minimal conflict"
            found = replace(found, suffices=False)
        relaxations.append(found)
        if len(names) == 1 and len(given) > 1:
            freest = _nearest(problem, relaxed, metric, name, "any requirement", given)
    listed = tuple(texts.get(name, words(name)) for name in names)
    return Conflict(problem.operator.name, listed, tuple(relaxations), freest)


def _nearest(
    problem: Problem,
    relaxed: Solver,
    metric: Metric,
    name: str,
    text: str,
    waived: Collection[str],
) -> Relaxation | None:
    """The answer that is nearest to a requirement where some are waived, if there is one."""
    found = relaxed.solve("opt", waived=waived)
    if found.interrupted:
        raise KeyboardInterrupt
    if not found.models:
        return None
    _, symbols = found.models[-1]
    answer = relaxed.answer(symbols)
    terms = [term.computation for term in problem.operator.terms]
    steps = problem.steps(answer.embedding)
    cost = answer.costs.get(str(metric_term(metric)), 0)
    values = {"steps": steps, "utilisation": problem.utilisation(steps)}
    return Relaxation(
        text,
        metric,
        values.get(metric.name, -cost if metric.name in MORE_IS_BETTER else cost),
        answer,
        values["utilisation"],
        tuple(dict.fromkeys(shortfalls(name, symbols, terms))),
        suffices=True,
    )


def conflict(program: Solver) -> tuple[str, ...]:
    """Requirements that no answer meets together, each of which could be met without the others.

    The solver's core is made minimal: each requirement that the rest of it does not need is taken
    away. All others count as waived, so an answer that meets those, too, may not exist without one
    of these alone. Empty if there are no answers at all.

    Args:
        program: a problem without answers.

    Raises:
        KeyboardInterrupt: the user ended the search.
    """
    kept = _core(program, program.requirements.keys())
    assert kept is not None, "the problem has answers"
    for name in sorted(kept):
        if name in kept and (smaller := _core(program, kept - {name})) is not None:
            kept = smaller
    return tuple(sorted(kept))


def _core(program: Solver, names: Iterable[str]) -> frozenset[str] | None:
    """Those of the requirements that exclude every answer; None if there are answers."""
    found = program.solve("enum", waived=program.requirements.keys() - set(names), most=1)
    if found.interrupted:
        raise KeyboardInterrupt
    return None if found.models else found.core


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
