"""Cycles of a program: a model of VTA's Chisel design with its simulated DRAM.

The load, compute and store modules each work through a queue in order and meet through tokens. The
fetch unit fills the queues. Fetch, load and compute read DRAM through one channel of a beat a
cycle, on which they have fixed priorities burst by burst. The model was held against the design
itself, cycle for cycle:

- `simulator.occupancy`: what a single instruction takes;
- `simulator.read_path`: how bursts of several clients come one after the other;
- `simulator.modules`: when each instruction starts and ends.

Time 0 is the cycle in which the fetch unit writes its first command, the one after the launch; so
the cycle after FINISH is done is what the design's own counter shows at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.codec import MAX_TOKENS, Counter, Queue, Table, queues
from simulator import modules
from simulator.counts import Counts, count, element_bytes
from simulator.errors import SimulationError
from simulator.read_path import Machine

if TYPE_CHECKING:
    from isa.config import Config


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """Where a module's cycles go; the four add up to the program's.

    Attributes:
        busy: executing.
        waiting_for_token: having an instruction whose token is not there.
        waiting_for_bus: loading, in addition to what it takes with the read channel to itself.
            (A load that comes just behind another client's burst can take less: it does not wait.)
        idle: having no instruction.
    """

    busy: int
    waiting_for_token: int
    waiting_for_bus: int
    idle: int


@dataclass(frozen=True, slots=True, eq=False)
class TimingReport:
    """Cycles of a program, and what they are spent on.

    Attributes:
        cycles: from launch to FINISH, as the design's counter shows them.
        instructions: number of instructions.
        load: the load module.
        compute: the compute module.
        store: the store module.
        read_beats: cycles in which the DRAM read channel moves data.
        counts: DRAM traffic and micro-ops.
        timeline: start, end (exclusive) and `isa.codec.Queue` of each instruction, int64 of
            shape (n, 3), when asked for.
    """

    cycles: int
    instructions: int
    load: ModuleReport
    compute: ModuleReport
    store: ModuleReport
    read_beats: int
    counts: Counts
    timeline: NDArray[np.int64] | None = None

    @property
    def bytes(self) -> dict[str, int]:
        """DRAM traffic by memory."""
        return self.counts.bytes

    @property
    def gemm_uops(self) -> int:
        """Micro-ops of GEMM instructions, resets included."""
        return self.counts.gemm_uops

    @property
    def alu_uops(self) -> int:
        """Micro-ops of ALU instructions."""
        return self.counts.alu_uops


def simulate(config: Config, table: Table, *, timeline: bool = False) -> TimingReport:
    """Run a decoded program through the cycle model.

    Only the instructions are looked at; `simulator.functional` checks that they are legal.

    Args:
        config: the configuration, with the parameters of the cycle model.
        table: the decoded program, int64 of shape (n, columns of `isa.fields.Column`).
        timeline: whether to keep the start and end of each instruction.

    Raises:
        SimulationError: on a token deadlock, and when more tokens wait than a counter holds.
    """
    steps, fetched = _simulate(config, table, detailed=True)
    end = int(steps[:, modules.END].max(initial=0))
    load, compute, store = (_module_report(steps, queue, end) for queue in Queue)
    kept = [modules.START, modules.END, modules.QUEUE]
    return TimingReport(
        end,
        len(table),
        load=load,
        compute=compute,
        store=store,
        read_beats=fetched + int(steps[:, modules.STEP_BEATS].sum()),
        counts=count(config, table),
        timeline=steps[:, kept] if timeline else None,
    )


def cycles(config: Config, table: Table) -> int:
    """Nothing but the cycles of `simulate`."""
    steps, _ = _simulate(config, table, detailed=False)
    return int(steps[:, modules.END].max(initial=0))


class Span(IntEnum):
    """Column of `spans`: when an instruction does what, in cycles."""

    QUEUE = 0
    READY = 1  # it and its module are there; from here it waits for its tokens
    START = 2
    WAIT = 3  # when it would be complete with the read channel to itself; then it waits for the bus
    END = 4  # exclusive


def spans(config: Config, table: Table) -> Table:
    """When each instruction runs, int64 of shape (n, columns of `Span`); see `simulate`.

    A load that shares the bus waits in between; here all of its waiting comes last.
    """
    steps, _ = _simulate(config, table, detailed=True)
    result = np.empty((len(table), len(Span)), np.int64)
    for queue in Queue:
        own = steps[:, modules.QUEUE] == queue
        result[own] = _spans(steps[own])
    return result


def read_beats(config: Config, table: Table) -> NDArray[np.int64]:
    """Beats of the DRAM read channel that each instruction takes, fetching it not counted."""
    steps, _ = _simulate(config, table, detailed=False)
    beats: NDArray[np.int64] = steps[:, modules.STEP_BEATS].copy()
    return beats


def _spans(own: Table) -> Table:
    """The spans of one module's instructions."""
    start, end = own[:, modules.START], own[:, modules.END]
    free = np.concatenate([[0], end])[: len(own)]
    ready = np.maximum(free, own[:, modules.ARRIVAL])
    wait = start + own[:, modules.ALONE]
    return np.stack([own[:, modules.QUEUE], ready, start, wait, end], axis=1)


def _module_report(steps: Table, queue: Queue, cycles: int) -> ModuleReport:
    own = _spans(steps[steps[:, modules.QUEUE] == queue])
    ready, start, wait, end = own[:, Span.READY :].sum(axis=0).tolist()
    busy, token, bus = wait - start, start - ready, end - wait
    return ModuleReport(busy, token, bus, idle=cycles - busy - token - bus)


def _simulate(config: Config, table: Table, *, detailed: bool) -> tuple[Table, int]:
    """When each instruction runs, with what it takes alone if asked for, and beats of fetches."""
    machine, sizes = _machine(config)
    steps = np.zeros((len(table), modules.STEP_COLUMNS), np.int64)
    fault, counter, instruction, fetched = modules.run(
        table, queues(table), sizes, machine, steps, detailed
    )
    if fault:
        name = Counter(counter).name.lower().replace("_", " ")
        raise SimulationError(instruction, _FAULTS[fault].format(counter=name))
    return steps, fetched


@lru_cache(maxsize=64)  # a search times hundreds of programs of one configuration
def _machine(config: Config) -> tuple[Machine, Table]:
    """What the cycle model knows of a configuration; and `element_bytes`."""
    timing = config.timing
    machine = Machine(
        timing.bus_bytes,
        timing.bus_bytes.bit_length() - 1,
        timing.burst_beats,
        timing.memory_latency,
        timing.fetch_batch,
        timing.queue_depth,
        config.batch,
    )
    return machine, element_bytes(config)


_FAULTS = {
    modules.DEADLOCK: "deadlock: the {counter} token it waits for never comes",
    modules.OVERFLOW: f"more than {MAX_TOKENS} {{counter}} tokens wait, and counters saturate",
}
