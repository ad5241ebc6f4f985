"""Machine code is kept for the sources as they are, and never for older ones."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

import explorer.schedule
import simulator
from explorer.ranking import compilation
from simulator import jit

CALLEE = "from simulator.jit import helper\n\n\n@helper\ndef inner(x):\n    return x + {}\n"
CALLER = (
    "from simulator.jit import jit\nfrom simulator.callee import inner\n\n\n"
    "@jit\ndef outer(x):\n    return inner(x)\n\n\nprint(outer(1))\n"
)

PARTS = (
    "import numba\nfrom simulator import jit\n\n\n"
    "@jit.helper\ndef inner(x):\n    return x + 1\n\n\n"
    "@jit.jit\ndef outer(x):\n    return inner(x)\n\n\n"
    "levels, told = [], []\njit.announce(told.append)\n"
    "before = numba.config.OPT, numba.config.LOOP_VECTORIZE\n"
)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A package `simulator` with only the compiler's modules and a function that calls another."""
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "__init__.py").touch()
    (tmp_path / "explorer").mkdir()
    for name in ("compiler.py", "jit.py"):
        (tmp_path / "simulator" / name).write_bytes((root / "simulator" / name).read_bytes())
    (tmp_path / "simulator" / "caller.py").write_text(CALLER)
    return tmp_path


def run(copy: Path) -> str:
    """What the caller prints, in a process of its own with a cache of its own.

    No bytecode is kept: Python tells versions of a source by size and second, and a test writes
    several of one size within a second.
    """
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(copy / "cache"), "PYTHONPATH": str(copy)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
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


def test_old_machine_code_is_removed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the sources change, only a few folders of machine code stay, the last ones."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(copy / "cache"))
    monkeypatch.setattr(jit, "_HOME", copy)
    callee, made = copy / "simulator" / "callee.py", list[Path]()
    for number in range(4):
        callee.write_text(CALLEE.format(10**number))
        folder = jit._kept.__wrapped__()
        assert folder is not None
        os.utime(folder, (number, number))  # all are made within what the clock of files can tell
        made.append(folder)
    callee.write_text(CALLEE.format(104))
    assert run(copy) == "105"  # a process of its own does the same
    (checkout,) = (copy / "cache" / "vta-explorer").iterdir()
    folders = sorted(checkout.iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(folders) == jit._KEPT
    assert folders[:-1] == made[1 - jit._KEPT :]


def test_folder_names_the_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same sources have the same folder, below the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jit.cache_folder() == jit.cache_folder()
    assert jit.cache_folder().parent.parent == tmp_path / "vta-explorer"


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def _returned(function: Callable[..., Any]) -> Any:
    """The type that a function returns; modules may import others for their arguments' alone."""

    def stand_in() -> None: ...

    stand_in.__annotations__ = {"return": function.__annotations__["return"]}
    return get_type_hints(stand_in, {"NDArray": NDArray, **vars(sys.modules[function.__module__])})[
        "return"
    ]


def _holds_arrays(kind: Any) -> bool:
    """Whether a type is an array, or a tuple that holds one."""
    parts = get_args(kind) if kind is not np.ndarray else ()
    fields = get_type_hints(kind).values() if hasattr(kind, "_fields") else ()
    origin = getattr(kind, "__origin__", kind)
    return origin is np.ndarray or any(map(_holds_arrays, (*parts, *fields)))


def _calls(function: Callable[..., Any], others: list[Callable[..., Any]]) -> bool:
    names = inspect.getclosurevars(function).globals.values()
    return any(value is other for value in names for other in others)


def test_helpers_hold_no_arrays() -> None:
    """A function without counted references neither makes nor returns an array, nor calls one."""
    assert _modules(explorer.schedule)
    assert _modules(simulator)
    for helper in jit._helpers:
        assert not _holds_arrays(_returned(helper)), helper
        assert not _calls(helper, jit._makers), helper
        assert not {"zeros", "empty", "ones", "full", "copy"} & {*helper.__code__.co_names}, helper
    assert len(jit._helpers) > len(jit._makers)


def test_all_doors_of_a_ranking_are_compiled_ahead() -> None:
    """What is compiled ahead are all doors of the schedule stage, and the cycle model's."""
    _modules(explorer.schedule)
    wanted = {
        door.__name__
        for door in jit._doors
        if door.__module__.startswith("explorer.schedule.") or door.__module__.endswith(".modules")
    }
    ours = {door.__name__ for door in compilation.DOORS}
    assert wanted - ours == {"fill_pattern", "place"}  # only TVM's template needs these as doors


def test_nothing_is_compiled_ahead_for_one_job() -> None:
    """A ranking that is to run in one process starts no others, and says nothing."""
    said: list[int] = []
    with compilation.compiled(1, said.append):
        pass
    assert not said


def test_compiling_is_announced_once(copy: Path) -> None:
    """It is said when a door is compiled, with what that takes; when it has been kept, nothing."""
    caller = (
        f"{PARTS}outer(1), outer(1.5)\n"
        "print(told, before == (numba.config.OPT, numba.config.LOOP_VECTORIZE))\n"
    )
    (copy / "simulator" / "caller.py").write_text(caller)
    assert run(copy) == f"[{round(jit.SECONDS)}] True"
    assert run(copy) == "[] True"


def test_parts_are_optimised_lightly(copy: Path) -> None:
    """A helper is compiled at the lowest level, its door at the second; then all is as before."""
    caller = PARTS + (
        "from numba.core import event\n\njit.awake()\n\n\nclass Note(event.Listener):\n"
        "    def on_start(self, e):\n        levels.append(int(numba.config.OPT))\n\n"
        "    def on_end(self, e):\n        levels.append(int(numba.config.OPT))\n\n\n"
        "event.register('numba:compile', Note())\nouter(1)\nprint(levels)\n"
    )
    (copy / "simulator" / "caller.py").write_text(caller)
    assert run(copy) == "[2, 1, 2, 3]"
