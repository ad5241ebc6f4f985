"""The functional simulator: bit for bit the specification, and nothing that hardware would not do.

Random programs are compared with `tests.oracles.machine`, as each implementation executes them.
What one breaks at, or does in ways of its own, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from isa.codec import (
    DecodingError,
    Queue,
    Row,
    alu,
    encode,
    finish,
    gemm,
    load,
    nop,
    store,
    table_of,
)
from isa.config import Config
from isa.fields import AluOp, Memory
from isa.program_image import Program
from simulator import functional
from simulator.errors import SimulationError
from simulator.execution import multiply_block
from simulator.functional import Result, execute
from simulator.implementations import Implementation, admitted
from simulator.jit import awake
from tests import seeded
from tests.oracles.machine import MACHINES, Machine, StoppedError
from tests.programs import product, product_data

DATA, CODE = 0x1000, 0x4000  # where random programs have their tensors and instructions
DEFAULT = Config.default()


# Made once: what is made for each instruction anew takes half of the time of drawing it.
ONE_TO_3, TO_3, TO_4, TO_6, TO_8 = (
    st.integers(1, 3), st.integers(0, 3), st.integers(0, 4), st.integers(0, 6), st.integers(0, 8),
)  # fmt: skip
TWO_TO_4 = st.integers(2, 4)
SELDOM = st.sampled_from([0, 0, 0, 1])
PADS = st.tuples(*(st.sampled_from([0, 0, 1, 2]) for _ in "yyxx"))
FACTORS = st.tuples(SELDOM, SELDOM)
IMMEDIATES = st.none() | st.integers(-40, 40) | st.integers(-(2**15), 2**15 - 1)
# Of HLS, the ACC scratchpad is no deeper than the INP scratchpad: the depths' logarithms, by that.
DEPTHS = {
    shallow: st.sampled_from(
        [(inp, acc) for inp in (2, 3, 4) for acc in (2, 3, 4) if (acc <= inp) == shallow]
    )
    for shallow in (True, False)
}
OPERATIONS = {True: st.sampled_from([*AluOp]), False: st.sampled_from([*AluOp][: AluOp.MUL])}


@st.composite
def machines(draw: st.DrawFn, log_batch: int, shallow: bool) -> Config:
    """A configuration small enough for an interpreter in plain Python; see `DEPTHS`."""
    block_in, block_out = draw(TO_3), draw(TO_3)
    inp, acc = draw(DEPTHS[shallow])
    return Config(
        log_batch=log_batch,
        log_block_in=block_in,
        log_block_out=block_out,
        log_uop_buff_size=2 + draw(TWO_TO_4),
        log_inp_buff_size=log_batch + block_in + inp,
        log_wgt_buff_size=block_in + block_out + draw(ONE_TO_3),
        log_acc_buff_size=2 + log_batch + block_out + acc,
    )


@st.composite
def transfers(draw: st.DrawFn, config: Config, memory: Memory, wild: bool) -> Row:
    """A LOAD or STORE that stays within the data and, nearly always, its scratchpad."""
    x_size, y_size = draw(TO_4), draw(TO_3 if wild else ONE_TO_3)
    stride = draw(TO_6)
    first = -(-DATA // config.element_bytes(memory))
    dram = first + draw(TO_8)
    sram = draw(st.integers(0, max(0, config.depth(memory) - 1)))
    if memory is Memory.OUT:
        return store(sram, dram, x_size=x_size, y_size=y_size, x_stride=stride)
    pads = draw(PADS)
    return load(memory, sram, dram, x_size=x_size, y_size=y_size, x_stride=stride, pads=pads)


@st.composite
def loops(draw: st.DrawFn, config: Config, wild: bool) -> Row:
    """A GEMM or ALU instruction whose indices go a little beyond the small scratchpads at times."""
    begin = draw(st.integers(0, config.uop_depth - 1))
    least = begin - 1 if wild else begin + 1
    end = draw(st.integers(max(0, least), min(begin + 3, config.uop_depth)))
    counts = {"iter_out": draw(ONE_TO_3), "iter_in": draw(ONE_TO_3)}
    dst, src, wgt = draw(FACTORS), draw(FACTORS), draw(FACTORS)
    if draw(st.booleans()):
        return gemm(begin, end, dst=dst, src=src, wgt=wgt, reset=draw(SELDOM), **counts)
    operation = draw(OPERATIONS[wild])
    return alu(operation, begin, end, imm=draw(IMMEDIATES), dst=dst, src=src, **counts)


@st.composite
def programs(
    draw: st.DrawFn, log_batch: int, shallow: bool
) -> tuple[Config, NDArray[np.uint8], int]:
    """A configuration, a memory image and the number of instructions at `CODE` in it.

    What the scratchpads hold is loaded first, now and then all but one; a store of every
    accumulator is the last instruction but FINISH.
    """
    config, wild = draw(machines(log_batch, shallow)), draw(st.sampled_from([False, False, True]))
    loaded = [Memory.UOP, Memory.INP, Memory.WGT, Memory.ACC]
    missing = draw(st.sampled_from([None, None, None, *loaded[1:]]))
    rows = [_load_all(config, memory) for memory in loaded if memory is not missing]
    moved = [*Memory][: len(Memory) if wild else Memory.ACC_8BIT]
    moving = st.sampled_from(moved).flatmap(lambda memory: transfers(config, memory, wild))
    looping = loops(config, wild)
    body = draw(st.lists(looping | looping | moving, min_size=1, max_size=12))
    base = CODE // 2 // config.out_bytes
    program = [*rows, *body, store(0, base, x_size=config.acc_depth), finish()]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    image = np.zeros(CODE + 16 * len(program), np.uint8)
    image[DATA:CODE] = rng.integers(0, 256, CODE - DATA)
    code = encode(config, table_of(program))
    image[CODE:] = np.frombuffer(code, np.uint8)
    return config, image, len(program)


def _load_all(config: Config, memory: Memory) -> Row:
    dram = -(-DATA // config.element_bytes(memory))
    return load(memory, 0, dram, x_size=config.depth(memory))


def _interpreted(
    config: Config, image: NDArray[np.uint8], count: int, implementation: Implementation
) -> Machine | None:
    """The interpreter after the program; None when it stops."""
    machine = MACHINES[implementation](config, image.tobytes())
    try:
        machine.run(CODE, count)
    except StoppedError:
        return None
    return machine


@dataclass
class Seen:
    """What an implementation has made of random programs: which ended, and lanes at the end."""

    ended: list[bool] = field(default_factory=list)
    undefined: int = 0
    accumulators: int = 0


SEEDS = (5, 7)  # with each of these, what is undefined is met often enough
# By the batch's logarithm and `DEPTHS`; together, each implementation has more than 400 to execute.
PARTS = {(0, True): 135, (0, False): 68, (1, True): 100, (1, False): 35}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs_do_what_the_specification_says(seed: int) -> None:
    """Memory, what of it is undefined, and accumulators agree, and all stop at the same places.

    Every implementation that a configuration can be built of executes the same programs. Of these,
    a good part ends. At the end, a good part of the accumulators is defined, and a good part is
    not.
    """
    seen = {implementation: Seen() for implementation in Implementation}

    def compare(program: tuple[Config, NDArray[np.uint8], int]) -> None:
        for implementation in admitted(program[0]):
            _execute_both(*program, implementation, seen[implementation])

    for part, examples in PARTS.items():
        seeded.run(compare, seed, examples, programs(*part))
    for its in seen.values():
        assert len(its.ended) >= 400 / len(SEEDS)
        assert len(its.ended) // 8 < sum(its.ended) < len(its.ended)
        assert its.accumulators // 20 < its.undefined < its.accumulators * 19 // 20


def _execute_both(
    config: Config,
    image: NDArray[np.uint8],
    count: int,
    implementation: Implementation,
    seen: Seen,
) -> None:
    """Execute a program here and by the interpreter, and compare what they leave."""
    before, expected = image.copy(), _interpreted(config, image, count, implementation)
    seen.ended.append(expected is not None)
    if expected is None:
        with pytest.raises(SimulationError):
            execute(config, image, CODE, count, portable=False, implementation=implementation)
        return
    result = execute(config, image, CODE, count, portable=False, implementation=implementation)
    seen.undefined += int(result.undefined[CODE // 2 :].sum())
    seen.accumulators += config.acc_depth * config.out_bytes
    _compare(config, result, expected)
    assert np.array_equal(image, before)


def _compare(config: Config, result: Result, expected: Machine) -> None:
    dram = np.array([-1 if byte is None else byte for byte in expected.dram], np.int16)
    unknown = dram < 0
    # What has been stored undefined and is loaded again is followed by elements, not by bytes.
    if expected.reloaded:
        assert not (unknown & ~result.undefined).any()
    else:
        assert np.array_equal(result.undefined, unknown)
        assert np.array_equal(result.image[~unknown], dram[~unknown])
        lanes = result.accumulators.reshape(config.acc_depth, -1)
        for element, vector in enumerate(expected.sram[3]):
            for lane, value in enumerate(vector):
                assert value is None or lanes[element, lane] == value


def test_the_product_is_right_whatever_was_in_the_scratchpads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The 16x16x16 product, from other contents each time."""
    inputs, output = product_data()
    for poison in (0x5A, 0, 0x21):
        monkeypatch.setattr(functional, "_POISON", poison)
        result = functional.run(product(), inputs)
        assert np.array_equal(product().output(result.image).reshape(16, 16), output)
    assert result.counts.bytes == {
        "uop": 8, "inp": 256, "wgt": 256, "acc": 0, "out": 256, "insn": 160,
    }  # fmt: skip
    assert (result.counts.gemm_uops, result.counts.alu_uops) == (32, 0)


# --- Single instructions by hand ------------------------------------------------------------------


def run(rows: list[Row], *, portable: bool = True, acc: int = 0, uops: int = 1) -> Result:
    """Execute instructions on the default machine after loading micro-ops and an accumulator.

    ACC element 0 and those up to 15 hold `acc` in every lane.
    """
    words = [(0, 0, 0), (1, 1, 0), (2, 1, 0)][:uops]
    program = Program.build(
        DEFAULT,
        table_of(
            [
                load(Memory.UOP, 0, 0x4000 // 4, x_size=uops),
                load(Memory.ACC, 0, 0x2000 // 64, x_size=16),
                *rows,
                finish(),
            ]
        ),
        np.array(words),
        {"INP": 16, "ACC": 1024, "OUT": 256},
    )
    assert program.section("ACC").address == 0x2000
    assert program.section("UOP").address == 0x4000
    image = program.image({"ACC": np.full(256, acc, np.int32)})
    code = program.section("INSN")
    return execute(DEFAULT, image, code.address, code.size // 16, portable=portable)


OUT = 0x3000 // 16


@pytest.mark.parametrize(
    ("operation", "acc", "imm", "expected"),
    [
        (AluOp.MIN, 5, -3, -3),
        (AluOp.MAX, 5, -3, 5),
        (AluOp.ADD, 2**31 - 1, 1, -(2**31)),
        (AluOp.ADD, 5, -(2**15), 5 - 2**15),
        (AluOp.SHR, -5, 1, -3),
        (AluOp.SHR, -5, 15, -1),
        (AluOp.SHR, 3, -15, 3 << 15),
        (AluOp.SHR, 2**30 + 1, -2, 4),
    ],
)
def test_alu_on_one_value(operation: AluOp, acc: int, imm: int, expected: int) -> None:
    """Arithmetic shifts both ways, wrap-around, signed comparisons and immediates."""
    result = run([alu(operation, 0, 1, imm=imm)], acc=acc)
    assert result.accumulators[0].tolist() == [[expected] * 16]
    assert result.accumulators[1].tolist() == [[acc] * 16]


@pytest.mark.parametrize(
    ("operation", "acc", "imm", "expected"),
    [
        (AluOp.MUL, 2**20 + 3, 2**12 + 1, (2**20 + 3) * (2**12 + 1) - 2**32),
        (AluOp.SHR, 256, 40, 1),
        (AluOp.SHR, 1, -33, 2),
        (AluOp.SHR, -1, 31, -1),
    ],
)
def test_alu_that_only_the_c_simulator_has(
    operation: AluOp, acc: int, imm: int, expected: int
) -> None:
    """Products and far shifts, modulo 32, come out as there, where portability is not asked for."""
    row = alu(operation, 0, 1, imm=imm)
    assert run([row], acc=acc, portable=False).accumulators[0, 0, 0] == expected
    with pytest.raises(SimulationError):
        run([row], acc=acc)


def test_stores_keep_the_low_byte() -> None:
    """300 is stored as 44 and -129 as 127: bytes wrap, they do not saturate."""
    for acc, byte in ((300, 44), (-129, 127)):
        store_one = store(0, OUT, x_size=1)
        result = run([alu(AluOp.ADD, 0, 1, imm=0, push_next=1), _gated(store_one), _end()], acc=acc)
        assert result.image[0x3000:0x3010].view(np.int8).tolist() == [byte] * 16


def _gated(row: Row) -> Row:
    """A STORE that waits for the compute module, and for which FINISH can wait."""
    return (row[0], 1, 0, 1, 0, *row[5:])


def _end() -> Row:
    return nop(Queue.COMPUTE, pop_next=1)


def test_eight_bit_loads_extend_the_sign() -> None:
    """ACC_8BIT reads a byte a lane into 32 bits, where portability is not asked for."""
    row = load(Memory.ACC_8BIT, 0, 0x2000 // 16, x_size=1)
    result = run([row], acc=0x80, portable=False)
    assert result.accumulators[0].tolist() == [[-128, 0, 0, 0] * 4]


def test_padding_surrounds_the_data_with_zeros() -> None:
    """Rows above and below, elements before and after, in the scratchpad's dense order."""
    pads = (1, 0, 1, 1)
    row = load(Memory.ACC, 0, 0x2000 // 64, x_size=1, y_size=2, x_stride=1, pads=pads)
    lanes = run([row], acc=7).accumulators[:10, 0, 0]
    assert lanes.tolist() == [0, 0, 0, 0, 7, 0, 0, 7, 0, 7]


# --- What hardware would break at -----------------------------------------------------------------

BOUNDS = [
    ([load(Memory.INP, 2040, 0x100, x_size=9)], "end of the scratchpad"),
    ([load(Memory.INP, 0, 0x100, x_size=1, y_size=683, x_stride=0, pads=(0, 0, 1, 1))], "end of"),
    ([load(Memory.WGT, 1023, 0x10, x_size=2)], "end of the scratchpad"),
    ([load(Memory.ACC, 2048, 0x80, x_size=1)], "end of the scratchpad"),
    ([load(Memory.UOP, 8192, 0x1000, x_size=1)], "end of the scratchpad"),
    ([store(2047, OUT, x_size=2)], "end of the scratchpad"),
    ([load(Memory.INP, 0, 0, x_size=1)], "DRAM address 0"),
    ([load(Memory.INP, 0, 0xFFFF_FFFF, x_size=1)], "end of DRAM"),
    ([load(Memory.INP, 0, 0x100, x_size=2, y_size=9, x_stride=0xFFFF)], "end of DRAM"),
    ([store(0, 0x600, x_size=1)], "end of DRAM"),
    ([gemm(0, 8193)], "UOP depth 8192"),
    ([gemm(0, 2)], "micro-op 1 was never loaded"),
    ([gemm(0, 1, iter_in=3, dst=(0, 1024), reset=1)], "destination index reaches 2048"),
    ([gemm(0, 1, iter_out=2, iter_in=2, src=(2047, 1))], "source index reaches 2048"),
    ([gemm(0, 1, iter_in=1025, wgt=(0, 1))], "weight index reaches 1024"),
    ([alu(AluOp.ADD, 0, 1, iter_in=2049, dst=(0, 1))], "destination index reaches 2048"),
    ([alu(AluOp.ADD, 0, 1, imm=1, iter_in=2049, src=(0, 1))], "source index reaches 2048"),
    ([(*store(0, OUT, x_size=1)[:12], 1, *store(0, OUT, x_size=1)[13:])], "STORE with padding"),
    ([finish()], "FINISH before the end"),
]


@pytest.mark.parametrize(("rows", "reason"), BOUNDS)
def test_what_hardware_would_break_at_is_refused(rows: list[Row], reason: str) -> None:
    """The instruction (the third of the program) and the rule are named, portable or not."""
    for portable in (True, False):
        with pytest.raises(SimulationError, match=reason) as caught:
            run(rows, portable=portable)
        assert caught.value.instruction == 2


@pytest.mark.parametrize(
    ("rows", "instruction", "reason"),
    [
        ([nop(Queue.COMPUTE, pop_prev=1)], 0, "deadlock.*load to compute"),
        ([nop(Queue.STORE, pop_prev=1)], 0, "deadlock.*compute to store"),
        ([nop(Queue.LOAD, pop_prev=1)], 0, "pop_prev leads nowhere"),
        ([nop(Queue.LOAD, push_prev=1)], 0, "push_prev leads nowhere"),
        ([nop(Queue.STORE, pop_next=1)], 0, "pop_next leads nowhere"),
        ([nop(Queue.STORE, push_next=1)], 0, "push_next leads nowhere"),
        ([nop(Queue.LOAD, push_next=1)], None, "leaves load to compute tokens"),
    ],
)
def test_tokens_have_to_meet(rows: list[Row], instruction: int | None, reason: str) -> None:
    """Waiting for ever, flags that lead nowhere, and tokens that are left over."""
    with pytest.raises(SimulationError, match=reason) as caught:
        run(rows)
    if instruction is not None:
        assert caught.value.instruction == instruction + 2


def test_counters_saturate() -> None:
    """The 256th waiting token is lost on hardware; the C simulator counts on."""
    for count in (255, 256):
        rows = [
            *[nop(Queue.LOAD, push_next=1)] * count,
            *[nop(Queue.COMPUTE, pop_prev=1)] * count,
        ]
        run(rows, portable=False)
        if count == 255:
            run(rows)
        else:
            with pytest.raises(SimulationError, match="255 load to compute tokens"):
                run(rows)


def test_a_program_has_to_end() -> None:
    """FINISH is the last instruction, and there is one."""
    for rows, reason in (([], "empty program"), ([nop(Queue.COMPUTE)], "end with FINISH")):
        code = encode(DEFAULT, table_of(rows))
        image = np.zeros(0x1000 + len(code), np.uint8)
        image[0x1000:] = np.frombuffer(code, np.uint8)
        with pytest.raises(SimulationError, match=reason):
            execute(DEFAULT, image, 0x1000, len(rows))


def test_instructions_have_to_be_in_memory_and_exist() -> None:
    """Addresses outside the image and words that are no instructions are refused."""
    image = np.full(64, 0xFF, np.uint8)
    for address, n in ((-16, 1), (64, 1), (0, 5)):
        with pytest.raises(SimulationError, match="of 64"):
            execute(DEFAULT, image, address, n)
    with pytest.raises(DecodingError, match="opcode 7"):
        execute(DEFAULT, image, 0, 4)


# --- What VTA's implementations do differently ----------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([load(Memory.INP, 0, 0x100, x_size=1, y_size=0)], "no rows"),
        ([gemm(0, 0)], "empty range"),
        ([gemm(1, 1)], "empty range"),
        ([alu(AluOp.ADD, 3, 2, imm=0)], "empty range"),
        ([gemm(0, 1, iter_out=0)], "no iterations"),
        ([alu(AluOp.ADD, 0, 1, imm=0, iter_in=0)], "no iterations"),
        ([load(Memory.ACC_8BIT, 0, 0x200, x_size=1)], "8-bit ACC load"),
        ([load(Memory.WGT, 0, 0x10, x_size=1, pads=(0, 0, 0, 1))], "padding on a UOP or WGT load"),
        ([load(Memory.UOP, 0, 0x1000, x_size=1, pads=(1, 0, 0, 0))], "padding on a UOP"),
        ([load(Memory.UOP, 0, 0x1000, x_size=1, y_size=2)], "UOP load of several rows"),
        ([load(Memory.INP, 0, 0x100, x_size=0, pads=(1, 0, 0, 0))], "no-op with padding"),
        ([alu(AluOp.MUL, 0, 1, imm=1)], "MUL"),
        ([alu(AluOp.SHR, 0, 1, imm=16)], "shift"),
        ([alu(AluOp.SHR, 0, 1, imm=-16)], "shift"),
        ([alu(AluOp.ADD, 0, 1, imm=1, iter_in=2)], "adjacent ALU micro-ops meet in ACC element 0"),
        ([alu(AluOp.ADD, 0, 2, imm=1, iter_in=2), alu(AluOp.ADD, 1, 3)], "element 1"),
        ([alu(AluOp.ADD, 2, 3, imm=1)], "another source than destination 2"),
        ([alu(AluOp.ADD, 0, 1, imm=1, dst=(1, 0))], "another source than destination 0"),
        ([alu(AluOp.ADD, 0, 1, imm=1, src=(0, 1))], "another source than destination 0"),
    ],
)
def test_what_is_not_portable_is_refused(rows: list[Row], reason: str) -> None:
    """It runs as in the C simulator where portability is not asked for."""
    run(rows, portable=False, uops=3)
    with pytest.raises(SimulationError, match=reason):
        run(rows, uops=3)


def test_the_same_destination_twice_is_fine_between_tensors() -> None:
    """Only a source that was just written is a hazard when there is no immediate."""
    run([alu(AluOp.ADD, 2, 3, iter_in=2)], uops=3)


@pytest.mark.parametrize(
    ("writer", "stale"),
    [
        (alu(AluOp.ADD, 0, 1, imm=0), False),
        (gemm(0, 1), False),
        (gemm(0, 1, reset=1), True),
        (load(Memory.ACC, 0, 0x80, x_size=1), True),
        (nop(Queue.COMPUTE), True),
    ],
)
def test_stores_need_a_writer_that_hardware_forwards(writer: Row, stale: bool) -> None:
    """Only ALU and non-reset GEMM micro-ops write OUT; loads and resets leave it stale."""
    inp = load(Memory.INP, 0, 0x100, x_size=1, push_next=1)
    head = nop(Queue.COMPUTE, pop_prev=1)
    wgt = load(Memory.WGT, 0, 0x10, x_size=1)
    push = nop(Queue.COMPUTE, push_next=1)
    rows = [wgt, inp, head, writer, push, _gated(store(0, OUT, x_size=1)), _end()]
    run(rows, portable=False)
    if stale:
        with pytest.raises(SimulationError, match="last writer did not write OUT"):
            run(rows)
    else:
        run(rows)


@pytest.mark.parametrize(
    ("batch", "block_in", "block_out"), [(1, 16, 16), (2, 8, 32), (4, 4, 4), (1, 32, 2)]
)
def test_products_wrap_around_at_their_extremes(batch: int, block_in: int, block_out: int) -> None:
    """Blocks of any width are exact where products are largest and accumulators overflow."""
    awake()

    @numba.njit
    def multiply(*arguments: Any) -> None:
        multiply_block(*arguments)

    rng = np.random.default_rng(7)
    inp = rng.choice([-128, 127], (3, batch, block_in))
    wgt = rng.choice([-128, 127], (2, block_out, block_in))
    wgt[1] = inp[2] = -128
    acc = rng.integers(-(2**31), 2**31, (4, batch * block_out)).astype(np.int32)
    for a, i, w in [(0, 0, 0), (3, 2, 1), (3, 2, 1), (1, 1, 0)]:
        expected = acc.copy()
        expected[a] += (inp[i] @ wgt[w].T).astype(np.int32).reshape(-1)
        turned = np.ascontiguousarray(wgt.transpose(0, 2, 1), np.int8)
        python = acc.copy()
        multiply_block(python, a, inp.astype(np.float32), i, turned, w)
        multiply(acc, a, inp.astype(np.float32), i, turned, w)
        np.testing.assert_array_equal(acc, expected)
        np.testing.assert_array_equal(python, expected)
