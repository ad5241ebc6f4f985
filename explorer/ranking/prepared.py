"""What the rankings of an operator under many configurations have in common.

Embeddings, TVM's among them, their steps and their layouts follow from the operator and from the
lanes of the instruction; scratchpads, bus and latencies have no part in them. So they are found
once for all configurations of a block.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import Design, Restrictions
from explorer.ranking import explore
from explorer.ranking.candidates import Counted
from explorer.ranking.explore import UNRESTRICTED, Evaluation
from explorer.ranking.smaller import alike, carried, is_within
from isa.computation import Operator
from isa.config import Config

MOST = 64
"""Configurations, none of which follows from another, whose findings are kept."""


class Prepared:
    """An operator's embeddings in one block.

    Attributes:
        operator: what is embedded.
        reference: TVM's embedding; None where it has none.
        counted: the embeddings, the reference among them whatever the classes, with their steps.
    """

    def __init__(
        self,
        operator: Operator,
        config: Config,
        classes: Sequence[str],
        *,
        all_tiles: bool = False,
    ) -> None:
        """Find the embeddings.

        Args:
            operator: see `Prepared`.
            config: some configuration of the block.
            classes: of embeddings.
            all_tiles: every tile extent, and axes that could take more lanes.

        Raises:
            InputError: there is none.
        """
        found = explore.embeddings(
            operator, config, classes, all_tiles=all_tiles, maximal=not all_tiles
        )
        self.operator = operator
        self.reference = explore.reference(operator, config)
        # The classes may leave out the reference embedding, which competes all the same.
        if self.reference and self.reference not in found:
            found.append(self.reference)
        self.counted = Counted.of(operator, found)
        self._axes = config.axes
        self._fixed_ones: deque[tuple[Config, Evaluation]] = deque(maxlen=MOST)
        self._designs: dict[tuple[AnyEmbedding, bool], list[Design]] = {}

    def layouts(
        self, config: Config, embedding: AnyEmbedding, fixed_layout: bool = False
    ) -> list[Design]:
        """See `explore.layouts`."""
        assert config.axes == self._axes
        key = embedding, fixed_layout
        known = self._designs.get(key)
        if known is None:
            known = explore.layouts(self.operator, config, embedding, fixed_layout)
            self._designs[key] = known
        return [replace(design, config=config) for design in known]

    def evaluate(
        self,
        config: Config,
        embedding: AnyEmbedding,
        *,
        fixed_layout: bool = False,
        effort: int | None = None,
        below: float = math.inf,
        restrictions: Restrictions = UNRESTRICTED,
    ) -> Evaluation:
        """See `explore.evaluate`.

        The reference in its own layouts is carried over from larger scratchpads where it can be.
        """
        whole = effort is None and math.isinf(below) and restrictions == UNRESTRICTED
        if fixed_layout and whole:
            return self._fixed(config, embedding)
        return self._evaluated(
            config,
            embedding,
            fixed_layout=fixed_layout,
            effort=effort,
            below=below,
            restrictions=restrictions,
        )

    def _fixed(self, config: Config, embedding: AnyEmbedding) -> Evaluation:
        """The best program of an embedding in the layouts that TVM would choose."""
        if self._fixed_ones and not alike(config, self._fixed_ones[0][0]):
            self._fixed_ones.clear()
        for larger, evaluation in self._fixed_ones:
            if evaluation.embedding == embedding and is_within(config, larger):
                found = carried(evaluation, config, ())
                if found is not None:
                    return found
        found = self._evaluated(config, embedding, fixed_layout=True)
        self._fixed_ones.append((config, found))
        return found

    def _evaluated(
        self,
        config: Config,
        embedding: AnyEmbedding,
        *,
        fixed_layout: bool,
        effort: int | None = None,
        below: float = math.inf,
        restrictions: Restrictions = UNRESTRICTED,
    ) -> Evaluation:
        return explore.evaluate(
            self.operator,
            config,
            embedding,
            fixed_layout=fixed_layout,
            effort=effort,
            below=below,
            restrictions=restrictions,
            known=self.layouts(config, embedding, fixed_layout),
        )
