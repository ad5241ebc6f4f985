"""What is asked of which operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.embedding.facts import (
    CLASSES,
    DEFAULT_CLASSES,
    SIMPLEST,
    Facts,
    check_skewable,
    design_instance,
)
from explorer.embedding.fewest_steps import fewest_steps
from explorer.embedding.metrics import Metric, Wishes
from explorer.embedding.rule_files import profiles
from explorer.embedding.several import AnyEmbedding, term_by_term
from explorer.embedding.solver import Solver, preferences
from explorer.embedding.virtual_loops import nest
from explorer.ranking.explore import gemm_intrinsic
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError


def comparable(operator: Operator) -> tuple[str, ...]:
    """The classes whose layouts can be told from the operator's access maps: as a rule, all."""
    try:
        for term in operator.terms:
            check_skewable(term.computation)
    except InputError:
        return tuple(name for name in CLASSES if name != "skewed")
    return tuple(CLASSES)


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

    def search(
        self,
        entry: str = "entries/optimize.lp",
        *,
        within: int | None = None,
        simplest: bool = False,
    ) -> Solver:
        """The grounded program.

        Args:
            entry: the encodings.
            within: leave out digits that only embeddings of more steps have.
            simplest: of answers that are preferred alike, let the simplest be the optimum.

        Raises:
            InputError: a name or a rule of the user's cannot be used, or the operator's layouts
                cannot be told from its access maps.
            TooManyDigitsError: fused and skewed digits are too many together.
        """
        rules, terms = self.wishes.rules, [term.computation for term in self.operator.terms]
        facts = [*self._facts(), *([SIMPLEST] if simplest else [])]
        return Solver(terms, self.intrinsic, facts, rules, entry, within=within)

    def fewest_steps(self) -> int | None:
        """The steps of an embedding that has the fewest, or hardly more, whatever is required.

        None if these classes alone allow no embedding.
        """
        return fewest_steps(self.operator.computation, self.intrinsic, self._facts())

    @property
    def prefers_steps(self) -> bool:
        """Whether fewer steps come before all else, and no rules of a user's have a say.

        Of one term: steps of several are a sum, which logarithms do not tell.
        """
        wishes, shipped = self.wishes, profiles().values()
        if (
            len(self.operator.terms) > 1
            or wishes.objectives
            or any(path not in shipped for path in wishes.rules)
        ):
            return False
        levels = {level: set(metrics) for level, metrics in wishes.levels.items()}
        for level, metric in preferences(wishes.rules):
            levels.setdefault(level, set()).add(metric)
        return bool(levels) and levels[max(levels)] == {Metric("steps")}

    def _facts(self) -> Facts:
        return design_instance(
            self.operator,
            self.config,
            self.intrinsic,
            self.wishes,
            self.classes,
            all_tiles=self.all_tiles,
        )

    def steps(self, embedding: AnyEmbedding) -> int:
        """Issues of the instruction for all terms."""
        return sum(nest(*each).steps for each in term_by_term(embedding, self.operator))

    def utilisation(self, steps: int) -> float:
        """The share of lanes that work where the operator takes so many steps."""
        lanes = self.config.batch * self.config.block_in * self.config.block_out
        return self.operator.useful_macs / (steps * lanes)
