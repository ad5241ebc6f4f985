"""VTA's three implementations, and where they differ: data that the functional simulator obeys.

``fsim`` is the C++ functional simulator, ``hls`` the Xilinx design, ``chisel`` the Chisel design.
`FEATURES` has a row for everything that a program can tell them apart by. What a row leaves open is
undefined there, as is every scratchpad before something has written it: see
`simulator.functional`.

Field positions are the configuration's throughout. The published Chisel decoder takes those of the
default configuration whatever the configuration says: `chisel_decodes` tells whether they agree.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from isa.errors import InputError

if TYPE_CHECKING:
    from isa.config import Config


class Implementation(StrEnum):
    """An implementation of VTA."""

    FSIM = "fsim"
    HLS = "hls"
    CHISEL = "chisel"

    @classmethod
    def parse(cls, text: str) -> Implementation:
        """The implementation of a name.

        Raises:
            InputError: it is none's.
        """
        if text not in tuple(cls):
            raise InputError("--as", "", text, f"one of {', '.join(cls)}")
        return cls(text)


class Index(IntEnum):
    """What becomes of an index beyond its scratchpad's depth."""

    ABORTS = -1
    WRAPS = 0  # it has the bits that the depth needs
    ONE_MORE_BIT = 1  # beyond the depth, reads and writes are undefined


class Shift(IntEnum):
    """How a shift takes its amount, the second operand y."""

    FULL = 0  # right by y or left by -y; undefined from 32 on
    FIVE_BITS = 1  # the low five bits are a signed number
    IMMEDIATE_SIGN = 2  # right by y mod 32, or left by -y mod 32 if the immediate's sign is set


class Full(IntEnum):
    """What a push does when its counter is full."""

    NEVER = 0
    WAITS = 1
    LOSES = 2


class Feature(NamedTuple):
    """A row of the table.

    Attributes:
        name: the field of `Semantics`.
        what: what the value says; yes and no are 1 and 0.
        fsim: the C++ simulator's value.
        hls: the Xilinx design's.
        chisel: the Chisel design's.
    """

    name: str
    what: str
    fsim: int
    hls: int
    chisel: int


FEATURES = (
    Feature("immediate_source", "an immediate ALU instruction reads ACC[src], not [dst]", 0, 0, 1),
    Feature("own_out", "STORE takes OUT, which ALU and GEMM write, not ACC's low bytes", 0, 1, 1),
    Feature("reset_writes_out", "a reset GEMM writes OUT: the low byte of ACC + product", 0, 1, 0),
    Feature("mul", "the ALU multiplies; else ACC keeps its value and OUT is undefined", 1, 0, 0),
    Feature("acc_8bit", "LOAD of 8-bit accumulators; else it does nothing", 1, 0, 0),
    Feature("pads_uop", "LOAD of UOP pads", 1, 0, 1),
    Feature("pads_wgt", "LOAD of WGT pads", 1, 0, 1),
    Feature("pads_inp", "LOAD of INP pads", 1, 1, 1),
    Feature("pads_acc", "LOAD of ACC pads", 1, 1, 1),
    Feature("pads_nothing", "LOAD of no elements writes its padding all the same", 0, 1, 0),
    Feature("uop_rows", "LOAD of UOP has rows; else one of x_size", 1, 0, 1),
    Feature("beyond", "an index beyond the depth", Index.ABORTS, Index.ONE_MORE_BIT, Index.WRAPS),
    Feature(
        "shift", "the amount of a shift", Shift.FULL, Shift.FIVE_BITS, Shift.IMMEDIATE_SIGN
    ),
    Feature("zero_count", "iterations of a loop that says 0", 0, 0, 1 << 14),
    Feature("uops_wrap", "an empty range of micro-ops wraps around", 0, 0, 1),
    Feature("weight_in_source", "the ALU's source index takes in the weight index", 0, 0, 1),
    Feature("late_write", "an ALU micro-op's result comes too late for the next one", 0, 0, 1),
    Feature("tokens", "tokens that a counter holds; 0 is any number", 0, 1024, 255),
    Feature("full", "a push into a full counter", Full.NEVER, Full.WAITS, Full.LOSES),
)  # fmt: skip
"""Everything that programs can tell the implementations apart by, but what stops them."""


class Semantics(NamedTuple):
    """A column of `FEATURES`; compiled functions take it as it is."""

    immediate_source: int
    own_out: int
    reset_writes_out: int
    mul: int
    acc_8bit: int
    pads_uop: int
    pads_wgt: int
    pads_inp: int
    pads_acc: int
    pads_nothing: int
    uop_rows: int
    beyond: int
    shift: int
    zero_count: int
    uops_wrap: int
    weight_in_source: int
    late_write: int
    tokens: int
    full: int


SEMANTICS = {
    implementation: Semantics(
        **{row.name: int(getattr(row, implementation.value)) for row in FEATURES}
    )
    for implementation in Implementation
}

STOPS: dict[str, tuple[Implementation, ...]] = {
    "finish": tuple(Implementation),
    "uop-range": tuple(Implementation),
    "sram-range": tuple(Implementation),
    "dram-range": tuple(Implementation),
    "store-memory": (Implementation.FSIM,),
    "store-padding": (Implementation.FSIM,),
    "token-edge": (Implementation.FSIM,),
    "empty-rows": (Implementation.CHISEL,),
    "acc-8bit": (Implementation.CHISEL,),
    "mul": (Implementation.CHISEL,),
}
"""What an instruction that breaks a rule makes abort, hang, or go where nothing is defined.

Rules that are not here stop none: `FEATURES` says what happens.
"""


def admitted(config: Config) -> tuple[Implementation, ...]:
    """The implementations that a configuration can be built of."""
    return tuple(x for x in Implementation if _obstacle(config, x) is None)


def check_admitted(config: Config, implementation: Implementation) -> None:
    """See that a configuration can be built of an implementation.

    Raises:
        InputError: it cannot.
    """
    obstacle = _obstacle(config, implementation)
    if obstacle is not None:
        raise InputError(config.name, *obstacle)


def chisel_decodes(config: Config) -> bool:
    """Whether fields and micro-ops lie where the published Chisel decoder looks for them.

    They do if every scratchpad holds as many elements as by default: that alone places them.
    """
    return config.log_depths == config.default().log_depths


def _obstacle(config: Config, implementation: Implementation) -> tuple[str, int, str] | None:
    """Field, value, and what would be allowed, of what an implementation cannot be built with."""
    if implementation is Implementation.CHISEL and config.batch > 1:
        allowed = "0 for chisel: its ALU computes one batch row, so larger batches do not elaborate"
        return "LOG_BATCH", config.log_batch, allowed
    depths = config.log_depths
    if implementation is Implementation.HLS and depths.acc > depths.inp:
        # It slices micro-ops with the INP index's bits for the source, everyone else with those of
        # the longer index: weight indices would then lie elsewhere.
        allowed = (
            f"at most {config.log_acc_buff_size - depths.acc + depths.inp} for hls, where the "
            f"source of a micro-op has the {depths.inp} bits of an INP index"
        )
        return "LOG_ACC_BUFF_SIZE", config.log_acc_buff_size, allowed
    return None
