"""What is asked of which operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.embedding.facts import DEFAULT_CLASSES, design_instance
from explorer.embedding.metrics import Wishes
from explorer.embedding.several import AnyEmbedding, term_by_term
from explorer.embedding.solver import Solver
from explorer.embedding.virtual_loops import nest
from explorer.ranking.explore import gemm_intrinsic
from isa.computation import Computation, Operator
from isa.config import Config


@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked of which operator.

    Attributes:
        operator: what is embedded.
        config: what it is embedded for.
        wishes: preferences, requirements, objectives.
        classes: the classes that may be used, of `explorer.embedding.facts.CLASSES`.
        all_tiles: take every tile extent, not only the least for each number of outer iterations.
    """

    operator: Operator
    config: Config
    wishes: Wishes
    classes: Sequence[str] = DEFAULT_CLASSES
    all_tiles: bool = False

    @property
    def intrinsic(self) -> Computation:
        """VTA's instruction."""
        return gemm_intrinsic(self.config)

    def search(self, entry: str = "entries/optimize.lp") -> Solver:
        """The grounded program.

        Args:
            entry: the encodings.

        Raises:
            InputError: a name or a rule of the user's cannot be used, or the operator's layouts
                cannot be told from its access maps.
        """
        facts = design_instance(
            self.operator,
            self.config,
            self.intrinsic,
            self.wishes,
            self.classes,
            all_tiles=self.all_tiles,
        )
        rules = self.wishes.rules
        terms = [term.computation for term in self.operator.terms]
        return Solver(terms, self.intrinsic, facts, rules, entry)

    def steps(self, embedding: AnyEmbedding) -> int:
        """Issues of the instruction for all terms."""
        return sum(nest(*each).steps for each in term_by_term(embedding, self.operator))

    def utilisation(self, steps: int) -> float:
        """The share of lanes that work where the operator takes so many steps."""
        lanes = self.config.batch * self.config.block_in * self.config.block_out
        return self.operator.useful_macs / (steps * lanes)
