"""Imports run one way: packages, the stages of `explorer`, and clingo keeps to its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

MAY_IMPORT = {
    "isa": {"isa"},
    "simulator": {"isa", "simulator"},
    "explorer": {"isa", "simulator", "explorer"},
}
STAGES = (
    "operators",
    "embedding",
    "layout",
    "schedule",
    "program",
    "baselines",
    "ranking",
    "preference",
    "network",
    "deployment",
    "study",
    "report",
    "schemas",
    "api",
    "cli",
    "__main__",
)
"""The stages of `explorer` in the order in which data flows; each may import those before it."""

NETWORK = ("onnx", "candidates", "plan", "proof")
"""The folders of `explorer.network` in the order in which data flows."""

KNOW_CLINGO = {"explorer.embedding", "explorer.network"}
START_PROCESSES = {"explorer.ranking.workers"}
PROCESSES = {
    "multiprocessing", "subprocess", "concurrent.futures.ProcessPoolExecutor", "os.fork",
    "os.posix_spawn",
}  # fmt: skip
"""What processes are started with. (Dask starts its own in `explorer.study.backends`, deaf too.)"""


def imported(path: Path, module: str) -> Iterator[str]:
    """The full names of the modules that a file imports, at the top or inside a function."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


@cache  # no test writes into a package that another one has read
def modules(root: Path, package: str) -> list[tuple[str, set[str]]]:
    """Each module of a package, with what it imports."""
    found = []
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found.append((name, set(imported(path, name))))
    return found


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


def stage(module: str) -> str | None:
    """The stage that a module of `explorer` belongs to; None for the package and other ones."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "explorer" and rest else None


def against_the_order(root: Path) -> set[str]:
    """Imports inside `explorer` of a later stage, or of what is no stage."""
    return {
        f"{name} imports {other}"
        for name, names in modules(root, "explorer")
        for other in names
        if (own := stage(name)) and (target := stage(other))
        if not {own, target} <= set(STAGES) or STAGES.index(target) > STAGES.index(own)
    }


def test_stages(root: Path) -> None:
    """A stage imports only itself and those before it."""
    assert not against_the_order(root)


def test_folders_of_networks(root: Path) -> None:
    """A folder of `explorer.network` imports only itself and those before it."""
    package = "explorer.network."
    wrong = {
        f"{name} imports {other}"
        for name, names in modules(root, "explorer")
        for other in names
        if name.startswith(package) and other.startswith(package)
        if {own := name.split(".")[2], target := other.split(".")[2]} <= set(NETWORK)
        if NETWORK.index(target) > NETWORK.index(own)
    }
    assert not wrong
    folders = {path.parent.name for path in (root / "explorer" / "network").glob("*/__init__.py")}
    assert folders == set(NETWORK)


def test_every_module_has_a_stage(root: Path) -> None:
    """Nothing of `explorer` lies outside a stage, and each stage says what it is for."""
    names = {stage(name) for name, _ in modules(root, "explorer")} - {None}
    assert names == set(STAGES)
    for name in STAGES:
        path = root / "explorer" / name / "__init__.py"
        assert name in {"api", "__main__"} or ast.get_docstring(
            ast.parse(path.read_text(encoding="utf-8"))
        )


def test_wrong_import_is_seen(tmp_path: Path) -> None:
    """An import against the order is found, in each form, also inside a function."""
    folder = tmp_path / "explorer" / "layout"
    folder.mkdir(parents=True)
    (folder / "first.py").write_text("from explorer import ranking\n")
    (folder / "second.py").write_text("def late():\n    import explorer.schedule.search\n")
    (folder / "third.py").write_text("from ..program import emission\n")
    (folder / "fourth.py").write_text("from explorer.embedding import facts\n")
    found = {text.partition(" ")[0].rpartition(".")[2] for text in against_the_order(tmp_path)}
    assert found == {"first", "second", "third"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_clingo_in_its_place(root: Path, package: str) -> None:
    """Only the stages that ask which embeddings and which plans there are know the solver."""
    wrong = {
        name
        for name, names in modules(root, package)
        if any(other.partition(".")[0] == "clingo" for other in names)
        and not any(name == known or name.startswith(f"{known}.") for known in KNOW_CLINGO)
    }
    assert not wrong


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_processes_are_started_in_one_place(root: Path, package: str) -> None:
    """Only the module that makes them deaf to Ctrl-C starts processes."""
    wrong = {name for name, names in modules(root, package) if names & PROCESSES}
    assert wrong <= START_PROCESSES


def test_every_form_of_import_is_seen(tmp_path: Path) -> None:
    """The reader of imports finds plain, relative, nested and package-relative ones."""
    path = tmp_path / "module.py"
    path.write_text(
        "import a.b\nfrom c import d\nfrom . import e\nfrom .f import g\nfrom ..h import i\n"
        "def late():\n    import j\n"
    )
    assert set(imported(path, "top.package.module")) == {
        "a.b", "c", "c.d", "top.package", "top.package.e", "top.package.f", "top.package.f.g",
        "top.h", "top.h.i", "j",
    }  # fmt: skip
