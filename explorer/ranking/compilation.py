"""Compiling what a ranking needs, in two processes while this one enumerates.

Machine code that one process has kept on disk the others load. What writes programs takes about as
long to compile as what bounds and simulates them, so each half is given to one process. The one
that is done first compiles what executes programs: whoever ranks verifies next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from explorer.layout.design import Design, designs
from explorer.operators import resolve
from explorer.ranking.explore import evaluate, gemm_intrinsic, reference
from explorer.ranking.workers import pool
from explorer.schedule import points, search, sections, stream, tile_uses
from explorer.schedule.kernels import whole_tile_uops
from explorer.schedule.lowering import Lowering, lower
from explorer.schedule.space import Schedule
from isa import codec
from isa.config import Config
from simulator import execution, functional, jit, modules, timing

DOORS = (
    points.scan,
    points.contexts_met,
    tile_uses.fill_uses,
    sections.arrangement,
    whole_tile_uops,
    stream.stream,
    modules.run,
    execution.execute_all,
)
"""Compiled functions that every ranking calls, and the one that executes programs."""
SMALL = "gemm:m=2,n=16,k=16"
"""Whatever the operator, the types of what is passed are the same: any design will do."""


@contextmanager
def compiled(jobs: int | None, say: Callable[[int], None]) -> Iterator[None]:
    """Compile what a ranking needs while the block runs; its end waits for that.

    Nothing happens where that has been compiled before, where machine code cannot be kept, and
    where the ranking is to run in one process.

    Args:
        jobs: processes that the ranking is to use; None for one a core.
        say: is told about how many seconds of a processor that takes, if it has to be done.
    """
    count = jobs or os.cpu_count() or 1
    if count == 1 or not jit.is_kept() or not jit.missing(DOORS):
        yield
        return
    say(jit.estimate(DOORS))
    with pool(2, evaluate.__module__) as workers:
        parts = (_compile_lowering, _compile_search, _compile_execution)
        begun = [workers.submit(part) for part in parts]
        yield
        for part in begun:
            part.result()


def _design() -> Design:
    """A small operator's first design."""
    operator, config = resolve(SMALL), Config.default()
    embedding = reference(operator, config)
    assert embedding is not None
    return next(iter(designs(operator, config, gemm_intrinsic(config), embedding)))


def _compile_lowering() -> None:
    """Have all that writes programs compiled."""
    design = _design()
    extents = tuple(loop.extent for loop in design.nest.outer)
    lower(design, Schedule(extents, tuple(range(len(extents))), 1, 1))
    Lowering(design).kernel_size(np.array(extents, np.int64))


def _compile_search() -> None:
    """Have all that bounds and simulates programs compiled."""
    search.rehearse(_design())
    timing.cycles(Config.default(), codec.table_of([codec.finish()]))


def _compile_execution() -> None:
    """Have all that executes programs compiled."""
    config = Config.default()
    image = np.frombuffer(codec.encode(config, codec.table_of([codec.finish()])), np.uint8)
    functional.execute(config, image, 0, 1)
