"""A network ready to run: one memory with everything in it, and what happens in which order.

Memory holds, in this order, the tensors that vary (`memory.arranged`), packed constants, micro-ops
and instructions. Other places are as good: of each instruction it is known what it points to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.content import NO_ROWS, Content, Rows
from explorer.deployment.memory import Arena, Life, arranged
from explorer.deployment.programs import MICRO_OPS, NOTHING, NodeProgram
from explorer.deployment.segments import Border, Joined, joined
from explorer.deployment.steps import Call, Course, Fill, Launch, Pack, Step, Unpack
from explorer.network.graph import Network
from isa.codec import Table, encode, encode_uops
from isa.config import Config
from isa.fields import INSTRUCTION_BYTES, Column, Memory
from isa.program_image import DRAM_START, PAGE_BYTES, SECTIONS, Program, Section
from simulator.counts import element_bytes
from simulator.lint import Finding, lint
from simulator.timing import cycles

Array = NDArray[Any]
Kind = Literal["tensor", "constant", "micro-ops", "instructions"]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """What lies somewhere in memory.

    Attributes:
        name: for people.
        kind: what it is.
        address: of its first byte.
        size: bytes.
        content: what a tensor's buffer holds.
        data: the bytes of anything else.
        first, last: the steps between which a tensor's buffer is needed, both inclusive.
        filled: the entries that the host makes of a buffer that programs store into.
    """

    name: str
    kind: Kind
    address: int
    size: int
    content: Content | None = None
    data: bytes = b""
    first: int = 0
    last: int = 0
    filled: Rows = field(default_factory=lambda: NO_ROWS)

    @property
    def entries(self) -> int:
        """Vectors of a tensor's buffer."""
        return 0 if self.content is None else self.content.summands[0].held.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Programs of consecutive nodes in one instruction stream, for one launch.

    Attributes:
        nodes: in order; a program that copies has a name of its own.
        candidates: what the plan chose for each; of a copy, the layout that it makes.
        border: how each follows the one before it; None where there is one.
        table: decoded instructions with absolute addresses.
        points: of each instruction the number of what it points to in `Deployment.placed`, or -1.
        starts: the first instruction of each node.
        uops: micro-ops, those of one node after the other.
        micro, code: the numbers of its micro-ops and instructions in `Deployment.placed`.
        outputs: the numbers of the buffers that its nodes write.
        cycles: simulated.
        alone: cycles of its nodes' programs one by one, as plans count them.
    """

    nodes: tuple[str, ...]
    candidates: tuple[str, ...]
    border: Border | None
    table: Table
    points: NDArray[np.int64]
    starts: tuple[int, ...]
    uops: Table
    micro: int
    code: int
    outputs: tuple[int, ...]
    cycles: int
    alone: int


@dataclass(frozen=True, slots=True)
class Run:
    """The accelerator runs a segment."""

    segment: int


Action = Pack | Fill | Unpack | Run | Call
"""A step; buffers are numbers in `Deployment.placed`."""


@dataclass(frozen=True, slots=True, eq=False)
class HostModel:
    """A host node as an ONNX model.

    Attributes:
        data: the model.
        inputs, outputs: the model's names by the network's.
    """

    data: bytes
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """A network ready to run.

    Attributes:
        network: the network.
        config: the accelerator's configuration.
        placed: everything in memory; first the buffers of tensors.
        segments: in the order of their launch.
        actions: what happens, in order.
        constants: constants that the host needs, by the network's names.
        models: what host nodes do, where that is known.
        size: bytes of memory, from address 0 on.
        peak: bytes of the part that tensors share.
        bound: bytes that some step needs of it.
    """

    network: Network
    config: Config
    placed: tuple[Placed, ...]
    segments: tuple[Segment, ...]
    actions: tuple[Action, ...]
    constants: Mapping[str, Array]
    models: Mapping[str, HostModel]
    size: int
    peak: int
    bound: int


class RaceError(AssertionError):
    """A stream in which the linter finds something, which is a mistake of ours."""


def deployed(
    network: Network,
    config: Config,
    programs: Mapping[str, NodeProgram],
    course: Course,
    *,
    one_by_one: bool = False,
    apart: bool = False,
    constants: Mapping[str, Array] | None = None,
    models: Mapping[str, HostModel] | None = None,
) -> Deployment:
    """A network with all addresses.

    Args:
        network: the network.
        config: what it is compiled for.
        programs: of its programmed nodes, and those that copy, by name.
        course: its run.
        one_by_one: whether each node is a segment of its own.
        apart: whether no two tensors share memory, so that all of them are there in the end.
        constants: those that the host needs.
        models: what host nodes do.

    Raises:
        RaceError: the linter finds something in a stream.
    """
    lives = [Life(b.content.size, b.first, b.last) for b in course.buffers]
    steps = len(course.steps)
    kept = [Life(life.size, 0, steps) for life in lives] if apart else lives
    desk = _Desk(config, programs, course, arranged(kept, unit(config)))
    groups = list(_groups(course.steps, one_by_one=one_by_one))
    runs = [group for group in groups if isinstance(group, tuple)]
    for number, group in enumerate(runs):
        desk.constants(number, group)
    streams = [desk.stream(group) for group in runs]
    segments = tuple(
        desk.segment(group, stream) for group, stream in zip(runs, streams, strict=True)
    )
    numbers = iter(range(len(runs)))
    actions = tuple(Run(next(numbers)) if isinstance(step, tuple) else step for step in groups)
    bound = desk.arena.bound if not apart else arranged(lives, unit(config)).bound
    return Deployment(
        network, config, tuple(desk.placed), segments, actions, constants or {},
        models or {}, _up(desk.free, PAGE_BYTES), desk.arena.peak, bound,
    )  # fmt: skip


def _groups(
    steps: Sequence[Step], *, one_by_one: bool
) -> Iterator[tuple[str, ...] | Pack | Fill | Unpack | Call]:
    """Steps, with launches in a row as one."""
    group: list[str] = []
    for step in steps:
        if isinstance(step, Launch):
            if group and one_by_one:
                yield tuple(group)
                group = []
            group.append(step.program)
            continue
        if group:
            yield tuple(group)
            group = []
        yield step
    if group:
        yield tuple(group)


def unit(config: Config) -> int:
    """What every address of a buffer is a multiple of.

    Instructions count elements, of any kind; and bursts of DRAM begin where a buffer does, so that
    a program takes the same cycles wherever its buffers are.
    """
    elements = (config.element_bytes(memory) for memory in Memory)
    return math.lcm(INSTRUCTION_BYTES, config.timing.burst_bytes, *elements)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


class _Desk:
    """A memory that fills."""

    def __init__(
        self, config: Config, programs: Mapping[str, NodeProgram], course: Course, arena: Arena
    ) -> None:
        self.config, self.programs, self.course, self.arena = config, programs, course, arena
        self.unit = unit(config)
        base = _up(DRAM_START, self.unit)
        self.placed = [
            Placed(f"{'+'.join(b.content.tensors)} {b.content.layout}", "tensor", base + place,
                   b.content.size, b.content, b"", b.first, b.last, b.filled)
            for b, place in zip(course.buffers, arena.places, strict=True)
        ]  # fmt: skip
        self.free = base + arena.peak
        self.places: dict[tuple[str, int], int] = {}
        self.uops: dict[tuple[str, ...], int] = {}

    def _place(self, name: str, kind: Kind, data: bytes) -> int:
        address = _up(self.free, self.unit)
        self.placed.append(Placed(name, kind, address, len(data), data=data))
        self.free = address + len(data)
        return len(self.placed) - 1

    def constants(self, number: int, group: tuple[str, ...]) -> None:
        """Place what the programs of a segment load besides tensors that vary."""
        for name in group:
            for place, part in enumerate(self.programs[name].operands):
                if part.content is None:
                    found = self._place(f"{name} {part.name}", "constant", part.data)
                    self.places[name, place] = found
        uops = np.concatenate([self.programs[name].uops for name in group])
        data = encode_uops(self.config, uops)
        self.uops[group] = self._place(f"segment {number}", "micro-ops", data)

    def stream(self, group: tuple[str, ...]) -> tuple[Joined, NDArray[np.int64], Border]:
        """The instructions of a segment, what they point to, and how its programs are joined."""
        tables, points, begun = [], [], 0
        for name in group:
            table, pointing = self._absolute(name, group, begun)
            begun += len(self.programs[name].uops)
            tables.append(table)
            points.append(pointing)
        image = np.zeros(_up(self.free, PAGE_BYTES), np.uint8)
        micro = self.placed[self.uops[group]]
        image[micro.address : micro.address + micro.size] = np.frombuffer(micro.data, np.uint8)
        borders: tuple[Border, ...] = ("flow", "barrier")
        findings: list[Finding] = []
        for border in borders:
            made = joined(self.config, tables, image, border)
            findings = lint(self._program(made.table, group, self.free))
            if not findings:
                which = np.array([points[n][row] for n, row in made.origin.tolist()], np.int64)
                return made, which, border
        raise RaceError(f"segment {', '.join(group)}: {findings[0]}")

    def _absolute(
        self, name: str, group: tuple[str, ...], begun: int
    ) -> tuple[Table, NDArray[np.int64]]:
        """A node's instructions with absolute addresses, and what each points to in memory."""
        program = self.programs[name]
        table, points = program.table.copy(), np.full(len(program.table), NOTHING)
        sizes = element_bytes(self.config)[table[:, Column.MEMORY_TYPE]]
        for number in np.unique(program.points).tolist():
            rows = program.points == number
            if number == NOTHING:
                continue
            place = self.uops[group] if number == MICRO_OPS else self._operand(name, number)
            points[rows] = place
            address = self.placed[place].address
            table[rows, Column.DRAM_BASE] += address // sizes[rows]
            if number == MICRO_OPS:
                table[rows, Column.DRAM_BASE] += begun
        return table, points

    def _operand(self, name: str, number: int) -> int:
        buffer = self.course.operands[name][number]
        return self.places[name, number] if buffer < 0 else buffer

    def _program(self, table: Table, group: tuple[str, ...], code: int) -> Program:
        """The program as the linter takes it: in memory below its instructions."""
        uops = np.concatenate([self.programs[name].uops for name in group])
        micro = self.placed[self.uops[group]]
        data = encode(self.config, table)
        begin = _up(code, self.unit)
        known = {
            "UOP": Section("UOP", micro.address, micro.size, micro.data),
            "INSN": Section("INSN", begin, len(data), data),
        }
        sections = tuple(known.get(name, Section(name, DRAM_START, 0)) for name in SECTIONS)
        return Program(self.config, table, uops, sections)

    def segment(
        self, group: tuple[str, ...], stream: tuple[Joined, NDArray[np.int64], Border]
    ) -> Segment:
        """A segment, with its instructions in memory."""
        made, points, border = stream
        number = sum(p.kind == "instructions" for p in self.placed)
        code = self._place(f"segment {number}", "instructions", encode(self.config, made.table))
        own = [self.programs[name] for name in group]
        starts = tuple(np.unique(made.origin[:, 0], return_index=True)[1].tolist())
        outputs = tuple(
            self.course.operands[p.name][i]
            for p in own
            for i, part in enumerate(p.operands)
            if part.written
        )
        return Segment(
            group, tuple(p.candidate for p in own), border if len(group) > 1 else None, made.table,
            points, starts, np.concatenate([p.uops for p in own]), self.uops[group], code, outputs,
            cycles(self.config, made.table), sum(p.cycles for p in own),
        )  # fmt: skip


def memory(deployment: Deployment) -> NDArray[np.uint8]:
    """Memory before the first step: constants, micro-ops and instructions; the rest is zero."""
    image = np.zeros(deployment.size, np.uint8)
    for part in deployment.placed:
        if part.data:
            image[part.address : part.address + part.size] = np.frombuffer(part.data, np.uint8)
    return image


def relative(deployment: Deployment, segment: Segment) -> Table:
    """A segment's instructions with addresses relative to what they point to."""
    table = segment.table.copy()
    sizes = element_bytes(deployment.config)[table[:, Column.MEMORY_TYPE]]
    rows = np.flatnonzero(segment.points >= 0)
    bases = np.array([p.address for p in deployment.placed], np.int64)[segment.points[rows]]
    table[rows, Column.DRAM_BASE] -= bases // sizes[rows]
    return table
