"""Configurations: what follows from VTA's parameters, by hand, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from isa.config import PRESETS, TARGETS, Config, Timing
from isa.errors import InputError, InputWarning
from isa.fields import LogDepths, Memory, Opcode, instruction_fields
from tests.strategies import configs

# The file that VTA ships, as it is.
VTA_CONFIG = """{
  "TARGET" : "sim",
  "HW_VER" : "0.0.2",
  "LOG_INP_WIDTH" : 3,
  "LOG_WGT_WIDTH" : 3,
  "LOG_ACC_WIDTH" : 5,
  "LOG_BATCH" : 0,
  "LOG_BLOCK" : 4,
  "LOG_UOP_BUFF_SIZE" : 15,
  "LOG_INP_BUFF_SIZE" : 15,
  "LOG_WGT_BUFF_SIZE" : 18,
  "LOG_ACC_BUFF_SIZE" : 17
}
"""
KEYS: dict[str, Any] = json.loads(VTA_CONFIG)


def config(**changes: Any) -> Config:
    """VTA's default file with other values."""
    return Config.from_dict(KEYS | changes, "test.json")


def test_vta_config_is_read_unchanged(tmp_path: Path) -> None:
    """VTA's own file gives the default configuration, under the file's name."""
    path = tmp_path / "vta_config.json"
    path.write_text(VTA_CONFIG)
    assert Config.load(path) == replace(Config.default(), name="vta_config")


def test_derived_sizes_of_the_default() -> None:
    """Element sizes and depths are those of the specification's table."""
    default = Config.default()
    assert (default.batch, default.block_in, default.block_out) == (1, 16, 16)
    assert default.axes == {"x": 1, "y": 16, "z": 16}
    sizes = {memory.name: default.element_bytes(memory) for memory in Memory}
    assert sizes == {"UOP": 4, "WGT": 256, "INP": 16, "ACC": 64, "OUT": 16, "ACC_8BIT": 16}
    depths = {memory.name: default.depth(memory) for memory in Memory}
    assert depths == {
        "UOP": 8192, "WGT": 1024, "INP": 2048, "ACC": 2048, "OUT": 2048, "ACC_8BIT": 2048,
    }  # fmt: skip
    assert default.log_depths == LogDepths(uop=13, inp=11, wgt=10, acc=11)
    assert default.bitstream == "1x16_i8w8a32_15_15_18_17"


def test_derived_sizes_of_unequal_blocks_and_a_batch() -> None:
    """Batch 4, 8 lanes in, 32 out: every size is the product of its own axes, in its own bytes."""
    machine = Config(
        log_batch=2, log_block_in=3, log_block_out=5, log_uop_buff_size=10,
        log_inp_buff_size=12, log_wgt_buff_size=14, log_acc_buff_size=15,
    )  # fmt: skip
    assert machine.axes == {"x": 4, "y": 32, "z": 8}
    assert machine.inp_bytes == 4 * 8
    assert machine.wgt_bytes == 32 * 8
    assert machine.acc_bytes == 4 * 32 * 4
    assert machine.out_bytes == 4 * 32
    # The specification's formulas: 12-2-3-3+3 = 7, 14-3-5-3+3 = 6, 15-2-5-5+3 = 6.
    assert machine.log_depths == LogDepths(uop=8, inp=7, wgt=6, acc=6)
    assert machine.bitstream == "4x8x32_i8w8a32_10_12_14_15"


@given(configs())
def test_depths_are_buffer_bytes_by_element_bytes(machine: Config) -> None:
    """A scratchpad holds as many elements as its bytes have room for, under any configuration."""
    for name, memory in (("uop", 0), ("inp", 2), ("wgt", 1), ("acc", 3)):
        size = 1 << getattr(machine, f"log_{name}_buff_size")
        assert machine.depth(Memory(memory)) * machine.element_bytes(Memory(memory)) == size


@given(configs())
def test_dictionary_gives_the_configuration_back(machine: Config) -> None:
    """What is written to JSON is read again, timing included."""
    text = json.dumps(machine.to_dict())
    assert Config.from_dict(json.loads(text), machine.name) == machine


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load(name: str) -> None:
    """Every preset is a legal configuration whose instructions fit."""
    preset = Config.load(name)
    assert preset.name == name
    for opcode in Opcode:
        assert all(
            f.low_bit + f.width <= 128 for f in instruction_fields(preset.log_depths, opcode)
        )


def test_targets_differ_in_timing_only() -> None:
    """Bus and bursts follow from the target; the fetch unit reads a burst at a time."""
    timings = {target: config(TARGET=target).timing for target in TARGETS}
    assert timings["sim"] == Timing(64, 16, 20, 8, 512)
    assert timings["pynq"] == Timing(64, 256, 20, 128, 512)
    assert timings["zcu104"] == timings["ultra96"] == Timing(128, 16, 20, 16, 512)
    assert timings["sim"].bus_bytes == 8
    assert timings["sim"].burst_bytes == 128
    assert config(LOG_BUS_WIDTH=8, BURST_BEATS=4, MEMORY_LATENCY=4).timing == Timing(256, 4, 4, 4)


@pytest.mark.parametrize(
    ("log_bus", "beats", "batch"),
    [(5, 16, 4), (6, 16, 8), (6, 256, 128), (7, 16, 16), (8, 16, 16), (9, 16, 16), (9, 256, 256)],
)
def test_batch_of_fetches_follows_from_the_bus(log_bus: int, beats: int, batch: int) -> None:
    """A burst of instructions up to 128 bits, and no more on wider buses."""
    assert config(LOG_BUS_WIDTH=log_bus, BURST_BEATS=beats).timing.fetch_batch == batch


# What the C structures of VTA were measured to hold (the specification, section 2).
@pytest.mark.parametrize(
    "changes",
    [{"LOG_BLOCK": 5}, {"LOG_BATCH": 1}, {"LOG_UOP_BUFF_SIZE": 9}],
)
def test_configurations_that_fit(changes: dict[str, int]) -> None:
    """Larger blocks, a batch, and a smaller micro-op buffer leave room in the words."""
    config(**changes)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        # INP of 2^12 elements: src index 12 bits, 11 + 12 + 10 = 33 of a micro-op's 32.
        ({"LOG_INP_BUFF_SIZE": 16}, "micro-op", "33 bits"),
        ({"LOG_WGT_BUFF_SIZE": 19}, "micro-op", "33 bits"),
        # ACC of 2^12: both dst and src have 12 bits, 12 + 12 + 10.
        ({"LOG_ACC_BUFF_SIZE": 18}, "micro-op", "34 bits"),
        # Blocks of 8 in the default buffers: ACC 2^12, WGT 2^12, so 12 + 12 + 12.
        ({"LOG_BLOCK": 3}, "micro-op", "36 bits"),
        # uop_bgn 8..21, uop_end 22..36, iter_out 37..50; iter_in no longer fits before bit 64. From
        # there 14 + 2*11 + 2*11 bits end at 122, and 10 more would cross 128: they end at 138.
        ({"LOG_UOP_BUFF_SIZE": 16}, "GEMM.wgt_out", "138 bits"),
    ],
)
def test_instructions_that_do_not_fit_are_named(
    changes: dict[str, int], field: str, value: str
) -> None:
    """A refusal names the field and how many bits it would need."""
    with pytest.raises(InputError) as caught:
        config(**changes)
    assert caught.value.source == "test.json"
    assert (caught.value.field, caught.value.value) == (field, value)
    assert "bits" in caught.value.allowed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"LOG_INP_WIDTH": 4}, ["LOG_INP_WIDTH", "4", "only 3", "int8"]),
        ({"LOG_ACC_WIDTH": 4}, ["LOG_ACC_WIDTH", "4", "only 5"]),
        ({"LOG_BATCH": -1}, ["LOG_BATCH", "-1", "0 to 8"]),
        ({"LOG_BLOCK": "4"}, ["LOG_BLOCK", "'4'", "integer"]),
        ({"LOG_BLOCK": True}, ["LOG_BLOCK", "True", "integer"]),
        ({"LOG_BLOCK": 4.0}, ["LOG_BLOCK", "4.0", "integer"]),
        ({"TARGET": "asic"}, ["TARGET", "asic", "de10nano"]),
        ({"TARGET": 3}, ["TARGET", "3", "string"]),
        (
            {"LOG_WGT_BUFF_SIZE": 8},
            ["LOG_WGT_BUFF_SIZE", "8", "at least 9", "two elements of 256 bytes"],
        ),
        ({"LOG_UOP_BUFF_SIZE": 19}, ["LOG_UOP_BUFF_SIZE", "19", "at most 18", "sram_base"]),
        ({"LOG_BLOCK_IN": 5}, ["LOG_BLOCK_IN", "both sides"]),
        ({"LOG_OUT_WIDTH": 4}, ["LOG_OUT_WIDTH", "4", "width of the inputs"]),
        ({"HW_FREQ": "fast"}, ["HW_FREQ", "fast", "integer"]),
        ({"ACC_DEP_DISTANCE": 0}, ["ACC_DEP_DISTANCE", "0", "at least 1"]),
        ({"LOG_BUS_WIDTH": 2}, ["LOG_BUS_WIDTH", "2", "3 to 12"]),
        ({"BURST_BEATS": 12}, ["BURST_BEATS", "12", "power of two"]),
        ({"FETCH_BATCH": 0}, ["FETCH_BATCH", "0", "1 to"]),
        ({"MEMORY_LATENCY": 3}, ["MEMORY_LATENCY", "3", "4 to"]),
    ],
)
def test_bad_values_are_named(changes: dict[str, Any], named: list[str]) -> None:
    """The error gives the file, the key, the value and what is allowed."""
    with pytest.raises(InputError) as caught:
        config(**changes)
    for token in ["test.json", *named]:
        assert token in str(caught.value)


@pytest.mark.parametrize("key", [key for key in KEYS if key != "HW_VER"])
def test_missing_keys_are_named(key: str) -> None:
    """Every key of VTA's file has to be there, but for the version of the hardware."""
    values = {k: v for k, v in KEYS.items() if k != key}
    with pytest.raises(InputError, match=f"{key}: missing"):
        Config.from_dict(values, "test.json")


def test_one_side_of_a_block_is_not_enough() -> None:
    """Blocks in and out are given together."""
    values = {k: v for k, v in KEYS.items() if k != "LOG_BLOCK"} | {"LOG_BLOCK_IN": 4}
    with pytest.raises(InputError, match="LOG_BLOCK_OUT: missing"):
        Config.from_dict(values, "test.json")
    both = Config.from_dict(values | {"LOG_BLOCK_OUT": 5}, "test.json")
    assert (both.block_in, both.block_out) == (16, 32)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", ["line 1"]),
        ("[1]", ["list", "object"]),
        ('{"LOG_BLOCK": 4, "LOG_BLOCK": 5}', ["LOG_BLOCK", "once"]),
        (VTA_CONFIG[:-30], ["line"]),
        ("[" * 100_000, ["JSON"]),
    ],
)
def test_broken_files_are_named(text: str, named: list[str], tmp_path: Path) -> None:
    """What is no JSON object is refused with the file and the place."""
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Config.load(path)
    for token in ["broken.json", *named]:
        assert token in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A name that is neither a file nor a preset lists the presets; binary data is refused."""
    with pytest.raises(InputError, match="de10nano"):
        Config.load(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"binary\.json"):
        Config.load(tmp_path / "binary.json")
    with pytest.raises(InputError, match="readable"):
        Config.load(tmp_path)


OLD_KEYS = {
    "HW_FREQ": 100, "HW_CLK_TARGET": 8, "HW_VER": "0.0.0", "LOG_OUT_WIDTH": 3, "LOG_BLOCK_IN": 4,
    "LOG_BLOCK_OUT": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes", [OLD_KEYS, {"ACC_DEP_DISTANCE": 3}, {"LOG_BLOCK_IN": 4}, {"TARGET": "SIM"}]
)
def test_files_of_other_versions_are_read(changes: dict[str, Any]) -> None:
    """What other versions of VTA write beside, or write twice, changes nothing."""
    values = KEYS | changes
    if "LOG_BLOCK_OUT" in changes:
        del values["LOG_BLOCK"]
    found = Config.from_dict(values, "default.json")
    assert replace(found, hw_ver="0.0.2") == Config.default()


def test_version_may_be_missing() -> None:
    """A file without HW_VER is one of today's."""
    values = {k: v for k, v in KEYS.items() if k != "HW_VER"}
    assert Config.from_dict(values, "default.json") == Config.default()


@pytest.mark.parametrize(
    ("name", "target"), [("pynq-z1", "pynq"), ("Ultra96-V2", "ultra96"), ("de10-nano", "de10nano")]
)
def test_boards_are_targets(name: str, target: str) -> None:
    """A board's full name means the target that it is."""
    assert config(TARGET=name).target == target


def test_unknown_keys_are_warned_of() -> None:
    """A key that nothing reads is named, with the nearest that something does; the rest counts."""
    with pytest.warns(
        InputWarning, match=r"test.json: LOG_BLOK: 4 .* nearest known one is LOG_BLOCK"
    ):
        assert config(LOG_BLOK=4) == replace(Config.default(), name="test")
