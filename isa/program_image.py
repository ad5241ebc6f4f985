"""A program: instructions, micro-ops, and where everything lies in DRAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isa.codec import Table, encode, encode_uops
from isa.fields import INSTRUCTION_BYTES, Memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isa.config import Config

# As VTA's stand-alone simulator lays them out; it refuses address 0.
DRAM_START = 0x1000
PAGE_BYTES = 4096
SECTIONS = ("INP", "WGT", "ACC", "ACC_BIS", "OUT", "UOP", "INSN")

INPUT_DTYPES: dict[str, np.dtype[np.generic]] = {
    "INP": np.dtype(np.int8),
    "WGT": np.dtype(np.int8),
    "ACC": np.dtype("<i4"),
    "ACC_BIS": np.dtype("<i4"),
}
"""What the sections that a user fills hold."""


@dataclass(frozen=True, slots=True)
class Section:
    """A range of DRAM.

    Attributes:
        name: one of `SECTIONS`.
        address: of its first byte.
        size: in bytes, without the rest of its last page.
        data: its bytes where the program fixes them, else empty.
    """

    name: str
    address: int
    size: int
    data: bytes = b""

    @property
    def end(self) -> int:
        """Address of the first byte after it."""
        return self.address + self.size


def element_bytes(config: Config, section: str) -> int:
    """Bytes of what instructions count a section in: an element, a micro-op, an instruction."""
    if section == "INSN":
        return INSTRUCTION_BYTES
    return config.element_bytes(Memory.ACC if section == "ACC_BIS" else Memory[section])


def memory_map(config: Config, sizes: Mapping[str, int]) -> dict[str, int]:
    """The byte address of each section, in order, from `DRAM_START` on.

    Sections start on pages, and on a multiple of their element, since instructions count elements.
    An empty or missing section takes no page.

    Args:
        config: gives the element of each section.
        sizes: bytes by section name; the addresses of sections do not depend on later sizes.

    Raises:
        ValueError: for a section that does not exist.
    """
    unknown = set(sizes) - set(SECTIONS)
    if unknown:
        raise ValueError(f"no section {min(unknown)}; sections are {', '.join(SECTIONS)}")
    # Absolute addresses follow from sizes alone, in this order: the stand-alone format has no
    # other place for them, so a reader has to come to the same ones.
    addresses, free = {}, DRAM_START
    for name in SECTIONS:
        alignment = max(PAGE_BYTES, element_bytes(config, name))
        address = _round_up(free, alignment) if sizes.get(name) else free
        addresses[name] = address
        free = _round_up(address + sizes.get(name, 0), PAGE_BYTES)
    return addresses


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A program ready to run.

    Attributes:
        config: the configuration it is encoded for.
        table: the decoded instructions, int64 of shape (n, columns of `isa.fields.Column`).
        uops: the micro-ops in DRAM, int64 of shape (n, 3): dst, src, wgt.
        sections: every section of `SECTIONS`, in order.
    """

    config: Config
    table: Table
    uops: Table
    sections: tuple[Section, ...]

    @classmethod
    def build(
        cls,
        config: Config,
        table: Table,
        uops: Table,
        sizes: Mapping[str, int],
    ) -> Program:
        """The program whose tensor sections have these sizes in bytes; UOP and INSN are measured.

        Raises:
            isa.codec.EncodingError: when an instruction or micro-op does not fit its fields.
        """
        data = {"UOP": encode_uops(config, uops), "INSN": encode(config, table)}
        # UOP and INSN come last in `SECTIONS`: their sizes move no tensor.
        sizes = {**sizes, **{name: len(binary) for name, binary in data.items()}}
        addresses = memory_map(config, sizes)
        sections = (
            Section(name, addresses[name], sizes.get(name, 0), data.get(name, b""))
            for name in SECTIONS
        )
        return cls(config, table, uops, tuple(sections))

    def section(self, name: str) -> Section:
        """The section of a name."""
        return self.sections[SECTIONS.index(name)]

    @property
    def binary(self) -> bytes:
        """The encoded instructions, 16 bytes each."""
        return self.section("INSN").data

    @property
    def uop_binary(self) -> bytes:
        """The encoded micro-ops, 4 bytes each."""
        return self.section("UOP").data

    def image(self, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.uint8]:
        """DRAM before the run; the index is the byte address.

        Args:
            inputs: packed tensors by section: int8 for INP and WGT, int32 for ACC and ACC_BIS. A
                section without one is zero.

        Raises:
            ValueError: when an array's type or size is not its section's.
        """
        image = np.zeros(_round_up(self.sections[-1].end, PAGE_BYTES), np.uint8)
        for section in self.sections:
            if section.data:
                _write(image, section, np.frombuffer(section.data, np.uint8))
        for name, array in inputs.items():
            if name not in INPUT_DTYPES or array.dtype != INPUT_DTYPES[name]:
                raise ValueError(f"{name} takes no {array.dtype} array")
            section = self.section(name)
            # A section is as large as its tensor: less than all of it is a mistake, no prefix.
            if array.nbytes != section.size:
                raise ValueError(f"{name} holds {section.size} bytes, not {array.nbytes}")
            _write(image, section, np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        return image

    def output(self, image: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The packed output of a run: the OUT section's bytes, one-dimensional."""
        out = self.section("OUT")
        return image[out.address : out.end].view(np.int8)


def _write(image: NDArray[np.uint8], section: Section, data: NDArray[np.uint8]) -> None:
    image[section.address : section.end] = data


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
