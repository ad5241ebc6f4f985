"""Programs: where sections lie in DRAM, and what the memory image holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.codec import EncodingError, finish, load, table_of
from isa.config import Config
from isa.fields import Memory
from isa.program_image import DRAM_START, PAGE_BYTES, SECTIONS, Program, element_bytes, memory_map
from tests.programs import product, product_data
from tests.strategies import configs

DEFAULT = Config.default()


def test_sections_lie_on_pages_in_order() -> None:
    """The example of the stand-alone simulator: a page each, OUT at 0x4000, UOP at 0x5000."""
    sizes = {"INP": 256, "WGT": 256, "ACC": 1024, "OUT": 256, "UOP": 8, "INSN": 160}
    assert memory_map(DEFAULT, sizes) == {
        "INP": 0x1000, "WGT": 0x2000, "ACC": 0x3000, "ACC_BIS": 0x4000, "OUT": 0x4000,
        "UOP": 0x5000, "INSN": 0x6000,
    }  # fmt: skip


def test_pages_are_rounded_up() -> None:
    """One byte more than a page takes two; nothing takes none."""
    sizes = {"INP": PAGE_BYTES, "WGT": PAGE_BYTES + 1, "UOP": 4, "INSN": 16}
    assert memory_map(DEFAULT, sizes) == {
        "INP": 0x1000, "WGT": 0x2000, "ACC": 0x4000, "ACC_BIS": 0x4000, "OUT": 0x4000,
        "UOP": 0x4000, "INSN": 0x5000,
    }  # fmt: skip


@given(configs(), st.lists(st.integers(0, 20_000), min_size=7, max_size=7))
def test_sections_are_apart_and_aligned(config: Config, sizes: list[int]) -> None:
    """No section overlaps another or starts inside an element, whatever the sizes."""
    named = dict(zip(SECTIONS, sizes, strict=True))
    addresses = memory_map(config, named)
    free = DRAM_START
    for name in SECTIONS:
        if named[name]:
            assert addresses[name] >= free
            assert addresses[name] % PAGE_BYTES == 0
            assert addresses[name] % element_bytes(config, name) == 0
            free = addresses[name] + named[name]


def test_elements_larger_than_a_page_are_aligned() -> None:
    """A weight block of 16 KiB starts at a multiple of its size, so that addresses can name it."""
    config = Config(log_block_in=7, log_block_out=7)
    addresses = memory_map(config, {"INP": 128, "WGT": 16_384})
    assert addresses["WGT"] == 16_384


def test_unknown_sections_are_refused() -> None:
    """A name that is none of the seven is an error."""
    with pytest.raises(ValueError, match="no section BIAS"):
        memory_map(DEFAULT, {"BIAS": 4})


def test_the_image_holds_everything_at_its_address() -> None:
    """Tensors, micro-ops and instructions lie where the map has them; the rest is zero."""
    program, (inputs, _) = product(), product_data()
    image = program.image(inputs)
    assert len(image) == 0x6000
    assert image[0x1000:0x1100].tobytes() == inputs["INP"].tobytes()
    assert image[0x2000:0x2100].tobytes() == inputs["WGT"].tobytes()
    assert image[0x5000 : 0x5000 + 160].tobytes() == program.binary
    for begin, end in ((0, 0x1000), (0x1100, 0x2000), (0x2100, 0x5000), (0x50A0, 0x6000)):
        assert not image[begin:end].any()
    image[0x3000:0x3100] = 7
    assert program.output(image).tolist() == [7] * 256


def test_wrong_tensors_are_refused() -> None:
    """The type and the size of an input are its section's."""
    program, (inputs, _) = product(), product_data()
    with pytest.raises(ValueError, match="INP holds 256 bytes, not 128"):
        program.image({"INP": np.zeros(128, np.int8)})
    with pytest.raises(ValueError, match="INP takes no uint8 array"):
        program.image({"INP": inputs["INP"].view(np.uint8)})
    with pytest.raises(ValueError, match="OUT takes no int8 array"):
        program.image({"OUT": np.zeros(256, np.int8)})


def test_programs_that_do_not_fit_are_refused() -> None:
    """Building encodes, so a field that overflows is found here."""
    with pytest.raises(EncodingError, match="instruction 0"):
        Program.build(
            DEFAULT,
            table_of([load(Memory.INP, 70_000, 1, x_size=1), finish()]),
            np.zeros((0, 3), np.int64),
            {},
        )
