"""A design's machine and tensors as the compiled bounds see them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.layout.design import Design
from explorer.layout.packed import Layout
from explorer.schedule.space import coefficients, output_loops
from explorer.schedule.used_entries import used_entries
from isa.fields import Memory
from simulator.jit import helper
from simulator.occupancy import fetch_beats, following_lead, load_lead

Array = NDArray[np.int64]


SHORT_BURSTS = 3
"""Bursts of the load module's competitors that can have any length: the last batch of instructions,
and both ends of the micro-ops."""


class Operand(NamedTuple):
    """A tensor as the compiled functions see it.

    Attributes:
        moves: how far each coordinate moves with each outer loop, (coordinates, loops).
        extent, low, high: of each coordinate: values, first stored, one past the last stored.
        depth: entries its scratchpad holds.
        size: bytes of an entry, and `bus` of a beat.
        lead: cycles of a LOAD besides its beats, on an idle channel.
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


HEAD, MOVED, MOVES = range(3)  # rows of a tensor in `Machine.beside`
SIZE, LEAD, WEIGHTS = range(3)  # columns of its HEAD


class Machine(NamedTuple):
    """The rest of what a bound depends on.

    Attributes:
        extents: of the outer loops.
        outputs: whether a loop moves the output.
        steps: GEMM micro-ops of the first term.
        spread: how many spread vectors steps take as accumulators.
        dense: how many vectors as large as the output they take as accumulators.
        terms: how many of those come in through port inp instead.
        further: how many further terms there are, and their GEMM micro-ops together.
        beside: these vectors, then the inputs of further terms and what else is multiplied, which a
            finished tile loads when theirs has changed. HEAD has the bytes of the entries that some
            step uses, cycles of a LOAD besides its beats, and whether it is for port wgt; MOVED
            says which loops move the tensor, and each row from MOVES on how far they move a
            coordinate, (tensors, rows, columns). One array, as each costs time at every call.
        vector: cycles of a LOAD of either besides its beats, and beats and bytes of an entry.
        passes: ALU passes with an immediate, with a second vector, and GEMM passes, of every tile.
        scratch: whether each accumulator has a scratch vector.
        uop_beats: of the micro-op LOAD.
        saved: cycles of its lead that a LOAD of inp or wgt can save behind another client's burst.
        spared: what all of them can save beyond that, behind the few bursts that may be shorter.
        bus_bytes, burst_bytes, latency, fetch_batch, batch: of the configuration.
    """

    extents: Array
    outputs: NDArray[np.bool_]
    steps: int
    spread: int
    dense: int
    terms: int
    further: tuple[int, int]
    beside: Array
    vector: tuple[int, int, int]
    passes: tuple[int, int, int]
    scratch: bool
    uop_beats: int
    saved: int
    spared: int
    bus_bytes: int
    burst_bytes: int
    latency: int
    fetch_batch: int
    batch: int


def beside_layouts(design: Design) -> list[tuple[Layout, Memory]]:
    """What is multiplied beside the first term, but for what is as large as the output."""
    if not (design.further or design.alu.products or design.alu.terms):
        return []
    own, kinds = ("inp", "wgt"), ("level", "digits", "block")
    beside = design.stored[len(own) + 1 :]  # behind the first term's inputs and the output
    return [(x.layout, x.memory) for x in beside if x.use.kind in (*own, *kinds)]


def used_bytes(design: Design, layout: Layout, memory: Memory) -> int:
    """Bytes of a packed tensor that some step uses."""
    extents = {loop.name: loop.extent for loop in design.nest.outer}
    return used_entries(layout, extents) * design.config.element_bytes(memory)


def _beside(design: Design) -> Array:
    """The array `Machine.beside`."""
    vectors: list[tuple[Layout, Memory | None]] = [(layout, None) for layout in design.spread]
    found = [*vectors, *beside_layouts(design)]
    most = max((len(layout.coordinates) for layout, _ in found), default=0)
    columns = max(len(design.nest.outer), WEIGHTS + 1)
    beside = np.zeros((len(found), MOVES + most, columns), np.int64)
    config, timing = design.config, design.config.timing
    for rows, (layout, memory) in zip(beside, found, strict=True):
        moves = coefficients(design, layout)
        rows[MOVES : MOVES + len(moves), : moves.shape[1]] = moves
        rows[MOVED] = (rows[MOVES:] != 0).any(axis=0)
        if memory is None:
            continue
        size = config.element_bytes(memory)
        lead = load_lead(0, size, timing.bus_bytes, timing.memory_latency)
        rows[HEAD, SIZE], rows[HEAD, LEAD] = used_bytes(design, layout, memory), lead
        rows[HEAD, WEIGHTS] = memory == Memory.WGT
    return beside


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
    bus, latency = timing.bus_bytes, timing.memory_latency
    extents = np.array([loop.extent for loop in design.nest.outer], np.int64)
    outputs = np.zeros(len(extents), np.bool_)
    outputs[output_loops(design)] = True
    # The compute module's loads may come behind any burst of inp or wgt.
    acc_lead = following_lead(load_lead(0, config.acc_bytes, bus, latency), latency, 1)
    alu = design.alu
    saved = -following_lead(0, latency, _shortest_burst(design))
    return Machine(
        extents,
        outputs,
        design.term_steps[0],
        len(design.spread),
        len(alu.dense),
        len(alu.terms),
        (len(design.further), sum(design.term_steps[1:])),
        _beside(design),
        (acc_lead, config.acc_bytes // bus, config.acc_bytes),
        (alu.immediates, alu.pairs, alu.sweeps),
        alu.scratch,
        1,
        saved,
        SHORT_BURSTS * (-following_lead(0, latency, 1) - saved),
        bus,
        timing.burst_bytes,
        latency,
        timing.fetch_batch,
        config.batch,
    )


def _shortest_burst(design: Design) -> int:
    """Beats of the shortest burst that a LOAD of inp or wgt may come behind, but `SHORT_BURSTS`.

    Such are batches of instructions and, where there are any, bursts of accumulators.
    """
    config, timing = design.config, design.config.timing
    shortest = fetch_beats(timing.fetch_batch, timing.bus_bytes)
    if shortest > timing.burst_beats:  # the batch comes in several bursts
        shortest = shortest % timing.burst_beats or timing.burst_beats
    if design.alu.spread or design.alu.dense:
        element = max(1, config.acc_bytes // timing.bus_bytes)
        shortest = min(shortest, element, timing.burst_beats)
    return shortest


@helper
def beats(tensor: Operand, entries: int) -> int:
    """Bus beats that entries take at least: several small ones may share one, so it rounds down."""
    return entries * tensor.size // tensor.bus
