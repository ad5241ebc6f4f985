"""The embeddings of several terms, put together from those of each term.

Terms agree on the home of every output, and an output's digit can be widened or added if it can in
every term (`encodings/embedding.lp`); nothing else of a term depends on another one. So each term
is solved for alone, and tells of each of its embeddings what the others have to agree with. There
may be far too many combinations to be made; but they can be counted, and those of the fewest steps
found.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from clingo import Function, Symbol

from explorer.embedding.control import ground
from explorer.embedding.decoding import Decoder
from explorer.embedding.digits import Digit, Embedding
from explorer.embedding.enumeration import MANY_ANSWERS
from explorer.embedding.facts import DEFAULT_CLASSES, ONE_OF_SEVERAL, instance
from explorer.embedding.joint import Joint, seated
from explorer.embedding.virtual_loops import steps
from isa.computation import Computation

Room: TypeAlias = frozenset[Symbol]
"""Digits of the output that could be widened or added."""

Places: TypeAlias = tuple[int, ...]
"""Of each column up to some one, the place of an embedding in it."""

Sums: TypeAlias = list[tuple[int, Places]]
"""Combinations with their steps, in order."""

Home: TypeAlias = list[dict[Room, list[int]]]
"""Embeddings with one home: of each column, the places by what there is room for."""


@dataclass(frozen=True, slots=True)
class Own:
    """An embedding of one of several terms.

    Attributes:
        steps: of this term.
        embedding: of this term.
        home: its digits of the output on the accumulator's axes; equal in all terms of a joint one.
        room: what could be widened or added in this term; nothing is in all terms of a joint one.
        classes: those it belongs to.
    """

    steps: int
    embedding: Embedding
    home: frozenset[Symbol]
    room: Room
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Column:
    """What one term may have, or several terms that have the same.

    Attributes:
        own: embeddings in order.
        terms: how many terms have it.
    """

    own: Sequence[Own]
    terms: int = 1

    def steps(self, place: int) -> int:
        """Of all its terms together."""
        return self.own[place].steps * self.terms


class JointSpace:
    """The embeddings of an operator of several terms.

    Their order: of fewer steps first; of equal ones that whose first term comes first in its list,
    then the second, and so on. Lists are ordered by steps, then by id.

    Attributes:
        lists: of each term, the embeddings that may stand beside others.
    """

    def __init__(
        self,
        terms: Sequence[Computation],
        intrinsic: Computation,
        classes: Sequence[str] = DEFAULT_CLASSES,
        *,
        all_tiles: bool = False,
        maximal: bool = True,
    ) -> None:
        """Solve for each term; the arguments are those of `enumerate_joint`."""
        self._terms, self._intrinsic = terms, intrinsic
        self._first: list[int] = []  # of each term, the first one that is the same to the rules
        self.lists: list[list[Own]] = []
        known: dict[tuple[Symbol, ...], int] = {}
        for number, term in enumerate(terms):
            enforce = ("maximal",) if maximal else ()
            facts = instance(term, intrinsic, classes, all_tiles=all_tiles, enforce=enforce)
            image = dict(zip(term.parallel, terms[0].parallel, strict=True))
            key = (*facts, *(Function(image[name]) for name in term.parallel))
            first = known.setdefault(key, number)
            self._first.append(first)
            own = self.lists[first] if first < number else _solved(term, intrinsic, facts, image)
            # Where axes need not be maximal, nobody asks what there is room for.
            self.lists.append(own if maximal else [_roomless(each) for each in own])

    def beginning(self, given: Sequence[Embedding]) -> JointSpace:
        """Those whose first terms have these embeddings, in whatever order their lanes stand."""
        found = copy(self)
        found.__dict__.pop("tally", None)
        found.lists = [*self.lists]
        for term, wanted in enumerate(given):
            same = _unordered(wanted)
            found.lists[term] = [o for o in self.lists[term] if _unordered(o.embedding) == same]
        found._first = list(range(len(self.lists)))
        return found

    @cached_property
    def tally(self) -> Counter[frozenset[str]]:
        """How many there are that belong to these classes, and to no others, in some term."""
        found = Counter[frozenset[str]]()
        for home in _homes([_Column(own) for own in self.lists]):
            counts: Counter[tuple[Room, frozenset[str]]] = Counter()
            for at, (own, rooms) in enumerate(zip(self.lists, home, strict=True)):
                each = Counter(
                    {
                        (room, classes): number
                        for room, places in rooms.items()
                        for classes, number in Counter(own[p].classes for p in places).items()
                    }
                )
                counts = _together(counts, each) if at else each
            found += Counter({c: n for (room, c), n in counts.items() if not room})
        return found

    @property
    def total(self) -> int:
        """How many there are."""
        return self.tally.total()

    def least(self, number: int, limit: float = math.inf) -> list[tuple[int, Joint]]:
        """The first ones with their steps: so many, and of at most `limit` steps."""
        columns = [_Column(own) for own in self.lists]
        return self._joints(columns, range(len(columns)), number, limit)

    def alike(self, number: int) -> list[tuple[int, Joint]]:
        """The first of those in which terms that are the same to the rules have one embedding."""
        firsts = sorted(set(self._first))
        columns = [_Column(self.lists[first], self._first.count(first)) for first in firsts]
        return self._joints(columns, [firsts.index(first) for first in self._first], number)

    def telling(
        self, number: int, kind: Callable[[int, Embedding], Hashable]
    ) -> list[tuple[int, Joint]]:
        """The first of those in which no embedding of a term could be replaced by an earlier one.

        Args:
            number: how many.
            kind: of an embedding of a term (by its number, from 0): one replaces another only if
                it is of its kind. Of terms that are the same to the rules, the first is asked for.
        """
        columns: list[_Column] = []
        for term, (own, first) in enumerate(zip(self.lists, self._first, strict=True)):
            if first < term:
                columns.append(columns[first])
                continue
            kinds: dict[Hashable, Own] = {}
            for each in own:
                kinds.setdefault((each.home, each.room, kind(term, each.embedding)), each)
            columns.append(_Column(list(kinds.values())))
        return self._joints(columns, range(len(columns)), number)

    def _joints(
        self,
        columns: Sequence[_Column],
        column_of: Sequence[int],
        number: int,
        limit: float = math.inf,
    ) -> list[tuple[int, Joint]]:
        """The first combinations; `column_of` says which column each term has."""
        found = []
        for count, places in _first_of_all(columns, number, limit):
            parts = [columns[c].own[places[c]].embedding for c in column_of]
            # Only a diagonal digit may stand elsewhere than it does in its term alone.
            plain = all(len(digit.axes) == 1 for part in parts for digit in part.digits)
            joint = Joint(tuple(parts)) if plain else None
            found.append((count, joint or seated(parts, self._terms, self._intrinsic)))
        return found


class AscendingJoint:
    """The embeddings of several terms by steps, found no further than they are asked for.

    As `explorer.embedding.ascending.Ascending`, for several terms; of equal steps in the order of
    `JointSpace`.

    Attributes:
        total: how many there are.
    """

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self.total: int | None = space.total
        self._given = 0
        self._known: list[tuple[int, Joint]] = []
        self._reach = -math.inf  # all with at most so many steps are known
        self._size = 64  # how many to find at once; more each time, as all are found again

    def further(self, limit: float = math.inf) -> list[tuple[int, Joint]]:
        """The next ones with their steps, which are at most `limit`; none if there are no more."""
        if self._given == len(self._known) and self._reach < limit:
            self._known = self._space.least(self._size, limit)
            if len(self._known) < self._size:
                self._reach = limit
            self._size *= 4
        ready = [item for item in self._known[self._given :] if item[0] <= limit]
        self._given += len(ready)
        return ready


def _solved(
    term: Computation, intrinsic: Computation, facts: Sequence[Symbol], image: Mapping[str, str]
) -> list[Own]:
    """The embeddings of a term; `image` has the first term's names of its output's dimensions."""
    control = ground([*facts, ONE_OF_SEVERAL], "entries/one-of-several.lp", options=MANY_ANSWERS)
    decoder = Decoder(term, intrinsic)
    renamed: dict[Symbol, Symbol] = {}
    found = []
    with control.solve(yield_=True) as handle:
        for model in handle:
            symbols = model.symbols(shown=True)
            for symbol in symbols:
                if symbol not in renamed:
                    renamed[symbol] = _renamed(symbol, image)
            told = [renamed[symbol] for symbol in symbols]
            embedding = decoder.embedding(symbols)
            home = frozenset(s for s in told if s.match("homed", 5))
            room = frozenset(s for s in told if s.match("wider", 3) or s.match("added", 4))
            classes = frozenset(s.arguments[0].name for s in told if s.match("belongs", 1))
            found.append(Own(steps(embedding, term), embedding, home, room, classes))
    return sorted(found, key=lambda own: (own.steps, own.embedding.id))


_SUBJECT = {"homed": 2, "wider": 1, "added": 2}
"""Which argument is a subject, which the first term has other names for."""


def _renamed(symbol: Symbol, image: Mapping[str, str]) -> Symbol:
    place = _SUBJECT.get(symbol.name)
    if place is None:
        return symbol
    arguments = list(symbol.arguments)
    arguments[place] = _subject(arguments[place], image)
    return Function(symbol.name, arguments)


def _subject(subject: Symbol, image: Mapping[str, str]) -> Symbol:
    if subject.arguments:
        return Function(subject.name, [_subject(part, image) for part in subject.arguments])
    return Function(image[subject.name])


def _unordered(embedding: Embedding) -> tuple[bool, frozenset[Digit]]:
    return embedding.swapped, frozenset(embedding.digits)


def _roomless(own: Own) -> Own:
    return replace(own, room=frozenset())


# ---------------------------------------------------------------- combinations


def _homes(columns: Sequence[_Column]) -> Iterator[Home]:
    """The embeddings of each home that all columns know."""
    found: list[dict[frozenset[Symbol], dict[Room, list[int]]]] = []
    for column in columns:
        homes: dict[frozenset[Symbol], dict[Room, list[int]]] = {}
        for place, own in enumerate(column.own):
            homes.setdefault(own.home, {}).setdefault(own.room, []).append(place)
        found.append(homes)
    for home in found[0]:
        if all(home in homes for homes in found[1:]):
            yield _lasting([homes[home] for homes in found])


def _together(
    begun: Mapping[tuple[Room, frozenset[str]], int],
    further: Mapping[tuple[Room, frozenset[str]], int],
) -> Counter[tuple[Room, frozenset[str]]]:
    """How many combinations there are with one column more, by room and classes."""
    found = Counter[tuple[Room, frozenset[str]]]()
    for (room, classes), number in begun.items():
        for (other, own), places in further.items():
            found[room & other, classes | own] += number * places
    return found


def _lasting(home: Home) -> Home:
    """The same, told by such room only as every column has in some embedding: no other matters."""
    everywhere = frozenset[Symbol].intersection(*(frozenset().union(*rooms) for rooms in home))
    found = []
    for rooms in home:
        merged: dict[Room, list[int]] = {}
        for room, places in rooms.items():
            merged.setdefault(room & everywhere, []).extend(places)
        found.append({room: sorted(places) for room, places in merged.items()})
    return found


def _first_of_all(columns: Sequence[_Column], number: int, limit: float) -> Sums:
    """The first combinations of all homes."""
    homes = [(home, _fewest(columns, home)) for home in _homes(columns)]
    found: Sums = []
    for home, fewest in sorted(homes, key=lambda each: each[1][0]):
        if len(found) == number:
            limit = min(limit, found[-1][0])
        if fewest[0] > limit:
            break
        found = sorted([*found, *_first_of(columns, home, fewest, number, limit)])[:number]
    return found


def _fewest(columns: Sequence[_Column], home: Home) -> list[int]:
    """The least steps that the columns from each one on have together."""
    fewest = [0]
    for column, rooms in zip(reversed(columns), reversed(home), strict=True):
        fewest.append(fewest[-1] + min(column.steps(places[0]) for places in rooms.values()))
    return fewest[::-1]


def _first_of(
    columns: Sequence[_Column], home: Home, fewest: Sequence[int], number: int, limit: float
) -> Sums:
    """The first combinations of one home.

    Column by column, of combinations with the same room only the first `number` are kept: what can
    be added to one of them can be added to all, so that a later one is not among the first either.
    """
    sums: dict[Room, Sums] = {frozenset(): [(0, ())]}
    for at, (column, rooms) in enumerate(zip(columns, home, strict=True)):
        longer: defaultdict[Room, Sums] = defaultdict(list)
        for room, begun in sums.items():
            for other, places in rooms.items():
                both = room & other if at else other
                longer[both] += _pairs(begun, column, places, number, limit - fewest[at + 1])
        sums = {room: sorted(found)[:number] for room, found in longer.items()}
    return sums.get(frozenset(), [])


def _pairs(
    begun: Sums, column: _Column, places: Sequence[int], number: int, limit: float
) -> Iterator[tuple[int, Places]]:
    """Combinations with one column more, all that may be among the first `number`, and others.

    The i-th one with the j-th place comes after all of up to i with up to j.
    """
    for i, (count, before) in enumerate(begun, start=1):
        for place in places[: number // i]:
            total = count + column.steps(place)
            if total > limit:
                break
            yield total, (*before, place)
