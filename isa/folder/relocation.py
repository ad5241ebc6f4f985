"""Base-relative programs: which instruction addresses which section, and how to move sections.

The DRAM address of a base-relative LOAD or STORE counts elements from the start of its section. To
place a section at a byte address, add ``address / element_bytes`` to the ``dram_base`` of every
instruction that the relocation table names for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isa.codec import Table
from isa.fields import Column, Memory, Opcode
from isa.program_image import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isa.config import Config
    from isa.program_image import Program

Relocations: TypeAlias = NDArray[np.uint32]
"""Shape (n, 2): an instruction's index and its section's index in `isa.program_image.SECTIONS`."""

RECORD_BYTES = 8
_FIELD_LIMIT = 1 << 32  # dram_base has 32 bits
_MEMORIES = {
    "INP": (Memory.INP,),
    "WGT": (Memory.WGT,),
    "ACC": (Memory.ACC, Memory.ACC_8BIT),
    "ACC_BIS": (Memory.ACC, Memory.ACC_8BIT),
    "OUT": (Memory.OUT,),
    "UOP": (Memory.UOP,),
}


def addressing(table: Table) -> NDArray[np.bool_]:
    """Which instructions of a decoded program move data: LOADs and STOREs of any elements."""
    opcode = table[:, Column.OPCODE]
    transfers = (opcode == Opcode.LOAD) | (opcode == Opcode.STORE)
    # One of no elements only moves tokens, and its address is 0 in every section.
    return np.asarray(transfers & (table[:, Column.X_SIZE] > 0))


def relocations(program: Program) -> Relocations:
    """The table of a program with absolute addresses.

    Raises:
        ValueError: when an instruction's first address lies in no section, or in the wrong one.
    """
    # The first address decides: a transfer lies in one section, or it would read another tensor.
    table = program.table
    address = table[:, Column.DRAM_BASE] * _element_bytes(program.config, table)
    section = np.full(len(table), -1)
    for index, part in enumerate(program.sections):
        inside = (part.address <= address) & (address < part.end)
        suited = np.isin(table[:, Column.MEMORY_TYPE], _MEMORIES.get(part.name, ()))
        section[inside & suited] = index
    wanted = addressing(table)
    if (section[wanted] < 0).any():
        row = int(np.flatnonzero(wanted & (section < 0))[0])
        raise ValueError(f"instruction {row}: byte {address[row]:#x} is in no section of its kind")
    rows = np.flatnonzero(wanted)
    return np.stack([rows, section[rows]], axis=1).astype(np.uint32)


def moved(
    config: Config, table: Table, entries: Relocations, addresses: Mapping[str, int], sign: int = 1
) -> Table:
    """The table with each section's address added to what addresses it (or taken away, sign -1).

    Args:
        config: gives the bytes of an element of each memory.
        table: decoded instructions.
        entries: which of them to change, see `Relocations`.
        addresses: byte address of each section.
        sign: 1 from base-relative to absolute addresses, -1 back.

    Raises:
        ValueError: when an entry names no instruction or section, or one that moves no data or is
            of another kind; and when an address does not fit its field or is no whole element.
    """
    result = table.copy()
    rows, places = entries[:, 0].astype(np.int64), entries[:, 1].astype(np.int64)
    _check_entries(table, rows, places)
    base = np.array([addresses.get(name, 0) for name in SECTIONS], np.int64)[places]
    # By instruction, not by section: ACC_8BIT counts bytes of another element than ACC does.
    unit = _element_bytes(config, table)[rows]
    if (base % unit).any():
        place = int(places[np.argmax(base % unit != 0)])
        raise ValueError(f"section {SECTIONS[place]} does not start at a multiple of its element")
    result[rows, Column.DRAM_BASE] += sign * (base // unit)
    bad = (result[rows, Column.DRAM_BASE] < 0) | (result[rows, Column.DRAM_BASE] >= _FIELD_LIMIT)
    if bad.any():
        row = int(rows[np.argmax(bad)])
        raise ValueError(f"instruction {row}: its address does not fit in 32 bits")
    return result


def _check_entries(table: Table, rows: NDArray[np.int64], places: NDArray[np.int64]) -> None:
    """Every instruction that moves data occurs once, no other does, and each suits its section."""
    wanted = np.flatnonzero(addressing(table))
    # A missing entry would leave an address relative and a second one would move it twice; both
    # would run, and read wrong data.
    if not np.array_equal(np.sort(rows), wanted):
        off = np.setxor1d(rows, wanted)
        which = f"instruction {int(off[0])}" if len(off) else "an instruction that stands twice"
        raise ValueError(f"{which}: each one that moves data has one entry, others have none")
    if (places >= len(SECTIONS)).any():
        raise ValueError(f"section {int(places.max())}: there are {len(SECTIONS)}")
    for place in np.unique(places).tolist():
        memory = table[rows[places == place], Column.MEMORY_TYPE]
        suited = np.isin(memory, _MEMORIES.get(SECTIONS[place], ()))
        if not suited.all():
            row = int(rows[places == place][np.argmin(suited)])
            name = Memory(table[row, Column.MEMORY_TYPE]).name
            raise ValueError(f"instruction {row}: {name} data does not lie in {SECTIONS[place]}")


def _element_bytes(config: Config, table: Table) -> NDArray[np.int64]:
    sizes = np.array([config.element_bytes(memory) for memory in Memory], np.int64)
    return sizes[table[:, Column.MEMORY_TYPE]]
