"""What docs/map.md shows works, and its picture is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import explorer
from explorer.cli import app
from explorer.report.pages.space import METRICS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
EXAMPLES = [shlex.split(line) for line in re.findall(r"^    (\w.*)$", TEXT, re.MULTILINE)]
LAYER = "conv2d:n=1,c=3,h=224,w=224,k=64,r=7,s=7,pad=3,stride=2"
SMALL = "gemm:m=2,n=4,k=6"
MOST_BYTES = 300_000  # of a picture


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run one after another; a small product stands in for the large layer."""
    monkeypatch.chdir(tmp_path)
    commands = [words for words in EXAMPLES if words[0] == "explorer"]
    assert [words[1] for words in commands] == ["map", "show", "emit", "run"]
    for words in commands:
        given = [SMALL if word == LAYER else word for word in words[1:]]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "map.html").stat().st_size > MOST_BYTES
    assert {path.name for path in tmp_path.iterdir()} >= {"map.html", "trace.json", "ran.json"}


def test_python_examples(tmp_path: Path) -> None:
    """The functions that the document names do what it says."""
    ranking = explorer.map(SMALL, tmp_path / "map.html", jobs=1)
    assert (tmp_path / "map.html").is_file()
    assert ranking.evaluations
    assert '"traceEvents"' in explorer.trace(SMALL, ranking.evaluations[0].embedding)


def test_metrics_are_all_there() -> None:
    """The table of metrics names those of the page, in its order."""
    named = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert named == [metric.name for metric in METRICS]


def test_picture() -> None:
    """The picture is a PNG that is not too large."""
    name = re.search(r"!\[.*\]\((.*)\)", TEXT)
    assert name
    data = (ROOT / "docs" / name[1]).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) <= MOST_BYTES
    assert ["python", "-m", "tests.screenshot", "map.html", f"docs/{name[1]}"] in EXAMPLES


def test_a_map_is_refused_before_it_is_computed(tmp_path: Path) -> None:
    """Another suffix, a folder that is not there, and classes with no embedding are named."""
    for words, message in (
        (["--out", str(tmp_path / "map.pdf")], ".html"),
        (["--out", str(tmp_path / "none" / "map.html")], "there is no directory"),
        (["--out", str(tmp_path / "map.html"), "--classes", "paded"], "paded"),
    ):
        result = CliRunner().invoke(app, ["map", SMALL, *words])
        assert result.exit_code == 2
        assert message in result.stderr
