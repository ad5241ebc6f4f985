"""Rules of a user's under limits: which of them is named when one is reached."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path

import pytest

from explorer.embedding.control import Examined, Rule, Watch, ground, watched
from explorer.embedding.facts import DEFAULT_CLASSES, instance
from explorer.embedding.user_rules import in_turn
from explorer.operators import resolve
from explorer.preference.limited import within_limits
from explorer.ranking.explore import gemm_intrinsic
from isa.config import Config
from isa.errors import InputError

TOO_MUCH = "q(X, Y, Z) :- n(X), n(Y), n(Z)."
RULES = f"""
#const most = 9000.
n(1..most). small(1..10). % "a comment". with a dot.
step(0). step(X+1) :- step(X), X < 10.
{TOO_MUCH}
mine(X) :- small(X),
    X < 3.
"""
OPERATOR, CONFIG = resolve("gemm:m=4,n=4,k=4"), Config.load("default")
FACTS = instance(OPERATOR.computation, gemm_intrinsic(CONFIG), DEFAULT_CLASSES)
ENDLESS = "count(s(X)) :- count(X)."


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_rules_in_turn(tmp_path: Path) -> None:
    """Rules are told by file, line and text, those that may go on for ever at the end."""
    first = _written(tmp_path, "first.lp", RULES)
    second = _written(tmp_path, "second.lp", f"#program base.\ncount(0). {ENDLESS} #show m/1.")
    told = [(rule.file, rule.place, rule.text) for rule, _ in in_turn([first, second])]
    assert told == [
        (str(first), "line 3", "n(1..most)."),
        (str(first), "line 3", "small(1..10)."),
        (str(first), "line 4", "step(0)."),
        (str(first), "line 5", TOO_MUCH),
        (str(first), "line 6", "mine(X) :- small(X),"),
        (str(second), "line 2", "count(0)."),
        (str(first), "line 4", "step(X+1) :- step(X), X < 10."),
        (str(second), "line 2", ENDLESS),
    ]


def test_rules_are_grounded_in_turn(tmp_path: Path) -> None:
    """Each prefix is grounded after it is told, but for the whole; without steps, the whole is."""
    path = _written(tmp_path, "rules.lp", "n(1..3).\nm(X) :- n(X).\n" + ENDLESS + "count(0).")
    told: list[Rule | None] = []
    with pytest.raises(Examined), watched(Watch(told.append, in_turn([path]), [path])):
        ground(FACTS, rules=[path])
    assert [rule and rule.text for rule in told] == [
        None, "n(1..3).", "m(X) :- n(X).", "count(0).", ENDLESS
    ]  # fmt: skip
    path.write_text("n(1..3).")
    told.clear()
    with watched(Watch(told.append)):
        ground(FACTS, rules=[path])
    assert told == [None]


def _in_little_memory(rules: list[Path]) -> None:
    """Ground rules with 256 MiB for it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, hard))
    ground(FACTS, rules=rules)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is looked up there")
@pytest.mark.parametrize("more", ["", "count(0).\n" + ENDLESS])
def test_the_rule_that_exceeds_a_limit_is_named(tmp_path: Path, more: str) -> None:
    """It is the first in the file that is too much; else one that derives itself without end."""
    path = _written(tmp_path, "rules.lp", RULES)
    paths = [path]
    if more:
        path.write_text(RULES.replace(TOO_MUCH, "p(X) :- n(X)."))
        paths.append(_written(tmp_path, "more.lp", more))
    with pytest.raises(InputError) as raised:
        within_limits(partial(_in_little_memory, paths), paths, 3600)
    error = raised.value
    if more:
        assert (error.source, error.field) == (str(paths[1]), "line 2")
        assert "must end" in error.allowed
    else:
        assert (error.source, error.field, error.value) == (str(path), "line 5", TOO_MUCH)
        assert "too many instances" in error.allowed
