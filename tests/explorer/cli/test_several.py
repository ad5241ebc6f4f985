"""Operators of several terms and of any steps, at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app

BLOCK = "docs/block.yaml"
ROUNDED = """
name: rounded
out: {name: output, shape: [4, 16], letters: MN}
stages:
  - term:
      dimensions: {m: 4, n: 16, k: 16}
      in0: {name: data, shape: [4, 16], index: [m, k]}
      in1: {name: weight, shape: [16, 16], index: [n, k]}
      out: [m, n]
  - shift: {by: 8, rounding: half-even}
"""


def refused(arguments: list[str]) -> str:
    """The one line that a command refuses with."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["rank"],
        ["verify", "reference"],
        ["show", "reference"],
        ["emit", "reference", "--out", "never"],
        ["execute", "reference"],
        ["optimize"],
        ["template"],
        ["sweep", "--out", "never"],
    ],
    ids=lambda a: a[0],
)
def test_several_terms_are_refused_by_name(
    arguments: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that make programs or layouts say which terms they cannot take, and make nothing."""
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    text = refused([command, str(root / BLOCK), *rest])
    assert "block: stages: '" in text
    assert "residual * identity" in text
    assert not list((tmp_path / "never").rglob("*.parquet"))


def test_the_template_refuses_steps_by_name(tmp_path: Path) -> None:
    """TVM's template has an epilogue and no other steps; the one it lacks is named."""
    path = tmp_path / "rounded.yaml"
    path.write_text(ROUNDED, encoding="utf-8")
    text = refused(["template", str(path)])
    assert "rounded: stages: '" in text
    assert ">> 8 (half-even)" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["enumerate", BLOCK, "--lane-orders", "all"],
        ["enumerate", BLOCK, "--encoding", "unstructured"],
        ["count", BLOCK, "--outer-orders", "all"],
        ["count", BLOCK, "--fused-mappings"],
    ],
    ids=lambda a: a[-2],
)
def test_options_for_one_term_say_so(
    arguments: list[str],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An option that means nothing for several terms is refused, with how many there are."""
    monkeypatch.chdir(root)
    assert "2 terms" in refused(arguments)
