"""Rankings carried over to smaller scratchpads, against rankings made anew."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from typing import Any

import pytest

from explorer.operators import resolve
from explorer.ranking.best_first import Ranking, rank
from explorer.ranking.candidates import Counted
from explorer.ranking.carried_over import carried_over
from explorer.ranking.explore import Evaluation
from explorer.ranking.prepared import Prepared
from explorer.ranking.smaller import alike, is_within
from isa.config import Config

CLASSES = ("padded", "multi", "swapped")
SIZES = {
    "log_inp_buff_size": (5, 7, 9, 11),
    "log_wgt_buff_size": (7, 9, 11, 12),
    "log_acc_buff_size": (7, 9, 11, 12),
}
MOST: dict[str, Any] = {name: values[-1] for name, values in SIZES.items()}
LARGE = Config("large", log_block_in=2, log_block_out=2, **MOST)
OPERATORS = (
    "gemm:m=6,n=20,k=20",
    "gemm:m=9,n=8,k=12,bias=1,relu=1",
    "conv2d:n=1,c=6,h=7,w=7,k=9,r=3,s=3,pad=1",
    "conv2d:n=1,c=8,h=5,w=5,k=6,r=1,s=1,concat=5+3",
)


def seen(evaluation: Evaluation | None) -> object:
    """All that is said of an embedding and its program."""
    if evaluation is None or evaluation.scheduled is None:
        return evaluation
    code, timing = evaluation.code, asdict(evaluation.scheduled.timing)
    text = [part.tobytes() for part in code.instructions()]
    return evaluation.embedding, evaluation.bound, evaluation.proven, code, timing, text


def known(ranking: Ranking) -> object:
    """All that is said in a ranking, but how many embeddings were looked at."""
    places = [seen(evaluation) for evaluation in ranking.evaluations]
    return ranking.config.name, places, seen(ranking.reference), seen(ranking.fastest)


@pytest.mark.parametrize("text", OPERATORS)
def test_follows_as_made_anew(text: str) -> None:
    """What is carried over is what a ranking of the smaller configuration finds, to the bit."""
    operator, draw, carried = resolve(text), random.Random(text), []
    prepared = Prepared(operator, LARGE, CLASSES)
    alone = [e for _, e in prepared.counted.items]
    for top in (1, 3):
        sizes: dict[str, Any] = {name: draw.choice(values[-2:]) for name, values in SIZES.items()}
        large = replace(LARGE, **sizes)
        whole = rank(operator, large, alone, top=top, jobs=1)
        for _ in range(4):
            smaller: dict[str, Any] = {
                name: draw.choice([value for value in values if value <= sizes[name]])
                for name, values in SIZES.items()
            }
            config = replace(large, name="small", **smaller)
            found = carried_over(whole, config, prepared)
            carried.append(found is not None)
            if found is not None:
                assert known(found) == known(rank(operator, config, alone, top=top, jobs=1))
    assert any(carried)


def test_prepared_changes_nothing() -> None:
    """A ranking with what is known of the block is that without, for every configuration."""
    operator = resolve(OPERATORS[2])
    prepared = Prepared(operator, LARGE, CLASSES)
    alone = [e for _, e in prepared.counted.items]
    for log in (11, 7):
        config = replace(LARGE, log_inp_buff_size=log, log_acc_buff_size=log + 1)
        for effort in (2, None):
            plain = rank(operator, config, alone, top=2, effort=effort, jobs=1)
            counted = Counted.of(operator, reversed(alone))
            shared = rank(
                operator, config, counted, top=2, effort=effort, jobs=1, prepared=prepared
            )
            assert known(shared) == known(plain)
            assert (shared.evaluated, shared.unfit) == (plain.evaluated, plain.unfit)


def test_what_follows() -> None:
    """Only scratchpads that no program shows may be smaller, and none may be larger."""
    small = replace(LARGE, name="small", log_inp_buff_size=5)
    assert is_within(small, LARGE)
    assert is_within(LARGE, LARGE)
    assert not is_within(LARGE, small)
    assert alike(LARGE, small)
    assert not is_within(replace(small, log_wgt_buff_size=LARGE.log_wgt_buff_size + 1), LARGE)
    assert not alike(replace(LARGE, log_uop_buff_size=10), LARGE)
    assert not alike(replace(LARGE, log_batch=1), LARGE)
    slow = replace(LARGE, timing=replace(LARGE.timing, memory_latency=99))
    assert not is_within(slow, LARGE)
