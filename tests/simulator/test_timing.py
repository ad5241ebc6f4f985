"""The cycle model: formulas of single instructions, programs counted by hand, and check values.

Unless said otherwise the machine has a 64-bit bus, bursts of 16 beats, a latency of 20 cycles and
fetches 8 instructions at a time. Its first instruction starts in cycle 37: 20 of latency, 16 beats
for 8 instructions, and one to dispatch it; the others follow one a cycle.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.codec import Queue, Row, alu, finish, gemm, load, nop, queues, store, table_of
from isa.config import Config, Timing
from isa.fields import AluOp, Memory
from simulator.errors import SimulationError
from simulator.occupancy import (
    alu_cycles,
    fetch_cycles,
    following_lead,
    gemm_cycles,
    load_cycles,
    load_lead,
    narrow_store_cycles,
    store_bound,
    transfer_units,
    units_touched,
    wide_store_cycles,
)
from simulator.roofline import roofline
from simulator.timing import ModuleReport, Span, TimingReport, simulate, spans
from tests.programs import product_rows

DEFAULT = Config.default()
FIRST = 37


def timed(*rows: Row, config: Config = DEFAULT) -> TimingReport:
    """The timing of instructions, with FINISH after them."""
    return simulate(config, table_of([*rows, finish()]), timeline=True)


def occupancy(row: Row, config: Config = DEFAULT) -> int:
    """Cycles of an instruction that has the machine to itself."""
    timeline = timed(row, config=config).timeline
    assert timeline is not None
    return int(timeline[0, 1] - timeline[0, 0])


# --- Single instructions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "cycles"),
    [
        # No-ops: idle, sync, idle.
        (nop(Queue.LOAD), 2),
        (nop(Queue.COMPUTE), 2),
        (nop(Queue.STORE), 2),
        # One micro-op a cycle and 7 of pipeline; tensor-tensor ALU two a micro-op.
        (gemm(0, 1), 1 + 7),
        (gemm(0, 4, iter_out=5, iter_in=6), 120 + 7),
        (gemm(0, 2, iter_in=3, reset=1), 6 + 7),
        (alu(AluOp.ADD, 0, 4, imm=1, iter_in=5), 20 + 7),
        (alu(AluOp.ADD, 0, 4, iter_in=5), 40 + 7),
        # 3 of state machine, 20 of latency, then beats: 2, 32 and 8 an element.
        (load(Memory.INP, 0, 0x100, x_size=1), 3 + 20 + 2),
        (load(Memory.INP, 0, 0x100, x_size=16), 3 + 20 + 32),
        (load(Memory.INP, 0, 0x100, x_size=4, y_size=8, x_stride=64), 3 + 20 + 64),
        (load(Memory.WGT, 0, 0x10, x_size=3), 3 + 20 + 96),
        (load(Memory.ACC, 0, 0x40, x_size=5), 3 + 20 + 40),
        # Micro-ops: 2 of state machine; two a beat, one more beat from an odd address.
        (load(Memory.UOP, 0, 0x400, x_size=1), 2 + 20 + 1),
        (load(Memory.UOP, 0, 0x400, x_size=8), 2 + 20 + 4),
        (load(Memory.UOP, 0, 0x401, x_size=8), 2 + 20 + 5),
        (load(Memory.UOP, 0, 0x401, x_size=1), 2 + 20 + 1),
        # 1, then 3 a vector and 3 a burst of 128 bytes, that is 8 vectors.
        (store(0, 0x100, x_size=1), 1 + 3 + 3),
        (store(0, 0x100, x_size=8), 1 + 24 + 3),
        (store(0, 0x100, x_size=9), 1 + 27 + 6),
        (store(0, 0x104, x_size=8), 1 + 24 + 6),
        (store(0, 0x100, x_size=1, y_size=4, x_stride=8), 1 + 12 + 12),
        # A cycle for each row of top padding; zeros are written while the data is on its way.
        (load(Memory.INP, 0, 0x100, x_size=4, pads=(2, 0, 0, 0)), 3 + 2 + 20 + 8),
        (load(Memory.INP, 0, 0x100, x_size=4, pads=(0, 2, 0, 0)), 3 + 20 + 8),
        # 15 rows above of 32 elements, 480 zeros and 2 + 3: more than the latency hides.
        (load(Memory.INP, 0, 0x100, x_size=2, pads=(15, 0, 15, 15)), 510 + 4 + 3),
        # A row below 30 of data, which are passed over while data comes: written after all of it.
        (load(Memory.INP, 0, 0x100, x_size=1, y_size=30, pads=(0, 1, 0, 0)), 3 + 20 + 60 + 1),
        (load(Memory.WGT, 0, 0x10, x_size=1, y_size=30, pads=(0, 1, 0, 0)), 3 + 20 + 960 + 1),
        # Rows of one beat: nine are queued when the first comes, and from then on each cycle has a
        # last beat. The tenth is taken a cycle after the ninth and comes a latency later.
        (load(Memory.UOP, 0, 0x400, x_size=1, y_size=9, x_stride=64), 2 + 20 + 9),
        (load(Memory.UOP, 0, 0x400, x_size=1, y_size=10, x_stride=64), 2 + 20 + 9 + 18 + 1),
    ],
)  # fmt: skip
def test_single_instructions(row: Row, cycles: int) -> None:
    """Each takes what section 3 of the timing notes gives."""
    assert occupancy(row) == cycles


def test_formulas() -> None:
    """The functions that the schedule search shares, on round numbers."""
    assert gemm_cycles(100) == 107
    assert alu_cycles(100, True) == 107
    assert alu_cycles(100, False) == 207
    assert load_lead(0, 16, 8, 20) == 23
    assert load_lead(3, 4, 8, 20) == 25
    assert load_cycles(23, 64, 0) == 87
    assert load_cycles(23, 4, 90) == 90 + 2
    assert narrow_store_cycles(8, 16, 1, 1) == store_bound(8, 1, 16, 1, 8, 128) == 28
    assert narrow_store_cycles(8, 32, 2, 2) == 1 + 8 * (2 + 4) + 6
    assert wide_store_cycles(8, 1) == 13
    assert store_bound(8, 1, 16, 1, 16, 256) == wide_store_cycles(8, 1)
    assert store_bound(16, 3, 16, 1, 8, 128) == 3 + 16 * 3 + 3 * 3
    assert store_bound(16, 3, 16, 1, 64, 1024) == 3 + 4 + 3 * 4
    assert following_lead(23, 20, 1) == 7
    assert following_lead(23, 20, 16) == 22
    assert following_lead(23, 20, 17) == following_lead(23, 20, 256) == 23
    assert fetch_cycles(8, 16, 8, 20) == 45
    assert fetch_cycles(128, 256, 8, 20) == 405
    assert fetch_cycles(16, 16, 16, 20) == 56
    assert fetch_cycles(16, 4, 64, 20) == 44


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([8, 16, 128]))
def test_units_touched_are_those_that_hold_a_byte(address: int, length: int, unit: int) -> None:
    """Aligned units, counted byte by byte."""
    assert units_touched(address, length, unit) == len(
        {byte // unit for byte in range(address, address + length)}
    )


@given(
    st.integers(0, 300), st.integers(1, 6), st.integers(1, 300), st.integers(0, 300),
    st.sampled_from([8, 16, 128]),
)  # fmt: skip
def test_rows_touch_units_one_by_one(
    address: int, rows: int, length: int, stride: int, unit: int
) -> None:
    """Rows share none of their bursts, whatever the stride."""
    expected = sum(units_touched(address + y * stride, length, unit) for y in range(rows))
    assert transfer_units(address, rows, length, stride, unit) == expected


def test_parameters_of_the_machine() -> None:
    """A wider bus halves the beats, longer bursts the responses of stores; latency adds up."""
    wide = Config(timing=Timing(bus_bits=128))
    assert occupancy(load(Memory.INP, 0, 0x100, x_size=16), wide) == 2 + 20 + 16
    assert occupancy(load(Memory.WGT, 0, 0x10, x_size=1), wide) == 3 + 20 + 16
    assert occupancy(store(0, 0x100, x_size=8), wide) == 1 + 8 + 4
    long = Config(timing=Timing(burst_beats=256))
    assert occupancy(store(0, 0x100, x_size=16), long) == 1 + 48 + 3
    slow = Config(timing=Timing(memory_latency=100))
    assert occupancy(load(Memory.INP, 0, 0x100, x_size=16), slow) == 3 + 100 + 32


# --- Fetching -------------------------------------------------------------------------------------


def test_fetching_takes_turns_with_dispatching() -> None:
    """45 cycles for each 8 instructions; the ninth arrives after the second read."""
    rows = [nop(Queue.COMPUTE)] * 16
    timeline = timed(*rows).timeline
    assert timeline is not None
    starts = timeline[:, 0].tolist()
    # The compute module takes 2 cycles a no-op; fetch delivers one a cycle from 37 to 44.
    assert starts[:8] == [37 + 2 * i for i in range(8)]
    # The second read begins after the eighth dispatch: 45 + 20 + 16 + 1 - 1.
    assert starts[8] == 37 + 45
    assert starts[16] == 37 + 90 - 2 * 7  # only FINISH is left: 14 beats less for 7 instructions


def test_a_full_queue_stops_dispatch_for_everybody() -> None:
    """A store behind a full compute queue arrives when a place in it is free."""
    config = Config(timing=Timing(queue_depth=2))
    rows = [gemm(0, 1, iter_in=1000), nop(Queue.COMPUTE), nop(Queue.COMPUTE), nop(Queue.STORE)]
    timeline = timed(*rows, config=config).timeline
    assert timeline is not None
    # 5 instructions, 10 beats: the first at 31. The third waits until the GEMM is done.
    assert timeline[0].tolist() == [31, 31 + 1007, Queue.COMPUTE]
    # It is dispatched in the cycle after, the store in the next, and starts in the one after that.
    assert timeline[3, 0] == 31 + 1007 + 2
    ample = timed(*rows).timeline
    assert ample is not None
    assert ample[3, 0] == 34


# --- Tokens and the shared channel ----------------------------------------------------------------


def test_a_product_by_hand() -> None:
    """The 16x16x16 product that the golden test holds, instruction by instruction."""
    report = simulate(DEFAULT, table_of(product_rows()), timeline=True)
    assert report.timeline is not None
    assert report.timeline[:, :2].tolist() == [
        [37, 60],  # LOAD UOP: 2 + 20 + 1
        [60, 83],  # GEMM reset: 16 + 7
        [83, 138],  # LOAD INP, after the reset: 3 + 20 + 32
        [138, 193],  # LOAD WGT: 3 + 20 + 32
        [193, 216],  # LOAD UOP, after the loads: 2 + 20 + 1 (odd address, still one beat)
        [216, 239],  # GEMM: 16 + 7
        [239, 294],  # STORE: 1 + 16*3 + 2*3
        [193, 195],  # no-op of the load module
        [294, 296],  # no-op of the compute module, after the store
        [296, 298],  # FINISH
    ]
    assert report.cycles == 298
    # Load: in the queue from 39, 110 + 2 cycles of work, waits for the reset from 39 to 83.
    assert report.load == ModuleReport(112, 44, 0, 298 - 112 - 44)
    # Compute: 4 instructions of 23 and 2 of 2, idle before 37, and nothing else to wait for but
    # the loads (83 to 193) and the store (239 to 294).
    assert report.compute == ModuleReport(96, 110 + 55, 0, 37)
    # The store arrives in cycle 43.
    assert report.store == ModuleReport(55, 239 - 43, 0, 298 - 55 - (239 - 43))
    assert report.bytes == {"uop": 8, "inp": 256, "wgt": 256, "acc": 0, "out": 256, "insn": 160}
    # Beats: 20 for instructions, 1 + 1 for micro-ops, 32 + 32.
    assert report.read_beats == 20 + 2 + 64


def test_two_loads_share_the_channel() -> None:
    """Bursts of INP and ACC loads that start together take turns."""
    rows = [load(Memory.INP, 0, 0x100, x_size=32), load(Memory.ACC, 0, 0x40, x_size=8)]
    report = timed(*rows)
    assert report.timeline is not None
    # 3 instructions, 6 beats: the first at 20 + 6 + 1 = 27, the second at 28; 4 bursts of 16 beats
    # each. INP writes commands in 28, 30, 32 and 34, ACC in 29, 31, 33 and 35. The first beat comes
    # in 47, INP's last burst is the seventh, ACC's the eighth.
    assert report.timeline[0].tolist() == [27, 47 + 7 * 16 + 3, Queue.LOAD]
    assert report.timeline[1].tolist() == [28, 47 + 8 * 16 + 3, Queue.COMPUTE]
    assert report.load.waiting_for_bus == 3 * 16
    assert report.compute.waiting_for_bus == 4 * 16 - 1


def test_clients_have_priorities() -> None:
    """A client with a command in each free cycle comes before one with less priority."""
    rows = [load(Memory.INP, 0, 0x100, x_size=320), load(Memory.ACC, 0, 0x40, x_size=80)]
    report = timed(*rows, config=Config(timing=Timing(fetch_batch=2)))
    assert report.timeline is not None
    # 40 bursts each. They take turns while there are tags: of 16, INP gets 8, ACC 7, and reading
    # FINISH one. Then a tag comes back every 16 cycles, and both clients have a command for it: all
    # are INP's until it has no more.
    first, last = report.timeline[0].tolist(), report.timeline[1].tolist()
    assert last[1] - first[1] == 16 * (40 - 7)
    assert report.compute.waiting_for_bus > 16 * 32


def test_a_load_just_behind_another_burst_waits_for_less() -> None:
    """DRAM's wait is paid once while its queue never runs empty; that counts as no waiting."""
    rows = [load(Memory.WGT, 0, 0x40, x_size=4), load(Memory.UOP, 0, 0x1000, x_size=1)]
    report = timed(*rows)
    assert report.timeline is not None
    # Start in 27 and 28; WGT's first 16 beats from 47 on, and the micro-op's in 63.
    assert report.timeline[1].tolist() == [28, 63 + 3, Queue.COMPUTE]
    assert report.compute.waiting_for_bus == 38 - 23
    rows = [load(Memory.UOP, 0, 0x1000, x_size=1), *[load(Memory.INP, 0, 0x100, x_size=1)] * 2]
    rows = [*rows, load(Memory.UOP, 0, 0x1000, x_size=1), finish()]
    spent = spans(DEFAULT, table_of(rows))
    assert (spent[:, Span.END] >= spent[:, Span.WAIT]).all()


def test_stores_do_not_slow_loads() -> None:
    """Reads and writes have channels of their own."""
    rows = [load(Memory.INP, 0, 0x100, x_size=32), store(0, 0x300, x_size=32)]
    report = timed(*rows)
    assert report.load.waiting_for_bus == 0
    assert report.store.busy == 1 + 32 * 3 + 4 * 3


def test_deadlock_and_overflow_are_reported() -> None:
    """A token that never comes, and one more than a counter holds."""
    with pytest.raises(SimulationError, match="deadlock: the load to compute token") as caught:
        timed(nop(Queue.STORE), nop(Queue.COMPUTE, pop_prev=1))
    assert caught.value.instruction == 1
    timed(*[nop(Queue.LOAD, push_next=1)] * 255)
    with pytest.raises(SimulationError, match="255 load to compute tokens"):
        timed(*[nop(Queue.LOAD, push_next=1)] * 256)


# --- Check values (section 7 of the timing notes) -------------------------------------------------


def test_check_value_of_a_product_with_accumulators() -> None:
    """About 450 cycles for a 16x16x16 product with loads, accumulators among them, and store."""
    rows = product_rows()
    rows[4] = load(Memory.UOP, 1, 0x1001, x_size=1)
    rows.insert(4, load(Memory.ACC, 0, 0xC0, x_size=16, pop_prev=1))
    cycles = simulate(DEFAULT, table_of(rows)).cycles
    assert cycles == 298 + (3 + 20 + 16 * 8)
    assert cycles == pytest.approx(450, rel=0.05)


def test_check_value_of_a_long_gemm() -> None:
    """About 66,100 cycles for the same with one GEMM instruction of 256*16*16 micro-ops."""
    rows = product_rows()
    rows[4] = load(Memory.UOP, 1, 0x1002, x_size=256)
    rows[5] = gemm(1, 257, iter_out=16, iter_in=16, dst=(16, 1), src=(16, 1), push_next=1)
    rows.insert(4, load(Memory.ACC, 0, 0xC0, x_size=16, pop_prev=1))
    cycles = simulate(DEFAULT, table_of(rows)).cycles
    assert cycles == 449 - 23 - 23 + (2 + 20 + 128) + (65_536 + 7)
    assert cycles == pytest.approx(66_100, rel=0.05)


def test_check_value_of_lenet() -> None:
    """About 17,300 cycles for LeNet-5's first layer in 320 instructions.

    A convolution as a product of 784 by 25 (49 by 2 blocks), ReLU, and 2x2 average pooling, for
    each of 14 rows three tensor additions and a shift of 14 vectors; every compute instruction has
    its micro-ops loaded before it, and each of the 196 results is stored on its own.
    """
    uop = 0x8000
    one = load(Memory.UOP, 0, uop, x_size=1)
    row = partial(alu, uop_bgn=0, uop_end=1, iter_in=14, dst=(0, 2), src=(0, 2))
    add, shift = row(AluOp.ADD), row(AluOp.SHR, imm=2)
    pool = [one, add, one, add, one, add, one, shift] * 14
    pool[-1] = row(AluOp.SHR, imm=2, push_next=1)
    stores = [store(i, 0x4000 + i, x_size=1) for i in range(194)]
    rows = [
        one,
        gemm(0, 1, iter_out=49, iter_in=16, dst=(16, 1), reset=1, push_prev=1),
        load(Memory.INP, 0, 0x100, x_size=16, y_size=98, x_stride=16, pop_next=1),
        load(Memory.WGT, 0, 0x80, x_size=1, y_size=2, x_stride=1, push_next=1),
        load(Memory.ACC, 0, 0x400, x_size=16, y_size=49, x_stride=16, pop_prev=1),
        load(Memory.UOP, 0, uop, x_size=98),
        gemm(0, 98, iter_in=16, dst=(0, 1), src=(0, 1)),
        load(Memory.UOP, 0, uop, x_size=49),
        alu(AluOp.MAX, 0, 49, imm=0, iter_in=16, dst=(0, 1), src=(0, 1)),
        *pool,
        store(0, 0x4000, x_size=1, pop_prev=1),
        *stores,
        store(0, 0x4100, x_size=1, push_prev=1),
        nop(Queue.LOAD, push_next=1),
        nop(Queue.COMPUTE, pop_prev=1, pop_next=1),
        finish(),
    ]
    assert len(rows) == 320
    report = simulate(DEFAULT, table_of(rows))
    # One after the other: what each instruction takes with the channel to itself.
    loads = (3 + 20 + 2 * 1568) + (3 + 20 + 32 * 2)
    before = (2 + 20 + 1) + (784 + 7)
    product = (3 + 20 + 8 * 784) + (2 + 20 + 49) + (98 * 16 + 7)
    relu = (2 + 20 + 25) + (784 + 7)
    pooling = 14 * (4 * (2 + 20 + 1) + 3 * (28 + 7) + (14 + 7))
    alone = FIRST + before + loads + product + relu + pooling + 196 * 7 + 2 + 2
    # The program is still being read while INP and ACC are loaded, which shares the channel.
    waiting = report.load.waiting_for_bus + report.compute.waiting_for_bus
    assert report.cycles == alone + waiting
    assert report.cycles == pytest.approx(17_300, rel=0.05)


# --- Properties -----------------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    """Instructions of all modules whose tokens are pushed before they are popped."""
    rows: list[Row] = []
    for _ in range(draw(st.integers(1, 12))):
        size = draw(st.integers(1, 40))
        rows += [
            load(Memory.INP, 0, 0x100 + draw(st.integers(0, 9)), x_size=size, push_next=1),
            gemm(0, 1, iter_in=draw(st.integers(1, 200)), pop_prev=1, push_next=1),
            store(0, 0x800 + draw(st.integers(0, 9)), x_size=size, pop_prev=1),
        ]
        if draw(st.booleans()):
            rows.append(load(Memory.ACC, 0, 0x80, x_size=draw(st.integers(1, 20))))
    return [*rows, finish()]


@settings(max_examples=60)
@given(streams(), st.sampled_from([1, 4, 512]))
def test_modules_are_in_order_and_their_cycles_add_up(rows: list[Row], depth: int) -> None:
    """No module does two things at once, tokens are waited for, and no cycle is counted twice."""
    config = Config(timing=Timing(queue_depth=depth))
    table = table_of(rows)
    report = simulate(config, table, timeline=True)
    assert report.timeline is not None
    for queue, module in enumerate((report.load, report.compute, report.store)):
        own = report.timeline[queues(table) == queue]
        assert (own[1:, 0] >= own[:-1, 1]).all()
        assert (own[:, 1] - own[:, 0]).sum() == module.busy + module.waiting_for_bus
        parts = (module.busy, module.waiting_for_token, module.waiting_for_bus, module.idle)
        assert min(parts) >= 0
        assert sum(parts) == report.cycles
    starts, ends = report.timeline[:, 0], report.timeline[:, 1]
    for producer, consumer in ((Queue.LOAD, Queue.COMPUTE), (Queue.COMPUTE, Queue.STORE)):
        pushes = ends[(queues(table) == producer) & (table[:, 4] == 1)]
        pops = starts[(queues(table) == consumer) & (table[:, 1] == 1)]
        assert (pops >= pushes).all()
    again = simulate(config, table)
    assert again.cycles == report.cycles
    assert again.timeline is None


def test_roofline_of_a_product() -> None:
    """16 steps of 256 products; 680 bytes read at 8 a cycle."""
    table = table_of(product_rows())
    report = simulate(DEFAULT, table)
    roof = roofline(DEFAULT, table, report)
    assert (roof.macs, roof.read_bytes, roof.peak, roof.bandwidth) == (4096, 680, 256, 8)
    assert roof.intensity == pytest.approx(4096 / 680)
    assert roof.attainable == pytest.approx(8 * 4096 / 680)
    assert roof.achieved == pytest.approx(4096 / 298)
    assert roof.limit == "memory"
    long = np.array(table)
    long[5, 18] = 1000
    assert roofline(DEFAULT, long, simulate(DEFAULT, long)).limit == "compute"
