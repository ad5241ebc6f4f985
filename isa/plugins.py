"""What packages add: entry points of installed distributions, the built-in ones among them.

In a group ``vta_explorer.GROUP``, each entry point names a function without arguments:

- ``workloads``: gives pairs of a reference (``SUITE:NAME``) and a function that makes the operator;
- ``intrinsics``, ``costs``: the path of a YAML document, or of a folder of them;
- ``objectives``: the path of a file of preferences and metrics (``.lp``), or of a folder of them.

What ships is registered in ``pyproject.toml`` in the same way; nothing else knows it by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from typing import Any

from isa.errors import InputError
from isa.files import parsing

GROUPS = {"workloads": "", "intrinsics": ".yaml", "costs": ".yaml", "objectives": ".lp"}
"""The groups, and the suffix of the documents in those that have some."""


def load(group: str) -> Iterator[tuple[str, Any]]:
    """What the entry points of a group give, each with where it comes from.

    Raises:
        InputError: one cannot be loaded, or there is none at all.
    """
    found = sorted(entry_points(group=f"vta_explorer.{group}"), key=lambda e: (e.name, e.value))
    if not found:
        allowed = "the package's own entry points; install it again: pip install -e ."
        raise InputError(f"vta_explorer.{group}", "", None, allowed)
    for entry in found:
        source = _source(entry)
        with parsing(source, "an entry point that can be loaded and called"):
            given = entry.load()()
        yield source, given


@cache
def documents(group: str) -> dict[str, Traversable]:
    """The documents of a group by their names, sorted.

    Raises:
        InputError: as `load`; or two packages have one of the same name, or a path leads nowhere.
    """
    suffix = GROUPS[group]
    found: dict[str, tuple[Traversable, str]] = {}
    for source, given in load(group):
        with parsing(source, "the path of a document, or of a folder of them"):
            files = sorted(given.iterdir(), key=lambda f: f.name) if given.is_dir() else [given]
            files = [f for f in files if f.name.endswith(suffix) and f.is_file()]
            named = [(f.name.removesuffix(suffix), f) for f in files]
        if not named:
            raise InputError(source, "", str(given), f"there is no file {suffix} in it")
        for name, file in named:
            if name in found:
                allowed = f"another name: {found[name][1]} has one"
                raise InputError(source, "", name, allowed)
            found[name] = file, source
    return {name: found[name][0] for name in sorted(found)}


def _source(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "a package"
    return f"{package}: {entry.group}: {entry.name}"
