"""Ways to program an operator: each embedding in each of its layouts, with what it costs at least.

All embeddings of an operator are there from the beginning, ordered by their floors: cycles of the
compute module that no program of the embedding undercuts. Up to a limit they are ways, with their
true layouts and their own lower bound in place of cycles, until somebody asks for these. What lies
beyond the limit is stood for by a joker, which costs the next floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import Design, designs
from explorer.network.candidates import Option, fixed, option
from explorer.ranking.explore import embeddings, gemm_intrinsic, steps_of
from explorer.schedule.bound import compute_bound, lower_bound
from explorer.schedule.search import Scheduled, search
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError


@dataclass(slots=True)
class Way:
    """An embedding in one of its layouts.

    Attributes:
        option: its layouts; those of the best program once that is known.
        number: which of the embedding's designs it is, from 0; from -1 downwards, TVM's own.
        cycles: of the best program, or what no program undercuts.
        exact: whether these are the best program's.
        dropped: whether no plan with it is better than one that is known.
        searched: whether its programs were searched.
    """

    option: Option
    number: int
    cycles: int
    exact: bool = False
    dropped: bool = False
    searched: bool = False

    def told(self, found: Option | None, below: float) -> None:
        """Note the outcome of a search for programs that undercut a limit."""
        self.searched = True
        if found is None:
            self.dropped = True
            self.cycles = self.cycles if math.isinf(below) else max(self.cycles, math.ceil(below))
        else:
            self.option, self.cycles, self.exact = found, found.cycles, True


@dataclass(slots=True)
class Pool:
    """The ways of an operator.

    Attributes:
        operator, config: what is compiled, and for what.
        ordered: all embeddings with their floors, the least first.
        reached: how many of them are ways.
        ways: of those, and TVM's.
    """

    operator: Operator
    config: Config
    ordered: Sequence[tuple[int, AnyEmbedding]]
    reached: int = 0
    ways: list[Way] = field(default_factory=list)

    @property
    def joker(self) -> int | None:
        """The floor of the first embedding that is no way yet; None if all are."""
        return self.ordered[self.reached][0] if self.reached < len(self.ordered) else None

    def reach(self, limit: float, useless: float = math.inf) -> None:
        """Make ways of all embeddings with a floor up to a limit.

        Ways that cost at least `useless` are dropped at once.
        """
        for floor, embedding in islice(self.ordered, self.reached, None):
            if floor > limit:
                break
            self.reached += 1
            for number, design in enumerate(_designs(self.operator, self.config, embedding)):
                cycles = max(floor, lower_bound(design))
                found = option(embedding.id, cycles, design, design, proven=False)
                self.ways.append(Way(found, number, cycles, dropped=cycles >= useless))

    def begin(self) -> bool:
        """Evaluate ways until one has a program, the least floors first; whether there is one."""
        while not any(way.exact for way in self.ways):
            way = next(self.waiting(), None)
            if way is None and self.joker is None:
                return False
            if way is None:
                self.reach(self.ordered[self.reached][0])
            else:
                question = ((way.option.embedding, way.number, math.inf),)
                way.told(answer(Question(self.operator, self.config, question))[0], math.inf)
        return True

    def waiting(self) -> Iterator[Way]:
        """The ways whose cycles are not known, and may be asked for."""
        return (way for way in self.ways if not (way.exact or way.dropped))


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
        Way(own, -i, own.cycles, exact=True, searched=True)
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


def answer(question: Question) -> list[Option | None]:
    """The best program of each way; None where none undercuts its limit, or fits."""
    found: list[Option | None] = []
    made: Mapping[int, Design] = {}
    last = None
    for embedding, number, below in question.ways:
        if embedding != last:
            made = dict(enumerate(_designs(question.operator, question.config, embedding)))
            last = embedding
        best = search(made[number], below=below)
        found.append(None if best.best is None else _scheduled(embedding.id, best.best))
    return found


def _scheduled(name: str, best: Scheduled) -> Option:
    """A design with its best program; the search has proven it, as its effort is not limited."""
    code = best.code
    made = option(name, best.cycles, code.design, code.origin, proven=True)
    return replace(made, schedule=code.schedule)
