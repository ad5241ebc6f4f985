"""A folder's files as a program: nothing is believed that sizes, digests and decoding can check."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isa.codec import DecodingError, Table, decode, decode_uops, encode
from isa.config import Config
from isa.errors import InputError, InputWarning
from isa.fields import INSTRUCTION_BYTES, UOP_BYTES
from isa.files import exists, read_bytes
from isa.folder.files import EXPECTED, FILES, MANIFEST, RESERVED, check_format, digest
from isa.folder.manifest import FORMATS, FileEntry, Format, Manifest, SectionEntry
from isa.folder.relocation import RECORD_BYTES, moved
from isa.json import parse_json
from isa.program_image import (
    INPUT_DTYPES,
    SECTIONS,
    Program,
    Section,
    element_bytes,
    memory_map,
)
from isa.schema import read_text, validate
from isa.words import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A program folder in memory.

    Attributes:
        path: where it was read from.
        format: one of `isa.folder.manifest.FORMATS`.
        program: the program with absolute addresses.
        stored: the instructions as the file holds them, base-relative where the format is.
        inputs: the packed tensors by section, as `isa.program_image.Program.image` takes them.
        expected: the first bytes of the output that a run has to leave; None if not known.
        manifest: what the folder says of itself, if it does.
    """

    path: Path
    format: Format
    program: Program
    stored: Table
    inputs: dict[str, NDArray[np.generic]]
    expected: bytes | None
    manifest: Manifest | None


UNTOLD = (
    "a folder without a manifest is read for VTA's default configuration, --config names another"
)
"""What may be wrong where nobody said what a program is encoded for."""


def read(path: Path, config: Config | None = None) -> Folder:
    """The program in a folder, and its data.

    Args:
        path: the folder.
        config: what it is encoded for; a folder with a manifest says so itself.

    Raises:
        InputError: a file is missing, of a wrong size or digest, or no program; the manifest has a
            key or value it must not have, or names another configuration.
    """
    if not path.is_dir():
        raise InputError(str(path), "", "a file" if exists(path) else None, "a folder")
    if (path / MANIFEST).exists():
        return _read_described(path, config)
    try:
        return _read_plain(path, config or Config.default())
    except InputError as error:
        # What was made for another configuration looks damaged.
        hint = "" if config else f"; {UNTOLD}"
        raise InputError(error.source, error.field, error.value, error.allowed + hint) from None


def read_manifest(path: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        InputError: it is missing, no JSON, or has a key or value it must not have.
    """
    source = str(path / MANIFEST)
    found = parse_json(read_text(path / MANIFEST), source)
    if found.get("format") == "network":
        allowed = f"{' or '.join(FORMATS)}; explorer network run takes networks' folders"
        raise InputError(source, "format", "network", allowed)
    return validate(Manifest, found, source)


def stored_instructions(path: Path, config: Config | None) -> tuple[Config, Table, Table | None]:
    """The instructions of a file or of a folder as stored there, and a folder's micro-ops.

    Raises:
        InputError: as `read` and `read_instructions`.
    """
    if path.is_dir():
        folder = read(path, config)
        return folder.program.config, folder.stored, folder.program.uops
    machine = config or Config.default()
    return machine, read_instructions(path, machine), None


def read_instructions(path: Path, config: Config) -> Table:
    """The decoded instructions of a binary file.

    Raises:
        InputError: there is no such file, or it holds no instructions.
    """
    return _decoded(_read_file(path), config, path)


def _read_plain(path: Path, config: Config) -> Folder:
    """A folder of the stand-alone format that has nothing but the simulator's files."""
    check_format(config, "standalone-vta")
    layer = _layer(path)
    files = {name: path / _of_layer(file, layer) for name, file in FILES.items()}
    hoped = path / _of_layer(EXPECTED, layer)
    expected = _read_file(hoped) if hoped.exists() else None
    data = {
        name: _read_file(file)
        for name, file in files.items()
        if name in ("UOP", "INSN") or file.exists()
    }
    # The size of this one counts (`memory_map`); its content is nobody's input.
    out = data.pop("OUT", expected)
    if out is None:
        allowed = f"this or {EXPECTED}: its size is that of the output, on which addresses depend"
        raise InputError(str(path / RESERVED), "", None, allowed)
    if expected is not None and len(expected) > len(out):
        allowed = f"at most the {counted(len(out), 'byte')} of {RESERVED}"
        raise InputError(str(path / EXPECTED), "", counted(len(expected), "byte"), allowed)
    sizes = {name: len(binary) for name, binary in data.items()} | {"OUT": len(out)}
    addresses = memory_map(config, sizes)
    table = _decoded(data["INSN"], config, path / FILES["INSN"])
    program = _program(config, table, data, sizes, addresses, path)
    return Folder(path, "standalone-vta", program, table, _inputs(data, path), expected, None)


def _layer(path: Path) -> str:
    """What compilers append to the files' names: ``_L1`` for a first layer, or nothing.

    Raises:
        InputError: the folder holds several layers.
    """
    stem = FILES["INSN"].removesuffix(".bin")
    if (path / FILES["INSN"]).exists():
        return ""
    found = sorted(file.stem.removeprefix(stem) for file in path.glob(f"{stem}_*.bin"))
    if len(found) > 1:
        allowed = f"one layer; put the files of one of {', '.join(found)} in a folder of their own"
        raise InputError(str(path), "", f"{counted(len(found), 'file')} of instructions", allowed)
    return found[0] if found else ""


def _of_layer(file: str, layer: str) -> str:
    return file.replace(".bin", f"{layer}.bin")


def _read_described(path: Path, config: Config | None) -> Folder:
    source = str(path / MANIFEST)
    manifest = read_manifest(path)
    # A key that says nothing in a file of VTA's may mean something in a manifest that came later.
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        try:
            described = Config.from_dict(manifest.configuration, source)
        except InputWarning as warning:
            known = ", ".join(Config().to_dict())
            raise InputError(source, "configuration", str(warning), f"the keys {known}") from None
    # By what it says and not by name: a preset and a copy of its file are the same machine.
    if config is not None and config.to_dict() != described.to_dict():
        allowed = f"none, or that of {source}, {described.bitstream}"
        raise InputError("--config", "", config.name, allowed)
    check_format(described, manifest.format)
    # Places in this list are what relocation entries and field paths refer to.
    names = [entry.name for entry in manifest.sections]
    if names != list(SECTIONS):
        raise InputError(source, "sections", names, f"exactly {', '.join(SECTIONS)}, in this order")
    _check_elements(source, manifest, described)
    data = {entry.name: _section_data(path, entry) for entry in manifest.sections if entry.file}
    for name in ("UOP", "INSN"):
        if name not in data:
            raise InputError(source, f"sections.{SECTIONS.index(name)}.file", None, "a file")
    sizes: dict[str, int] = {entry.name: entry.size for entry in manifest.sections}
    addresses = memory_map(described, sizes)
    table = stored = _decoded(data["INSN"], described, path / FILES["INSN"])
    if manifest.format == "raw":
        table = _relocated(path, manifest, described, stored, addresses)
        # The image has to hold what a loader would have made of the file: absolute addresses.
        data["INSN"] = encode(described, table)
    else:
        # The manifest repeats what follows from the sizes, for tools that read nothing else.
        _check_addresses(source, manifest, addresses)
        _checked(path, RESERVED, sizes["OUT"], None)
    program = _program(described, table, data, sizes, addresses, path)
    _check_counts(source, manifest, program)
    expected = _read_entry(path, manifest.expected) if manifest.expected else None
    if expected is not None and len(expected) > sizes["OUT"]:
        allowed = f"at most the {sizes['OUT']} bytes of OUT"
        raise InputError(source, "expected.size", len(expected), allowed)
    return Folder(path, manifest.format, program, stored, _inputs(data, path), expected, manifest)


def _relocated(
    path: Path, manifest: Manifest, config: Config, table: Table, addresses: Mapping[str, int]
) -> Table:
    source = str(path / MANIFEST)
    for place, entry in enumerate(manifest.sections):
        if entry.address is not None:
            allowed = "null: raw programs are base-relative"
            raise InputError(source, f"sections.{place}.address", entry.address, allowed)
    if manifest.relocations is None:
        raise InputError(source, "relocations", None, "the table of a raw program")
    binary = _read_entry(path, manifest.relocations)
    name = str(path / manifest.relocations.file)
    if len(binary) % RECORD_BYTES:
        allowed = f"a multiple of {RECORD_BYTES}: instruction and section, 4 bytes each"
        raise InputError(name, "", counted(len(binary), "byte"), allowed)
    entries = np.frombuffer(binary, "<u4").reshape(-1, 2)
    try:
        return moved(config, table, entries, addresses)
    except ValueError as error:
        raise InputError(name, "", str(error), "a table that suits the instructions") from None


def _check_elements(source: str, manifest: Manifest, config: Config) -> None:
    for place, entry in enumerate(manifest.sections):
        size = element_bytes(config, entry.name)
        if entry.element_bytes != size:
            allowed = f"{size}, which follows from the configuration, {config.bitstream}"
            field = f"sections.{place}.element_bytes"
            raise InputError(source, field, entry.element_bytes, allowed)


def _check_addresses(source: str, manifest: Manifest, addresses: Mapping[str, int]) -> None:
    for place, entry in enumerate(manifest.sections):
        if entry.address != addresses[entry.name]:
            allowed = f"the sizes before it put {entry.name} at {addresses[entry.name]}"
            raise InputError(source, f"sections.{place}.address", entry.address, allowed)


def _check_counts(source: str, manifest: Manifest, program: Program) -> None:
    for field, found in (("instructions", len(program.table)), ("uops", len(program.uops))):
        if getattr(manifest, field) != found:
            raise InputError(source, field, getattr(manifest, field), f"the file holds {found}")


def _program(
    config: Config,
    table: Table,
    data: Mapping[str, bytes],
    sizes: Mapping[str, int],
    addresses: Mapping[str, int],
    path: Path,
) -> Program:
    uop = data["UOP"]
    if len(uop) % UOP_BYTES:
        allowed = f"a multiple of {UOP_BYTES}, the size of a micro-op"
        raise InputError(str(path / FILES["UOP"]), "", counted(len(uop), "byte"), allowed)
    fixed = {"UOP": uop, "INSN": data["INSN"]}
    sections = tuple(
        Section(name, addresses[name], sizes.get(name, 0), fixed.get(name, b""))
        for name in SECTIONS
    )
    return Program(config, table, decode_uops(config, uop), sections)


def _inputs(data: Mapping[str, bytes], path: Path) -> dict[str, NDArray[np.generic]]:
    inputs: dict[str, NDArray[np.generic]] = {}
    for name, dtype in INPUT_DTYPES.items():
        binary = data.get(name, b"")
        if len(binary) % dtype.itemsize:
            allowed = f"a multiple of {dtype.itemsize}: {name} holds {dtype.name}"
            found = counted(len(binary), "byte")
            raise InputError(str(path / FILES[name]), "", found, allowed)
        if binary:
            inputs[name] = np.frombuffer(binary, dtype)
    return inputs


def _decoded(binary: bytes, config: Config, path: Path) -> Table:
    if not binary or len(binary) % INSTRUCTION_BYTES:
        allowed = f"a multiple of {INSTRUCTION_BYTES}, the size of an instruction, and not 0"
        raise InputError(str(path), "", counted(len(binary), "byte"), allowed)
    try:
        return decode(config, binary)
    except DecodingError as error:
        allowed = f"instructions of {config.bitstream} (another one: --config)"
        raise InputError(str(path), "", str(error), allowed) from None


def _section_data(path: Path, entry: SectionEntry) -> bytes:
    assert entry.file is not None
    return _checked(path, entry.file, entry.size, entry.sha256)


def _read_entry(path: Path, entry: FileEntry) -> bytes:
    return _checked(path, entry.file, entry.size, entry.sha256)


def _checked(path: Path, file: str, size: int, sha256: str | None) -> bytes:
    """A file's bytes, which are of the size and digest that the manifest gives."""
    data = _read_file(path / file)
    if len(data) != size:
        allowed = f"the {counted(size, 'byte')} that {MANIFEST} gives"
        raise InputError(str(path / file), "", counted(len(data), "byte"), allowed)
    if sha256 is not None and digest(data) != sha256:
        allowed = f"the {sha256} that {MANIFEST} gives; null there allows any"
        raise InputError(str(path / file), "sha256", digest(data), allowed)
    return data


def _read_file(path: Path) -> bytes:
    return read_bytes(path, "a readable file is needed")
