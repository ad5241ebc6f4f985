"""The binary encoding: field by field for the default, and both directions for every machine."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isa.codec import (
    DecodingError,
    EncodingError,
    Queue,
    Table,
    alu,
    decode,
    decode_uops,
    encode,
    encode_uops,
    field_layout,
    finish,
    gemm,
    load,
    nop,
    queues,
    store,
    table_of,
)
from isa.config import Config
from isa.fields import AluOp, Column, Memory, Opcode, uop_widths
from isa.listing import listing, records
from tests.oracles import bits
from tests.programs import product
from tests.strategies import configs

DEFAULT = Config.default()
GOLDEN = Path(__file__).parent.parent / "golden" / "product_16x16x16.txt"

# --- The default configuration, as the specification lists it -------------------------------------

# First and last bit of each field.
HEAD = {
    "OPCODE": (2, 0), "POP_PREV": (3, 3), "POP_NEXT": (4, 4), "PUSH_PREV": (5, 5),
    "PUSH_NEXT": (6, 6),
}  # fmt: skip
TRANSFER = HEAD | {
    "MEMORY_TYPE": (9, 7), "SRAM_BASE": (25, 10), "DRAM_BASE": (57, 26), "Y_SIZE": (79, 64),
    "X_SIZE": (95, 80), "X_STRIDE": (111, 96), "Y_PAD_0": (115, 112), "Y_PAD_1": (119, 116),
    "X_PAD_0": (123, 120), "X_PAD_1": (127, 124),
}  # fmt: skip
LOOPS = HEAD | {
    "RESET": (7, 7), "UOP_BGN": (20, 8), "UOP_END": (34, 21), "ITER_OUT": (48, 35),
    "ITER_IN": (62, 49), "DST_OUT": (74, 64), "DST_IN": (85, 75), "SRC_OUT": (96, 86),
    "SRC_IN": (107, 97),
}  # fmt: skip
SPECIFIED = {
    Opcode.LOAD: TRANSFER,
    Opcode.STORE: TRANSFER,
    Opcode.GEMM: LOOPS | {"WGT_OUT": (117, 108), "WGT_IN": (127, 118)},
    Opcode.ALU: LOOPS | {"ALU_OPCODE": (110, 108), "USE_IMM": (111, 111), "IMM": (127, 112)},
    Opcode.FINISH: HEAD,
}


@pytest.mark.parametrize("opcode", Opcode)
def test_fields_of_the_default_lie_where_the_specification_has_them(opcode: Opcode) -> None:
    """Each field's first and last bit, with the holes at 58 and 63."""
    found = {
        f.column.name: (f.low_bit + f.width - 1, f.low_bit) for f in field_layout(DEFAULT, opcode)
    }
    assert found == SPECIFIED[opcode]


def test_a_small_micro_op_buffer_moves_a_field() -> None:
    """As measured on VTA's structures: dst_factor_out at bits 61 to 51, dst_factor_in at 64."""
    config = Config(log_uop_buff_size=9)
    low = {f.column: f.low_bit for f in field_layout(config, Opcode.GEMM)}
    assert low[Column.DST_OUT] == 51
    assert low[Column.DST_IN] == 64


def word(**fields: tuple[int, int]) -> str:
    """16 bytes in hexadecimal from (value, first bit) of each field that is not 0."""
    value = sum(number << low for number, low in fields.values())
    return value.to_bytes(16, "little").hex()


# A 16x16x16 product by hand. Sections are a page each: INP 0x1000, WGT 0x2000, OUT 0x3000 and UOP
# 0x4000, so in elements INP 0x1000/16 = 0x100, WGT 0x2000/256 = 0x20, OUT 0x3000/16 = 0x300 and UOP
# 0x4000/4 = 0x1000. Fields that are 0 are left out (LOAD is opcode 0, UOP memory 0).
BY_HAND = [
    # LOAD UOP: one micro-op to 0.
    word(dram=(0x1000, 26), y_size=(1, 64), x_size=(1, 80), stride=(1, 96)),
    # GEMM reset over micro-op [0, 1) and 16 inner iterations that step dst by 1; it tells the load
    # module to start (push_prev).
    word(
        opcode=(2, 0), push_prev=(1, 5), reset=(1, 7), end=(1, 21), iter_out=(1, 35),
        iter_in=(16, 49), dst_in=(1, 75),
    ),
    # LOAD INP: 16 vectors to 0, when told to (pop_next).
    word(
        pop_next=(1, 4), memory=(2, 7), dram=(0x100, 26), y_size=(1, 64), x_size=(16, 80),
        stride=(16, 96),
    ),
    # LOAD WGT: one block to 0; the compute module may use both (push_next).
    word(
        push_next=(1, 6), memory=(1, 7), dram=(0x20, 26), y_size=(1, 64), x_size=(1, 80),
        stride=(1, 96),
    ),
    # LOAD UOP: the second micro-op to 1, after the loads (pop_prev).
    word(
        pop_prev=(1, 3), sram=(1, 10), dram=(0x1001, 26), y_size=(1, 64), x_size=(1, 80),
        stride=(1, 96),
    ),
    # GEMM over micro-op [1, 2) and 16 iterations that step dst and src by 1; then STORE may read.
    word(
        opcode=(2, 0), push_next=(1, 6), begin=(1, 8), end=(2, 21), iter_out=(1, 35),
        iter_in=(16, 49), dst_in=(1, 75), src_in=(1, 97),
    ),
    # STORE OUT: 16 vectors from 0, after the GEMM (pop_prev); FINISH waits for it (push_prev).
    word(
        opcode=(1, 0), pop_prev=(1, 3), push_prev=(1, 5), memory=(4, 7), dram=(0x300, 26),
        y_size=(1, 64), x_size=(16, 80), stride=(16, 96),
    ),
    # LOAD INP of nothing: the load module is done (push_next).
    word(push_next=(1, 6), memory=(2, 7), y_size=(1, 64)),
    # LOAD UOP of nothing: wait for both (pop_prev and pop_next).
    word(pop_prev=(1, 3), pop_next=(1, 4), y_size=(1, 64)),
    word(opcode=(3, 0)),
]  # fmt: skip


def test_golden_bytes_of_a_product() -> None:
    """The golden file is what the hand gives, and the assembler gives the golden file."""
    golden = GOLDEN.read_text(encoding="ascii").split()
    assert golden == BY_HAND
    program = product()
    assert program.binary.hex() == "".join(golden)
    assert program.uop_binary == bytes(8)


def test_golden_bytes_read_in_plain_sight() -> None:
    """Two of the words, written out: little endian, low half first."""
    # LOAD UOP: 0x1000 << 26 = 0x40_0000_0000; y_size, x_size and x_stride are 1.
    assert BY_HAND[0] == struct.pack("<QHHHH", 0x40_0000_0000, 1, 1, 1, 0).hex()
    # FINISH: the opcode alone.
    assert BY_HAND[-1] == "03" + 15 * "00"


def test_micro_ops_of_the_default() -> None:
    """Bits 10 to 0 are dst, 21 to 11 src, 31 to 22 wgt; any index of a scratchpad fits."""
    uops = np.array([[1, 2, 3], [2047, 2047, 1023], [0, 0, 0]])
    words = [1 | 2 << 11 | 3 << 22, 0xFFFFFFFF, 0]
    assert encode_uops(DEFAULT, uops) == struct.pack("<3I", *words)


# --- Every configuration --------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn, config: Config) -> Table:
    """Random legal instructions, every field anywhere within its limits."""
    rows = []
    for opcode in draw(st.lists(st.sampled_from(Opcode), max_size=12)):
        row = np.zeros(len(Column), np.int64)
        for field in field_layout(config, opcode):
            low, high = field.limits
            ends = st.sampled_from([low, high])
            row[field.column] = draw(ends | st.integers(low, high))
        row[Column.OPCODE] = opcode
        if opcode is Opcode.LOAD:
            row[Column.MEMORY_TYPE] = draw(st.sampled_from([0, 1, 2, 3, 5]))
        elif opcode is Opcode.STORE:
            row[Column.MEMORY_TYPE] = Memory.OUT
        elif opcode is Opcode.ALU:
            row[Column.ALU_OPCODE] = draw(st.sampled_from(AluOp))
        rows.append(tuple(row.tolist()))
    return table_of(rows)


@given(st.data(), configs())
def test_disassembling_gives_back_what_was_assembled(data: st.DataObject, config: Config) -> None:
    """Both directions are the identity, and agree with words put together bit by bit."""
    table = data.draw(tables(config))
    binary = encode(config, table)
    assert np.array_equal(decode(config, binary), table)
    for i, row in enumerate(table.tolist()):
        values = {column.name.lower(): row[column] for column in Column}
        part = binary[16 * i : 16 * i + 16]
        assert part == bits.encode(config, values)
        assert bits.decode(config, part).items() <= values.items()
    text = listing(table)
    assert len(text.splitlines()) == len(table)
    for record, row in zip(records(config, table), table.tolist(), strict=True):
        assert record["opcode"] == Opcode(row[Column.OPCODE]).name


@given(st.data(), configs())
def test_micro_ops_come_back(data: st.DataObject, config: Config) -> None:
    """Both directions are the identity for indices anywhere within the widths."""
    limits = [(1 << width) - 1 for width in uop_widths(config.log_depths)]
    count = data.draw(st.integers(0, 9))
    columns = [data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, n))) for n in limits]
    uops = np.stack(columns, axis=1)
    binary = encode_uops(config, uops)
    assert np.array_equal(decode_uops(config, binary), uops)
    for i, uop in enumerate(uops.tolist()):
        assert bits.decode_uop(config, binary[4 * i : 4 * i + 4]) == tuple(uop)


def attempt(config: Config, data: bytes) -> Table | str:
    """The decoded bytes, or why they are not."""
    try:
        return decode(config, data)
    except DecodingError as error:
        return str(error)


@given(st.binary(max_size=100), configs())
def test_any_bytes_are_instructions_or_a_clear_error(data: bytes, config: Config) -> None:
    """Decoding never crashes, and what it accepts is assembled to the same fields again."""
    table = attempt(config, data)
    if isinstance(table, str):
        assert "instruction" in table
        return
    assert np.array_equal(decode(config, encode(config, table)), table)
    assert len(listing(table).splitlines()) == len(table)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), configs())
def test_any_word_is_an_instruction_or_a_clear_error(low: int, high: int, config: Config) -> None:
    """Whole words, of which most are accepted."""
    data = struct.pack("<QQ", low, high)
    table = attempt(config, data)
    if isinstance(table, str):
        assert table.startswith("instruction 0: ")
        assert table.endswith("does not exist")
        return
    (row,) = table.tolist()
    values = {column.name.lower(): row[column] for column in Column}
    assert bits.decode(config, data).items() <= values.items()


@given(st.binary(max_size=40), configs())
def test_any_bytes_are_micro_ops_or_a_clear_error(data: bytes, config: Config) -> None:
    """Every whole word is a micro-op."""
    if len(data) % 4:
        with pytest.raises(DecodingError, match="4-byte"):
            decode_uops(config, data)
    else:
        assert decode_uops(config, data).shape == (len(data) // 4, 3)


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (load(Memory.INP, 65_536, 1, x_size=1), "LOAD sram_base is 65536, not 0 to 65535"),
        (load(Memory.INP, 0, 1 << 32, x_size=1), "LOAD dram_base is 4294967296"),
        (load(Memory.INP, 0, 1, x_size=1, pads=(16, 0, 0, 0)), "y_pad_0 is 16, not 0 to 15"),
        (load(Memory.OUT, 0, 1, x_size=1), "memory_type 4 does not exist"),
        (store(0, 1, x_size=-1), "STORE x_size is -1"),
        (gemm(0, 1, iter_out=16_384), "GEMM iter_out is 16384, not 0 to 16383"),
        (gemm(8192, 8192), "GEMM uop_bgn is 8192, not 0 to 8191"),
        (gemm(0, 1, wgt=(1024, 0)), "GEMM wgt_out is 1024, not 0 to 1023"),
        (alu(AluOp.ADD, 0, 1, imm=32_768), "ALU imm is 32768, not -32768 to 32767"),
        (alu(5, 0, 1), "alu_opcode 5 does not exist"),
        ((6, *finish()[1:]), "opcode 6 does not exist"),
        ((*finish()[:-1], 1), "FINISH imm is 1, not 0 to 0"),
    ],
)
def test_values_without_a_place_are_refused(row: tuple[int, ...], named: str) -> None:
    """A value beyond its field, or in a column without one, names instruction, field and limits."""
    with pytest.raises(EncodingError) as caught:
        encode(DEFAULT, table_of([finish(), row]))
    assert "instruction 1: " in str(caught.value)
    assert named in str(caught.value)


def test_micro_ops_without_a_place_are_refused() -> None:
    """An index beyond its bits, or below zero, is named."""
    for uop, named in (
        ([2048, 0, 0], "dst is 2048, not 0 to 2047"),
        ([0, -1, 0], "src is -1, not 0 to 2047"),
        ([0, 0, 1024], "wgt is 1024, not 0 to 1023"),
    ):
        with pytest.raises(EncodingError, match=f"micro-op 1: {named}"):
            encode_uops(DEFAULT, np.array([[0, 0, 0], uop]))


# --- Queues and text ------------------------------------------------------------------------------


def test_queues() -> None:
    """INP and WGT loads are the load module's, stores the store module's, the rest compute."""
    loads = [load(memory, 0, 1, x_size=1) for memory in (1, 2, 0, 3, 5)]
    others = [store(0, 1, x_size=1), gemm(0, 1), alu(AluOp.ADD, 0, 1), finish()]
    nops = [nop(queue) for queue in Queue]
    assert queues(table_of([*loads, *others, *nops])).tolist() == [
        0, 0, 1, 1, 1, 2, 1, 1, 1, 0, 1, 2,
    ]  # fmt: skip


def test_listing_says_all_that_matters() -> None:
    """Transfers with strides and pads, loops, operands and tokens, one line each."""
    rows = [
        load(Memory.INP, 3, 0x100, x_size=4, y_size=2, x_stride=9, pads=(1, 0, 0, 2), pop_next=1),
        gemm(1, 3, iter_in=5, dst=(0, 1), src=(2, 3), wgt=(4, 5), push_next=1),
        alu(AluOp.SHR, 0, 1, imm=-3),
        store(0, 0x300, x_size=7, pop_prev=1),
    ]
    lines = listing(table_of(rows), np.array([[1, 2, 3]])).splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines[:4]] == [
        "LOAD INP sram 3 <- dram 0x100, 2 x 4 stride 9 pads y 1+0 x 0+2  [pop_next]",
        "GEMM uops 1:3 loops 1 x 5 dst 0,1 src 2,3 wgt 4,5  [push_next]",
        "ALU SHR -3 uops 0:1 loops 1 x 1 dst 0,0 src 0,0",
        "STORE OUT sram 0 -> dram 0x300, 1 x 7  [pop_prev]",
    ]
    assert lines[4] == "uop    0  dst 1 src 2 wgt 3"
