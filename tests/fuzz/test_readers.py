"""Every reader of files and texts from outside: it reads them, or raises one short message."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.embedding import ids, user_rules
from explorer.operators import document, resolve
from explorer.operators.workloads import members
from explorer.preference import parsing
from explorer.program import npy
from explorer.study import cost, parameters, study, tables
from explorer.study.expression import Expression
from explorer.study.store import NamedLayer, Store, encode
from isa import intrinsics
from isa.config import Config
from isa.errors import InputError
from isa.folder import read, stored_instructions
from isa.folder.reading import read_manifest
from isa.listing import listing
from simulator.interleaving import Interleaving
from tests.explorer.study import stub
from tests.fuzz.hostile import accepts_or_says, budget, check_message, mutants, words

pytestmark = pytest.mark.filterwarnings("ignore::isa.errors.InputWarning")  # of unknown keys

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (3, 4)
OPERATOR = resolve("gemm:m=4,n=4,k=4")

DOCUMENT = document.dump(OPERATOR)
STUDY = b"""name: small
workloads: ["gemm:m=4,n=16,k=16", {operator: "resnet18:C2", repeat: 2}]
vary: {LOG_BLOCK: 3..4, BUS_BITS: [64, 128]}
constraints: ["on_chip_bytes <= 2**20"]
objectives: [cycles, energy]
requirements: ["utilisation >= 0.1"]
"""
RULES = b'demand(mine).\nviolated(mine, x) :- embed(m). % "a"\n#include "other.lp".\n'
COLUMNS = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, float("inf"), -1.0], "c": ["x", "y", None]})


def _saved(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = BytesIO()
    COLUMNS.to_parquet(buffer)
    return buffer.getvalue()


def _shipped(pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(ROOT.glob(pattern))][:4]


def _table(path: Path) -> object:
    frame = tables.read(path)
    return tables.where(frame, "a < 3") if "a" in frame else frame


def _layers(path: Path) -> object:
    """Every layer of a file; those that lie beside it are missing."""
    return [resolve(reference) for reference, _ in members(str(path))]


# Of each kind of file: its name, examples, and what reads it.
FILES: dict[str, tuple[str, list[bytes], Callable[[Path], object]]] = {
    "npy": (
        "x.npy",
        [_saved(np.zeros(SHAPE, np.int8)), _saved(np.zeros(SHAPE, np.int32, "F"))],
        lambda path: npy.load(path, np.dtype(np.int8), SHAPE, "input"),
    ),
    "csv": ("x.csv", [COLUMNS.to_csv(index=False).encode(), b"a,b\n1,2\n9" + b"9" * 30], _table),
    "parquet": ("x.parquet", [_parquet()], _table),
    "operator": ("x.yaml", [DOCUMENT.encode()], lambda path: resolve(str(path))),
    "layers": (
        "x.yaml",
        [path.read_bytes() for path in sorted((ROOT / "tests" / "data" / "layers").iterdir())],
        _layers,
    ),
    "study": ("x.yaml", [STUDY], study.load),
    "intrinsic": (
        "x.yaml",
        _shipped("isa/intrinsics/*.yaml"),
        lambda path: intrinsics.load(str(path), Config.default().axes),
    ),
    "costs": ("x.yaml", _shipped("explorer/study/costs.yaml"), cost.load),
    "config": ("x.json", _shipped("isa/presets/*.json"), Config.load),
    "rules": ("x.lp", [RULES], lambda path: user_rules.check([path])),
    "instructions": (
        "x.bin",
        [bytes(range(64)), bytes(32)],
        lambda path: listing(*stored_instructions(path, None)[1:]),
    ),
}
MANY = {"npy": 15_000, "csv": 4_000, "parquet": 6_000, "config": 8_000, "instructions": 8_000}


def _folder(tmp: Path, name: str, data: bytes) -> Path:
    path = tmp / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", FILES)
def test_files(kind: str) -> None:
    """A file that is damaged anywhere is read, or there is one message."""
    name, originals, read_it = FILES[kind]
    with TemporaryDirectory() as folder:

        @budget(15, MANY.get(kind, 3_000))
        @given(mutants(originals))
        def holds(data: bytes) -> None:
            path = _folder(Path(folder), name, data)
            accepts_or_says(lambda: read_it(path))

        holds()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two parts and a workload."""
    path = tmp_path_factory.mktemp("fuzz") / "store"
    made = Store.create(path, {"effort": 2}, "m")
    with made.locked():
        asked = stub.study([40], (stub.SHORT, stub.LONG))
        made.name_layers("w", asked.named_layers())
        for unit in asked.units("m"):
            made.write(unit.key, stub.rows(unit))
    return path


def test_stores(store: Path) -> None:
    """A store of which a file is damaged is read, or there is one message; so with its totals."""
    files = [*store.rglob("*.json"), *store.rglob("*.parquet")]
    contents = {path: path.read_bytes() for path in files}

    @budget(20, 8_000)
    @given(st.sampled_from(files), st.data())
    def holds(path: Path, data: st.DataObject) -> None:
        path.write_bytes(data.draw(mutants([contents[path]])))
        try:
            accepts_or_says(lambda: _use(Store.open(store)))
        finally:
            path.write_bytes(contents[path])

    holds()


def _use(opened: Store) -> None:
    frame, _ = tables.results(opened)
    tables.totals(opened, frame)


@budget(10, 2_000)
@given(st.data())
def test_forged_parts(data: st.DataObject) -> None:
    """A part with a digest that fits, whatever its rows are, is read, or there is one message."""
    unit = next(stub.study([40], (stub.SHORT,)).units("m"))
    rows = stub.rows(unit)
    for row in rows:
        for name in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=4)):
            row[name] = data.draw(st.sampled_from((None, row[name])))
    rows = rows[: data.draw(st.integers(0, 2))]
    with TemporaryDirectory() as folder:
        made = Store.create(Path(folder) / "store", {}, "m")
        made.part(unit.key).parent.mkdir(parents=True)
        made.part(unit.key).write_bytes(encode(unit.key, rows))
        with made.locked():
            made.name_layers("w", [NamedLayer("o", 1, unit.layer.id, 1)])
        accepts_or_says(lambda: _use(Store.open(made.path)))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A folder of a program."""
    import explorer  # noqa: PLC0415 - compiles what few tests need

    path = tmp_path_factory.mktemp("fuzz") / "program"
    explorer.emit("gemm:m=4,n=16,k=16", "reference", path)
    return path


def test_program_folders(program: Path) -> None:
    """A program folder of which a file is damaged is read, or there is one message."""
    files = sorted(path for path in program.iterdir() if path.is_file())
    contents = {path: path.read_bytes() for path in files}
    manifest = program / "manifest.json"

    @budget(20, 10_000)
    @given(st.sampled_from([manifest, manifest, *files]), st.data())
    def holds(path: Path, data: st.DataObject) -> None:
        path.write_bytes(data.draw(mutants([contents[path]])))
        try:
            accepts_or_says(lambda: read_manifest(program))
            accepts_or_says(lambda: read(program))
        finally:
            path.write_bytes(contents[path])

    holds()


# What reads the text of an argument or option.
PARSERS: dict[str, Callable[[str], object]] = {
    "operator": resolve,
    "embedding": lambda text: ids.parse(
        text, OPERATOR.computation, intrinsics.load("vta_gemm", Config.default().axes)
    ),
    "prefer": parsing.parse_preferences,
    "objectives": parsing.parse_objectives,
    "require": lambda text: parsing.parse_requirements([text], OPERATOR.computation, 256),
    "schedule": Interleaving.parse,
    "vary": lambda text: parameters.parse_assignment(text, "--vary"),
    "values": lambda text: parameters.parse_values(text, "--vary", "LOG_BLOCK"),
    "workload": lambda text: study.make(
        "w",
        [study.parse_workload(text)],
        parameters.Grid(Config.default(), {}),
        stub.study([40]).options,
    ),
    "condition": lambda text: Expression.parse(text, "--constraint").check_names(["a"]),
}


@pytest.mark.parametrize("name", PARSERS)
def test_texts(name: str) -> None:
    """Any text as an argument or an option is understood, or there is one message."""

    @budget(40, 2_000)
    @given(words)
    def holds(text: str) -> None:
        accepts_or_says(lambda: PARSERS[name](text))

    holds()


_LEAVES = st.one_of(st.sampled_from(["a", "b", "0", "1", "2", "0.5", "1e300", "64", "2**64"]))
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        "({} {} {})".format,
        inner,
        st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "==", "and", "or"]),
        inner,
    ),
    max_leaves=12,
)


@budget(60, 6_000)
@given(_CONDITIONS, st.integers(-3, 2**63), st.floats())
def test_conditions(text: str, a: int, b: float) -> None:
    """A condition has a value or a message at any values, and takes no time or memory for it."""
    accepts_or_says(lambda: Expression.parse(text, "x").value({"a": a, "b": b}))


_HUGE = st.builds(pow, st.just(10), st.integers(0, 6_000))
_VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary(), _HUGE),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner), st.tuples(inner)),
)


@budget(60, 6_000)
@given(st.text(), st.text(), _VALUES, st.text(min_size=0, max_size=2000))
def test_messages(source: str, field: str, value: object, allowed: str) -> None:
    """A message is one printable line of at most 1,000 characters, whatever it is about."""
    check_message(str(InputError(source, field, value, allowed)))


def test_messages_of_endless_values() -> None:
    """A list that holds itself, or that is far longer than memory, has a short message at once."""
    endless: list[object] = []
    endless += [endless] * 20
    deep: list[object] = ["x"]
    for _ in range(60):
        deep = [deep] * 9
    for value in (endless, deep, "x" * 10**7, 10**100_000):
        check_message(str(InputError("file", "field", value, "less")))
