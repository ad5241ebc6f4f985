"""Ways to program an operator: each embedding in each of its layouts, with what it costs at least.

All embeddings of an operator are there from the beginning, ordered by their floors: cycles of the
compute module that no program of the embedding undercuts. As far as a limit asks for it, these are
replaced by the bounds of the schedules of each of their layouts, which count what is loaded and
stored, too. Up to the limit those are ways, with their true layouts and with the bound in place of
cycles, until somebody asks for these. What lies beyond the limit is stood for by a joker, which
costs the least floor or bound there is.

Layouts that differ in their lanes alone mostly have the same programs: what is found out about one
holds for all of them.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import Design, designs
from explorer.network.candidates.listing import Option, fixed, option
from explorer.network.proof.marginals import NEVER
from explorer.ranking.explore import embeddings, gemm_intrinsic, steps_of
from explorer.schedule.bound import compute_bound, lower_bound
from explorer.schedule.lowering import Lowering
from explorer.schedule.search import points, search
from explorer.schedule.space import Schedule
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

CHUNK = 16
"""Embeddings whose programs are bounded at a time: about a tenth of a second."""


@dataclass(slots=True)
class Programs:
    """The programs of some ways, which have the same ones.

    Attributes:
        least: cycles that none undercuts; if exact, those of the best one.
        exact: whether the best one is known.
        schedule: of that.
        searched: whether they were searched.
    """

    least: int
    exact: bool = False
    schedule: Schedule | None = None
    searched: bool = False

    def told(self, found: Found, below: float) -> None:
        """Note the outcome of a search for programs that undercut a limit."""
        self.searched = True
        if found is not None:
            self.least, self.schedule = found
            self.exact = True
        else:
            self.least = NEVER if math.isinf(below) else max(self.least, math.ceil(below))


Found = tuple[int, Schedule] | None
"""Cycles and schedule of the best program; None if there is none that undercuts what it has to."""


@dataclass(slots=True)
class Way:
    """An embedding in one of its layouts.

    Attributes:
        option: its layouts.
        number: which of the embedding's designs it is, from 0; from -1 downwards, TVM's own.
        programs: what it can be programmed by.
        dropped: whether no plan with it is better than one that is known.
    """

    option: Option
    number: int
    programs: Programs
    dropped: bool = False

    @property
    def cycles(self) -> int:
        """Of the best program, or what no program undercuts."""
        return self.programs.least

    @property
    def exact(self) -> bool:
        """Whether these are the best program's."""
        return self.programs.exact


@dataclass(slots=True)
class Pool:
    """The ways of an operator.

    Attributes:
        operator, config: what is compiled, and for what.
        ordered: all embeddings with their floors, the least first.
        bounded: how many of them have bounds for each of their layouts.
        layouts: of these, embedding's place, number of the design, and its programs.
        waiting: of those that are no ways yet, the least bound first: bound, and place among them.
        reached: the places of embeddings that are ways in some layout.
        ways: up to the limit, and TVM's.
        programs: of all that is bounded, by what they depend on.
    """

    operator: Operator
    config: Config
    ordered: Sequence[tuple[int, AnyEmbedding]]
    bounded: int = 0
    layouts: list[tuple[int, int, Programs]] = field(default_factory=list)
    waiting: list[tuple[int, int]] = field(default_factory=list)
    reached: set[int] = field(default_factory=set)
    ways: list[Way] = field(default_factory=list)
    programs: dict[bytes, Programs] = field(default_factory=dict)

    @property
    def joker(self) -> int | None:
        """What no embedding undercuts in a layout that is no way yet; None if all are."""
        floors = [self.ordered[self.bounded][0]] if self.bounded < len(self.ordered) else []
        # Bounds grow when programs are searched.
        while self.waiting and self.waiting[0][0] < self._bound(self.waiting[0][1]):
            place = heapq.heappop(self.waiting)[1]
            heapq.heappush(self.waiting, (self._bound(place), place))
        if self.waiting and self.waiting[0][0] < NEVER:
            floors.append(self.waiting[0][0])
        return min(floors, default=None)

    def _bound(self, place: int) -> int:
        return self.layouts[place][2].least

    def questions(self, limit: float) -> Iterator[Bounding]:
        """What has to be bounded yet, in the order of `take`, until nothing has.

        Up to the limit all embeddings are; beyond it, as far as a floor is less than all bounds.
        """
        first = self.bounded
        if first < len(self.ordered) and self.joker == self._floor(first):
            least = self.waiting[0][0] if self.waiting else self._floor(first)
            limit = max(limit, least)
        beyond = next((i for i in count(first) if self._floor(i) > limit), first)
        for start in range(first, beyond, CHUNK):
            chosen = self.ordered[start : min(start + CHUNK, beyond)]
            yield Bounding(self.operator, self.config, tuple(e for _, e in chosen))

    def _floor(self, place: int) -> float:
        return self.ordered[place][0] if place < len(self.ordered) else math.inf

    def take(self, found: Sequence[Bounded]) -> None:
        """Note bounds of the next embeddings."""
        for several in found:
            floor = self.ordered[self.bounded][0]
            for number, (bound, key) in enumerate(several):
                if bound is None:
                    continue  # no schedule fits
                programs = self.programs.setdefault(key, Programs(max(floor, bound)))
                heapq.heappush(self.waiting, (programs.least, len(self.layouts)))
                self.layouts.append((self.bounded, number, programs))
            self.bounded += 1

    def reach(self, limit: float, useless: float = math.inf) -> None:
        """Make ways of all layouts that are bounded, up to a limit.

        Those that cost at least `useless` are in no better plan, and left out.
        """
        new: dict[int, list[tuple[int, Programs]]] = {}
        while (joker := self.joker) is not None and joker <= limit and self.waiting:
            bound, place = self.waiting[0]
            if bound > limit:
                break
            heapq.heappop(self.waiting)
            own, number, programs = self.layouts[place]
            if bound < useless:
                new.setdefault(own, []).append((number, programs))
        for place, several in sorted(new.items()):
            embedding = self.ordered[place][1]
            made = dict(enumerate(_designs(self.operator, self.config, embedding)))
            for number, programs in several:
                design = made[number]
                found = option(embedding.id, programs.least, design, design, proven=False)
                self.ways.append(Way(found, number, programs))
        self.reached |= new.keys()

    def begin(self) -> bool:
        """Search ways until one has a program, the least bounds first; whether there is one."""
        while not any(way.exact for way in self.ways):
            way = next(self.open(), None)
            if way is not None:
                question = Question(self.operator, self.config, (asked(way, math.inf),))
                way.programs.told(answer(question)[0], math.inf)
                way.dropped = not way.exact
            elif (joker := self.joker) is None:
                return False
            else:
                for further in list(self.questions(joker)):
                    self.take(bounds(further))
                self.reach(joker)
        return True

    def open(self) -> Iterator[Way]:
        """The ways whose cycles are not known, and may be asked for."""
        return (way for way in self.ways if not (way.exact or way.dropped))

    def fastest(self) -> int | None:
        """The place in `layouts` of the fastest programs that are known, TVM's aside."""
        known = (i for i, (_, _, programs) in enumerate(self.layouts) if programs.exact)
        return min(known, key=lambda i: (self._bound(i), i), default=None)

    def faster(self) -> tuple[int | None, int]:
        """The layout whose programs may be fastest and are not known, and what they undercut then.

        Its place is None if there is none. It need not be one of an embedding that has no bounds
        yet, of a floor that is no greater than its own bound or, without one, the second number.
        """
        best = self.fastest()
        most = NEVER if best is None else self._bound(best)
        slower = (
            i
            for i, (_, _, programs) in enumerate(self.layouts)
            if not programs.exact and programs.least < most
        )
        return min(slower, key=lambda i: (self._bound(i), i), default=None), most

    def way(self, place: int) -> tuple[AnyEmbedding, int, Programs]:
        """The embedding of a layout, its number, and its programs."""
        own, number, programs = self.layouts[place]
        return self.ordered[own][1], number, programs

    def searched(self) -> Iterator[tuple[str, int, Programs]]:
        """Embedding and number of all layouts whose programs were searched, and these."""
        for way in self.ways:
            if way.number < 0:
                yield way.option.embedding.id, way.number, way.programs
        for place, number, programs in self.layouts:
            if programs.searched:
                yield self.ordered[place][1].id, number, programs


def pool(operator: Operator, config: Config, classes: Sequence[str]) -> Pool:
    """An operator's embeddings, of which TVM's alone is evaluated.

    Raises:
        InputError: there is none of these classes.
    """
    floors: dict[int, int] = {}
    rows = []
    for embedding in embeddings(operator, config, classes):
        steps = steps_of(operator, embedding)
        if steps not in floors:
            floors[steps] = compute_bound(operator, config, steps)
        rows.append((floors[steps], embedding.id, embedding))
    rows.sort(key=lambda row: row[:2])
    found = Pool(operator, config, [(row[0], row[2]) for row in rows])
    # TVM's are in the order in DRAM that TVM has, which the schedule of no other way keeps to.
    found.ways = [
        Way(own, -i, Programs(own.cycles, exact=True, schedule=own.schedule, searched=True))
        for i, own in enumerate(fixed(operator, config), start=1)
    ]
    return found


def _designs(operator: Operator, config: Config, embedding: AnyEmbedding) -> Iterator[Design]:
    for design in designs(operator, config, gemm_intrinsic(config), embedding):
        if design.partial:
            number = len(operator.terms)
            allowed = "of so many terms not every layout can be tried; --concat host has fewer"
            raise InputError(operator.name, "terms", number, allowed)
        yield design


# ---------------------------------------------------------------- what other processes are asked


@dataclass(frozen=True, slots=True)
class Bounding:
    """Embeddings of one operator whose programs are to be bounded."""

    operator: Operator
    config: Config
    embeddings: tuple[AnyEmbedding, ...]


Bounded = Sequence[tuple[int | None, bytes]]
"""Of each layout of an embedding the `bound`, and what programs depend on."""


def bounds(question: Bounding) -> list[Bounded]:
    """The bounds of each layout of each embedding."""
    operator, config = question.operator, question.config
    found, machine = list[Bounded](), repr(config).encode()
    for embedding in question.embeddings:
        each = list[tuple[int | None, bytes]]()
        for design in _designs(operator, config, embedding):
            lowering = Lowering(design)
            text = hashlib.blake2b(lowering.signature, digest_size=16)
            text.update(machine + repr((design.restrictions, design.fixed_order)).encode())
            key = text.digest()
            if key not in _BOUNDS:
                if len(_BOUNDS) == MAX_BOUNDS:
                    _BOUNDS.clear()
                _BOUNDS[key] = bound(design)
            each.append((_BOUNDS[key], key))
        found.append(each)
    return found


_BOUNDS: dict[bytes, int | None] = {}
"""Of programs by what they depend on; embeddings that differ in their lanes alone share theirs."""

MAX_BOUNDS = 2**16


def bound(design: Design) -> int | None:
    """Cycles that no schedule of the search's space undercuts; None if none fits."""
    first = next(points(design), None)
    return None if first is None else max(first[0], lower_bound(design))


@dataclass(frozen=True, slots=True)
class Question:
    """Ways of one operator whose cycles are asked for.

    Attributes:
        operator, config: what is compiled, and for what.
        ways: of each the embedding, the number of its design, and the cycles that it has to
            undercut to be of use.
    """

    operator: Operator
    config: Config
    ways: tuple[tuple[AnyEmbedding, int, float], ...]


def asked(way: Way, below: float) -> tuple[AnyEmbedding, int, float]:
    """A way as it stands in a question."""
    return way.option.embedding, way.number, below


def answer(question: Question) -> list[Found]:
    """The best program of each way; None where none undercuts its limit, or fits."""
    found: list[Found] = []
    made: Mapping[int, Design] = {}
    last = None
    for embedding, number, below in question.ways:
        if embedding != last:
            made = dict(enumerate(_designs(question.operator, question.config, embedding)))
            last = embedding
        best = search(made[number], below=below).best
        found.append(None if best is None else (best.cycles, best.code.schedule))
    return found
