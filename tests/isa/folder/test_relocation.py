"""Relocation: sections go where they are wanted, and what cannot be moved is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.config import Config
from isa.fields import Column
from isa.folder.relocation import moved, relocations
from isa.program_image import PAGE_BYTES, SECTIONS, Program, element_bytes
from tests.programs import product

DEFAULT = Config.default()


@given(st.lists(st.integers(1, 400), min_size=6, max_size=6))
def test_relocation_places_sections_anywhere(pages: list[int]) -> None:
    """Taking addresses away and adding others moves each transfer with its section."""
    program = product()
    entries = relocations(program)
    addresses = {part.name: part.address for part in program.sections}
    relative = moved(DEFAULT, program.table, entries, addresses, sign=-1)
    assert np.array_equal(moved(DEFAULT, relative, entries, addresses), program.table)
    elsewhere = {name: PAGE_BYTES * page for name, page in zip(SECTIONS, pages, strict=False)}
    absolute = moved(DEFAULT, relative, entries, elsewhere)
    for row, place in entries.tolist():
        name = SECTIONS[place]
        unit = element_bytes(DEFAULT, name)
        distance = (absolute - program.table)[row].sum()
        assert distance == (elsewhere[name] - addresses[name]) // unit


def test_relocation_refuses_what_it_cannot_move() -> None:
    """An address in no section, inside an element, or beyond 32 bits is named."""
    program = product()
    entries = relocations(program)
    with pytest.raises(ValueError, match="section WGT does not start at a multiple"):
        moved(DEFAULT, program.table, entries, {"WGT": 128})
    with pytest.raises(ValueError, match="instruction 2: its address does not fit"):
        moved(DEFAULT, program.table, entries, {"INP": 1 << 37})
    stray = program.table.copy()
    stray[3, Column.DRAM_BASE] = 5
    lost = Program(DEFAULT, stray, program.uops, program.sections)
    with pytest.raises(ValueError, match="instruction 3: byte 0x500 is in no section"):
        relocations(lost)
