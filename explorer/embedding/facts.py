"""Operator, instruction and options as clingo facts: the only module that names input predicates.

The text of the facts is what ``explorer facts`` prints, so any run can be repeated with plain
clingo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from clingo import Function, Number, Symbol

from explorer.embedding.metrics import Keep, Limit
from explorer.embedding.step_costs import LARGEST, counts_exactly
from isa.computation import ROLES
from isa.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explorer.embedding.digits import Digit, Embedding
    from explorer.embedding.metrics import Metric, Requirement, Wishes
    from isa.computation import Affine, Computation, Operator, Role, Tensor
    from isa.config import Config

CLASSES: dict[str, str] = {
    "padded": "tiles that do not divide their dimension, and axes that are not full",
    "strided": "lanes that are a whole tile count apart",
    "multi": "several dimensions side by side on one axis",
    "swapped": "the two inputs exchange their ports",
    "fused": "several dimensions flattened into one, tiles crossing their borders",
    "skewed": "an output dimension moved against a reduction (banded weight blocks)",
    "diagonal": "a dimension on two axes at once (block-diagonal operand)",
}
DEFAULT_CLASSES: tuple[str, ...] = ("padded", "strided", "multi", "swapped")

# The conditions of the definition itself, on single multiply-accumulates.
DEFINITION: tuple[str, ...] = ("named", "once", "dataflow", "home", "neutral")

# What makes an answer an embedding at all; the classes that are off are enforced by these too.
LEGALITY: tuple[str, ...] = ("shape", "once", "capacity", "neutral", "multi", "padded")


def parse_classes(text: str) -> tuple[str, ...]:
    """The classes that a text names: ``all``, or names separated by commas.

    Raises:
        InputError: there is no such class.
    """
    names = tuple(CLASSES) if text == "all" else tuple(n.strip() for n in text.split(",") if n)
    for name in names:
        if name not in CLASSES:
            raise InputError("--classes", "", name, f"all, or some of {', '.join(CLASSES)}")
    return names


Argument = str | int | Symbol
Facts = list[Symbol]
SIMPLEST = Function("simplest")
"""Of answers that are preferred alike, the simplest is wanted."""
APART = Function("apart")
"""Answers are counted axis by axis."""
ONE_OF_SEVERAL = Function("one_of_several")
"""The operator is one of several terms, which agree on what is said of its outputs."""


def atom(name: str, *arguments: Argument) -> Symbol:
    """``name(arguments…)``: numbers, constants by their name, and terms."""
    return Function(name, [_term(a) for a in arguments])


def _term(argument: Argument) -> Symbol:
    if isinstance(argument, int):
        return Number(argument)
    return Function(argument) if isinstance(argument, str) else argument


def named(name: str, term: int) -> Symbol:
    """A name of the instance: as it is for the first term (0), else ``term(K, name)``."""
    plain = Function(name)
    return Function("term", [Number(term + 1), plain]) if term else plain


def computation_facts(operator: Computation, term: int = 0, before: int = 0) -> Iterable[Symbol]:
    """Dimensions, tensors and access maps of an operator, or of a further term of one.

    Args:
        operator: the term.
        term: its number, from 0.
        before: how many dimensions the terms before it have.
    """
    for position, dim in enumerate(operator.dims, start=before + 1):
        yield atom("dimension", named(dim.name, term), position, dim.extent)
    for role in ROLES:
        yield atom("output" if role == "out" else "input", named(role, term))
        for row, expression in enumerate(operator.tensor(role).index):
            for name, coefficient in expression.terms:
                yield atom("access", named(role, term), row, named(name, term), coefficient)


def image_facts(first: Computation, operator: Computation, term: int) -> Iterable[Symbol]:
    """Which dimensions of a further term are which of the first, as the output sees it."""
    for name, image in zip(operator.parallel, first.parallel, strict=True):
        yield atom("image", named(name, term), image)


def intrinsic_facts(intrinsic: Computation, term: int = 0) -> Iterable[Symbol]:
    """Axes and ports of an instruction, as it is issued for a term."""
    for axis in intrinsic.dims:
        yield atom("axis", named(axis.name, term), axis.extent)
    for role in ROLES:
        port = intrinsic.tensor(role)
        kind = "output_port" if role == "out" else "input_port"
        yield atom(kind, named(port.name, term), named(role, term))
        for axis in intrinsic.dims:
            # Of an instruction's access maps, the local rule needs only which axes a port has.
            if port.varies({axis.name: 1}):
                yield atom("port_axis", named(port.name, term), named(axis.name, term))


def dataflow_facts(terms: Sequence[Computation], intrinsic: Computation) -> Iterable[Symbol]:
    """All of it one multiply-accumulate at a time: as many facts as there are of those.

    Nodes are numbered through, and so are the lanes of the issues for one term after the other.
    """
    nodes = lanes = 0
    for term, operator in enumerate(terms):
        yield from _dataflow(operator, term, nodes, "scalar", "point")
        yield from _dataflow(intrinsic, term, lanes, "cell", "position")
        nodes, lanes = nodes + operator.macs, lanes + intrinsic.macs


def _dataflow(
    computation: Computation, term: int, first: int, element: str, place: str
) -> Iterable[Symbol]:
    points = np.indices(tuple(computation.extents.values())).reshape(len(computation.dims), -1)
    for dim, values in zip(computation.dims, points.tolist(), strict=True):
        for i, value in enumerate(values, start=first):
            yield atom(place, i, named(dim.name, term), value)
    for role in ROLES:
        tensor = computation.tensor(role)
        name = named(role if element == "scalar" else tensor.name, term)
        elements = _elements(tensor, computation.extents, points)
        for i, value in enumerate(elements.tolist(), start=first):
            yield atom(element, name, i, value)


def _elements(
    tensor: Tensor, extents: dict[str, int], points: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The element of a tensor that each point uses, as one number; also outside the tensor."""
    point = dict(zip(extents, points, strict=True))
    flat = np.zeros(points.shape[1], np.int64)
    for row in tensor.index:
        # Over the whole reach of the row: elements outside the tensor must stay distinct, too.
        low, high = row.bounds(extents)
        flat = flat * (high - low + 1) + row.at(point, np.zeros((), np.int64)) - low
    return flat


def option_facts(
    classes: Iterable[str], *, all_tiles: bool, enforce: Iterable[str]
) -> Iterable[Symbol]:
    """Which classes and tiles are candidates, and which rules hold."""
    yield from (atom("class", name) for name in classes)
    yield atom("tiles", "all" if all_tiles else "useful")
    yield from (atom("enforce", rule) for rule in (*LEGALITY, *enforce))


def term_of(symbol: Symbol) -> tuple[int, Symbol]:
    """The term, from 0, and the plain name of what `named` gives."""
    if symbol.match("term", 2):
        number, name = symbol.arguments
        return number.number - 1, name
    return 0, symbol


def place_symbol(digit: Digit, term: int = 0) -> Symbol:
    """The ``place/5`` atom of a digit of a term."""
    axis = Function("on", [named(a, term) for a in digit.axes])
    # Nested to the right, as the encodings build it: the fastest dimension is innermost.
    subject = named(digit.dims[-1], term)
    for name in reversed(digit.dims[:-1]):
        subject = Function("fuse", [named(name, term), subject])
    kind = Function(digit.kind)
    if digit.partner is not None:
        kind = Function("skew", [named(digit.partner, term), Number(digit.coefficient)])
    return Function(
        "place",
        [
            axis if len(digit.axes) > 1 else named(digit.axes[0], term),
            subject,
            kind,
            Number(digit.lanes),
            Number(digit.outer),
        ],
    )


def wanted_facts(*terms: Embedding) -> Iterable[Symbol]:
    """Facts that leave only one embedding: the binding and the digits of each term."""
    yield atom("enforce", "wanted")
    for term, embedding in enumerate(terms):
        binding = named("swapped" if embedding.swapped else "straight", term)
        yield Function("wanted", [Function("use", [binding])])
        yield from (Function("wanted", [place_symbol(d, term)]) for d in embedding.digits)


def instance(
    operator: Computation,
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    enforce: Iterable[str] = ("maximal",),
    orders: Iterable[str] = (),
    further: Sequence[Computation] = (),
) -> list[Symbol]:
    """All facts of one problem, sorted, so that the same problem gives the same text.

    Args:
        operator: what is embedded, or its first term.
        intrinsic: what it is embedded into.
        classes: the classes that may be used.
        all_tiles: take every tile extent.
        enforce: rules that hold beside those that make an answer an embedding.
        orders: which orders are a choice.
        further: the further terms that add to the same output.
    """
    rules = (*enforce, "home") if further else tuple(enforce)
    facts = [
        *computation_facts(operator),
        *intrinsic_facts(intrinsic),
        *option_facts(classes, all_tiles=all_tiles, enforce=rules),
        *(atom("orders", which) for which in orders),
    ]
    before = len(operator.dims)
    for number, term in enumerate(further, start=1):
        facts += computation_facts(term, number, before)
        facts += image_facts(operator, term, number)
        facts += intrinsic_facts(intrinsic, number)
        before += len(term.dims)
    return sorted(facts)


def scalar_instance(
    operator: Computation,
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    further: Sequence[Computation] = (),
) -> list[Symbol]:
    """All facts for the definition on single multiply-accumulates, with every tile, sorted."""
    rules = (*DEFINITION, "drawn")
    facts = instance(operator, intrinsic, classes, all_tiles=True, enforce=rules, further=further)
    return sorted({*facts, *dataflow_facts((operator, *further), intrinsic)})


# ------------------------------------------------------------------- layouts and what is wished for


def design_instance(
    operator: Operator,
    config: Config,
    intrinsic: Computation,
    wishes: Wishes,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
) -> Facts:
    """All facts of one problem that asks for embeddings with their layouts, sorted.

    Raises:
        InputError: the layouts of the operator's tensors cannot be told from its access maps.
    """
    first, *others = (term.computation for term in operator.terms)
    for term in (first, *others):
        # Only skews need it: other searches are not refused for it.
        if "skewed" in classes:
            check_skewable(term)
    facts = [
        *instance(first, intrinsic, classes, all_tiles=all_tiles, enforce=(), further=others),
        *layout_facts(operator, config),
        *wish_facts(wishes),
    ]
    # As a set: two wishes can state the same limit, and equal problems have equal facts.
    return sorted(set(facts))


def layout_facts(operator: Operator, config: Config) -> Iterable[Symbol]:
    """What packed tensors and their costs follow from.

    Raises:
        InputError: see `design_instance`.
    """
    terms = [term.computation for term in operator.terms]
    for number, computation in enumerate(terms):
        check_separable(computation)
        # The output is one tensor, which the first term stands for.
        for role in ROLES if number == 0 else ROLES[:2]:
            yield from _row_facts(computation, role, number)
    ports = {
        "inp": (config.batch * config.block_in, config.inp_bytes),
        "wgt": (config.block_out * config.block_in, config.wgt_bytes),
        "acc": (config.batch * config.block_out, config.out_bytes),  # DRAM holds int8 outputs
    }
    for number, term in enumerate(operator.terms):
        yield from (atom("address", named(p, number), *sizes) for p, sizes in ports.items())
        # The hardware can pad other memories too, but not on every implementation.
        yield atom("pads", named("inp", number))
        yield from (atom("constant", named(role, number)) for role in term.constants)
    yield atom("multipliers", config.batch * config.block_in * config.block_out)
    # Else steps are sums of logarithms; the encodings have a rule for either.
    if counts_exactly(*terms):
        yield atom("exact", "steps")
    elif len(terms) > 1:
        macs = " + ".join(str(term.macs) for term in terms)
        allowed = f"preferences count {LARGEST} multiply-accumulates of several terms at most"
        raise InputError(operator.name, "stages", macs, allowed)


def _row_facts(computation: Computation, role: Role, term: int) -> Iterable[Symbol]:
    tensor = computation.tensor(role)
    for row, (expression, size) in enumerate(zip(tensor.index, tensor.shape, strict=True)):
        yield atom("row", named(role, term), row, expression.const, size)
        reads = _reads(expression, size, computation.extents)
        yield atom("reads", named(role, term), row, *reads)


def _reads(expression: Affine, size: int, extents: dict[str, int]) -> tuple[int, int]:
    """How many points of the expression's dimensions lie in ``[0, size)``, and how many values."""
    # At most two dimensions (`check_separable`), so that this stays small.
    values = np.full(1, expression.const, np.int64)
    for name, coefficient in expression.terms:
        values = np.add.outer(values, coefficient * np.arange(extents[name])).reshape(-1)
    inside = values[(values >= 0) & (values < size)]
    return len(inside), len(np.unique(inside))


def check_separable(computation: Computation) -> None:
    """Check that a tensor's rows can be looked at one by one, as the rules on layouts do.

    Raises:
        InputError: a row has more than two dimensions (of more than one iteration), a dimension
            moves two rows of a tensor, or a reduction does not move both inputs.
    """
    long = {d.name for d in computation.dims if d.extent > 1}
    for role in ROLES:
        tensor = computation.tensor(role)
        seen: set[str] = set()
        for row in tensor.index:
            names = {name for name, _ in row.terms if name in long}
            if len(names) > 2:
                raise _inseparable(computation, tensor, row, "has more than two dimensions")
            if names & seen:
                raise _inseparable(computation, tensor, row, "shares a dimension with another row")
            seen |= names
        if role != "out" and (missing := long & set(computation.reductions) - seen):
            raise _inseparable(computation, tensor, min(missing), "is a reduction that stays")


def check_skewable(computation: Computation) -> None:
    """Check that a skew's two dimensions share one row only, as the rules on layouts expect.

    Raises:
        InputError: a reduction that shares a row with a dimension of the output is not alone in its
            row of the other input.
    """
    long = {d.name for d in computation.dims if d.extent > 1}
    reductions = long & set(computation.reductions)
    for tensor, other in (computation.in0, computation.in1), (computation.in1, computation.in0):
        for row in tensor.index:
            names = {name for name, _ in row.terms} & long
            for there in other.index if len(names) > 1 else ():
                mixed = {name for name, _ in there.terms} & long
                if len(mixed) > 1 and mixed & names & reductions:
                    problem = "shares a reduction with such a row of the other input"
                    raise _inseparable(computation, tensor, row, problem)


def _inseparable(
    computation: Computation, tensor: Tensor, where: object, problem: str
) -> InputError:
    allowed = f"{where} {problem}: preferences on layouts need rows that can be told apart"
    return InputError(computation.name, tensor.name, ", ".join(map(str, tensor.index)), allowed)


def wish_facts(wishes: Wishes) -> Iterable[Symbol]:
    """Preferences, requirements and objectives."""
    for level, weights in wishes.levels.items():
        yield from (atom("prefer", metric_term(m), level, w) for m, w in weights.items())
    for place, metric in enumerate(wishes.objectives, start=1):
        yield atom("objective", metric_term(metric), place)
    for requirement in wishes.requirements:
        yield atom("requirement", requirement_term(requirement))
        if isinstance(requirement, Limit):
            yield atom("limit", metric_term(requirement.metric), requirement.bound)
        if isinstance(requirement, Keep):
            for row, (block, place) in enumerate(requirement.blocks):
                tensor = named(requirement.role, requirement.term)
                yield atom("given", tensor, row, block, place)


def metric_term(metric: Metric) -> Symbol:
    """``footprint``, or of one tensor ``of(footprint, in0)``."""
    if metric.role is None:
        return Function(metric.name)
    return atom("of", metric.name, named(metric.role, metric.term))


def requirement_term(requirement: Requirement) -> Symbol:
    """The name under which the encodings know a requirement."""
    if isinstance(requirement, Limit):
        return atom("max", metric_term(requirement.metric))
    if isinstance(requirement, Keep):
        return atom("keep", named(requirement.role, requirement.term))
    return Function(requirement.name)
