"""Every option and argument of every command with bad values: exit 0, 1 or 2, and one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

from explorer import cli
from tests.fuzz.hostile import MOST, budget, said, words

SMALL = "gemm:m=4,n=4,k=4"
ARGUMENTS = {
    "facts": [SMALL], "enumerate": [SMALL], "count": [SMALL], "why": [SMALL, "y=n:4"],
    "show": [SMALL, "reference", "--lanes"], "rank": [SMALL, "--explain-space"],
    "optimize": ["no:such"], "template": ["no:such"], "bench": ["no:such"], "verify": ["no:such"],
    "execute": ["no:such", "y=n:4"], "emit": ["no:such", "reference", "--out", "/no/such/folder"],
    "disasm": ["/no/such"], "run": ["/no/such"], "lint-program": ["/no/such"],
    "sweep": [SMALL, "--dry-run"], "results": ["/no/such"], "pareto": ["/no/such.csv"],
    "operators": [], "kinds": [], "schema": ["no-such"],
    "map": ["no:such", "--out", "/no/such/map.html"], "network show": ["resnet18"],
    "network import": ["no-such", "--out=/no/such.json"], "network plan": ["no-such"],
    "network why": ["no-such", "x"],
    "network map": ["no-such", "--out=/no/such.html"],
    "network emit": ["no-such", "--out=/no/such"], "network run": ["/no/such"],
    "network verify": ["no-such"],
}  # fmt: skip
"""Arguments with which a command ends soon, whatever else it is given."""


@cache
def _options(name: str) -> list[str]:
    """The options of a command that take a value."""
    group: Any = get_command(cli.app)
    for word in name.split():
        assert group.get_command(None, word) is not None
        _, group, _ = group.resolve_command(_context(), [word])
    return sorted(
        option
        for parameter in group.params
        for option in parameter.opts
        if option.startswith("--") and not getattr(parameter, "is_flag", False)
    )


def _context() -> Any:
    return get_command(cli.app).make_context("explorer", ["operators"])


def _check(code: int, error: str) -> None:
    """Raise AssertionError unless a command that failed has said so in one short line."""
    assert "Traceback" not in error
    assert code in (0, 1, 2), error
    if code == 2:
        lines = said(error)
        assert len(lines) == 1, error
        assert len(lines[0]) <= MOST + 20, error


def test_all_commands_are_tried() -> None:
    """No command is left out."""
    groups = {f"{word} {name}" for word, group in cli.GROUPS.items() for name in group.commands}
    assert ARGUMENTS.keys() == cli.COMMANDS.keys() | groups


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of their own for all tests: values may be names of files that are then written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield


@budget(25, 3_000)
@given(st.data())
def test_options(data: st.DataObject) -> None:
    """A value of any kind, for any option or argument, is taken or refused in one line."""
    name = data.draw(st.sampled_from(sorted(ARGUMENTS)))
    arguments = list(ARGUMENTS[name])
    places = [*range(len(arguments)), *_options(name)]
    if not places:
        return
    place, value = data.draw(st.sampled_from(places)), data.draw(words)
    if isinstance(place, int):
        arguments[place] = value
    else:
        arguments.append(f"{place}={value}")
    result = CliRunner().invoke(cli.app, [*name.split(), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    _check(result.exit_code, result.stderr)


@budget(2, 500)
@given(st.data())
def test_processes(data: st.DataObject) -> None:
    """The same of real processes, where the shell can pass the value on."""
    name = data.draw(st.sampled_from(sorted(n for n in ARGUMENTS if _options(n))))
    option, value = data.draw(st.sampled_from(_options(name))), data.draw(words)
    text = value.replace("\0", "").encode("utf-8", "surrogateescape")[:100_000]
    command = [sys.executable, "-m", "explorer", *name.split(), *ARGUMENTS[name]]
    run = subprocess.run(
        [*map(os.fsencode, command), option.encode() + b"=" + text],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    _check(run.returncode, run.stderr.decode())


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a sweep."""
    path = tmp_path_factory.mktemp("swept") / "store"
    made = CliRunner().invoke(cli.app, ["sweep", SMALL, "--vary=LOG_BLOCK=9", "--out", str(path)])
    assert made.exit_code == 0, made.output
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "copy results to 'x'",
        "attach 'y'",
        "install httpfs",
        "set threads = 1",
        "select * from '/etc/passwd'",
        "select 1; select 2",
        "select * from glob('/*')",
        "select * from frame",
    ],
)
def test_sql_has_no_way_out(
    sql: str, swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query reads no file, writes none, and changes no setting: exit 2, one line."""
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "store"
    shutil.copytree(swept, store)
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(cli.app, ["results", str(store), "--sql", sql])
    assert result.exit_code == 2
    _check(2, result.stderr)
    assert sorted(tmp_path.rglob("*")) == before
