"""The Python API: the commands as functions, from an operator's text or object to typed results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from explorer import explore, verification
from explorer.embedding import Embedding
from explorer.explore import Evaluation
from explorer.facts import DEFAULT_CLASSES
from explorer.operators import resolve
from explorer.ranking import Ranking
from explorer.ranking import rank as rank_embeddings
from explorer.verification import Verdict
from isa.computation import Operator
from isa.config import Config

OperatorLike = Operator | str
ConfigLike = Config | str | Path


def _operator(operator: OperatorLike) -> Operator:
    return operator if isinstance(operator, Operator) else resolve(operator)


def _config(config: ConfigLike) -> Config:
    return config if isinstance(config, Config) else Config.load(config)


def enumerate(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
) -> list[Embedding]:
    """Every embedding, sorted by id; see ``explorer enumerate --help``.

    Raises:
        InputError: the operator or the configuration is unusable, or there is no embedding.
    """
    return explore.embeddings(
        _operator(operator), _config(config), classes, all_tiles=all_tiles, maximal=not all_tiles
    )


def evaluate(
    operator: OperatorLike, embedding: Embedding | str, config: ConfigLike = "default"
) -> Evaluation:
    """The best program of one embedding (or of its id, or of ``reference``).

    Raises:
        InputError: the id is no legal embedding.
    """
    op, machine = _operator(operator), _config(config)
    fixed = embedding == "reference"
    found = explore.find(op, machine, embedding) if isinstance(embedding, str) else embedding
    return explore.evaluate(op, machine, found, fixed_layout=fixed)


def rank(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    top: int | None = 10,
    all_tiles: bool = False,
    jobs: int | None = None,
) -> Ranking:
    """The embeddings by simulated cycles; `top` None ranks all.

    Raises:
        InputError: the operator or the configuration is unusable, or there is no embedding.
    """
    op, machine = _operator(operator), _config(config)
    found = enumerate(op, machine, classes, all_tiles=all_tiles)
    return rank_embeddings(op, machine, found, top=top, jobs=jobs)


def verify(
    operator: OperatorLike,
    embedding: Embedding | str,
    config: ConfigLike = "default",
    *,
    seed: int = 0,
) -> Verdict:
    """Execute an embedding's best program on random data and compare every bit.

    Raises:
        InputError: the id is no legal embedding, or no schedule fits the scratchpads.
    """
    op = _operator(operator)
    code = evaluate(op, embedding, config).code
    return verification.verify(code, verification.random_data(op, seed))
