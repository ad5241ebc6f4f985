"""ONNX models as networks: what can be an operator is one, the host runs the rest.

Products take in what follows them as far as one operator can say it, the last products first, so
that a residual Add belongs to the convolution that ends a block. What no operator is, is a host
node with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from explorer.network.check import check
from explorer.network.graph import Accelerated, Dtype, Host, Network, Node, Tensor, View, taken
from explorer.network.onnx.begin import PRODUCTS, begin, view_of
from explorer.network.onnx.chain import Chain
from explorer.network.onnx.file import Array, Model, Op, kind_of, read, unique
from explorer.network.onnx.operations import DEQUANTISE, OPEN, QUANTISE, RENAMES, Graph
from explorer.network.onnx.products import Unfit
from explorer.network.onnx.shapes import captured
from explorer.operators.stages import check_stages
from isa.errors import InputError
from isa.files import parsing


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A network with all that its model says.

    Attributes:
        network: nodes and tensors.
        values: integers of the constants of accelerated nodes, by tensor; without those of a model
            of floats. And the outputs that are constant.
        programs: of each host node, the nodes of the model that it runs, in order.
        names: of each tensor of the network, its name in the model.
        model: the file.
        quantised: whether it has integers; a model of floats has only shapes to tell.
    """

    network: Network
    values: Mapping[str, Array]
    programs: Mapping[str, tuple[onnx.NodeProto, ...]]
    names: Mapping[str, str]
    model: Model
    quantised: bool


def load(
    path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None, *, concat: bool = True
) -> Imported:
    """The network of a model in a file.

    Args:
        path: the file.
        shapes: of inputs by name; where neither says it, a first extent is 1.
        concat: whether tensors that are joined for convolutions alone are terms of these.

    Raises:
        InputError: the file is no ONNX model of known versions.
    """
    # Damaged files parse as models whose names are bytes, or whose nodes lack what they need.
    with parsing(str(path), "must be an ONNX model whose nodes have what they need"):
        graph = Graph(read(path, shapes or {}))
        found = _Nodes(graph, concat)
        return _assembled(graph, found, str(path))


class _Nodes:
    """Which operations become which node.

    Attributes:
        chains: of the operators, by their first operation's number in the model.
        reasons: why an operation that could begin an operator does not, by that number.
    """

    def __init__(self, graph: Graph, concat: bool) -> None:
        self._graph = graph
        self._taken: set[Op] = set()
        self.chains: dict[int, tuple[Chain, str]] = {}
        self.reasons: dict[int, str] = {}
        # A sum of two tensors is an operator of its own only where no product has taken it in.
        for sums in (False, True):
            for op in reversed(graph.ops):
                if op.kind in PRODUCTS and (op.kind == "Add") == sums and op not in self._taken:
                    self._try(op, concat)

    def _try(self, op: Op, concat: bool) -> None:
        try:
            chain, output = self._chain(op, concat)
            name = self._graph.model.names[op.origin]
            check_stages(chain.operator, name)
        except Unfit as unfit:
            self.reasons[op.origin] = str(unfit)
            return
        except InputError as error:
            self.reasons[op.origin] = f"{error.field}: {error.allowed}"
            return
        self._taken.update(chain.ops)
        self.chains[op.origin] = (chain, output)

    def _chain(self, op: Op, concat: bool) -> tuple[Chain, str]:
        """The longest operator that begins with an operation, and the tensor that it writes.

        Raises:
            Unfit: there is none.
        """
        graph = self._graph
        chain = begin(graph, op, concat)
        name, best = op.outputs[0], None
        if not graph.quantised:
            best = (chain.planned(), name)
        reason = "its sums leave as floats"
        while (reader := graph.only_reader(name)) is not None and reader not in self._taken:
            longer = chain.copy()
            try:
                longer.follow(reader, name)
                if reader.kind == QUANTISE or not graph.quantised:
                    check_stages(longer.operator, name)
            except Unfit as unfit:
                reason = str(unfit)
                break
            except InputError as error:
                reason = error.allowed
                break
            chain, name = longer, reader.outputs[0]
            if not graph.quantised:
                best = (chain.planned(), name)
            elif reader.kind == QUANTISE:
                best = (chain, name)
        if best is None and op.attributes.get("integer"):
            whole = begin(graph, op, concat).planned()
            whole.notes.append("its sums leave with 32 bits, and 8 are planned")
            best = (whole, op.outputs[0])
        if best is None:
            raise Unfit(reason)
        return best

    def covers(self, origin: int) -> bool:
        """Whether operators do all that a node of the model does."""
        own = [op for op in self._graph.ops if op.origin == origin]
        main = [op for op in own if op.kind != DEQUANTISE or len(own) == 1]
        return all(op in self._taken for op in main)


# --- The host -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What the host runs as one node: an operation between DQ and Q with these, or one alone."""

    origin: int
    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _host_runs(graph: Graph, found: _Nodes, wanted: set[str]) -> list[_Run]:
    """The nodes that the host has to run, so that there are the tensors that are wanted."""
    model = graph.model
    left = {n for n in range(len(model.nodes)) if not found.covers(n)}
    writers = {name: n for n in left for name in model.nodes[n].output if name}
    wanted = set(wanted)
    quantised: dict[int, int] = {}  # of an operation, the Q that goes with it
    runs: list[_Run] = []
    for number in sorted(left, reverse=True):
        node = model.nodes[number]
        if not wanted & set(node.output):
            continue
        writer = writers.get(node.input[0]) if node.op_type == QUANTISE else None
        if writer is not None and _joins(graph, writer, node):
            quantised[writer] = number
            wanted.add(node.input[0])
            continue
        run = _run(graph, number, writers, quantised.get(number))
        wanted.update(run.inputs)
        runs.append(run)
    return runs


def _joins(graph: Graph, writer: int, quantise: onnx.NodeProto) -> bool:
    """Whether an operation is run together with the Q that alone reads its only output."""
    node = graph.model.nodes[writer]
    return (
        node.op_type not in {QUANTISE, DEQUANTISE}
        and len([name for name in node.output if name]) == 1
        and graph.only_reader(quantise.input[0]) is not None
        and graph.model.constants.get(quantise.input[1]) is not None
    )


def _run(graph: Graph, number: int, writers: Mapping[str, int], quantise: int | None) -> _Run:
    """An operation with what has to be run with it, and the Q of its output."""
    model = graph.model
    node = model.nodes[number]
    before: list[int] = []
    inputs: list[str] = []
    for name in (*node.input, *captured(node)):
        inputs += _taken_in(graph, name, writers, before, floats=node.op_type != DEQUANTISE)
    after = [] if quantise is None else [model.nodes[quantise]]
    inputs += [name for n in after for name in n.input[1:]]
    outputs = tuple(after[-1].output if after else node.output)
    given = [n for n in dict.fromkeys(inputs) if n and n not in model.constants]
    nodes = (*(model.nodes[n] for n in before), node, *after)
    return _Run(number, nodes, tuple(given), outputs)


def _taken_in(
    graph: Graph, name: str, writers: Mapping[str, int], before: list[int], *, floats: bool
) -> list[str]:
    """The tensors that are read in place of one, by nodes that are run before its reader.

    These are the DQ of its inputs, which cost nothing twice, and what writes sequences, which are
    no tensors and can be passed on in no other way.

    Args:
        graph: the model.
        name: what is read.
        writers: of tensors, among the host's nodes.
        before: the numbers of the nodes to run before, to which they are added.
        floats: whether DQ are among them.
    """
    writer, model = writers.get(name), graph.model
    if writer is None:
        return [name]
    source = model.nodes[writer]
    if not (name in model.sequences or (floats and source.op_type == DEQUANTISE)):
        return [name]
    if writer in before:  # and so what it reads is known
        return []
    found = []
    for other in (*source.input, *captured(source)):
        found += _taken_in(graph, other, writers, before, floats=source.op_type != DEQUANTISE)
    before.append(writer)
    return found


def _reason(graph: Graph, found: _Nodes, number: int) -> str:
    """Why the host runs a node."""
    if number in found.reasons:
        return found.reasons[number]
    node = graph.model.nodes[number]
    kind = kind_of(node)
    if kind in {QUANTISE, DEQUANTISE}:
        return "between integers and floats of the host"
    if kind in RENAMES:
        return "renames what the host reads or the network gives"
    if kind == "Concat":
        return "joins tensors in memory"
    if "MaxPool" in kind:
        return "no product takes a maximum"
    return f"{kind} is no product"


# --- The network ----------------------------------------------------------------------------------


def _assembled(graph: Graph, found: _Nodes, source: str) -> Imported:
    model = graph.model
    made = {number: _accelerated(graph, number, *found.chains[number]) for number in found.chains}
    reads = {view.tensor for node, _ in made.values() for view in node.inputs}
    runs = _host_runs(graph, found, {*model.outputs, *reads})
    nodes: dict[int, Node] = {number: node for number, (node, _) in made.items()}
    programs: dict[str, tuple[onnx.NodeProto, ...]] = {}
    for run in runs:
        name = model.names[run.origin]
        reason = _reason(graph, found, run.origin)
        operation = model.nodes[run.origin].op_type
        nodes[run.origin] = Host(name, operation, run.inputs, run.outputs, reason)
        programs[name] = run.nodes
    values = {
        f"{node.name}.{operand}": array
        for node, chain in made.values()
        for operand, array in chain.constants.items()
    }
    constants = model.constants
    given = {name: constants[name] for name in model.outputs if name in constants}
    ordered = _in_order(nodes, {*model.inputs, *values, *model.constants})
    network, names = _named(graph, ordered, values, source)
    renamed = {old: new for new, old in names.items()}
    known = {**values, **given}
    return Imported(
        check(network, source),
        {renamed[name]: array for name, array in known.items() if array is not None},
        programs,
        names,
        model,
        graph.quantised,
    )


def _accelerated(graph: Graph, number: int, chain: Chain, output: str) -> tuple[Accelerated, Chain]:
    """The node of a chain; its constants are tensors named after it."""
    model, operator = graph.model, chain.operator
    name = model.names[number]
    views = {view.operand: view for view in chain.views}
    inputs = tuple(
        views.get(operand.name) or View.plain(operand.name, f"{name}.{operand.name}", operand.shape)
        for operand, _ in taken(operator)
    )
    shape = chain.product.shape if chain.renamed is None else chain.renamed.shape
    model.shapes[output] = shape
    numbers = dict.fromkeys(op.origin for op in chain.ops)
    folded = tuple(model.names[origin] for origin in numbers)
    notes = list(chain.notes)
    node = Accelerated(name, operator, inputs, view_of(chain, output, shape), folded, tuple(notes))
    return node, chain


def _in_order(nodes: Mapping[int, Node], there: set[str]) -> list[Node]:
    """The nodes, each after those whose tensors it reads; else as the model has them."""
    writers = {name: node for node in nodes.values() for name in node.writes}
    done: dict[str, Node] = {}
    for number in sorted(nodes):
        waiting = [nodes[number]]
        while waiting:
            node = waiting[-1]
            before = [writers[n] for n in node.reads if n in writers and n not in there]
            missing = [other for other in before if other.name not in done]
            if missing:
                waiting += missing
                continue
            done.setdefault(node.name, node)
            waiting.pop()
    return list(done.values())


def _named(
    graph: Graph, nodes: list[Node], values: Mapping[str, Array | None], source: str
) -> tuple[Network, dict[str, str]]:
    """The network under names that documents may have, and the model's names of its tensors."""
    model = graph.model
    met = [name for node in nodes for name in (*node.reads, *node.writes)]
    used = list(dict.fromkeys([*model.inputs, *met, *model.outputs]))
    new = dict(zip(used, unique(used), strict=True))
    accelerated = [node for node in nodes if isinstance(node, Accelerated)]
    constants = dict(_constants(accelerated, values))
    integers = {view.tensor for node in accelerated for view in (*node.inputs, node.output)}
    scales = dict(_scales(graph))
    tensors = tuple(
        replace(
            constants.get(name) or _tensor(model, name, name in integers, scales), name=new[name]
        )
        for name in used
    )
    (title,) = unique([model.name])
    network = Network(
        title,
        tuple(new[name] for name in model.inputs),
        tuple(new[name] for name in model.outputs),
        tensors,
        tuple(_renamed(node, new) for node in nodes),
    )
    return network, {new[name]: name for name in used}


def _renamed(node: Node, new: Mapping[str, str]) -> Node:
    if isinstance(node, Host):
        inputs = tuple(new[name] for name in node.inputs)
        return replace(node, inputs=inputs, outputs=tuple(new.get(n, "") for n in node.outputs))
    views = tuple(replace(view, tensor=new[view.tensor]) for view in node.inputs)
    return replace(node, inputs=views, output=replace(node.output, tensor=new[node.output.tensor]))


def _scales(graph: Graph) -> Iterator[tuple[str, tuple[float, int, str]]]:
    """Scale, zero point and type of integers that a Q writes or a DQ reads."""
    for op in graph.ops:
        found = graph.parameters(op) if op.kind in {QUANTISE, DEQUANTISE} else None
        if found is not None and found[0].size == 1 and not op.attributes.get(OPEN):
            name = op.outputs[0] if op.kind == QUANTISE else op.inputs[0]
            scale, zero = float(found[0].flat[0]), int(found[1].flat[0])
            yield name, (scale, zero, found[1].dtype.name)


def _constants(
    nodes: list[Accelerated], values: Mapping[str, Array | None]
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the operators' constants, by the names that `values` has for them."""
    for node in nodes:
        for (operand, product), view in zip(taken(node.operator), node.inputs, strict=True):
            if view.tensor in values:
                dtype: Dtype = "int8" if product else "int32"
                yield view.tensor, Tensor(view.tensor, operand.shape, dtype, constant=True)


def _tensor(
    model: Model, name: str, integer: bool, scales: Mapping[str, tuple[float, int, str]]
) -> Tensor:
    """A tensor of the model; `integer` is whether the accelerator reads or writes it."""
    dtype = model.dtypes.get(name, "other")
    scale, zero = None, 0
    if name in scales:
        scale, zero, kind = scales[name]
        dtype = "uint8" if kind == "uint8" and dtype == "other" else dtype
    if integer and dtype not in {"int8", "uint8"}:
        # Floats that are to be quantised, or sums of 32 bits that are planned with 8.
        dtype, scale, zero = "int8", None, 0
    constant = name in model.constants
    return Tensor(name, model.shapes.get(name), dtype, scale, zero, constant=constant)
