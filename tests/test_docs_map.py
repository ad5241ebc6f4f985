"""The table of docs/howto/map.md is the code's, its picture is there, and bad input is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.report.pages.space import METRICS

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "howto" / "map.md").read_text(encoding="utf-8")
SMALL = "gemm:m=2,n=4,k=6"
MOST_BYTES = 300_000  # of a picture


def test_metrics_are_all_there() -> None:
    """The table of metrics names those of the page, in its order."""
    named = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert named == [metric.name for metric in METRICS]


def test_picture() -> None:
    """The picture is a PNG that is not too large, and the page says how it is made."""
    data = (DOCS / "images" / "map.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) <= MOST_BYTES
    assert "python -m tests.screenshot map.html docs/images/map.png\n" in TEXT


@pytest.mark.parametrize(
    ("out", "classes", "message"),
    [
        ("map.pdf", "padded", ".html"),
        ("none/map.html", "padded", "there is no directory"),
        ("map.html", "paded", "paded"),
    ],
)
def test_a_map_is_refused_before_it_is_computed(
    out: str, classes: str, message: str, tmp_path: Path
) -> None:
    """Another suffix, a folder that is not there, and a class that is none are named."""
    words = ["map", SMALL, "--out", str(tmp_path / out), "--classes", classes]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert message in result.stderr
