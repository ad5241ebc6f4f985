"""Stores in the reader's order: where vectors that are read are such as the program writes.

Each STORE of the producer is replaced by those that put its vectors where readers want them, once
for each reader's layout, and as often as that has them. Vectors that the producer lacks are the
host's to make; or the whole is copied by a program of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.boxes import boxes
from explorer.deployment.content import Content, Rows
from explorer.deployment.copies import Copy, copy
from explorer.deployment.passages import MADE, Passage, passage
from explorer.deployment.programs import NodeProgram, Operand
from explorer.network.graph import Network
from explorer.network.transitions import Host, Model
from isa.codec import Table
from isa.config import Config
from isa.fields import Column, Memory, Opcode
from simulator.timing import cycles


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
        rule: which transitions there are.
        host: what the host's work costs, where programs may copy instead.
    """

    def __init__(self, config: Config, rule: Model, host: Host) -> None:
        self.config, self.rule, self.host = config, rule, host
        self._passages: dict[tuple[bytes, bytes], Passage] = {}
        self._made: dict[tuple[object, ...], NodeProgram] = {}
        self._copies: dict[bytes, Copy | None] = {}

    def directed(self, network: Network, programs: Mapping[str, NodeProgram]) -> Directed:
        """The programs, which store what their readers want wherever that moves fewer bytes.

        Args:
            network: the network.
            programs: of its nodes, each with its own order of stores.
        """
        if not self.rule.stores:
            return Directed(programs, {})
        asked: dict[str, dict[bytes, Content]] = {}
        copies: dict[bytes, NodeProgram] = {}
        for program in programs.values():
            for part in program.operands:
                if part.content is None or part.written:
                    continue
                producer = _producer(part.content, network, programs)
                if producer is None:
                    continue
                found = self.passage(producer, part.content)
                if found.direct:
                    own = asked.setdefault(producer.node.name, {})
                    own[part.content.key] = part.content
                elif found.kind == "copied" and part.content.key not in copies:
                    known = {n.name for n in network.nodes} | {c.name for c in copies.values()}
                    stem = f"copy of {part.content.tensors[0]}"
                    names = (f"{stem} {n}" if n else stem for n in count())
                    name = next(name for name in names if name not in known)
                    copies[part.content.key] = self._copying(producer, part.content, name)
        nodes = {
            name: self._directed(program, asked[name], self._kept(program, network, programs))
            if name in asked
            else program
            for name, program in programs.items()
        }
        return Directed(nodes, copies)

    def passage(self, producer: NodeProgram, content: Content) -> Passage:
        """How a program's output becomes what is read."""
        assert producer.output is not None
        key = producer.output.key, content.key
        if key not in self._passages:
            found = passage(producer.output, content, stores=True)
            if self.rule.copies and content.plain and found.copied(0, self.host):
                there, here = (c.summands[0].index for c in (producer.output, content))
                made = self.copy(there, here)
                if found.copied(made.cycles if made else None, self.host):
                    found = Passage("copied", found.sources)
            self._passages[key] = found
        return self._passages[key]

    def copy(self, there: Rows, here: Rows) -> Copy | None:
        """The program that makes one layout of another; see `copies.copy`."""
        key = hashlib.blake2b(digest_size=16)
        for rows in (there, here):
            key.update(repr(rows.shape).encode() + np.ascontiguousarray(rows).tobytes())
        if key.digest() not in self._copies:
            self._copies[key.digest()] = copy(self.config, there, here)
        return self._copies[key.digest()]

    def _copying(self, producer: NodeProgram, content: Content, name: str) -> NodeProgram:
        """The program that copies what another one has written."""
        written = producer.output
        assert written is not None
        made = self.copy(written.summands[0].index, content.summands[0].index)
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
        self, program: NodeProgram, network: Network, programs: Mapping[str, NodeProgram]
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
                if len(part.content.tensors) > 1 or not self.passage(program, part.content).direct:
                    return True
        return False

    def _directed(
        self, program: NodeProgram, wanted: Mapping[bytes, Content], kept: bool
    ) -> NodeProgram:
        """The program with other stores."""
        key = program.node.name, program.candidate, tuple(wanted), kept
        if key not in self._made:
            passages = [self.passage(program, content) for content in wanted.values()]
            targets = [
                _target(program, content, found)
                for content, found in zip(wanted.values(), passages, strict=True)
            ]
            kept = kept or any(target.own for target in targets)
            self._made[key] = _directed(program, targets, passages, kept, self.config)
        return self._made[key]


def _producer(
    content: Content, network: Network, programs: Mapping[str, NodeProgram]
) -> NodeProgram | None:
    """The program that writes what is read; None if the host does."""
    producer = network.producers.get(content.tensors[0])
    return programs.get(producer.name) if producer is not None else None


def _target(program: NodeProgram, content: Content, found: Passage) -> Operand:
    """What a program stores for a reader, and what of it the host makes."""
    index = content.summands[0].index
    stored = index[found.sources >= 0]
    wanted = index[found.sources == MADE]
    # The host takes elements from the same buffer, if all that it needs are there.
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
    where: list[tuple[int, dict[int, list[int]] | None]] = [(number, None)] if kept else []
    for place, (target, found) in enumerate(zip(targets, passages, strict=True)):
        if place == 0 and not kept:
            operands[number] = target
            where.append((number, _inverse(found.sources)))
        else:
            where.append((len(operands), _inverse(found.sources)))
            operands.append(target)
    rows, points = [], []
    for row, point in zip(program.table, program.points.tolist(), strict=True):
        if point != number:
            rows.append(row[None])
            points.append([point])
            continue
        stores, to = _stores(row, where)
        rows.append(stores)
        points.append(to)
    table = np.concatenate(rows)
    return replace(
        program,
        cycles=cycles(config, table),
        table=table,
        points=np.concatenate([np.array(p, np.int64) for p in points]),
        operands=tuple(operands),
    )


def _inverse(found: NDArray[np.int64]) -> dict[int, list[int]]:
    """Where each entry goes."""
    places: dict[int, list[int]] = {}
    for place, entry in enumerate(found.tolist()):
        if entry >= 0:
            places.setdefault(entry, []).append(place)
    return places


def _stores(
    row: NDArray[np.int64], where: Sequence[tuple[int, dict[int, list[int]] | None]]
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


def _pairs(row: NDArray[np.int64], goes: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    """Where each vector of a STORE is in the scratchpad, and where it goes."""
    width = int(row[Column.X_SIZE])
    return [
        (int(row[Column.SRAM_BASE]) + y * width + x, place)
        for y in range(int(row[Column.Y_SIZE]))
        for x in range(width)
        for place in goes.get(int(row[Column.DRAM_BASE]) + y * int(row[Column.X_STRIDE]) + x, ())
    ]
