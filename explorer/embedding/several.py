"""Embeddings of several terms that add to one output: each term's own, with one home an output.

A term is a computation. All terms of an operator have the same output under the same access map, up
to the names of its dimensions (`check_terms`), so that they agree on the home of every output if
they place the same digits of these dimensions on the accumulator's axes, in the same lane order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from clingo import Function, Symbol, SymbolType

from explorer.embedding.control import ground
from explorer.embedding.counting import Count, Part, count, summary, tally
from explorer.embedding.decoding import Decoder
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import MANY_ANSWERS, enumerate_embeddings
from explorer.embedding.explanation import Reason, Verdict, find, why
from explorer.embedding.facts import (
    CLASSES,
    DEFAULT_CLASSES,
    instance,
    scalar_instance,
    term_of,
)
from explorer.embedding.ids import parse
from explorer.embedding.joint import Joint, images, seated
from explorer.embedding.joint_space import JointSpace
from explorer.embedding.scalar import STRUCTURED_LIMIT, check_sizes
from explorer.embedding.virtual_loops import nest
from isa.computation import Computation, Operator
from isa.errors import InputError

_DECIDED = frozenset({"use", "place", "slower", "earlier"})
"""Atoms that tell an embedding."""

SOME = 3
"""Ids that a message shows of many."""

MOST_JOINT = 250_000
"""Embeddings of several terms that are listed: a minute of work, and a kilobyte or two each."""

AnyEmbedding: TypeAlias = Embedding | Joint
"""An embedding of an operator: of its only term, or of its terms together."""


def term_by_term(
    embedding: AnyEmbedding, operator: Operator
) -> list[tuple[Embedding, Computation]]:
    """The embedding of each term of an operator, and the term."""
    each = embedding.terms if isinstance(embedding, Joint) else (embedding,)
    return [(e, term.computation) for e, term in zip(each, operator.terms, strict=True)]


def enumerate_any(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Collection[str] = (),
) -> list[AnyEmbedding]:
    """Every embedding of one term or several, sorted by id; see `enumerate_embeddings`.

    Raises:
        InputError: several terms together have too many to be listed.
    """
    found: list[AnyEmbedding] = []
    if len(terms) > 1 and orders:
        found += enumerate_joint(
            terms, intrinsic, classes, all_tiles=all_tiles, maximal=maximal, orders=orders
        )
    elif len(terms) > 1:
        space = JointSpace(terms, intrinsic, classes, all_tiles=all_tiles, maximal=maximal)
        check_listed(space)
        found += sorted((e for _, e in space.least(space.total)), key=lambda e: e.id)
    else:
        found += enumerate_embeddings(
            terms[0], intrinsic, classes, all_tiles=all_tiles, maximal=maximal, orders=orders
        )
    return found


def check_listed(space: JointSpace) -> None:
    """Check that the embeddings of several terms can be listed.

    Raises:
        InputError: they are too many.
    """
    if space.total > MOST_JOINT:
        number = len(space.lists)
        allowed = f"of {number} terms at most {MOST_JOINT:,} embeddings together can be listed"
        allowed += "; rank finds the fastest without a list, --concat host joins tensors before"
        raise InputError("embeddings", "", f"{space.total:,}", allowed)


def enumerate_joint(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Collection[str] = (),
) -> list[Joint]:
    """Every embedding of several terms, sorted by id, by the rules for all terms together.

    The arguments are those of `enumerate_embeddings`. `JointSpace` finds the same, but for orders,
    from the rules for each term.
    """
    facts = instance(
        terms[0],
        intrinsic,
        classes,
        all_tiles=all_tiles,
        enforce=("maximal",) if maximal else (),
        orders=orders,
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
    check_sizes(terms, intrinsic, STRUCTURED_LIMIT)
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
        ordered = False
        for symbol in symbols:
            if symbol.name not in _DECIDED:  # costs and choices of layouts
                continue
            ordered = ordered or symbol.name == "slower"
            if symbol not in self.known:
                self.known[symbol] = _apart(symbol)
            number, plain = self.known[symbol]
            parts[number].append(plain)
        found = [d.embedding(part) for d, part in zip(self.decoders, parts, strict=True)]
        # Where lane orders are a choice, the answer has made it.
        return Joint(tuple(found)) if ordered else seated(found, self.terms, self.intrinsic)


def _apart(symbol: Symbol) -> tuple[int, Symbol]:
    """A symbol's term, from 0, and the symbol with plain names."""
    if symbol.match("term", 2):
        return term_of(symbol)
    if symbol.type is not SymbolType.Function or not symbol.arguments:
        return 0, symbol
    parts = [_apart(argument) for argument in symbol.arguments]
    plain = Function(symbol.name, [argument for _, argument in parts])
    return max(number for number, _ in parts), plain


def home(
    embedding: Embedding, term: Computation, first: Computation, intrinsic: Computation
) -> dict[str, str]:
    """What decides in which cell an output of a term is added up.

    Returns:
        For each axis of the accumulator its digits as an id names them, the slowest first, with the
        dimensions of the first term; without what a skew or a diagonal does elsewhere.
    """
    image = images(term, first)
    seats = [a.name for a in intrinsic.dims if intrinsic.out.varies({a.name: 1})]
    digits: dict[str, list[str]] = {axis: [] for axis in seats}
    for digit in embedding.digits:
        names = ".".join(image.get(name, name) for name in digit.dims)
        for axis in digit.axes:
            if axis in digits:
                mark = "%" if digit.kind == "strided" else ":"
                digits[axis].append(f"{names}{mark}{digit.lanes}")
    return {axis: ",".join(found) for axis, found in digits.items()}


def _loops(embedding: Embedding, term: Computation, first: Computation) -> list[str]:
    """The outer loops over outputs in their order, by the first term's dimensions."""
    image = images(term, first)
    return [image[loop.first] for loop in nest(embedding, term).outer if loop.first in image]


def why_joint(
    terms: Sequence[Computation],
    intrinsic: Computation,
    text: str,
    classes: Sequence[str] | None = None,
) -> Verdict:
    """Whether the embedding that an id of several terms names is legal, and what rejects it if not.

    Args:
        terms: what is embedded.
        intrinsic: what they are embedded into.
        text: an id of each term, joined by `` + ``.
        classes: the classes that may be used; all by default.

    Raises:
        InputError: the text is no such id.
    """
    if len(terms) == 1:
        return why(terms[0], intrinsic, text, classes)
    joint = parse_joint(text, terms, intrinsic)
    reasons: list[Reason] = []
    for number, (embedding, term) in enumerate(zip(joint.terms, terms, strict=True), start=1):
        found = why(term, intrinsic, embedding.id, classes).reasons
        reasons += (replace(reason, text=f"term {number}: {reason.text}") for reason in found)
    homes = [home(e, t, terms[0], intrinsic) for e, t in zip(joint.terms, terms, strict=True)]
    for axis in homes[0]:
        for number, there in enumerate(homes[1:], start=2):
            if there[axis] != homes[0][axis]:
                mine, other = homes[0][axis] or "no digit", there[axis] or "no digit"
                sentence = (
                    f"an output of term {number} is at home in another cell than in term 1: "
                    f"axis {axis} has {other} of the output, not {mine}"
                )
                reasons.append(Reason("home", sentence, "output"))
    first, *others = (_loops(e, t, terms[0]) for e, t in zip(joint.terms, terms, strict=True))
    for number, loops in enumerate(others, start=2):
        if sorted(loops) == sorted(first) and loops != first:
            sentence = (
                f"outputs of term {number} are at other addresses than in term 1: their loops come "
                f"in the order {','.join(loops)} of the output, not {','.join(first)}"
            )
            reasons.append(Reason("home", sentence, "output"))
    return Verdict(joint.id, tuple(sorted(reasons, key=lambda r: (r.rule, r.text))))


def find_any(terms: Sequence[Computation], intrinsic: Computation, text: str) -> AnyEmbedding:
    """The embedding of one term or several that an id names, if it is legal.

    Raises:
        InputError: the text is no id, or no legal embedding.
    """
    if len(terms) > 1:
        return find_joint(terms, intrinsic, text)
    return find(terms[0], intrinsic, text)


def find_joint(terms: Sequence[Computation], intrinsic: Computation, text: str) -> Joint:
    """The embedding that an id of several terms names, if it is legal.

    Raises:
        InputError: the text is no such id, or the embedding is not legal.
    """
    if text == "reference":
        allowed = f"TVM has no embedding of {len(terms)} terms; give an id of each, as in ID + ID"
        raise InputError("embedding", "", text, allowed)
    reasons = "; ".join(reason.text for reason in why_joint(terms, intrinsic, text).reasons)
    if reasons:
        raise InputError("embedding", "", text, f"it is no legal embedding: {reasons}")
    return parse_joint(text, terms, intrinsic)


def parse_joint(text: str, terms: Sequence[Computation], intrinsic: Computation) -> Joint:
    """The embedding that an id of several terms names.

    Ids of the last terms can be left out where the others determine them: where only one embedding
    that `enumerate_any` gives has those of the others.

    Raises:
        InputError: the text is no id of so many terms, or leaves a choice.
    """
    parts = re.split(r"\s+\+\s+", text.strip())
    if len(parts) > len(terms):
        raise InputError("embedding", "", text, f"the operator has {len(terms)} terms")
    given = [parse(part, term, intrinsic) for part, term in zip(parts, terms, strict=False)]
    if len(given) == len(terms):
        return Joint(tuple(given))
    classes = [*DEFAULT_CLASSES, *({c for e in given for c in e.classes} & {*CLASSES})]
    space = JointSpace(terms, intrinsic, sorted({*classes})).beginning(given)
    fitting = sorted((e for _, e in space.least(SOME)), key=lambda e: e.id)
    if space.total == 1:
        return fitting[0]
    some = ", ".join(repr(joint.id) for joint in fitting)
    allowed = (
        f"the other terms can be embedded in {space.total:,} ways, {some}, …: say which"
        if fitting
        else f"give an embedding of each of the {len(terms)} terms, as in ID + ID"
    )
    raise InputError("embedding", "", text, allowed)


def count_any(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Collection[str] = (),
) -> Count:
    """How many embeddings `enumerate_any` would give; the same arguments."""
    counted = count_joint if len(terms) > 1 else _count_only
    return counted(terms, intrinsic, classes, all_tiles=all_tiles, maximal=maximal, orders=orders)


def _count_only(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str],
    *,
    all_tiles: bool,
    maximal: bool,
    orders: Collection[str],
) -> Count:
    return count(terms[0], intrinsic, classes, all_tiles=all_tiles, maximal=maximal, orders=orders)


def count_joint(
    terms: Sequence[Computation],
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Collection[str] = (),
) -> Count:
    """How many embeddings `enumerate_joint` would give; the same arguments.

    An embedding belongs to the classes of its terms.
    """
    if not orders:
        space = JointSpace(terms, intrinsic, classes, all_tiles=all_tiles, maximal=maximal)
        return summary({Part(found, ()): n for found, n in space.tally.items()}, classes)
    facts = instance(
        terms[0],
        intrinsic,
        classes,
        all_tiles=all_tiles,
        enforce=("maximal",) if maximal else (),
        orders=[name for name in orders if name == "lanes"],
        further=terms[1:],
    )
    found = tally(facts)
    if "outer" not in orders:
        return summary(found, classes)
    return summary({part: n * _loop_orders(part, terms) for part, n in found.items()}, classes)


def _loop_orders(part: Part, terms: Sequence[Computation]) -> int:
    """In how many orders the outer loops can stand: those over outputs alike in all terms."""
    *each, of_output = part.saved
    parallel = _long(terms[0], terms[0].parallel) - of_output
    ways = math.factorial(parallel)
    for term, saved in zip(terms, each, strict=True):
        loops = _long(term, term.extents) - saved
        # Its own loops stand anywhere among those whose order is settled.
        ways *= math.factorial(loops) // math.factorial(parallel)
    return ways


def _long(term: Computation, dims: Collection[str]) -> int:
    """How many of these dimensions have more than one iteration."""
    return sum(term.extents[name] > 1 for name in dims)
