"""Candidates of networks in a store: nothing is done twice, whoever does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from explorer.network.candidates import evaluation
from explorer.network.candidates.evaluation import Request, Row
from explorer.network.candidates.spaces import survey
from explorer.operators import resolve
from explorer.study.candidates import answering
from explorer.study.store import Store
from isa.config import Config
from isa.errors import InputError

DEFAULT = Config.default()
SHORT, LONG = (resolve(f"gemm:m={m},n=16,k=16") for m in (2, 3))


def requests(*names: str) -> list[Request]:
    """The fastest embedding of an operator each."""
    known = {"short": SHORT, "long": LONG, "alike": resolve("gemm:m=2,n=16,k=16")}
    found = []
    for name in names:
        ordered = tuple(survey(known[name], DEFAULT).ordered)
        found.append(Request(known[name], DEFAULT, ordered, 1, None))
    return found


def answers(path: Path | None, asked: Sequence[Request], **where: Any) -> list[list[Row]]:
    """The rows of each request."""
    with answering(1, path, **where) as given:
        assert given is not None
        return [list(rows) for rows in given(asked)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operators of the requests that are evaluated in this process, in their order."""
    done: list[str] = []
    real = evaluation.answer

    def answer(request: Request) -> list[Row]:
        done.append(f"m={request.operator.out.shape[0]}")
        return real(request)

    monkeypatch.setattr(evaluation, "answer", answer)
    return done


def test_nothing_is_evaluated_twice(tmp_path: Path, counted: list[str]) -> None:
    """Equal layers are one, also in another run, which goes on where the one before was ended."""
    first = answers(tmp_path, requests("short", "alike"))
    assert counted == ["m=2"]
    assert first[0] == first[1] == evaluation.answer(requests("short")[0])
    counted.clear()
    again = answers(tmp_path, requests("long", "short"))
    assert counted == ["m=3"]
    assert again[1] == first[0]
    parts = sorted((tmp_path / "candidates").glob("*/*.parquet"))
    before = [path.read_bytes() for path in parts]
    parts[0].unlink()
    assert answers(tmp_path, requests("long", "short")) == again
    assert [path.read_bytes() for path in parts] == before


def test_what_was_done_before_a_failure_is_kept(tmp_path: Path, counted: list[str]) -> None:
    """A run that is ended keeps what it has."""
    with answering(1, tmp_path) as given:
        assert given is not None
        next(iter(given(requests("long", "short"))))
    assert counted == ["m=3"]
    answers(tmp_path, requests("long", "short"))
    assert counted == ["m=3", "m=2"]


def test_dask_answers_alike(tmp_path: Path) -> None:
    """A Dask cluster gives the rows that this process gives, in the order of the requests."""
    asked = requests("long", "short")
    expected = [evaluation.answer(request) for request in asked]
    assert answers(tmp_path, asked, dask="local:1") == expected


def test_stores_are_not_mixed(tmp_path: Path) -> None:
    """A store of a sweep holds no candidates; neither is asked for, there is nothing to keep."""
    with Store.create(tmp_path, {"effort": 2}, "0").locked():
        pass
    with (
        pytest.raises(InputError, match="results of different options are not mixed"),
        answering(1, tmp_path),
    ):
        pass
    with answering(1, None) as given:
        assert given is None


def test_a_cluster_that_is_none_is_refused_at_once() -> None:
    """What is wrong with an address is said though there is nothing to evaluate."""
    with pytest.raises(InputError, match="local:N"), answering(1, None, "local:x"):
        raise AssertionError
