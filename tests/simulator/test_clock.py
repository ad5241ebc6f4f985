"""The cycle model against a clocked one: the same cycles for every instruction, exactly."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isa.codec import Queue, Row, Table, alu, finish, gemm, load, nop, queues, store, table_of
from isa.config import Config, Timing
from isa.fields import AluOp, Column, Memory, Opcode
from simulator.timing import simulate
from tests.oracles.clock import Build, Machine, Task

LIMIT = 60_000


def build(config: Config) -> Build:
    """What the clocked model needs of a configuration."""
    timing = config.timing
    return Build(
        bus=timing.bus_bits // 8,
        burst=timing.burst_beats,
        wait=timing.memory_latency - 4,
        fetch_batch=timing.fetch_batch,
        queue_depth=timing.queue_depth,
        batch=config.batch,
        sizes={memory.name.lower(): config.element_bytes(memory) for memory in Memory},
    )


def tasks(table: Table) -> list[Task]:
    """A program as the clocked model takes it."""
    return [
        _task(row, module)
        for row, module in zip(table.tolist(), queues(table).tolist(), strict=True)
    ]


def _task(row: list[int], module: int) -> Task:
    pops = (row[Column.POP_PREV], row[Column.POP_NEXT])
    pushes = (row[Column.PUSH_PREV], row[Column.PUSH_NEXT])
    opcode = Opcode(row[Column.OPCODE])
    if opcode in (Opcode.GEMM, Opcode.ALU):
        uops = row[Column.ITER_OUT] * row[Column.ITER_IN]
        uops *= row[Column.UOP_END] - row[Column.UOP_BGN]
        two = opcode == Opcode.ALU and not row[Column.USE_IMM]
        return Task(module, "work", 7 + uops * (1 + two), pops=pops, pushes=pushes)
    if opcode == Opcode.FINISH or row[Column.X_SIZE] == 0:
        return Task(module, "work", 2, pops=pops, pushes=pushes)
    return Task(
        module,
        opcode.name.lower(),
        memory=Memory(row[Column.MEMORY_TYPE]).name.lower(),
        address=row[Column.DRAM_BASE],
        rows=row[Column.Y_SIZE],
        width=row[Column.X_SIZE],
        stride=row[Column.X_STRIDE],
        pads=(
            row[Column.Y_PAD_0],
            row[Column.Y_PAD_1],
            row[Column.X_PAD_0],
            row[Column.X_PAD_1],
        ),
        pops=pops,
        pushes=pushes,
    )


@st.composite
def machines(draw: st.DrawFn) -> Config:
    """Configurations of every width of bus and of elements, with queues that fill up."""
    bus, burst = draw(st.sampled_from([64, 128, 256, 512])), draw(st.sampled_from([2, 4, 16, 256]))
    batch = draw(st.sampled_from([0, 0, 1, 2]))
    default = burst if bus >= 128 else burst // 2
    return Config(
        log_batch=batch,
        log_block_in=draw(st.integers(2, 5)),
        log_block_out=draw(st.integers(2, 5)),
        log_uop_buff_size=10,
        log_inp_buff_size=12,
        log_wgt_buff_size=15,
        log_acc_buff_size=14,
        timing=Timing(
            bus_bits=bus,
            burst_beats=burst,
            memory_latency=draw(st.sampled_from([20, 20, 4, 5, 37])),
            fetch_batch=draw(st.sampled_from([default, default, 1, 3, 40])),
            queue_depth=draw(st.sampled_from([512, 1, 2, 3])),
        ),
    )


PADS = st.tuples(*[st.sampled_from([0, 0, 0, 1, 3])] * 4)


@st.composite
def loads(draw: st.DrawFn, memory: Memory) -> Row:
    """Few rows of many elements, many of few, anything in between; any address, stride and pads."""
    x, y = draw(st.sampled_from([(1, 40), (3, 12), (9, 4), (60, 1)]))
    x = draw(st.integers(1, x))
    return load(
        memory,
        0,
        draw(st.integers(0, 40)) + draw(st.sampled_from([0, 0x400])),
        x_size=x,
        y_size=draw(st.integers(1, y)),
        x_stride=x + draw(st.sampled_from([0, 0, 1, 5, 64])),
        pads=draw(PADS),
    )


@st.composite
def instructions(draw: st.DrawFn) -> Row:
    """Any instruction, without tokens."""
    kind = draw(st.integers(0, 8))
    if kind < 5:
        memories = (Memory.UOP, Memory.INP, Memory.INP, Memory.WGT, Memory.ACC)
        return draw(loads(memories[kind]))
    if kind == 5:
        return gemm(0, draw(st.integers(1, 3)), iter_in=draw(st.integers(1, 40)))
    if kind == 6:
        imm = draw(st.none() | st.just(1))
        return alu(AluOp.ADD, 0, 1, iter_in=draw(st.integers(1, 40)), imm=imm)
    if kind == 7:
        x = draw(st.integers(1, 20))
        return store(
            0,
            draw(st.integers(0, 40)),
            x_size=x,
            y_size=draw(st.integers(1, 4)),
            x_stride=x + draw(st.integers(0, 5)),
        )
    return nop(draw(st.sampled_from(Queue)))


@st.composite
def programs(draw: st.DrawFn) -> Table:
    """Instructions of all modules whose tokens are pushed by earlier ones, if ever popped."""
    rows = draw(st.lists(instructions(), min_size=1, max_size=30))
    table = table_of([*rows, finish()])
    held = dict.fromkeys(((0, 1), (1, 0), (1, 2), (2, 1)), 0)
    for row, module in zip(table, queues(table).tolist(), strict=True):
        neighbours = ((module - 1, Column.POP_PREV, Column.PUSH_PREV),) * (module > 0)
        neighbours += ((module + 1, Column.POP_NEXT, Column.PUSH_NEXT),) * (module < 2)
        for other, pop, _ in neighbours:
            if held[other, module] and draw(st.booleans()):
                row[pop] = 1
                held[other, module] -= 1
        for other, _, push in neighbours:
            if draw(st.booleans()):
                row[push] = 1
                held[module, other] += 1
    return table


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(machines(), programs())
def test_every_instruction_starts_and_ends_when_a_clocked_machine_says(
    config: Config, table: Table
) -> None:
    """Jumping from burst to burst loses nothing: all cycles are those of stepping one by one."""
    timeline = simulate(config, table, timeline=True).timeline
    assert timeline is not None
    expected = Machine(build(config), tasks(table)).run(LIMIT)
    assert timeline[:, :2].tolist() == [list(times) for times in expected]
