"""What is found for some scratchpads, carried over to smaller ones.

The scratchpads of inputs, weights and accumulators appear in no program: they only decide which
schedules fit. So the schedules of a configuration are those of one with larger scratchpads that
still fit, with the same programs, cycles and lower bounds, and searched in the same order. What is
the best of the larger space and lies in the smaller one is the best of that too, and first among
equals. (The scratchpad of micro-ops does appear: which of them are loaded again depends on it.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from explorer.layout.design import Design
from explorer.ranking.explore import Evaluation
from explorer.schedule.bound import lower_bound
from explorer.schedule.dma import Infeasible
from explorer.schedule.lowering import Lowering
from explorer.schedule.search import Scheduled, points
from isa.config import Config

_SCRATCHPADS = ("log_inp_buff_size", "log_wgt_buff_size", "log_acc_buff_size")
_FREE = ("name", *_SCRATCHPADS)


def alike(one: Config, other: Config) -> bool:
    """Whether two configurations differ in nothing but the scratchpads that no program shows."""
    return all(
        getattr(one, field.name) == getattr(other, field.name)
        for field in fields(Config)
        if field.name not in _FREE
    )


def is_within(config: Config, larger: Config) -> bool:
    """Whether a configuration is another one but for scratchpads that are no larger."""
    sizes = ((getattr(config, name), getattr(larger, name)) for name in _SCRATCHPADS)
    return alike(config, larger) and all(size <= most for size, most in sizes)


def carried(evaluation: Evaluation, config: Config, layouts: Sequence[Design]) -> Evaluation | None:
    """An embedding's evaluation under smaller scratchpads; None if its program does not fit.

    Args:
        evaluation: of proven optima, without restrictions, under a configuration that this one
            `is_within`.
        config: the smaller configuration.
        layouts: what the best design was chosen from; of those that are tried in their order until
            one fits, none.
    """
    if evaluation.bound is None:  # no schedule fits the larger scratchpads
        return evaluation
    if evaluation.scheduled is None:
        return None
    code, timing = evaluation.code, evaluation.scheduled.timing
    lowering = Lowering(replace(code.origin, config=config))
    try:
        lowering.instructions(code.schedule)
    except Infeasible:
        return None
    scheduled = Scheduled(lowering.code(code.schedule), timing)
    searched = [lowering.design]
    if layouts:
        # The search has bounded all before the best design, and behind it what could be better.
        ordered = sorted(layouts, key=lower_bound)
        place = ordered.index(lowering.design) + 1
        searched = ordered[:place]
        searched += [d for d in ordered[place:] if lower_bound(d) < timing.cycles]
    least = min(_least(design, timing.cycles) for design in searched)
    return Evaluation(evaluation.embedding, least, True, scheduled)


def _least(design: Design, cycles: int) -> int:
    """Cycles that no schedule of a design undercuts; those of a program if no schedule fits."""
    return next((bound for bound, _ in points(design)), cycles)
