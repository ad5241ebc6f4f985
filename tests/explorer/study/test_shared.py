"""What units share changes no byte of their results, and comes in an order that lets them share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.ranking.carried_over import carried_over
from explorer.study import cost, shared
from explorer.study.backends import Inline, run
from explorer.study.parameters import SCRATCHPADS, Grid
from explorer.study.study import Study, make
from explorer.study.sweep import sweep
from explorer.study.unit import Options, Row, Unit, evaluate, evaluate_in_turn
from explorer.study.version import model_version
from isa.config import Config
from tests.explorer.study import stub

LAYERS = ("gemm:m=6,n=20,k=20", "conv2d:n=1,c=6,h=5,w=5,k=9,r=3,s=3")
OPTIONS = Options(DEFAULT_CLASSES, cost.load(), effort=None)
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"candidates": 3, "objectives": ("cycles", "energy")},
    {"candidates": 2, "requirements": ("utilisation > LOG_WGT_BUFF_SIZE / 40", "footprint < 9000")},
    {"effort": 2, "preferences": ("footprint",), "candidates": 2},
)


def drawn(seed: int) -> Study:
    """A study of few configurations, of which some follow from others, and one cannot be."""
    draw = random.Random(seed)
    vary = {
        "LOG_BLOCK": tuple(draw.sample((2, 3, 9), 2)),
        "BUS_BITS": (draw.choice((64, 128)),),
        "LOG_UOP_BUFF_SIZE": (11,),
        "LOG_INP_BUFF_SIZE": (draw.choice((6, 10)), 11),
        "LOG_WGT_BUFF_SIZE": (12, draw.choice((9, 11))),
        "LOG_ACC_BUFF_SIZE": (draw.choice((10, 12)),),
    }
    options = replace(OPTIONS, **CHOICES[seed % len(CHOICES)])
    return make("drawn", [(draw.choice(LAYERS), 1)], Grid(Config.default(), vary), options)


@pytest.mark.parametrize("seed", range(4))
def test_as_unit_by_unit(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep writes the parts that its units evaluated one by one would be, byte for byte."""
    carried = []

    def noted(*args: Any) -> Any:
        carried.append(carried_over(*args))
        return carried[-1]

    monkeypatch.setattr(shared, "carried_over", noted)
    study = drawn(seed)
    sweep(study, tmp_path / "alone", Inline, work=evaluate)
    assert not carried
    sweep(study, tmp_path / "shared", Inline)
    assert stub.contents(tmp_path / "shared") == stub.contents(tmp_path / "alone")
    assert any(carried) == (study.options.effort is None)


def test_any_order() -> None:
    """Rows do not depend on the units before, in whatever order they come."""
    units = [unit for seed in (0, 1) for unit in drawn(seed).units(model_version())]
    expected = {unit.key: evaluate_in_turn(unit) for unit in units}
    random.Random(3).shuffle(units)
    assert all(evaluate_in_turn(unit) == expected[unit.key] for unit in units)


def test_order_of_units() -> None:
    """Units of a layer and block come together, and larger scratchpads before smaller ones."""
    vary = {
        "LOG_INP_BUFF_SIZE": (12, 15, 13),
        "LOG_BLOCK": (4, 3),
        "MEMORY_LATENCY": (20, 40),
        "LOG_ACC_BUFF_SIZE": (15, 17),
    }
    study = make("order", [(name, 1) for name in LAYERS], Grid(Config.default(), vary), OPTIONS)
    units = list(study.units("m"))
    assert len({unit.key for unit in units}) == len(units) == 2 * 3 * 2 * 2 * 2
    groups = [(unit.layer.id, unit.point["LOG_BLOCK_IN"]) for unit in units]
    assert len(list(dict.fromkeys(groups))) == 4
    assert changes(groups) == 3
    for one, other in pairwise(units):
        if family(one) == family(other):
            sizes = [[unit.point[name] for name in SCRATCHPADS] for unit in (one, other)]
            assert sizes[0] > sizes[1]
    assert changes(list(map(family, units))) == 7


def changes(things: Sequence[object]) -> int:
    """How often the next thing differs from the one before."""
    return sum(one != other for one, other in pairwise(things))


def family(unit: Unit) -> tuple[object, ...]:
    """A unit but for its scratchpads."""
    rest = {k: v for k, v in unit.point.items() if k not in SCRATCHPADS}
    return unit.layer.id, *rest.items()


class Portions(Inline):
    """A pool of three whose portions are noted."""

    portion = 5

    def __init__(self) -> None:
        """None yet."""
        self.seen: list[list[Unit]] = []

    def slots(self) -> int:
        """As if it had workers."""
        return 3

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Note what goes together."""
        self.seen.append(args[0])
        return super().submit(fn, *args, **kwargs)


def test_portions() -> None:
    """Units that go to a worker together are of one family, and fewer and fewer in the end."""
    vary = {"LOG_INP_BUFF_SIZE": tuple(range(8, 16)), "MEMORY_LATENCY": (20, 40, 60, 80, 100, 120)}
    units = list(make("p", [(LAYERS[0], 1)], Grid(Config.default(), vary), OPTIONS).units("m"))

    def work(unit: Unit) -> list[Row]:
        return [{"unit": unit.key}]

    backend = Portions()
    done = [unit.key for unit, answer in run(units, len(units), backend, work) if answer.rows]
    assert sorted(done) == sorted(unit.key for unit in units)
    sizes = [len(portion) for portion in backend.seen]
    assert max(sizes) == 5
    assert sizes[-6:] == [1] * 6
    assert all(len(set(map(family, portion))) == 1 for portion in backend.seen)
