"""A package adds what ships in the same way, and what is wrong with it is told in one line."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.embedding.rule_files import profiles
from explorer.operators import catalogue, resolve, workloads
from explorer.study import cost
from isa import intrinsics, plugins
from isa.errors import InputError

Install = Callable[..., None]

MODULE = """
from pathlib import Path
from explorer.operators import resolve

HOME = Path(__file__).parent

def layers():
    yield "mynet:first", lambda: resolve("gemm:m=2,n=8,k=8")

def tables():
    return HOME / "mine.yaml"

def instructions():
    return HOME / "instructions"

def preferences():
    return HOME / "few.lp"

def broken():
    raise RuntimeError("no such luck")

def nothing():
    return HOME / "nowhere"

def stolen():
    yield "resnet18:C2", lambda: resolve("gemm:m=2,n=8,k=8")

def nameless():
    yield "no suite", lambda: resolve("gemm:m=2,n=8,k=8")
"""
FEW = "metric(digits).\ncost(digits, N) :- N = #count { X, S : place(X, S, _, _, _) }.\n"
PREFER = "prefer(digits, 1, 1).\n"


def forget() -> None:
    """Drop what is known of installed packages."""
    for cached in (plugins.documents, workloads._index, workloads._suites, cost._named):
        cached.cache_clear()


@pytest.fixture
def install(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with entry points: ``install(workloads="layers", …)``."""
    (tmp_path / "mypackage.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "instructions").mkdir()
    for source, target in (
        ("explorer/study/costs.yaml", "mine.yaml"),
        ("docs/two_lanes.yaml", "instructions/two_lanes.yaml"),
    ):
        (tmp_path / target).write_bytes((root / source).read_bytes())
    (tmp_path / "few.lp").write_text(FEW + PREFER, encoding="utf-8")

    def write(**functions: str) -> None:
        folder = tmp_path / "mypackage-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
        points = (f"[vta_explorer.{g}]\nx = mypackage:{f}\n" for g, f in functions.items())
        (folder / "entry_points.txt").write_text("\n".join(points))
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        forget()

    yield write
    monkeypatch.undo()
    sys.modules.pop("mypackage", None)
    forget()


def test_a_package_adds_to_each_group(install: Install) -> None:
    """Its workloads, instructions, tables and preferences are found by their names."""
    install(workloads="layers", intrinsics="instructions", costs="tables", objectives="preferences")
    assert resolve("mynet:first").computation.macs == 128
    assert [entry.reference for entry in catalogue("mynet")] == ["mynet:first"]
    assert "resnet18:C2" in {entry.reference for entry in catalogue()}
    assert intrinsics.load("two_lanes").macs == 2
    assert cost.load(Path("mine")).digest == cost.load().digest
    assert "few" in profiles()
    words = ["optimize", "mynet:first", "--profile", "few", "--classes", "padded", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "digits" in result.stdout


@pytest.mark.parametrize(
    ("group", "function", "token"),
    [
        ("workloads", "broken", "no such luck"),
        ("workloads", "missing", "missing"),
        ("workloads", "stolen", "resnet18:C2"),
        ("workloads", "nameless", "no suite"),
        ("workloads", "tables", "pairs of a reference"),
        ("costs", "nothing", "nowhere"),
        ("intrinsics", "layers", "the path of a document"),
        ("objectives", "tables", "there is no file .lp"),
    ],
)
def test_faults_are_named(install: Install, group: str, function: str, token: str) -> None:
    """What cannot be used is told with the package and the entry point."""
    install(**{group: function})
    with pytest.raises(InputError, match=token) as error:
        _ = list(catalogue()) if group == "workloads" else plugins.documents(group)
    assert str(error.value).startswith(f"mypackage: vta_explorer.{group}: x: ")


def test_two_packages_of_one_name(install: Install, tmp_path: Path) -> None:
    """A document whose name another package has is refused, and both are named."""
    install(costs="tables")
    (tmp_path / "mine.yaml").rename(tmp_path / "costs.yaml")
    module = (tmp_path / "mypackage.py").read_text().replace("mine.yaml", "costs.yaml")
    (tmp_path / "mypackage.py").write_text(module)
    with pytest.raises(InputError, match=r"mypackage.*'costs'.*vta-explorer"):
        plugins.documents("costs")


def test_what_ships_is_registered(root: Path) -> None:
    """Each group has an entry point of the project, and the names are those that ship."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {f"vta_explorer.{g}" for g in plugins.GROUPS} == project["entry-points"].keys()
    assert list(plugins.documents("objectives")) == ["latency", "memory", "no-transform"]
    assert list(plugins.documents("costs")) == ["costs"]
    files = {path.stem for path in (root / "isa" / "intrinsics").glob("*.yaml")}
    assert plugins.documents("intrinsics").keys() == files
