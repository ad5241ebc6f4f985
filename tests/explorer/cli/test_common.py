"""Options of every command, and where tables, notes and progress go."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from explorer.cli import COMMANDS, app, output
from explorer.cli.fitting import fold

SMALL = "gemm:m=2,n=8,k=8"


def run(*arguments: str) -> Any:
    """What a command prints, and how it ends."""
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_common_options(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--json, --quiet and --out are there, whatever the command is."""
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(command, "--help").stdout
    assert "--json" in shown
    assert "--quiet" in shown
    assert "--out" in shown


# Every command, with arguments that take little time: {program} is a program's folder, {store} one
# of a sweep's results, {new} a folder that is not there yet.
COMMAND_LINES: dict[str, tuple[str, ...]] = {
    "operators": ("resnet18",),
    "kinds": (),
    "facts": (SMALL,),
    "enumerate": (SMALL,),
    "count": (SMALL,),
    "rank": (SMALL, "--top", "2"),
    "optimize": (SMALL,),
    "show": (SMALL, "reference"),
    "why": (SMALL, "y=n:8"),
    "template": (SMALL,),
    "bench": ("tests/data/layers/gemm.yaml", "--jobs", "1"),
    "verify": (SMALL, "reference"),
    "execute": (SMALL, "y=n:8"),
    "emit": (SMALL, "reference", "--out", "{new}"),
    "disasm": ("{program}",),
    "run": ("{program}",),
    "lint-program": ("{program}",),
    "sweep": (SMALL, "--out", "{new}"),
    "results": ("{store}",),
    "schema": ("study",),
    "pareto": (SMALL,),
    "map": (SMALL, "--out", "{new}.html"),
}
FURTHER = [
    ("show", SMALL, "y=n:8", "--lanes"),
    ("show", SMALL, "y=n:8", "--timeline"),
    ("rank", SMALL, "--explain-space"),
    ("sweep", SMALL, "--dry-run"),
    ("operators", "tests/data/layers/gemm.yaml", "--reference"),
]
CONV = "conv2d:n=1,c=3,h=8,w=8,k=16,r=3,s=3"
WIDE = [
    ("optimize", CONV, "--prefer", "footprint,steps", "--require", "no-swap,min-utilisation=0.5"),
    ("optimize", CONV, "--require", "no-im2col,min-utilisation=0.9"),
    ("pareto", CONV, "--objectives", "steps,transform"),
    ("enumerate", CONV, "--layouts", "--classes", "padded"),
    ("execute", CONV, "y=oc:16/z=ic:3,kh:3"),
    ("verify", CONV, "y=oc:16/z=ic:3,kh:3", "reference"),
    ("why", CONV, "y=oc:32/z=ic:3,kh:3/x=ow:8"),
    ("emit", CONV, "reference", "--out", "{new}", "--safe-distance", "3"),
    ("rank", SMALL, "--top", "2", "--columns", "all"),
]
"""What has much to say."""
WHOLE = {"facts", "disasm", "schema"}
"""Commands whose lines others read: they are not cut."""
FOLDERS = {"emit", "sweep", "bench", "show", "map"}
"""Commands whose --out is a folder, a figure or a page, of which standard output can hold none."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A program and a store that commands read."""
    folder = tmp_path_factory.mktemp("common")
    made = {name: str(folder / name) for name in ("program", "store")}
    assert run("emit", SMALL, "reference", "--out", made["program"]).exit_code == 0
    assert run("sweep", SMALL, "--out", made["store"]).exit_code == 0
    return made


def test_every_command_is_tried() -> None:
    """The lines below are of all commands that there are."""
    assert COMMAND_LINES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("line", [*COMMAND_LINES.items(), *((x, rest) for x, *rest in FURTHER)])
def test_json_is_all_that_is_printed(
    line: tuple[str, Sequence[str]],
    places: dict[str, str],
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Standard output is one JSON document; what is to be said besides goes to standard error."""
    monkeypatch.chdir(root)
    command, arguments = line
    given = [x.format(**places, new=tmp_path / "new") for x in arguments]
    done = run(command, *given, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)


@pytest.mark.parametrize("line", [*COMMAND_LINES.items(), *((x, rest) for x, *rest in WIDE)])
def test_no_line_is_wider_than_the_screen(
    line: tuple[str, Sequence[str]],
    places: dict[str, str],
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tables and sentences fit 80 columns where no terminal says otherwise; COLUMNS does.

    On standard error, only an error is one line, however long.
    """
    monkeypatch.chdir(root)
    command, arguments = line
    if command in WHOLE:
        return
    given = [x.format(**places, new=tmp_path / "new") for x in arguments]
    for columns in (80, 60):
        monkeypatch.setenv("COLUMNS", str(columns))
        done = run(command, *given)
        words = str(tmp_path), places["store"], places["program"]  # paths are not cut
        lines = done.output.splitlines()
        wide = [x for x in lines if len(x) > columns and not any(w in x for w in words)]
        assert not wide
        assert not re.search(r"(?<![\d.,:=])1 (?!is|has|class)[a-z-]+s\b", done.output)


@pytest.mark.parametrize("command", COMMAND_LINES)
def test_out_is_standard_output_or_refused(
    command: str, places: dict[str, str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out -` prints, and where a folder or figure is written, one line says what prints it."""
    monkeypatch.chdir(root)
    given = [x.format(**places, new="-") for x in COMMAND_LINES[command] if x != "--out"]
    done = run(command, *(x for x in given if x not in ("-", "-.html")), "--out", "-")
    if command in FOLDERS:
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert "--out: '-' is not allowed" in done.stderr
        assert not done.stdout
    else:
        assert done.exit_code == 0, done.output
        assert done.stdout


def test_out_holds_what_is_printed(places: dict[str, str], tmp_path: Path) -> None:
    """A command without tables writes its text or JSON to a file; bad places are told."""
    path = tmp_path / "facts.lp"
    assert run("facts", SMALL, "--out", str(path)).stdout == ""
    assert path.read_text() == run("facts", SMALL).stdout
    assert run("why", SMALL, "y=k:8", "--json", "-o", str(path)).exit_code == 1
    assert json.loads(path.read_text())["legal"] is False
    for place in (str(tmp_path / "none" / "x"), "", ".", "..", "/", str(tmp_path)):
        refused = run("run", places["program"], "--out", place)
        assert refused.exit_code == 2, place
        assert "--out" in refused.stderr


def test_out_may_be_standard_output() -> None:
    """`--out -` writes CSV to standard output, and nothing else there."""
    done = run("enumerate", SMALL, "--out", "-")
    frame = pd.read_csv(StringIO(done.stdout))
    assert {"embedding", "steps"} <= set(frame)
    done = run("rank", SMALL, "--top", "2", "--out", "-")
    assert len(pd.read_csv(StringIO(done.stdout))) == 3
    assert "Cycles are simulated" in " ".join(done.stderr.split())


def test_why_ends_with_1_for_an_illegal_id() -> None:
    """Scripts can tell legal from illegal ids by the exit status."""
    assert run("why", SMALL, "y=n:8").exit_code == 0
    assert run("why", SMALL, "y=k:8").exit_code == 1


@pytest.mark.parametrize("command", ["rank", "sweep"])
def test_an_effort_of_nothing_is_refused(command: str, tmp_path: Path) -> None:
    """No program can be found by simulating none."""
    done = run(command, SMALL, "--effort", "0", "--out", str(tmp_path / "x.csv"))
    assert done.exit_code == 2
    assert "--effort" in done.stderr


def test_progress_off_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Lines on standard error say how far it is, and that it goes on; none with --quiet."""
    monkeypatch.setattr(output, "FIRST", 0.05)
    with output.progress("ranking", 3) as advance:
        advance(1)
        while not (said := capsys.readouterr().err):  # nothing is finished meanwhile
            time.sleep(0.01)
    assert re.match(r"ranking: 1 of 3, \d+ s\n", said)
    with output.progress("searching"):
        while not (said := capsys.readouterr().err):
            time.sleep(0.01)
    assert re.match(r"searching: \d+ s\n", said)
    capsys.readouterr()
    monkeypatch.setattr(output, "is_quiet", lambda: True)
    with output.progress("ranking", 3) as advance:
        advance(1)
        time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_lines_of_progress_become_rare(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Each pause between two lines is as long as all the time before, up to a longest one."""
    pauses: list[float] = []

    class Ended(threading.Event):
        """Time that passes at once, for eight lines."""

        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0)
            return len(pauses) > 8

    monkeypatch.setattr(output, "Event", Ended)
    monkeypatch.setattr(output, "time", SimpleNamespace(monotonic=lambda: sum(pauses)))
    monkeypatch.setattr(output, "FIRST", 2.0)
    with output.progress("searching"):
        pass
    assert pauses == [2, 2, 4, 8, 16, 32, 60, 60, 60]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        f"{x} s" for x in (2, 4, 8, 16, 32, 64, 124, 184)
    ]


def test_ids_are_cut_between_digits() -> None:
    """A long id continues on the next line after a slash or comma; a longer piece is cut."""
    assert fold("y=oc:16/z=kh:5,kw%3", 12) == ["y=oc:16/", "z=kh:5,kw%3"]
    assert fold("abcdefgh", 3) == ["abc", "def", "gh"]
    assert "".join(fold("y=oc:16/z=kh:5,kw%3", 5)) == "y=oc:16/z=kh:5,kw%3"
