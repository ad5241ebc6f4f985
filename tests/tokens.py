"""Random small programs whose tokens are right, and whose memory accesses may race."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
from isa.config import Config
from isa.fields import AluOp, Column, Memory
from isa.program_image import Program, memory_map

SMALL = Config(
    name="small",
    log_block_in=2,
    log_block_out=2,
    log_uop_buff_size=6,
    log_inp_buff_size=4,
    log_wgt_buff_size=6,
    log_acc_buff_size=7,
)
"""4 elements of INP and WGT, 8 of ACC, 16 micro-ops."""

SIZES = {"INP": 16, "WGT": 64, "ACC": 128, "OUT": 32}
UOPS = np.array(
    [[a, i, w] for a in (0, 1, 5) for i, w in ((0, 0), (2, 1))]
    + [[0, 1, 0]] * 2
    + [[a, a, 0] for a in (0, 1, 5)]
)
IN_PLACE = len(UOPS) - 3  # from here on, source and destination are the same


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A program with its packed inputs."""

    program: Program
    inputs: dict[str, NDArray[np.generic]]


def assemble(rows: list[Row]) -> Sample:
    """The program of these instructions, which lie after the LOAD of all micro-ops."""
    table = np.concatenate([table_of([load_uops()]), table_of(rows)])
    rng = np.random.default_rng(5)
    return Sample(
        Program.build(SMALL, table, UOPS, SIZES),
        {
            "INP": rng.integers(-128, 128, SIZES["INP"], np.int8),
            "WGT": rng.integers(-128, 128, SIZES["WGT"], np.int8),
            "ACC": rng.integers(-(2**31), 2**31, SIZES["ACC"] // 4, np.int32),
        },
    )


def load_uops() -> Row:
    """The LOAD of all micro-ops."""
    return load(Memory.UOP, 0, element("UOP"), x_size=len(UOPS))


def element(section: str, offset: int = 0, memory: Memory | None = None) -> int:
    """The DRAM address of an element of a section, in elements of a memory, by default its own."""
    sizes = SIZES | {"UOP": 4 * len(UOPS)}
    unit = SMALL.element_bytes(memory or Memory[section])
    return memory_map(SMALL, sizes)[section] // unit + offset


@st.composite
def _transfers(draw: st.DrawFn) -> Row:
    memory = draw(st.sampled_from([Memory.INP, Memory.WGT, Memory.ACC, Memory.OUT, Memory.OUT]))
    depth = SMALL.depth(memory)
    sram, x_size = draw(st.integers(0, depth - 2)), draw(st.integers(1, 2))
    if memory is Memory.OUT:
        return store(sram, element("OUT", draw(st.integers(0, 6))), x_size=x_size)
    offset = draw(st.integers(0, depth - 2))
    # What is stored may be loaded again.
    if memory is not Memory.WGT and draw(st.booleans()):
        places = 6 if memory is Memory.INP else 0
        base = element("OUT", draw(st.integers(0, places)), memory)
        return load(memory, sram, base, x_size=x_size)
    return load(memory, sram, element(memory.name, offset), x_size=x_size)


@st.composite
def _computations(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from(["gemm", "gemm", "reset", "imm", "add"]))
    begin = draw(st.integers(IN_PLACE if kind == "imm" else 0, len(UOPS) - 2))
    end = draw(st.integers(begin + 1, begin + 2))
    step = (draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    if kind == "imm":
        operation = draw(st.sampled_from([AluOp.ADD, AluOp.MAX, AluOp.SHR]))
        imm, along = draw(st.integers(-9, 9)), (0, step[0])
        return alu(operation, begin, end, imm=imm, iter_in=2, dst=along, src=along)
    if kind == "add":
        return alu(AluOp.ADD, begin, end, iter_out=2, dst=(step[0], 0), src=(step[1], 0))
    return gemm(
        begin,
        end,
        iter_out=2,
        dst=(step[0], 0),
        src=(step[1], 0),
        wgt=(step[1], 0),
        reset=int(kind == "reset"),
    )


@st.composite
def samples(draw: st.DrawFn, most: int = 14) -> Sample:
    """A program of up to so many instructions, and those that end it.

    In program order, each token is pushed before it is popped, and none is left.
    """
    rows: list[Row] = []
    tokens = [0] * len(Counter)
    for row in draw(st.lists(st.one_of(_transfers(), _computations()), min_size=1, max_size=most)):
        queue = int(queues(table_of([row]))[0])
        flags = [0] * len(Column)
        for flag, counter in zip(TOKEN_FLAGS, COUNTERS[queue].tolist(), strict=True):
            pops = flag in TOKEN_FLAGS[:2]
            if counter == NO_COUNTER or (pops and not tokens[counter]):
                continue
            if draw(st.booleans()):
                flags[flag] = 1
                tokens[counter] += -1 if pops else 1
        rows.append(tuple(a | b for a, b in zip(row, flags, strict=True)))
    return assemble(rows + _ending(tokens))


def _ending(tokens: list[int]) -> list[Row]:
    """Take all tokens, wait for the loads and stores, and finish."""
    load_left, store_left = tokens[Counter.COMPUTE_TO_LOAD], tokens[Counter.COMPUTE_TO_STORE]
    return [
        *[nop(Queue.LOAD, pop_next=1)] * load_left,
        *[nop(Queue.STORE, pop_prev=1)] * store_left,
        nop(Queue.LOAD, push_next=1),
        nop(Queue.STORE, push_prev=1),
        *[nop(Queue.COMPUTE, pop_prev=1)] * (tokens[Counter.LOAD_TO_COMPUTE] + 1),
        *[nop(Queue.COMPUTE, pop_next=1)] * (tokens[Counter.STORE_TO_COMPUTE] + 1),
        finish(),
    ]


def without_token(table: Table, place: int) -> Table:
    """The program without a push and the pop that takes its token; pushes are counted from 0."""
    queue = queues(table)
    flags = table[:, list(TOKEN_FLAGS)] != 0
    pushes = [(i, f) for i, f in np.argwhere(flags).tolist() if f >= 2]
    i, f = pushes[place % len(pushes)]
    counter = COUNTERS[queue[i], f]
    moves = (COUNTERS[queue] == counter) & flags
    nth = int(moves[:i, 2:].sum())
    j, g = np.argwhere(moves[:, :2])[nth].tolist()
    result = table.copy()
    result[i, TOKEN_FLAGS[f]] = result[j, TOKEN_FLAGS[g]] = 0
    return result
