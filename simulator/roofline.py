"""Where a program stands under the roofline of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isa.fields import Column, Opcode

if TYPE_CHECKING:
    from isa.codec import Table
    from isa.config import Config
    from simulator.timing import TimingReport


@dataclass(frozen=True, slots=True)
class Roofline:
    """A program against the peaks of its machine.

    Multiply-accumulates are those the GEMM instruction issues, idle lanes included.

    Attributes:
        macs: multiply-accumulates of all GEMM micro-ops but resets.
        read_bytes: DRAM bytes read, instructions included.
        peak: multiply-accumulates that a cycle does at most.
        bandwidth: bytes that a cycle reads at most.
        cycles: simulated cycles.
    """

    macs: int
    read_bytes: int
    peak: int
    bandwidth: int
    cycles: int

    @property
    def intensity(self) -> float:
        """Multiply-accumulates for each byte read."""
        return self.macs / self.read_bytes

    @property
    def attainable(self) -> float:
        """Multiply-accumulates a cycle that the intensity allows."""
        return min(float(self.peak), self.intensity * self.bandwidth)

    @property
    def achieved(self) -> float:
        """Multiply-accumulates a cycle."""
        return self.macs / self.cycles

    @property
    def limit(self) -> Literal["compute", "memory"]:
        """Which roof is above the program."""
        return "compute" if self.intensity * self.bandwidth >= self.peak else "memory"


def roofline(config: Config, table: Table, report: TimingReport) -> Roofline:
    """The position of a simulated program."""
    products = table[(table[:, Column.OPCODE] == Opcode.GEMM) & (table[:, Column.RESET] == 0)].T
    loops = products[Column.ITER_OUT] * products[Column.ITER_IN]
    steps = int(np.sum(loops * (products[Column.UOP_END] - products[Column.UOP_BGN])))
    peak = config.batch * config.block_in * config.block_out
    read = sum(size for name, size in report.bytes.items() if name != "out")
    return Roofline(steps * peak, read, peak, config.timing.bus_bytes, report.cycles)
