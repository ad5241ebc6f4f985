"""The candidates of a node: embeddings with their layouts and the cycles of their best programs.

The fastest ones are not enough: what a neighbour offers or takes decides as well. So a second round
adds, for each pair of vectors that neighbours have, the embedding that reads the one and writes the
other with the least floor. Every choice of materialisation of an embedding is a candidate of its
own. Nodes whose operators are equal share their candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from explorer.embedding.digits import Embedding
from explorer.embedding.virtual_loops import nest
from explorer.layout.alu_passes import alu_program
from explorer.layout.canonical import Digits, lane_strides
from explorer.layout.design import designs
from explorer.layout.packed import Layout, derive
from explorer.network.graph import Accelerated, Network, View, operand
from explorer.ranking.explore import embeddings, evaluate, floor, gemm_intrinsic, reference
from explorer.schedule.search import search
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import Memory

PORTION = 8  # embeddings that are evaluated under one limit
Vectors = tuple[Digits, ...]
"""The lanes of a layout, see `explorer.layout.canonical.lane_strides`."""

Run = Callable[..., Iterable[Any]]
"""A `map`, in this process or over several."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to program an operator.

    Attributes:
        name: the embedding's id, with a number where it has several layouts; ``reference`` for
            TVM's embedding with its fixed layouts.
        embedding: the embedding.
        cycles: of its best program.
        proven: whether no schedule of the space is better.
        layouts: of the tensors in their roles, in the order in DRAM that the program has.
        memory: bytes of packed constants that are weights or less than the output.
    """

    name: str
    embedding: Embedding
    cycles: int
    proven: bool
    layouts: Mapping[str, Layout]
    memory: int


REFERENCE = "reference"


def programmed(node: Accelerated, network: Network) -> str:
    """Why no program can be made for a node; empty if one can.

    Programs have one term, and what they read besides constants is an input of it, or as large as
    the output and added to it.
    """
    try:
        computation = node.operator.computation
        alu_program(node.operator)
    except InputError as error:
        return f"{error.field}: {error.allowed}"
    inputs = {computation.in0.name: "in0", computation.in1.name: "in1"}
    for view in node.inputs:
        constant = network.by_name[view.tensor].constant
        role = inputs.get(view.operand)
        if role is not None and constant != (role in node.operator.constants):
            return f"{view.operand} is{'' if constant else ' not'} known offline"
        tensor = operand(node.operator, view.operand)
        if role is None and not constant and tensor.index != computation.out.index:
            return f"{view.operand} is neither constant nor as large as the output"
    return ""


def options(
    operator: Operator, config: Config, embedding: Embedding, effort: int | None = None
) -> list[Option]:
    """Every choice of layouts of an embedding with its best program, the fastest first."""
    found = []
    for design in designs(operator, config, gemm_intrinsic(config), embedding):
        best = search(design, effort=effort)
        if best.best is not None:
            found.append((best.best.cycles, best.proven, best.best.code.design))
    found.sort(key=lambda f: f[0])
    names = [embedding.id, *(f"{embedding.id}#{i}" for i in range(2, len(found) + 1))]
    return [
        _option(name, embedding, cycles, proven, design, config)
        for name, (cycles, proven, design) in zip(names, found, strict=False)
    ]


def _option(
    name: str, embedding: Embedding, cycles: int, proven: bool, design: Any, config: Config
) -> Option:
    constants = {"inp": Memory.INP, "wgt": Memory.WGT}
    operator: Operator = design.operator
    memory = sum(
        layout.entries * config.element_bytes(constants[port])
        for port, layout in (("inp", design.inp), ("wgt", design.wgt))
        if layout.role in operator.constants
    )
    spread = sum(layout.entries for layout in design.spread)
    memory += spread * config.element_bytes(Memory.ACC)
    layouts = {str(layout.role): layout for layout in design.layouts}
    return Option(name, embedding, cycles, proven, layouts, memory)


def fixed(operator: Operator, config: Config) -> Option | None:
    """TVM's embedding with its fixed layouts; None where TVM has none, or it does not fit."""
    embedding = reference(operator, config)
    if embedding is None:
        return None
    found = evaluate(operator, config, embedding, fixed_layout=True)
    if found.scheduled is None:
        return None
    return _option(REFERENCE, embedding, found.scheduled.cycles, found.proven, found.design, config)


def fastest(
    operator: Operator,
    config: Config,
    ordered: Sequence[tuple[int, Embedding]],
    count: int,
    run: Run,
    effort: int | None = None,
) -> dict[str, list[Option]]:
    """The embeddings with the fastest programs, with all their layouts, by id.

    They are evaluated in the order of their floors, until the next floor exceeds the cycles of the
    last of them: so none is missing.
    """
    found: dict[str, list[Option]] = {}
    done = 0
    while done < len(ordered):
        best = sorted(o[0].cycles for o in found.values() if o)
        if len(best) >= count and ordered[done][0] > best[count - 1]:
            break
        portion = [e for _, e in ordered[done : done + PORTION]]
        work = partial(options, operator, config, effort=effort)
        found |= {e.id: o for e, o in zip(portion, run(work, portion), strict=True)}
        done += len(portion)
    kept = sorted((o[0].cycles, name) for name, o in found.items() if o)[:count]
    return {name: found[name] for _, name in kept}


@dataclass(slots=True)
class Space:
    """All embeddings of an operator, and those that were evaluated.

    Attributes:
        ordered: with their floors, the least first.
        evaluated: the options of those that were, by id.
        fixed: TVM's.
        lanes: the vectors that embeddings read of each input, and those that they write, by id.
    """

    operator: Operator
    config: Config
    ordered: list[tuple[int, Embedding]]
    evaluated: dict[str, list[Option]]
    fixed: Option | None
    lanes: dict[str, tuple[Mapping[str, Vectors], Vectors]]

    def vectors(self, embedding: Embedding) -> tuple[Mapping[str, Vectors], Vectors]:
        """The vectors that an embedding reads of each input, and those that it writes."""
        if embedding.id not in self.lanes:
            self.lanes[embedding.id] = _vectors(self.operator, self.config, embedding)
        return self.lanes[embedding.id]

    def all(self) -> list[Option]:
        """The options, the fixed one first, then the fastest."""
        found = [o for several in self.evaluated.values() for o in several]
        found.sort(key=lambda o: (o.cycles, o.name))
        return [*([self.fixed] if self.fixed else []), *found]


def _vectors(
    operator: Operator, config: Config, embedding: Embedding
) -> tuple[Mapping[str, Vectors], Vectors]:
    intrinsic, computation = gemm_intrinsic(config), operator.computation
    loops = nest(embedding, computation)
    read = {}
    for port, role in (
        (intrinsic.in0, embedding.role("in0")),
        (intrinsic.in1, embedding.role("in1")),
    ):
        if role not in operator.constants:
            layout = derive(loops, computation.tensor(role), port, intrinsic, role=role)
            read[str(role)] = lane_strides(layout)
    out = derive(loops, computation.out, intrinsic.out, intrinsic, role="out")
    return read, lane_strides(out)


def space(
    operator: Operator,
    config: Config,
    count: int,
    classes: Sequence[str],
    run: Run,
    effort: int | None = None,
) -> Space:
    """The embeddings of an operator, the fastest of them evaluated.

    Raises:
        InputError: there is none of these classes.
    """
    # Of one term: whoever plans gives nodes of several to the host.
    found = [e for e in embeddings(operator, config, classes) if isinstance(e, Embedding)]
    floors = run(partial(floor, operator, config), found)
    ordered = sorted(zip(floors, found, strict=True), key=lambda f: (f[0], f[1].id))
    first = fastest(operator, config, ordered, count, run, effort)
    return Space(operator, config, ordered, first, fixed(operator, config), {})


def matching(
    place: Space,
    offered: Mapping[str, set[Vectors]],
    taken: set[Vectors],
    count: int,
    run: Run,
    effort: int | None = None,
) -> None:
    """Evaluate embeddings that read and write what neighbours have, up to so many in all.

    Args:
        place: an operator's embeddings.
        offered: of each input, the vectors that some neighbour writes.
        taken: the vectors that some neighbour reads of the output.
        count: embeddings evaluated in the end.
        run: a map.
        effort: as for `options`.
    """
    chosen: dict[tuple[object, ...], Embedding] = {}
    whole = [e for _, e in place.ordered if e.id not in place.lanes]
    vectors = run(partial(_vectors, place.operator, place.config), whole)
    place.lanes |= {e.id: v for e, v in zip(whole, vectors, strict=True)}
    for _, embedding in place.ordered:
        read, written = place.vectors(embedding)
        fits = all(not offered[role] or read[role] in offered[role] for role in read)
        pair = (*(read[role] for role in sorted(read)), written)
        # The first of a pair has the least floor.
        if fits and (not taken or written in taken):
            chosen.setdefault(pair, embedding)
    new = [e for e in chosen.values() if e.id not in place.evaluated]
    new = new[: max(0, count - len(place.evaluated))]
    work = partial(options, place.operator, place.config, effort=effort)
    for embedding, found in zip(new, run(work, new), strict=True):
        place.evaluated[embedding.id] = found


Progress = Callable[[int], None]


def spaces(
    network: Network,
    config: Config,
    count: int,
    classes: Sequence[str],
    run: Run,
    on_progress: Progress = lambda _: None,
    effort: int | None = None,
) -> dict[Operator, Space]:
    """The candidates of every operator of a network that programs can be made for.

    Args:
        network: the network.
        config: what it is compiled for.
        count: embeddings of each operator: half of them the fastest, then what neighbours ask for.
        classes: of embeddings that may be used.
        run: a map.
        on_progress: told when an operator is done, in each of two rounds.
        effort: programs to simulate for each layout at most; None for proven cycles.
    """
    nodes = [n for n in network.accelerated if not programmed(n, network)]
    found: dict[Operator, Space] = {}
    for node in nodes:
        if node.operator not in found:
            half = max(1, count - count // 2)
            found[node.operator] = space(node.operator, config, half, classes, run, effort)
            on_progress(1)
    wanted = _wanted(nodes, found, network)
    for operator, (offered, taken) in wanted.items():
        matching(found[operator], offered, taken, count, run, effort)
        on_progress(1)
    return found


def _wanted(
    nodes: Sequence[Accelerated], found: Mapping[Operator, Space], network: Network
) -> dict[Operator, tuple[dict[str, set[Vectors]], set[Vectors]]]:
    """Of each operator, the vectors that its neighbours write of its inputs and read of its output.

    A residual is read as its node writes, so the node's output takes part in that, too.
    """
    writes: dict[str, set[Vectors]] = {}
    reads: dict[str, set[Vectors]] = {}
    for node in nodes:
        place = found[node.operator]
        for option in place.all():
            read, written = place.vectors(option.embedding)
            writes.setdefault(node.output.tensor, set()).add(written)
            for role, vectors in read.items():
                reads.setdefault(view_of(node, role), set()).add(vectors)
            for residual in residuals_of(node, network):
                reads.setdefault(residual.tensor, set()).add(written)
    wanted: dict[Operator, tuple[dict[str, set[Vectors]], set[Vectors]]] = {}
    for node in nodes:
        place = found[node.operator]
        own = place.all()
        roles = place.vectors(own[0].embedding)[0] if own else {}
        offered, taken = wanted.setdefault(node.operator, ({r: set() for r in roles}, set()))
        for role in roles:
            offered[role] |= writes.get(view_of(node, role), set())
            offered[role] |= {place.vectors(o.embedding)[0][role] for o in own}
        taken |= reads.get(node.output.tensor, set())
        for residual in residuals_of(node, network):
            taken |= writes.get(residual.tensor, set())
        taken |= {place.vectors(o.embedding)[1] for o in own}
    return wanted


def view_of(node: Accelerated, role: str) -> str:
    """The network's tensor that an operator's input is."""
    computation = node.operator.computation
    name = computation.in0.name if role == "in0" else computation.in1.name
    return node.views[name].tensor


def residuals_of(node: Accelerated, network: Network) -> list[View]:
    """The tensors of the network that a node's steps add to its output, element by element."""
    inputs = {node.operator.computation.in0.name, node.operator.computation.in1.name}
    constants = {tensor.name for tensor in network.tensors if tensor.constant}
    return [v for v in node.inputs if v.operand not in inputs and v.tensor not in constants]
