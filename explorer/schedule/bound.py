"""A lower bound on the cycles of every schedule of a design.

Each of the three modules and the read channel has work that no schedule avoids: each GEMM step,
reset and ALU micro-op takes a cycle, each entry that is used crosses the bus at least once, and
each output is stored once. A program takes at least as long as its busiest part.
"""

from __future__ import annotations

import math

from explorer.layout.alu_passes import AluProgram, Product
from explorer.layout.design import Design, alternatives
from explorer.schedule.machine import beside_layouts, used_bytes
from isa.computation import Operator
from isa.config import Config
from isa.fields import Memory
from simulator.occupancy import (
    alu_cycles,
    following_lead,
    gemm_cycles,
    load_lead,
    store_bound,
)


def compute_bound(operator: Operator, config: Config, steps: int) -> int:
    """Cycles of the compute module that no schedule of so many steps undercuts in any layout.

    Every step, reset and immediate ALU micro-op takes a cycle, others two; an entry holds a lane
    each for as many outputs.
    """
    outputs = -(-math.prod(operator.out.shape) // (config.batch * config.block_out))
    cycles = gemm_cycles(steps) + gemm_cycles(outputs)
    ways = alternatives(operator, config)
    return cycles + min(_alu_cycles(alu, config, outputs) for alu in ways)


def _alu_cycles(alu: AluProgram, config: Config, outputs: int) -> int:
    """Cycles in which the compute module does the steps on so many entries, at least."""
    cycles = alu.immediates * alu_cycles(outputs, True) + alu.pairs * alu_cycles(outputs, False)
    terms = sum(isinstance(p.src, Product) for p in alu.passes)  # counted by their steps
    cycles += (alu.sweeps - terms) * gemm_cycles(outputs)
    return cycles + len(alu.dense) * _dense_load(config, outputs)


def _dense_load(config: Config, outputs: int) -> int:
    """Cycles in which the compute module loads a vector for each of so many entries, at least."""
    timing = config.timing
    latency = timing.memory_latency
    lead = following_lead(load_lead(0, config.acc_bytes, timing.bus_bytes, latency), latency, 1)
    # One LOAD at the least, whatever the tiles; beats round down, as entries may share.
    return lead + outputs * config.acc_bytes // timing.bus_bytes


def lower_bound(design: Design) -> int:
    """Cycles that no schedule of the design undercuts."""
    config = design.config
    outputs = math.prod(c.extent for c in design.acc.coordinates)
    compute = gemm_cycles(design.steps) + gemm_cycles(outputs)
    compute += _alu_cycles(design.alu, config, outputs)
    own = ((design.inp, Memory.INP), (design.wgt, Memory.WGT))
    moved = sum(used_bytes(design, *each) for each in (*own, *beside_layouts(design)))
    moved += len(design.alu.dense) * outputs * config.acc_bytes
    moved += len(design.alu.terms) * outputs * config.inp_bytes
    # Only entries that some step uses count: a tile's box may cover others, but none need do so.
    timing = config.timing
    bus = timing.bus_bytes
    store = store_bound(outputs, 1, config.out_bytes, config.batch, bus, timing.burst_bytes)
    # The modules may overlap in full, so that only the longest counts, not their sum.
    return max(compute, timing.memory_latency + moved // bus, store)
