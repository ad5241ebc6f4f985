"""Answer sets → embeddings: the symbols that a model shows, read into typed values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

from clingo import Function, Symbol

from explorer.embedding.digits import Digit, Embedding, Kind, arrange, digit_order
from isa.computation import Computation


class Decoder:
    """Reads answers. Each distinct symbol is taken apart once: reading symbols is what costs."""

    def __init__(self, operator: Computation, intrinsic: Computation) -> None:
        self.operator = operator
        self.order = digit_order(operator, intrinsic)
        self.known: dict[Symbol, tuple[tuple[int, list[int], int], Digit] | None] = {}
        self.swapped = Function("use", [Function("swapped")])

    def embedding(self, symbols: Sequence[Symbol]) -> Embedding:
        """The embedding that a model shows."""
        known = self.known
        found: list[tuple[tuple[int, list[int], int], Digit]] = []
        others: list[Symbol] = []
        for symbol in symbols:
            try:
                placed = known[symbol]
            except KeyError:
                placed = known[symbol] = self._placed(symbol)
            if placed is None:
                others.append(symbol)
            else:
                found.append(placed)
        found.sort()
        embedding = Embedding(self.swapped in others, tuple([digit for _, digit in found]))
        # The common case, in which no order was asked for, is not slowed down by sorting one.
        pairs: dict[str, list[Symbol]] = {"slower": [], "earlier": []}
        for symbol in others:
            if symbol.name in pairs:
                pairs[symbol.name].append(symbol)
        if not any(pairs.values()):
            return embedding
        usual = [d.dims[0] for d in embedding.digits]
        lanes = _sequence(usual, pairs["slower"])
        loops = {a.name for symbol in pairs["earlier"] for a in symbol.arguments}
        order = _sequence([d for d in self.operator.extents if d in loops], pairs["earlier"])
        return arrange(embedding, self.operator, lanes, order)

    def _placed(self, symbol: Symbol) -> tuple[tuple[int, list[int], int], Digit] | None:
        """The digit that a symbol places, behind what digits are sorted by; None if it does not."""
        if not symbol.match("place", 5):
            return None
        digit = _digit(symbol)
        return self.order(digit), digit


def _sequence(names: Sequence[str], pairs: Iterable[Symbol]) -> list[str]:
    """Names so ordered that the first of each pair precedes the second."""
    after = {name: set[str]() for name in names}
    for pair in pairs:
        after[pair.arguments[1].name].add(pair.arguments[0].name)
    # The pairs order all of them that share an axis; the rest has no effect (see `arrange`).
    return list(TopologicalSorter(after).static_order())


def _digit(place: Symbol) -> Digit:
    axis, subject, how, lanes, outer = place.arguments
    # A plain axis is a constant, which has no arguments; a pair is on(X, X').
    axes = [a.name for a in axis.arguments] or [axis.name]
    kinds: dict[str, Kind] = {
        "contiguous": "contiguous",
        "strided": "strided",
        "skew": "skew",
        "diagonal": "diagonal",
    }
    kind = kinds[how.name]
    partner = how.arguments[0].name if kind == "skew" else None
    coefficient = how.arguments[1].number if kind == "skew" else 0
    return Digit(
        tuple(axes), subject_dims(subject), kind, lanes.number, outer.number, partner, coefficient
    )


def subject_dims(subject: Symbol) -> tuple[str, ...]:
    """The dimensions of a subject, in operator order."""
    dims = []
    while subject.match("fuse", 2):
        dims.append(subject.arguments[0].name)
        subject = subject.arguments[1]
    return (*dims, subject.name)
