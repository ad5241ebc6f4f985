"""The way of a LOAD's data: command queues, arbiter, DRAM queue, read channel and zero padding.

Nothing here steps through idle cycles. DRAM serves commands in order, so the cycles of a burst's
beats follow as soon as the arbiter takes its command; and the arbiter's next cycle follows from the
commands that are queued. So the only steps are bursts.

A cycle's number stands for the time before the clock edge that ends it. A beat is in the cycle in
which DRAM's data register holds it. State is in rows of integers that the functions pass on: a
compiled function counts references to arrays it takes out of a tuple, which would cost most of the
time; and plain constants instead of enumerations halve the time that compiling takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isa.codec import Table
from simulator.columns import (
    DRAM_BASE,
    X_PAD_0,
    X_PAD_1,
    X_SIZE,
    X_STRIDE,
    Y_PAD_0,
    Y_PAD_1,
    Y_SIZE,
)
from simulator.jit import helper
from simulator.occupancy import NARROW_LOAD_CYCLES, PATH_REGISTERS, WIDE_LOAD_CYCLES

NEVER = np.iinfo(np.int64).max

# In order of priority: the arbiter takes the command of the first client that has one.
FETCH_CLIENT, UOP_CLIENT, INP_CLIENT, WGT_CLIENT, ACC_CLIENT = range(5)
CLIENTS = 5

TAGS = 16  # read requests that may be under way


class Machine(NamedTuple):
    """Parameters of the configuration, as the compiled functions see them."""

    bus_bytes: int  # two to the power of `bus_shift`
    bus_shift: int
    burst_beats: int
    latency: int
    fetch_batch: int
    queue_depth: int
    batch: int  # rows of an element


# Columns of a client's row: its queued command, what of its instruction is to come, and padding.
(
    WRITTEN,  # cycle in which the queued command was written, NEVER if there is none
    LENGTH,  # beats of the queued command
    WORD,  # bus word after the queued command's, counted from address 0
    ROW_END,  # bus word after those of the row at hand
    ROWS,  # rows after the one at hand
    ADDRESS,  # first byte of the next
    ROW_BYTES,
    STRIDE,  # bytes from row to row
    LAST,  # last beat so far
    BEATS,  # so far
    BURSTS,  # so far
    FIRST,  # number of its first burst among all
    QUIET,  # whether nothing was on its way when its first command could be taken
    DELAY,  # cycles from a beat to the client's write stage
    CURSOR,  # cycle in which the padding machine goes on
    ZEROS,  # elements it has to write first
    SKIPPED,  # then rows it steps over
    BOTTOM,  # then elements of the rows below
    CLIENT_COLUMNS,
) = range(19)

# The channel's row: last beats of the last bursts in a ring of TAGS, then these.
TAKEN = TAGS  # cycle in which the arbiter took its last command
COUNT = TAGS + 1  # commands taken
PASSED = TAGS + 2  # bursts whose last beat was in the cycle `TAKEN` or before
LEFT = TAGS + 3  # cycle in which the last command left the DRAM queue
RUN = TAGS + 4  # first cycle from which the DRAM queue was never empty until then
CHANNEL_COLUMNS = TAGS + 5


@helper
def make_idle(channel: Table) -> None:
    """Make this a channel, (CHANNEL_COLUMNS,), on which nothing was ever read."""
    for column in range(CHANNEL_COLUMNS):
        channel[column] = -1
    channel[COUNT], channel[PASSED] = 0, 0


# --- Clients --------------------------------------------------------------------------------------


@helper
def begin_load(client: Table, row: Table, size: int, machine: Machine, start: int) -> None:
    """Have a client read the rows of a LOAD of elements of `size` bytes, started in cycle `start`.

    The address generator walks over the rows of top padding one a cycle before its first command.
    The write stage is a register later where an element is put together from several beats.
    """
    rows, width, top = row[Y_SIZE], row[X_SIZE], row[Y_PAD_0]
    address = row[DRAM_BASE] * size
    client[ROW_BYTES], client[STRIDE] = width * size, row[X_STRIDE] * size
    client[ROWS], client[ADDRESS] = rows - 1, address + client[STRIDE]
    client[WORD], client[ROW_END] = _row_words(client, machine, address)
    _queue_first(client, machine, start + 1 + top)
    wide = size <= machine.bus_bytes
    delay = 1 if wide else 2
    client[DELAY] = delay
    client[CURSOR] = start + delay
    sides = row[X_PAD_0] + row[X_PAD_1]
    bottom = row[Y_PAD_1]
    client[ZEROS] = top * (width + sides)
    client[SKIPPED], client[BOTTOM] = 0, 0
    if sides == 0 and bottom > 0:
        # The padding machine finds the rows below by counting those of data, one a cycle. Side pads
        # bring it there row by row anyhow, and with nothing below it stops after the top.
        client[SKIPPED], client[BOTTOM] = rows, bottom * width
    else:
        client[ZEROS] += rows * sides + bottom * (width + sides)


@helper
def begin_fetch_read(client: Table, beats: int, machine: Machine, written: int) -> None:
    """Have the fetch client read so many bus words, the first command written in this cycle."""
    client[ROWS], client[WORD], client[ROW_END] = 0, 0, beats
    _queue_first(client, machine, written)
    client[ZEROS], client[SKIPPED], client[BOTTOM] = 0, 0, 0


@helper
def _queue_first(client: Table, machine: Machine, written: int) -> None:
    """Queue the first command of the row at hand, written in this cycle."""
    length = _burst_length(client[WORD], client[ROW_END], machine)
    client[WRITTEN], client[LENGTH] = written, length
    client[WORD] += length
    client[BEATS], client[BURSTS] = 0, 0


@helper
def _row_words(client: Table, machine: Machine, address: int) -> tuple[int, int]:
    """The bus words of a row, whole ones: narrow elements may share the outer with neighbours."""
    end = address + client[ROW_BYTES] + machine.bus_bytes - 1
    return address >> machine.bus_shift, end >> machine.bus_shift


@helper
def _burst_length(word: int, row_end: int, machine: Machine) -> int:
    """Beats of the command from a word on: bursts end where an aligned longest one would."""
    aligned = machine.burst_beats - (word & machine.burst_beats - 1)
    return min(aligned, row_end - word)


# --- Arbiter and DRAM -----------------------------------------------------------------------------


@helper
def transfer(clients: Table, channel: Table, machine: Machine) -> int:
    """Read burst by burst until all of a client's are on their way; which client, or -1 for none.

    What is not known yet, say when the next load starts, depends on a burst that is still to come,
    and lies after it. So no command can turn up later that ought to have been taken before.
    """
    while True:
        earliest = NEVER
        for c in range(CLIENTS):
            earliest = min(earliest, clients[c, WRITTEN])
        if earliest == NEVER:
            return -1
        earliest = max(earliest, channel[TAKEN]) + 1  # it takes one a cycle
        cycle, _ = _free_cycle(channel, channel[PASSED], channel[COUNT], earliest)
        chosen = FETCH_CLIENT
        while clients[chosen, WRITTEN] >= cycle:
            chosen += 1
        # No other command can be taken before the cycle after the first of them was written.
        alone_until = NEVER
        for c in range(CLIENTS):
            if c != chosen:
                alone_until = min(alone_until, clients[c, WRITTEN])
        if _serve(clients[chosen], channel, machine, alone_until):
            return chosen


@helper
def _free_cycle(channel: Table, passed: int, count: int, earliest: int) -> tuple[int, int]:
    """The first cycle from `earliest` on in which the arbiter can take command number `count`.

    A tag is given back with the last beat of its burst, for use in the next cycle; and in the cycle
    of a last beat the arbiter takes nothing. Also returned is how many bursts have passed by then.
    """
    passed = max(passed, count - TAGS)
    cycle = max(earliest, channel[count & TAGS - 1] + 1)
    while passed < count and channel[passed & TAGS - 1] <= cycle:
        if channel[passed & TAGS - 1] == cycle:
            cycle += 1
        passed += 1
    return cycle, passed


@helper
def _serve(client: Table, channel: Table, machine: Machine, alone_until: int) -> bool:
    """Take a client's command, and its next ones up to a cycle; whether these were its last.

    A command is in DRAM's queue from the cycle after it was taken. DRAM counts the cycles since its
    queue was last empty up to a fixed wait; from there on, the first in the queue leaves as soon as
    the burst before it is in its last beat. So a queue that never runs empty pays the wait once.
    A client's own queue has one entry and no bypass: it can be written in the cycle after it was
    emptied, so that a client writes a command every other cycle at most.
    """
    wait, count, passed = machine.latency - PATH_REGISTERS, channel[COUNT], channel[PASSED]
    taken, left, run = channel[TAKEN], channel[LEFT], channel[RUN]
    last = channel[count - 1 & TAGS - 1]
    written, length, word, row_end = client[WRITTEN], client[LENGTH], client[WORD], client[ROW_END]
    rows, address, beats, bursts = client[ROWS], client[ADDRESS], client[BEATS], client[BURSTS]
    begun, padded = bursts, client[ZEROS] + client[BOTTOM] > 0
    while True:
        cycle, later = _free_cycle(channel, passed, count, max(written, taken) + 1)
        if cycle > alone_until and bursts > begun:
            break
        if bursts == 0:
            client[FIRST], client[QUIET] = count, last <= written
        if cycle > left:
            run = cycle + 1
        left = max(cycle + 1, run + wait, last)
        last = left + length
        channel[count & TAGS - 1] = last
        taken, passed, count = cycle, later, count + 1
        beats, bursts = beats + length, bursts + 1
        if padded:
            padded = _pad(client, left + 1, last)
        if word == row_end:
            if rows == 0:
                written = NEVER
                break
            rows, word, row_end = rows - 1, *_row_words(client, machine, address)
            address += client[STRIDE]
        written, length = cycle + 1, _burst_length(word, row_end, machine)
        word += length
    client[WRITTEN], client[LENGTH], client[WORD], client[ROW_END] = written, length, word, row_end
    client[ROWS], client[ADDRESS], client[BEATS], client[BURSTS] = rows, address, beats, bursts
    client[LAST] = last
    channel[COUNT], channel[PASSED], channel[TAKEN] = count, passed, taken
    channel[LEFT], channel[RUN] = left, run
    return bool(written == NEVER)


# --- Padding --------------------------------------------------------------------------------------


@helper
def _pad(client: Table, first: int, last: int) -> bool:
    """Let the padding machine work until a burst with these beats is written; whether it goes on.

    It writes an element a cycle while the client's write stage has no data.
    """
    begin, end = first + client[DELAY], last + client[DELAY] + 1  # of data in the write stage
    _write_zeros(client, ZEROS, begin)
    if client[ZEROS] == 0:
        skipped = max(0, min(client[SKIPPED], end - client[CURSOR]))  # data does not stop this
        client[SKIPPED] -= skipped
        client[CURSOR] += skipped
        if client[SKIPPED] == 0:
            _write_zeros(client, BOTTOM, begin)
    if client[ZEROS] + client[BOTTOM] == 0:
        return False
    if client[ZEROS] > 0 or client[SKIPPED] == 0:
        client[CURSOR] = max(client[CURSOR], end)
    return True


@helper
def _write_zeros(client: Table, kind: int, until: int) -> None:
    written = max(0, min(client[kind], until - client[CURSOR]))
    client[kind] -= written
    client[CURSOR] += written


@helper
def done_cycle(client: Table) -> int:
    """The cycle in which a LOAD is done whose bursts are all on their way.

    All beats are counted in the client, and the cycle after the last zero has come.
    """
    counted = client[LAST] + (WIDE_LOAD_CYCLES if client[DELAY] == 1 else NARROW_LOAD_CYCLES)
    return int(max(counted, client[CURSOR] + client[ZEROS] + client[SKIPPED] + client[BOTTOM]))


@helper
def is_undisturbed(client: Table, channel: Table) -> bool:
    """Whether no other client's burst was there or came between, so that the load was alone.

    To be asked when its last command has just been taken.
    """
    return bool(client[QUIET] and channel[COUNT] - client[FIRST] == client[BURSTS])


@helper
def alone_cycles(row: Table, size: int, machine: Machine, client: Table, channel: Table) -> int:
    """Cycles of a LOAD that has the read path to itself; client and channel are scratch rows."""
    make_idle(channel)
    begin_load(client, row, size, machine, 0)
    _serve(client, channel, machine, NEVER)
    return done_cycle(client) + 1
