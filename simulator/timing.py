"""Cycles of a program: a model of VTA's Chisel design with its simulated DRAM.

The load, compute and store modules each work through a queue in order and meet through tokens. The
fetch unit fills the queues. Fetch, load and compute read DRAM through one channel of a beat a
cycle, which they share equally while several of them transfer. Times are integers throughout, so
that a program always takes the same number of cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.codec import COUNTERS, MAX_TOKENS, Counter, Queue, Table, queues
from isa.fields import INSTRUCTION_BYTES, Column, Opcode
from simulator.counts import Counts, count, element_bytes, uop_count
from simulator.errors import SimulationError
from simulator.jit import jit

if TYPE_CHECKING:
    from isa.config import Config

NOP_CYCLES = 2
FINISH_CYCLES = 2
PIPELINE_CYCLES = 7  # from start register to the last write-back, beyond one cycle a micro-op
WIDE_LOAD_CYCLES = 2  # state machine around a load whose elements are no wider than the bus
NARROW_LOAD_CYCLES = 3  # the same where an element takes several beats
BURST_COMMAND_CYCLES = 2  # a client's command queue holds one
STORE_BURST_CYCLES = 3  # command and response of a write burst


# --- Cycles of single instructions ----------------------------------------------------------------


@jit
def gemm_cycles(uops: int) -> int:
    """Cycles of a GEMM instruction of so many micro-ops, a reset included."""
    return uops + PIPELINE_CYCLES


@jit
def alu_cycles(uops: int, use_imm: bool) -> int:
    """Cycles of an ALU instruction; two operands take the one ACC read port two cycles."""
    return (uops if use_imm else 2 * uops) + PIPELINE_CYCLES


@jit
def units_touched(address: int, length: int, unit: int) -> int:
    """How many aligned units of DRAM (beats, bursts; in bytes) a byte range lies in."""
    return (address + length - 1) // unit - address // unit + 1


@jit
def transfer_units(address: int, rows: int, length: int, stride: int, unit: int) -> int:
    """Units of DRAM touched by rows of ``length`` bytes that lie ``stride`` bytes apart."""
    if stride % unit == 0:
        return rows * units_touched(address, length, unit)
    total = 0
    for y in range(rows):
        total += units_touched(address + y * stride, length, unit)
    return total


@jit
def load_lead(top_pad_rows: int, element_bytes: int, bus_bytes: int, latency: int) -> int:
    """Cycles from the start of a LOAD to its first beat; the address steps over padding by rows."""
    overhead = WIDE_LOAD_CYCLES if element_bytes <= bus_bytes else NARROW_LOAD_CYCLES
    return overhead + top_pad_rows + latency


@jit
def load_cycles(lead: int, beats: int, bursts: int, padding: int) -> int:
    """Cycles of a LOAD that has the read channel to itself.

    Args:
        lead: see `load_lead`.
        beats: bus beats of its data.
        bursts: bursts these come in.
        padding: zero elements; they are written in cycles that bring no data.
    """
    commands = BURST_COMMAND_CYCLES * (bursts - 1) + 1
    return max(lead + max(beats, commands), padding + beats + NARROW_LOAD_CYCLES)


@jit
def store_cycles(elements: int, bursts: int, beats_per_element: int) -> int:
    """Cycles of a STORE: each element is read, then sent; bursts do not overlap."""
    return 1 + elements * (beats_per_element + 1) + STORE_BURST_CYCLES * bursts


@jit
def fetch_cycles(instructions: int, beats: int, latency: int) -> int:
    """Cycles in which the fetch unit reads a batch in so many beats, and dispatches it."""
    return latency + beats + instructions + 1


# --- Reports --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """Where a module's cycles go; the four add up to the program's.

    Attributes:
        busy: executing.
        waiting_for_token: having an instruction whose token is not there.
        waiting_for_bus: loading, in addition to what it takes with the read channel to itself.
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
        cycles: from launch to FINISH.
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
    steps, spent, fetched = _simulate(config, table)
    end = int(steps[:, _Step.END].max(initial=0))
    return TimingReport(
        end,
        len(table),
        load=_module_report(spent[Queue.LOAD], end),
        compute=_module_report(spent[Queue.COMPUTE], end),
        store=_module_report(spent[Queue.STORE], end),
        read_beats=fetched + int(steps[:, _Step.BEATS].sum()),
        counts=count(config, table),
        timeline=steps[:, [_Step.START, _Step.END, _Step.QUEUE]] if timeline else None,
    )


def cycles(config: Config, table: Table) -> int:
    """Nothing but the cycles of `simulate`."""
    steps, _, _ = _simulate(config, table)
    return int(steps[:, _Step.END].max(initial=0))


class Span(IntEnum):
    """Column of `spans`: when an instruction does what, in cycles."""

    QUEUE = 0
    READY = 1  # it and its module are there; from here it waits for its tokens
    START = 2
    WAIT = 3  # when it would be complete with the read channel to itself; then it waits for the bus
    END = 4  # exclusive


def spans(config: Config, table: Table) -> Table:
    """When each instruction runs, int64 of shape (n, columns of `Span`); see `simulate`.

    A load that shares the bus is slower throughout; here all of its waiting comes last.
    """
    steps, _, _ = _simulate(config, table)
    result = np.empty((len(table), len(Span)), np.int64)
    for queue in Queue:
        own = np.flatnonzero(steps[:, _Step.QUEUE] == queue)
        free = np.concatenate([[0], steps[own, _Step.END]])[: len(own)]
        start = steps[own, _Step.START]
        result[own, Span.QUEUE] = queue
        result[own, Span.READY] = np.maximum(free, steps[own, _Step.ARRIVAL])
        result[own, Span.START] = start
        result[own, Span.WAIT] = start + steps[own, _Step.CYCLES]
        result[own, Span.END] = steps[own, _Step.END]
    return result


def _simulate(config: Config, table: Table) -> tuple[Table, Table, int]:
    """When each instruction runs, what the modules spend their cycles on, and beats of fetches."""
    timing = config.timing
    machine = _Machine(
        timing.bus_bytes,
        timing.burst_bytes,
        timing.memory_latency,
        timing.fetch_batch,
        timing.queue_depth,
    )
    steps = _plan(table, queues(table), element_bytes(config), machine)
    spent = np.zeros((len(Queue), len(_Spent)), np.int64)
    fault, counter, instruction, fetched = _run(table, steps, machine, spent)
    if fault:
        name = Counter(counter).name.lower().replace("_", " ")
        raise SimulationError(instruction, _FAULTS[fault].format(counter=name))
    return steps, spent, fetched


def _module_report(spent: Table, cycles: int) -> ModuleReport:
    busy, token, bus = spent.tolist()
    return ModuleReport(busy, token, bus, idle=cycles - busy - token - bus)


_DEADLOCK, _OVERFLOW = 1, 2
_FAULTS = {
    _DEADLOCK: "deadlock: the {counter} token it waits for never comes",
    _OVERFLOW: f"more than {MAX_TOKENS} {{counter}} tokens wait, and counters saturate",
}


# --- Event simulation -----------------------------------------------------------------------------
#
# State is in integer arrays that the functions below pass on one by one: a compiled function counts
# references to arrays that it takes out of a tuple, and that took most of the time.


class _Machine(NamedTuple):
    """Parameters of the configuration, as the compiled functions see them."""

    bus_bytes: int
    burst_bytes: int
    latency: int
    fetch_batch: int
    queue_depth: int


class _Step(IntEnum):
    """Column of the array of instructions: what each takes, and then when it ran."""

    QUEUE = 0
    FOLLOWING = 1  # the next instruction of its module, n after the last
    LEAD = 2  # cycles from its start to its first beat
    BEATS = 3  # on the read channel
    CYCLES = 4  # with the read channel to itself
    ARRIVAL = 5  # when it entered its queue
    START = 6
    END = 7


class _Agent(IntEnum):
    """Column of the array of agents: the modules by `Queue`, then the fetch unit."""

    PHASE = 0
    UNTIL = 1  # when the phase ends, _NEVER where something else decides
    LEFT = 2  # of a transfer, in units of the read channel
    HEAD = 3  # the instruction at work or next to be
    WAITING = 4  # instructions in a module's queue, or in the fetch unit's buffer
    FREE = 5  # when a module last finished an instruction


class _Spent(IntEnum):
    """Column of the array of cycles by module, in the order of `ModuleReport`."""

    BUSY = 0
    TOKEN = 1
    BUS = 2


_FETCH = len(Queue)
_IDLE, _LEAD, _TRANSFER, _WORK = range(4)
_NEVER = np.iinfo(np.int64).max
_BEAT = 6  # a beat in units of the read channel, which divide among up to three transfers
_N_STEP, _N_AGENT, _N_COUNTER = len(_Step), len(_Agent), len(Counter)


@jit
def _plan(table: Table, queue: Table, sizes: Table, machine: _Machine) -> Table:
    """The array of instructions before the run; ``sizes`` are of elements, by `Memory`."""
    n = len(table)
    steps = np.zeros((n, _N_STEP), np.int64)
    following = np.full(_FETCH, n)
    for i in range(n - 1, -1, -1):
        row, step, opcode = table[i], steps[i], table[i, Column.OPCODE]
        step[_Step.QUEUE] = queue[i]
        step[_Step.FOLLOWING] = following[queue[i]]
        following[queue[i]] = i
        if opcode == Opcode.GEMM:
            step[_Step.CYCLES] = gemm_cycles(uop_count(row))
        elif opcode == Opcode.ALU:
            step[_Step.CYCLES] = alu_cycles(uop_count(row), row[Column.USE_IMM] != 0)
        elif opcode == Opcode.FINISH:
            step[_Step.CYCLES] = FINISH_CYCLES
        elif row[Column.X_SIZE] == 0:
            step[_Step.CYCLES] = NOP_CYCLES
        else:
            _plan_transfer(step, row, sizes[row[Column.MEMORY_TYPE]], machine)
    return steps


@jit
def _plan_transfer(step: Table, row: Table, size: int, machine: _Machine) -> None:
    rows, width = row[Column.Y_SIZE], row[Column.X_SIZE]
    address, length, stride = (
        row[Column.DRAM_BASE] * size,
        width * size,
        row[Column.X_STRIDE] * size,
    )
    bursts = transfer_units(address, rows, length, stride, machine.burst_bytes)
    if row[Column.OPCODE] == Opcode.STORE:
        beats_per_element = -(-size // machine.bus_bytes)
        step[_Step.CYCLES] = store_cycles(rows * width, bursts, beats_per_element)
        return
    beats = transfer_units(address, rows, length, stride, machine.bus_bytes)
    padded_rows = row[Column.Y_PAD_0] + rows + row[Column.Y_PAD_1]
    padded_width = row[Column.X_PAD_0] + width + row[Column.X_PAD_1]
    lead = load_lead(row[Column.Y_PAD_0], size, machine.bus_bytes, machine.latency)
    step[_Step.LEAD] = lead
    step[_Step.BEATS] = beats
    step[_Step.CYCLES] = load_cycles(lead, beats, bursts, padded_rows * padded_width - rows * width)


@jit
def _run(table: Table, steps: Table, machine: _Machine, spent: Table) -> tuple[int, int, int, int]:
    """Fill in when each instruction runs and what the modules spend their cycles on.

    Returns a fault or 0, its counter and instruction, and the beats of all fetches.
    """
    n = len(table)
    agents, tokens = _initial_agents(steps), np.zeros(_N_COUNTER, np.int64)
    fetched = _begin_fetch(agents, n, machine, 0)
    now = done = 0
    while done < n:
        then = _next_event(agents, now)
        if then == _NEVER:
            return _DEADLOCK, *_missing_token(table, steps, agents, tokens), fetched
        _share_channel(agents, then - now)
        now = then
        for module in range(_FETCH):
            if _advance(agents, steps, module, now):
                i = agents[module, _Agent.HEAD]
                overflow = _push(tokens, table, i, module)
                if overflow >= 0:
                    return _OVERFLOW, overflow, i, fetched
                _finish(agents, steps, module, now, spent)
                done += 1
        fetched += _advance_fetch(agents, steps, machine, now)
        for module in range(_FETCH):
            i = agents[module, _Agent.HEAD]
            here = agents[module, _Agent.PHASE] == _IDLE and i < agents[_FETCH, _Agent.HEAD]
            if here and _pop(tokens, table, i, module):
                _start(agents, steps, module, now, spent)
    return 0, 0, 0, fetched


@jit
def _initial_agents(steps: Table) -> Table:
    agents = np.zeros((_FETCH + 1, _N_AGENT), np.int64)
    agents[:, _Agent.UNTIL] = _NEVER
    agents[:_FETCH, _Agent.HEAD] = len(steps)
    for i in range(len(steps) - 1, -1, -1):
        agents[steps[i, _Step.QUEUE], _Agent.HEAD] = i
    return agents


@jit
def _next_event(agents: Table, now: int) -> int:
    rate, soonest = _rate(agents), _NEVER
    for agent in range(_FETCH + 1):
        until = agents[agent, _Agent.UNTIL]
        if agents[agent, _Agent.PHASE] == _TRANSFER:
            until = now + (agents[agent, _Agent.LEFT] + rate - 1) // rate
        soonest = min(soonest, until)
    return soonest


@jit
def _rate(agents: Table) -> int:
    """Units of the read channel that each transfer gets in a cycle."""
    transfers = 0
    for agent in range(_FETCH + 1):
        transfers += agents[agent, _Agent.PHASE] == _TRANSFER
    return _BEAT // max(transfers, 1)


@jit
def _share_channel(agents: Table, cycles: int) -> None:
    rate = _rate(agents)
    for agent in range(_FETCH + 1):
        if agents[agent, _Agent.PHASE] == _TRANSFER:
            agents[agent, _Agent.LEFT] = max(0, agents[agent, _Agent.LEFT] - rate * cycles)


@jit
def _start(agents: Table, steps: Table, module: int, now: int, spent: Table) -> None:
    i = agents[module, _Agent.HEAD]
    steps[i, _Step.START] = now
    ready = max(agents[module, _Agent.FREE], steps[i, _Step.ARRIVAL])
    spent[module, _Spent.TOKEN] += now - ready
    if steps[i, _Step.BEATS] > 0:
        agents[module, _Agent.PHASE] = _LEAD
        agents[module, _Agent.UNTIL] = now + steps[i, _Step.LEAD]
    else:
        agents[module, _Agent.PHASE] = _WORK
        agents[module, _Agent.UNTIL] = now + steps[i, _Step.CYCLES]


@jit
def _advance(agents: Table, steps: Table, module: int, now: int) -> bool:
    """Move a module to its next phase if it is time; whether its instruction is complete."""
    i, phase = agents[module, _Agent.HEAD], agents[module, _Agent.PHASE]
    if phase == _LEAD and agents[module, _Agent.UNTIL] == now:
        agents[module, _Agent.PHASE] = _TRANSFER
        agents[module, _Agent.LEFT] = steps[i, _Step.BEATS] * _BEAT
    elif phase == _TRANSFER and agents[module, _Agent.LEFT] == 0:
        # Burst commands and zero filling can take longer than the data.
        phase = agents[module, _Agent.PHASE] = _WORK
        least = steps[i, _Step.START] + steps[i, _Step.CYCLES]
        agents[module, _Agent.UNTIL] = max(now, least)
    return bool(phase == _WORK and agents[module, _Agent.UNTIL] == now)


@jit
def _finish(agents: Table, steps: Table, module: int, now: int, spent: Table) -> None:
    i = agents[module, _Agent.HEAD]
    steps[i, _Step.END] = now
    spent[module, _Spent.BUSY] += steps[i, _Step.CYCLES]
    spent[module, _Spent.BUS] += now - steps[i, _Step.START] - steps[i, _Step.CYCLES]
    agents[module, _Agent.PHASE] = _IDLE
    agents[module, _Agent.UNTIL] = _NEVER
    agents[module, _Agent.HEAD] = steps[i, _Step.FOLLOWING]
    agents[module, _Agent.WAITING] -= 1
    agents[module, _Agent.FREE] = now


@jit
def _pop(tokens: Table, table: Table, i: int, module: int) -> bool:
    """Take the tokens of an instruction if all of them are there; whether they were."""
    for flag in range(2):
        if table[i, Column.POP_PREV + flag] and tokens[COUNTERS[module, flag]] == 0:
            return False
    for flag in range(2):
        if table[i, Column.POP_PREV + flag]:
            tokens[COUNTERS[module, flag]] -= 1
    return True


@jit
def _push(tokens: Table, table: Table, i: int, module: int) -> int:
    """Push the tokens of an instruction; a counter that overflows, or -1."""
    for flag in range(2):
        if table[i, Column.PUSH_PREV + flag]:
            counter = int(COUNTERS[module, 2 + flag])
            tokens[counter] += 1
            if tokens[counter] > MAX_TOKENS:
                return counter
    return -1


@jit
def _missing_token(table: Table, steps: Table, agents: Table, tokens: Table) -> tuple[int, int]:
    """The counter that the first instruction in a deadlock waits for, and that instruction."""
    i = int(agents[:_FETCH, _Agent.HEAD].min())
    for flag in range(2):
        counter = int(COUNTERS[steps[i, _Step.QUEUE], flag])
        if table[i, Column.POP_PREV + flag] and tokens[counter] == 0:
            return counter, i
    return 0, i


@jit
def _begin_fetch(agents: Table, n: int, machine: _Machine, now: int) -> int:
    """Begin to read the next batch of instructions, if there is one; its beats."""
    batch = min(machine.fetch_batch, n - int(agents[_FETCH, _Agent.HEAD]))
    if batch == 0:
        agents[_FETCH, _Agent.PHASE] = _IDLE
        agents[_FETCH, _Agent.UNTIL] = _NEVER
        return 0
    beats = (batch * INSTRUCTION_BYTES + machine.bus_bytes - 1) // machine.bus_bytes
    agents[_FETCH, _Agent.PHASE] = _LEAD
    agents[_FETCH, _Agent.UNTIL] = now + machine.latency
    agents[_FETCH, _Agent.LEFT] = beats * _BEAT
    agents[_FETCH, _Agent.WAITING] = batch
    return beats


@jit
def _advance_fetch(agents: Table, steps: Table, machine: _Machine, now: int) -> int:
    """Move the fetch unit on if it is time; the beats of the read that it begins, or 0."""
    phase, until = agents[_FETCH, _Agent.PHASE], agents[_FETCH, _Agent.UNTIL]
    if phase == _LEAD and until == now:
        agents[_FETCH, _Agent.PHASE] = _TRANSFER
    elif phase == _TRANSFER and agents[_FETCH, _Agent.LEFT] == 0:
        agents[_FETCH, _Agent.PHASE] = _WORK
        agents[_FETCH, _Agent.UNTIL] = now + 1
    elif phase == _WORK and until in (now, _NEVER):
        i = agents[_FETCH, _Agent.HEAD]
        module = steps[i, _Step.QUEUE]
        if agents[module, _Agent.WAITING] == machine.queue_depth:
            agents[_FETCH, _Agent.UNTIL] = _NEVER  # the module decides
            return 0
        steps[i, _Step.ARRIVAL] = now
        agents[module, _Agent.WAITING] += 1
        agents[_FETCH, _Agent.HEAD] += 1
        agents[_FETCH, _Agent.WAITING] -= 1
        agents[_FETCH, _Agent.UNTIL] = now + 1
        if agents[_FETCH, _Agent.WAITING] == 0:
            return _begin_fetch(agents, len(steps), machine, now + 1)
    return 0
