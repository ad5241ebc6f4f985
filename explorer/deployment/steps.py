"""What happens in which order: programs, what the host runs, and what it packs and unpacks.

The host's work on layouts is done where as few runs of programs as possible are interrupted: each
piece of it can be done between the node that makes a tensor and the first that reads it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from explorer.deployment.content import NO_ROWS, Content, Rows, serves
from explorer.deployment.programs import NodeProgram, Operand
from explorer.network.graph import Network, Node


@dataclass(frozen=True, slots=True)
class Pack:
    """The host makes a buffer of tensors.

    Attributes:
        buffer: what is made.
        sources: of each of its tensors the buffer that it is taken from, as a program has written
            it, or -1 for what the host has in its plain order.
    """

    buffer: int
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """The host makes those entries of a buffer that the program which stores into it lacks.

    Attributes:
        buffer: what is filled.
        source: the buffer that elements are taken from, maybe the same; -1 where all are zeros.
    """

    buffer: int
    source: int


@dataclass(frozen=True, slots=True)
class Unpack:
    """The host takes a tensor out of a buffer."""

    buffer: int
    tensor: str


@dataclass(frozen=True, slots=True)
class Launch:
    """The accelerator runs the program of a node, or one that copies."""

    program: str


@dataclass(frozen=True, slots=True)
class Call:
    """The host runs a node."""

    node: str


Step = Pack | Fill | Unpack | Launch | Call


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """What lies in memory for some time.

    Attributes:
        content: what it holds.
        first, last: the step that writes it, and the last one that reads it.
        filled: its entries that the host makes, of those that programs store into.
    """

    content: Content
    first: int
    last: int
    filled: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A network's run.

    Attributes:
        steps: in order.
        buffers: what lies in memory for tensors that vary.
        operands: of each program, the buffer of each of its operands; -1 for constants.
    """

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    operands: Mapping[str, tuple[int, ...]]


def course(
    network: Network,
    programs: Mapping[str, NodeProgram],
    copies: Mapping[bytes, NodeProgram] | None = None,
) -> Course:
    """The run of a network.

    Args:
        network: the network.
        programs: of its nodes; the host runs all others.
        copies: programs that copy, by what they write: each runs just before its first reader.
    """
    left = dict(copies or {})
    wanted = [w for w in _wanted(network, programs) if w.content.key not in left]
    builder = _Builder(network, programs)
    at: dict[int, list[_Want]] = {}
    for place, want in _placed(network, programs, wanted):
        at.setdefault(place, []).append(want)
    for number, node in enumerate(network.nodes):
        for want in at.get(number, []):
            if want.part is not None:
                builder.fill(want.part)
            else:
                builder.pack(want.content)
        if node.name in programs:
            for content in _read(programs[node.name]):
                if content.key in left:
                    builder.launch(left.pop(content.key))
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
        reader: the number of the first node that reads it.
        part: where a program stores into the buffer and the host fills it, as what.
    """

    content: Content
    after: int
    reader: int
    part: Operand | None = None


def _wanted(network: Network, programs: Mapping[str, NodeProgram]) -> Iterator[_Want]:
    """What programs read that no program has written so; by the first reader."""
    made = {t: number + 1 for number, node in enumerate(network.nodes) for t in node.writes}
    filled = {
        part.content.key: part
        for program in programs.values()
        for part in program.operands
        if part.content is not None and len(part.filled)
    }
    known: set[bytes] = set()
    for number, node in enumerate(network.nodes):
        if node.name not in programs:
            continue
        for content in _read(programs[node.name]):
            part, after = filled.get(content.key), max(made.get(t, 0) for t in content.tensors)
            if content.key in known or (part is None and _written(content, network, programs)):
                continue
            known.add(content.key)
            # Zeros may be there before the program that stores the rest.
            early = part is not None and not part.elements
            yield _Want(content, 0 if early else after, number, part)


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
    contents: list[tuple[Content, Rows]] = field(default_factory=list)
    lives: list[list[int]] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)
    packed: dict[bytes, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    operands: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pack(self, content: Content) -> None:
        """Make a buffer by the host: of what programs have written, or of what it has."""
        sources = tuple(self.stored.get(tensor, -1) for tensor in content.tensors)
        for source in sources:
            self.needed(source)
        self.packed[content.key] = self._buffer(content)
        self.steps.append(Pack(self.packed[content.key], sources))

    def fill(self, part: Operand) -> None:
        """Make the entries of a buffer that a program does not store."""
        content = part.content
        assert content is not None
        buffer = self.target(part)
        source = buffer if part.elements else -1
        if part.own:
            source = self.stored[content.tensors[0]]
            self.needed(source)
        self.needed(buffer)
        self.steps.append(Fill(buffer, source))

    def target(self, part: Operand) -> int:
        """The buffer that a program stores into for its readers."""
        content = part.content
        assert content is not None
        if content.key not in self.packed:
            self.packed[content.key] = self._buffer(content, part.filled)
        return self.packed[content.key]

    def needed(self, buffer: int) -> None:
        """Note that a buffer is needed by the next step."""
        if buffer >= 0:
            self.lives[buffer][1] = len(self.steps)

    def plain(self, tensor: str) -> None:
        """Have a tensor as the host has it."""
        if tensor in self.stored and tensor not in self.known:
            buffer = self.stored[tensor]
            self.needed(buffer)
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
                numbers.append(self.target(part))
            elif part.written:
                self.stored[program.node.output.tensor] = self._buffer(part.content)
                numbers.append(self.stored[program.node.output.tensor])
            else:
                numbers.append(self._source(part.content))
            self.needed(numbers[-1])
        self.operands[program.name] = tuple(numbers)
        self.steps.append(Launch(program.name))

    def _source(self, content: Content) -> int:
        found = self.packed.get(content.key)
        return self.stored[content.tensors[0]] if found is None else found

    def _buffer(self, content: Content, filled: Rows = NO_ROWS) -> int:
        self.contents.append((content, filled))
        self.lives.append([len(self.steps)] * 2)
        return len(self.contents) - 1

    def course(self) -> Course:
        """All of it."""
        buffers = tuple(
            Buffer(content, first, last, filled)
            for (content, filled), (first, last) in zip(self.contents, self.lives, strict=True)
        )
        return Course(tuple(self.steps), buffers, self.operands)
