"""docs/reference/operators.md names every kind and argument, and its documents are operators."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.operators import document, resolve
from explorer.operators.constructors import EpilogueOptions
from explorer.operators.kinds import kinds

TEXT = (Path(__file__).parent.parent / "docs" / "reference" / "operators.md").read_text(
    encoding="utf-8"
)
FILES = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
OTHERS = [text for text in FILES if text.startswith(("- id", "problem"))]
DOCUMENTS = [text for text in FILES if text not in OTHERS]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_documents_are_operators(text: str) -> None:
    """Each document of the page is one, and its dump is the same operator."""
    operator = document.parse(text, "docs/reference/operators.md")
    assert document.parse(document.dump(operator), "dump") == operator


@pytest.mark.parametrize("text", OTHERS)
def test_files_of_other_tools_are_suites(text: str, tmp_path: Path) -> None:
    """Each such file of the page is an operator, and is listed."""
    path = tmp_path / "net.yaml"
    path.write_text(text, encoding="utf-8")
    assert resolve(str(path)).kind == "conv2d"
    listed = CliRunner().invoke(app, ["operators", str(path), "--json"])
    assert listed.exit_code == 0, listed.output
    assert OTHERS


def test_every_kind_is_explained() -> None:
    """The page names every kind, every optional argument and every part of the epilogue."""
    for kind in kinds():
        assert f"`{kind.name}`" in TEXT
        for optional in kind.optional:
            assert f"{optional.partition('=')[0]}" in TEXT
    for name in EpilogueOptions.__annotations__:
        assert f"| `{name}=" in TEXT


def test_kinds_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`explorer kinds` lists every kind with its arguments, within the screen."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["kinds"]).stdout
    for kind in kinds():
        assert kind.name in shown
        assert all(name in shown for name in (*kind.required, *kind.aliases))
    assert max(map(len, shown.splitlines())) <= 80
