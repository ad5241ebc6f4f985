"""A network with candidates → a problem: layouts by name, transitions by their costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from explorer.layout.canonical import form
from explorer.layout.packed import Layout
from explorer.network.candidates.listing import Option, residuals_of
from explorer.network.candidates.spaces import Space
from explorer.network.graph import Accelerated, Network, Tensor, View, no_program, operand
from explorer.network.plan.copying import Needs
from explorer.network.plan.laying import digest, held
from explorer.network.plan.problem import Candidate, Cost, Node, Problem
from explorer.network.plan.transitions import (
    Host,
    Kind,
    Laid,
    Model,
    better,
    known_way,
    widened,
)
from isa.computation import Operator
from isa.config import Config
from isa.fields import Memory

PLAIN = "plain"
"""The layout of a tensor as the host has it: row-major."""

_WIDE = " in 32 bits"


Key = tuple[str, str, str]
"""A transition: the tensor, the layout in which it is written, and the one in which it is read."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A transition that a program may make; the problem has the least cycles that it can take.

    Attributes:
        written, read: the layouts.
        kind, cost: of what else there is.
    """

    written: Laid
    read: Laid
    kind: Kind
    cost: Cost


@dataclass(frozen=True, slots=True)
class Assembled:
    """A network's problem, and what its names mean.

    Attributes:
        problem: nodes and transitions.
        kinds: of each transition, what it is.
        options: of each node that is programmed, its candidates by name.
        hosts: nodes that the host runs, with the reason.
        copied: transitions that a program may make, of which that is not simulated yet.
    """

    problem: Problem
    kinds: Mapping[Key, Kind]
    options: Mapping[str, Mapping[str, Option]]
    hosts: Mapping[str, str]
    copied: Mapping[Key, Copied] = field(default_factory=dict)


def assemble(
    network: Network,
    config: Config,
    spaces: Mapping[Operator, Space],
    rule: Model,
    host: Host,
    hosts: Mapping[str, str],
) -> Assembled:
    """The problem of choosing a candidate for each node.

    Args:
        network: the network.
        config: what it is compiled for.
        spaces: candidates by operator.
        rule: what transitions there are.
        host: what the host's work costs.
        hosts: nodes that the host runs, with the reason.

    Raises:
        InputError: no node of the network can be programmed.
    """
    programmed = [n for n in network.accelerated if n.name not in hosts]
    if not programmed:
        raise no_program(network, hosts)
    desk = Desk(network, config, rule)
    nodes = [desk.node(node, spaces[node.operator].all()) for node in programmed]
    nodes += desk.border(programmed, hosts)
    places = {n.name: i for i, n in enumerate(network.nodes)}
    nodes.sort(key=lambda n: places.get(n.name, -1 if n.name.startswith("input:") else len(places)))
    kinds, passages = desk.transitions(nodes, host)
    options = {n.name: {o.name: o for o in spaces[n.operator].all()} for n in programmed}
    return Assembled(Problem(tuple(nodes), passages), kinds, options, hosts, desk.copied)


@dataclass(slots=True)
class Desk:
    """What is known while a problem is put together.

    Attributes:
        network, config, rule: what is planned, for what, and with which transitions.
        laid: layouts by what they hold.
        named: of each tensor its layouts by their labels.
        free: tensors that the host writes.
        widened: what the host makes of a tensor as int32: of the tensor and the label of that, the
            label of the layout, and bytes of what is added as `transitions.widened` takes them.
    """

    network: Network
    config: Config
    rule: Model
    laid: dict[tuple[object, ...], Laid] = field(default_factory=dict)
    named: dict[str, dict[str, Laid]] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    widened: dict[tuple[str, str], tuple[str, int | None]] = field(default_factory=dict)
    copied: dict[Key, Copied] = field(default_factory=dict)

    def node(self, node: Accelerated, options: Iterable[Option]) -> Node:
        """A node that is programmed, with its candidates."""
        return Node(node.name, tuple(self._candidate(node, option) for option in options))

    def _candidate(self, node: Accelerated, option: Option) -> Candidate:
        out = node.operator.out.name
        strict = without_zeros(node.operator)
        reads, known = [], set[str]()
        for name, layout in option.layouts.items():
            tensor = operand(node.operator, name)
            laid = replace(layout, role=None, tensor=tensor)
            view = node.views[name]
            if name == out or self.tensor(view.tensor).constant:
                continue
            label = self.label(laid, view, strict=name in strict)
            if name in option.wide:
                label = self.wide(node, option, name, label)
            reads.append((view.tensor, label))
            known.add(name)
        written = self.label(option.layouts[out], node.output)
        size = self.named[node.output.tensor][written].size
        cost = Cost(option.cycles, memory=option.memory + size)
        # A table of cycles may know of no residual: then it is read as the node writes.
        for view in residuals_of(node, self.network):
            if view.operand not in known:
                tensor = operand(node.operator, view.operand)
                laid = replace(option.layouts[out], role=None, tensor=tensor)
                reads.append((view.tensor, self.label(laid, view)))
        return Candidate(option.name, cost, tuple(reads), ((node.output.tensor, written),))

    def wide(self, node: Accelerated, option: Option, name: str, label: str) -> str:
        """What a layout is called in which the host widens a tensor, maybe with others added to it.

        What is made of the tensor counts: only what is alike can be made once for several readers.
        """
        vector = next(v for v in option.origin.alu.dense if name in {p.name for p in v.parts})
        summands, varying, constants = [], list[str](), set[Tensor]()
        for part in vector.parts:
            view = node.views[part.name]
            tensor = self.tensor(view.tensor)
            if tensor.constant:
                constants.add(tensor)
            else:
                varying.append(tensor.name)
            own = operand(node.operator, part.name)
            layout = replace(option.layouts[part.name], role=None, tensor=own)
            form = f"{part.form} " if part.form != "value" else ""
            shift = f"<<{part.number}" if part.number else ""
            summands.append(f"{form}{tensor.name} {self.label(layout, view)}{shift}")
        tensor_name = node.views[name].tensor
        simple = summands == [f"{tensor_name} {label}"] and not vector.const
        number = f" {vector.const:+}" if vector.const else ""
        found = f"{label if simple else ' + '.join(summands) + number}{_WIDE}"
        first = tensor_name == varying[0]
        besides = sum(tensor.bytes for tensor in constants) if first else None
        self.widened[tensor_name, found] = label, besides
        return found

    def label(self, layout: Layout, view: View, *, strict: bool = False) -> str:
        """What a layout of a tensor is called: by its blocks, and with a number where not clear."""
        found = self.lay(layout, view, strict)
        known = self.named.setdefault(view.tensor, {})
        for label, other in known.items():
            if other.key == found.key:
                return label
        outer = "".join(f"[{c.name}]" for c in layout.coordinates)
        lanes = "x".join(str(extent) for _, extent in layout.axes)
        base = layout.name or f"{outer}[{lanes}]"
        same = sum(label == base or label.startswith(f"{base}~") for label in known)
        label = f"{base}~{same + 1}" if same else base
        known[label] = found
        return label

    def lay(self, layout: Layout, view: View, strict: bool) -> Laid:
        """A layout of an operator's tensor as one of the network's; see `held` for `strict`."""
        vector = self.vector(layout)
        key = (form(layout), vector, strict, *((view.split, view.order) if view.transposes else ()))
        if key not in self.laid:
            strict = strict or self.rule.empty == "alike"
            # What is held is told anew when it is compared: all of it at once takes gigabytes.
            again = partial(held, layout, view, strict=strict)
            name = f"{digest(layout, view, strict=strict)} {vector}"
            self.laid[key] = Laid(name, layout.entries * vector, vector, again)
        return self.laid[key]

    def vector(self, layout: Layout) -> int:
        """Bytes of an entry."""
        memory = {"inp": Memory.INP, "wgt": Memory.WGT}.get(layout.port, Memory.OUT)
        return self.config.element_bytes(memory)

    def tensor(self, name: str) -> Tensor:
        """A tensor of the network."""
        return self.network.by_name[name]

    def border(self, programmed: list[Accelerated], hosts: Mapping[str, str]) -> list[Node]:
        """The nodes that stand for the host: its own, and the network's inputs and outputs."""
        read = {t for n in programmed for t in n.reads if not self.tensor(t).constant}
        written = {n.output.tensor for n in programmed}
        own = [n for n in self.network.nodes if n.name in hosts]
        nodes = []
        for name in self.network.inputs:
            if name in read:
                nodes += self._given(f"input:{name}", [name], [])
        for node in own:
            made = [t for t in node.writes if t in read]
            nodes += self._given(node.name, made, [t for t in node.reads if t in written])
        if self.rule.border == PLAIN:
            for name in self.network.outputs:
                if name in written:
                    nodes += self._given(f"output:{name}", [], [name])
        return nodes

    def _given(self, name: str, writes: list[str], reads: list[str]) -> list[Node]:
        """A node of the host."""
        self.free |= set(writes)
        if self.rule.border == PLAIN:
            size = sum(self.tensor(t).size for t in writes)
            for tensor in {*writes, *reads}:
                plain = Laid(PLAIN, self.tensor(tensor).size)
                self.named.setdefault(tensor, {})[PLAIN] = plain
            places = tuple((t, PLAIN) for t in reads), tuple((t, PLAIN) for t in writes)
            return (
                [Node(name, (Candidate("host", Cost(memory=size), *places),))]
                if writes or reads
                else []
            )
        nodes = []
        for tensor in writes:
            known = self.named[tensor]
            found = [
                Candidate(label, Cost(memory=laid.size), (), ((tensor, label),))
                for label, laid in known.items()
            ]
            nodes.append(Node(name if len(writes) == 1 else f"{name}:{tensor}", tuple(found)))
        return nodes

    def transitions(
        self, nodes: Iterable[Node], host: Host
    ) -> tuple[dict[Key, Kind], dict[Key, Cost]]:
        """All transitions of all tensors: what they are, and what they cost."""
        written: dict[str, dict[str, None]] = {}
        read: dict[str, dict[str, None]] = {}
        for node in nodes:
            for candidate in node.candidates:
                for tensor, label in candidate.writes:
                    written.setdefault(tensor, {})[label] = None
                for tensor, label in candidate.reads:
                    read.setdefault(tensor, {})[label] = None
        kinds: dict[Key, Kind] = {}
        passages: dict[Key, Cost] = {}
        for tensor, ends in read.items():
            # Reader by reader, so that what is compared is kept of all writers but one reader.
            for here in ends:
                label, *wide = self.widened.get((tensor, here), (here,))
                second, by_host = self.named[tensor][label], tensor in self.free
                for there in written[tensor]:
                    first = self.named[tensor][there]
                    key = (tensor, there, here)
                    kinds[key], passages[key] = self._passed(first, second, wide, host, by_host)
                    if self.rule.copies and not (wide or by_host):
                        cycles = self._copied(first, second, kinds[key], passages[key])
                        if cycles is not None:
                            self.copied[key] = Copied(first, second, kinds[key], passages[key])
                            kinds[key] = "copied"
                            passages[key] = Cost(cycles, memory=second.size)
                second.forget()
            for laid in self.named[tensor].values():
                laid.forget()
        return kinds, passages

    def _passed(
        self, first: Laid, second: Laid, wide: Sequence[int | None], host: Host, by_host: bool
    ) -> tuple[Kind, Cost]:
        """A transition: what it is, and what it costs; see `widened` for what is wide."""
        if wide:
            return widened(first.size, second.size, host, *wide)
        found = known_way(first, second, self.rule.stores, self.rule.empty == "alike", by_host)
        return found.kind, found.cost(host)

    def _copied(self, written: Laid, read: Laid, kind: Kind, cost: Cost) -> int | None:
        """Cycles that no copy undercuts; None where it cannot be better than what else there is."""
        if written.source is None or read.source is None or not better(0, kind, cost.cycles):
            return None
        cycles = known_least(written, read, self.config)
        return cycles if better(cycles, kind, cost.cycles) else None


@lru_cache(maxsize=2**16)
def known_least(written: Laid, read: Laid, config: Config) -> int | None:
    """Cycles that no program undercuts which copies; None where none can."""
    assert read.held is not None
    needs = Needs.of(written.places(config.batch), read.held.rows())
    return needs.least(config) if needs else None


def without_zeros(operator: Operator) -> set[str]:
    """The inputs whose idle lanes must hold zero.

    Lanes that stand for nothing are harmless only beside zeros, which constants have there.
    """
    found = set[str]()
    for term in operator.terms:
        names = [term.computation.tensor(r).name for r in ("in0", "in1") if r not in term.constants]
        found |= {*names} if len(names) > 1 else set()
    return found
