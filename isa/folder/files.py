"""The files of a program folder: their names, and what their format can express."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from isa.errors import InputError
from isa.program_image import PAGE_BYTES, SECTIONS, element_bytes

if TYPE_CHECKING:
    from isa.config import Config
    from isa.folder.manifest import Format

MANIFEST = "manifest.json"
LISTING = "program.txt"
RELOCATIONS = "relocations.bin"
EXPECTED = "expected_out.bin"
RESERVED = "expected_out_sram.bin"
FILES = {
    "INP": "input.bin",
    "WGT": "weight.bin",
    "ACC": "accumulator.bin",
    "ACC_BIS": "add_accumulator.bin",
    "OUT": RESERVED,
    "UOP": "uop.bin",
    "INSN": "instructions.bin",
}
"""The stand-alone simulator's file for each section; the size of that for OUT is what counts."""


def check_format(config: Config, form: Format) -> None:
    """Raise `InputError` where a format cannot align sections as the configuration needs it."""
    for name in SECTIONS:
        size = element_bytes(config, name)
        if form == "standalone-vta" and size > PAGE_BYTES:
            allowed = (
                f"raw: an element of {name} takes {size} bytes under {config.bitstream}, and "
                f"{form} starts sections at multiples of {PAGE_BYTES}"
            )
            raise InputError("--format", "", form, allowed)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal, as `manifest.Digest` has it."""
    return hashlib.sha256(data).hexdigest()
