"""Running folders: whatever their bytes, there is a result or a clear refusal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.codec import alu, encode, finish, load, table_of
from isa.errors import InputError
from isa.fields import AluOp, Memory
from isa.folder import FILES, MANIFEST, contents, read
from isa.folder.manifest import FORMATS, Format
from simulator.errors import SimulationError
from simulator.folder_run import run
from simulator.implementations import Implementation
from tests.programs import product, product_data


def files(form: Format) -> dict[str, bytes]:
    """The files of a small product."""
    inputs, output = product_data()
    return contents(
        product(), inputs, output.tobytes(), form, tensors={}, source={}, generator="test"
    )


def written(path: Path, data: dict[str, bytes]) -> Path:
    """The folder with these files."""
    path.mkdir(exist_ok=True)
    for name, content in data.items():
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_a_right_folder_runs_as_expected(form: Format, tmp_path: Path) -> None:
    """Every byte is compared, and the record is plain JSON."""
    result = run(read(written(tmp_path / "p", files(form))))
    assert (result.verdict, result.best.compared, result.best.wrong) == ("as expected", 256, 0)
    assert result.objection is None
    record = json.loads(json.dumps(result.record(), allow_nan=False))
    assert record["cycles"] == 298
    assert record["roofline"]["limit"] == "memory"
    assert record["modules"]["compute"]["busy"] == 96


def test_differences_are_counted(tmp_path: Path) -> None:
    """How many bytes differ, and where the first one is."""
    data = files("standalone-vta")
    del data[MANIFEST]
    expected = np.frombuffer(data["expected_out.bin"], np.int8).copy()
    expected[[7, 200]] ^= 1
    result = run(read(written(tmp_path / "p", data | {"expected_out.bin": expected.tobytes()})))
    for each in (result.best, *result.executions):
        assert (each.verdict, each.wrong, each.first_wrong) == ("differs", 2, 7)


def test_what_is_not_portable_runs_with_an_objection(tmp_path: Path) -> None:
    """A product of accumulators is executed as the C++ simulator does, and named."""
    rows = [
        load(Memory.UOP, 0, 0x4000 // 4, x_size=1),
        load(Memory.ACC, 0, 0x1000 // 64, x_size=1),
        alu(AluOp.MUL, 0, 1, imm=3),
        finish(),
    ]
    data = files("standalone-vta")
    del data[MANIFEST]
    code = encode(product().config, table_of(rows))
    result = run(read(written(tmp_path / "p", data | {FILES["INSN"]: code})))
    assert result.objection is not None
    assert (result.objection.instruction, result.objection.rule) == (2, "mul")
    assert result.record()["portable"] is False
    assert [each.failure is None for each in result.executions] == [True, True, False]


def test_one_implementation(tmp_path: Path) -> None:
    """A folder is executed as the one that is asked for, or is refused if there is none."""
    path = written(tmp_path / "p", files("standalone-vta"))
    for implementation in Implementation:
        result = run(read(path), implementation=implementation)
        assert [each.implementation for each in result.executions] == [implementation]
        assert result.verdict == "as expected"


@settings(max_examples=150)
@given(st.sampled_from(FORMATS), st.booleans(), st.data())
def test_damaged_folders_never_crash(
    tmp_path_factory: pytest.TempPathFactory, form: Format, described: bool, data: st.DataObject
) -> None:
    """Any file cut, changed or missing gives a result, or an error that is meant for people."""
    whole = files(form)
    if not described and form == "standalone-vta":
        del whole[MANIFEST]
    name = data.draw(st.sampled_from(sorted(whole)))
    content = bytearray(whole[name])
    kind = data.draw(st.sampled_from(["cut", "change", "remove", "append"]))
    if kind == "cut":
        content = content[: data.draw(st.integers(0, len(content)))]
    elif kind == "append":
        content += data.draw(st.binary(min_size=1, max_size=40))
    elif content:
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.mktemp("folder") / "p", whole | {name: bytes(content)})
    if kind == "remove":
        (path / name).unlink()
    try:
        result = run(read(path))
    except (InputError, SimulationError):
        return
    assert result.verdict in {"as expected", "differs", "nothing to compare"}
