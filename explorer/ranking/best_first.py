"""Ranking: every embedding of an operator with its best program, by simulated cycles.

Best-first: embeddings are evaluated in the order of their lower bounds, and once the bound of the
next one exceeds the cycles of the k-th best, the top k of the schedule search is proven without the
rest.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from explorer.embedding.digits import Embedding
from explorer.layout.design import Restrictions
from explorer.layout.packed import Layout
from explorer.ranking.explore import UNRESTRICTED, Evaluation, evaluate, floor, reference
from isa.computation import Operator
from isa.config import Config
from isa.fields import Memory

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int], None]
CHUNK = 4  # embeddings that a worker takes at a time
PORTION = 16  # embeddings evaluated under one limit
QUICK = 2  # programs simulated for each design in a quick look


@dataclass(frozen=True, slots=True)
class Ranking:
    """The outcome of `rank`.

    Attributes:
        evaluations: the best first; of equal cycles, by id.
        reference: the reference embedding with its fixed layouts, under the same scheduler.
        total: embeddings in the space.
        evaluated: of those, how many were scheduled; the others are proven worse than every one
            listed.
        unfit: of the evaluated, how many have no schedule that fits the scratchpads.
        unrestricted: where programs are restricted, the cycles without restrictions of each
            evaluation and of the reference, NaN where there is no program.
    """

    operator: Operator
    config: Config
    evaluations: tuple[Evaluation, ...]
    reference: Evaluation
    total: int
    evaluated: int
    unfit: int
    unrestricted: tuple[float, ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row an embedding, and the reference embedding's own row.

        With restrictions there are also the cycles without, and the share that they cost on top.
        """
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        rows = [
            {"rank": place, **self.row(evaluation)}
            for place, evaluation in enumerate(self.evaluations, start=1)
        ]
        if self.reference.scheduled is not None:
            rows.append({"rank": 0, **self.row(self.reference)})
        frame = pd.DataFrame(rows)
        if self.unrestricted:
            frame["unrestricted"] = self.unrestricted[: len(frame)]
            frame["cost"] = frame["cycles"] / frame["unrestricted"] - 1
        return frame

    def row(self, evaluation: Evaluation) -> dict[str, object]:
        """The columns of one evaluation, in the order of the table."""
        assert evaluation.scheduled is not None
        design, timing = evaluation.design, evaluation.scheduled.timing
        steps = design.nest.steps
        lanes = self.config.batch * self.config.block_in * self.config.block_out
        base = self.reference.scheduled
        return {
            "embedding": evaluation.embedding.id,
            "classes": "+".join(evaluation.embedding.classes),
            "cycles": evaluation.scheduled.cycles,
            "speedup": base.cycles / evaluation.scheduled.cycles if base else float("nan"),
            "bound": evaluation.bound,
            "proven": evaluation.proven,
            "steps": steps,
            "utilisation": self.operator.computation.macs / (steps * lanes),
            "inp": describe(design.inp),
            "wgt": describe(design.wgt),
            "out": describe(design.acc),
            "footprint": footprint(evaluation),
            "dram_bytes": sum(timing.bytes.values()),
            "instructions": timing.instructions,
            "tile": tile_text(evaluation),
        }


def describe(layout: Layout) -> str:
    """A layout in a few words: its TVM-style name, or its coordinates and lanes."""
    name = layout.name
    if name is None:
        outer = "".join(f"[{c.name}]" for c in layout.coordinates)
        lanes = "x".join(str(extent) for _, extent in layout.axes)
        name = f"{outer}[{lanes}]"
    return (
        name
        + (" halo" if layout.halo else "")
        + (" dma-pad" if any(c.is_padded for c in layout.coordinates) else "")
    )


def footprint(evaluation: Evaluation) -> int:
    """Bytes of the three packed tensors in DRAM."""
    design, config = evaluation.design, evaluation.design.config
    return (
        design.inp.entries * config.element_bytes(Memory.INP)
        + design.wgt.entries * config.element_bytes(Memory.WGT)
        + design.acc.entries * config.element_bytes(Memory.OUT)
    )


def tile_text(evaluation: Evaluation) -> str:
    """The tile as ``loop:iterations``, in tile-loop order."""
    schedule, loops = evaluation.code.schedule, evaluation.design.nest.outer
    return " ".join(f"{loops[i].name}:{schedule.tile[i]}" for i in schedule.order)


def rank(
    operator: Operator,
    config: Config,
    embeddings: Sequence[Embedding],
    *,
    top: int | None = 10,
    effort: int | None = None,
    jobs: int | None = None,
    on_progress: Progress = lambda _: None,
    restrictions: Restrictions = UNRESTRICTED,
) -> Ranking:
    """The embeddings by the cycles of their best programs.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        embeddings: those to rank.
        top: how many to rank; None ranks all.
        effort: programs to simulate for each design at most; None proves each one's optimum, and
            with it the order.
        jobs: worker processes; by default one a core.
        on_progress: told how many embeddings have just been dealt with.
        restrictions: what all programs keep to, the reference's too.

    Returns:
        The ranking; the same input gives the same one, whatever the number of jobs.
    """
    judge = partial(evaluate, operator, config)
    held = partial(judge, restrictions=restrictions)
    base = held(reference(operator, config), fixed_layout=True)
    with _workers(jobs, len(embeddings)) as run:
        floors = ((floor(operator, config, e), e.id, e) for e in embeddings)
        ordered = [(least, e) for least, _, e in sorted(floors)]
        found = list(_evaluations(held, ordered, top, effort, run, on_progress))
        best = sorted(
            (e for e in found if e.scheduled is not None),
            key=lambda e: (e.scheduled.cycles if e.scheduled else 0, e.embedding.id),
        )[:top]
        free = []
        if restrictions != UNRESTRICTED:
            free = list(run(partial(judge, effort=effort), [e.embedding for e in best]))
            free.append(judge(base.embedding, fixed_layout=True))
    return Ranking(
        operator,
        config,
        tuple(best),
        base,
        len(embeddings),
        len(found),
        sum(e.bound is None for e in found),
        tuple(e.scheduled.cycles if e.scheduled else math.nan for e in free),
    )


def _evaluations(
    judge: Callable[..., Evaluation],
    ordered: Sequence[tuple[int, Embedding]],
    top: int | None,
    effort: int | None,
    run: Callable[..., Iterator[Evaluation]],
    on_progress: Progress,
) -> Iterator[Evaluation]:
    """Evaluations in the order of a simple bound, until no bound can reach the top.

    A quick look at the first embeddings limits what the others have to undercut. The limit is
    inclusive, so that of equal ones the first by id is among the top.
    """
    limit = math.inf
    cycles: list[int] = []
    if top is not None:
        quick = run(partial(judge, effort=QUICK), [e for _, e in ordered[: 2 * top]])
        limit = _worst(sorted(e.scheduled.cycles for e in quick if e.scheduled), top)
    done = 0
    while done < len(ordered) and ordered[done][0] <= limit:
        portion = ordered[done : done + PORTION] if top is not None else ordered
        work = partial(judge, effort=effort, below=limit + 1)
        for evaluation in run(work, [e for _, e in portion]):
            if evaluation.scheduled is not None:
                cycles.append(evaluation.scheduled.cycles)
            on_progress(1)
            yield evaluation
        done += len(portion)
        if top is not None:
            limit = min(limit, _worst(sorted(cycles), top))
    on_progress(len(ordered) - done)


def _worst(cycles: Sequence[int], top: int) -> float:
    """The cycles of the last of the top, or no limit when there are fewer."""
    return cycles[top - 1] if len(cycles) >= top else math.inf


@contextmanager
def _workers(jobs: int | None, tasks: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` over worker processes, in order; in this process for one job or few tasks."""
    count = jobs or os.cpu_count() or 1
    if count == 1 or tasks < PORTION:
        yield map
        return
    pool: Executor
    with ProcessPoolExecutor(count) as pool:
        try:
            yield partial(pool.map, chunksize=CHUNK)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
