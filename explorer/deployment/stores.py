"""Stores in the reader's order: where vectors that are read are such as the program writes.

Each STORE of the producer is replaced by those that put its vectors where readers want them, once
for each reader's layout, and as often as that has them. Vectors that the producer lacks are the
host's to make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.content import Content
from explorer.deployment.passages import MADE, Passage, passage
from explorer.deployment.programs import NodeProgram, Operand
from explorer.network.graph import Network
from isa.codec import Table
from isa.config import Config
from isa.fields import Column, Memory, Opcode
from simulator.timing import cycles

_MOST = 2**16 - 1  # of a size or stride: fields of 16 bits
Goes = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where vectors go: those of entry i from starts[i] to starts[i + 1] of the places."""
Run = tuple[int, int, int]
"""Vectors in a row: the first in the scratchpad, the first in the buffer, and how many."""


class Director:
    """Gives programs the stores that their readers want; what it has found it need not find again.

    Args:
        config: what programs are compiled for.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._passages: dict[tuple[bytes, bytes], Passage] = {}
        self._made: dict[tuple[object, ...], NodeProgram] = {}

    def directed(
        self, network: Network, programs: Mapping[str, NodeProgram]
    ) -> dict[str, NodeProgram]:
        """The programs, which store what their readers want wherever that moves fewer bytes.

        Args:
            network: the network.
            programs: of its nodes, each with its own order of stores.
        """
        asked: dict[str, dict[bytes, Content]] = {}
        for program in programs.values():
            for part in program.operands:
                if part.content is None or part.written:
                    continue
                producer = _producer(part.content, network, programs)
                if producer is not None and self.passage(producer, part.content).direct:
                    found = asked.setdefault(producer.node.name, {})
                    found[part.content.key] = part.content
        return {
            name: self._directed(program, asked[name], self._kept(program, network, programs))
            if name in asked
            else program
            for name, program in programs.items()
        }

    def passage(self, producer: NodeProgram, content: Content) -> Passage:
        """How a program's output becomes what is read."""
        assert producer.output is not None
        key = producer.output.key, content.key
        if key not in self._passages:
            self._passages[key] = passage(producer.output, content, stores=True)
        return self._passages[key]

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


def boxes(pairs: NDArray[np.int64]) -> Iterator[tuple[int, int, int, int, int]]:
    """STOREs that move vectors so: scratchpad, DRAM, width, height, stride.

    Vectors that follow each other in both are rows, and rows of one width that follow each other in
    the scratchpad, at one distance in DRAM, are a STORE.

    Args:
        pairs: where each vector is, and where it goes, (vectors, 2).
    """
    rows = sorted(_runs(pairs))
    left = dict.fromkeys(rows)
    begins: dict[tuple[int, int], list[Run]] = {}
    for run in rows:
        begins.setdefault((run[0], run[2]), []).append(run)
    for first in rows:
        if first not in left:
            continue
        del left[first]
        chain, stride = [first], 0
        while len(chain) < _MOST:
            sram, dram, width = chain[-1]
            following = [r for r in begins.get((sram + width, width), ()) if r in left]
            fits = [
                r
                for r in following
                if (r[1] - dram == stride if len(chain) > 1 else 0 <= r[1] - dram <= _MOST)
            ]
            if not fits:
                break
            stride = fits[0][1] - dram
            del left[fits[0]]
            chain.append(fits[0])
        yield first[0], first[1], first[2], len(chain), stride if len(chain) > 1 else first[2]


def _runs(pairs: NDArray[np.int64]) -> Iterator[Run]:
    """Vectors that follow each other in both memories."""
    apart = pairs[:, 1] - pairs[:, 0]
    order = np.lexsort([pairs[:, 0], apart])
    sram, dram, apart = pairs[order, 0], pairs[order, 1], apart[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (apart[1:] != apart[:-1]) | (sram[1:] != sram[:-1] + 1)
    places = np.arange(len(order))
    begins |= (places - np.maximum.accumulate(np.where(begins, places, 0))) % _MOST == 0
    starts = np.flatnonzero(begins)
    widths = np.diff(np.append(starts, len(order)))
    yield from zip(sram[starts].tolist(), dram[starts].tolist(), widths.tolist(), strict=True)
