"""Folders of other compilers: a suffix for each layer, and no word on the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from isa.errors import InputError
from isa.folder import FILES, read

TEXT = "gemm:m=4,n=16,k=32"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the stand-alone format, its files named as those of a first layer."""
    path = tmp_path / "program"
    arguments = ["emit", TEXT, "reference", "--format", "standalone-vta", "--out", str(path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    for name in (*FILES.values(), "expected_out.bin"):
        (path / name).rename(path / name.replace(".bin", "_L1.bin"))
    (path / "manifest.json").unlink()
    return path


def test_a_layers_files_are_read(folder: Path) -> None:
    """Files with a layer's suffix are the program, and it runs as expected."""
    done = CliRunner().invoke(app, ["run", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verdict"] == "as expected"


def test_several_layers_are_refused(folder: Path) -> None:
    """A folder of two layers says which there are."""
    (folder / "instructions_L2.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"one layer.*_L1, _L2"):
        read(folder)


def test_a_missing_configuration_is_hinted_at(folder: Path) -> None:
    """Where nobody said what a program is encoded for, a failure says that --config can."""
    path = folder / "instructions_L1.bin"
    path.write_bytes(path.read_bytes()[:-1])
    done = CliRunner().invoke(app, ["run", str(folder)])
    assert done.exit_code == 2
    assert "--config" in done.stderr
    done = CliRunner().invoke(app, ["run", str(folder), "--config", "default"])
    assert "--config names another" not in done.stderr
