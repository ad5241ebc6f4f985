"""The tiling of TVM's template that takes the fewest cycles in the cycle model.

The space is searched exactly: tilings are simulated in the order of a lower bound, until the bound
of the next one is no better than the best program found. Programs that are too long to simulate are
left out, and whether one of them could have been better is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.baselines.template import PackedLayer, TvmTiling, tilings
from explorer.baselines.template_program import TvmCode, lower
from explorer.baselines.template_tile import Tile, counters, reason_invalid
from isa.computation import Operator
from isa.config import Config
from isa.fields import INSTRUCTION_BYTES
from simulator.occupancy import (
    alu_cycles,
    fetch_cycles,
    following_lead,
    gemm_cycles,
    load_lead,
    store_bound,
)
from simulator.timing import TimingReport, simulate

MAX_INSTRUCTIONS = 6_000_000
"""Of a program that is simulated; each takes 300 bytes of memory."""


@dataclass(frozen=True, slots=True, eq=False)
class TvmScheduled:
    """TVM's best tiling of an operator, and what the cycle model says of its program.

    Attributes:
        layer: the operator as TVM packs it.
        tiling: the knobs of TVM's template.
        timing: of the program.
        is_proven: whether no program that was too long to simulate can be better.
    """

    layer: PackedLayer
    tiling: TvmTiling
    timing: TimingReport
    is_proven: bool

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return self.timing.cycles

    @property
    def code(self) -> TvmCode:
        """The program, written anew when it is asked for: it can have millions of instructions."""
        return lower(self.layer, self.tiling)


def best(operator: Operator, config: Config) -> TvmScheduled | None:
    """TVM's program of least cycles over the template's space; None if no tiling can be simulated.

    Of equal ones, the first by bound and then by knobs.

    Raises:
        InputError: TVM's templates do not take the operator.
    """
    layer = PackedLayer.of(operator, config)
    runnable = (t for t in tilings(layer) if reason_invalid(layer, t) is None)
    least: tuple[TvmTiling, TimingReport] | None = None
    too_long: list[int] = []
    for bound, tiling in sorted((lower_bound(layer, t), t) for t in runnable):
        if least is not None and bound >= least[1].cycles:
            break
        if counters(layer, tiling).instructions > MAX_INSTRUCTIONS:
            too_long.append(bound)
            continue
        timing = simulate(config, lower(layer, tiling).table)
        if least is None or timing.cycles < least[1].cycles:
            least = tiling, timing
    if least is None:
        return None
    is_proven = all(bound >= least[1].cycles for bound in too_long)
    return TvmScheduled(layer, *least, is_proven)


def lower_bound(layer: PackedLayer, tiling: TvmTiling) -> int:
    """Cycles that a runnable tiling's program does not undercut.

    Each module executes its instructions one after the other, and so do the fetch unit and the read
    channel. The tiles of a virtual thread never overlap. Of a group of tiles, one a thread, the
    first load waits for the first reset, and the epilogues for the last multiplication.
    """
    config, timing, threads = layer.config, layer.config.timing, tiling.threads
    tile, count = Tile(layer, tiling), counters(layer, tiling)
    bus, latency = timing.bus_bytes, timing.memory_latency
    steps, groups = tile.count * tile.steps, tile.count // threads

    inp_lead = following_lead(load_lead(0, config.inp_bytes, bus, latency), latency, 1)
    wgt_lead = following_lead(load_lead(0, config.wgt_bytes, bus, latency), latency, 1)
    wgt_load = wgt_lead + tile.wgt * config.wgt_bytes // bus
    load = steps * (inp_lead + wgt_load) + count.inp_bytes // bus
    gemm = gemm_cycles(layer.steps // steps)
    begin, epilogue = gemm_cycles(tile.acc), len(layer.passes) * alu_cycles(tile.acc, True)
    if layer.has_bias:
        lead = following_lead(load_lead(0, config.acc_bytes, bus, latency), latency, 1)
        begin += lead + tile.bias * config.acc_bytes // bus
        epilogue += alu_cycles(tile.acc, False)
    compute = tile.count * (begin + epilogue) + steps * gemm
    store = store_bound(tile.acc, 1, config.out_bytes, config.batch, bus, timing.burst_bytes)

    chain = (load + compute + tile.count * store) // threads
    ends = groups * (begin + max(threads * epilogue, epilogue + store))
    middle = max(load + groups * gemm, steps * gemm + groups * (inp_lead + wgt_load))
    batch = timing.fetch_batch
    fetch = fetch_cycles(batch, batch * INSTRUCTION_BYTES // bus, bus, latency)
    fetch = following_lead(fetch, latency, 1)
    read = count.inp_bytes + count.wgt_bytes + count.acc_bytes + count.instruction_bytes
    return max(chain, ends + middle, count.instructions // batch * fetch, read // bus)
