"""Races: found exactly where two orders are legal, and wherever two orders give two results."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isa.codec import (
    COUNTERS,
    NO_COUNTER,
    TOKEN_FLAGS,
    Counter,
    Queue,
    Row,
    Table,
    alu,
    finish,
    gemm,
    load,
    nop,
    queues,
    store,
    table_of,
)
from isa.fields import AluOp, Column, Memory, Opcode
from isa.program_image import Program
from simulator.footprints import footprints
from simulator.functional import run
from simulator.interleaving import Interleaving, merge
from simulator.races import Accesses, accesses, clocks
from tests.tokens import SMALL, UOPS, Sample, assemble, element, samples, without_token

INTERLEAVINGS = [
    *map(Interleaving, ("program", "eager-load", "lazy-store")),
    *(Interleaving("random", seed) for seed in range(13)),
]


def _accesses(program: Program, interleaving: Interleaving = INTERLEAVINGS[0]) -> Accesses:
    table, image = program.table, program.image({})
    order = merge(table, interleaving).order
    touched = footprints(SMALL, table, image)
    return accesses(SMALL, table, order, clocks(table, order), touched)


def _results(sample: Sample) -> set[bytes]:
    """What DRAM and the accumulators hold after each of many orders."""
    found = set()
    for interleaving in INTERLEAVINGS:
        result = run(sample.program, sample.inputs, portable=False, interleaving=interleaving)
        found.add(result.image.tobytes() + result.accumulators.tobytes())
    return found


def _with_table(sample: Sample, table: Table) -> Sample:
    sizes = {part.name: part.size for part in sample.program.sections}
    program = Program.build(SMALL, table, UOPS, {n: sizes[n] for n in ("INP", "WGT", "ACC", "OUT")})
    return replace(sample, program=program)


# ------------------------------------------------------------------------ an independent statement


def _is_before(table: Table) -> NDArray[np.bool_]:
    """Whether one instruction is complete before another starts, by transitive closure."""
    queue, n = queues(table), len(table)
    before = np.zeros((n, n), np.bool_)
    for q in Queue:
        places = np.flatnonzero(queue == q)
        before[places[:-1], places[1:]] = True
    flags = table[:, list(TOKEN_FLAGS)] != 0
    for counter in Counter:
        moves = flags & (COUNTERS[queue] == counter) & (COUNTERS[queue] != NO_COUNTER)
        pops, pushes = (
            np.flatnonzero(moves[:, part].any(axis=1)) for part in (slice(2), slice(2, 4))
        )
        before[pushes[: len(pops)], pops[: len(pushes)]] = True
    for k in range(n):
        before |= before[:, [k]] & before[[k]]
    return before


def _touched(row: NDArray[np.int64]) -> tuple[set[object], set[object]]:
    """What an instruction reads and writes: scratchpad elements, and bytes of DRAM."""
    cell = {column: int(row[column]) for column in Column}
    reads: set[object] = set()
    writes: set[object] = set()
    if cell[Column.OPCODE] in (Opcode.LOAD, Opcode.STORE):
        memory = Memory(cell[Column.MEMORY_TYPE])
        name = "ACC" if memory is Memory.OUT else memory.name
        size, count = SMALL.element_bytes(memory), cell[Column.X_SIZE]
        sram: set[object] = {(name, cell[Column.SRAM_BASE] + i) for i in range(count)}
        begin = cell[Column.DRAM_BASE] * size
        dram: set[object] = {("DRAM", begin + i) for i in range(count * size)}
        return (dram, sram) if cell[Column.OPCODE] == Opcode.LOAD else (sram, dram)
    for outer in range(cell[Column.ITER_OUT]):
        for inner in range(cell[Column.ITER_IN]):
            for uop in UOPS[cell[Column.UOP_BGN] : cell[Column.UOP_END]].tolist():
                dst, src, wgt = (
                    uop[k] + outer * cell[first] + inner * cell[second]
                    for k, (first, second) in enumerate(
                        [
                            (Column.DST_OUT, Column.DST_IN),
                            (Column.SRC_OUT, Column.SRC_IN),
                            (Column.WGT_OUT, Column.WGT_IN),
                        ]
                    )
                )
                writes.add(("ACC", dst))
                if cell[Column.OPCODE] == Opcode.GEMM and not cell[Column.RESET]:
                    reads |= {("ACC", dst), ("INP", src), ("WGT", wgt)}
                elif cell[Column.OPCODE] == Opcode.ALU:
                    reads |= {("ACC", dst), ("ACC", dst if cell[Column.USE_IMM] else src)}
    return reads, writes


def _racing_pairs(table: Table) -> set[tuple[int, int]]:
    """Every two instructions that meet in memory, and of which neither is before the other."""
    before, touched = _is_before(table), [_touched(row) for row in table]
    return {
        (a, b)
        for a, b in combinations(range(len(table)), 2)
        if not before[a, b]
        and not before[b, a]
        and (touched[a][1] & (touched[b][0] | touched[b][1]) or touched[b][1] & touched[a][0])
    }


# ---------------------------------------------------------------------------------------- the tests


def _check(sample: Sample) -> None:
    table = sample.program.table
    pairs = _racing_pairs(table)
    for interleaving in INTERLEAVINGS[:6]:
        races = _accesses(sample.program, interleaving).races
        found = {(race.first, race.second) for race in races}
        assert found <= pairs
        assert bool(found) == bool(pairs)
        # For each pair there is a race of the one that comes later in this order.
        place = np.argsort(merge(table, interleaving).order)
        later = {max(pair, key=lambda i: place[i]) for pair in found}
        assert later == {max(pair, key=lambda i: place[i]) for pair in pairs}
    if not pairs:
        assert len(_results(sample)) == 1


@settings(max_examples=100)
@given(samples())
def test_races_are_those_of_the_definition(sample: Sample) -> None:
    """Each race found is one; none is missed; without any, all orders give the same result."""
    _check(sample)


@settings(max_examples=40)
@given(samples(8), st.data())
def test_a_token_less(sample: Sample, data: st.DataObject) -> None:
    """The same for programs that lack a token."""
    place = data.draw(st.integers(0, 63))
    _check(_with_table(sample, without_token(sample.program.table, place)))


@pytest.mark.parametrize("memory", ["INP", "ACC"])
def test_races_show(memory: str) -> None:
    """The orders that are tried do tell racing programs apart."""
    assert len(_results(assemble(_raced(memory)))) > 1


def _raced(memory: str) -> list[Row]:
    """A load, a product of it, and a store, without the token that guards one of them."""
    inp = [
        load(Memory.INP, 0, element("INP"), x_size=4),
        load(Memory.WGT, 0, element("WGT"), x_size=4),
    ]
    token = int(memory != "INP")
    inp.append(load(Memory.INP, 0, element("INP", 1), x_size=2, push_next=token))
    acc = [
        gemm(0, 1, reset=1),
        gemm(0, 1, pop_prev=token, push_next=int(memory != "ACC")),
        store(0, element("OUT"), x_size=1, pop_prev=int(memory != "ACC"), push_prev=1),
    ]
    gate = [nop(Queue.LOAD, push_next=1), nop(Queue.COMPUTE, pop_prev=1, pop_next=1)]
    return [*inp, *acc, *gate, finish()]


@pytest.mark.parametrize("memory", ["INP", "ACC"])
def test_what_races(memory: str) -> None:
    """A race names both instructions, the memory and the place."""
    races = _accesses(assemble(_raced(memory)).program).races
    assert {race.memory for race in races} == {memory}
    first = races[0]
    assert (first.first, first.second, first.place) == ((3, 5, 0) if memory == "INP" else (5, 6, 0))


def test_memory_that_is_stored_and_loaded() -> None:
    """A load of what is stored races with the store unless tokens lead from one to the other."""

    def rows(guarded: int) -> list[Row]:
        return [
            alu(AluOp.ADD, 0, 1, imm=1, push_next=1),
            store(0, element("OUT", 3), x_size=2, pop_prev=1, push_prev=1),
            nop(Queue.COMPUTE, pop_next=1, push_prev=guarded),
            load(Memory.INP, 0, element("OUT", 4, Memory.INP), x_size=1, pop_next=guarded),
        ]

    (race,) = _accesses(assemble(rows(0)).program).races
    address = element("OUT", 4) * SMALL.out_bytes
    assert (race.first, race.second, race.memory, race.place) == (2, 4, "DRAM", address)
    assert not _accesses(assemble(rows(1)).program).races


def test_strided_rows_pass_one_another() -> None:
    """Rows that interleave in DRAM without meeting do not race; those that meet do."""

    def rows(shift: int) -> list[Row]:
        return [
            store(0, element("OUT"), x_size=1, y_size=3, x_stride=2),
            load(Memory.INP, 0, element("OUT", shift), x_size=1, y_size=2, x_stride=2),
        ]

    assert not _accesses(assemble(rows(1)).program).races
    assert len(_accesses(assemble(rows(2)).program).races) == 1


@example(2)
@given(st.integers(2, 40))
def test_clocks_count_what_is_complete(length: int) -> None:
    """Along a chain of tokens, each instruction knows all before it."""
    chain = [
        nop(Queue.LOAD, push_next=1, pop_next=int(i > 0)) if i % 2 == 0
        else nop(Queue.COMPUTE, pop_prev=1, push_prev=1)
        for i in range(length)
    ]  # fmt: skip
    table = table_of(chain)
    found = clocks(table, merge(table).order)
    assert found.before.sum(axis=1).tolist() == list(range(length))


def test_long_programs_are_quick() -> None:
    """The cost grows with the program: 100,000 instructions take seconds at the very most."""
    body = [
        load(Memory.INP, 0, element("INP"), x_size=4, pop_next=1, push_next=1),
        gemm(0, 8, pop_prev=1, push_prev=1),
        alu(AluOp.ADD, 0, 1, imm=1, push_next=1),
        store(0, element("OUT"), x_size=4, pop_prev=1, push_prev=1),
        nop(Queue.COMPUTE, pop_next=1),
    ]
    rows = [nop(Queue.COMPUTE, push_prev=1), *body * 20_000]
    assert not _accesses(assemble(rows).program).races
    rows[-4 * 5] = load(Memory.INP, 0, element("INP"), x_size=4, push_next=1)
    assert _accesses(assemble(rows).program).races
