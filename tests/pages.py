"""Runs what the pages show, block by block, and compares what is printed with what stands there.

The blocks of a page share a folder, in which `docs` and `studies` are those of the checkout; a page
that names `model.onnx` finds there a small quantised model:

- ``console``: lines that begin with ``$`` are commands; what follows is what they print, all of it,
  but for lines that are ``…``, which stand for any lines. ``# exit status 1`` after a command says
  how it ends where that is not with 0.
- ``sh``: commands whose output is not shown. ``NAME=value`` sets a variable for those after it.
- ``python``: run as it stands; names live on.
- a block with a ``title`` is the file of that name.

Others are not run. ``python -m tests.pages FILE…`` writes into pages what commands print today.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from typer.testing import CliRunner

from explorer.cli import app
from tests.explorer.network.quantised import Writer

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"# exit status (\d+)")
ANYTHING = "…"
INSTALLING = {"make", "source", "pip", "cd", "git"}
"""Commands of the surroundings, which the runner leaves alone."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the file that it is (or ""), its text, its first line."""

    language: str
    title: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Session:
    """A command as it is typed, and what stands below it."""

    command: str
    shown: str


@dataclass(slots=True)
class Page:
    """A page whose blocks are being run, in the current directory."""

    variables: dict[str, str] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def run(self, block: Block) -> None:
        """Run a block.

        Raises:
            AssertionError: it does not do what the page says.
        """
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            for command in commands(block.text):
                self.call(command)
        elif block.language == "console":
            for session in sessions(block.text):
                printed = self.call(session.command)
                assert agrees(printed, session.shown), f"{session.command} prints\n{printed}"
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, f"line {block.line}", "exec"), self.names)

    def call(self, command: str) -> str:
        """What a command prints, on both outputs; it has to end as the page says."""
        status = _STATUS.search(command)
        words = shlex.split(command, comments=True)
        if not words:
            return ""
        if len(words) == 1 and (assigned := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])):
            self.variables[assigned[1]] = assigned[2]
            return ""
        if words[0] in INSTALLING:
            return ""
        program, *arguments = (self._filled(word) for word in words)
        assert program == "explorer", f"{command}: no such program here"
        # What there is of progress depends on the time that a command takes.
        result = CliRunner().invoke(app, [*arguments, "--quiet"])
        expected = int(status[1]) if status else 0
        assert result.exit_code == expected, f"{command}: {result.exit_code}\n{result.output}"
        return result.output

    def _filled(self, word: str) -> str:
        """A word with the page's variables in it."""
        return re.sub(r"\$([A-Z_]+)", lambda name: self.variables[name[1]], word)


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for found in _FENCE.finditer(text):
        language, _, rest = found["head"].partition(" ")
        title = re.search(r'title="([^"]*)"', rest)
        line = text.count("\n", 0, found.start()) + 2
        yield Block(language, title[1] if title else "", found["body"], line)


def commands(text: str) -> Iterator[str]:
    """The commands of a script; a backslash at the end of a line joins it to the next."""
    yield from text.replace("\\\n", " ").splitlines()


def sessions(text: str) -> Iterator[Session]:
    """The commands of a block with what stands below each."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield Session(command, shown)


def agrees(printed: str, shown: str) -> bool:
    """Whether a page shows what is printed, but for what ``…`` stands for."""
    pattern = [
        r"(?:[^\n]*\n)*" if line.strip() == ANYTHING else f"{re.escape(line)}\n"
        for line in shown.splitlines()
    ]
    plain = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return re.fullmatch("".join(pattern), plain) is not None


@contextlib.contextmanager
def folder(path: Path) -> Iterator[None]:
    """The folder of a page while its blocks run; output is as wide as without a terminal."""
    for name in ("docs", "studies"):
        (path / name).symlink_to(ROOT / name)
    before, columns = Path.cwd(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns


def prepare(text: str) -> None:
    """Write what a page takes for given into the current directory."""
    if "model.onnx" in text:
        Path("model.onnx").write_bytes(_model().SerializeToString())


def _model() -> onnx.ModelProto:
    """A quantised model of an image of unknown size: floats in, a convolution, a pool."""
    writer = Writer(0)
    writer.shapes["image"] = (1, 3, 16, 16)
    x = writer.q("image", -5, (1, 3, 16, 16))
    y = writer.product("Conv", x, (8, 3, 3, 3), pads=[1, 1, 1, 1], end=[("Relu", 0, 0)])
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    made = writer.model(writer.through("MaxPool", y, (1, 8, 8, 8), **pool))
    shape: list[str | int | None] = ["n", 3, "h", "w"]
    made.graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    return made


def _updated(text: str) -> str:
    """A page with what its commands print today; a session that shows a part is left alone."""
    page = Page()
    prepare(text)

    def fresh(found: re.Match[str]) -> str:
        (block,) = blocks(found[0])
        if block.language != "console" or block.title:
            page.run(block)
            return found[0]
        parts = []
        for typed in re.split(r"^(?=\$ )", block.text, flags=re.MULTILINE):
            for session in sessions(typed):
                printed = page.call(session.command)
                shown = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
                kept = ANYTHING in session.shown.splitlines() and agrees(printed, session.shown)
                head = typed.removesuffix(session.shown)
                parts.append(typed if kept else f"{head}{shown}")
        return f"```{found['head']}\n{''.join(parts)}```"

    return _FENCE.sub(fresh, text)


def main(names: Sequence[str]) -> None:
    """Bring the pages up to date."""
    for name in names:
        path = Path(name).resolve()
        with tempfile.TemporaryDirectory() as home, folder(Path(home)):
            path.write_text(_updated(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
