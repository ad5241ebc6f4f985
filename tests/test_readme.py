"""README.md is short, names every command, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from explorer.cli import COMMANDS, GROUPS

MOST_LINES = 150


def test_readme(root: Path, version: str) -> None:
    """The page fits in a few screens, and no file that it links to has moved away."""
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert not [link for link in links if not (root / link).exists()]
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == version
    assert cited["license"] == "Apache-2.0"


def test_every_command_is_named(root: Path) -> None:
    """The list of commands has each of them, and no other."""
    text = (root / "README.md").read_text(encoding="utf-8")
    listed = text.partition("lists the commands:")[2].partition(". ")[0]
    assert set(re.findall(r"`([a-z-]+)`", listed)) == {*COMMANDS, *GROUPS}
