"""A program's timeline in the Trace Event format, which Perfetto and chrome://tracing open.

Modules are tracks, instructions slices with their operands, tokens flows from the instruction that
pushes one to the one that pops it, and the DRAM channels counters. The format counts microseconds;
one stands for a cycle. (Its description: "Trace Event Format", a document of the Chromium project.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from isa.codec import COUNTERS, TOKEN_FLAGS, Counter, Queue, Table, queues
from isa.config import Config
from isa.fields import Column
from isa.listing import records
from simulator.counts import element_bytes
from simulator.timing import Span, read_beats, spans

Event = dict[str, Any]

PROCESS = 1
BUSY, TOKEN_WAIT, BUS_WAIT = "busy", "waiting for a token", "waiting for the bus"
"""Categories of slices; those of a module add up to what `simulator.timing.ModuleReport` says."""
_POPS, _PUSHES = TOKEN_FLAGS[:2], TOKEN_FLAGS[2:]
_CHANNELS = {
    Queue.LOAD: "DRAM read by load",
    Queue.COMPUTE: "DRAM read by compute",
    Queue.STORE: "DRAM write by store",
}
_DIGITS = 6  # of a counter's values


def trace(config: Config, table: Table, title: str) -> str:
    """The timeline of a decoded program as JSON, one event a line.

    Args:
        config: what the program is for.
        table: the decoded program, int64 of shape (n, columns of `isa.fields.Column`).
        title: what the process is called.

    Raises:
        SimulationError: see `simulator.timing.simulate`.
    """
    times = spans(config, table)
    cycles = int(times[:, Span.END].max(initial=0))
    return written(config, cycles, (*names(title), *events(config, table, times)))


def events(config: Config, table: Table, times: Table, tokens: int = 0) -> Iterator[Event]:
    """The events of a program whose instructions run at these times, see `simulator.timing.spans`.

    Args:
        config: what it is for.
        table: its instructions.
        times: when they run; later ones than theirs put the program where it is in a longer run.
        tokens: flows that there are already.
    """
    yield from _slices(config, table, times)
    yield from _flows(table, times, tokens)
    yield from _traffic(config, table, times)


def written(config: Config, cycles: int, events: Iterable[Event]) -> str:
    """A timeline as JSON, one event a line."""
    head = {
        "displayTimeUnit": "ns",
        "otherData": {
            "configuration": config.name,
            "cycles": cycles,
            "unit": "one microsecond stands for one cycle",
        },
    }
    lines = ",\n".join(map(_text, events))
    return f'{_text(head)[:-1]},"traceEvents":[\n{lines}\n]}}\n'


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def names(title: str) -> Iterator[Event]:
    """What the tracks are called, and their order."""
    yield {"ph": "M", "name": "process_name", "pid": PROCESS, "args": {"name": title}}
    for queue in Queue:
        track = {"ph": "M", "pid": PROCESS, "tid": queue + 1}
        yield track | {"name": "thread_name", "args": {"name": queue.name.lower()}}
        yield track | {"name": "thread_sort_index", "args": {"sort_index": int(queue)}}


def _slices(config: Config, table: Table, times: Table) -> Iterator[Event]:
    """For each instruction: it waits for its tokens, works, and waits for the bus."""
    for record, row in zip(records(config, table), times.tolist(), strict=True):
        name = _name(record)
        ready, start, wait, end = row[Span.READY :]
        track = row[Span.QUEUE] + 1
        index = {"index": record["index"]}
        operands = {k: v for k, v in record.items() if k not in ("queue", "opcode")}
        yield from _slice(track, f"{name} waits for a token", TOKEN_WAIT, ready, start, index)
        yield from _slice(track, name, BUSY, start, wait, operands)
        yield from _slice(track, f"{name} waits for the bus", BUS_WAIT, wait, end, index)


def _slice(
    track: int, name: str, category: str, begin: int, end: int, args: Event
) -> Iterator[Event]:
    if begin < end:
        yield {
            "ph": "X",
            "name": name,
            "cat": category,
            "pid": PROCESS,
            "tid": track,
            "ts": begin,
            "dur": end - begin,
            "args": args,
        }


def _name(record: dict[str, int | str]) -> str:
    """What an instruction does, in a word or two."""
    kind = record.get("memory_type", record.get("alu_opcode", ""))
    return f"{record['opcode']} {kind}".rstrip()


def _flows(table: Table, times: Table, tokens: int) -> Iterator[Event]:
    """From each instruction that pushes a token to the one that pops it; counters are in order."""
    queue, identity = queues(table), tokens
    for counter in Counter:
        pushing = _moving(table, queue, counter, _PUSHES)
        popping = _moving(table, queue, counter, _POPS)
        # Tokens that are never popped have no end, and so no flow.
        for source, target in zip(pushing, popping, strict=False):
            identity += 1
            flow = {
                "name": f"token {counter.name.lower().replace('_', ' ')}",
                "cat": "token",
                "id": identity,
                "pid": PROCESS,
            }
            # A flow starts at the slice that is open then, so in the last cycle and not after it.
            last = int(times[source, Span.END]) - 1
            first = int(times[target, Span.START])
            yield flow | {"ph": "s", "tid": int(queue[source]) + 1, "ts": last}
            yield flow | {"ph": "f", "bp": "e", "tid": int(queue[target]) + 1, "ts": first}


def _moving(table: Table, queue: Table, counter: Counter, flags: Iterable[Column]) -> Iterator[int]:
    """The instructions that move a counter by one of these flags, in the order of their queue."""
    places = [(module, TOKEN_FLAGS.index(flag), flag) for module in Queue for flag in flags]
    for module, place, flag in places:
        if COUNTERS[module, place] == counter:
            for index in ((queue == module) & (table[:, flag] != 0)).nonzero()[0]:
                yield int(index)


def _traffic(config: Config, table: Table, times: Table) -> Iterator[Event]:
    """Beats a cycle of each module's transfers, evenly over each instruction's time.

    A beat is as many bytes as the bus is wide. The fetch unit's reads are no module's.
    """
    beats = read_beats(config, table)
    width = config.timing.bus_bytes
    stored = table[:, Column.X_SIZE] * table[:, Column.Y_SIZE]
    sizes = element_bytes(config)[table[:, Column.MEMORY_TYPE]]
    for queue, name in _CHANNELS.items():
        own = (times[:, Span.QUEUE] == queue).nonzero()[0]
        moved = [Fraction(int(n)) for n in beats[own]]
        if queue is Queue.STORE:
            moved = [Fraction(int(n), width) for n in (stored * sizes)[own]]
        yield from _counter(name, moved, times[own][:, [Span.START, Span.END]].tolist())


def _counter(name: str, moved: list[Fraction], times: list[list[int]]) -> Iterator[Event]:
    """The steps of a counter: what is moved between the times, nothing in between."""
    level, begun = Fraction(0), {"ph": "C", "name": name, "pid": PROCESS}
    yield begun | {"ts": 0, "args": {"beats a cycle": 0}}
    for place, (amount, (start, end)) in enumerate(zip(moved, times, strict=True)):
        rate = amount / max(end - start, 1)
        following = times[place + 1][0] if place + 1 < len(times) else None
        if rate != level:
            yield begun | {"ts": start, "args": {"beats a cycle": round(float(rate), _DIGITS)}}
        level = rate
        if following != end and level:
            yield begun | {"ts": end, "args": {"beats a cycle": 0}}
            level = Fraction(0)
