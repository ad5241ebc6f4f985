"""The notebooks run from top to bottom, and find what they say."""

from __future__ import annotations

import runpy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = ("one_operator", "machine", "network", "preference", "instruction", "quiz")


def run(root: Path, name: str) -> Mapping[str, Any]:
    """The names that the cells of a notebook define."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of marimo's own libraries
        app = runpy.run_path(str(root / "notebooks" / f"{name}.py"))["app"]
        _, names = app.run()
    found: Mapping[str, Any] = names
    return found


def test_all_are_tried(root: Path) -> None:
    """No notebook is left out here."""
    assert {path.stem for path in (root / "notebooks").glob("*.py")} == set(NOTEBOOKS)


def test_one_operator(root: Path) -> None:
    """The best embedding is faster than the reference, and its program exact."""
    names = run(root, "one_operator")
    assert names["verdict"].exact
    assert names["ranking"].frame()["speedup"].iloc[0] > 1


def test_machine(root: Path) -> None:
    """The sweep has a result for each machine, and a front."""
    names = run(root, "machine")
    assert len(names["totals"]) == 2
    assert 1 <= len(names["front"]) <= 2


def test_network(root: Path) -> None:
    """The plan is no worse than the others, and on the front."""
    names = run(root, "network")
    sums = names["sums"]
    assert set(sums["plan"]) == {"best", "TVM's layouts", "each node's own best"}
    assert sums["cycles"].iloc[0] == sums["cycles"].min() == names["front"]["cycles"].min()
    assert len(names["front"])


def test_preference(root: Path) -> None:
    """The rule's answer is one of the optima in steps, and has the fewest digits of them."""
    names = run(root, "preference")
    best, every = names["found"].frame().iloc[0], names["every"].frame()
    assert best["steps"] == every["steps"].min()
    assert best["embedding"] in set(every["embedding"])
    assert best["digits"] == min(len(a.embedding.digits) for a in names["every"].best.answers)


def test_instruction(root: Path) -> None:
    """Every embedding into the new instruction computes the operator."""
    outcomes = run(root, "instruction")["outcomes"]
    assert outcomes
    assert not any(wrong for found in outcomes.values() for wrong in found)


def test_quiz(root: Path) -> None:
    """The quiz has legal and illegal embeddings, as its last cell counts them."""
    verdicts = run(root, "quiz")["verdicts"]
    illegal = {name for name, verdict in verdicts.items() if not verdict.legal}
    assert illegal == {"y=oh:6", "z=oc:16", "y=ic:3", "y=oc:32", "z=ic:3,kh:3,kw:3"}


@pytest.mark.parametrize(
    "name", ["one_operator", "machine", "network", "preference", "instruction", "quiz"]
)
def test_a_notebook_says_what_it_is(root: Path, name: str) -> None:
    """Each opens with a line that says what it shows."""
    text = (root / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert text.partition("\n")[0].endswith(('."""', '?"""'))
