"""The linter: each rule is found where it is broken, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.codec import Queue, Row, alu, finish, gemm, load, nop, store, table_of
from isa.config import Config
from isa.fields import AluOp, Column, Memory
from isa.program_image import Program
from simulator.errors import SimulationError
from simulator.functional import run
from simulator.lint import RULES, Finding, lint
from tests.programs import product
from tests.tokens import SMALL, Sample, assemble, element, samples

GATE = [nop(Queue.LOAD, push_next=1), nop(Queue.COMPUTE, pop_prev=1), finish()]

# The rows of a program that breaks no rule; the LOAD of micro-ops is instruction 0.
GOOD: list[Row] = [
    gemm(0, 1, iter_in=8, dst=(0, 1), reset=1, push_prev=1),
    load(Memory.INP, 0, element("INP"), x_size=4, pop_next=1),
    load(Memory.WGT, 0, element("WGT"), x_size=4, push_next=1),
    gemm(0, 4, pop_prev=1),
    alu(AluOp.SHR, 0, 1, imm=3, iter_in=4, dst=(0, 1), src=(0, 1), push_next=1),
    store(0, element("OUT"), x_size=4, pop_prev=1, push_prev=1),
    nop(Queue.COMPUTE, pop_next=1),
    finish(),
]
RESET, INP, WGT, GEMM, ALU, STORE, WAIT, FINISH = range(1, 9)


def _changed(place: int, **fields: int) -> list[Row]:
    """The good program with other fields in one instruction."""
    rows = table_of(GOOD)
    for name, value in fields.items():
        rows[place - 1, Column[name.upper()]] = value
    return [tuple(row) for row in rows.tolist()]


def _with(place: int, *rows: Row) -> list[Row]:
    """The good program with more instructions before a place."""
    return [*GOOD[: place - 1], *rows, *GOOD[place - 1 :]]


def _findings(rows: list[Row], **options: object) -> list[tuple[str, int]]:
    found = lint(assemble(rows).program, **options)  # type: ignore[arg-type]
    return [(finding.rule, finding.instruction) for finding in found]


MANY = 256
CASES: list[tuple[str, list[Row], list[tuple[str, int]]]] = [
    ("last", GOOD[:-1], [("finish", WAIT)]),
    ("early", _with(ALU, finish()), [("finish", ALU)]),
    ("ungated store", [*_changed(STORE, push_prev=0)[:6], finish()], [("finish", 7)]),
    (
        "ungated load",
        _with(FINISH, load(Memory.INP, 0, element("INP"), x_size=1)),
        [("race", 8), ("finish", 9)],
    ),
    (
        "no push",
        _changed(WGT, push_next=0),
        [("deadlock", GEMM), ("token-order", GEMM), ("deadlock", STORE)],
    ),
    ("late push", [GOOD[0], GOOD[3], *GOOD[1:3], *GOOD[4:]], [("token-order", 2)]),
    ("left", _changed(GEMM, push_prev=1), [("tokens-left", GEMM)]),
    (
        "lost",
        [
            *[nop(Queue.LOAD, push_next=1)] * MANY,
            *[nop(Queue.COMPUTE, pop_prev=1)] * MANY,
            finish(),
        ],
        [("tokens-lost", MANY)],
    ),
    ("edge", _changed(INP, push_prev=1), [("token-edge", INP)]),
    ("loop", _changed(GEMM, iter_out=0), [("empty-loop", GEMM)]),
    ("empty", _changed(GEMM, uop_end=0), [("empty-uops", GEMM)]),
    (
        "uops",
        _changed(ALU, uop_bgn=0, uop_end=17),
        [("uop-range", ALU), ("uop-unloaded", ALU), ("stale-out", STORE)],
    ),
    (
        "unloaded",
        _changed(RESET, uop_bgn=12, uop_end=13),
        [("uop-unloaded", RESET), ("unwritten", GEMM), ("unwritten", ALU)],
    ),
    ("dst", _changed(GEMM, iter_in=9, dst_in=1), [("index-range", GEMM)]),
    ("src", _changed(GEMM, iter_in=5, src_in=1), [("index-range", GEMM)]),
    ("wgt", _changed(GEMM, iter_in=5, wgt_in=1), [("index-range", GEMM)]),
    ("hazard", _changed(ALU, dst_in=0, src_in=0), [("alu-hazard", ALU), ("stale-out", STORE)]),
    (
        "weight",
        _changed(ALU, uop_bgn=1, uop_end=2),
        [("alu-uop", ALU), ("immediate-source", ALU)],
    ),
    ("source", _changed(ALU, uop_bgn=6, uop_end=7), [("immediate-source", ALU)]),
    ("source factors", _changed(ALU, src_in=0), [("immediate-source", ALU)]),
    ("outer factors", _changed(ALU, src_out=1), [("immediate-source", ALU)]),
    (
        "two operands",
        _changed(ALU, use_imm=0, imm=0, alu_opcode=AluOp.MAX, uop_bgn=6, uop_end=7),
        [],
    ),
    ("rows", _changed(INP, y_size=0), [("empty-rows", INP), ("unwritten", GEMM)]),
    ("sram", _changed(INP, sram_base=1), [("sram-range", INP), ("unwritten", GEMM)]),
    ("zero", _changed(INP, dram_base=0), [("dram-range", INP)]),
    ("dram", _changed(INP, dram_base=1 << 20), [("dram-range", INP)]),
    ("store pad", _changed(STORE, x_pad_0=1), [("store-padding", STORE)]),
    ("no-op pad", _changed(WAIT, x_pad_0=1), [("nop-padding", WAIT), ("padding", WAIT)]),
    ("pad", _changed(WGT, x_size=3, x_pad_1=1), [("padding", WGT)]),
    (
        "uop rows",
        _with(INP, load(Memory.UOP, 8, element("UOP"), x_size=1, y_size=2)),
        [("uop-rows", INP)],
    ),
    (
        "byte",
        _with(ALU, load(Memory.ACC_8BIT, 7, element("OUT", 0, Memory.ACC_8BIT), x_size=1)),
        [("acc-8bit", ALU)],
    ),
    ("mul", _changed(ALU, alu_opcode=AluOp.MUL), [("mul", ALU)]),
    ("shift", _changed(ALU, imm=16), [("shift", ALU)]),
    ("left shift", _changed(ALU, imm=-16), [("shift", ALU)]),
    (
        "stale load",
        _with(STORE, load(Memory.ACC, 3, element("ACC"), x_size=1)),
        [("race", STORE + 1), ("stale-out", STORE + 1)],
    ),
    ("stale reset", _changed(STORE, sram_base=4), [("stale-out", STORE)]),
    ("unwritten", _changed(INP, x_size=2), [("unwritten", GEMM)]),
    (
        "generated",
        _with(FINISH, load(Memory.UOP, 8, element("OUT", 0, Memory.UOP), x_size=1)),
        [("generated-uops", FINISH)],
    ),
    (
        "code",
        _changed(STORE, dram_base=element("UOP", 1024, Memory.OUT)),
        [("generated-code", STORE)],
    ),
    (
        "no race",
        [
            *GOOD[:3],
            load(Memory.INP, 0, element("INP"), x_size=1, push_next=1),
            nop(Queue.COMPUTE, pop_prev=1),
            *GOOD[3:],
        ],
        [],
    ),
    (
        "race",
        [
            *GOOD[:4],
            load(Memory.INP, 0, element("INP"), x_size=1, push_next=1),
            nop(Queue.COMPUTE, pop_prev=1),
            *GOOD[4:],
        ],
        [("race", 5)],
    ),
]


def test_good_programs_pass() -> None:
    """Programs that break no rule have no findings."""
    assert not _findings(GOOD)
    assert not lint(product())
    assert not lint(product(), target="chisel")


@pytest.mark.parametrize(("rows", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_rule(rows: list[Row], expected: list[tuple[str, int]]) -> None:
    """A change that breaks a rule is found, at its instruction, and nothing else is."""
    assert sorted(_findings(rows)) == sorted(expected)


def test_safe_distance() -> None:
    """Accumulators that are used again too soon are found only if a distance is asked for."""
    rows = _changed(GEMM, uop_bgn=6, uop_end=8, iter_out=2, dst_out=1)
    assert not _findings(rows)
    assert _findings(rows, safe_distance=2) == [("accumulation-distance", GEMM)]
    spread = _changed(GEMM, uop_bgn=6, uop_end=7, iter_out=2, iter_in=4, dst_in=1)
    assert not _findings(spread, safe_distance=4)
    assert _findings(spread, safe_distance=5) == [("accumulation-distance", GEMM)]


def test_chisel() -> None:
    """Chisel's default build has 2048 micro-ops, and an ALU for a batch of 1."""
    config = Config.load("b4")
    table = table_of(
        [
            load(Memory.UOP, 2047, 0x400, x_size=2),
            gemm(2047, 2049, reset=1),
            alu(AluOp.ADD, 2047, 2048, imm=0),
            *GATE,
        ]
    )
    program = Program.build(config, table, np.array([[0, 0, 0], [1, 0, 0]]), {})
    assert not lint(program)
    found = [(f.rule, f.instruction) for f in lint(program, target="chisel")]
    assert found == [("chisel-uops", 1), ("chisel-batch", 2)]
    one = replace(program, config=Config.default())
    assert [f.rule for f in lint(one, target="chisel")] == ["chisel-uops"]


def test_hls() -> None:
    """HLS has the bits of an INP index for an ACC index, which is too few for the small machine."""
    program = assemble(GOOD).program
    found = [(f.rule, f.instruction) for f in lint(program, target="hls")]
    assert found == [("hls-source", i) for i in (RESET, GEMM, ALU)]
    assert not lint(product(), target="hls")


def test_empty_programs_never_finish() -> None:
    """A program without instructions is reported, not a failure."""
    empty = Program.build(SMALL, table_of([]), np.zeros((0, 3), np.int64), {})
    assert lint(empty) == [Finding(0, "finish", "an empty program never finishes")]


def test_every_rule_is_tested() -> None:
    """No rule lacks a case here."""
    elsewhere = {"accumulation-distance", "chisel-uops", "chisel-batch", "hls-source"}
    assert {rule for _, _, found in CASES for rule, _ in found} | elsewhere == set(RULES)


def test_every_rule_is_documented(root: Path) -> None:
    """The documentation lists the rules, and no others."""
    text = (root / "docs" / "reference" / "linting.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(name.strip("` ") for row in rows for name in row.split(",")) == sorted(RULES)


@settings(max_examples=60)
@given(samples())
def test_random_programs_that_pass_run(sample: Sample) -> None:
    """What has no findings, the functional simulator executes as a portable program."""
    if not lint(sample.program, sample.inputs):
        run(sample.program, sample.inputs)


@settings(max_examples=60)
@given(samples(6), st.integers(0, 1000), st.sampled_from(list(Column)), st.integers(0, 3))
def test_whatever_the_simulator_refuses_is_found(
    sample: Sample, place: int, column: Column, value: int
) -> None:
    """A random change that stops the functional simulator has findings."""
    table = sample.program.table.copy()
    table[place % len(table), column] = value
    try:
        sizes = {part.name: part.size for part in sample.program.sections[:5]}
        program = Program.build(SMALL, table, sample.program.uops, sizes)
    except ValueError:
        return  # it cannot be encoded
    try:
        run(program, sample.inputs)
    except SimulationError:
        assert lint(program, sample.inputs)
