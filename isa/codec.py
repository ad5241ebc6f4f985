"""Assemble and disassemble: VTA's binary instructions and micro-ops, and their decoded tables.

A decoded program is an int64 table with one row an instruction and the columns of `Column`; columns
that an instruction does not have are 0. Micro-ops are an int64 table of (dst, src, wgt). Both
directions work on all rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isa.fields import (
    INSTRUCTION_BYTES,
    UNIT_BITS,
    UOP_BYTES,
    AluOp,
    Column,
    Field,
    Memory,
    Opcode,
    instruction_fields,
    uop_widths,
)

if TYPE_CHECKING:
    from isa.config import Config
    from isa.fields import LogDepths

Table: TypeAlias = NDArray[np.int64]
Row: TypeAlias = tuple[int, ...]

# OUT is missing: it is a copy of the accumulators' low bytes, which no LOAD can fill.
LOADABLE = (Memory.UOP, Memory.WGT, Memory.INP, Memory.ACC, Memory.ACC_8BIT)
_WORD = np.dtype("<u8")
# Plain, since each look at a member of an enumeration takes as long as a look at many rows.
_OPCODES, _ALU_OPS = tuple(map(int, Opcode)), tuple(map(int, AluOp))
_LOADED = tuple(map(int, LOADABLE))


class EncodingError(ValueError):
    """A value that its field cannot hold."""


class DecodingError(ValueError):
    """Bytes that are no VTA instruction."""


class Queue(IntEnum):
    """The module that executes an instruction; each works through its queue in order."""

    LOAD = 0
    COMPUTE = 1
    STORE = 2


class Counter(IntEnum):
    """The token counters between queues, named by who pushes and who pops."""

    LOAD_TO_COMPUTE = 0
    COMPUTE_TO_LOAD = 1
    COMPUTE_TO_STORE = 2
    STORE_TO_COMPUTE = 3


TOKEN_FLAGS = (Column.POP_PREV, Column.POP_NEXT, Column.PUSH_PREV, Column.PUSH_NEXT)

MAX_TOKENS = 255  # counters have 8 bits; at their limit they lose tokens
NO_COUNTER = -1
COUNTERS = np.array(
    [
        [NO_COUNTER, Counter.COMPUTE_TO_LOAD, NO_COUNTER, Counter.LOAD_TO_COMPUTE],
        [
            Counter.LOAD_TO_COMPUTE,
            Counter.STORE_TO_COMPUTE,
            Counter.COMPUTE_TO_LOAD,
            Counter.COMPUTE_TO_STORE,
        ],
        [Counter.COMPUTE_TO_STORE, NO_COUNTER, Counter.STORE_TO_COMPUTE, NO_COUNTER],
    ],
    np.int64,
)
"""The counter that a flag of `TOKEN_FLAGS` (column) moves in an instruction of a `Queue` (row)."""

# By opcode and memory type, fields of three bits each. The compute module loads accumulators and
# micro-ops itself: they go where it alone can write.
_QUEUES: Table = np.full((8, 8), Queue.COMPUTE, np.int64)
_QUEUES[Opcode.LOAD, [Memory.INP, Memory.WGT]] = Queue.LOAD
_QUEUES[Opcode.STORE] = Queue.STORE


# A code generator calls the constructors below once an instruction, so they build plain tuples of
# plain integers in the order of `Column`.
_LOAD, _STORE, _GEMM, _FINISH, _ALU = map(int, Opcode)
_OUT = int(Memory.OUT)
_OPCODE, _MEMORY_TYPE = int(Column.OPCODE), int(Column.MEMORY_TYPE)
_ALU_OPCODE = int(Column.ALU_OPCODE)
_NO_PADS = (0, 0, 0, 0)
_NO_TRANSFER = (0,) * (Column.RESET - Column.MEMORY_TYPE)
_NO_LOOPS = (0,) * (len(Column) - Column.RESET)
# A transfer of no elements only moves tokens. Its memory says which queue takes it: UOP loads are
# the compute queue's, as LOADs of accumulators are.
_NOPS = {
    Queue.LOAD: (_LOAD, int(Memory.INP)),
    Queue.COMPUTE: (_LOAD, int(Memory.UOP)),
    Queue.STORE: (_STORE, _OUT),
}


def load(
    memory: int,
    sram: int,
    dram: int,
    *,
    x_size: int,
    y_size: int = 1,
    x_stride: int | None = None,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    pop_prev: int = 0,
    pop_next: int = 0,
    push_prev: int = 0,
    push_next: int = 0,
) -> Row:
    """A LOAD of ``y_size`` rows of ``x_size`` elements, each ``x_stride`` after the one before.

    ``dram`` and ``x_stride`` count the memory's elements; ``pads`` are zero rows above and below,
    and zero elements before and after each row. Rows are dense unless a stride is given.
    """
    stride = x_size if x_stride is None else x_stride
    head = (_LOAD, pop_prev, pop_next, push_prev, push_next)
    return (*head, memory, sram, dram, y_size, x_size, stride, *pads, *_NO_LOOPS)


def store(
    sram: int,
    dram: int,
    *,
    x_size: int,
    y_size: int = 1,
    x_stride: int | None = None,
    pop_prev: int = 0,
    pop_next: int = 0,
    push_prev: int = 0,
    push_next: int = 0,
) -> Row:
    """A STORE of ``y_size`` rows of ``x_size`` OUT elements; dense unless a stride is given."""
    stride = x_size if x_stride is None else x_stride
    head = (_STORE, pop_prev, pop_next, push_prev, push_next)
    return (*head, _OUT, sram, dram, y_size, x_size, stride, *_NO_PADS, *_NO_LOOPS)


def gemm(
    uop_bgn: int,
    uop_end: int,
    *,
    iter_out: int = 1,
    iter_in: int = 1,
    dst: tuple[int, int] = (0, 0),
    src: tuple[int, int] = (0, 0),
    wgt: tuple[int, int] = (0, 0),
    reset: int = 0,
    pop_prev: int = 0,
    pop_next: int = 0,
    push_prev: int = 0,
    push_next: int = 0,
) -> Row:
    """A GEMM over micro-ops ``[uop_bgn, uop_end)`` and two loops around them.

    ``dst``, ``src`` and ``wgt`` are what an (outer, inner) iteration adds to the indices.
    """
    head = (_GEMM, pop_prev, pop_next, push_prev, push_next)
    loops = (reset, uop_bgn, uop_end, iter_out, iter_in, *dst, *src, *wgt)
    return (*head, *_NO_TRANSFER, *loops, 0, 0, 0)


def alu(
    operation: int,
    uop_bgn: int,
    uop_end: int,
    *,
    imm: int | None = None,
    iter_out: int = 1,
    iter_in: int = 1,
    dst: tuple[int, int] = (0, 0),
    src: tuple[int, int] = (0, 0),
    pop_prev: int = 0,
    pop_next: int = 0,
    push_prev: int = 0,
    push_next: int = 0,
) -> Row:
    """An ALU instruction; its second operand is ``imm``, or without one the micro-op's source."""
    head = (_ALU, pop_prev, pop_next, push_prev, push_next)
    loops = (0, uop_bgn, uop_end, iter_out, iter_in, *dst, *src, 0, 0)
    operand = (operation, 0, 0) if imm is None else (operation, 1, imm)
    return (*head, *_NO_TRANSFER, *loops, *operand)


def finish(*, pop_prev: int = 0, pop_next: int = 0, push_prev: int = 0, push_next: int = 0) -> Row:
    """The instruction that ends a program."""
    return (_FINISH, pop_prev, pop_next, push_prev, push_next, *_NO_TRANSFER, *_NO_LOOPS)


def nop(
    queue: Queue,
    *,
    pop_prev: int = 0,
    pop_next: int = 0,
    push_prev: int = 0,
    push_next: int = 0,
) -> Row:
    """An instruction that only moves tokens: a transfer of no elements in the given queue."""
    opcode, memory = _NOPS[queue]
    head = (opcode, pop_prev, pop_next, push_prev, push_next)
    # Without pads, since some implementations would still write those.
    return (*head, memory, 0, 0, 1, 0, 0, *_NO_PADS, *_NO_LOOPS)


def table_of(rows: Sequence[Row]) -> Table:
    """The rows as a table of shape (n, columns)."""
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(Column))


def field_layout(config: Config, opcode: Opcode) -> tuple[Field, ...]:
    """The fields of an instruction under a configuration, from bit 0 up."""
    return instruction_fields(config.log_depths, opcode)


class _Packing(NamedTuple):
    """How the fields of an instruction lie in its two units of 64 bits, as arrays of one a field.

    Attributes:
        columns: of the table.
        units, shifts: where the field's lowest bit is.
        masks: its bits, moved down to bit 0.
        signs: its sign bit, moved down likewise; 0 where it has none.
        second: how many fields lie in the first unit; the others come after them.
        low, high: the least and the greatest value of every column, 0 of those without a field.
    """

    columns: NDArray[np.intp]
    units: NDArray[np.intp]
    shifts: NDArray[np.uint64]
    masks: NDArray[np.uint64]
    signs: NDArray[np.int64]
    second: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]


@lru_cache(maxsize=256)
def _packing(depths: LogDepths, opcode: Opcode) -> _Packing:
    layout = instruction_fields(depths, opcode)
    places = [divmod(field.low_bit, UNIT_BITS) for field in layout]
    low, high = np.zeros(len(Column), np.int64), np.zeros(len(Column), np.int64)
    for field in layout:
        low[field.column], high[field.column] = field.limits
    return _Packing(
        np.array([field.column for field in layout], np.intp),
        np.array([unit for unit, _ in places], np.intp),
        np.array([shift for _, shift in places], np.uint64),
        np.array([(1 << field.width) - 1 for field in layout], np.uint64),
        np.array([field.signed << field.width - 1 for field in layout], np.int64),
        sum(unit == 0 for unit, _ in places),
        low,
        high,
    )


def encode(config: Config, table: Table) -> bytes:
    """The binary of a decoded program, 16 bytes an instruction.

    Raises:
        EncodingError: when a value does not fit its field, names no instruction, or stands in a
            column that the instruction does not have.
    """
    # First, since a row of an opcode that does not exist would stay zero, which is a LOAD.
    _check_legal(table, EncodingError)
    words = np.zeros((len(table), 2), _WORD)
    opcodes = table[:, _OPCODE]
    for opcode in _OPCODES:
        rows = np.flatnonzero(opcodes == opcode)
        if not len(rows):
            continue
        values = table[rows]
        packing = _packing(config.log_depths, Opcode(opcode))
        _check_fits(Opcode(opcode), packing, rows, values)
        bits = (values[:, packing.columns].astype(np.uint64) & packing.masks) << packing.shifts
        words[rows, 0] = np.bitwise_or.reduce(bits[:, : packing.second], axis=1)
        words[rows, 1] = np.bitwise_or.reduce(bits[:, packing.second :], axis=1)
    return words.tobytes()


def decode(config: Config, data: bytes | NDArray[np.uint8], *, any_store: bool = False) -> Table:
    """The table of a binary program.

    Args:
        config: what it is encoded for.
        data: the bytes.
        any_store: let a STORE name any memory type, since hardware does not look at it.

    Raises:
        DecodingError: when the length is no multiple of 16, or an opcode, ALU opcode or memory type
            does not exist.
    """
    buffer = bytes(data)
    if len(buffer) % INSTRUCTION_BYTES:
        raise DecodingError(f"{len(buffer)} bytes are not a whole number of 16-byte instructions")
    words = np.frombuffer(buffer, _WORD).reshape(-1, 2)
    # The opcode lies in the same bits in all layouts, so that it can tell which one is the row's.
    opcodes = words[:, 0] & np.uint64(7)
    table = np.zeros((len(words), len(Column)), np.int64)
    table[:, _OPCODE] = opcodes
    for opcode in _OPCODES:
        rows = np.flatnonzero(opcodes == opcode)
        if not len(rows):
            continue
        packing = _packing(config.log_depths, Opcode(opcode))
        bits = (words[rows[:, None], packing.units] >> packing.shifts) & packing.masks
        values = bits.astype(np.int64)
        # Two's complement in the field's bits: a set top bit counts negative.
        values -= (values & packing.signs) << 1
        table[rows[:, None], packing.columns] = values
    _check_legal(table, DecodingError, any_store=any_store)
    return table


def encode_uops(config: Config, uops: Table) -> bytes:
    """The binary of micro-ops of shape (n, 3), 4 bytes each.

    Raises:
        EncodingError: when an index does not fit its field.
    """
    words = np.zeros(len(uops), np.uint32)
    shift = 0
    for part, (name, width) in enumerate(_uop_fields(config)):
        values = uops[:, part]
        bad = np.flatnonzero((values < 0) | (values >> width != 0))
        if len(bad):
            first = int(bad[0])
            limits = f"0 to {(1 << width) - 1}"
            raise EncodingError(f"micro-op {first}: {name} is {values[first]}, not {limits}")
        words |= values.astype(np.uint32) << np.uint32(shift)
        shift += width
    return words.astype("<u4").tobytes()


def decode_uops(config: Config, data: bytes | NDArray[np.uint8]) -> Table:
    """The micro-ops of a binary, as an int64 table of shape (n, 3).

    Raises:
        DecodingError: when the length is no multiple of 4.
    """
    buffer = bytes(data)
    if len(buffer) % UOP_BYTES:
        raise DecodingError(f"{len(buffer)} bytes are not a whole number of 4-byte micro-ops")
    words = np.frombuffer(buffer, "<u4").astype(np.int64)
    uops = np.empty((len(words), 3), np.int64)
    for part, (_, width) in enumerate(_uop_fields(config)):
        uops[:, part] = words & (1 << width) - 1
        words >>= width
    return uops


def queues(table: Table) -> Table:
    """The `Queue` of each instruction."""
    return _QUEUES[table[:, Column.OPCODE], table[:, Column.MEMORY_TYPE]]


def _uop_fields(config: Config) -> Iterable[tuple[str, int]]:
    return zip(("dst", "src", "wgt"), uop_widths(config.log_depths), strict=True)


def _check_legal(table: Table, error: type[ValueError], *, any_store: bool = False) -> None:
    """Every opcode, memory type and ALU opcode exists."""
    opcode, memory = table[:, _OPCODE], table[:, _MEMORY_TYPE]
    checks: tuple[tuple[Column, NDArray[np.bool_]], ...] = (
        (Column.OPCODE, _is_none_of(opcode, _OPCODES)),
        (Column.MEMORY_TYPE, (opcode == _LOAD) & _is_none_of(memory, _LOADED)),
        (Column.MEMORY_TYPE, (opcode == _STORE) & (memory != _OUT) & (not any_store)),
        (Column.ALU_OPCODE, (opcode == _ALU) & _is_none_of(table[:, _ALU_OPCODE], _ALU_OPS)),
    )
    for column, bad in checks:
        if bad.any():
            row = int(np.argmax(bad))
            value = table[row, column]
            raise error(f"instruction {row}: {column.name.lower()} {value} does not exist")


def _is_none_of(values: NDArray[np.int64], codes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a value is no code; for few codes far quicker than `numpy.isin`."""
    found = np.zeros(len(values), np.bool_)
    for code in codes:
        found |= values == code
    return ~found


def _check_fits(opcode: Opcode, packing: _Packing, rows: NDArray[np.intp], values: Table) -> None:
    """Every value lies within its field, and columns without a field are 0."""
    low, high = packing.low, packing.high
    bad = (values < low) | (values > high)
    if bad.any():
        row, column = map(int, np.argwhere(bad)[0])
        raise EncodingError(
            f"instruction {rows[row]}: {opcode.name} {Column(column).name.lower()} is "
            f"{values[row, column]}, not {low[column]} to {high[column]}"
        )
