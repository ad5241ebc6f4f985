"""Rules that an instruction keeps whatever the state of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.codec import COUNTERS, NO_COUNTER, TOKEN_FLAGS, Table, queues
from isa.fields import AluOp, Column, Memory, Opcode
from simulator.counts import element_bytes
from simulator.errors import SimulationError
from simulator.implementations import STOPS, Implementation

if TYPE_CHECKING:
    from isa.config import Config

MAX_SHIFT = 15


class Violations(NamedTuple):
    """Where a program breaks a rule.

    Attributes:
        rule: the rule's id.
        bad: which instructions break it, (instructions,).
        why: what is then wrong with them.
    """

    rule: str
    bad: NDArray[np.bool_]
    why: str


def check(
    config: Config,
    table: Table,
    executed: Table,
    image_bytes: int,
    *,
    portable: bool,
    implementation: Implementation,
) -> None:
    """Raise for the first instruction that breaks a rule.

    Args:
        config: gives depths and element sizes.
        table: the decoded program.
        executed: the program as the implementation reads it.
        image_bytes: size of DRAM.
        portable: refuse whatever breaks a rule, and not only what stops the implementation.
        implementation: whose rules count otherwise.

    Raises:
        SimulationError: naming the instruction and the rule.
    """
    if not len(table):
        raise SimulationError(0, "an empty program never finishes", "finish")
    if portable:
        found = [*violations(config, table, image_bytes), *portable_violations(table)]
    else:
        stores = table[:, Column.OPCODE] == Opcode.STORE
        elsewhere = stores & (table[:, Column.MEMORY_TYPE] != Memory.OUT)
        rules = [
            Violations("store-memory", elsewhere, "a STORE of another memory than OUT"),
            *_instruction_rules(config, table),
            *portable_violations(table),
            *_range_rules(config, executed, image_bytes),
        ]
        found = [rule for rule in rules if implementation in STOPS.get(rule.rule, ())]
    faults = [(int(np.argmax(bad)), why, rule) for rule, bad, why in found if bad.any()]
    if faults:
        raise SimulationError(*min(faults))


def violations(config: Config, table: Table, image_bytes: int) -> Iterator[Violations]:
    """Rules without which a program hangs or goes out of bounds; see `check`."""
    yield from _instruction_rules(config, table)
    yield from _range_rules(config, table, image_bytes)


def _instruction_rules(config: Config, table: Table) -> Iterator[Violations]:
    """All but `_range_rules`."""
    yield from _ending_rules(table)
    yield from _loop_rules(config, table)
    yield from _transfer_rules(table)
    yield from _token_rules(table)


def _ending_rules(table: Table) -> Iterator[Violations]:
    finish = table[:, Column.OPCODE] == Opcode.FINISH
    last = np.arange(len(table)) == len(table) - 1
    yield Violations("finish", last & ~finish, "the program does not end with FINISH")
    yield Violations("finish", finish & ~last, "FINISH before the end")


def _loop_rules(config: Config, table: Table) -> Iterator[Violations]:
    column = table.T
    loops = (column[Column.OPCODE] == Opcode.GEMM) | (column[Column.OPCODE] == Opcode.ALU)
    begin, end = column[Column.UOP_BGN], column[Column.UOP_END]
    empty = (column[Column.ITER_OUT] == 0) | (column[Column.ITER_IN] == 0)
    beyond = f"uop_end exceeds the UOP depth {config.uop_depth}"
    yield Violations("empty-loop", loops & empty, "a loop of no iterations")
    yield Violations("empty-uops", loops & (begin >= end), "an empty range of micro-ops")
    yield Violations("uop-range", loops & (end > config.uop_depth), beyond)


def _transfer_rules(table: Table) -> Iterator[Violations]:
    column = table.T
    opcode = column[Column.OPCODE]
    stores = opcode == Opcode.STORE
    moves = ((opcode == Opcode.LOAD) | stores) & (column[Column.X_SIZE] > 0)
    yield Violations("empty-rows", moves & (column[Column.Y_SIZE] == 0), "a transfer of no rows")
    yield Violations("store-padding", stores & _has_pads(table), "a STORE with padding")


def _range_rules(config: Config, table: Table, image_bytes: int) -> Iterator[Violations]:
    """Where transfers lie; padding counts in the scratchpad even if no elements are moved."""
    column = table.T
    opcode, memory = column[Column.OPCODE], column[Column.MEMORY_TYPE]
    transfers = (opcode == Opcode.LOAD) | (opcode == Opcode.STORE)
    moves = transfers & (column[Column.X_SIZE] > 0)
    rows = column[Column.Y_PAD_0] + column[Column.Y_SIZE] + column[Column.Y_PAD_1]
    width = column[Column.X_PAD_0] + column[Column.X_SIZE] + column[Column.X_PAD_1]
    depth = np.array([config.depth(m) for m in Memory])[memory]
    last_row = column[Column.DRAM_BASE] + (column[Column.Y_SIZE] - 1) * column[Column.X_STRIDE]
    dram_end = (last_row + column[Column.X_SIZE]) * element_bytes(config)[memory]
    fills = transfers & (rows * width > 0)
    yield Violations(
        "sram-range",
        (moves | fills) & (column[Column.SRAM_BASE] + rows * width > depth),
        "the transfer runs past the end of the scratchpad",
    )
    yield Violations(
        "dram-range", moves & (column[Column.DRAM_BASE] == 0), "a transfer at DRAM address 0"
    )
    yield Violations(
        "dram-range",
        moves & (dram_end > image_bytes),
        f"the transfer runs past the end of DRAM, byte {image_bytes}",
    )


def _token_rules(table: Table) -> Iterator[Violations]:
    counters = COUNTERS[queues(table)]
    for i, flag in enumerate(TOKEN_FLAGS):
        missing = (table[:, flag] != 0) & (counters[:, i] == NO_COUNTER)
        why = f"{flag.name.lower()} leads nowhere in this queue"
        yield Violations("token-edge", missing, why)


def portable_violations(table: Table) -> Iterator[Violations]:
    """Rules without which VTA's implementations differ; see `check`."""
    column = table.T
    opcode, memory = column[Column.OPCODE], column[Column.MEMORY_TYPE]
    loads, alu = opcode == Opcode.LOAD, opcode == Opcode.ALU
    pads, empty = _has_pads(table), column[Column.X_SIZE] == 0
    uop, wgt = loads & (memory == Memory.UOP), loads & (memory == Memory.WGT)
    shifts = alu & (column[Column.ALU_OPCODE] == AluOp.SHR)
    # Amounts in a tensor are seen when the program is executed; CHISEL takes the direction of such
    # a shift from the immediate's sign all the same.
    far = np.where(
        column[Column.USE_IMM] == 0,
        column[Column.IMM] < 0,
        np.abs(column[Column.IMM]) > MAX_SHIFT,
    )
    shift = f"a shift by an immediate beyond -{MAX_SHIFT} to {MAX_SHIFT}, or a tensor with its sign"
    mul = alu & (column[Column.ALU_OPCODE] == AluOp.MUL)
    yield Violations("nop-padding", loads & empty & pads, "a no-op with padding")
    yield Violations("padding", (uop | wgt) & pads, "padding on a UOP or WGT load")
    yield Violations(
        "uop-rows", uop & ~empty & (column[Column.Y_SIZE] > 1), "a UOP load of several rows"
    )
    yield Violations("acc-8bit", loads & (memory == Memory.ACC_8BIT), "an 8-bit ACC load")
    yield Violations("mul", mul, "ALU MUL")
    yield Violations("shift", shifts & far, shift)


def _has_pads(table: Table) -> NDArray[np.bool_]:
    pads = table[:, Column.Y_PAD_0 : Column.X_PAD_1 + 1]
    return np.asarray(pads.any(axis=1))
