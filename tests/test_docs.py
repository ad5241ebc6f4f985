"""Every example of every page works, and what stands below it is what it prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from docs import generate
from explorer.cli import EVERY
from tests.pages import PAGES, ROOT, Page, agrees, blocks, folder, prepare, sessions

DOCS = ROOT / "docs"
HEAVY = {"README.md"}
"""Pages whose examples are those of real layers, and take more than a few seconds."""


def name(path: Path) -> str:
    """A page's path in the repository."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] * (name(p) in HEAVY)) for p in PAGES],
    ids=name,
)
def test_examples(path: Path, tmp_path: Path) -> None:
    """The blocks of a page, run one after the other in a folder of their own, do what it says."""
    page, text = Page(), path.read_text(encoding="utf-8")
    with folder(tmp_path):
        prepare(text)
        for block in blocks(text):
            page.run(block)


def nav(entry: object) -> list[str]:
    """The pages of a part of the site's table of contents."""
    match entry:
        case str():
            return [entry]
        case list():
            return [page for part in entry for page in nav(part)]
        case dict():
            return [page for part in entry.values() for page in nav(part)]
    raise TypeError(type(entry))


class _Site(yaml.SafeLoader):
    """Reads mkdocs.yml, in which functions of Markdown's extensions are named."""


_Site.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda *_: None)


def test_every_page_has_a_door() -> None:
    """The table of contents has every page, those that are made included, and no other."""
    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Site)
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(nav(site["nav"])) == sorted(written | generate.pages().keys())


def test_made_pages_have_all_of_it() -> None:
    """Every command and every option of it stands on the page of commands, with its help."""
    text = generate.pages()["reference/commands.md"]
    for command in EVERY:
        section = text.partition(f"## explorer {command}\n")[2].partition("\n## ")[0]
        assert "`--json`" in section, command
        assert not [line for line in section.splitlines() if line.endswith("|  |")], command


def test_the_ten_commonest_errors() -> None:
    """Troubleshooting has ten sections at least that end in an error, each of which is produced."""
    text = (DOCS / "reference" / "troubleshooting.md").read_text(encoding="utf-8")
    shown = [s for b in blocks(text) if b.language == "console" for s in sessions(b.text)]
    assert len([s for s in shown if s.shown.startswith("explorer: ")]) >= 10


def test_pages_that_are_wrong_are_seen(tmp_path: Path) -> None:
    """Another output, another end and another program are noticed; `…` stands for any lines."""
    assert agrees("a\nb  \nc\n", "a\n…\nc\n")
    assert agrees("a\nb\n", "a\nb\n")
    assert not agrees("a\nb\n", "a\n")
    assert not agrees("a\nb\n", "b\n")
    for text in (
        "```console\n$ explorer count gemm:m=1,n=1,k=1\nclass\n```\n",
        "```sh\nexplorer count gemm:m=1\n```\n",
        "```sh\nrm -r docs\n```\n",
    ):
        with folder(tmp_path), pytest.raises(AssertionError):
            Page().run(next(blocks(text)))
        for link in tmp_path.iterdir():
            link.unlink()


def test_the_runner_leaves_nothing_behind(tmp_path: Path) -> None:
    """Folder and width are as before when a page has been run."""
    before = Path.cwd(), dict(os.environ)
    with folder(tmp_path):
        assert Path.cwd() == tmp_path
    assert (Path.cwd(), dict(os.environ)) == before
