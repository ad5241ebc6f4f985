"""The commands on programs, as a user types them: emit, disasm and run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app
from isa.codec import Queue, encode, finish, nop, table_of
from isa.config import Config
from isa.folder import FILES, MANIFEST
from isa.folder.manifest import FORMATS, Manifest

SMALL = "gemm:m=5,n=20,k=20,bias=1,relu=1"


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(app, list(arguments))


def emitted(path: Path, *options: str) -> Path:
    """A folder of the small operator."""
    result = run("emit", SMALL, "reference", "--out", str(path), *options)
    assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_an_emitted_folder_runs(form: str, tmp_path: Path) -> None:
    """The output is as expected, the program portable, and both reports agree on the cycles."""
    path = emitted(tmp_path / "program", "--format", form)
    result = run("run", str(path), "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["verdict"] == "as expected"
    assert record["wrong"] == 0
    assert record["portable"]
    parts = record["modules"]["compute"]
    assert sum(parts.values()) == record["cycles"]
    text = run("run", str(path)).stdout
    assert f"cycles       {record['cycles']:,}, " in text
    assert "as expected" in text
    assert "roofline" in text


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    """Nothing in a folder depends on when, where or how often it was written."""
    one, two = emitted(tmp_path / "one"), emitted(tmp_path / "two")
    emitted(one)
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_a_different_output_is_status_1(tmp_path: Path) -> None:
    """A folder that expects something else, or whose input has changed, is found to differ."""
    path = emitted(tmp_path / "program", "--format", "standalone-vta")
    (path / MANIFEST).unlink()
    assert run("run", str(path)).exit_code == 0
    expected = bytearray((path / "expected_out.bin").read_bytes())
    expected[3] ^= 1
    (path / "expected_out.bin").write_bytes(expected)
    result = run("run", str(path), "--json")
    assert result.exit_code == 1
    record = json.loads(result.stdout)
    assert (record["verdict"], record["wrong"], record["first_wrong"]) == ("differs", 1, 3)
    assert "1 of" in run("run", str(path)).stdout


def test_without_an_expectation_nothing_is_compared(tmp_path: Path) -> None:
    """A folder that only reserves the output's bytes is run all the same."""
    path = emitted(tmp_path / "program", "--format", "standalone-vta")
    for name in (MANIFEST, "expected_out.bin"):
        (path / name).unlink()
    result = run("run", str(path))
    assert result.exit_code == 0
    assert "nothing to compare" in result.stdout


def test_a_program_that_hardware_would_not_finish_is_status_1(tmp_path: Path) -> None:
    """A deadlock is reported with its instruction, in both forms."""
    path = emitted(tmp_path / "program", "--format", "standalone-vta")
    (path / MANIFEST).unlink()
    rows = table_of([nop(Queue.COMPUTE, pop_prev=1), finish()])
    (path / FILES["INSN"]).write_bytes(encode(Config.default(), rows))
    result = run("run", str(path))
    assert result.exit_code == 1
    assert "instruction 0: deadlock" in result.stdout
    record = json.loads(run("run", str(path), "--json").stdout)
    assert record["verdict"] == "fails"
    assert record["instruction"] == 0


def test_a_folder_that_chisel_executes_otherwise(root: Path) -> None:
    """Immediates once had source 0: `run` says as which a program is right, and the rule."""
    path = str(root / "tests" / "golden" / "immediates_from_zero")
    everywhere = run("run", path)
    assert everywhere.exit_code == 0
    for name, verdict in (("fsim", "as expected"), ("hls", "as expected"), ("chisel", "differs")):
        assert f"as {name:<9} {verdict}" in everywhere.stdout
    chisel = run("run", path, "--as", "chisel")
    assert chisel.exit_code == 1
    assert "of 256 bytes, the first at 16" in chisel.stdout
    assert "(rule immediate-source)" in chisel.stdout
    record = json.loads(run("run", path, "--as", "chisel", "--json").stdout)
    assert record["rule"] == "immediate-source"
    assert record["wrong"] == record["implementations"]["chisel"]["wrong"] > 0
    assert run("run", path, "--as", "hls").exit_code == 0
    linted = run("lint-program", path)
    assert linted.exit_code == 1
    assert (
        linted.stdout.count("immediate-source: an immediate instruction has src_factor_in 0") == 3
    )


def test_batches_have_no_chisel(tmp_path: Path) -> None:
    """A batch of two is executed as the others, and refused as Chisel and by other names."""
    path = emitted(tmp_path / "program", "--config", "b2")
    everywhere = run("run", str(path))
    assert everywhere.exit_code == 0
    assert "as hls" in everywhere.stdout
    assert "as chisel" not in everywhere.stdout
    for name, token in (("chisel", "LOG_BATCH"), ("verilog", "fsim, hls, chisel")):
        refused = run("run", str(path), "--as", name)
        assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
        assert token in refused.stderr


def test_disasm_lists_folders_and_files(tmp_path: Path) -> None:
    """A file gives its instructions, a folder also its micro-ops; JSON has every field."""
    path = emitted(tmp_path / "program", "--format", "standalone-vta")
    alone = run("disasm", str(path / FILES["INSN"])).stdout
    whole = run("disasm", str(path)).stdout
    assert whole.startswith(alone)
    assert "uop    0  dst" in whole
    assert whole == (path / "program.txt").read_text()
    lines = [line for line in alone.splitlines() if line]
    records = json.loads(run("disasm", str(path), "--json").stdout)
    assert [r["index"] for r in records] == list(range(len(lines)))
    assert records[-1]["opcode"] == "FINISH"
    store = next(r for r in records if r["opcode"] == "STORE")
    assert store["memory_type"] == "OUT"
    assert store["queue"] == "store"
    assert "iter_out" not in store


def test_configurations_other_than_the_default(tmp_path: Path) -> None:
    """A folder carries its configuration; a bare file needs it."""
    path = emitted(tmp_path / "program", "--config", "block32")
    assert json.loads(run("run", str(path), "--json").stdout)["verdict"] == "as expected"
    assert run("run", str(path), "--config", "block32").exit_code == 0
    text = run("disasm", str(path / FILES["INSN"]), "--config", "block32").stdout
    assert run("disasm", str(path)).stdout.startswith(text)


def test_given_data_is_used(tmp_path: Path) -> None:
    """The packed input holds the file's values."""
    np.save(tmp_path / "data.npy", np.full((5, 20), 7, np.int8))
    path = emitted(tmp_path / "program", "--data", str(tmp_path / "data.npy"))
    packed = np.frombuffer((path / FILES["INP"]).read_bytes(), np.int8)
    assert sorted(set(packed.tolist())) == [0, 7]
    assert (packed == 7).sum() == 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["emit", SMALL, "reference", "--out", "x", "--format", "elf"], ["elf", "standalone-vta"]),
        (["emit", SMALL, "reference", "--out", "none/x"], ["none"]),
        (["emit", SMALL, "reference", "--out", "mine"], ["mine", "exists"]),
        (["emit", SMALL, "y=ic:3", "--out", "x"], ["ic:3", "dimensions"]),
        (["emit", SMALL, "reference", "--out", "x", "--data", "none.npy"], ["none.npy"]),
        (["emit", "nonsense", "reference", "--out", "x"], ["nonsense"]),
        (["run", "none"], ["none", "folder"]),
        (["run", "mine"], ["uop.bin"]),
        (["run", "mine", "--config", "none.json"], ["none.json"]),
        (["disasm", "none"], ["none", "file"]),
        (["disasm", "mine/cut.bin"], ["cut.bin", "20 bytes"]),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, one line that names the value, nothing written and no traceback."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/cut.bin").write_bytes(b"\0" * 20)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("explorer: error: ")
    assert len(result.stderr.splitlines()) == 1
    for token in named:
        assert token in result.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"mine"}


def test_the_page_names_every_file_and_field(root: Path, tmp_path: Path) -> None:
    """What an emitted folder holds, and each field of its manifest, stands in the documentation."""
    text = (root / "docs" / "reference" / "programs.md").read_text(encoding="utf-8")
    result = run("emit", "gemm:m=4,n=4,k=4,bias=1", "reference", "--out", str(tmp_path / "program"))
    assert result.exit_code == 0, result.output
    assert sorted(json.loads((tmp_path / "program" / MANIFEST).read_text())) == sorted(
        Manifest.model_fields
    )
    for field in Manifest.model_fields:
        assert f"`{field}`" in text
    for file in (tmp_path / "program").iterdir():
        assert f"`{file.name}`" in text
