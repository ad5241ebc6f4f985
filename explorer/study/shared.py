"""What units share with those before them, in one process.

Units come in the order of `Study.units`: those of one operator and block together, of these the
ones with equal parameters but for scratchpads, the larger before the smaller. So what is kept is
what the last unit had, and memory does not grow with their number.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.ranking.best_first import Ranking, rank
from explorer.ranking.candidates import Counted
from explorer.ranking.carried_over import carried_over
from explorer.ranking.prepared import MOST, Prepared
from explorer.ranking.smaller import alike, is_within
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError


@dataclass(frozen=True, slots=True)
class _Solved:
    """A ranking that proves every optimum, and what was asked."""

    candidates: Counted
    top: int | None
    ranking: Ranking


class Block:
    """An operator's embeddings in one block, and their latest rankings."""

    def __init__(self, prepared: Prepared) -> None:
        """Nothing is ranked yet."""
        self.prepared = prepared
        self._solved: deque[_Solved] = deque(maxlen=MOST)

    def rank(
        self, config: Config, candidates: Counted, top: int | None, effort: int | None
    ) -> Ranking:
        """The ranking of some of the embeddings; see `best_first.rank`.

        Where every optimum is proven, it is carried over from larger scratchpads if it can be.
        """
        prepared = self.prepared
        if effort is None:
            for solved in self._solved:
                asked_alike = solved.top == top and solved.candidates == candidates
                if asked_alike and is_within(config, solved.ranking.config):
                    ranking = carried_over(solved.ranking, config, prepared)
                    if ranking is not None:
                        return ranking
        ranking = rank(
            prepared.operator, config, candidates, top=top, effort=effort, jobs=1, prepared=prepared
        )
        if effort is None:
            if self._solved and not alike(config, self._solved[0].ranking.config):
                self._solved.clear()
            self._solved.append(_Solved(candidates, top, ranking))
        return ranking


class Shared(threading.local):
    """The last operator in the last block, of each thread its own."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._last: tuple[object, Block | InputError] | None = None

    def block(
        self,
        layer: str,
        operator: Operator,
        config: Config,
        classes: Sequence[str],
        all_tiles: bool,
    ) -> Block:
        """An operator's embeddings.

        Args:
            layer: the hash of what it computes.
            operator: what is embedded.
            config: gives the block.
            classes: of embeddings.
            all_tiles: see `Prepared`.

        Raises:
            InputError: there is none.
        """
        key = (layer, operator.name, tuple(config.axes.items()), tuple(classes), all_tiles)
        if self._last is None or self._last[0] != key:
            found: Block | InputError
            try:
                found = Block(Prepared(operator, config, classes, all_tiles=all_tiles))
            except InputError as error:
                found = error
            self._last = key, found  # in one step, for those who go on after Ctrl-C
        last = self._last[1]
        if isinstance(last, InputError):
            raise last.with_traceback(None)  # which would grow with every unit
        return last
