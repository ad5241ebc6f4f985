"""Imports run one way, isa ← simulator ← explorer, and clingo keeps to its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MAY_IMPORT = {
    "isa": {"isa"},
    "simulator": {"isa", "simulator"},
    "explorer": {"isa", "simulator", "explorer"},
}
KNOW_CLINGO = {"explorer.facts", "explorer.solve", "explorer.explain", "explorer.conflicts"}


def imported(path: Path, module: str) -> Iterator[str]:
    """The full names of the modules that a file imports, at the top or inside a function."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def modules(root: Path, package: str) -> Iterator[tuple[str, set[str]]]:
    """Each module of a package, with what it imports."""
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        yield name, set(imported(path, name))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrow(root: Path, package: str) -> None:
    """A package imports of the other two only what stands before it."""
    wrong = {
        f"{name} imports {other}"
        for name, names in modules(root, package)
        for other in names
        if other.partition(".")[0] in MAY_IMPORT.keys() - MAY_IMPORT[package]
    }
    assert not wrong


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_clingo_in_its_place(root: Path, package: str) -> None:
    """Only the modules that write facts, solve and explain know the solver."""
    wrong = {
        name
        for name, names in modules(root, package)
        if any(other.partition(".")[0] == "clingo" for other in names)
        and not any(name == known or name.startswith(f"{known}.") for known in KNOW_CLINGO)
    }
    assert not wrong


def test_every_form_of_import_is_seen(tmp_path: Path) -> None:
    """The reader of imports finds plain, relative, nested and package-relative ones."""
    path = tmp_path / "module.py"
    path.write_text(
        "import a.b\nfrom c import d\nfrom . import e\nfrom .f import g\nfrom ..h import i\n"
        "def late():\n    import j\n"
    )
    assert set(imported(path, "top.package.module")) == {
        "a.b", "c", "top.package", "top.package.f", "top.h", "j",
    }  # fmt: skip
