"""The command line as a whole: what it lists, how fast it starts, and how it fails."""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import start
from explorer import cli
from isa.errors import InputError

Failing = Callable[[BaseException], None]
RUN = "from explorer.cli import main; main()"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Makes every command raise an error of choice."""

    def fail_with(error: BaseException) -> None:
        def command() -> None:
            raise error

        monkeypatch.setattr(cli.Entry, "load", lambda _: command)

    return fail_with


def test_help_lists_the_commands() -> None:
    """The list has every command, its summary, and the forms an operator may take."""
    result = CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    for name, entry in cli.COMMANDS.items():
        assert name in result.output
        assert entry.summary in result.output
    assert "deepbench:conv/server/" in result.output
    assert ".yaml" in result.output


def test_no_arguments_is_help() -> None:
    """Without arguments one is shown what there is."""
    assert "Usage" in CliRunner().invoke(cli.app).output


def test_version(version: str) -> None:
    """The version printed is the version released."""
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.stdout == f"vta-explorer {version}\n"


def test_listing_imports_nothing_heavy(root: Path) -> None:
    """The libraries behind the commands are not loaded to list them."""
    loaded = _loaded(root, "import explorer.cli")
    assert not {"clingo", "numba", "numpy", "pandas", "pyarrow"} & loaded


def test_compiler_is_not_loaded_before_it_is_needed(root: Path) -> None:
    """Commands are loaded without the libraries and searches that only some of their work needs.

    numba and pandas take as long as all the rest.
    """
    loaded = _loaded(root, "import explorer.cli as c; [entry.load() for entry in c.EVERY.values()]")
    assert "simulator.jit" in loaded
    assert not {
        "numba", "llvmlite", "pandas", "pyarrow", "duckdb", "onnx", "onnxruntime", "matplotlib",
        "vl_convert", "distributed", "asyncio", "explorer.network.proof.search",
    } & loaded  # fmt: skip


def test_garbage_is_looked_for_while_a_command_runs(root: Path) -> None:
    """A command runs with Python's search for garbage on, which leaves out what was loaded."""
    answer = "print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    code = (
        "import gc, explorer.cli as c, explorer.__main__ as m; "
        f"c.Entry.load = lambda _: (lambda: {answer}); m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "facts"],
        env=os.environ | {"PYTHONPATH": str(root)}, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stdout == "True True\n"


def test_garbage_is_none_of_a_commands_business_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that runs inside another program leaves that program's search for garbage alone."""
    monkeypatch.setattr(cli.Entry, "load", lambda _: lambda: None)
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    assert CliRunner().invoke(cli.app, ["facts"]).exit_code == 0
    assert gc.isenabled() == enabled
    assert gc.get_freeze_count() <= frozen  # some of what was frozen may have gone


def _loaded(root: Path, statements: str) -> set[str]:
    """The modules that are loaded after some statements in a process of their own."""
    code = f"{statements}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root)}, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_start_of_every_command_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark has each command once, the slowest first, and its least time but the first."""
    names = list(enumerate(cli.EVERY, 1))
    spent = {(*name.split(), "--help"): [0.0, 1 / n, 2.0, 3.0] for n, name in names}
    monkeypatch.setattr(start, "seconds", lambda command, _: (spent[command].pop(0), 0.0))
    assert list(start.start()) == [f"{name}: {1 / n:.2f} s" for n, name in names]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_summary_is_the_first_line_of_help(name: str) -> None:
    """What the list says of a command is what the command says of itself."""
    entry = cli.COMMANDS[name]
    documentation = inspect.getdoc(entry.load()) or ""
    assert documentation.splitlines()[0] == entry.summary
    assert CliRunner().invoke(cli.app, [name, "--help"]).exit_code == 0


def test_bad_input_is_one_line(failing: Failing) -> None:
    """Bad input ends with status 2 and one line that repeats it."""
    failing(InputError("gemm", "m", "-4", "a positive integer"))
    result = CliRunner().invoke(cli.app, ["facts"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "explorer: error: gemm: m: '-4' is not allowed; a positive integer\n"


def test_interrupt_is_one_line(failing: Failing) -> None:
    """Ctrl-C ends with the shell's status for it, without a traceback."""
    failing(KeyboardInterrupt())
    result = CliRunner().invoke(cli.app, ["facts"])
    assert result.exit_code == 130
    assert result.stderr == "explorer: interrupted\n"


def test_a_bug_is_not_hidden(failing: Failing) -> None:
    """An error that no user can cause keeps its traceback."""
    failing(ZeroDivisionError())
    assert isinstance(CliRunner().invoke(cli.app, ["facts"]).exception, ZeroDivisionError)


def test_unknown_command_suggests() -> None:
    """A misspelt command ends with status 2 and the nearest one."""
    result = CliRunner().invoke(cli.app, ["ranks"])
    assert result.exit_code == 2
    assert "rank" in result.stderr


def test_closed_pipe_is_quiet(root: Path) -> None:
    """When the reader has gone, as with `| head`, nothing is said about it."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-c", RUN, "--help"],
            env=os.environ | {"PYTHONPATH": str(root)},
            check=False,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writer)
    assert result.stderr == ""
