"""The command line: the table of commands, and what happens when one fails.

In: the user's arguments. Out: text, tables and files; exit status 1 where the answer is no, 2 for
bad input, 130 after Ctrl-C. Imports any stage; nothing imports this one.

Listing the commands must be quick, so a command's module, and the libraries behind it, are imported
when the command is called and not before.
"""

from __future__ import annotations

import errno
import gc
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from explorer.cli.common import extended, own_process
from explorer.cli.interrupts import INTERRUPTED, supervise
from isa.errors import InputError, InputWarning, one_line, shown

BAD_INPUT = 2
MOST_MESSAGE = 600  # characters of what Typer says

EPILOG = """\
[bold]An OPERATOR is one of[/]
  a shipped workload    deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2
  written inline        gemm:m=64,n=64,k=64
  a YAML file           my_operator.yaml

[bold]Examples[/]
  explorer operators                      what ships
  explorer enumerate gemm:m=4,n=4,k=4     every embedding of a small product
  explorer rank my_operator.yaml          the same, best first
  explorer rank --help                    the options of one command
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the command table: where in this package the function is that runs the command."""

    module: str
    function: str
    summary: str

    def load(self) -> Callable[..., None]:
        """The function itself; imports its module."""
        module = import_module(f"{__name__}.{self.module}")
        function: Callable[..., None] = getattr(module, self.function)
        return function


COMMANDS = {
    "operators": Entry(
        "operators",
        "operators",
        "List the operators that ship: dimensions, multiply-adds, and elements of each tensor.",
    ),
    "kinds": Entry(
        "kinds", "kinds", "List the kinds of operator, with the arguments that they take."
    ),
    "facts": Entry("space", "facts", "Print the facts that clingo is given."),
    "enumerate": Entry("space", "enumerate_", "List every embedding."),
    "count": Entry("space", "count", "Count the embeddings, in total and of each class."),
    "rank": Entry("rank", "rank", "Rank the embeddings by simulated cycles."),
    "map": Entry("maps", "map_", "Draw all embeddings as a page that one explores."),
    "optimize": Entry(
        "preferences", "optimize", "Find the embeddings that are preferred, with proof."
    ),
    "show": Entry("embeddings", "show", "Show one embedding and what follows from it."),
    "why": Entry("why", "why", "Tell whether an embedding is legal, and if not, why."),
    "template": Entry(
        "template", "template", "Show what TVM's fixed template makes of an operator."
    ),
    "bench": Entry("bench", "bench", "Compare best embeddings with the baselines."),
    "verify": Entry("embeddings", "verify", "Execute embeddings and check the results."),
    "execute": Entry(
        "space", "execute", "Execute embeddings step by step on any instruction, and check them."
    ),
    "emit": Entry("programs", "emit", "Write a program with its tensors and the expected output."),
    "disasm": Entry("programs", "disasm", "List the instructions of a program."),
    "run": Entry("programs", "run", "Execute and time the program in a folder."),
    "lint-program": Entry(
        "lint", "lint_program", "Check a program for races, deadlocks, and what is not portable."
    ),
    "sweep": Entry(
        "sweep",
        "sweep",
        "Evaluate operators under many configurations, and keep the results.",
    ),
    "results": Entry("sweep", "results", "Query or export what a sweep found."),
    "pareto": Entry(
        "pareto", "pareto", "Find embeddings, or rows of a table, that no other beats."
    ),
    "schema": Entry(
        "schema", "schema", "Print the JSON Schema of a document or of a command's JSON output."
    ),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that share a first word."""

    summary: str
    commands: Mapping[str, Entry]


GROUPS = {
    "network": Group(
        "Whole networks: read models, plan them, and make programs of the plan.",
        {
            "show": Entry(
                "network", "show", "List the nodes: what is accelerated, and what is exact."
            ),
            "import": Entry("network", "import_", "Write a model as a document."),
            "plan": Entry(
                "network_plan",
                "plan",
                "Choose an embedding for each node such that the whole network is best.",
            ),
            "why": Entry(
                "network_why",
                "why",
                "Tell what a node's own best embedding would cost elsewhere in the plan.",
            ),
            "map": Entry(
                "network_map",
                "map_",
                "Draw the candidates of every node, and the best plan, as a page to explore.",
            ),
            "emit": Entry(
                "network_programs",
                "emit",
                "Write a planned network: segments, constants, and what the host has to do.",
            ),
            "run": Entry(
                "network_programs", "run", "Run a network that was emitted, on data of yours."
            ),
            "verify": Entry(
                "network_programs",
                "verify",
                "Execute a planned network and compare every tensor with the integer reference.",
            ),
        },
    ),
}


EVERY = COMMANDS | {
    f"{word} {name}": entry
    for word, group in GROUPS.items()
    for name, entry in group.commands.items()
}
"""All commands by what is typed."""


class LazyGroup(TyperGroup):
    """Commands that are imported when called, and whose expected failures are one line each."""

    entries: Mapping[str, Entry] = COMMANDS

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command to run, in place of the stand-in that is listed."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.entries:
            real = typer.Typer(add_completion=False)
            real.command(name)(extended(self.entries[name].load()))
            command = get_command(real)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what a user can cause ends without a traceback."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("once", InputWarning)
                warnings.showwarning = _warn
                result = super().invoke(ctx)
            sys.stdout.flush()  # here, where Typer still catches a pipe that was closed
        except InputError as error:
            _fail(f"error: {error}", BAD_INPUT)
        except TyperException as error:
            _fail(f"error: {_words(error)}", error.exit_code)
        except KeyboardInterrupt:
            _fail("interrupted", INTERRUPTED)
        except MemoryError:
            _fail("error: this machine has not enough memory for that", BAD_INPUT)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            where = f"{shown(error.filename)}: " if error.filename else "output: "
            _fail(f"error: {where}{error.strerror or one_line(str(error))}", BAD_INPUT)
        return result

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments before the command's own; a mistake in them is one line."""
        if not args:  # ends in the help
            return super().parse_args(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            _fail(f"error: {_words(error)}", error.exit_code)


def _words(error: TyperException) -> str:
    """What Typer says of arguments, which it repeats whole, on one line that is not too long."""
    text = one_line(error.format_message())
    return text if len(text) <= MOST_MESSAGE else f"{text[:MOST_MESSAGE]}…"


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one line on standard error."""
    typer.echo(f"explorer: warning: {message}", err=True)


def _fail(message: str, code: int) -> NoReturn:
    """End the program with one line on standard error."""
    typer.echo(f"explorer: {message}", err=True)
    raise typer.Exit(code)


app = typer.Typer(
    cls=LazyGroup, epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False
)


def _stand_in() -> None:
    """What is listed for a command; `LazyGroup` runs the real one."""


for _name, _entry in COMMANDS.items():
    app.command(_name, help=_entry.summary)(_stand_in)
for _word, _group in GROUPS.items():
    _kind = type(f"{_word.title()}Group", (LazyGroup,), {"entries": _group.commands})
    _commands = typer.Typer(cls=_kind, no_args_is_help=True)
    for _name, _entry in _group.commands.items():
        _commands.command(_name, help=_entry.summary)(_stand_in)
    app.add_typer(_commands, name=_word, help=_group.summary)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vta-explorer {version('vta-explorer')}")
        raise typer.Exit


@app.callback()
def _explorer(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Find every way to embed a tensor operator in an accelerator's instruction, and rank them."""


def main() -> None:
    """Run the command line; the installed `explorer` calls this, by way of `explorer.__main__`."""
    try:
        code = supervise(_alone)
    finally:
        gc.freeze()  # all memory is given back at once: Python need not look for garbage in it
    sys.exit(code)


def _alone() -> object:
    own_process()  # here, as the thread in which commands run has a context of its own
    return app()
