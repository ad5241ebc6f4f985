"""Rankings that follow from those of larger scratchpads; see `explorer.ranking.smaller`."""

from __future__ import annotations

from dataclasses import replace

from explorer.ranking.best_first import Ranking
from explorer.ranking.prepared import Prepared
from explorer.ranking.smaller import carried
from isa.config import Config


def carried_over(ranking: Ranking, config: Config, prepared: Prepared) -> Ranking | None:
    """The ranking of the same embeddings under smaller scratchpads; None if it does not follow.

    Args:
        ranking: one that proves every optimum, without restrictions, of the same embeddings under a
            configuration that this one `is_within`.
        config: the smaller configuration.
        prepared: what is known of the operator in this block.

    Returns:
        What `rank` would find, but that the numbers of embeddings `evaluated` and `unfit` are those
        of the larger one.
    """
    # Whatever is not listed is worse than all that is, or does not fit: fewer schedules make no
    # embedding better.
    evaluations = []
    for evaluation in ranking.evaluations:
        layouts = prepared.layouts(config, evaluation.embedding)
        found = carried(evaluation, config, layouts)
        if found is None:
            return None
        evaluations.append(found)
    fixed = prepared.reference
    return replace(
        ranking,
        config=config,
        evaluations=tuple(evaluations),
        reference=prepared.evaluate(config, fixed, fixed_layout=True) if fixed else None,
        fastest=evaluations[0] if evaluations else None,
    )
