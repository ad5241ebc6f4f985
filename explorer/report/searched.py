"""What a ranking searches, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import designs
from explorer.ranking import explore
from explorer.schedule.search import MAX_TILINGS, extent
from isa.computation import Operator
from isa.config import Config

TEXT = """\
{operator} on {config}: {points:,} programs
  embeddings   {embeddings:,}
  designs      {designs:,}: each embedding with every choice of layouts. Windows that overlap share
               entries or have their own; a border of zeros is stored or left to the DMA engine; a
               residual is loaded as accumulators or comes in on port inp, as in {terms:,} of these;
               a bias of few bits is, too, or multiplied out of digits, as in {products:,}
  schedules    {least:,} to {most:,} a design
    tiles      of each outer loop, the least extent for every number of tiles, divisor or not.
               Where that makes more than {limit:,} tilings an even spread of them is searched: so
               it is for {thinned:,} of these designs
    order      of the tile loops: outputs outside reductions, and of the outputs those innermost
               that keep the tile of wgt, or those that keep the tile of inp
    contexts   one or two tiles each of the loaded tensors and of the accumulators
  what follows from a schedule: a tile is loaded when it changes, and stays till then; the two
               longest in-tile loops are the instruction's, the others micro-ops; the coordinates
               of a tensor lie in DRAM so that its first tile moves in the fewest instructions
A lower bound is computed for every schedule that fits. Programs are simulated in its order until no
bound is below the best cycles found, so that the best is the best of all."""


def explained(operator: Operator, config: Config, embeddings: Sequence[AnyEmbedding]) -> str:
    """The space of a ranking, with its size."""
    intrinsic = explore.gemm_intrinsic(config)
    made = [
        design
        for embedding in embeddings
        for design in designs(operator, config, intrinsic, embedding)
    ]
    sizes = [extent(design) for design in made]
    points = [size.points for size in sizes]
    return TEXT.format(
        operator=operator.name,
        config=config.name,
        embeddings=len(embeddings),
        designs=len(sizes),
        terms=sum(bool(design.alu.terms) for design in made),
        products=sum(bool(design.alu.products) for design in made),
        points=sum(points),
        least=min(points),
        most=max(points),
        thinned=sum(size.all_tilings > size.tilings for size in sizes),
        limit=MAX_TILINGS,
    )
