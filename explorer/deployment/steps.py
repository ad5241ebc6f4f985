"""What happens in which order: programs, what the host runs, and what it packs and unpacks.

The host's work on layouts is done where as few runs of programs as possible are interrupted: each
piece of it can be done between the node that makes a tensor and the first that reads it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from explorer.deployment.content import Content, serves
from explorer.deployment.programs import NodeProgram
from explorer.layout.canonical import ZERO
from explorer.network.graph import Network, Node


@dataclass(frozen=True, slots=True)
class Pack:
    """The host makes a buffer of tensors that it has."""

    buffer: int


@dataclass(frozen=True, slots=True)
class Clear:
    """The host fills a buffer with zeros, parts of which a program overwrites."""

    buffer: int


@dataclass(frozen=True, slots=True)
class Unpack:
    """The host takes a tensor out of a buffer."""

    buffer: int
    tensor: str


@dataclass(frozen=True, slots=True)
class Launch:
    """The accelerator runs the program of a node."""

    node: str


@dataclass(frozen=True, slots=True)
class Call:
    """The host runs a node."""

    node: str


Step = Pack | Clear | Unpack | Launch | Call


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """What lies in memory for some time.

    Attributes:
        content: what it holds.
        first, last: the step that writes it, and the last one that reads it.
        by_host: whether the host writes it.
    """

    content: Content
    first: int
    last: int
    by_host: bool


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A network's run.

    Attributes:
        steps: in order.
        buffers: what lies in memory for tensors that vary.
        operands: of each programmed node, the buffer of each of its operands; -1 for constants.
    """

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    operands: Mapping[str, tuple[int, ...]]


def course(network: Network, programs: Mapping[str, NodeProgram]) -> Course:
    """The run of a network whose nodes have these programs; the host runs all others."""
    wanted = list(_wanted(network, programs))
    builder = _Builder(network, programs)
    at: dict[int, list[_Want]] = {}
    for place, want in _placed(network, programs, wanted):
        at.setdefault(place, []).append(want)
    for number, node in enumerate(network.nodes):
        for want in at.get(number, []):
            if want.zeros:
                builder.clear(want.content)
            else:
                builder.pack(want.content)
        if node.name in programs:
            builder.launch(programs[node.name])
        else:
            builder.call(node)
    for name in network.outputs:
        builder.plain(name)
    return builder.course()


@dataclass(frozen=True, slots=True, eq=False)
class _Want:
    """What the host has to make for programs.

    Attributes:
        content: the buffer.
        after: how many nodes have to be done before.
        reader: the number of the first node that reads it, or overwrites it.
        zeros: whether it is only to be cleared.
    """

    content: Content
    after: int
    reader: int
    zeros: bool = False


def _wanted(network: Network, programs: Mapping[str, NodeProgram]) -> Iterator[_Want]:
    """What programs read that no program has written so; by the first reader."""
    made = {t: number + 1 for number, node in enumerate(network.nodes) for t in node.writes}
    known: set[bytes] = set()
    for number, node in enumerate(network.nodes):
        if node.name not in programs:
            continue
        for part in programs[node.name].operands:
            if part.direct and part.content and (part.content.summands[0].index == ZERO).any():
                yield _Want(part.content, 0, number, zeros=True)
        for content in _read(programs[node.name]):
            if not _written(content, network, programs) and content.key not in known:
                known.add(content.key)
                yield _Want(content, max(made.get(t, 0) for t in content.tensors), number)


def _read(program: NodeProgram) -> Iterator[Content]:
    """What a program reads of tensors that vary."""
    for part in program.operands:
        if part.content is not None and not part.written:
            yield part.content


def _written(content: Content, network: Network, programs: Mapping[str, NodeProgram]) -> bool:
    """Whether a program writes what can be read as this."""
    producer = network.producers.get(content.tensors[0])
    if producer is None or producer.name not in programs:
        return False
    program = programs[producer.name]
    if any(o.direct and o.content and o.content.key == content.key for o in program.operands):
        return True
    return program.output is not None and serves(program.output, content, by_host=False)


def _placed(
    network: Network, programs: Mapping[str, NodeProgram], wanted: Sequence[_Want]
) -> Iterator[tuple[int, _Want]]:
    """Before which node each buffer is made: as late as needs no further interruption."""
    breaks = {0}
    for number, node in enumerate(network.nodes):
        if node.name not in programs:
            breaks |= {number, number + 1}
    # By the reader, and each as late as it can be: no choice has fewer places (intervals are
    # stabbed by the fewest points so).
    for want in sorted(wanted, key=lambda w: w.reader):
        if not any(want.after <= place <= want.reader for place in breaks):
            breaks.add(want.reader)
        yield max(p for p in breaks if want.after <= p <= want.reader), want


@dataclass(slots=True)
class _Builder:
    """Steps as they are added."""

    network: Network
    programs: Mapping[str, NodeProgram]
    steps: list[Step] = field(default_factory=list)
    contents: list[tuple[Content, bool]] = field(default_factory=list)
    lives: list[list[int]] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)
    packed: dict[bytes, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    operands: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pack(self, content: Content) -> None:
        """Make a buffer by the host."""
        for tensor in content.tensors:
            self.plain(tensor)
        self.packed[content.key] = self._buffer(content, by_host=True)
        self.steps.append(Pack(self.packed[content.key]))

    def clear(self, content: Content) -> None:
        """Clear a buffer that a program stores into."""
        self.packed[content.key] = self._buffer(content, by_host=False)
        self.steps.append(Clear(self.packed[content.key]))

    def plain(self, tensor: str) -> None:
        """Have a tensor as the host has it."""
        if tensor in self.stored and tensor not in self.known:
            buffer = self.stored[tensor]
            self.lives[buffer][1] = len(self.steps)
            self.steps.append(Unpack(buffer, tensor))
            self.known.add(tensor)

    def call(self, node: Node) -> None:
        """Run a node by the host."""
        for tensor in node.reads:
            self.plain(tensor)
        self.steps.append(Call(node.name))

    def launch(self, program: NodeProgram) -> None:
        """Run a node's program."""
        numbers = []
        for part in program.operands:
            if part.content is None:
                numbers.append(-1)
            elif part.direct:
                if part.content.key not in self.packed:
                    self.packed[part.content.key] = self._buffer(part.content, by_host=False)
                numbers.append(self.packed[part.content.key])
                self.lives[numbers[-1]][1] = len(self.steps)
            elif part.written:
                self.stored[program.node.output.tensor] = self._buffer(part.content, by_host=False)
                numbers.append(self.stored[program.node.output.tensor])
            else:
                numbers.append(self._source(part.content))
                self.lives[numbers[-1]][1] = len(self.steps)
        self.operands[program.node.name] = tuple(numbers)
        self.steps.append(Launch(program.node.name))

    def _source(self, content: Content) -> int:
        found = self.packed.get(content.key)
        return self.stored[content.tensors[0]] if found is None else found

    def _buffer(self, content: Content, *, by_host: bool) -> int:
        self.contents.append((content, by_host))
        self.lives.append([len(self.steps)] * 2)
        return len(self.contents) - 1

    def course(self) -> Course:
        """All of it."""
        buffers = tuple(
            Buffer(content, first, last, by_host)
            for (content, by_host), (first, last) in zip(self.contents, self.lives, strict=True)
        )
        return Course(tuple(self.steps), buffers, self.operands)
