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

    Attributes:
        macs: multiply-accumulates that the operator needs; where nobody says how many those are,
            all that GEMM micro-ops issue but resets, idle lanes included.
        useful: whether `macs` leaves idle lanes out.
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
    useful: bool = False

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


def roofline(
    config: Config, table: Table, report: TimingReport, useful: int | None = None
) -> Roofline:
    """The position of a simulated program, which does so many useful multiply-accumulates."""
    products = table[(table[:, Column.OPCODE] == Opcode.GEMM) & (table[:, Column.RESET] == 0)].T
    loops = products[Column.ITER_OUT] * products[Column.ITER_IN]
    steps = int(np.sum(loops * (products[Column.UOP_END] - products[Column.UOP_BGN])))
    peak = config.batch * config.block_in * config.block_out
    read = sum(size for name, size in report.bytes.items() if name != "out")
    macs = steps * peak if useful is None else useful
    bandwidth = config.timing.bus_bytes
    return Roofline(macs, read, peak, bandwidth, report.cycles, useful is not None)
