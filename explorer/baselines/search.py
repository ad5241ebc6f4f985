"""The tiling of TVM's template that takes the fewest cycles in the cycle model.

The space is searched exactly: tilings are simulated in the order of a lower bound, until the bound
of the next one is no better than the best program found.
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.baselines.program import TvmCode, lower
from explorer.baselines.template import (
    PackedLayer,
    Tile,
    TvmTiling,
    counters,
    reason_invalid,
    tilings,
)
from isa.computation import Operator
from isa.config import Config
from isa.fields import INSTRUCTION_BYTES
from simulator.timing import (
    TimingReport,
    alu_cycles,
    fetch_cycles,
    gemm_cycles,
    load_lead,
    simulate,
    store_cycles,
)


@dataclass(frozen=True, slots=True, eq=False)
class TvmScheduled:
    """TVM's best tiling of an operator, and what the cycle model says of its program."""

    layer: PackedLayer
    tiling: TvmTiling
    timing: TimingReport

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return self.timing.cycles

    @property
    def code(self) -> TvmCode:
        """The program, written anew when it is asked for: it can have millions of instructions."""
        return lower(self.layer, self.tiling)


def best(operator: Operator, config: Config) -> TvmScheduled | None:
    """TVM's program of least cycles over the template's space; None if no tiling runs.

    Of equal ones, the first by bound and then by knobs.

    Raises:
        InputError: TVM's templates do not take the operator.
    """
    layer = PackedLayer.of(operator, config)
    runnable = (t for t in tilings(layer) if reason_invalid(layer, t) is None)
    found: TvmScheduled | None = None
    for bound, tiling in sorted((lower_bound(layer, t), t) for t in runnable):
        if found is not None and bound >= found.cycles:
            break
        timing = simulate(config, lower(layer, tiling).table)
        if found is None or timing.cycles < found.cycles:
            found = TvmScheduled(layer, tiling, timing)
    return found


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

    inp_lead = load_lead(0, config.inp_bytes, bus, latency)
    wgt_load = load_lead(0, config.wgt_bytes, bus, latency) + tile.wgt * config.wgt_bytes // bus
    load = steps * (inp_lead + wgt_load) + count.inp_bytes // bus
    gemm = gemm_cycles(layer.steps // steps)
    begin, epilogue = gemm_cycles(tile.acc), len(layer.passes) * alu_cycles(tile.acc, True)
    if layer.has_bias:
        begin += load_lead(0, config.acc_bytes, bus, latency) + tile.bias * config.acc_bytes // bus
        epilogue += alu_cycles(tile.acc, False)
    compute = tile.count * (begin + epilogue) + steps * gemm
    store = store_cycles(tile.acc, 1, -(-config.out_bytes // bus))

    chain = (load + compute + tile.count * store) // threads
    ends = groups * (begin + max(threads * epilogue, epilogue + store))
    middle = max(load + groups * gemm, steps * gemm + groups * (inp_lead + wgt_load))
    batch = timing.fetch_batch
    fetch = fetch_cycles(batch, batch * INSTRUCTION_BYTES // bus, latency)
    read = count.inp_bytes + count.wgt_bytes + count.acc_bytes + count.instruction_bytes
    return max(chain, ends + middle, count.instructions // batch * fetch, read // bus)
