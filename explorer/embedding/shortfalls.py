"""What an answer lacks of a requirement that it does not meet, put in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clingo import Symbol

from explorer.embedding.facts import term_of
from explorer.embedding.metrics import tensor_name
from isa.computation import ROLES, Computation


def shortfalls(name: str, symbols: Sequence[Symbol], terms: Sequence[Computation]) -> Iterator[str]:
    """What an answer lacks of a requirement, a phrase for each violation."""
    admits: dict[str, list[str]] = {}
    for symbol in sorted(symbols):
        if symbol.match("admits", 2):
            axis, dim = symbol.arguments
            term, plain = term_of(dim)
            extent = terms[term].extents[plain.name]
            admits.setdefault(_name(axis), []).append(f"{plain.name} of {extent}")
    for symbol in sorted(symbols):
        if symbol.match("lacks", 2) and str(symbol.arguments[0]) == name:
            demand, what = symbol.arguments
            if demand.match("keep", 1):
                yield _kept(demand.arguments[0], what, terms)
            elif demand.name == "dense":
                yield _idle(what, admits)
            elif not demand.match("max", 1):  # its metric says it all
                yield _PHRASES.get(demand.name, f"{words(demand.name)}: {{}}").format(_name(what))


_PHRASES = {
    "no_im2col": "overlapping windows of the {} have copies of their own",
    "no_padding": "the packed {} holds zeros",
    "no_swap": "the {} exchange their ports",
    "no_strided": "{} is strided",
    "no_multi": "axis {} has several digits",
    "no_fused": "{} is fused",
    "no_skew": "{} is skewed",
    "no_diagonal": "{} lies on a diagonal",
}


def _idle(what: Symbol, admits: dict[str, list[str]]) -> str:
    """Why not every lane has work in every step."""
    name = _name(what.arguments[0])
    if what.name == "axis":
        found = f" (it admits {', '.join(admits[name])})" if name in admits else ""
        return f"axis {name} has idle lanes{found}"
    texts = {
        "tile": "the tiles do not divide {}",
        "diagonal": "lanes off the diagonal of {} are idle",
        "skew": "lanes at the ends of the skew of {} are idle",
    }
    return texts[what.name].format(name)


def _kept(role: Symbol, what: Symbol, terms: Sequence[Computation]) -> str:
    """How a tensor's layout differs from the given one."""
    tensor = _name(role)
    if what.name == "row":
        term, plain = term_of(role)
        held = terms[term].tensor(next(r for r in ROLES if r == plain.name))
        letter = held.letters[what.arguments[0].number]
        return f"dimension {letter} of the {tensor} is cut otherwise"
    if what.name == "axis":
        return f"no block of the {tensor} lies on axis {_name(what.arguments[0])}"
    return f"the blocks of the {tensor} stand in another order"


def _name(symbol: Symbol) -> str:
    """A tensor as users know it; dimensions and axes by their names, fused ones with dots.

    Of a further term, dimensions and axes say which.
    """
    if symbol.match("fuse", 2):
        return ".".join(map(_name, symbol.arguments))
    term, plain = term_of(symbol)
    for role in ROLES:
        if role == str(plain):
            return tensor_name(role, term)
    return f"{plain} of term {term + 1}" if term else str(plain)


def words(name: str) -> str:
    """A demand as users write it, from its name in the encodings."""
    return name.replace("_", "-")
