"""Machine code is kept for the sources as they are, and never for older ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import jit

CALLEE = "from simulator.jit import jit\n\n\n@jit\ndef inner(x):\n    return x + {}\n"
CALLER = (
    "from simulator.jit import jit\nfrom simulator.callee import inner\n\n\n"
    "@jit\ndef outer(x):\n    return inner(x)\n\n\nprint(outer(1))\n"
)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A package `simulator` with only the compiler's module and a function that calls another."""
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "__init__.py").touch()
    (tmp_path / "explorer").mkdir()
    (tmp_path / "simulator" / "jit.py").write_bytes((root / "simulator" / "jit.py").read_bytes())
    (tmp_path / "simulator" / "caller.py").write_text(CALLER)
    return tmp_path


def run(copy: Path) -> str:
    """What the caller prints, in a process of its own with a cache of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(copy / "cache"), "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-m", "simulator.caller"],
        env=environment, cwd=copy, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_callers_see_a_changed_callee(copy: Path) -> None:
    """A function that calls one of another module computes anew when that module has changed."""
    callee = copy / "simulator" / "callee.py"
    callee.write_text(CALLEE.format(1))
    assert run(copy) == run(copy) == "2"
    callee.write_text(CALLEE.format(10))
    assert run(copy) == "11"


def test_old_machine_code_is_removed(copy: Path) -> None:
    """However often the sources change, only a few folders of machine code stay."""
    callee = copy / "simulator" / "callee.py"
    for number in range(100, 105):
        callee.write_text(CALLEE.format(number))
        assert run(copy) == str(number + 1)
    (checkout,) = (copy / "cache" / "vta-explorer").iterdir()
    assert len(list(checkout.iterdir())) == jit._KEPT


def test_folder_names_the_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same sources have the same folder, below the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jit.cache_folder() == jit.cache_folder()
    assert jit.cache_folder().parent.parent == tmp_path / "vta-explorer"
