"""The model version: a hash of every source that can change what a unit evaluates to.

It covers the modules that `explorer.study.unit` imports, or another one that is named, directly or
not, found by reading their import statements, and the data they read: encodings and intrinsics. A
change of any of them, even of a comment, is another version; the alternative is a number that
somebody forgets to raise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from explorer.embedding.rule_files import encodings

ROOT = "explorer.study.unit"

_HOME = Path(__file__).resolve().parents[2]  # the packages lie side by side, installed or not
_PACKAGES = {name: _HOME / name for name in ("explorer", "isa", "simulator")}

# One import statement a line, the names of some in parentheses, with comments between them. Every
# worker wants the version before its first unit: parsing the sources takes ten times as long.
_STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\((?:[^)#]|#.*)*\)|[^\n#]+)", re.MULTILINE
)
_COMMENT = re.compile(r"#.*")


@cache
def model_version(root: str = ROOT) -> str:
    """Release and hash, as ``0.1.0+1f2e3d4c5b6a``; the same on every machine.

    Args:
        root: the module that evaluates.
    """
    digest = hashlib.sha256()
    data = [*encodings(), *sorted((_PACKAGES["isa"] / "intrinsics").glob("*.yaml"))]
    code = modules(root)
    named = [*((path.name, path) for path in data), *sorted(code.items())]
    for name, path in named:
        text = path.read_text(encoding="utf-8")  # which has one kind of line ends
        digest.update(f"{name}\n{len(text)}\n{text}".encode())
    return f"{version('vta-explorer')}+{digest.hexdigest()[:12]}"


def modules(root: str) -> dict[str, Path]:
    """The project's modules that a module needs, itself among them, with their files."""
    found: dict[str, Path] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is not None and name not in found:
            found[name] = path
            waiting.extend(_imports(path))
    return found


@cache
def _file(name: str) -> Path | None:
    """A module's file; None if it is not one of the project's."""
    package, *parts = name.split(".")
    if package not in _PACKAGES:
        return None
    base = _PACKAGES[package].joinpath(*parts)
    candidates = [base / "__init__.py"] + ([base.with_suffix(".py")] if parts else [])
    return next((path for path in candidates if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    """Full names that a file imports, wherever in it; the project uses no relative imports."""
    for module, listed in _STATEMENT.findall(path.read_text(encoding="utf-8")):
        for each in _COMMENT.sub("", listed).strip("()").split(","):
            name = each.strip().partition(" ")[0]  # not what the file itself calls it
            full = f"{module}.{name}" if module else name
            yield full if name and _file(full) else module or name
