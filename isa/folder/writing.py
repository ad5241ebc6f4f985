"""A program as the files of a folder, their bytes in memory; writing them is left to the caller."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isa.codec import encode
from isa.folder.files import (
    EXPECTED,
    FILES,
    LISTING,
    MANIFEST,
    RELOCATIONS,
    RESERVED,
    check_format,
    digest,
)
from isa.folder.manifest import VERSION, FileEntry, Format, Manifest, SectionEntry, TensorEntry
from isa.folder.relocation import moved, relocations
from isa.listing import listing
from isa.program_image import PAGE_BYTES, Program, Section, element_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def contents(
    program: Program,
    inputs: Mapping[str, NDArray[np.generic]],
    expected: bytes,
    form: Format,
    *,
    tensors: Mapping[str, TensorEntry | list[TensorEntry]],
    source: dict[str, Any],
    generator: str,
) -> dict[str, bytes]:
    """The files of a folder by name, the manifest among them; equal arguments give equal bytes.

    Args:
        program: with absolute addresses, as `isa.program_image.Program.build` makes it.
        inputs: packed tensors by section.
        expected: the bytes of the OUT section after a run.
        form: the format.
        tensors: what the sections hold.
        source: what it was made from, for the manifest.
        generator: who made it, for the manifest.

    Raises:
        InputError: the format cannot express the configuration's alignment.
    """
    config = program.config
    check_format(config, form)
    files = {FILES[name]: array.tobytes() for name, array in inputs.items()}
    files |= {FILES["UOP"]: program.uop_binary, FILES["INSN"]: program.binary, EXPECTED: expected}
    if form == "raw":
        entries = relocations(program)
        addresses = {part.name: part.address for part in program.sections}
        # Programs are made with absolute addresses. Those are taken away again, so that both
        # formats come from one program.
        table = moved(config, program.table, entries, addresses, sign=-1)
        files[FILES["INSN"]] = encode(config, table)
        files[RELOCATIONS] = entries.astype("<u4").tobytes()
    else:
        table = program.table
        # The simulator takes the output's size from this file, and opens all others, even if empty.
        files[RESERVED] = expected
        files |= {name: b"" for name in FILES.values() if name not in files}
    files[LISTING] = (listing(table, program.uops) + "\n").encode()
    manifest = Manifest(
        format=form,
        version=VERSION,
        generator=generator,
        configuration=config.to_dict(),
        instructions=len(table),
        uops=len(program.uops),
        sections=[_section_entry(program, part, form, files, tensors) for part in program.sections],
        relocations=_file_entry(RELOCATIONS, files) if form == "raw" else None,
        expected=_file_entry(EXPECTED, files),
        listing=_file_entry(LISTING, files),
        source=source,
    )
    return files | {MANIFEST: _json(manifest.model_dump()).encode()}


def _json(data: dict[str, Any]) -> str:
    """Indented JSON with each list of plain values in one line."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    # Inside strings a line break is escaped, so that these are lists.
    return (
        re.sub(r"\[\n[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text) + "\n"
    )


def _section_entry(
    program: Program,
    part: Section,
    form: Format,
    files: Mapping[str, bytes],
    tensors: Mapping[str, TensorEntry | list[TensorEntry]],
) -> SectionEntry:
    size = element_bytes(program.config, part.name)
    # OUT has a file too, but what it holds is to be compared, never loaded.
    filled = part.name != "OUT" and FILES[part.name] in files
    file = FILES[part.name] if filled else None
    return SectionEntry(
        name=part.name,
        address=part.address if form == "standalone-vta" else None,
        size=part.size,
        alignment=max(PAGE_BYTES, size) if form == "standalone-vta" else size,
        element_bytes=size,
        file=file,
        sha256=digest(files[file]) if file else None,
        tensor=tensors.get(part.name),
    )


def _file_entry(name: str, files: Mapping[str, bytes]) -> FileEntry:
    return FileEntry(file=name, size=len(files[name]), sha256=digest(files[name]))
