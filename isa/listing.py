"""Programs as text and as plain data: what people and other tools read of a decoded table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isa.codec import TOKEN_FLAGS, Queue, field_layout, queues
from isa.fields import AluOp, Column, Memory, Opcode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isa.codec import Table
    from isa.config import Config


def format_instruction(row: Sequence[int]) -> str:
    """One instruction in words, such as ``LOAD INP sram 0 <- dram 0x100, 1 x 16``."""
    opcode = Opcode(row[Column.OPCODE])
    if opcode in (Opcode.LOAD, Opcode.STORE):
        text = _format_transfer(opcode, row)
    elif opcode is Opcode.FINISH:
        text = "FINISH"
    else:
        text = _format_loops(opcode, row)
    tokens = [c.name.lower() for c in TOKEN_FLAGS if row[c]]
    return f"{text}  [{' '.join(tokens)}]" if tokens else text


def listing(table: Table, uops: Table | None = None) -> str:
    """A program as text, one line an instruction (with its queue), then one line a micro-op."""
    lines = [
        f"{i:6d}  {Queue(queue).name.lower():7}  {format_instruction(row)}"
        for i, (row, queue) in enumerate(zip(table.tolist(), queues(table).tolist(), strict=True))
    ]
    for i, (dst, src, wgt) in enumerate(() if uops is None else uops.tolist()):
        lines.append(f"uop {i:4d}  dst {dst} src {src} wgt {wgt}")
    return "\n".join(lines)


def _format_transfer(opcode: Opcode, row: Sequence[int]) -> str:
    if row[Column.X_SIZE] == 0:
        return f"NOP ({opcode.name} {Memory(row[Column.MEMORY_TYPE]).name})"
    arrow = "<-" if opcode is Opcode.LOAD else "->"
    text = (
        f"{opcode.name} {Memory(row[Column.MEMORY_TYPE]).name} sram {row[Column.SRAM_BASE]} "
        f"{arrow} dram {row[Column.DRAM_BASE]:#x}, {row[Column.Y_SIZE]} x {row[Column.X_SIZE]}"
    )
    if row[Column.Y_SIZE] > 1:
        text += f" stride {row[Column.X_STRIDE]}"
    pads = [row[c] for c in (Column.Y_PAD_0, Column.Y_PAD_1, Column.X_PAD_0, Column.X_PAD_1)]
    if any(pads):
        text += " pads y {}+{} x {}+{}".format(*pads)
    return text


def _format_loops(opcode: Opcode, row: Sequence[int]) -> str:
    if opcode is Opcode.GEMM:
        name = "GEMM reset" if row[Column.RESET] else "GEMM"
    else:
        name = f"ALU {AluOp(row[Column.ALU_OPCODE]).name}"
        if row[Column.USE_IMM]:
            name += f" {row[Column.IMM]}"
    parts = [
        f"{name} uops {row[Column.UOP_BGN]}:{row[Column.UOP_END]}",
        f"loops {row[Column.ITER_OUT]} x {row[Column.ITER_IN]}",
        f"dst {row[Column.DST_OUT]},{row[Column.DST_IN]}",
        f"src {row[Column.SRC_OUT]},{row[Column.SRC_IN]}",
    ]
    if opcode is Opcode.GEMM:
        parts.append(f"wgt {row[Column.WGT_OUT]},{row[Column.WGT_IN]}")
    return " ".join(parts)


def records(config: Config, table: Table) -> Iterator[dict[str, int | str]]:
    """One mapping an instruction: its index, queue, and its fields by name in bit order.

    Opcodes, memories and ALU operations are given by name; fields that an instruction lacks are
    left out.
    """
    layouts = {opcode: [f.column for f in field_layout(config, opcode)] for opcode in Opcode}
    names = {Column.OPCODE: Opcode, Column.MEMORY_TYPE: Memory, Column.ALU_OPCODE: AluOp}
    for i, (row, queue) in enumerate(zip(table.tolist(), queues(table).tolist(), strict=True)):
        record: dict[str, int | str] = {"index": i, "queue": Queue(queue).name.lower()}
        for column in layouts[Opcode(row[Column.OPCODE])]:
            value = row[column]
            named = names.get(column)
            record[column.name.lower()] = value if named is None else named(value).name
        yield record
