"""A design's machine and tensors as the compiled bounds see them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.layout.design import Design
from explorer.layout.packed import Layout
from explorer.schedule.alu_passes import alu_passes
from explorer.schedule.space import coefficients, output_loops
from isa.fields import Memory
from simulator.jit import jit
from simulator.timing import load_lead

Array = NDArray[np.int64]


class Operand(NamedTuple):
    """A tensor as the compiled functions see it.

    Attributes:
        moves: how far each coordinate moves with each outer loop, (coordinates, loops).
        extent, low, high: of each coordinate: values, first stored, one past the last stored.
        depth: entries its scratchpad holds.
        size: bytes of an entry, and `bus` of a beat.
        lead: cycles of a LOAD before its first beat.
    """

    moves: Array
    extent: Array
    low: Array
    high: Array
    depth: int
    size: int
    bus: int
    lead: int


Tensors: TypeAlias = tuple[Operand, Operand, Operand]
"""Those on ports inp, wgt and acc."""


class Machine(NamedTuple):
    """The rest of what a bound depends on.

    Attributes:
        extents: of the outer loops.
        outputs: whether a loop moves the output.
        bias_moves: whether a loop moves the bias; all False without one.
        bias: cycles of a bias LOAD before its beats, and beats of an entry; zeros without one.
        residual: cycles of a residual LOAD before its beats, and bytes of an entry; zeros without.
        passes: immediate ALU passes of the epilogue.
        uop_lead: cycles of the micro-op LOAD before its first beat.
        bus_bytes, latency, fetch_batch, burst_entries: of the configuration; the last is how many
            output entries a write burst takes.
    """

    extents: Array
    outputs: NDArray[np.bool_]
    bias_moves: NDArray[np.bool_]
    bias: tuple[int, int]
    residual: tuple[int, int]
    passes: int
    uop_lead: int
    bus_bytes: int
    latency: int
    fetch_batch: int
    burst_entries: int


def operand(design: Design, layout: Layout, memory: Memory) -> Operand:
    """A layout's numbers."""
    config = design.config
    size, bus = config.element_bytes(memory), config.timing.bus_bytes
    spans = np.array([[c.extent, c.low, c.high] for c in layout.coordinates], np.int64)
    extent, low, high = np.ascontiguousarray(spans.reshape(-1, 3).T)
    return Operand(
        coefficients(design, layout),
        extent,
        low,
        high,
        config.depth(memory),
        size,
        bus,
        load_lead(0, size, bus, config.timing.memory_latency),
    )


def machine(design: Design) -> Machine:
    """A design's other numbers."""
    config, timing = design.config, design.config.timing
    extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
    outputs = np.zeros(len(extents), np.bool_)
    outputs[output_loops(design)] = True
    bias_moves: NDArray[np.bool_] = np.zeros(len(extents), np.bool_)
    bias = (0, 0)
    if design.bias:
        numbers = operand(design, design.bias, Memory.ACC)
        bias_moves = np.any(numbers.moves, axis=0)
        bias = (numbers.lead, beats(numbers, 1))
    residual = (0, 0)
    if design.residual:
        size = config.acc_bytes
        residual = (load_lead(0, size, timing.bus_bytes, timing.memory_latency), size)
    uop_bytes = config.element_bytes(Memory.UOP)
    return Machine(
        extents,
        outputs,
        bias_moves,
        bias,
        residual,
        len(alu_passes(design.operator.epilogue)),
        load_lead(0, uop_bytes, timing.bus_bytes, timing.memory_latency) + 1,
        timing.bus_bytes,
        timing.memory_latency,
        timing.fetch_batch,
        max(1, timing.burst_bytes // config.out_bytes),
    )


@jit
def beats(tensor: Operand, entries: int) -> int:
    """Bus beats that entries take at least: several small ones may share one, so it rounds down."""
    return entries * tensor.size // tensor.bus
