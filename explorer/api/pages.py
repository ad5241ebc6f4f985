"""Maps and traces, as functions."""

from __future__ import annotations

from pathlib import Path

from explorer.api.arguments import (
    ClassesLike,
    ConfigLike,
    OperatorLike,
    classes_of,
    config_of,
    operator_of,
    write_text,
)
from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import Restrictions
from explorer.ranking import explore
from explorer.ranking.best_first import Ranking, rank
from explorer.report.pages.space import page, words
from explorer.report.trace import trace as make_trace
from isa.config import Config
from isa.errors import InputError
from simulator.lint import PORTABLE


def map(
    operator: OperatorLike,
    out: str | Path,
    config: ConfigLike = "default",
    classes: ClassesLike = "all",
    *,
    all_tiles: bool = False,
    effort: int = 4,
    jobs: int | None = None,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> Ranking:
    """Write all embeddings as a page that one explores; see ``explorer map --help``.

    Returns:
        The ranking that is drawn.

    Raises:
        InputError: the operator or the configuration is unusable, no embedding has a program that
            fits, or the page cannot be written.
    """
    op, machine = operator_of(operator), config_of(config)
    kept = Restrictions.of(target, safe_distance, machine)
    found = explore.embeddings(
        op, machine, classes_of(classes), all_tiles=all_tiles, maximal=not all_tiles
    )
    ranking = rank(op, machine, found, top=None, effort=effort, jobs=jobs, restrictions=kept)
    if not ranking.evaluations:
        allowed = "no embedding has a schedule that fits the machine"
        raise InputError(op.name, "", machine.name, allowed)
    named = operator if isinstance(operator, str) else op.name
    preset = machine.name if isinstance(config, Config) else str(config)
    text = page(ranking, words(named, preset, target, safe_distance))
    write_text(Path(out), text, "out")
    return ranking


def trace(
    operator: OperatorLike,
    embedding: AnyEmbedding | str,
    config: ConfigLike = "default",
    *,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> str:
    """What each instruction of an embedding's best program does when, as Trace Event JSON.

    Raises:
        InputError: the id is no legal embedding, or no schedule fits the scratchpads.
    """
    op, machine = operator_of(operator), config_of(config)
    kept = Restrictions.of(target, safe_distance, machine)
    found = explore.find(op, machine, embedding) if isinstance(embedding, str) else embedding
    evaluation = explore.evaluate(
        op, machine, found, fixed_layout=embedding == "reference", restrictions=kept
    )
    return make_trace(machine, evaluation.code.table, f"{found.id} of {op.name}")
