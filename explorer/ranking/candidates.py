"""What a ranking has yet to evaluate, by a bound that orders embeddings as their steps do."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from explorer.embedding.ascending import Ascending
from explorer.embedding.joint_space import AscendingJoint
from explorer.embedding.several import AnyEmbedding
from explorer.ranking.explore import steps_of
from explorer.schedule.bound import compute_bound
from isa.computation import Operator
from isa.config import Config


@dataclass(frozen=True, slots=True)
class Counted:
    """Embeddings with their steps, in the order of these, of equal ones by id."""

    items: tuple[tuple[int, AnyEmbedding], ...]

    @classmethod
    def of(cls, operator: Operator, embeddings: Iterable[AnyEmbedding]) -> Counted:
        """Those of embeddings in any order."""
        counted = sorted((steps_of(operator, e), e.id, e) for e in embeddings)
        return cls(tuple((count, e) for count, _, e in counted))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.items)


class Candidates:
    """Embeddings in the order of a bound that none undercuts, of equal ones in one that is fixed.

    The bound is `explore.floor`: a cycle for each step, and what does not depend on the embedding.
    So it orders embeddings as their steps do, and a limit on it is one on the steps.
    """

    def __init__(
        self,
        operator: Operator,
        config: Config,
        embeddings: Sequence[AnyEmbedding] | Counted | Ascending | AscendingJoint,
    ) -> None:
        self._rest = compute_bound(operator, config, 0)
        self._waiting: deque[tuple[int, AnyEmbedding]] = deque()
        self._source: Ascending | AscendingJoint | None = None
        self._length = 0
        if isinstance(embeddings, Ascending | AscendingJoint):
            self._source = embeddings
        else:
            if not isinstance(embeddings, Counted):
                embeddings = Counted.of(operator, embeddings)
            self._waiting.extend(embeddings.items)
            self._length = len(embeddings)

    @property
    def total(self) -> int | None:
        """How many there are; None if not all have been found."""
        return self._length if self._source is None else self._source.total

    def first(self, number: float, limit: float = math.inf) -> list[AnyEmbedding]:
        """So many with a bound up to the limit, or as many as there are; they stay."""
        most = limit - self._rest
        while self._source is not None and len(self._waiting) < number:
            found = self._source.further(most)
            if not found:
                break
            self._waiting.extend(found)
        near = takewhile(lambda item: item[0] <= most, self._waiting)
        return [e for _, e in (near if number > sys.maxsize else islice(near, int(number)))]

    def take(self, number: float, limit: float) -> list[AnyEmbedding]:
        """The same, which then are gone."""
        taken = self.first(number, limit)
        for _ in taken:
            self._waiting.popleft()
        return taken
