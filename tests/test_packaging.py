"""What is installed: the encodings as data of the package, and a wheel that works elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from explorer.embedding import rule_files

PACKAGES = ("explorer", "isa", "simulator")
DATA = {".csv", ".json", ".typed", ".yaml"}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints, run without the caller's Python settings."""
    inherited = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    result = subprocess.run(
        command,
        cwd=cwd,
        env=inherited | environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution, as a packager would."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, root, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def test_encodings_hold_no_python(root: Path) -> None:
    """A module in encodings/ would stand in for Python's own, and Python would not start."""
    assert not list((root / "encodings").rglob("*.py"))


def test_standard_encodings_win(root: Path, tmp_path: Path) -> None:
    """With the checkout on the path, `encodings` is still Python's own module."""
    code = "import encodings; print(encodings.__file__)"
    where = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(root))
    assert Path(where.strip()).is_relative_to(sysconfig.get_path("stdlib"))


def test_every_encoding_is_found(root: Path) -> None:
    """Each .lp file of the repository has a name by which the package finds it."""
    expected = sorted((root / "encodings").rglob("*.lp"))
    assert expected
    assert rule_files.encodings() == expected
    assert [
        rule_files.encoding(str(path.relative_to(root / "encodings"))) for path in expected
    ] == expected


def test_unknown_encoding() -> None:
    """An encoding that does not exist is named in the message."""
    with pytest.raises(FileNotFoundError, match=r"no encoding 'nothing\.lp'"):
        rule_files.encoding("nothing.lp")


def test_no_encodings_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the folder, the message names both places where it could have been."""
    places = (tmp_path / "inside", tmp_path / "beside")
    monkeypatch.setattr(rule_files, "_CANDIDATES", places)
    with pytest.raises(FileNotFoundError, match=r"inside or .*beside"):
        rule_files.encodings()


@pytest.mark.slow
def test_wheel_is_complete(root: Path, wheel: Path) -> None:
    """The wheel holds the three packages with their data, the encodings, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.suffix in DATA | {".py"}
    }
    encodings = {
        f"explorer/{path.relative_to(root).as_posix()}"
        for path in (root / "encodings").rglob("*.lp")
    }
    assert sources | encodings <= names
    assert {name.partition("/")[0] for name in names} == set(PACKAGES)


def required(found: Distribution, known: dict[str, Distribution]) -> dict[str, Distribution]:
    """What is installed here of all that a distribution needs, by name, added to what is known."""
    for text in found.requires or ():
        needed = Requirement(text)
        wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
        if wanted and needed.name not in known:
            known[needed.name] = distribution(needed.name)
            required(known[needed.name], known)
    return known


def link(found: Distribution, site: Path) -> None:
    """Make an installed distribution importable from another environment's packages."""
    for name in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
        if not (site / name).exists():
            (site / name).symlink_to(str(found.locate_file(name)))


@pytest.mark.slow
def test_wheel_works_elsewhere(wheel: Path, version: str, tmp_path: Path) -> None:
    """In an environment of its own, away from the checkout, the installed command solves.

    There is nothing but the wheel and what it says that it needs, which pip checks.
    """
    home = tmp_path / "venv"
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    needed = PathDistribution(zipfile.Path(wheel) / metadata.partition("/")[0])
    # All of it is here: to unpack it once more would take ten times as long as all else.
    for found in required(needed, {}).values():
        link(found, site)
    # Without an index, what lacks or does not fit is an error. A command needs little compiled.
    install = ("install", "--quiet", "--no-index", "--no-compile", wheel)
    run(sys.executable, "-m", "pip", "--python", binaries / "python", *install, cwd=tmp_path)
    assert run(binaries / "explorer", "--version", cwd=tmp_path) == f"vta-explorer {version}\n"
    assert "dimension(" in run(binaries / "explorer", "facts", "gemm:m=4,n=4,k=4", cwd=tmp_path)
