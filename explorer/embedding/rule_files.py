"""Where the answer set programs are: inside the installed package, or beside it in a checkout.

They live in a folder of data, not in a package: `encodings` is a module of Python's own, so
``importlib.resources.files("encodings")`` would answer with that one. An editable install leaves a
copy of the folder in site-packages; it is never read, since this file is then the checkout's.
"""

from __future__ import annotations

from pathlib import Path

from isa.plugins import documents

_PACKAGE = Path(__file__).resolve().parents[1]
_CANDIDATES = (_PACKAGE / "encodings", _PACKAGE.parent / "encodings")


def encoding(name: str) -> Path:
    """The path of one encoding, by its path in the folder: ``entries/enumerate.lp``.

    Raises:
        FileNotFoundError: if there is no such encoding, or no encodings at all.
    """
    path = _folder() / name
    if not path.is_file():
        raise FileNotFoundError(f"no encoding {name!r}: {path} does not exist")
    return path


def encodings() -> list[Path]:
    """The paths of all encodings and profiles, sorted.

    Raises:
        FileNotFoundError: if the folder is neither in the package nor beside it.
    """
    return sorted(_folder().rglob("*.lp"))


def profiles() -> dict[str, Path]:
    """Preferences by name: those that ship, and those that a package adds.

    Raises:
        FileNotFoundError: as for `encodings`.
        InputError: what a package adds cannot be used.
    """
    return {name: Path(str(path)) for name, path in documents("objectives").items()}


def shipped_profiles() -> Path:
    """The folder of those that ship: an entry point, see `isa.plugins`."""
    return _folder() / "profiles"


def _folder() -> Path:
    """The first candidate that is a directory."""
    # The package first: an installed one must not read what happens to lie beside it.
    for folder in _CANDIDATES:
        if folder.is_dir():
            return folder
    raise FileNotFoundError("no encodings in " + " or ".join(map(str, _CANDIDATES)))
