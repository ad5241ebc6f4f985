"""What is claimed of a plan over all embeddings, and how far it was proven."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isa.words import counted


@dataclass(frozen=True, slots=True)
class Searched:
    """A way whose programs were searched.

    Attributes:
        node: the first node of the operator.
        embedding: its id.
        design: which of its layouts, from 0, in the order of `explorer.layout.design.designs`.
        cycles: of the best program; None if none fits, or undercuts what would be of use.
        at_least: what no program undercuts.
    """

    node: str
    embedding: str
    design: int
    cycles: int | None
    at_least: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a search over all embeddings of a network has found.

    Attributes:
        cycles: of the plan.
        bound: cycles that no plan of the scope undercuts.
        classes: of embeddings, whose answers are the scope; None for the usual ones.
        operators: different ones of the nodes that are programmed.
        embeddings: of all these, each operator counted once.
        reached: embeddings that were looked at with their layouts; jokers stood for the others.
        rounds: relaxed networks that were solved.
        searched: the ways whose programs were searched.
        exact: whether relaxed networks were solved exactly; else the bound may stay too low.
        interrupted: whether the user ended the search.
    """

    cycles: int
    bound: int
    classes: tuple[str, ...] | None
    operators: int
    embeddings: int
    reached: int
    rounds: int
    searched: tuple[Searched, ...]
    exact: bool
    interrupted: bool = False

    @property
    def proven(self) -> bool:
        """Whether no plan of the scope is better."""
        return self.bound >= self.cycles

    @property
    def excess(self) -> float:
        """The share by which the plan may exceed the optimum, in percent."""
        return 100 * (self.cycles / self.bound - 1) if self.bound else 0.0

    def lines(self) -> Iterator[str]:
        """The claim and its scope in sentences."""
        named = "usual classes" if self.classes is None else f"classes {', '.join(self.classes)}"
        scope = (
            f"the {counted(self.embeddings, 'embedding')} of "
            f"{counted(self.operators, 'operator')} ({named}; every "
            "choice of layouts)"
        )
        if self.proven:
            yield f"proven over {scope}: no plan has fewer cycles"
        else:
            yield (
                f"not proven over {scope}: at most {self.excess:.3g} % above the optimum, as no "
                f"plan has fewer than {self.bound:,} cycles"
            )
        yield (
            f"{counted(self.rounds, 'round')}; {counted(self.reached, 'embedding')} looked at with "
            "their layouts, "
            f"jokers for the others; programs of {counted(len(self.searched), 'layout')} searched"
        )
        yield (
            "scope: one order of lanes for each embedding, schedules of the search's space, and "
            "stores in a reader's order at no cost of their own; of equal cycles, further "
            "preferences decide among the plans found"
        )
