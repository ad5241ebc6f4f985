"""Where VTA's implementations differ: every row of the table, by a program that tells them apart.

All programs start the same way: ACC element e holds e + 1 in every lane, and so does OUT; INP and
WGT hold ones, so that a product adds `BLOCK`. What they leave is read off a store of all of ACC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from isa.codec import Queue, Row, alu, finish, gemm, load, nop, store, table_of
from isa.config import PRESETS, Config
from isa.errors import InputError
from isa.fields import AluOp, Column, Memory
from isa.program_image import Program
from simulator.errors import SimulationError
from simulator.functional import execute, run
from simulator.implementations import (
    FEATURES,
    STOPS,
    Implementation,
    Semantics,
    admitted,
    check_admitted,
    chisel_decodes,
)
from tests.oracles import bits
from tests.programs import product, product_data

BLOCK, DEPTH = 4, 8
EVEN = Config(
    name="even",
    log_block_in=2,
    log_block_out=2,
    log_uop_buff_size=6,
    log_inp_buff_size=5,
    log_wgt_buff_size=6,
    log_acc_buff_size=7,
)
"""8 elements of INP and ACC, 4 of WGT, 16 micro-ops."""
FEW_INPUTS = replace(EVEN, log_inp_buff_size=4)
UOPS = [(k % DEPTH, k % DEPTH, 0) for k in range(16)]
UNDEFINED, STOPS_THERE, NOT_ADMITTED = None, "stops", "not admitted"
Left = list[int | None] | str
SECTIONS = {"INP": 32, "WGT": 64, "ACC": 128, "OUT": 32}
AT = {"INP": 0x1000, "WGT": 0x2000, "ACC": 0x3000, "OUT": 0x4000, "UOP": 0x5000}


def at(section: str, offset: int = 0) -> int:
    """The DRAM address of an element of a section."""
    memory = Memory.ACC_8BIT if section == "OUT" else Memory[section]
    return AT[section] // EVEN.element_bytes(memory) + offset


def one(operation: AluOp, element: int, imm: int | None = None) -> Row:
    """An ALU instruction on one element."""
    return alu(operation, element, element + 1, imm=imm)


@dataclass(frozen=True)
class Case:
    """A program after the common start, and the first element that it leaves in each machine.

    Attributes:
        rows: its rows of the table.
        program: the instructions.
        fsim: first lanes of the elements from 0 on.
        hls: likewise.
        chisel: likewise.
        uops: the first micro-ops; `UOPS` go on.
        config: the configuration.
    """

    rows: str
    program: Sequence[Row]
    fsim: Left
    hls: Left
    chisel: Left
    uops: Sequence[tuple[int, int, int]] = ()
    config: Config = EVEN


def _left(case: Case, implementation: Implementation) -> Left:
    """What a case's program leaves, as far as it is expected to leave anything."""
    everything = {"iter_in": DEPTH, "dst": (0, 1), "src": (0, 1)}
    start = [
        load(Memory.UOP, 0, at("UOP", 16), x_size=16),
        load(Memory.INP, 0, at("INP"), x_size=case.config.inp_depth),
        load(Memory.WGT, 0, at("WGT"), x_size=4),
        load(Memory.ACC, 0, at("ACC"), x_size=DEPTH),
        alu(AluOp.ADD, 0, 1, imm=0, **everything),  # type: ignore[arg-type]
        load(Memory.UOP, 0, at("UOP"), x_size=16),
    ]
    end = [store(0, at("OUT"), x_size=DEPTH), finish()]
    words = np.array([*case.uops, *UOPS[len(case.uops) :], *UOPS])
    rows = table_of([*start, *case.program, *end])
    program = Program.build(case.config, rows, words, SECTIONS)
    assert {s.name: s.address for s in program.sections if s.name in AT} == AT
    inputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "INP": np.ones(32, np.int8),
        "WGT": np.ones(64, np.int8),
        "ACC": np.repeat(np.arange(1, DEPTH + 1, dtype=np.int32), BLOCK),
    }
    try:
        result = run(program, inputs, portable=False, implementation=implementation)
    except InputError:
        return NOT_ADMITTED
    except SimulationError:
        return STOPS_THERE
    stored = program.output(result.image)[::BLOCK].tolist()
    unknown = result.undefined[AT["OUT"] :][: SECTIONS["OUT"] : BLOCK].tolist()
    return [None if bad else value for value, bad in zip(stored, unknown, strict=True)]


def _padded(memory: Memory, place: int, x_size: int) -> Row:
    """A LOAD of so many elements after one of padding."""
    return load(memory, place, at(memory.name), x_size=x_size, pads=(0, 0, 1, 0))


GEMM_0 = gemm(0, 1)
COMMIT_0 = one(AluOp.ADD, 0, 0)
PADDED_STORE = (*store(0, at("OUT"), x_size=1)[: Column.X_PAD_0], 1, 0, *[0] * 14)
CASES = [
    Case("immediate_source", [alu(AluOp.ADD, 0, 1, imm=10)], [11], [11], [12], [(0, 1, 0)]),
    Case("own_out", [load(Memory.ACC, 0, at("ACC", 3), x_size=1)], [4], [1], [1]),
    Case(
        "own_out",
        [load(Memory.ACC, 0, at("ACC", 3), x_size=1), COMMIT_0],
        [4],
        [4],
        [4],
    ),
    Case("reset_writes_out", [gemm(0, 1, reset=1)], [0], [1 + BLOCK], [1]),
    Case("reset_writes_out", [gemm(0, 1, reset=1), GEMM_0], [BLOCK], [BLOCK], [BLOCK]),
    Case("mul", [one(AluOp.MUL, 1, 3)], [1, 6], [1, UNDEFINED], STOPS_THERE),
    Case("mul", [one(AluOp.MUL, 1, 3), one(AluOp.ADD, 1, 0)], [1, 6], [1, 2], STOPS_THERE),
    Case(
        "acc_8bit",
        [load(Memory.ACC_8BIT, 0, at("INP"), x_size=1), one(AluOp.ADD, 0, 9)],
        [10],
        [10],
        STOPS_THERE,
    ),
    Case(
        "acc_8bit",
        [load(Memory.ACC_8BIT, 1, at("INP"), x_size=1), one(AluOp.ADD, 1, 0)],
        [1, 1],
        [1, 2],
        STOPS_THERE,
    ),
    Case(
        "pads_uop",
        [
            load(Memory.UOP, 4, at("UOP", 2), x_size=1, pads=(0, 0, 1, 0)),
            alu(AluOp.ADD, 4, 5, imm=10),
        ],
        [11, 2, 3],
        [1, 2, 13],
        [11, 2, 3],
    ),
    Case("pads_wgt", [_padded(Memory.WGT, 0, 1), GEMM_0], [1], [1 + BLOCK], [1]),
    Case("pads_inp", [_padded(Memory.INP, 0, 1), GEMM_0], [1], [1], [1]),
    Case("pads_acc", [_padded(Memory.ACC, 0, 1), COMMIT_0], [0], [0], [0]),
    Case("pads_nothing", [_padded(Memory.INP, 0, 0), GEMM_0], [1 + BLOCK], [1], [1 + BLOCK]),
    Case(
        "uop_rows",
        [
            load(Memory.UOP, 4, at("UOP", 0), x_size=1, y_size=2, x_stride=2),
            alu(AluOp.ADD, 5, 6, imm=10),
        ],
        [1, 2, 13, 4, 5, 6],
        [1, 2, 3, 4, 5, 16],
        [1, 2, 13, 4, 5, 6],
    ),
    Case(
        "beyond",
        [alu(AluOp.ADD, 2, 3, imm=10, iter_in=2, dst=(0, 7), src=(0, 7))],
        STOPS_THERE,
        [UNDEFINED] * DEPTH,
        [1, 12, 13],
    ),
    Case("beyond", [gemm(0, 1, src=(0, 7), iter_in=2)], [1 + 2 * BLOCK, 2], [9, 2], [9, 2]),
    Case(
        "beyond",
        [gemm(1, 2, src=(0, 7), iter_in=2)],
        STOPS_THERE,
        [1, UNDEFINED, 3],
        [1, 2 + 2 * BLOCK, 3],
    ),
    Case("shift", [one(AluOp.SHR, 0, 28)], [0], [16], [0]),
    Case("shift", [one(AluOp.SHR, 1, 33)], [1, UNDEFINED], [1, 1], [1, 1]),
    Case("shift", [one(AluOp.SHR, 0, -16), one(AluOp.SHR, 0, 15)], [2], [2], [2]),
    Case("shift", [one(AluOp.SHR, 0, -3)], [8], [8], [8]),
    Case(
        "shift",
        [one(AluOp.ADD, 1, -3), alu(AluOp.SHR, 3, 4)],
        [1, -1, 3, 8],
        [1, -1, 3, 8],
        [1, -1, 3, 0],
        [(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 1, 0)],
    ),
    Case(
        "zero_count",
        [alu(AluOp.ADD, 0, 2, imm=1, iter_out=0), one(AluOp.SHR, 0, 8)],
        [0],
        [0],
        [64],
    ),
    Case("uops_wrap", [alu(AluOp.ADD, 1, 1, imm=1)], [1, 2], [1, 2], [5, 6]),
    Case("uops_wrap", [alu(AluOp.ADD, 2, 1, imm=1)], [1, 2], [1, 2], [5, 5]),
    Case(
        "weight_in_source",
        [alu(AluOp.ADD, 0, 1)],
        [3],
        NOT_ADMITTED,
        [7],
        [(0, 1, 1)],
        FEW_INPUTS,
    ),
    Case("late_write", [alu(AluOp.ADD, 0, 1, imm=1, iter_in=2)], [3], [3], [UNDEFINED]),
    Case(
        "late_write",
        [alu(AluOp.ADD, 0, 2)],
        [2, 4],
        [2, 4],
        [2, UNDEFINED],
        [(0, 0, 0), (1, 0, 0)],
    ),
    Case(
        "late_write", [alu(AluOp.ADD, 0, 1, iter_in=2)], [5], [5], [5], [(0, 1, 0)]
    ),
    Case("empty-rows", [load(Memory.INP, 0, at("INP"), x_size=1, y_size=0)], [1], [1], STOPS_THERE),
    Case("store-padding", [PADDED_STORE], STOPS_THERE, [1], [1]),
    Case("token-edge", [nop(Queue.LOAD, push_prev=1)], STOPS_THERE, [1], [1]),
    Case("uop-range", [gemm(0, 17)], STOPS_THERE, STOPS_THERE, STOPS_THERE),
    Case("finish", [finish()], STOPS_THERE, STOPS_THERE, STOPS_THERE),
    Case("sram-range", [store(7, at("OUT"), x_size=2)], STOPS_THERE, STOPS_THERE, STOPS_THERE),
    Case("dram-range", [store(0, 0, x_size=1)], STOPS_THERE, STOPS_THERE, STOPS_THERE),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case.rows}" for n, case in enumerate(CASES)])
def test_each_row(case: Case) -> None:
    """The machines leave what their columns say."""
    for implementation in Implementation:
        expected: Left = getattr(case, implementation)
        found = _left(case, implementation)
        assert found[: len(expected)] == expected, implementation


def test_every_row_is_told_apart() -> None:
    """Where the columns differ, so do the machines, in some case; each rule has a case."""
    elsewhere = {"tokens", "full", "store-memory"}
    tested = {case.rows for case in CASES} | elsewhere | {"acc-8bit"}  # as acc_8bit
    assert tested == {row.name for row in FEATURES} | set(STOPS)
    for row in FEATURES:
        if row.name in elsewhere:
            continue
        cases = [case for case in CASES if case.rows == row.name]
        for a, b in combinations(Implementation, 2):
            if getattr(row, a) != getattr(row, b):
                assert any(getattr(case, a) != getattr(case, b) for case in cases), row.name
    assert tuple(row.name for row in FEATURES) == Semantics._fields


def test_the_table_is_documented(root: Path) -> None:
    """The documentation has a line for each row and each rule that stops one, and no others."""
    text = (root / "docs" / "reference" / "implementations.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    shown = {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}
    rows = {row.name: row for row in FEATURES}
    # "mul" names a row and a rule; the rule stands last.
    assert shown.keys() == rows.keys() | STOPS.keys()
    for rule, stopped in STOPS.items():
        assert shown[rule] == ["stops" if i in stopped else "goes on" for i in Implementation]
    for name in rows.keys() - STOPS.keys():
        told = shown[name][1:]
        values = [getattr(rows[name], i) for i in Implementation]
        for a, b in combinations(range(len(told)), 2):
            assert (told[a] == told[b]) == (values[a] == values[b]), name


def _waiting(count: int, *, both: bool) -> list[Row]:
    """So many tokens wait before the first one is taken, on one edge or the two of a pair."""
    push = [nop(Queue.LOAD, push_next=1)] * count
    pop = [nop(Queue.COMPUTE, pop_prev=1)] * count
    if not both:
        return [*push, *pop]
    back = [nop(Queue.COMPUTE, push_prev=1)] * count
    return [*push, *back, *pop, *[nop(Queue.LOAD, pop_next=1)] * count]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (_waiting(255, both=True), ([1], [1], [1])),
        (_waiting(256, both=False), ([1], [1], STOPS_THERE)),
        (_waiting(1025, both=False), ([1], [1], STOPS_THERE)),
        (_waiting(1024, both=True), ([1], [1], STOPS_THERE)),
        (_waiting(1025, both=True), ([1], STOPS_THERE, STOPS_THERE)),
    ],
)
def test_what_counters_hold(rows: list[Row], expected: tuple[Left, Left, Left]) -> None:
    """Any number, 1,024 and then pushes wait, 255 and then tokens are lost."""
    test_each_row(Case("tokens", rows, *expected))


def test_a_queue_that_waits_for_room_is_named() -> None:
    """The reason of the deadlock is a full counter, not a missing token."""
    table = table_of([*_waiting(1025, both=True), finish()])
    program = Program.build(EVEN, table, np.array(UOPS), SECTIONS)
    with pytest.raises(SimulationError, match=r"to push a load to compute token.*stays full"):
        run(program, {}, portable=False, implementation=Implementation.HLS)


def test_the_memory_type_of_a_store() -> None:
    """The C++ simulator aborts at another one than OUT; hardware does not look."""
    program, (inputs, output) = product(), product_data()
    code = program.section("INSN")
    image = program.image(inputs)
    place = code.address + 16 * 6
    fields = bits.decode(program.config, image[place : place + 16].tobytes())
    for memory in (1, 7):
        word = bits.encode(program.config, fields | {"memory_type": memory})
        image[place : place + 16] = np.frombuffer(word, np.uint8)
        arguments = (program.config, image, code.address, code.size // 16)
        for implementation in (Implementation.HLS, Implementation.CHISEL):
            result = execute(*arguments, portable=False, implementation=implementation)
            assert np.array_equal(program.output(result.image).reshape(16, 16), output)
        with pytest.raises(SimulationError, match="STORE of another memory") as caught:
            execute(*arguments, portable=False)
        assert caught.value.instruction == 6


@pytest.mark.parametrize("implementation", Implementation)
def test_what_was_never_written_is_undefined(implementation: Implementation) -> None:
    """A weight that was not loaded makes all that it enters undefined, and is refused."""
    program, (inputs, _) = product(), product_data()
    table = program.table.copy()
    table[3, Column.SRAM_BASE] = 1  # the LOAD of the weights
    changed = Program.build(program.config, table, program.uops, {
        part.name: part.size for part in program.sections[:5]
    })  # fmt: skip
    result = run(changed, inputs, portable=False, implementation=implementation)
    out = changed.section("OUT")
    assert np.array_equal(np.flatnonzero(result.undefined), np.arange(out.address, out.end))
    with pytest.raises(SimulationError, match="stores element 0, whose value is undefined"):
        run(changed, inputs, implementation=implementation)


def test_undefined_values_can_be_overwritten() -> None:
    """A reset ends what is undefined, unless OUT takes part in it."""
    rows = [one(AluOp.MUL, 0, 2), gemm(0, 1, reset=1), GEMM_0]
    assert _left(Case("", rows, [], [], []), Implementation.HLS) == [BLOCK, *range(2, DEPTH + 1)]


def test_batches_need_an_alu_for_them() -> None:
    """Of a batch of more than one there is no Chisel design, which is said."""
    fsim, hls, chisel = Implementation
    for name in PRESETS:
        config = Config.load(name)
        expected = (fsim, hls) if config.batch > 1 else (fsim, hls, chisel)
        assert admitted(config) == expected
    with pytest.raises(InputError, match=r"b2: LOG_BATCH: 1 .* 0 for chisel"):
        run(product(Config.load("b2")), {}, implementation=chisel)
    with pytest.raises(InputError, match=r"LOG_ACC_BUFF_SIZE: 7 .* at most 6 for hls"):
        check_admitted(FEW_INPUTS, hls)


def test_where_chisel_looks_for_fields() -> None:
    """They lie where the published decoder reads them if the depths are the default's."""
    assert {name for name in PRESETS if not chisel_decodes(Config.load(name))} == {
        "b2", "b4", "block32", "half"
    }  # fmt: skip


def test_endless_instructions_are_refused() -> None:
    """More micro-ops than anyone waits for are not executed."""
    rows = [gemm(0, 2, iter_out=0, iter_in=0)]
    assert _left(Case("", rows, [], [], []), Implementation.CHISEL) == STOPS_THERE
    assert _left(Case("", rows, [], [], []), Implementation.FSIM) == [*range(1, DEPTH + 1)]
