"""The store: a Parquet dataset in a directory, one part a unit, each written whole or not at all.

    DIR/store.json              options of the study, and the model version of its latest sweep
    DIR/workloads/NAME.json     the layers of a workload: names, repeat counts, hashes
    DIR/parts/ab/ab….parquet    the rows of one unit, named by its key

A part's name is the hash of all that its rows follow from, and its bytes follow from them too.
Nobody has to agree on who writes: whoever does, writes the same. Parts of other model versions
stay where they are, and are read only when asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from explorer.study.parameters import PARAMETERS
from explorer.study.unit import COLUMNS, STATUSES, Row
from isa.errors import InputError
from isa.files import exists, parsing, read_bytes, read_text
from isa.json import parse_json
from isa.schema import Document, Model, validate

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
_MOST_JSON, _MOST_PART = 2**27, 2**27  # bytes of a file; parts have a few thousand
_GIVEN = ("unit", "layer", "configuration", "model", "status", "reason", *PARAMETERS)
_UNIT, _DIGEST = b"unit", b"digest"  # metadata of a part


@dataclass(frozen=True, slots=True)
class Kind:
    """What the parts of a store hold.

    Attributes:
        folder: where they are in the store.
        columns: of their rows: names and types.
        option: of the command line by which the store is named.
        problem: why rows are none that a part can hold; None if they are some.
    """

    folder: str
    columns: tuple[tuple[str, type], ...]
    option: str
    problem: Callable[[pa.Table], str | None]

    @classmethod
    def of(
        cls,
        folder: str,
        columns: Mapping[str, type],
        option: str,
        problem: Callable[[pa.Table], str | None] = lambda _: None,
    ) -> Kind:
        """A kind by the types of its columns."""
        return cls(folder, tuple(columns.items()), option, problem)

    @property
    def schema(self) -> pa.Schema:
        """The schema of a part."""
        return _schema(self.columns)


@cache
def _schema(columns: tuple[tuple[str, type], ...]) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only parts need it

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    return pa.schema([(name, types[kind]) for name, kind in columns])


def _without_status(table: pa.Table) -> str | None:
    """A digest can be made for any rows; what follows relies on these."""
    if not table.num_rows or any(table[name].null_count for name in _GIVEN):
        return "it has no rows, or rows without a status"
    if not set(table["status"].to_pylist()) <= set(STATUSES):
        return "it has a status that there is not"
    return None


UNITS = Kind.of(
    "parts", {name: kind for name, (kind, _) in COLUMNS.items()}, "--out", _without_status
)
"""Rows of a study's units."""


@dataclass(frozen=True, slots=True)
class NamedLayer:
    """A layer as a workload lists it: an operator's name, how often it runs, what it computes."""

    operator: str
    repeat: int
    layer: str
    macs: int


class _StoreFile(Document):
    format: Literal[1]
    model: str
    options: dict[str, Any]


class _LayerEntry(Document):
    operator: str
    repeat: Annotated[int, Field(ge=1, lt=2**63)]
    layer: str
    macs: Annotated[int, Field(ge=1, lt=2**63)]


class _WorkloadFile(Document):
    workload: str
    layers: list[_LayerEntry]


def _read_own(path: Path, model: type[Model]) -> Model:
    """A file of JSON that a sweep has written."""
    text = read_text(path, "must be a store's own file", _MOST_JSON)
    return validate(model, parse_json(text, str(path)), str(path))


@dataclass(frozen=True, slots=True)
class Store:
    """An open store.

    Attributes:
        path: its directory.
        model: the model version that its latest sweep had.
        options: how its units are evaluated, as `explorer.study.unit.Options.describe`.
        kind: what its parts hold.
    """

    path: Path
    model: str
    options: Mapping[str, Any]
    kind: Kind = UNITS

    @classmethod
    def create(
        cls, path: Path, options: Mapping[str, Any], model: str, kind: Kind = UNITS
    ) -> Store:
        """The store in a directory, which is made where there is none.

        Raises:
            InputError: the directory cannot be written, holds something else, or a study with
                other options.
        """
        cls.check(path, options, kind)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            allowed = f"cannot be made: {error.strerror}"
            raise InputError(kind.option, "", str(path), allowed) from None
        return cls(path, model, dict(options), kind)

    @classmethod
    def check(cls, path: Path, options: Mapping[str, Any], kind: Kind = UNITS) -> None:
        """Check that a directory can be a store, or can be made; nothing is written.

        Raises:
            InputError: as `create`.
        """
        # What is there, or what a new directory would be made in.
        found = next((p for p in (path, *path.parents) if exists(p)), Path())
        problem = None
        if "\0" in str(path):
            problem = "a name has no NUL"
        elif not found.is_dir():
            problem = f"cannot be made: {found} is no directory"
        elif not os.access(found, os.R_OK | os.W_OK | os.X_OK):
            problem = f"cannot be made: {found} is not writable"
        elif found == path and not exists(path / "store.json") and any(path.iterdir()):
            problem = "a new directory, an empty one, or a store"
        if problem:
            raise InputError(kind.option, "", str(path), problem)
        if not exists(path / "store.json"):
            return
        made = cls.open(path)
        for name, value in options.items():
            if made.options.get(name) != value:
                allowed = (
                    f"the store {path} was made with {made.options.get(name)!r}, and results "
                    "of different options are not mixed; use another directory"
                )
                raise InputError("options", name, value, allowed)

    @classmethod
    def open(cls, path: Path) -> Store:
        """The store that a directory holds.

        Raises:
            InputError: it holds none, or one that this version cannot read.
        """
        source = path / "store.json"
        if not exists(source):
            raise InputError(str(path), "", None, "a directory that explorer sweep made")
        content = _read_own(source, _StoreFile)
        return cls(path, content.model, content.options)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Write here while the block runs, alone; clear away what a killed sweep left.

        The lock goes with the process, however that ends.

        Raises:
            InputError: another command is writing.
        """
        try:
            handle = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise self._unwritable(self.path, error) from None
        try:
            if not _lock(handle):
                allowed = "another command is writing there"
                raise InputError(self.kind.option, "", str(self.path), allowed)
            for left in self.path.glob("**/.*.tmp"):
                left.unlink(missing_ok=True)
            content = {"format": FORMAT, "model": self.model, "options": dict(self.options)}
            self._write(self.path / "store.json", _json(content))
            yield
        finally:
            os.close(handle)

    def part(self, key: str) -> Path:
        """Where a unit's part is, or would be."""
        return self.path / self.kind.folder / key[:2] / f"{key}.parquet"

    def find(self, key: str) -> pa.Table | None:
        """A unit's rows, or None if it is not done.

        Raises:
            InputError: its part is damaged.
        """
        path = self.part(key)
        return read_part(path, self.kind) if path.exists() else None

    def write(self, key: str, rows: Sequence[Row]) -> None:
        """Keep a unit's rows.

        Raises:
            InputError: they cannot be written; what was written before is still there.
        """
        self._write(self.part(key), encode(key, rows, self.kind))

    def name_layers(self, workload: str, layers: Sequence[NamedLayer]) -> None:
        """Keep what the layers of a workload are called.

        Raises:
            InputError: as `write`.
        """
        content = [
            {"operator": n.operator, "repeat": n.repeat, "layer": n.layer, "macs": n.macs}
            for n in layers
        ]
        path = self.path / "workloads" / f"{workload}.json"
        self._write(path, _json({"workload": workload, "layers": content}))

    def workloads(self) -> dict[str, list[NamedLayer]]:
        """The layers of each workload, by its name.

        Raises:
            InputError: a file of them is damaged.
        """
        found = {}
        for path in sorted((self.path / "workloads").glob("*.json")):
            content = _read_own(path, _WorkloadFile)
            found[content.workload] = [NamedLayer(**dict(layer)) for layer in content.layers]
        return found

    def parts(self) -> list[Path]:
        """All parts, of every model version, sorted by key."""
        return sorted(
            (self.path / self.kind.folder).glob("*/*.parquet"), key=lambda path: path.name
        )

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file in one step: under another name first, which nobody reads."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())  # a name must not outlive a power cut without this
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._unwritable(path, error) from None

    def _unwritable(self, path: Path, error: OSError) -> InputError:
        allowed = f"cannot be written: {error.strerror}; finished parts are kept"
        return InputError(self.kind.option, "", str(path), allowed)


def encode(key: str, rows: Sequence[Row], kind: Kind = UNITS) -> bytes:
    """A part's bytes: the same for the same rows."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only parts need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {name: [row.get(name) for row in rows] for name, _ in kind.columns}
    table = pa.table(columns, schema=kind.schema)
    table = table.replace_schema_metadata({_UNIT: key.encode(), _DIGEST: _digest(table)})
    buffer = BytesIO()
    # A part has a row or a few: what is for long columns would be most of it.
    pq.write_table(
        table,
        buffer,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    return buffer.getvalue()


def read_part(path: Path, kind: Kind = UNITS) -> pa.Table:
    """The rows of a part.

    Raises:
        InputError: the file is not a whole part, or not the one that its name says.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import, and only parts need it

    advice = "delete this file, and the next sweep makes it again"
    data = read_bytes(path, advice, _MOST_PART)
    with parsing(str(path), advice, "a damaged part"):
        table = pq.ParquetFile(BytesIO(data), pre_buffer=False).read(use_threads=False)
        problem = _problem(table, path.stem, kind)
    if problem:
        raise InputError(str(path), "", "a damaged part", f"{advice} ({problem})")
    return table


def _problem(table: pa.Table, key: str, kind: Kind) -> str | None:
    """Why a table is not the part of a unit."""
    metadata = table.schema.metadata or {}
    if not table.schema.equals(kind.schema):
        return "its columns are not a part's"
    if metadata.get(_UNIT) != key.encode():
        return "it belongs to another unit"
    if metadata.get(_DIGEST) != _digest(table):
        return "its content has changed"
    return kind.problem(table)


def _digest(table: pa.Table) -> bytes:
    """A hash of a part's rows. Parquet's checksums would leave out headers and lengths."""
    return hashlib.sha256(json.dumps(table.to_pylist()).encode()).hexdigest().encode()


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _lock(handle: int) -> bool:
    """Take the lock on an open file; True where the system has none."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
