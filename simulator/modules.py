"""When each instruction of a program runs: fetch unit, module queues, tokens.

A module runs its instructions in order. When one starts follows from four times: when the one
before is done, when the fetch unit has dispatched it, and when the tokens it takes were pushed. So
the state is how far each module has come, and each round has every module run on as far as these
times are known. What they then still wait for are bursts, of which `simulator.read_path` reads on.
"""

from __future__ import annotations

import numpy as np

from isa.codec import COUNTERS, MAX_TOKENS, Counter, Queue, Table
from simulator.columns import (
    DRAM_BASE,
    INP,
    MEMORY_TYPE,
    OP_ALU,
    OP_FINISH,
    OP_GEMM,
    OP_LOAD,
    OPCODE,
    OUT,
    POP_PREV,
    PUSH_PREV,
    UOP,
    USE_IMM,
    WGT,
    X_SIZE,
    X_STRIDE,
    Y_SIZE,
)
from simulator.counts import uop_count
from simulator.jit import helper, jit, maker
from simulator.occupancy import (
    FINISH_CYCLES,
    NOP_CYCLES,
    WIDE_FETCH_BYTES,
    alu_cycles,
    fetch_beats,
    gemm_cycles,
    narrow_store_cycles,
    transfer_units,
    wide_store_cycles,
)
from simulator.read_path import (
    ACC_CLIENT,
    BEATS,
    CHANNEL_COLUMNS,
    CLIENT_COLUMNS,
    CLIENTS,
    FETCH_CLIENT,
    INP_CLIENT,
    LAST,
    NEVER,
    UOP_CLIENT,
    WGT_CLIENT,
    WRITTEN,
    Machine,
    alone_cycles,
    begin_fetch_read,
    begin_load,
    done_cycle,
    is_undisturbed,
    make_idle,
    transfer,
)

# Columns of the array of instructions.
(
    QUEUE,  # its module
    FOLLOWING,  # the next instruction of its module, n after the last
    BUFFERED,  # cycle in which it left the fetch buffer
    ARRIVAL,  # first cycle in which its module can start it
    START,  # cycle in which it was started
    END,  # first cycle after it was done
    ALONE,  # cycles with the read channel to itself; 0 where that is to be worked out
    STEP_BEATS,  # on the read channel
    STEP_COLUMNS,
) = range(9)

# Columns of the array of modules.
(
    HEAD,  # the instruction at work or next to be
    FREE,  # first cycle after the last one was done
    LOADING,  # whether its head has started and reads
    DISPATCHED,  # instructions that entered its queue
    LEAVING,  # the one whose end makes room for the next to enter, once the queue was full
    MODULE_COLUMNS,
) = range(6)
MODULES, COUNTER_KINDS = len(Queue), len(Counter)
_LOAD, _COMPUTE = int(Queue.LOAD), int(Queue.COMPUTE)

# The fetch unit's row.
(
    REQUESTED,  # instructions of all batches whose reads have begun
    RECEIVED,  # of those whose data is there
    DATA,  # cycle from which the last batch can be read from the buffer
    READ,  # instructions that left the buffer
    SENT,  # instructions dispatched
    FETCH_BEATS,
    FETCH_COLUMNS,
) = range(7)

# Tokens: for each counter, the number of pushes and of pops, and after it their cycles in order. A
# counter has one producer and one consumer, so that the k-th pop takes the k-th token.
PUSHES, POPS = range(2)

DEADLOCK, OVERFLOW = 1, 2

# Cycles from a batch's last beat until its instructions can leave the buffer.
NARROW_FETCH_DATA, WIDE_FETCH_DATA = 2, 4


@jit
def run(
    table: Table, queue: Table, sizes: Table, machine: Machine, steps: Table, detailed: bool
) -> tuple[int, int, int, int]:
    """Fill in when each instruction runs.

    Args:
        table: the decoded program.
        queue: the `Queue` of each instruction.
        sizes: bytes of an element in DRAM, by `Memory`.
        machine: parameters of the configuration.
        steps: zeros, of shape (n, `STEP_COLUMNS`); filled in.
        detailed: whether to work out what loads take alone that were not.

    Returns:
        A fault or 0, its counter and instruction, and the beats of all fetches.
    """
    modules = _queue_up(queue, steps)
    clients, channel = (
        np.zeros((CLIENTS, CLIENT_COLUMNS), np.int64),
        np.zeros(CHANNEL_COLUMNS, np.int64),
    )
    make_idle(channel)
    for c in range(CLIENTS):
        clients[c, WRITTEN] = NEVER
    tokens = np.zeros((2, COUNTER_KINDS, len(table) + 1), np.int64)
    fetch = np.zeros(FETCH_COLUMNS, np.int64)
    _request(fetch, clients, machine, len(table), 0)
    client = transfer(clients, channel, machine)
    while client >= 0:
        if client == FETCH_CLIENT:
            _receive(fetch, clients[client], machine)
        else:
            module = _LOAD if client in (INP_CLIENT, WGT_CLIENT) else _COMPUTE
            alone = is_undisturbed(clients[client], channel)
            _complete(table, steps, modules, module, clients[client], alone, tokens)
        _settle(table, sizes, machine, steps, modules, clients, fetch, tokens)
        client = transfer(clients, channel, machine)
    fault, counter, i = _fault(table, steps, modules, tokens)
    if detailed and not fault:
        _fill_alone(table, sizes, machine, steps, clients[0], channel)
    return fault, counter, i, int(fetch[FETCH_BEATS])


@helper
def _fill_alone(
    table: Table, sizes: Table, machine: Machine, steps: Table, client: Table, channel: Table
) -> None:
    """Work out what loads that were not alone would have taken with the channel to themselves.

    That can be more than they did take, since they may come behind another client's burst just in
    time; they count as not having waited then.
    """
    for i in range(len(table)):
        if steps[i, ALONE] == 0:
            row = table[i]
            size = sizes[row[MEMORY_TYPE]]
            alone = alone_cycles(row, size, machine, client, channel)
            steps[i, ALONE] = min(alone, steps[i, END] - steps[i, START])


@maker
def _queue_up(queue: Table, steps: Table) -> Table:
    """The modules before the run; links the instructions of each."""
    n = len(queue)
    modules = np.zeros((MODULES, MODULE_COLUMNS), np.int64)
    for module in range(MODULES):
        modules[module, HEAD] = n
    for i in range(n - 1, -1, -1):
        module = queue[i]
        steps[i, QUEUE] = module
        steps[i, FOLLOWING] = modules[module, HEAD]
        modules[module, HEAD] = i
    for module in range(MODULES):
        modules[module, LEAVING] = modules[module, HEAD]
    return modules


# --- Fetch unit -----------------------------------------------------------------------------------


@helper
def _request(fetch: Table, clients: Table, machine: Machine, n: int, written: int) -> None:
    """Read the next batch of instructions, if there is one: code starts on a page."""
    count = min(machine.fetch_batch, n - fetch[REQUESTED])
    if count > 0:
        beats = fetch_beats(count, machine.bus_bytes)
        begin_fetch_read(clients[FETCH_CLIENT], beats, machine, written)
        fetch[REQUESTED] += count


@helper
def _receive(fetch: Table, client: Table, machine: Machine) -> None:
    """Note that a batch is on its way, whose last beat is known."""
    fetch[FETCH_BEATS] += client[BEATS]
    fetch[RECEIVED] = fetch[REQUESTED]
    wide = machine.bus_bytes >= WIDE_FETCH_BYTES
    fetch[DATA] = client[LAST] + (WIDE_FETCH_DATA if wide else NARROW_FETCH_DATA)


@helper
def _dispatch(fetch: Table, modules: Table, clients: Table, machine: Machine, steps: Table) -> None:
    """Dispatch instructions as far as is known when."""
    wide = machine.bus_bytes >= WIDE_FETCH_BYTES
    while True:
        if fetch[READ] < fetch[RECEIVED] and (not wide or fetch[READ] < fetch[SENT] + 2):
            _read_buffer(fetch, clients, machine, steps, wide)
            if wide:
                continue
        i = fetch[SENT]
        if i == fetch[READ]:
            break
        module = steps[i, QUEUE]
        # One a cycle, and a queue without bypass.
        cycle = max(steps[i, BUFFERED] + (1 if wide else 0), steps[i - 1, ARRIVAL] if i else 0)
        if modules[module, DISPATCHED] >= machine.queue_depth:
            # There is room from the cycle after the oldest one was done.
            oldest = modules[module, LEAVING]
            if steps[oldest, END] == 0:
                break
            cycle = max(cycle, steps[oldest, END])
            modules[module, LEAVING] = steps[oldest, FOLLOWING]
        modules[module, DISPATCHED] += 1
        steps[i, ARRIVAL] = cycle + 1
        fetch[SENT] += 1
        if not wide and fetch[SENT] == fetch[REQUESTED]:
            _request(fetch, clients, machine, len(steps), cycle + 2)


@helper
def _read_buffer(fetch: Table, clients: Table, machine: Machine, steps: Table, wide: bool) -> None:
    i = fetch[READ]
    cycle = fetch[DATA]
    if wide:
        if i > 0:
            cycle = max(cycle, steps[i - 1, BUFFERED] + 1)
        if i > 1:
            cycle = max(cycle, steps[i - 2, ARRIVAL])
    steps[i, BUFFERED] = cycle
    fetch[READ] += 1
    if wide and fetch[READ] == fetch[REQUESTED]:
        _request(fetch, clients, machine, len(steps), cycle + 3)


# --- Modules --------------------------------------------------------------------------------------


@helper
def _settle(
    table: Table,
    sizes: Table,
    machine: Machine,
    steps: Table,
    modules: Table,
    clients: Table,
    fetch: Table,
    tokens: Table,
) -> None:
    """Dispatch and start all instructions for which it is known when, before the next burst."""
    _dispatch(fetch, modules, clients, machine, steps)
    module, stuck = 0, 0
    while stuck < MODULES:
        start = _start_cycle(table, steps, modules, module, tokens)
        if start == NEVER:
            module, stuck = (module + 1) % MODULES, stuck + 1
            continue
        stuck = 0
        i = modules[module, HEAD]
        steps[i, START] = start
        for flag in range(2):
            if table[i, POP_PREV + flag]:
                _note(tokens, POPS, COUNTERS[module, flag], start)
        if _reads(table, i):
            memory = table[i, MEMORY_TYPE]
            begin_load(clients[_client(memory)], table[i], sizes[memory], machine, start)
            modules[module, LOADING] = 1
            continue
        steps[i, ALONE] = _cycles(table[i], sizes, machine)
        _finish(table, steps, modules, module, tokens, start + steps[i, ALONE])
        if fetch[SENT] < fetch[RECEIVED]:  # it may have waited for room in a queue
            _dispatch(fetch, modules, clients, machine, steps)


@helper
def _start_cycle(table: Table, steps: Table, modules: Table, module: int, tokens: Table) -> int:
    """When a module starts its next instruction; `NEVER` if that is not known yet."""
    i = modules[module, HEAD]
    if i == len(steps) or steps[i, ARRIVAL] == 0 or modules[module, LOADING]:
        return NEVER
    start = max(modules[module, FREE], steps[i, ARRIVAL])
    for flag in range(2):
        if table[i, POP_PREV + flag]:
            counter = COUNTERS[module, flag]
            k = tokens[POPS, counter, 0] + 1
            if k > tokens[PUSHES, counter, 0]:
                return NEVER
            start = max(start, tokens[PUSHES, counter, k])
    return int(start)


@helper
def _reads(table: Table, i: int) -> bool:
    """Whether an instruction is a LOAD with anything to load."""
    load = table[i, OPCODE] == OP_LOAD
    return bool(load and table[i, X_SIZE] > 0 and table[i, Y_SIZE] > 0)


@helper
def _client(memory: int) -> int:
    if memory == INP:
        return INP_CLIENT
    if memory == WGT:
        return WGT_CLIENT
    return UOP_CLIENT if memory == UOP else ACC_CLIENT


@helper
def _cycles(row: Table, sizes: Table, machine: Machine) -> int:
    """Cycles of an instruction that reads nothing.

    Without rows there is nothing to move either, although no implementation says so.
    """
    opcode = row[OPCODE]
    if opcode == OP_GEMM:
        return gemm_cycles(uop_count(row))
    if opcode == OP_ALU:
        return alu_cycles(uop_count(row), row[USE_IMM] != 0)
    if opcode == OP_FINISH:
        return FINISH_CYCLES
    rows, width = row[Y_SIZE], row[X_SIZE]
    if opcode == OP_LOAD or rows * width == 0:
        return NOP_CYCLES
    size, bus = sizes[OUT], machine.bus_bytes
    address, stride = row[DRAM_BASE] * size, row[X_STRIDE] * size
    beats = transfer_units(address, rows, width * size, stride, bus)
    bursts = transfer_units(address, rows, width * size, stride, bus * machine.burst_beats)
    if size <= bus:
        return wide_store_cycles(beats, bursts)
    return narrow_store_cycles(rows * width, beats, bursts, machine.batch)


@helper
def _complete(
    table: Table,
    steps: Table,
    modules: Table,
    module: int,
    client: Table,
    undisturbed: bool,
    tokens: Table,
) -> None:
    """End a LOAD, all of whose bursts are on their way."""
    i = modules[module, HEAD]
    end = done_cycle(client) + 1
    steps[i, STEP_BEATS] = client[BEATS]
    steps[i, ALONE] = end - steps[i, START] if undisturbed else 0
    modules[module, LOADING] = 0
    _finish(table, steps, modules, module, tokens, end)


@helper
def _finish(
    table: Table, steps: Table, modules: Table, module: int, tokens: Table, end: int
) -> None:
    """End a module's instruction; tokens pushed when it is done are there in the next cycle."""
    i = modules[module, HEAD]
    steps[i, END] = end
    modules[module, FREE] = end
    modules[module, HEAD] = steps[i, FOLLOWING]
    for flag in range(2):
        if table[i, PUSH_PREV + flag]:
            _note(tokens, PUSHES, COUNTERS[module, 2 + flag], end)


@helper
def _note(tokens: Table, kind: int, counter: int, cycle: int) -> None:
    """Append the cycle of a push or pop to those of its counter."""
    number = tokens[kind, counter, 0] + 1
    tokens[kind, counter, 0] = number
    tokens[kind, counter, number] = cycle


# --- Faults ---------------------------------------------------------------------------------------


@helper
def _fault(table: Table, steps: Table, modules: Table, tokens: Table) -> tuple[int, int, int]:
    """What went wrong first, or 0, its counter and its instruction."""
    first, counter, push = NEVER, -1, 0
    for c in range(COUNTER_KINDS):
        for k in range(MAX_TOKENS + 1, tokens[PUSHES, c, 0] + 1):
            pushed, taken = tokens[PUSHES, c, k], k - MAX_TOKENS
            # The pop that has to make room: at the latest when it is done.
            late = taken > tokens[POPS, c, 0] or tokens[POPS, c, taken] >= pushed
            if late and pushed < first:
                first, counter, push = pushed, c, k
    if counter >= 0:
        return OVERFLOW, counter, _pushing(table, steps, counter, push)
    i = len(steps)
    for module in range(MODULES):
        i = min(i, modules[module, HEAD])
    if i == len(steps):
        return 0, 0, 0
    for flag in range(2):
        c = COUNTERS[steps[i, QUEUE], flag]
        if table[i, POP_PREV + flag] and tokens[POPS, c, 0] == tokens[PUSHES, c, 0]:
            return DEADLOCK, c, i
    return DEADLOCK, 0, i


@helper
def _pushing(table: Table, steps: Table, counter: int, push: int) -> int:
    """The instruction that pushes a counter's token number `push`, counted from one."""
    for i in range(len(steps)):
        for flag in range(2):
            if table[i, PUSH_PREV + flag]:
                push -= COUNTERS[steps[i, QUEUE], 2 + flag] == counter
        if push == 0:
            return i
    return -1
