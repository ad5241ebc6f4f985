"""VTA as its specification reads: one instruction, one micro-op, one lane at a time.

Words are decoded by `tests.oracles.bits`, and everything is Python's own integers. Instructions run
in program order and tokens are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isa.config import Config
from tests.oracles import bits

UOP, WGT, INP, ACC, OUT, ACC_8BIT = range(6)
Vector = list[int]


class OutOfBoundsError(Exception):
    """An index that reaches beyond a scratchpad."""


class Machine:
    """The scratchpads and DRAM."""

    def __init__(self, config: Config, dram: bytes) -> None:
        self.config, self.dram = config, bytearray(dram)
        self.lanes = {
            UOP: 1,
            INP: config.batch * config.block_in,
            WGT: config.block_out * config.block_in,
            ACC: config.batch * config.block_out,
        }
        depth = {
            UOP: 1 << config.log_uop_buff_size - 2,
            INP: (1 << config.log_inp_buff_size) // self.lanes[INP],
            WGT: (1 << config.log_wgt_buff_size) // self.lanes[WGT],
            ACC: (1 << config.log_acc_buff_size) // self.lanes[ACC] // 4,
        }
        self.sram: dict[int, list[Vector]] = {
            memory: [[0] * self.lanes[memory] for _ in range(count)]
            for memory, count in depth.items()
        }
        self.uops: list[tuple[int, int, int]] = [(0, 0, 0)] * depth[UOP]

    def run(self, address: int, count: int) -> None:
        """Execute the instructions at a byte address."""
        code = bytes(self.dram[address : address + 16 * count])
        for i in range(count):
            fields = bits.decode(self.config, code[16 * i : 16 * i + 16])
            step: Callable[[dict[str, int]], None] = getattr(
                self, bits.NAMES[fields["opcode"]].lower()
            )
            step(fields)

    def finish(self, fields: dict[str, int]) -> None:
        """Do nothing."""

    def load(self, f: dict[str, int]) -> None:
        """Fill a scratchpad, row by row, with zeros around the data."""
        if f["x_size"] == 0:
            return
        memory = ACC if f["memory_type"] == ACC_8BIT else f["memory_type"]
        width = 4 if f["memory_type"] == ACC else 1
        place = f["sram_base"]
        rows = f["y_pad_0"] + f["y_size"] + f["y_pad_1"]
        columns = f["x_pad_0"] + f["x_size"] + f["x_pad_1"]
        for row in range(rows):
            for column in range(columns):
                y, x = row - f["y_pad_0"], column - f["x_pad_0"]
                inside = 0 <= y < f["y_size"] and 0 <= x < f["x_size"]
                element = f["dram_base"] + y * f["x_stride"] + x if inside else None
                self._fill(memory, place, element, width)
                place += 1

    def _fill(self, memory: int, place: int, element: int | None, width: int) -> None:
        if place >= len(self.sram[memory]):
            raise OutOfBoundsError
        if memory == UOP:
            data = bytes(4) if element is None else bytes(self.dram[4 * element : 4 * element + 4])
            self.uops[place] = bits.decode_uop(self.config, data)
            return
        for lane in range(self.lanes[memory]):
            value = 0
            if element is not None:
                begin = (element * self.lanes[memory] + lane) * width
                value = int.from_bytes(self.dram[begin : begin + width], "little", signed=True)
            self.sram[memory][place][lane] = value

    def store(self, f: dict[str, int]) -> None:
        """Write the low bytes of accumulators."""
        for y in range(f["y_size"]):
            for x in range(f["x_size"]):
                element = f["dram_base"] + y * f["x_stride"] + x
                source = self._at(ACC, f["sram_base"] + y * f["x_size"] + x)
                for lane, value in enumerate(source):
                    self.dram[element * len(source) + lane] = value % 256

    def _at(self, memory: int, index: int) -> Vector:
        if index >= len(self.sram[memory]):
            raise OutOfBoundsError
        return self.sram[memory][index]

    def _steps(self, f: dict[str, int]) -> Iterator[tuple[int, int, int]]:
        """The indices of every micro-op of every iteration."""
        for outer in range(f["iter_out"]):
            for inner in range(f["iter_in"]):
                for dst, src, wgt in self.uops[f["uop_bgn"] : f["uop_end"]]:
                    yield (
                        dst + outer * f["dst_out"] + inner * f["dst_in"],
                        src + outer * f["src_out"] + inner * f["src_in"],
                        wgt + outer * f.get("wgt_out", 0) + inner * f.get("wgt_in", 0),
                    )

    def gemm(self, f: dict[str, int]) -> None:
        """Add products of vectors and the transposed block, or write zeros."""
        c = self.config
        for dst, src, wgt in self._steps(f):
            acc = self._at(ACC, dst)
            if f["reset"]:
                acc[:] = [0] * len(acc)
                continue
            inp, block = self._at(INP, src), self._at(WGT, wgt)
            for b in range(c.batch):
                for o in range(c.block_out):
                    total = acc[b * c.block_out + o]
                    for k in range(c.block_in):
                        total += inp[b * c.block_in + k] * block[o * c.block_in + k]
                    acc[b * c.block_out + o] = wrapped(total)

    def alu(self, f: dict[str, int]) -> None:
        """Combine accumulators with accumulators or the immediate."""
        for dst, src, _ in self._steps(f):
            left, right = self._at(ACC, dst), self._at(ACC, src)
            for lane, x in enumerate(left):
                y = f["imm"] if f["use_imm"] else right[lane]
                left[lane] = wrapped(combined(f["alu_opcode"], x, y))


def combined(operation: int, x: int, y: int) -> int:
    """What an ALU operation makes of two integers, before it is wrapped."""
    if operation == 0:
        return min(x, y)
    if operation == 1:
        return max(x, y)
    if operation == 2:
        return x + y
    if operation == 3:
        return x >> y % 32 if y >= 0 else x << -y % 32
    return x * y


def wrapped(value: int) -> int:
    """The value in 32 bits, two's complement."""
    return (value + 2**31) % 2**32 - 2**31
