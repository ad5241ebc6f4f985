"""What each class of embeddings adds to the best one."""

from __future__ import annotations

import pandas as pd
import pytest

from explorer.embedding.facts import CLASSES
from explorer.operators import resolve
from explorer.ranking import class_gains, explore
from explorer.ranking.best_first import rank
from isa.config import Config

CONFIG = Config.default()


def test_every_class_has_its_turn() -> None:
    """Each class is admitted once, and the last set has them all."""
    assert sorted(class_gains.ORDER) == sorted(CLASSES)


@pytest.mark.parametrize(
    ("text", "adding"),
    [
        ("depthwise2d:n=1,c=32,h=6,w=6,r=3,s=3,pad=1", "diagonal"),
        ("conv2d:n=1,c=1,h=12,w=12,k=16,r=3,s=5", "multi"),
        ("gemm:m=4,n=20,k=24", "padded"),
    ],
)
def test_sets_grow(text: str, adding: str) -> None:
    """No set is worse than the one before, one class is known to help, the last is the best."""
    operator = resolve(text)
    least = class_gains.by_class(operator, CONFIG)
    cycles = [found for found in least.values() if found is not None]
    assert cycles == sorted(cycles, reverse=True)
    before = least[class_gains.STEPS[class_gains.STEPS.index(adding) - 1]]
    after = least[adding]
    assert after is not None
    assert before is None or after < before
    every = explore.embeddings(operator, CONFIG, tuple(CLASSES))
    best = rank(operator, CONFIG, every, top=1, jobs=1).evaluations[0].scheduled
    assert best is not None
    assert cycles[-1] == best.cycles


def test_means_leave_out_layers_without_an_embedding() -> None:
    """A layer that a set has no embedding for counts in no mean of it."""
    columns = {column: [50.0, 25.0] for column in class_gains.COLUMNS.values()}
    columns[class_gains.COLUMNS["tile"]] = [50.0, float("nan")]
    frame = pd.DataFrame({"reference_cycles": [100.0, 100.0], **columns})
    lines = class_gains.summary(frame, pd.Series([False, True]))
    assert lines[2] == "| tiles of one dimension an axis | – | 2.000 | 1 of 2 |"
    assert lines[3] == "| and padded | 4.000 | 2.828 | 2 of 2 |"
    assert class_gains.summary(frame.drop(columns="cycles_multi"), pd.Series([False, True])) == []
