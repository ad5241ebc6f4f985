"""A deployed network over time: what the accelerator does, and the host in between.

Segments take the cycles that the model of `simulator.timing` gives them, and what the host packs,
fills and unpacks those of a plan: so many for each byte and for each copy. How long the host's
nodes take is not known; here they take what reading and writing their tensors does, at the least.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from explorer.deployment.host_work import cycles, moved
from explorer.deployment.image import Deployment, Run, Segment
from explorer.deployment.steps import Call, Fill, Pack
from explorer.network.plan.transitions import Host
from explorer.report.trace import Event, events, names, written
from isa.codec import Queue
from simulator.timing import Span, spans

ACCELERATOR, HOST = 1, 2
"""Processes of the trace."""
NODES = len(Queue) + 1
"""The track below the modules."""


@dataclass(frozen=True, slots=True)
class Row:
    """A step of a network's run.

    Attributes:
        step: its number.
        runs: the accelerator or the host.
        what: launch, pack, fill, unpack or call.
        names: nodes, or tensors.
        begin: the cycle in which it begins.
        cycles: that it takes.
        bytes: that the host reads and writes.
    """

    step: int
    runs: str
    what: str
    names: str
    begin: int
    cycles: int
    bytes: int


def rows(deployment: Deployment, host: Host) -> list[Row]:
    """The steps of a network's run, one after the other."""
    found: list[Row] = []
    begin = 0
    for number, action in enumerate(deployment.actions):
        runs, taken = "host", cycles(deployment, action, host)
        if isinstance(action, Run):
            segment = deployment.segments[action.segment]
            runs, what, text = "accelerator", "launch", ", ".join(segment.nodes)
            taken = segment.cycles
        elif isinstance(action, Call):
            what, text = "call", action.node
        elif isinstance(action, Pack | Fill):
            what, text = ("pack" if isinstance(action, Pack) else "fill"), _name(deployment, action)
        else:
            what, text = "unpack", action.tensor
        found.append(Row(number, runs, what, text, begin, taken, moved(deployment, action)))
        begin += taken
    return found


def _name(deployment: Deployment, action: Pack | Fill) -> str:
    return deployment.placed[action.buffer].name


def trace(deployment: Deployment, host: Host) -> str:
    """The run in the Trace Event format; see `explorer.report.trace`."""
    listed = rows(deployment, host)
    total = listed[-1].begin + listed[-1].cycles if listed else 0
    return written(deployment.config, total, _events(deployment, listed))


def _events(deployment: Deployment, listed: list[Row]) -> Iterator[Event]:
    yield from names(f"{deployment.network.name} on {deployment.config.name}")
    for process, track, kind, text in (
        (ACCELERATOR, NODES, "thread_name", "nodes"),
        (HOST, 0, "process_name", "host"),
        (HOST, 1, "thread_name", "layouts and nodes"),
    ):
        yield {"ph": "M", "pid": process, "tid": track, "name": kind, "args": {"name": text}}
    tokens = 0
    for row, action in zip(listed, deployment.actions, strict=True):
        if not isinstance(action, Run):
            yield _by_host(row)
            continue
        segment = deployment.segments[action.segment]
        times = spans(deployment.config, segment.table)
        times[:, Span.READY :] += row.begin
        for event in events(deployment.config, segment.table, times, tokens):
            tokens = max(tokens, event.get("id", 0))
            yield event
        yield from _nodes(segment, times)


def _nodes(
    segment: Segment, times: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> Iterator[Event]:
    """When the compute module works at each node: it takes them in order."""
    bounds = [*segment.starts, len(segment.table)]
    for number, name in enumerate(segment.nodes):
        own = times[bounds[number] : bounds[number + 1]]
        own = own[own[:, Span.QUEUE] == Queue.COMPUTE]
        begin, end = int(own[0, Span.READY]), int(own[-1, Span.END])
        yield {
            "ph": "X", "name": name, "cat": "node", "pid": ACCELERATOR, "tid": NODES, "ts": begin,
            "dur": end - begin, "args": {"candidate": segment.candidates[number]},
        }  # fmt: skip


def _by_host(row: Row) -> Event:
    """A slice, or an instant of what takes no time."""
    event: Event = {
        "name": f"{row.what} {row.names}", "cat": "host", "pid": HOST, "tid": 1, "ts": row.begin,
        "args": {"step": row.step, "bytes": row.bytes},
    }  # fmt: skip
    return event | ({"ph": "X", "dur": row.cycles} if row.cycles else {"ph": "i", "s": "t"})
