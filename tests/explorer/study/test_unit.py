"""Units: what they evaluate to, and what their keys depend on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.operators import resolve
from explorer.ranking import explore
from explorer.ranking.best_first import Ranking, rank
from explorer.study import cost, shared, unit, version
from explorer.study.parameters import Point, point_of
from explorer.study.unit import COLUMNS, Layer, Options, Row, Unit, best, evaluate
from explorer.study.version import ROOT, model_version, modules
from isa.config import Config
from isa.errors import InputError

OPERATOR = "gemm:m=6,n=20,k=20"
DEFAULT = point_of(Config.default())
OPTIONS = Options(DEFAULT_CLASSES, cost.load())


def asked(point: Point = DEFAULT, options: Options = OPTIONS, operator: str = OPERATOR) -> Unit:
    """A unit of this version."""
    return Unit(Layer(resolve(operator)), point, options, model_version())


def test_row_is_the_best_program() -> None:
    """A unit's row has the cycles, traffic and embedding of the top of the ranking."""
    (row,) = evaluate(asked())
    operator, config = resolve(OPERATOR), Config.default()
    found = explore.embeddings(operator, config)
    ranking = rank(operator, config, found, top=1, effort=2, jobs=1)
    (first,) = ranking.evaluations
    assert first.scheduled
    assert ranking.base
    assert row["cycles"] == min(first.scheduled.cycles, ranking.base)
    assert row["reference_cycles"] == ranking.base
    assert row["speedup"] == row["reference_cycles"] / row["cycles"] >= 1
    parts = ("uop", "inp", "wgt", "acc", "out", "insn")
    assert row["dram_bytes"] == sum(row[f"dram_{name}"] for name in parts)
    assert row["energy"] == pytest.approx(
        row["energy_compute"] + row["energy_sram"] + row["energy_dram"]
    )
    assert (row["mac_units"], row["on_chip_bytes"]) == (256, 480 * 1024)
    assert row["macs"] == 6 * 20 * 20
    assert 0 < row["utilisation"] <= 1
    assert (row["status"], row["point"]) == ("ok", 0)
    assert set(row) == set(COLUMNS)


def test_two_evaluations_are_equal() -> None:
    """A unit evaluates to the same rows every time."""
    assert evaluate(asked()) == evaluate(asked())


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [({"LOG_BLOCK_IN": 9}, "unencodable", "LOG_BLOCK_IN = 9: an integer from 0 to 8"),
     ({"LOG_ACC_BUFF_SIZE": 40}, "unencodable", "LOG_ACC_BUFF_SIZE"),
     ({"BUS_BITS": 48}, "unencodable", "power of two"),
     ({"LOG_BLOCK_OUT": 64, "LOG_BATCH": 64}, "unencodable", "")],
)  # fmt: skip
def test_configurations_that_cannot_be(changed: Point, status: str, reason: str) -> None:
    """They are a row with the reason, sizes as far as they can be told, and no metrics."""
    (row,) = evaluate(asked(DEFAULT | changed))
    assert row["status"] == status
    assert reason in row["reason"]
    assert "cycles" not in row


def test_requirements_choose() -> None:
    """Points meet the requirements; if none can, the row says so."""
    half = replace(OPTIONS, requirements=("utilisation <= 0.5", "cycles > 0"), candidates=None)
    assert all(row["utilisation"] <= 0.5 for row in evaluate(asked(options=half)))
    for impossible in ("utilisation > 1", "cycles < 10"):
        none = replace(OPTIONS, requirements=(impossible,), candidates=None)
        (row,) = evaluate(asked(options=none))
        assert row["status"] == "excluded"
        assert impossible in row["reason"]


def test_no_schedule_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no embedding has a schedule, the row says so."""
    none = explore.Evaluation(
        explore.find(resolve(OPERATOR), Config.default(), "reference"), None, True, None
    )
    ranking = Ranking(resolve(OPERATOR), Config.default(), (), none, 3, 3, 3)
    monkeypatch.setattr(shared, "rank", lambda *_, **__: ranking)
    (row,) = evaluate(asked())
    assert (row["status"], "cycles" in row) == ("unfit", False)
    assert "fits the scratchpads" in row["reason"]


def test_no_reference_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reference has no schedule there is no speedup to be an objective."""

    def without_reference(*args: Any, **options: Any) -> Ranking:
        found = rank(*args, **options)
        assert found.reference
        return replace(found, reference=replace(found.reference, scheduled=None))

    monkeypatch.setattr(shared, "rank", without_reference)
    (row,) = evaluate(asked())
    assert (row["status"], row["reference_cycles"]) == ("ok", None)
    (row,) = evaluate(asked(options=replace(OPTIONS, objectives=("speedup",))))
    assert (row["status"], row["reason"]) == ("excluded", "no candidate has a speedup")


def test_several_objectives_give_a_front() -> None:
    """The points of a unit are those candidates that none dominates, the fastest first."""
    options = replace(OPTIONS, objectives=("cycles", "footprint"), candidates=None)
    rows = evaluate(asked(options=options, operator="conv2d:n=1,c=3,h=8,w=8,k=4,r=3,s=3"))
    pairs = [(row["cycles"], row["footprint"]) for row in rows]
    assert pairs == sorted(pairs)
    assert [footprint for _, footprint in pairs] == sorted({f for _, f in pairs}, reverse=True)
    assert len({cycles for cycles, _ in pairs}) == len(pairs)
    assert [row["point"] for row in rows] == list(range(len(rows)))


def test_preferences_decide_ties() -> None:
    """Of points that are equal in the objective, the preferred one is kept, else the first id."""
    rows: list[Row] = [
        {"cycles": 5, "utilisation": 0.5, "footprint": 7, "embedding": "a"},
        {"cycles": 5, "utilisation": 1.0, "footprint": 9, "embedding": "b"},
        {"cycles": 6, "utilisation": 1.0, "footprint": 1, "embedding": "c"},
    ]
    assert best(rows, OPTIONS)[0]["embedding"] == "a"
    assert best(rows, replace(OPTIONS, preferences=("footprint",)))[0]["embedding"] == "a"
    assert best(rows, replace(OPTIONS, preferences=("utilisation",)))[0]["embedding"] == "b"
    front = best(rows, replace(OPTIONS, objectives=("utilisation", "cycles")))
    assert [row["embedding"] for row in front] == ["b"]


def test_key_is_of_the_content() -> None:
    """Operator, parameters, options, costs and model change the key; a name does not."""
    one = asked()
    renamed = replace(resolve(OPERATOR), name="other")
    assert replace(one, layer=Layer(renamed)).key == one.key
    costs = replace(OPTIONS.costs, digest="x")
    others = [
        replace(one, layer=Layer(resolve("gemm:m=6,n=20,k=21"))),
        replace(one, layer=Layer(resolve(f"{OPERATOR},relu=1"))),
        replace(one, point=DEFAULT | {"BUS_BITS": 128}),
        replace(one, options=replace(OPTIONS, effort=None)),
        replace(one, options=replace(OPTIONS, costs=costs)),
        replace(one, model="0"),
    ]
    keys = {unit.key for unit in (one, *others)}
    assert len(keys) == 1 + len(others)


def test_another_model_is_refused() -> None:
    """A worker with other sources says so and does not evaluate."""
    with pytest.raises(InputError, match="install one version everywhere"):
        evaluate(replace(asked(), model="0.0.0+000000000000"))


def test_model_covers_what_evaluation_imports() -> None:
    """The sources hashed are all of the project's modules that the unit's module loads."""
    found = modules(ROOT)
    assert found[ROOT] == Path(unit.__file__)
    assert {
        "explorer.ranking.best_first",
        "simulator.timing",
        "isa.config",
        "explorer.embedding.enumeration",
    } <= set(found)
    assert not {"explorer.study.store", "explorer.cli", "explorer.report"} & set(found)


def test_imports_are_those_of_the_syntax_tree() -> None:
    """In each source, the lines that are read as imports name the modules that the parser finds."""
    for path in modules(ROOT).values():
        found = {name for name in version._imports(path) if version._file(name)}
        assert found == set(imported(path)), path


def imported(path: Path) -> Iterator[str]:
    """The project's modules in the import statements of a file's syntax tree."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), path
        module = node.module if isinstance(node, ast.ImportFrom) else None
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            full = f"{module}.{alias.name}" if module else alias.name
            name = full if version._file(full) else module
            if name and version._file(name):
                yield name
