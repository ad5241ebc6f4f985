"""The story from top to bottom: facts, answer sets, layouts, schedule, program, simulation.

`embeddings` asks clingo, `evaluate` finds the best design and schedule of one embedding and times
its program. `explorer.program.verification` executes programs,
`explorer.ranking.best_first` compares embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from explorer.embedding.ascending import Ascending
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import reference_embedding
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.embedding.joint_space import AscendingJoint, JointSpace
from explorer.embedding.several import AnyEmbedding, enumerate_any, find_any, term_by_term
from explorer.embedding.virtual_loops import steps
from explorer.layout.design import Design, Restrictions, designs, reference_designs
from explorer.schedule.bound import compute_bound, lower_bound
from explorer.schedule.lowering import Code
from explorer.schedule.search import Scheduled, Search, search
from isa import intrinsics
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError

UNRESTRICTED = Restrictions()


@cache
def gemm_intrinsic(config: Config) -> Computation:
    """VTA's GEMM instruction with the configuration's axis extents."""
    return intrinsics.load("vta_gemm", config.axes)


def embeddings(
    operator: Operator,
    config: Config,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
) -> list[AnyEmbedding]:
    """Every embedding of an operator, see `enumerate_any`.

    Raises:
        InputError: there is none under these options.
    """
    terms, intrinsic = [term.computation for term in operator.terms], gemm_intrinsic(config)
    found = enumerate_any(terms, intrinsic, classes, all_tiles=all_tiles, maximal=maximal)
    if not found:
        raise no_embedding(operator.name, classes)
    return found


def ascending(
    operator: Operator,
    config: Config,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
) -> Ascending | AscendingJoint:
    """The same, the fewest steps first, each found when it is asked for.

    Raises:
        InputError: there is none under these options.
    """
    terms, intrinsic = [term.computation for term in operator.terms], gemm_intrinsic(config)
    found: Ascending | AscendingJoint
    if len(terms) > 1:
        # What is lost tells a term's steps (`encodings/steps.lp`), not the sum of several terms'.
        space = JointSpace(terms, intrinsic, classes, all_tiles=all_tiles, maximal=maximal)
        found = AscendingJoint(space)
    else:
        found = Ascending(terms[0], intrinsic, classes, all_tiles=all_tiles, maximal=maximal)
    if found.total == 0:
        raise no_embedding(operator.name, classes)
    return found


def no_embedding(operator: str, classes: Sequence[str]) -> InputError:
    """The error that an operator has no embedding of these classes."""
    allowed = "no embedding is legal with these classes alone"
    return InputError(operator, "", "/".join(classes), allowed)


def reference(operator: Operator, config: Config) -> Embedding | None:
    """TVM's fixed embedding of the operator; None where TVM has none, as for several terms."""
    if len(operator.terms) > 1:
        return None
    return reference_embedding(operator.computation, gemm_intrinsic(config))


def find(operator: Operator, config: Config, text: str) -> AnyEmbedding:
    """The embedding of an id (or of the word ``reference``).

    Raises:
        InputError: the text is no id, or no legal embedding.
    """
    terms = [term.computation for term in operator.terms]
    return find_any(terms, gemm_intrinsic(config), text)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An embedding with its best design and schedule.

    Attributes:
        embedding: what was evaluated.
        bound: cycles that no schedule of any of its designs undercuts; None if none fits of those
            that were looked at.
        proven: whether no schedule in the space can be better than the one found.
        scheduled: the best program found, with its simulated timing; None if no schedule fits, or
            none undercuts the limit that was set.
    """

    embedding: AnyEmbedding
    bound: int | None
    proven: bool
    scheduled: Scheduled | None

    @property
    def cycles(self) -> int | None:
        """Cycles of the best program, if there is one."""
        return self.scheduled.cycles if self.scheduled else None

    @property
    def design(self) -> Design:
        """The design of the best program."""
        return self.code.design

    @property
    def code(self) -> Code:
        """The best program.

        Raises:
            InputError: no schedule fits the scratchpads.
        """
        if self.scheduled is None:
            raise InputError("embedding", "", self.embedding.id, "no schedule fits the scratchpads")
        return self.scheduled.code


def steps_of(operator: Operator, embedding: AnyEmbedding) -> int:
    """Issues of the instruction, for all terms together."""
    return sum(steps(each, term) for each, term in term_by_term(embedding, operator))


def floor(operator: Operator, config: Config, embedding: AnyEmbedding) -> int:
    """Cycles of the compute module that no layout or schedule of the embedding undercuts."""
    return compute_bound(operator, config, steps_of(operator, embedding))


def layouts(
    operator: Operator, config: Config, embedding: AnyEmbedding, fixed_layout: bool
) -> list[Design]:
    """The designs that `evaluate` chooses from: all, or the reference's in their order."""
    make = reference_designs if fixed_layout else designs
    return list(make(operator, config, gemm_intrinsic(config), embedding))


def evaluate(
    operator: Operator,
    config: Config,
    embedding: AnyEmbedding,
    *,
    fixed_layout: bool = False,
    effort: int | None = None,
    below: float = math.inf,
    restrictions: Restrictions = UNRESTRICTED,
    known: Sequence[Design] | None = None,
) -> Evaluation:
    """The best program of an embedding over its layouts and schedules.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        embedding: how it is laid onto the instruction.
        fixed_layout: use the reference's layouts (the same schedule search), not the best ones.
        effort: programs to simulate for each design at most; None for a proven optimum.
        below: cycles to undercut; no program is given if none does.
        restrictions: what the program has to keep to.
        known: its `layouts`, where they are known.
    """
    made = layouts(operator, config, embedding, fixed_layout) if known is None else known
    choices = [
        d if d.restrictions == restrictions else replace(d, restrictions=restrictions) for d in made
    ]
    if fixed_layout:
        return _first_that_fits(embedding, choices, effort, below)
    best: Scheduled | None = None
    least, proven = math.inf, True
    for design in sorted(choices, key=lower_bound):
        found = search(design, effort=effort, below=best.cycles if best else below)
        best = found.best or best
        least = min(least, math.inf if found.bound is None else found.bound)
        proven = proven and found.proven
    if any(design.partial for design in choices):
        # Of the designs that were not made only this is known.
        least, proven = min(least, floor(operator, config, embedding)), False
    return Evaluation(embedding, None if math.isinf(least) else int(least), proven, best)


def _first_that_fits(
    embedding: AnyEmbedding, choices: Sequence[Design], effort: int | None, below: float
) -> Evaluation:
    """The best program of the first design that has one: an order of layouts, not a choice."""
    found: Search | None = None
    for design in choices:
        found = search(design, effort=effort, below=below)
        if found.best:
            break
    assert found is not None
    return Evaluation(embedding, found.bound, found.proven, found.best)
