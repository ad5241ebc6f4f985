"""The command lint-program, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import explorer
from explorer.cli import app
from isa.codec import decode, encode
from isa.config import Config
from isa.errors import InputError
from isa.fields import Column, Opcode
from isa.folder import FILES, MANIFEST, RELOCATIONS
from isa.folder.manifest import FORMATS


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(app, list(arguments))


def emitted(path: Path, form: str = "standalone-vta", *options: str) -> Path:
    """A folder of a small product."""
    product = "gemm:m=5,n=20,k=20"
    made = run("emit", product, "reference", "--out", str(path), "--format", form, *options)
    assert made.exit_code == 0, made.output
    return path


def without_tokens(path: Path) -> None:
    """Take the tokens from loads to computations out of a stand-alone folder."""
    (path / MANIFEST).unlink()
    file = path / FILES["INSN"]
    table = decode(Config.default(), file.read_bytes())
    computes = (table[:, Column.OPCODE] == Opcode.GEMM) | (table[:, Column.OPCODE] == Opcode.ALU)
    table[computes, Column.POP_PREV] = 0
    loads = (table[:, Column.OPCODE] == Opcode.LOAD) & ~computes
    table[loads, Column.PUSH_NEXT] = 0
    file.write_bytes(encode(Config.default(), table))


@pytest.mark.parametrize("form", FORMATS)
def test_emitted_programs_pass(form: str, tmp_path: Path) -> None:
    """What is emitted has no findings, for any target."""
    path = emitted(tmp_path / "program", form)
    assert (path / RELOCATIONS).exists() == (form == "raw")
    for target in ("portable", "hls", "chisel"):
        result = run("lint-program", str(path), "--target", target)
        assert result.exit_code == 0, result.output
        assert "no findings" in result.stdout


def test_findings_are_listed(tmp_path: Path) -> None:
    """A finding has its instruction as listed, its rule and reason; the status is 1."""
    path = emitted(tmp_path / "program")
    without_tokens(path)
    result = run("lint-program", str(path))
    assert result.exit_code == 1
    assert "race: races with instruction" in result.stdout
    assert "GEMM uops" in result.stdout
    assert "with 1: LOAD" in result.stdout
    record = json.loads(run("lint-program", str(path), "--json").stdout)
    races = [f for f in record["findings"] if f["rule"] == "race"]
    assert races
    assert {"instruction", "rule", "why", "other", "listing"} == set(races[0])
    assert f"race: {len(races)} findings" in result.stdout


def test_restricted_programs(tmp_path: Path) -> None:
    """A program that is emitted for a safe distance keeps it; what that costs is said."""
    close = emitted(tmp_path / "close")
    assert run("lint-program", str(close), "--safe-distance", "4").exit_code == 1
    spaced = emitted(tmp_path / "spaced", "raw", "--target", "chisel", "--safe-distance", "4")
    options = ("--target", "chisel", "--safe-distance", "4")
    assert run("lint-program", str(spaced), *options).exit_code == 0
    shown = run("show", "gemm:m=5,n=20,k=20", "reference", *options)
    assert "cycles under the restrictions" in shown.stdout
    refused = run("show", "gemm:m=5,n=20,k=20", "reference", "--target", "fpga")
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)


def test_the_api_does_the_same(tmp_path: Path) -> None:
    """From Python, programs are emitted, checked, executed and refused as by the commands."""
    product, path = "gemm:m=5,n=20,k=20", tmp_path / "program"
    explorer.emit(product, "reference", path, target="chisel", safe_distance=4)
    assert explorer.lint(path, target="chisel", safe_distance=4) == []
    assert explorer.run(path, schedule="lazy-store").verdict == "as expected"
    assert explorer.run(path, implementation="chisel").verdict == "as expected"
    with pytest.raises(InputError, match="verilog"):
        explorer.run(path, implementation="verilog")
    assert {f.rule for f in explorer.lint(path, safe_distance=99)} == {"accumulation-distance"}
    assert explorer.verify(product, "reference", schedule="random:3", safe_distance=4).exact
    assert explorer.rank(product, top=1, safe_distance=4, jobs=1).unrestricted
    for options in ({"target": "fpga"}, {"safe_distance": 0}, {"safe_distance": 1 << 64}):
        with pytest.raises(InputError):
            explorer.evaluate(product, "reference", **options)
    with pytest.raises(InputError, match="fpga"):
        explorer.lint(path, target="fpga")


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    """A target or folder that does not exist is refused with status 2."""
    path = emitted(tmp_path / "program")
    for arguments in ((str(path), "--target", "fpga"), (str(tmp_path / "none"),)):
        result = run("lint-program", *arguments)
        assert result.exit_code == 2
        assert result.output.count("\n") == 1
    for distance in ("0", "99999999999999999999"):
        for command in (("lint-program", str(path)), ("show", "gemm:m=1,n=1,k=1", "reference")):
            assert run(*command, "--safe-distance", distance).exit_code == 2


def test_schedules(tmp_path: Path) -> None:
    """`verify` and `run` execute any order of the queues, and refuse what is none."""
    path = emitted(tmp_path / "program")
    for command in (("verify", "gemm:m=5,n=20,k=20", "reference"), ("run", str(path))):
        for order in ("eager-load", "lazy-store", "random:7"):
            assert run(*command, "--schedule", order).exit_code == 0
        refused = run(*command, "--schedule", "random")
        assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
