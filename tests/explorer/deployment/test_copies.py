"""Programs that copy: what they write is what is read, whatever the layouts, on each machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from explorer.deployment.copies import BLOCKS, SOURCE, TARGET, Copy, copy
from explorer.deployment.programs import MICRO_OPS
from explorer.layout.canonical import IDLE, ZERO
from explorer.network.plan.copying import Needs, Places, origins
from isa.codec import encode
from isa.config import Config
from isa.fields import Column
from isa.program_image import Program
from simulator.counts import element_bytes
from simulator.functional import execute
from simulator.implementations import admitted
from simulator.interleaving import Interleaving
from simulator.lint import lint

Rows = NDArray[np.int32]


def small(name: str) -> Config:
    """A machine with scratchpads of some dozen vectors, so that copies take several tiles."""
    return replace(Config.load(name), log_inp_buff_size=10, log_acc_buff_size=12)


MACHINES = [
    Config.load("default"),
    small("default"),
    small("b2"),
    Config.load("block8"),
]
ORDERS = ("program", "eager-load", "lazy-store")


def layouts(config: Config, seed: int, count: int) -> tuple[Rows, Rows]:
    """A layout, and one whose vectors are made of random lanes of random vectors of the first.

    Vectors follow each other in runs of a random length: their lanes are the same ones, of the next
    vectors.
    """
    rng = np.random.default_rng(seed)
    lanes = config.batch * config.block_in
    there = np.full(count * lanes, IDLE, np.int32)
    held = np.sort(rng.permutation(there.size)[: int(there.size * rng.uniform(0.5, 1))])
    there[held] = rng.permutation(len(held))
    columns = there.reshape(count, config.batch, config.block_in)
    wanted: list[Rows] = []
    while len(wanted) < count:
        several = int(rng.integers(1, 5))
        entries = rng.integers(0, count, several)[rng.integers(0, several, config.block_in)]
        which = rng.integers(0, config.block_in, config.block_in)
        empty = rng.choice([0, ZERO, IDLE], config.block_in, p=[0.8, 0.1, 0.1])
        for step in range(int(rng.integers(1, count))):
            vector = columns[(entries + step) % count, :, which].T
            # A column in which some row has no element is idle there, whatever is to be there.
            wanted.append(np.where(empty < 0, empty, np.where(vector < 0, IDLE, vector)))
    here = np.array(wanted[:count], np.int32).reshape(count, lanes)
    here[rng.integers(0, count, 2)] = IDLE
    here[rng.integers(0, count)] = ZERO
    return there.reshape(count, lanes), here


def built(config: Config, made: Copy, there: Rows, here: Rows) -> tuple[Program, dict[str, int]]:
    """A copy as a program, and where its operands are."""
    sizes = {"INP": there.size, "WGT": len(made.blocks), "OUT": here.size}
    program = Program.build(config, made.table, made.uops, sizes)
    places = {name: program.section(name).address for name in ("INP", "WGT", "OUT", "UOP")}
    names = {SOURCE: "INP", BLOCKS: "WGT", TARGET: "OUT", MICRO_OPS: "UOP"}
    table, size = made.table.copy(), element_bytes(config)
    for point, name in names.items():
        rows = made.points == point
        memory = table[rows, Column.MEMORY_TYPE]
        table[rows, Column.DRAM_BASE] += places[name] // size[memory]
    return Program.build(config, table, made.uops, sizes), places


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("config", MACHINES, ids=["default", "small", "b2", "block8"])
def test_copies(config: Config, seed: int) -> None:
    """All that is read is there, as each implementation and in orders far apart; no finding."""
    there, here = layouts(config, seed, 24 + 20 * (seed % 2))
    made = copy(config, there, here)
    assert made is not None
    needs = Needs.of(Places.of(there, config.batch), here)
    assert needs is not None
    assert needs.least(config) <= made.cycles
    program, places = built(config, made, there, here)
    assert not lint(program)
    rng = np.random.default_rng(seed)
    tensor = rng.integers(-128, 128, there.max() + 1).astype(np.int8)
    garbage = rng.integers(-128, 128, there.shape).astype(np.int8)
    end = program.section("INSN")
    image = np.zeros(end.address + end.size + 4096, np.uint8)
    written = np.where(there >= 0, tensor[np.maximum(there, 0)], garbage)
    data = {
        "INP": written.tobytes(),
        "WGT": made.blocks,
        "UOP": program.section("UOP").data,
        "INSN": encode(config, program.table),
    }
    for name, raw in data.items():
        address = program.section(name).address
        image[address : address + len(raw)] = np.frombuffer(raw, np.uint8)
    wanted = np.where(here >= 0, tensor[np.maximum(here, 0)], 0)
    for machine in admitted(config):
        for order in ORDERS:
            found = execute(
                config, image, end.address, len(program.table), implementation=machine,
                interleaving=Interleaving.parse(order),
            ).image[places["OUT"] : places["OUT"] + here.size]  # fmt: skip
            stored = found.view(np.int8).reshape(here.shape)
            assert np.array_equal(stored[here != IDLE], wanted[here != IDLE])


def test_blocks_of_weights() -> None:
    """What is read as a block of weights is made of its rows, one vector each."""
    config = Config.load("default")
    tensor = np.arange(32 * 32, dtype=np.int32).reshape(32, 32)
    there = tensor.reshape(32, 2, 16).transpose(1, 0, 2).reshape(-1, 16)
    blocks = tensor.T.reshape(2, 16, 2, 16).transpose(0, 2, 1, 3).reshape(4, 256)
    assert Needs.of(Places.of(there, 1), blocks) == Needs(64, 64 * 16, 64)
    made, rows = copy(config, there, blocks), copy(config, there, blocks.reshape(-1, 16))
    assert made is not None
    assert rows is not None
    assert np.array_equal(made.table, rows.table)
    assert made.blocks == rows.blocks
    assert len(made.blocks) == 256 * config.wgt_bytes


def test_what_cannot_be_copied() -> None:
    """Rows stay where they are, and nothing but zeros of a whole column can be made."""
    b2 = Config.load("b2")
    there = np.arange(4 * 32, dtype=np.int32).reshape(4, 32)
    assert copy(b2, there, there) is not None
    exchanged = there.reshape(4, 2, 16)[:, ::-1].reshape(4, 32)
    apart = there.copy()
    apart[1, 16:] = there[2, 16:]
    mixed, idle = there.copy(), there.copy()
    mixed[1, 3], idle[1, 3] = ZERO, IDLE
    for here in (exchanged, apart, mixed):
        assert origins(Places.of(there, b2.batch), here) is None
        assert copy(b2, there, here) is None
        assert Needs.of(Places.of(there, b2.batch), here) is None
    assert copy(b2, there, idle) is not None
    fewer = np.where(there == 5, IDLE, there).astype(np.int32)
    assert copy(b2, fewer, there) is None
    assert copy(b2, there, there[:, :16]) is None


def test_regular_copies_are_short() -> None:
    """Channels of two pixels in a vector: a few micro-ops in loops, and near what it must take."""
    config = Config.load("default")
    tensor = np.arange(64 * 14 * 14, dtype=np.int32).reshape(64, 14, 14)
    there = tensor.reshape(4, 16, 14, 14).transpose(0, 2, 3, 1).reshape(-1, 16)
    here = tensor.reshape(8, 8, 14, 7, 2).transpose(0, 2, 3, 4, 1).reshape(-1, 16)
    made = copy(config, there, here)
    needs = Needs.of(Places.of(there, 1), here)
    assert made is not None
    assert needs == Needs(784, 1568, 784)
    assert len(made.blocks) == 4 * config.wgt_bytes
    assert len(made.uops) <= 12
    assert made.cycles < 1.4 * needs.least(config)


def test_more_than_scratchpads_hold() -> None:
    """Where blocks of weights or micro-ops do not fit there is no program."""
    default = Config.load("default")
    there, here = layouts(default, 3, 40)
    assert copy(default, there, here) is not None
    for config in (replace(default, log_wgt_buff_size=10), replace(default, log_uop_buff_size=5)):
        assert copy(config, there, here) is None
