"""Every embedding of an operator: facts in, answer sets found, typed embeddings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clingo import Function, Symbol

from explorer.embedding.control import ground
from explorer.embedding.decoding import Decoder, subject_dims
from explorer.embedding.digits import Embedding
from explorer.embedding.facts import DEFAULT_CLASSES, instance, wanted_facts
from isa.computation import Computation
from isa.errors import InputError

# Enumeration has few conflicts to learn from: the plainest search is twice as fast.
MANY_ANSWERS = ("--configuration=frumpy",)


def answers(
    operator: Computation,
    intrinsic: Computation,
    facts: Iterable[Symbol],
    entry: str = "entries/enumerate.lp",
    options: Sequence[str] = (),
) -> Iterator[Embedding]:
    """The embeddings of a problem given as facts, as they are found."""
    control = ground(facts, entry, options=(*MANY_ANSWERS, *options))
    decoder = Decoder(operator, intrinsic)
    with control.solve(yield_=True) as handle:
        for model in handle:
            yield decoder.embedding(model.symbols(shown=True))


def shown(facts: Iterable[Symbol], entry: str) -> Iterator[Sequence[Symbol]]:
    """The symbols that each answer of a problem shows."""
    control = ground(facts, entry)
    with control.solve(yield_=True) as handle:
        for model in handle:
            yield model.symbols(shown=True)


def fused_mappings(
    operator: Computation, intrinsic: Computation, *, swapped: bool = False
) -> Iterator[tuple[bool, dict[str, tuple[str, ...]]]]:
    """Every fused-iteration mapping: each axis takes some of the dimensions that it admits.

    Dimensions of one iteration are left out, and so are extents of tiles.

    Args:
        operator: what is mapped.
        intrinsic: what it is mapped to.
        swapped: whether the inputs may exchange their ports.

    Yields:
        Whether the inputs are exchanged, and for each axis its dimensions in operator order.
    """
    classes = ("fused", "padded", *(("swapped",) if swapped else ()))
    facts = instance(operator, intrinsic, classes, enforce=())
    exchanged = Function("use", [Function("swapped")])
    control = ground(facts, "entries/fused-mappings.lp")
    with control.solve(yield_=True) as handle:
        for model in handle:
            symbols = model.symbols(shown=True)
            pairs = (s.arguments for s in symbols if s.match("takes", 2))
            yield (
                exchanged in symbols,
                {axis.name: subject_dims(subject) for axis, subject in pairs},
            )


def enumerate_embeddings(
    operator: Computation,
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Iterable[str] = (),
) -> list[Embedding]:
    """Every embedding of an operator into an instruction, sorted by id.

    Args:
        operator: what is embedded.
        intrinsic: what it is embedded into.
        classes: the classes that may be used, of `explorer.embedding.facts.CLASSES`.
        all_tiles: take every tile extent, not only the least for each number of outer iterations.
        maximal: leave out embeddings whose axes could take more lanes and save outer iterations.
        orders: choices that are not left at a canonical one: the digits of an axis (``lanes``), the
            outer loops (``outer``).
    """
    enforce = ("maximal",) if maximal else ()
    facts = instance(
        operator, intrinsic, classes, all_tiles=all_tiles, enforce=enforce, orders=orders
    )
    # The order in which clingo finds answers is its own affair, and changes between versions.
    return sorted(answers(operator, intrinsic, facts), key=lambda e: e.id)


def reference_embedding(operator: Computation, intrinsic: Computation) -> Embedding | None:
    """TVM's fixed embedding, by the rules of `reference.lp`; None where TVM has none."""
    # Padded alone: TVM fills its blocks up with zeros, and knows no other class.
    facts = instance(operator, intrinsic, ("padded",), enforce=("reference",))
    return next(answers(operator, intrinsic, facts), None)


def the_reference(operator: Computation, intrinsic: Computation) -> Embedding:
    """`reference_embedding`, where there has to be one.

    Raises:
        InputError: TVM has no way to lay the operator onto the instruction.
    """
    found = reference_embedding(operator, intrinsic)
    if found is None:
        allowed = (
            f"an embedding's id: TVM has no way to lay {operator.name} onto {intrinsic.name}, which"
            " takes one output dimension and one reduction of the weights, each outside of windows"
        )
        raise InputError("embedding", "", "reference", allowed)
    return found


def is_legal(embedding: Embedding, operator: Computation, intrinsic: Computation) -> bool:
    """Whether an embedding is among the answers, of any class and with any tile."""
    # The expensive classes only where the embedding needs them: their candidates would be grounded.
    classes = (*DEFAULT_CLASSES, *set(embedding.classes) & {"fused", "skewed", "diagonal"})
    facts = instance(operator, intrinsic, classes, all_tiles=True, enforce=())
    wanted = [*facts, *wanted_facts(embedding)]
    return next(answers(operator, intrinsic, wanted), None) is not None
