"""Area and energy, estimated from a table of published figures.

Area is that of the multipliers and adders of the MAC lanes, one adder for each ALU lane, and the
bits of the scratchpads. Energy is that of the arithmetic, of every scratchpad access, and of every
byte that crosses the DRAM bus. Control, clock, wires, leakage and the host are left out: both are
for comparing configurations, not for quoting.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from explorer.study.parameters import MAX_LOG, sizes
from isa.errors import InputError
from isa.fields import UOP_BYTES
from isa.files import read_text
from isa.plugins import documents
from isa.schema import Document, parse_yaml, validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isa.config import Config
    from simulator.counts import Counts

_SHIPPED = "costs"
# Far beyond any technology: sums and products of figures stay finite.
_Positive = Annotated[float, Field(ge=1e-12, le=1e12, allow_inf_nan=False)]
_Bits = Annotated[int, Field(ge=1, le=65_536)]
_Bytes = Annotated[int, Field(ge=1, le=2**64)]


class _Figure(Document):
    value: _Positive
    source: str
    note: str = ""


class _Access(_Figure):
    bits: _Bits


class _Curve(Document):
    bits: _Bits
    at: Annotated[dict[_Bytes, _Positive], Field(min_length=1)]
    source: str
    note: str = ""


class _Energy(Document):
    multiply_int8: _Figure
    add_int32: _Figure
    sram_access: _Curve
    dram_access: _Access


class _Area(Document):
    multiply_int8: _Figure
    add_int32: _Figure
    sram_bit: _Figure


class Table(Document):
    """A table of figures, each with its source."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    title: str = ""
    energy_pj: _Energy
    area_um2: _Area
    sources: dict[str, str]


@dataclass(frozen=True, slots=True)
class Energy:
    """Microjoules of one run of a program."""

    compute: float
    sram: float
    dram: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.sram + self.dram


@dataclass(frozen=True, slots=True)
class Costs:
    """A table of figures.

    Attributes:
        name: what the table calls itself.
        digest: a hash of its figures: equal tables give equal estimates.
        multiply_pj, add_pj: energy of one int8 multiplication, of one int32 addition.
        sram_pj: bytes of a memory and the energy a byte of an access to it, by size.
        dram_pj: energy a byte.
        mac_um2, add_um2, sram_um2: area of a MAC lane, of an adder, of a scratchpad bit.
    """

    name: str
    digest: str
    multiply_pj: float
    add_pj: float
    sram_pj: tuple[tuple[int, float], ...]
    dram_pj: float
    mac_um2: float
    add_um2: float
    sram_um2: float

    def area(self, point: Mapping[str, int]) -> float:
        """Square millimetres of MAC lanes, ALU lanes and scratchpads at a point."""
        size = sizes(point)
        lanes = size["mac_units"] * self.mac_um2 + size["alu_lanes"] * self.add_um2
        return (lanes + 8 * size["on_chip_bytes"] * self.sram_um2) / 1e6

    def energy(self, config: Config, counts: Counts, steps: int) -> Energy:
        """What a program takes.

        Args:
            config: the accelerator.
            counts: its DRAM traffic and micro-ops.
            steps: GEMM micro-ops that multiply; the others reset an accumulator. Every lane of a
                step is charged, idle or not.
        """
        lanes = config.batch * config.block_in * config.block_out
        compute = steps * lanes * (self.multiply_pj + self.add_pj)
        compute += counts.alu_uops * config.out_bytes * self.add_pj
        resets = counts.gemm_uops - steps
        moved = counts.bytes
        # Bytes through each scratchpad: what the engines read and write, and what DMA does.
        acc = config.acc_bytes * (2 * steps + resets + 2 * counts.alu_uops)
        traffic = (
            (
                config.log_uop_buff_size,
                UOP_BYTES * (counts.gemm_uops + counts.alu_uops) + moved["uop"],
            ),
            (config.log_inp_buff_size, config.inp_bytes * steps + moved["inp"]),
            (config.log_wgt_buff_size, config.wgt_bytes * steps + moved["wgt"]),
            (config.log_acc_buff_size, acc + moved["acc"]),
            (config.log_acc_buff_size - 2, config.out_bytes * counts.alu_uops + moved["out"]),
        )
        sram = sum(touched * self.access_pj(2.0**log) for log, touched in traffic)
        return Energy(compute / 1e6, sram / 1e6, sum(moved.values()) * self.dram_pj / 1e6)

    def access_pj(self, capacity: float) -> float:
        """Energy a byte of an access to a memory of so many bytes."""
        if len(self.sram_pj) == 1:
            return self.sram_pj[0][1]
        bounds = [size for size, _ in self.sram_pj[1:-1]]
        (x0, y0), (x1, y1) = self.sram_pj[bisect_right(bounds, capacity) :][:2]
        slope = math.log(y1 / y0) / math.log(x1 / x0)
        return y0 * math.exp(slope * math.log(capacity / x0))


def load(path: Path | None = None) -> Costs:
    """The table in a file, or of a name; by default the one that ships.

    Raises:
        InputError: it cannot be read, or is not a table of the right form.
    """
    name = _SHIPPED if path is None else str(path)
    # Names before files, as with instructions.
    known = documents("costs")
    if name in known:
        return _named(name)
    allowed = f"must be a readable file, or one of {', '.join(sorted(known))}"
    return _parse(read_text(Path(name), allowed), name)


def shipped() -> Traversable:
    """The table that ships: an entry point, see `isa.plugins`."""
    return files("explorer.study") / "costs.yaml"


@cache
def _named(name: str) -> Costs:
    return _parse(documents("costs")[name].read_text(encoding="utf-8"), f"{name}.yaml")


def _parse(text: str, source: str) -> Costs:
    table = validate(Table, parse_yaml(text, source), source)
    energy, area = table.energy_pj, table.area_um2
    for group, figures in (("energy_pj", energy), ("area_um2", area)):
        for name in type(figures).model_fields:
            cited = getattr(figures, name).source
            if cited not in table.sources:
                allowed = f"sources has {', '.join(table.sources)}"
                raise InputError(source, f"{group}.{name}.source", cited, allowed)
    costs = _costs(table)
    for log in range(MAX_LOG + 1):
        try:
            costs.access_pj(2.0**log)
        except OverflowError:
            at = dict(energy.sram_access.at)
            allowed = f"the curve leaves every range at 2**{log} bytes: give sizes further apart"
            raise InputError(source, "energy_pj.sram_access.at", at, allowed) from None
    return costs


def _costs(table: Table) -> Costs:
    energy, area = table.energy_pj, table.area_um2
    figures_only = repr((table.name, table.energy_pj, table.area_um2))
    return Costs(
        name=table.name,
        digest=hashlib.sha256(figures_only.encode()).hexdigest()[:12],
        multiply_pj=energy.multiply_int8.value,
        add_pj=energy.add_int32.value,
        sram_pj=tuple(
            (size, value * 8 / energy.sram_access.bits)
            for size, value in sorted(energy.sram_access.at.items())
        ),
        dram_pj=energy.dram_access.value * 8 / energy.dram_access.bits,
        mac_um2=area.multiply_int8.value + area.add_int32.value,
        add_um2=area.add_int32.value,
        sram_um2=area.sram_bit.value,
    )
