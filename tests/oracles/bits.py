"""VTA's binary words as the specification gives them, one bit at a time.

Nothing here comes from the assembler: the order and widths of fields are written down again, and a
word is a string of bits that fields are appended to as a C compiler appends bit-fields.
"""

from __future__ import annotations

from isa.config import Config

HEAD = [("opcode", 3), ("pop_prev", 1), ("pop_next", 1), ("push_prev", 1), ("push_next", 1)]
TRANSFER = [
    *HEAD, ("memory_type", 3), ("sram_base", 16), ("dram_base", 32), ("y_size", 16), ("x_size", 16),
    ("x_stride", 16), ("y_pad_0", 4), ("y_pad_1", 4), ("x_pad_0", 4), ("x_pad_1", 4),
]  # fmt: skip
PADS = ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1")
NAMES = {0: "LOAD", 1: "STORE", 2: "GEMM", 3: "FINISH", 4: "ALU"}


def _logs(config: Config) -> tuple[int, int, int, int]:
    """Bits of a UOP, INP, WGT and ACC index, by the formulas of the specification."""
    return (
        config.log_uop_buff_size - 2,
        config.log_inp_buff_size - config.log_batch - config.log_block_in,
        config.log_wgt_buff_size - config.log_block_in - config.log_block_out,
        config.log_acc_buff_size - config.log_batch - config.log_block_out - 2,
    )


def fields(config: Config, opcode: int) -> list[tuple[str, int]]:
    """Names and widths of an instruction's fields, from bit 0 up."""
    uop, inp, wgt, acc = _logs(config)
    loops = [
        *HEAD, ("reset", 1), ("uop_bgn", uop), ("uop_end", uop + 1), ("iter_out", 14),
        ("iter_in", 14), ("dst_out", acc), ("dst_in", acc),
    ]  # fmt: skip
    sources = [("src_out", inp), ("src_in", inp), ("wgt_out", wgt), ("wgt_in", wgt)]
    operand = [("src_out", acc), ("src_in", acc), ("alu_opcode", 3), ("use_imm", 1), ("imm", 16)]
    return {
        "LOAD": TRANSFER,
        "STORE": TRANSFER,
        "GEMM": loops + sources,
        "FINISH": HEAD,
        "ALU": loops + operand,
    }[NAMES[opcode]]


def places(config: Config, opcode: int) -> dict[str, tuple[int, int]]:
    """First bit and width of each field: one that would cross bit 64 or 128 starts there."""
    found, bit = {}, 0
    for name, width in fields(config, opcode):
        if bit // 64 != (bit + width - 1) // 64:
            bit = (bit // 64 + 1) * 64
        found[name] = (bit, width)
        bit += width
    return found


def encode(config: Config, values: dict[str, int]) -> bytes:
    """The 16 bytes of an instruction, little endian."""
    word = 0
    for name, (bit, width) in places(config, values["opcode"]).items():
        word |= (values.get(name, 0) % (1 << width)) << bit
    return word.to_bytes(16, "little")


def decode(config: Config, data: bytes) -> dict[str, int]:
    """The fields of 16 bytes."""
    word = int.from_bytes(data, "little")
    values = {}
    for name, (bit, width) in places(config, word & 7).items():
        value = (word >> bit) % (1 << width)
        signed = name == "imm" and value >= 1 << (width - 1)
        values[name] = value - (1 << width) if signed else value
    return values


def decode_uop(config: Config, data: bytes) -> tuple[int, int, int]:
    """The destination, source and weight index of 4 bytes."""
    _, inp, wgt, acc = _logs(config)
    word, found = int.from_bytes(data, "little"), []
    for width in (acc, max(acc, inp), wgt):
        found.append(word % (1 << width))
        word >>= width
    return found[0], found[1], found[2]
