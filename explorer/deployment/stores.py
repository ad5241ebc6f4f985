"""Stores in the reader's order: where every vector that is read is one that is written.

Each STORE of the producer is replaced by those that put its vectors where readers want them, once
for each reader's layout, and as often as that has them. Vectors that hold nothing but zeros, as of
a border, are nobody's to write: the host clears the buffer beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.content import Content, serves
from explorer.deployment.programs import NodeProgram, Operand
from explorer.layout.canonical import IDLE, ZERO
from explorer.network.graph import Network
from isa.codec import Table
from isa.fields import Column, Memory, Opcode

CLEARED, UNUSED = -1, -2
"""Vectors that the host makes zero, and those of which no lane counts."""
_MOST = 2**16 - 1  # of a size or stride: fields of 16 bits
Run = tuple[int, int, int]
"""Vectors in a row: the first in the scratchpad, the first in the buffer, and how many."""


def directed(network: Network, programs: Mapping[str, NodeProgram]) -> dict[str, NodeProgram]:
    """The programs, which store what their readers want wherever they have all of its vectors."""
    asked: dict[str, dict[bytes, Content]] = {}
    for program in programs.values():
        for part in program.operands:
            if part.content is None or part.written:
                continue
            producer = _producer(part.content, network, programs)
            if producer is not None and _directs(producer, part.content):
                found = asked.setdefault(producer.node.name, {})
                found[part.content.key] = part.content
    return {
        name: _directed(program, list(asked[name].values()), _kept(program, network, programs))
        if name in asked
        else program
        for name, program in programs.items()
    }


def _producer(
    content: Content, network: Network, programs: Mapping[str, NodeProgram]
) -> NodeProgram | None:
    producer = network.producers.get(content.tensors[0])
    return programs.get(producer.name) if producer is not None else None


def _directs(producer: NodeProgram, content: Content) -> bool:
    """Whether a producer's stores can make what is read, and it is not there anyway."""
    output = producer.output
    if output is None or not content.plain or serves(output, content, by_host=False):
        return False
    return sources(output, content) is not None


def _kept(program: NodeProgram, network: Network, programs: Mapping[str, NodeProgram]) -> bool:
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
            if not _directs(program, part.content):
                return True
    return False


def sources(written: Content, read: Content) -> NDArray[np.int64] | None:
    """Which entry that is written each entry that is read is; None if some is none.

    `CLEARED` and `UNUSED` stand for entries that no element lies in.
    """
    there, here = written.summands[0].index, read.summands[0].index
    if there.shape[1] != here.shape[1]:
        return None
    live = here >= 0
    found = np.where((here == ZERO).any(axis=1), CLEARED, UNUSED)
    # A zero beside elements would have to be one that the producer computes: it has garbage there.
    if np.any(live.any(axis=1) & (here == ZERO).any(axis=1)):
        return None
    first = np.argmax(live, axis=1)
    for lane in np.unique(first[live.any(axis=1)]).tolist():
        place = np.full(max(int(there.max()), int(here.max())) + 1, UNUSED)
        held = there[:, lane] >= 0
        place[there[held, lane]] = np.flatnonzero(held)
        rows = np.flatnonzero(live.any(axis=1) & (first == lane))
        entries = place[here[rows, lane]]
        if np.any(entries < 0) or not np.all((here[rows] == IDLE) | (here[rows] == there[entries])):
            return None
        found[rows] = entries
    return found


def _directed(program: NodeProgram, wanted: Sequence[Content], kept: bool) -> NodeProgram:
    """The program with other stores."""
    number = next(n for n, part in enumerate(program.operands) if part.written)
    own, output = program.operands[number], program.output
    assert output is not None
    targets = [Operand(own.name, 0, c.size, c, written=True, direct=True) for c in wanted]
    operands = list(program.operands)
    maps: list[tuple[int, NDArray[np.int64] | None]] = []
    if kept:
        maps.append((number, None))
    else:
        operands[number], targets = targets[0], targets[1:]
        maps.append((number, sources(output, wanted[0])))
    for target in targets:
        assert target.content is not None
        maps.append((len(operands), sources(output, target.content)))
        operands.append(target)
    rows, points = [], []
    where = [(place, None if found is None else _inverse(found)) for place, found in maps]
    for row, point in zip(program.table, program.points.tolist(), strict=True):
        if point != number:
            rows.append(row[None])
            points.append([point])
            continue
        stores, to = _stores(row, where)
        rows.append(stores)
        points.append(to)
    return replace(
        program,
        table=np.concatenate(rows),
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


def boxes(pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int, int, int]]:
    """STOREs that move vectors so: scratchpad, DRAM, width, height, stride.

    Vectors that follow each other in both are rows, and rows of one width that follow each other in
    the scratchpad, at one distance in DRAM, are a STORE.
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


def _runs(pairs: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """Vectors that follow each other in both memories."""
    begin: Run | None = None
    for sram, dram in sorted(pairs, key=lambda p: (p[1] - p[0], p[0])):
        if (
            begin is not None
            and (sram - begin[0], dram - begin[1]) == (begin[2], begin[2])
            and begin[2] < _MOST
        ):
            begin = begin[0], begin[1], begin[2] + 1
            continue
        if begin is not None:
            yield begin
        begin = sram, dram, 1
    if begin is not None:
        yield begin
