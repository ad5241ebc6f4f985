"""Embeddings of several terms that add to one output: each term's own, with one home an output.

A term is a computation. All terms of an operator have the same output under the same access map, up
to the names of its dimensions (`check_terms`), so that they agree on the home of every output if
they place the same digits of these dimensions on the accumulator's axes, in the same lane order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clingo import Function, Symbol, SymbolType

from explorer.embedding.control import ground
from explorer.embedding.decoding import Decoder
from explorer.embedding.digits import Digit, Embedding, arrange
from explorer.embedding.enumeration import MANY_ANSWERS
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance, scalar_instance
from explorer.embedding.ids import parse
from explorer.embedding.scalar import STRUCTURED_LIMIT, check_size
from isa.computation import Computation
from isa.errors import InputError

PLUS = " + "


@dataclass(frozen=True, slots=True)
class Joint:
    """An embedding of an operator of several terms.

    Attributes:
        terms: the embedding of each term, in the operator's order.
    """

    terms: tuple[Embedding, ...]

    @property
    def id(self) -> str:
        """The terms' ids: ``y=oc:16/z=ic:16 + y=oc:16/z=r:16``."""
        return PLUS.join(e.id for e in self.terms)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that some term belongs to; ``tile`` if all are that."""
        found = {name for e in self.terms for name in e.classes}
        return tuple(name for name in CLASSES if name in found) or ("tile",)


def enumerate_joint(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
) -> list[Joint]:
    """Every embedding of several terms, sorted by id; the arguments of `enumerate_embeddings`."""
    facts = instance(
        terms[0],
        intrinsic,
        classes,
        all_tiles=all_tiles,
        enforce=("maximal",) if maximal else (),
        further=terms[1:],
    )
    return sorted(joint_answers(terms, intrinsic, facts), key=lambda e: e.id)


def scalar_joint(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
) -> list[Joint]:
    """Every embedding of several terms with every tile, by the definition; see `scalar_embeddings`.

    Raises:
        InputError: the terms together, or the instruction, are too large.
    """
    for computation in terms:
        check_size(computation, intrinsic, STRUCTURED_LIMIT)
    total, limit = sum(t.macs for t in terms), STRUCTURED_LIMIT[0]
    if total > limit:
        text = " + ".join(str(t.macs) for t in terms)
        allowed = f"with this encoding at most {limit} multiply-accumulates"
        raise InputError(terms[0].name, "", text, allowed)
    facts = scalar_instance(terms[0], intrinsic, classes, further=terms[1:])
    found = joint_answers(terms, intrinsic, facts, "entries/scalar.lp", ("--heuristic=Domain",))
    return sorted(found, key=lambda e: e.id)


def joint_answers(
    terms: Sequence[Computation],
    intrinsic: Computation,
    facts: Sequence[Symbol],
    entry: str = "entries/enumerate.lp",
    options: Sequence[str] = (),
) -> Iterator[Joint]:
    """The embeddings of a problem of several terms given as facts, as they are found."""
    control = ground(facts, entry, options=(*MANY_ANSWERS, *options))
    decoder = JointDecoder(terms, intrinsic)
    with control.solve(yield_=True) as handle:
        for model in handle:
            yield decoder.embedding(model.symbols(shown=True))


class JointDecoder:
    """Reads answers of several terms: the symbols of each, without the term in their names."""

    def __init__(self, terms: Sequence[Computation], intrinsic: Computation) -> None:
        self.terms, self.intrinsic = terms, intrinsic
        self.decoders = [Decoder(term, intrinsic) for term in terms]
        self.known: dict[Symbol, tuple[int, Symbol]] = {}

    def embedding(self, symbols: Sequence[Symbol]) -> Joint:
        """The embedding that a model shows."""
        parts: list[list[Symbol]] = [[] for _ in self.terms]
        for symbol in symbols:
            if symbol not in self.known:
                self.known[symbol] = _apart(symbol)
            number, plain = self.known[symbol]
            parts[number].append(plain)
        found = [d.embedding(part) for d, part in zip(self.decoders, parts, strict=True)]
        return seated(found, self.terms, self.intrinsic)


def _apart(symbol: Symbol) -> tuple[int, Symbol]:
    """A symbol's term, from 0, and the symbol with plain names."""
    if symbol.match("term", 2):
        number, name = symbol.arguments
        return number.number - 1, name
    if symbol.type is not SymbolType.Function or not symbol.arguments:
        return 0, symbol
    parts = [_apart(argument) for argument in symbol.arguments]
    plain = Function(symbol.name, [argument for _, argument in parts])
    return max(number for number, _ in parts), plain


def seated(
    embeddings: Sequence[Embedding], terms: Sequence[Computation], intrinsic: Computation
) -> Joint:
    """The joint embedding of digits in canonical order: with lanes in one order in all terms.

    The canonical order of an axis is operator order, diagonal digits fastest. A digit of the output
    that is diagonal in one term only would stand at different places in the terms, and the outputs
    be at home in different cells; so what is diagonal in one term is fastest in all.
    """
    seats = list(intrinsic.extents)
    late: dict[str, list[int]] = {}
    for embedding, term in zip(embeddings, terms, strict=True):
        image = dict(zip(term.parallel, terms[0].parallel, strict=True))
        for digit in embedding.digits:
            if len(digit.axes) > 1 and digit.dims[0] in image:
                places = [seats.index(a) for a in digit.axes]
                late.setdefault(image[digit.dims[0]], places)
    found = []
    for embedding, term in zip(embeddings, terms, strict=True):
        image = dict(zip(term.parallel, terms[0].parallel, strict=True))
        order = list(term.extents)

        def rank(digit: Digit, image: dict[str, str] = image, order: list[str] = order) -> object:
            places = [seats.index(a) for a in digit.axes] if len(digit.axes) > 1 else []
            places = late.get(image.get(digit.dims[0], ""), places)
            return places, order.index(digit.dims[0])

        lanes = [d.dims[0] for d in sorted(embedding.digits, key=rank)]
        found.append(arrange(embedding, term, lanes, ()))
    return Joint(tuple(found))
