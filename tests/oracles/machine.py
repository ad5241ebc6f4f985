"""VTA as its specification reads: one instruction, one micro-op, one lane at a time.

There is a class for each implementation, and they differ in methods, not in data. Words are decoded
by `tests.oracles.bits`, and everything is Python's own integers; None stands for what is undefined,
and makes None of all it is combined with. Instructions run in program order and tokens are not
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isa.config import Config
from tests.oracles import bits

UOP, WGT, INP, ACC, OUT, ACC_8BIT = range(6)
Value = int | None
Vector = list[Value]
Fields = dict[str, int]


class StoppedError(Exception):
    """An abort, a hang, or an access that the specification gives no meaning to."""


class Machine:
    """The scratchpads and DRAM, as the C++ simulator has them."""

    def __init__(self, config: Config, dram: bytes) -> None:
        self.config = config
        self.dram: Vector = list(dram)
        self.reloaded = False  # whether something undefined went to DRAM and came back
        self.lanes = {
            UOP: 1,
            INP: config.batch * config.block_in,
            WGT: config.block_out * config.block_in,
            ACC: config.batch * config.block_out,
        }
        self.depth = {
            UOP: 1 << config.log_uop_buff_size - 2,
            INP: (1 << config.log_inp_buff_size) // self.lanes[INP],
            WGT: (1 << config.log_wgt_buff_size) // self.lanes[WGT],
            ACC: (1 << config.log_acc_buff_size) // self.lanes[ACC] // 4,
        }
        self.sram: dict[int, list[Vector]] = {
            memory: [[None] * self.lanes[memory] for _ in range(count)]
            for memory, count in self.depth.items()
        }
        self.out: list[Vector] = [[None] * self.lanes[ACC] for _ in range(self.depth[ACC])]
        self.uops: list[tuple[int, int, int] | None] = [None] * self.depth[UOP]

    def run(self, address: int, count: int) -> None:
        """Execute the instructions at a byte address."""
        code = bytes(self._byte(address + i) for i in range(16 * count))
        for i in range(count):
            fields = bits.decode(self.config, code[16 * i : 16 * i + 16])
            step: Callable[[Fields], None] = getattr(self, bits.NAMES[fields["opcode"]].lower())
            step(fields)

    def _byte(self, address: int) -> int:
        value = self.dram[address]
        assert value is not None
        return value

    def finish(self, fields: Fields) -> None:
        """Do nothing."""

    # --- DMA ---

    def load(self, f: Fields) -> None:
        """Fill a scratchpad, row by row, with zeros around the data."""
        if f["x_size"]:
            self.fill(f)

    def fill(self, f: Fields) -> None:
        """Write the padded array."""
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
                self._fill_one(memory, place, element, width)
                place += 1

    def _fill_one(self, memory: int, place: int, element: int | None, width: int) -> None:
        if place >= self.depth[memory]:
            raise StoppedError
        if memory == UOP:
            data = [0] * 4 if element is None else self.dram[4 * element : 4 * element + 4]
            self.reloaded |= None in data
            known = bytes(byte for byte in data if byte is not None)
            self.uops[place] = bits.decode_uop(self.config, known) if len(known) == 4 else None
            return
        for lane in range(self.lanes[memory]):
            value: Value = 0
            if element is not None:
                begin = (element * self.lanes[memory] + lane) * width
                data = self.dram[begin : begin + width]
                self.reloaded |= None in data
                known = bytes(byte for byte in data if byte is not None)
                whole = len(known) == width
                value = int.from_bytes(known, "little", signed=True) if whole else None
            self.sram[memory][place][lane] = value

    def store(self, f: Fields) -> None:
        """Write what `stored` says, row by row."""
        if f["memory_type"] != OUT or any(f[pad] for pad in bits.PADS):
            raise StoppedError
        self.drain(f)

    def drain(self, f: Fields) -> None:
        """Copy elements to DRAM."""
        for y in range(f["y_size"]):
            for x in range(f["x_size"]):
                element = f["dram_base"] + y * f["x_stride"] + x
                place = f["sram_base"] + y * f["x_size"] + x
                if place >= self.depth[ACC]:
                    raise StoppedError
                source = self.stored(place)
                for lane, value in enumerate(source):
                    self.dram[element * len(source) + lane] = value

    def stored(self, place: int) -> Vector:
        """The low bytes of an accumulator at this time."""
        return [low_byte(value) for value in self.sram[ACC][place]]

    # --- Loops ---

    def iterations(self, count: int) -> int:
        """How often a loop is run that says so many times."""
        return count

    def range_of(self, f: Fields) -> list[int]:
        """The micro-ops that an instruction goes through."""
        return list(range(f["uop_bgn"], f["uop_end"]))

    def _steps(self, f: Fields) -> Iterator[tuple[int, int, int]]:
        """The indices of every micro-op of every iteration."""
        if f["uop_end"] > self.depth[UOP]:
            raise StoppedError
        for outer in range(self.iterations(f["iter_out"])):
            for inner in range(self.iterations(f["iter_in"])):
                for place in self.range_of(f):
                    uop = self.uops[place]
                    if uop is None:
                        raise StoppedError
                    dst, src, wgt = self.operands(f, uop)
                    yield (
                        dst + outer * f["dst_out"] + inner * f["dst_in"],
                        src + outer * f["src_out"] + inner * f["src_in"],
                        wgt + outer * f.get("wgt_out", 0) + inner * f.get("wgt_in", 0),
                    )

    def operands(self, f: Fields, uop: tuple[int, int, int]) -> tuple[int, int, int]:
        """The indices that a micro-op says."""
        return uop

    def index(self, memory: int, value: int) -> int | None:
        """The element that an index means, None for none in particular."""
        if value >= self.depth[memory]:
            raise StoppedError
        return value

    def read(self, memory: int, value: int) -> Vector:
        """The element at an index."""
        place = self.index(memory, value)
        return list(self.sram[memory][place]) if place is not None else [None] * self.lanes[memory]

    def write(self, value: int, acc: Vector, out: Vector | None) -> None:
        """Put an accumulator, and the same element of OUT if one is given."""
        place = self.index(ACC, value)
        if place is None:
            for element in range(self.depth[ACC]):
                self.sram[ACC][element] = [None] * len(acc)
                self.out[element] = [None] * len(acc)
            return
        self.sram[ACC][place] = acc
        if out is not None:
            self.out[place] = out

    # --- GEMM ---

    def gemm(self, f: Fields) -> None:
        """Add products of vectors and the transposed block, or write zeros."""
        for dst, src, wgt in self._steps(f):
            if f["reset"]:
                self.reset(dst, src, wgt)
                continue
            sums = self.product(dst, src, wgt)
            self.write(dst, sums, [low_byte(value) for value in sums])

    def product(self, dst: int, src: int, wgt: int) -> Vector:
        """An accumulator with the product added."""
        c = self.config
        acc, inp, block = self.read(ACC, dst), self.read(INP, src), self.read(WGT, wgt)
        for b in range(c.batch):
            for o in range(c.block_out):
                factors = [
                    (inp[b * c.block_in + k], block[o * c.block_in + k]) for k in range(c.block_in)
                ]
                products = [times(x, y) for x, y in factors]
                total = acc[b * c.block_out + o]
                for value in products:
                    total = plus(total, value)
                acc[b * c.block_out + o] = wrapped(total)
        return acc

    def reset(self, dst: int, src: int, wgt: int) -> None:
        """Write zeros."""
        self.write(dst, [0] * self.lanes[ACC], None)

    # --- ALU ---

    def alu(self, f: Fields) -> None:
        """Combine accumulators with accumulators or the immediate."""
        for dst, src, _ in self._steps(f):
            self.operate(f, dst, src)

    def operate(self, f: Fields, dst: int, src: int) -> None:
        """One micro-op."""
        left, right = self.read(ACC, dst), self.read(ACC, src)
        result = [
            self.combine(f, x, f["imm"] if f["use_imm"] else y)
            for x, y in zip(left, right, strict=True)
        ]
        self.write(dst, result, [low_byte(value) for value in result])

    def combine(self, f: Fields, x: Value, y: Value) -> Value:
        """What an ALU operation makes of a lane."""
        if x is None or y is None:
            return None
        operation = f["alu_opcode"]
        if operation == 0:
            return min(x, y)
        if operation == 1:
            return max(x, y)
        if operation == 2:
            return wrapped(x + y)
        if operation == 3:
            return wrapped(self.shift(f, x, y))
        return wrapped(x * y)

    def shift(self, f: Fields, x: int, y: int) -> Value:
        """To the right, or to the left by a negative amount; C knows none from 32 on."""
        if abs(y) >= 32:
            return None
        return x >> y if y >= 0 else x << -y


class Hls(Machine):
    """The machine of the Xilinx design."""

    def load(self, f: Fields) -> None:
        """Micro-ops come in one row, weights without padding, padding even around nothing."""
        if f["memory_type"] == ACC_8BIT:
            return
        if f["memory_type"] in (UOP, WGT):
            f = {**f, **dict.fromkeys(bits.PADS, 0)}
        if f["memory_type"] == UOP:
            f = {**f, "y_size": 1}
        self.fill(f)

    def store(self, f: Fields) -> None:
        """Neither the memory type nor padding is looked at."""
        self.drain(f)

    def stored(self, place: int) -> Vector:
        """An element of OUT."""
        return self.out[place]

    def index(self, memory: int, value: int) -> int | None:
        """There is one more bit than needed."""
        place = value % (2 * self.depth[memory])
        return place if place < self.depth[memory] else None

    def reset(self, dst: int, src: int, wgt: int) -> None:
        """OUT gets the sum that ACC does not get."""
        sums = self.product(dst, src, wgt)
        self.write(dst, [0] * self.lanes[ACC], [low_byte(value) for value in sums])

    def operate(self, f: Fields, dst: int, src: int) -> None:
        """A multiplication matches no branch."""
        if f["alu_opcode"] == 4:
            kept = self.read(ACC, dst)
            self.write(dst, kept, [None] * len(kept))
        else:
            super().operate(f, dst, src)

    def shift(self, f: Fields, x: int, y: int) -> Value:
        """By a signed number of five bits."""
        amount = (y + 16) % 32 - 16
        return x >> amount if amount >= 0 else x << -amount


class Chisel(Machine):
    """The machine of the Chisel design."""

    previous = -1

    def load(self, f: Fields) -> None:
        """Fetch knows no 8-bit load, and rows are counted up to a number that 0 never meets."""
        if f["memory_type"] == ACC_8BIT or (f["x_size"] and not f["y_size"]):
            raise StoppedError
        super().load(f)

    def store(self, f: Fields) -> None:
        """Neither the memory type nor padding is looked at."""
        if f["x_size"] and not f["y_size"]:
            raise StoppedError
        self.drain(f)

    def stored(self, place: int) -> Vector:
        """An element of OUT."""
        return self.out[place]

    def iterations(self, count: int) -> int:
        """The counter has 14 bits and is compared with the count less one."""
        return (count - 1) % 2**14 + 1

    def range_of(self, f: Fields) -> list[int]:
        """The counter has a bit more than an index, and is compared with the end less one."""
        size, place = 2 * self.depth[UOP], f["uop_bgn"]
        places = [place]
        while place != (f["uop_end"] - 1) % size:
            place = (place + 1) % size
            places.append(place)
        return [place % self.depth[UOP] for place in places]

    def operands(self, f: Fields, uop: tuple[int, int, int]) -> tuple[int, int, int]:
        """In the ALU, the weight index lies above the bits of an INP index of the source."""
        dst, src, wgt = uop
        if "alu_opcode" in f:
            src |= wgt * self.depth[INP]
        return dst, src, wgt

    def index(self, memory: int, value: int) -> int | None:
        """Indices have the bits they need."""
        return value % self.depth[memory]

    def alu(self, f: Fields) -> None:
        """Fetch knows no multiplication."""
        if f["alu_opcode"] == 4:
            raise StoppedError
        self.previous = -1
        super().alu(f)

    def operate(self, f: Fields, dst: int, src: int) -> None:
        """An immediate goes with the source; a result is not there yet for the next micro-op."""
        dst, src = dst % self.depth[ACC], src % self.depth[ACC]
        late = self.previous == src or (f["use_imm"] and self.previous == dst)
        self.previous = dst
        if late:
            self.write(dst, [None] * self.lanes[ACC], [None] * self.lanes[ACC])
        elif f["use_imm"]:
            result = [self.combine(f, x, f["imm"]) for x in self.read(ACC, src)]
            self.write(dst, result, [low_byte(value) for value in result])
        else:
            super().operate(f, dst, src)

    def shift(self, f: Fields, x: int, y: int) -> Value:
        """The immediate's sign says which way, whether it is used or not."""
        return x << -y % 32 if f["imm"] < 0 else x >> y % 32


MACHINES: dict[str, type[Machine]] = {"fsim": Machine, "hls": Hls, "chisel": Chisel}


def low_byte(value: Value) -> Value:
    """The low eight bits."""
    return None if value is None else value % 256


def times(x: Value, y: Value) -> Value:
    """The product."""
    return None if x is None or y is None else x * y


def plus(x: Value, y: Value) -> Value:
    """The sum."""
    return None if x is None or y is None else x + y


def wrapped(value: Value) -> Value:
    """The value in 32 bits, two's complement."""
    return None if value is None else (value + 2**31) % 2**32 - 2**31
