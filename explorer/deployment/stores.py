"""Stores in the reader's order: where vectors that are read are such as the program writes.

Each STORE of the producer is replaced by those that put its vectors where readers want them, once
for each reader's layout, and as often as that has them. Vectors that the producer lacks are the
host's to make; or the whole is copied by a program of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.boxes import boxes
from explorer.deployment.content import Content
from explorer.deployment.copies import Copy, copy
from explorer.deployment.passages import MADE, Passage, passage
from explorer.deployment.programs import NodeProgram, Operand
from explorer.layout.held import Held
from explorer.network.graph import Network
from explorer.network.plan.transitions import Host, Model
from isa.codec import Table
from isa.config import Config
from isa.fields import Column, Memory, Opcode
from simulator.timing import cycles

Goes = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where vectors go: those of entry i from starts[i] to starts[i + 1] of the places."""


@dataclass(frozen=True, slots=True)
class Directed:
    """Programs with the stores that their readers want.

    Attributes:
        nodes: of the network's nodes, by name.
        copies: those that copy, by what they write, in the order of their first readers.
    """

    nodes: Mapping[str, NodeProgram]
    copies: Mapping[bytes, NodeProgram]

    @property
    def all(self) -> dict[str, NodeProgram]:
        """All of them by name."""
        return {**self.nodes, **{program.name: program for program in self.copies.values()}}


class Director:
    """Gives programs the stores that their readers want; what it has found it need not find again.

    Args:
        config: what programs are compiled for.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._passages: dict[tuple[bytes, bytes, Host | None], Passage] = {}
        self._made: dict[tuple[object, ...], NodeProgram] = {}
        self._copies: dict[tuple[str, str], Copy | None] = {}

    def directed(
        self, network: Network, programs: Mapping[str, NodeProgram], rule: Model, host: Host
    ) -> Directed:
        """The programs, which store what their readers want wherever that moves fewer bytes.

        Args:
            network: the network.
            programs: of its nodes, each with its own order of stores.
            rule: which transitions there are.
            host: what the host's work costs, where programs may copy instead.
        """
        if not rule.stores:
            return Directed(programs, {})
        copying = host if rule.copies else None
        asked: dict[str, dict[bytes, Content]] = {}
        copies: dict[bytes, NodeProgram] = {}
        for program in programs.values():
            for part in program.operands:
                if part.content is None or part.written:
                    continue
                producer = _producer(part.content, network, programs)
                if producer is None:
                    continue
                found = self.passage(producer, part.content, copying)
                if found.direct:
                    own = asked.setdefault(producer.node.name, {})
                    own[part.content.key] = part.content
                elif found.kind == "copied" and part.content.key not in copies:
                    known = {n.name for n in network.nodes} | {c.name for c in copies.values()}
                    name = _free(f"copy of {part.content.tensors[0]}", known)
                    copies[part.content.key] = self._copying(producer, part.content, name)
        nodes = {}
        for name, program in programs.items():
            nodes[name] = program
            if name in asked:
                kept = self._kept(program, network, programs, copying)
                nodes[name] = self._directed(program, asked[name], kept, copying)
        return Directed(nodes, copies)

    def passage(self, producer: NodeProgram, content: Content, copying: Host | None) -> Passage:
        """How a program's output becomes what is read.

        Args:
            producer: the program.
            content: what is read.
            copying: what the host's work costs, where programs may copy instead.
        """
        assert producer.output is not None
        key = producer.output.key, content.key, copying
        if key not in self._passages:
            found = passage(producer.output, content, stores=True)
            if copying is not None and content.plain and found.copied(0, copying):
                made = self.copy(producer.output.summands[0].held, content.summands[0].held)
                if found.copied(made.cycles if made else None, copying):
                    found = Passage("copied", found.sources)
            self._passages[key] = found
        return self._passages[key]

    def copy(self, there: Held, here: Held) -> Copy | None:
        """The program that makes one layout of another; see `copies.copy`."""
        key = there.digest, here.digest
        if key not in self._copies:
            self._copies[key] = copy(self.config, there.rows(), here.rows())
        return self._copies[key]

    def _copying(self, producer: NodeProgram, content: Content, name: str) -> NodeProgram:
        """The program that copies what another one has written."""
        written = producer.output
        assert written is not None
        made = self.copy(written.summands[0].held, content.summands[0].held)
        assert made is not None
        operands = (
            Operand("data", 0, written.size, written),
            Operand("blocks", 0, len(made.blocks), None, made.blocks),
            Operand("output", 0, content.size, content, written=True, direct=True),
        )
        return NodeProgram(
            producer.node, content.layout, made.cycles, made.table, made.points, made.uops,
            operands, name,
        )  # fmt: skip

    def _kept(
        self,
        program: NodeProgram,
        network: Network,
        programs: Mapping[str, NodeProgram],
        copying: Host | None,
    ) -> bool:
        """Whether somebody needs the output as the program has it."""
        tensor = program.node.output.tensor
        if tensor in network.outputs:
            return True
        for node in network.readers[tensor]:
            if node.name not in programs:
                return True
            for part in programs[node.name].operands:
                if part.content is None or part.written or tensor not in part.content.tensors:
                    continue
                if len(part.content.tensors) > 1:
                    return True
                if not self.passage(program, part.content, copying).direct:
                    return True
        return False

    def _directed(
        self,
        program: NodeProgram,
        wanted: Mapping[bytes, Content],
        kept: bool,
        copying: Host | None,
    ) -> NodeProgram:
        """The program with other stores."""
        key = program.node.name, program.candidate, tuple(wanted), kept
        if key not in self._made:
            passages = [self.passage(program, content, copying) for content in wanted.values()]
            targets = [
                _target(program, content, found)
                for content, found in zip(wanted.values(), passages, strict=True)
            ]
            kept = kept or any(target.own for target in targets)
            self._made[key] = _directed(program, targets, passages, kept, self.config)
        return self._made[key]


def _free(stem: str, known: Collection[str]) -> str:
    """A name that is not known."""
    names = (f"{stem} {n}" if n else stem for n in count())
    return next(name for name in names if name not in known)


def _producer(
    content: Content, network: Network, programs: Mapping[str, NodeProgram]
) -> NodeProgram | None:
    """The program that writes what is read; None if the host does."""
    producer = network.producers.get(content.tensors[0])
    return programs.get(producer.name) if producer is not None else None


def _target(program: NodeProgram, content: Content, found: Passage) -> Operand:
    """What a program stores for a reader, and what of it the host makes."""
    held = content.summands[0].held
    wanted = held.rows(np.flatnonzero(found.sources == MADE))
    # The host takes elements from the same buffer, if all that it needs are there.
    stored = held.rows(np.flatnonzero(found.sources >= 0)) if len(wanted) else wanted
    own = not np.isin(wanted[wanted >= 0], stored).all()
    name = next(part.name for part in program.operands if part.written)
    return Operand(
        name, 0, content.size, content, written=True, direct=True, filled=found.filled, own=own
    )


def _directed(
    program: NodeProgram,
    targets: Sequence[Operand],
    passages: Sequence[Passage],
    kept: bool,
    config: Config,
) -> NodeProgram:
    """The program with other stores."""
    number = next(n for n, part in enumerate(program.operands) if part.written)
    operands = list(program.operands)
    where: list[tuple[int, Goes | None]] = [(number, None)] if kept else []
    for place, (target, found) in enumerate(zip(targets, passages, strict=True)):
        if place == 0 and not kept:
            operands[number] = target
            where.append((number, _inverse(found.sources)))
        else:
            where.append((len(operands), _inverse(found.sources)))
            operands.append(target)
    # What stores nothing of the output stays as it is, from one of its STOREs to the next.
    parts, points, begin = [], [], 0
    for place in np.flatnonzero(program.points == number).tolist():
        stores, to = _stores(program.table[place], where)
        parts += [program.table[begin:place], stores]
        points += [program.points[begin:place], np.array(to, np.int64)]
        begin = place + 1
    table = np.concatenate([*parts, program.table[begin:]])
    return replace(
        program,
        cycles=cycles(config, table),
        table=table,
        points=np.concatenate([*points, program.points[begin:]]),
        operands=tuple(operands),
    )


def _inverse(found: NDArray[np.int64]) -> Goes:
    """Where each entry goes."""
    places = np.flatnonzero(found >= 0)
    entries = found[places]
    order = np.argsort(entries, kind="stable")
    starts = np.searchsorted(entries[order], np.arange(entries.max(initial=-1) + 2))
    return starts, places[order]


def _stores(
    row: NDArray[np.int64], where: Sequence[tuple[int, Goes | None]]
) -> tuple[Table, list[int]]:
    """The STOREs in place of one, with what each points to; they move the same tokens."""
    made, points = [], []
    for place, goes in where:
        if goes is None:
            made.append(row.copy())
            points.append(place)
            continue
        for sram, dram, width, height, stride in boxes(_pairs(row, goes)):
            one = row.copy()
            one[Column.SRAM_BASE], one[Column.DRAM_BASE] = sram, dram
            one[Column.X_SIZE], one[Column.Y_SIZE], one[Column.X_STRIDE] = width, height, stride
            made.append(one)
            points.append(place)
    if not made:
        # Nobody reads what it stores; its tokens are still needed.
        nothing = np.zeros_like(row)
        nothing[Column.OPCODE], nothing[Column.MEMORY_TYPE] = Opcode.STORE, Memory.OUT
        made, points = [nothing], [-1]
    table = np.stack(made)
    table[:, Column.POP_PREV : Column.PUSH_NEXT + 1] = 0
    table[0, [Column.POP_PREV, Column.POP_NEXT]] = row[[Column.POP_PREV, Column.POP_NEXT]]
    table[-1, [Column.PUSH_PREV, Column.PUSH_NEXT]] = row[[Column.PUSH_PREV, Column.PUSH_NEXT]]
    return table, points


def _pairs(row: NDArray[np.int64], goes: Goes) -> NDArray[np.int64]:
    """Where each vector of a STORE is in the scratchpad, and where it goes, (vectors, 2)."""
    starts, places = goes
    width, height = int(row[Column.X_SIZE]), int(row[Column.Y_SIZE])
    entries = row[Column.X_STRIDE] * np.arange(height)[:, None] + np.arange(width)
    # Entries behind the last that goes anywhere go nowhere.
    entries = np.minimum(row[Column.DRAM_BASE] + entries.reshape(-1), len(starts) - 1)
    ends = np.append(starts, starts[-1])
    times = ends[entries + 1] - starts[entries]
    sram = np.repeat(row[Column.SRAM_BASE] + np.arange(len(entries)), times)
    # The n-th place of each entry.
    turn = np.arange(len(sram)) - np.repeat(np.cumsum(times) - times, times)
    return np.stack([sram, places[np.repeat(starts[entries], times) + turn]], axis=1)
