"""Program folders: what is written is read again, and whatever is wrong is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isa.codec import decode
from isa.config import Config
from isa.errors import InputError
from isa.fields import Column
from isa.folder import FILES, MANIFEST, contents, read, read_instructions
from isa.folder.manifest import FORMATS, Format
from tests.programs import product, product_data


def files(form: Format, config: Config | None = None) -> dict[str, bytes]:
    """The files of a small product."""
    inputs, output = product_data()
    return contents(
        product(config),
        inputs,
        output.tobytes(),
        form,
        tensors={},
        source={"text": "a test"},
        generator="test",
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with some files changed, or left out where they are None."""

    def written(form: Format, **changes: bytes | None) -> Path:
        for name, data in (
            files(form) | {k.replace("__", "."): v for k, v in changes.items()}
        ).items():
            if data is not None:
                (tmp_path / name).write_bytes(data)
        return tmp_path

    return written


def edited(form: Format, change: Callable[[Any], object]) -> bytes:
    """The manifest after a change to its data."""
    manifest = json.loads(files(form)[MANIFEST])
    change(manifest)
    return json.dumps(manifest).encode()


@pytest.mark.parametrize("form", FORMATS)
def test_reading_gives_what_was_written(form: Format, write: Callable[..., Path]) -> None:
    """Program, data, expectation and configuration come back, and the bytes are always the same."""
    folder = read(write(form))
    program, (inputs, output) = product(), product_data()
    assert files(form) == files(form)
    assert folder.format == form
    assert np.array_equal(folder.program.table, program.table)
    assert np.array_equal(folder.program.uops, program.uops)
    assert folder.expected == output.tobytes()
    for name, array in inputs.items():
        assert folder.inputs[name].tobytes() == array.tobytes()
    assert folder.program.config.to_dict() == program.config.to_dict()
    assert folder.manifest is not None
    assert folder.manifest.source == {"text": "a test"}
    assert np.array_equal(folder.program.image(folder.inputs), program.image(inputs))


def test_raw_addresses_count_from_the_section() -> None:
    """Every transfer of the product starts its section but the second micro-op, which is next."""
    raw = files("raw")
    table = decode(Config.default(), raw[FILES["INSN"]])
    assert table[:, Column.DRAM_BASE].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    entries = np.frombuffer(raw["relocations.bin"], "<u4").reshape(-1, 2)
    # Section numbers: INP 0, WGT 1, OUT 4, UOP 5.
    assert entries.tolist() == [[0, 5], [2, 0], [3, 1], [4, 5], [6, 4]]


def test_standalone_has_every_file_and_page_addresses() -> None:
    """Absent tensors are empty files without a page; the others start at pages from 0x1000 on."""
    standalone = files("standalone-vta")
    assert set(FILES.values()) <= set(standalone)
    assert standalone[FILES["ACC"]] == standalone[FILES["ACC_BIS"]] == b""
    table = decode(Config.default(), standalone[FILES["INSN"]])
    assert table[[0, 2, 3, 6], Column.DRAM_BASE].tolist() == [0x1000, 0x100, 0x20, 0x300]


def test_standalone_is_read_without_a_manifest(write: Callable[..., Path]) -> None:
    """The simulator's own files are enough; addresses follow from their sizes."""
    folder = read(write("standalone-vta", manifest__json=None))
    assert folder.manifest is None
    assert folder.program.section("OUT").address == 0x3000
    assert folder.program.section("UOP").address == 0x4000
    assert folder.expected == product_data()[1].tobytes()


def test_output_may_be_larger_than_what_is_compared(write: Callable[..., Path]) -> None:
    """The reserved size comes from one file, the expected bytes from the other."""
    path = write("standalone-vta", manifest__json=None, expected_out__bin=b"\0" * 8)
    folder = read(path)
    assert folder.program.section("OUT").size == 256
    assert folder.expected == b"\0" * 8


def test_pages_that_an_element_exceeds_are_refused() -> None:
    """A weight block of more than a page cannot be laid out as the simulator does."""
    config = Config(
        log_block_in=7, log_block_out=7, log_wgt_buff_size=18, log_inp_buff_size=15,
        log_acc_buff_size=17,
    )  # fmt: skip
    with pytest.raises(InputError, match="raw: an element of WGT takes 16384 bytes"):
        contents(
            product(config), {}, b"", "standalone-vta", tensors={}, source={}, generator="test"
        )


@pytest.mark.parametrize(
    ("form", "changes", "named"),
    [
        ("raw", {"uop__bin": None}, ["uop.bin", "missing"]),
        ("raw", {"input__bin": b"\0" * 8}, ["input.bin", "8 bytes", "256 bytes"]),
        ("raw", {"weight__bin": b"\0" * 256}, ["weight.bin", "sha256"]),
        ("raw", {"manifest__json": b"{"}, ["manifest.json", "line 1"]),
        ("raw", {"manifest__json": b"[]"}, ["manifest.json", "JSON object"]),
        ("raw", {"manifest__json": b"\xff"}, ["manifest.json", "UTF-8"]),
        ("raw", {"relocations__bin": b""}, ["relocations.bin", "0 bytes"]),
        ("standalone-vta", {"expected_out_sram__bin": b""}, ["expected_out_sram.bin", "256 bytes"]),
        ("standalone-vta", {"expected_out_sram__bin": None}, ["expected_out_sram.bin", "missing"]),
        ("standalone-vta", {"manifest__json": None, "uop__bin": b"\0" * 6}, ["uop.bin", "of 4"]),
        (
            "standalone-vta",
            {"manifest__json": None, "instructions__bin": b"\0" * 20},
            ["instructions.bin", "20 bytes", "of 16"],
        ),
        (
            "standalone-vta",
            {"manifest__json": None, "instructions__bin": b"\7" + b"\0" * 15},
            ["instructions.bin", "opcode 7", "--config"],
        ),
        (
            "standalone-vta",
            {"manifest__json": None, "accumulator__bin": b"\0" * 7},
            ["accumulator.bin", "7 bytes", "int32"],
        ),
        (
            "standalone-vta",
            {"manifest__json": None, "expected_out_sram__bin": None, "expected_out__bin": None},
            ["expected_out_sram.bin", "size"],
        ),
        (
            "standalone-vta",
            {"manifest__json": None, "expected_out__bin": b"\0" * 257},
            ["expected_out.bin", "257 bytes"],
        ),
    ],
)  # fmt: skip
def test_wrong_files_are_named(
    form: Format, changes: dict[str, bytes | None], named: list[str], write: Callable[..., Path]
) -> None:
    """Missing, truncated, changed and nonsensical files give one error that says which and how."""
    with pytest.raises(InputError) as caught:
        read(write(form, **changes))
    for token in named:
        assert token in str(caught.value)


@pytest.mark.parametrize(
    ("form", "change", "named"),
    [
        ("raw", lambda m: m.update(extra=1), ["extra", "no such key"]),
        ("raw", lambda m: m.pop("sections"), ["sections", "missing"]),
        ("raw", lambda m: m.update(version=2), ["version", "2"]),
        ("raw", lambda m: m.update(format="elf"), ["format", "elf", "raw"]),
        ("raw", lambda m: m.update(format="network"), ["format", "raw", "explorer network run"]),
        ("raw", lambda m: m["sections"][0].update(size="x"), ["sections.0.size", "'x'"]),
        ("raw", lambda m: m["sections"][0].update(file="../a"), ["sections.0.file", "../a"]),
        ("raw", lambda m: m["sections"].pop(), ["sections", "INSN"]),
        ("raw", lambda m: m["sections"][6].update(file=None), ["sections.6.file"]),
        ("raw", lambda m: m["sections"][0].update(address=0), ["sections.0.address", "null"]),
        ("raw", lambda m: m.update(relocations=None), ["relocations"]),
        ("raw", lambda m: m.update(instructions=3), ["instructions", "10"]),
        ("raw", lambda m: m["configuration"].update(LOG_BLOCK=5), ["element_bytes", "32"]),
        ("raw", lambda m: m["configuration"].update(SPEED=5), ["SPEED", "LOG_BLOCK"]),
        ("raw", lambda m: m["sections"][4].update(size=9), ["expected.size", "256"]),
        (
            "standalone-vta",
            lambda m: m["sections"][1].update(address=4096),
            ["sections.1.address", "4096", "8192"],
        ),
    ],
)  # fmt: skip
def test_wrong_manifests_are_named(
    form: Format, change: Callable[[Any], object], named: list[str], write: Callable[..., Path]
) -> None:
    """A manifest that does not suit its files is refused by the field that is wrong."""
    with pytest.raises(InputError) as caught:
        read(write(form, manifest__json=edited(form, change)))
    assert MANIFEST in str(caught.value)
    for token in named:
        assert token in str(caught.value)


def test_another_configuration_is_refused(write: Callable[..., Path]) -> None:
    """A folder that says what it is encoded for is read for nothing else."""
    path = write("raw")
    assert read(path, Config.default()).program.config.to_dict() == Config.default().to_dict()
    with pytest.raises(InputError, match="--config"):
        read(path, Config.load("block32"))


def test_relocations_have_to_suit(write: Callable[..., Path]) -> None:
    """An entry that names the wrong section or instruction, or is left out, is refused."""
    right = np.frombuffer(files("raw")["relocations.bin"], "<u4").reshape(-1, 2)
    for row, entry, named in (
        (0, (0, 1), "instruction 0: UOP data does not lie in WGT"),
        (0, (1, 5), "instruction 0: each"),
        (1, (0, 5), "instruction 2: each"),
        (0, (0, 9), "section 9"),
    ):
        wrong = right.copy()
        wrong[row] = entry
        digest = hashlib.sha256(wrong.tobytes()).hexdigest()
        described = json.loads(files("raw")[MANIFEST])
        described["relocations"]["sha256"] = digest
        manifest = json.dumps(described).encode()
        path = write("raw", relocations__bin=wrong.tobytes(), manifest__json=manifest)
        with pytest.raises(InputError) as caught:
            read(path)
        assert "relocations.bin" in str(caught.value)
        assert named in str(caught.value)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    """What is no folder is named, whether or not it is there."""
    (tmp_path / "file").write_bytes(b"")
    for name in ("none", "file"):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)
    with pytest.raises(InputError, match="0 bytes"):
        read_instructions(tmp_path / "file", Config.default())
    with pytest.raises(InputError, match="none"):
        read_instructions(tmp_path / "none", Config.default())


def test_relocating_by_the_documented_rule_gives_the_standalone_bytes() -> None:
    """For each record, address / element_bytes is added to bits 26 to 57 of the instruction."""
    raw, standalone = files("raw"), files("standalone-vta")
    sections = json.loads(standalone[MANIFEST])["sections"]
    code = np.frombuffer(raw[FILES["INSN"]], "<u8").reshape(-1, 2).copy()
    for row, place in np.frombuffer(raw["relocations.bin"], "<u4").reshape(-1, 2).tolist():
        low = int(code[row, 0])
        base = (low >> 26 & 0xFFFFFFFF) + sections[place]["address"] // sections[place][
            "element_bytes"
        ]
        code[row, 0] = low & ~(0xFFFFFFFF << 26) | (base & 0xFFFFFFFF) << 26
    assert code.tobytes() == standalone[FILES["INSN"]]


def test_a_file_may_be_exchanged(write: Callable[..., Path]) -> None:
    """With the digest set to null, other bytes of the same size are read."""
    manifest = edited("raw", lambda m: m["sections"][0].update(sha256=None))
    folder = read(write("raw", manifest__json=manifest, input__bin=bytes(256)))
    assert not folder.inputs["INP"].any()
