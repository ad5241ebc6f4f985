"""The cycle model against VTA's own RTL: whole programs and single instructions, exactly."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from isa.codec import Queue, Row, decode, finish, load, nop, store, table_of
from isa.config import Config
from isa.fields import Memory
from simulator.timing import cycles, simulate

DATA = Path(__file__).resolve().parents[1] / "data" / "rtl"
DESIGNS = {
    "cycles_burst16": (6, 16),
    "cycles_burst256": (6, 256),
    "cycles_bus128": (7, 16),
    "cycles_bus256": (8, 16),
    "cycles_bus512": (9, 16),
}
BUSES = {64: 6, 128: 7, 256: 8, 512: 9}


def design(log_bus: int, beats: int = 16) -> Config:
    """The default configuration on a bus; the batch of fetches is left to follow from it."""
    values = Config.default().to_dict() | {"LOG_BUS_WIDTH": log_bus, "BURST_BEATS": beats}
    del values["FETCH_BATCH"]
    return Config.from_dict(values, "design")


def figures() -> Iterator[tuple[str, str, int]]:
    """Program, design, and cycles of each run."""
    with (DATA / "cycles.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for column in DESIGNS:
                if row[column]:
                    yield row["program"], column, int(row[column])


FIGURES = list(figures())


def test_there_are_figures_of_every_design() -> None:
    """No figure gets lost: 41 programs, 160 runs."""
    assert len({program for program, _, _ in FIGURES}) == 41
    assert len(FIGURES) == 160


@pytest.mark.parametrize(("program", "column", "expected"), FIGURES)
def test_programs(program: str, column: str, expected: int) -> None:
    """A whole program takes what the design's counter showed."""
    config = design(*DESIGNS[column])
    assert cycles(config, decode(config, (DATA / f"{program}.bin").read_bytes())) == expected


def occupancies(bus: int, rows: list[Row]) -> list[int]:
    """Cycles from start to done of instructions, each the only one of a program."""
    config = design(BUSES[bus])
    timelines = [simulate(config, table_of([r, finish()]), timeline=True).timeline for r in rows]
    return [int(t[0, 1] - t[0, 0]) for t in timelines if t is not None]


def inp(y: int, x: int, stride: int, pads: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Row:
    """A LOAD of so many rows of INP."""
    return load(Memory.INP, 0, 0x400, x_size=x, y_size=y, x_stride=stride, pads=pads)


SHORT_ROWS = (1, 8, 16, 17, 24, 32, 40, 64)


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        (64, [25, 39, 55, 57, 71, 87, 103, 151]),
        (128, [23, 30, 56, 57, 82, 108, 134, 212]),
        (256, [23, 30, 56, 57, 82, 108, 134, 212]),
        (512, [23, 30, 56, 57, 82, 108, 134, 212]),
    ],
)
def test_rows_of_one(bus: int, expected: list[int]) -> None:
    """Rows of one beat come in bouts of nine, between which DRAM's queue runs empty."""
    assert occupancies(bus, [inp(y, 1, 64) for y in SHORT_ROWS]) == expected


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        (64, [29, 71, 119, 125, 215, 407]),
        (128, [25, 46, 70, 73, 118, 214]),
        (256, [24, 38, 54, 56, 86, 150]),
        (512, [23, 34, 62, 63, 102, 184]),
    ],
)
def test_rows_of_three(bus: int, expected: list[int]) -> None:
    """Rows that begin anywhere in a bus word, of one beat or two."""
    assert occupancies(bus, [inp(y, 3, 65) for y in (1, 8, 16, 17, 32, 64)]) == expected


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        (64, [46, 56, 183, 105]),
        (128, [38, 39, 146, 64]),
        (256, [35, 31, 128, 78]),
        (512, [33, 27, 122, 78]),
    ],
)
def test_padding(bus: int, expected: list[int]) -> None:
    """Above and below; all around by one and by three; a row below many."""
    rows = [
        inp(1, 7, 7, (2, 2, 0, 0)),
        inp(4, 4, 64, (1, 1, 1, 1)),
        inp(6, 6, 64, (3, 3, 3, 3)),
        inp(20, 2, 64, (0, 1, 0, 0)),
    ]
    assert occupancies(bus, rows) == expected


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        (64, [151, 151, 23, 27, 172, 151]),
        (128, [87, 87, 23, 25, 97, 87]),
        (256, [55, 55, 23, 24, 60, 55]),
        (512, [38, 56, 23, 23, 41, 39]),
    ],
)
def test_other_memories(bus: int, expected: list[int]) -> None:
    """Accumulators in one row and in many, micro-ops, weights."""
    rows = [
        load(Memory.ACC, 0, 0x100, x_size=16),
        load(Memory.ACC, 0, 0x100, x_size=1, y_size=16, x_stride=7),
        load(Memory.UOP, 0, 0x1000, x_size=1),
        load(Memory.UOP, 0, 0x1000, x_size=9),
        load(Memory.UOP, 0, 0x1000, x_size=300),
        load(Memory.WGT, 0, 0x40, x_size=4),
    ]
    assert occupancies(bus, rows) == expected


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        (64, [7, 19, 217, 49, 91]),
        (128, [6, 10, 81, 41, 54]),
        (256, [6, 8, 41, 41, 47]),
        (512, [6, 7, 21, 41, 40]),
    ],
)
def test_stores(bus: int, expected: list[int]) -> None:
    """Short and long, in rows, and from an address in the middle of a bus word."""
    rows = [
        store(0, 0x400, x_size=1),
        store(0, 0x400, x_size=5),
        store(0, 0x400, x_size=64),
        store(0, 0x400, x_size=1, y_size=8, x_stride=4),
        store(0, 0x401, x_size=3, y_size=7, x_stride=5),
    ]
    assert occupancies(bus, rows) == expected


@pytest.mark.parametrize(
    ("bus", "beats", "period"),
    [(64, 16, 45), (64, 256, 405), (128, 16, 56), (256, 16, 48), (512, 16, 44)],
)
def test_fetch_period(bus: int, beats: int, period: int) -> None:
    """From batch to batch: latency, beats, a cycle an instruction, and the unit's registers."""
    config = design(BUSES[bus], beats)
    batch = config.timing.fetch_batch
    assert batch == (beats if bus >= 128 else beats // 2)
    # No-ops of three modules in turn: no queue holds the fetch unit up, nor any module the next.
    rows = [(nop(queue)) for queue in Queue] * batch
    timeline = simulate(config, table_of([*rows, finish()]), timeline=True).timeline
    assert timeline is not None
    assert timeline[2 * batch, 0] - timeline[batch, 0] == period


def test_fetching_waits_behind_data() -> None:
    """A long LOAD WGT followed by 400 no-ops: each batch comes behind the bursts in the queue."""
    config = design(6)
    rows = [
        load(Memory.WGT, 0, 0x40, x_size=64, push_next=1),
        *[nop(Queue.COMPUTE)] * 400,
        nop(Queue.COMPUTE, pop_prev=1),
        finish(),
    ]
    assert cycles(config, table_of(rows)) == 4092
