"""Tables in files and on the screen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from explorer.cli import output
from isa.errors import InputError

LONG = "conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2"
READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".json": pd.read_json,
    ".parquet": pd.read_parquet,
}


@pytest.fixture(autouse=True)
def _no_forced_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is a terminal is for the test to say, not for the caller's settings."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def frame() -> pd.DataFrame:
    """A table of the kinds of cells that commands make."""
    return pd.DataFrame(
        {
            "operator": [LONG, "gemm [64]"],
            "cycles": [123456789, 5],
            "share": [1 / 3, 0.5],
            "bound": [float("nan"), 1234.5],
            "dense": [True, False],
        }
    )


@pytest.mark.parametrize("suffix", READERS)
def test_written_table_reads_back(frame: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    """Every format gives back the same table, to the last digit of a fraction in text."""
    path = tmp_path / f"table{suffix}"
    output.write_table(frame, path)
    pd.testing.assert_frame_equal(READERS[suffix](path), frame, check_dtype=False)


@pytest.mark.parametrize("suffix", READERS)
def test_equal_tables_give_equal_bytes(frame: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    """Neither the time nor the name of the file is in it, and no temporary file is left."""
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    output.write_table(frame, first)
    output.write_table(frame.copy(), second)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_json_is_exact(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Fractions keep all their digits, and what is missing is null."""
    path = tmp_path / "table.json"
    output.write_table(frame, path)
    first, second = json.loads(path.read_text(encoding="utf-8"))
    assert first["share"] == 1 / 3
    assert first["bound"] is None
    assert second == {
        "operator": "gemm [64]", "cycles": 5, "share": 0.5, "bound": 1234.5, "dense": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["table", "table.txt", "missing/table.csv", "folder.csv"])
def test_unusable_output_is_refused_early(tmp_path: Path, name: str) -> None:
    """A path that cannot be written is named before any work is done."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=name):
        output.check_output(tmp_path / name)


def test_unwritable_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one in a directory that is read-only."""
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write whatever the mode says
    with pytest.raises(InputError, match="not writable"):
        output.check_output(tmp_path / "table.csv")


def test_failed_write_keeps_the_old_file(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old table is still there, and nothing besides."""

    def full(_: Path, __: bytes) -> int:
        raise OSError(28, "No space left on device")

    path = tmp_path / "table.csv"
    path.write_text("old")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        output.write_table(frame, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_plain_table(
    frame: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a pipe, columns are aligned and nothing is shortened or added."""
    monkeypatch.setenv("COLUMNS", "100")
    output.print_table(frame, title="ignored")
    assert capsys.readouterr().out.splitlines() == [
        f"{'operator':{len(LONG)}}     cycles   share  bound  dense",
        f"{LONG}  123456789  0.3333      -  True",
        f"{'gemm [64]':{len(LONG)}}          5     0.5   1234  False",
    ]


def test_plain_table_without_room(
    frame: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts go on in the next line; where that is not enough, each row becomes a list."""
    monkeypatch.setenv("COLUMNS", "72")
    output.print_table(frame)
    assert capsys.readouterr().out.splitlines() == [
        "operator                                  cycles   share  bound  dense",
        "conv/server/                           123456789  0.3333      -  True",
        "n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2",
        "gemm [64]                                      5     0.5   1234  False",
    ]
    monkeypatch.setenv("COLUMNS", "40")
    output.print_table(frame)
    assert capsys.readouterr().out.splitlines() == [
        "operator  conv/server/",
        "          n1_c1_h161_w700_k32_r5_s20_p0x",
        "          0_st2x2",
        "cycles    123456789",
        "share     0.3333",
        "bound     -",
        "dense     True",
        "",
        "operator  gemm [64]",
        "cycles    5",
        "share     0.5",
        "bound     1234",
        "dense     False",
    ]
    monkeypatch.setenv("COLUMNS", "50")
    output.print_table(frame, keep=2)  # the others can be done without
    assert capsys.readouterr().out.splitlines() == [
        "operator                                  cycles",
        "conv/server/                           123456789",
        "n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2",
        "gemm [64]                                      5",
    ]


def test_table_on_a_narrow_terminal(
    frame: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal too narrow for it, every character of a cell is still there, in order."""
    narrow = Console(force_terminal=True, width=60, color_system=None)
    monkeypatch.setattr(output, "Console", lambda: narrow)
    output.print_table(frame, title="Embeddings")
    text = capsys.readouterr().out
    first_column = (line.split("│")[1] for line in text.splitlines() if line.startswith("│"))
    assert LONG in "".join(cell.strip() for cell in first_column)
    assert "Embeddings" in text


def test_progress_counts_only_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Away from a terminal progress says nothing, and the work is done all the same."""
    with output.progress("simulating", total=2) as advance:
        advance(1)
        advance(1)
    assert capsys.readouterr() == ("", "")
