"""The ISA's parameters: VTA's own ``vta_config.json``, what follows from it, and presets."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isa.errors import InputError, InputWarning
from isa.fields import (
    INSTRUCTION_BITS,
    SRAM_BASE_BITS,
    UOP_BITS,
    UOP_BYTES,
    LogDepths,
    Memory,
    Opcode,
    instruction_fields,
    uop_widths,
)
from isa.files import exists, read_text
from isa.json import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = ("sim", "tsim", "pynq", "ultra96", "zcu104", "de10nano", "intelfocl")
_PRESET_FILES = resources.files("isa") / "presets"
PRESETS: tuple[str, ...] = tuple(
    sorted(
        f.name.removesuffix(".json") for f in _PRESET_FILES.iterdir() if f.name.endswith(".json")
    )
)

_INT8_LOG_BITS, _INT32_LOG_BITS = 3, 5
_LOG_BUS_WIDTH = {"ultra96": 7, "zcu104": 7}  # bits, log 2; 6 on the other targets
_BURST_BEATS = {"pynq": 256}  # AXI4 bursts; 16 on the other targets
_ELSEWHERE = {"LOG_OUT_WIDTH": 3, "HW_FREQ": 1, "HW_CLK_TARGET": 1, "ACC_DEP_DISTANCE": 1}
"""Keys of other versions of VTA, and the least value of each."""
_TIMING_KEYS = {
    "BURST_BEATS": "burst_beats",
    "MEMORY_LATENCY": "memory_latency",
    "FETCH_BATCH": "fetch_batch",
    "QUEUE_DEPTH": "queue_depth",
}
# Widths are fixed because the simulators compute in int8 and int32. The other bounds only keep
# numbers small; `_check_depths` and `_check_instructions_fit` say which machines there can be.
RANGES = {
    "log_inp_width": (_INT8_LOG_BITS, _INT8_LOG_BITS),
    "log_wgt_width": (_INT8_LOG_BITS, _INT8_LOG_BITS),
    "log_acc_width": (_INT32_LOG_BITS, _INT32_LOG_BITS),
    "log_batch": (0, 8),
    "log_block_in": (0, 8),
    "log_block_out": (0, 8),
    "log_uop_buff_size": (0, 32),
    "log_inp_buff_size": (0, 32),
    "log_wgt_buff_size": (0, 32),
    "log_acc_buff_size": (0, 32),
}
TIMING_RANGES = {
    "bus_bits": (8, 4096),
    "burst_beats": (1, 4096),
    "memory_latency": (4, 1_000_000),
    "fetch_batch": (1, 65_536),
    "queue_depth": (1, 65_536),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Parameters of the cycle model that VTA's file leaves out.

    Attributes:
        bus_bits: width of the DRAM data bus; one beat moves so many bits in a cycle.
        burst_beats: beats of the longest burst; bursts do not cross a multiple of it.
        memory_latency: cycles from a read command to its first beat in the module, of which DRAM
            waits all but four; those are registers on the way.
        fetch_batch: instructions the fetch unit reads at a time.
        queue_depth: instructions each module's queue holds.
    """

    bus_bits: int = 64
    burst_beats: int = 16
    memory_latency: int = 20
    fetch_batch: int = 8
    queue_depth: int = 512

    def __post_init__(self) -> None:
        _check_ranges("timing", self, TIMING_RANGES)
        for name in ("bus_bits", "burst_beats"):
            value = getattr(self, name)
            if value & (value - 1):
                raise InputError("timing", name.upper(), value, "a power of two is needed")

    @property
    def bus_bytes(self) -> int:
        """Bytes a beat moves."""
        return self.bus_bits // 8

    @property
    def burst_bytes(self) -> int:
        """Bytes of the longest burst."""
        return self.burst_beats * self.bus_bytes


@dataclass(frozen=True)  # without slots, so that what follows from it can be kept with it
class Config:
    """One member of the VTA family: every ``log_`` value is a base-2 logarithm.

    Widths are of bits, buffer sizes of bytes, batch and blocks of lanes. Constructing one that is
    out of range, or whose instructions do not fit their words, raises `isa.errors.InputError`.
    """

    name: str = "default"
    target: str = "sim"
    hw_ver: str = "0.0.2"
    log_inp_width: int = _INT8_LOG_BITS
    log_wgt_width: int = _INT8_LOG_BITS
    log_acc_width: int = _INT32_LOG_BITS
    log_batch: int = 0
    log_block_in: int = 4
    log_block_out: int = 4
    log_uop_buff_size: int = 15
    log_inp_buff_size: int = 15
    log_wgt_buff_size: int = 18
    log_acc_buff_size: int = 17
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise InputError(self.name, "TARGET", self.target, f"one of {', '.join(TARGETS)}")
        _check_ranges(self.name, self, RANGES)
        # Depths first: field widths follow from them, and a negative width would be a riddle.
        self._check_depths()
        self._check_instructions_fit()

    @classmethod
    def default(cls) -> Config:
        """VTA's default configuration: 1x16x16, 32 KiB INP, 256 KiB WGT, 128 KiB ACC."""
        return cls()

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """A preset by its name (see `PRESETS`), or a ``vta_config.json`` by its path.

        Raises:
            InputError: when there is no such file, or it is not a legal configuration.
        """
        if str(path) in PRESETS:
            text = (_PRESET_FILES / f"{path}.json").read_text(encoding="utf-8")
        else:
            text = _read(Path(path))
        return cls.from_dict(parse_json(text, str(path)), str(path))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], source: str) -> Config:
        """The configuration with the keys of ``vta_config.json``, named after the source's stem.

        ``LOG_BLOCK`` may be given as ``LOG_BLOCK_IN`` and ``LOG_BLOCK_OUT``, or as all three if
        they agree. ``HW_VER``, ``LOG_BUS_WIDTH``, ``BURST_BEATS``, ``MEMORY_LATENCY``,
        ``FETCH_BATCH`` and ``QUEUE_DEPTH`` are optional. So are the keys that files of other
        versions of VTA have: ``LOG_OUT_WIDTH`` has to be that of the inputs; ``HW_FREQ``,
        ``HW_CLK_TARGET`` and ``ACC_DEP_DISTANCE`` say how a bitstream is made, and change nothing
        here. A target may be a board's full name (``pynq-z1``). Of an unknown key a warning names
        the nearest known one.

        Args:
            mapping: keys and values as in the file.
            source: where they come from, for messages.

        Raises:
            InputError: on missing keys, wrong types, contradictions, and values out of range.
        """
        values = _as_today(_split_block(mapping, source), source)
        names = [f.name for f in fields(cls) if f.name not in ("name", "timing")]
        known = [*(n.upper() for n in names), "LOG_BUS_WIDTH", *_TIMING_KEYS]
        for key in [key for key in values if key not in known]:
            _warn_of(key, values.pop(key), [*known, "LOG_BLOCK", *_ELSEWHERE], source)
        for name in names:
            if name.upper() not in values:
                raise InputError(
                    source, name.upper(), None, "VTA's configuration files have this key"
                )
        _check_types(values, source)
        try:
            timing = _timing(values)
            return cls(Path(source).stem, **{n: values[n.upper()] for n in names}, timing=timing)
        # What is checked in here knows the name of the machine only; the user knows the file.
        except InputError as error:
            raise InputError(source, error.field, error.value, error.allowed) from None

    def to_dict(self) -> dict[str, Any]:
        """The keys and values of ``vta_config.json`` (and ours) that `from_dict` reads back."""
        values = {f.name.upper(): getattr(self, f.name) for f in fields(self)}
        del values["NAME"], values["TIMING"]
        # VTA's own tools know LOG_BLOCK alone, so that key is written wherever it can say it.
        if self.log_block_in == self.log_block_out:
            values["LOG_BLOCK"] = values.pop("LOG_BLOCK_IN")
            del values["LOG_BLOCK_OUT"]
        timing = asdict(self.timing)
        values["LOG_BUS_WIDTH"] = _log2(self.timing.bus_bits)
        return values | {key: timing[name] for key, name in _TIMING_KEYS.items()}

    @property
    def batch(self) -> int:
        """Rows of an input vector group: the extent of the intrinsic's x axis."""
        return 1 << self.log_batch

    @property
    def block_in(self) -> int:
        """Lanes that one instruction step reduces over: the extent of the z axis."""
        return 1 << self.log_block_in

    @property
    def block_out(self) -> int:
        """Output lanes: the extent of the y axis."""
        return 1 << self.log_block_out

    @property
    def axes(self) -> dict[str, int]:
        """Extents of the GEMM intrinsic's axes."""
        return {"x": self.batch, "y": self.block_out, "z": self.block_in}

    @property
    def inp_bytes(self) -> int:
        """Bytes of an INP element, ``int8[batch][block_in]``."""
        return self.batch * self.block_in

    @property
    def wgt_bytes(self) -> int:
        """Bytes of a WGT element, ``int8[block_out][block_in]``."""
        return self.block_out * self.block_in

    @property
    def acc_bytes(self) -> int:
        """Bytes of an ACC element, ``int32[batch][block_out]``."""
        return 4 * self.out_bytes

    @property
    def out_bytes(self) -> int:
        """Bytes of an OUT element, ``int8[batch][block_out]``."""
        return self.batch * self.block_out

    @cached_property
    def log_depths(self) -> LogDepths:
        """Base-2 logarithms of the scratchpad depths."""
        return LogDepths(
            uop=self.log_uop_buff_size - _log2(UOP_BYTES),
            inp=self.log_inp_buff_size - _log2(self.inp_bytes),
            wgt=self.log_wgt_buff_size - _log2(self.wgt_bytes),
            acc=self.log_acc_buff_size - _log2(self.acc_bytes),
        )

    @property
    def uop_depth(self) -> int:
        """Micro-ops the UOP scratchpad holds."""
        return (1 << self.log_uop_buff_size) // UOP_BYTES

    @property
    def inp_depth(self) -> int:
        """Elements the INP scratchpad holds."""
        return (1 << self.log_inp_buff_size) // self.inp_bytes

    @property
    def wgt_depth(self) -> int:
        """Elements the WGT scratchpad holds."""
        return (1 << self.log_wgt_buff_size) // self.wgt_bytes

    @property
    def acc_depth(self) -> int:
        """Elements the ACC (and the OUT) scratchpad holds."""
        return (1 << self.log_acc_buff_size) // self.acc_bytes

    def element_bytes(self, memory: Memory) -> int:
        """Bytes in DRAM of one element of a memory: the unit of ``dram_base`` and ``x_stride``."""
        return self._element_bytes[memory]

    @cached_property
    def _element_bytes(self) -> tuple[int, ...]:
        """Those of each memory, by its number."""
        sizes = {
            Memory.UOP: UOP_BYTES,
            Memory.INP: self.inp_bytes,
            Memory.WGT: self.wgt_bytes,
            Memory.ACC: self.acc_bytes,
            Memory.OUT: self.out_bytes,
            Memory.ACC_8BIT: self.out_bytes,
        }
        return tuple(sizes[memory] for memory in Memory)

    def depth(self, memory: Memory) -> int:
        """Elements in the scratchpad of a memory: the bound of ``sram_base`` and of indices."""
        return self._depths[memory]

    @cached_property
    def _depths(self) -> tuple[int, ...]:
        """Those of each memory, by its number."""
        depths = {
            Memory.UOP: self.uop_depth,
            Memory.INP: self.inp_depth,
            Memory.WGT: self.wgt_depth,
        }
        return tuple(depths.get(memory, self.acc_depth) for memory in Memory)

    @property
    def bitstream(self) -> str:
        """The name VTA gives a bitstream of this configuration, ``1x16_i8w8a32_15_15_18_17``."""
        block = str(self.block_in)
        if self.block_in != self.block_out:
            block += f"x{self.block_out}"
        buffers = (
            self.log_uop_buff_size,
            self.log_inp_buff_size,
            self.log_wgt_buff_size,
            self.log_acc_buff_size,
        )
        return f"{self.batch}x{block}_i8w8a32_{'_'.join(map(str, buffers))}"

    def _check_depths(self) -> None:
        """Every scratchpad holds two elements or more, and ``sram_base`` addresses them all."""
        for memory, log_depth in self.log_depths._asdict().items():
            key, value = f"LOG_{memory.upper()}_BUFF_SIZE", getattr(self, f"log_{memory}_buff_size")
            if log_depth < 1:
                # A scratchpad of one element would have indices of no bits.
                least = value - log_depth + 1
                allowed = f"at least {least}: two elements of {1 << least - 1} bytes"
                raise InputError(self.name, key, value, allowed)
            if log_depth > SRAM_BASE_BITS:
                allowed = (
                    f"at most {value - log_depth + SRAM_BASE_BITS}: the LOAD field sram_base "
                    f"needs {log_depth} bits of {SRAM_BASE_BITS}"
                )
                raise InputError(self.name, key, value, allowed)

    def _check_instructions_fit(self) -> None:
        widths = uop_widths(self.log_depths)
        if sum(widths) > UOP_BITS:
            parts = " + ".join(
                f"{n} {w}" for n, w in zip(("dst", "src", "wgt"), widths, strict=True)
            )
            allowed = (
                f"a micro-op has {UOP_BITS} bits ({parts}); use smaller buffers or larger blocks"
            )
            raise InputError(self.name, "micro-op", f"{sum(widths)} bits", allowed)
        for opcode in (Opcode.GEMM, Opcode.ALU):
            for part in instruction_fields(self.log_depths, opcode):
                end = part.low_bit + part.width
                if end > INSTRUCTION_BITS:
                    place = f"{opcode.name}.{part.column.name.lower()}"
                    allowed = f"an instruction has {INSTRUCTION_BITS} bits; use smaller buffers"
                    raise InputError(self.name, place, f"{end} bits", allowed)


def _log2(power: int) -> int:
    """The exact base-2 logarithm of a power of two."""
    return power.bit_length() - 1


def _check_ranges(source: str, owner: object, ranges: Mapping[str, tuple[int, int]]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(owner, name)
        if low <= value <= high:
            continue
        if low == high:
            allowed = f"only {low} ({1 << low} bits): int8 inputs and weights, int32 accumulators"
        else:
            allowed = f"an integer from {low} to {high}"
        raise InputError(source, name.upper(), value, allowed)


def _check_types(values: Mapping[str, Any], source: str) -> None:
    for key, value in values.items():
        wanted = str if key in ("TARGET", "HW_VER") else int
        # bool is a subclass of int, but no number.
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise InputError(source, key, value, "a string" if wanted is str else "an integer")


def _split_block(mapping: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The mapping with ``LOG_BLOCK`` spelled as its two sides."""
    values = dict(mapping)
    sides = [key for key in ("LOG_BLOCK_IN", "LOG_BLOCK_OUT") if key in values]
    if "LOG_BLOCK" in values:
        for side in sides:
            if values[side] != values["LOG_BLOCK"]:
                allowed = f"LOG_BLOCK gives both sides, {values['LOG_BLOCK']}"
                raise InputError(source, side, values[side], allowed)
        values["LOG_BLOCK_IN"] = values["LOG_BLOCK_OUT"] = values.pop("LOG_BLOCK")
    elif not sides:
        raise InputError(source, "LOG_BLOCK", None, "VTA's configuration files have this key")
    return values


def _as_today(values: dict[str, Any], source: str) -> dict[str, Any]:
    """The values without what other versions of VTA have in their files, once that is checked."""
    for key, lowest in _ELSEWHERE.items():
        value = values.pop(key, lowest)
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise InputError(source, key, value, f"an integer of at least {lowest}")
        # Another width of the inputs is not allowed either, and is told by its own name.
        inputs = values.get("LOG_INP_WIDTH", _INT8_LOG_BITS)
        if key == "LOG_OUT_WIDTH" and value != inputs == _INT8_LOG_BITS:
            allowed = "the width of the inputs: VTA stores outputs that are inputs again"
            raise InputError(source, key, value, allowed)
    values.setdefault("HW_VER", Config().hw_ver)
    target = values.get("TARGET")
    if isinstance(target, str) and target not in TARGETS:
        name = target.lower().replace("-", "").replace("_", "")
        found = [known for known in TARGETS if name.startswith(known)]
        values["TARGET"] = max(found, key=len, default=target)
    return values


def _warn_of(key: str, value: object, known: list[str], source: str) -> None:
    """Warn of a key that nothing here reads."""
    close = get_close_matches(key, known, n=1)
    guess = f"; the nearest known one is {close[0]}" if close else ""
    text = f"{source}: {key}: {value!r} is not used, the key is unknown{guess}"
    warnings.warn(text, InputWarning, stacklevel=2)


def _timing(values: Mapping[str, Any]) -> Timing:
    target = values["TARGET"]
    log_bus = values.get("LOG_BUS_WIDTH", _LOG_BUS_WIDTH.get(target, 6))
    low, high = 3, 12
    if not low <= log_bus <= high:
        raise InputError("timing", "LOG_BUS_WIDTH", log_bus, f"an integer from {low} to {high}")
    given = {name: values[key] for key, name in _TIMING_KEYS.items() if key in values}
    beats = given.setdefault("burst_beats", _BURST_BEATS.get(target, Timing().burst_beats))
    given.setdefault("fetch_batch", fetch_batch(1 << log_bus, beats))
    return Timing(bus_bits=1 << log_bus, **given)


def fetch_batch(bus_bits: int, burst_beats: int) -> int:
    """Instructions that the hardware's fetch unit reads at a time on such a bus.

    One burst, as long as an instruction is no narrower than the bus. The buffer of a wider one is
    sized for the burst beats all the same, though it then takes fewer of them.
    """
    return max(1, burst_beats * min(bus_bits, INSTRUCTION_BITS) // INSTRUCTION_BITS)


def _read(path: Path) -> str:
    if not exists(path):
        allowed = f"a file, or one of the presets {', '.join(PRESETS)}"
        raise InputError("configuration", "", str(path), allowed)
    return read_text(path, "a readable JSON file is needed")
