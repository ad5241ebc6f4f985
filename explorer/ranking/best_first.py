"""Ranking: every embedding of an operator with its best program, by simulated cycles.

Best-first: embeddings are evaluated in the order of their lower bounds, and once the bound of the
next one exceeds the cycles of the k-th best, the top k of the schedule search is proven without the
rest.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from explorer.embedding.ascending import Ascending
from explorer.embedding.joint_space import AscendingJoint
from explorer.embedding.several import AnyEmbedding
from explorer.layout.design import Restrictions
from explorer.layout.packed import Layout
from explorer.ranking.candidates import Candidates, Counted
from explorer.ranking.explore import UNRESTRICTED, Evaluation, evaluate, reference
from explorer.ranking.prepared import Prepared
from explorer.ranking.workers import pool
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import Memory

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int], None]
CHUNK = 4  # embeddings that a worker takes at a time
PORTION = 16  # embeddings evaluated under one limit
PATIENCE = 1.5  # seconds of work in this process before workers are started
SHOWN = ["rank", "embedding", "cycles", "speedup", "utilisation"]
SHOWN_ROWS = 10  # of a ranking that is looked at, and not written
QUICK = 2  # programs simulated for each design in a quick look


@dataclass(frozen=True, slots=True, repr=False)
class Ranking:
    """The outcome of `rank`.

    Attributes:
        evaluations: the best first; of equal cycles, the simplest (see `simplicity`).
        reference: the reference embedding with its fixed layouts, under the same scheduler; None
            where TVM has no way to lay the operator onto the instruction.
        total: embeddings in the space; None where not all of them had to be found.
        evaluated: of those, how many were scheduled; the others are proven worse than every one
            listed.
        unfit: of the evaluated, how many have no schedule that fits the scratchpads.
        unrestricted: where programs are restricted, the cycles without restrictions of each
            evaluation and of the reference, NaN where there is no program.
        within: the share of the least cycles by which the first ones may be slower: those come in
            the order of their simplicity, whatever their cycles.
        fastest: the embedding of the least cycles.
    """

    operator: Operator
    config: Config
    evaluations: tuple[Evaluation, ...]
    reference: Evaluation | None
    total: int | None
    evaluated: int
    unfit: int
    unrestricted: tuple[float, ...] = ()
    within: float = 0.0
    fastest: Evaluation | None = None

    @property
    def base(self) -> int | None:
        """Cycles of the reference embedding, which speedups are over; None if it has no program."""
        return self.reference.cycles if self.reference else None

    def frame(self) -> pd.DataFrame:
        """One row an embedding, and the reference embedding's own row.

        With restrictions there are also the cycles without, and the share that they cost on top.
        """
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        rows = [
            {"rank": place, **self.row(evaluation)}
            for place, evaluation in enumerate(self.evaluations, start=1)
        ]
        if self.reference and self.reference.scheduled is not None:
            rows.append({"rank": 0, **self.row(self.reference)})
        frame = pd.DataFrame(rows)
        if self.unrestricted:
            frame["unrestricted"] = self.unrestricted[: len(frame)]
            frame["cost"] = frame["cycles"] / frame["unrestricted"] - 1
        return frame

    def __repr__(self) -> str:
        """The first ten rows of the table, the columns that matter first."""
        shown = self.frame()[SHOWN].head(SHOWN_ROWS)
        more = f"\n… of {len(self.evaluations)}" if len(self.evaluations) > SHOWN_ROWS else ""
        return f"{self.operator.name} on {self.config.name}\n{shown.to_string(index=False)}{more}"

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        shown = self.frame()[SHOWN].head(SHOWN_ROWS)
        title = escape(f"{self.operator.name} on {self.config.name}")
        return f"<p>{title}</p>{shown.to_html(index=False)}"

    def row(self, evaluation: Evaluation) -> dict[str, object]:
        """The columns of one evaluation, in the order of the table."""
        assert evaluation.scheduled is not None
        design, timing = evaluation.design, evaluation.scheduled.timing
        steps = design.steps
        macs = self.operator.useful_macs
        inputs, weights = zip((design.inp, design.wgt), *design.further, strict=True)
        lanes = self.config.batch * self.config.block_in * self.config.block_out
        return {
            "embedding": evaluation.embedding.id,
            "classes": "+".join(evaluation.embedding.classes),
            "cycles": evaluation.scheduled.cycles,
            "speedup": self.base / evaluation.scheduled.cycles if self.base else math.nan,
            "bound": evaluation.bound,
            "proven": evaluation.proven,
            "steps": steps,
            "utilisation": macs / (steps * lanes),
            "inp": " + ".join(map(describe, (*inputs, *design.terms))),
            "wgt": " + ".join(
                [*map(describe, weights), *(layout.tensor.name for layout in design.digits)]
            ),
            "out": describe(design.acc),
            "footprint": footprint(evaluation),
            "dram_bytes": sum(timing.bytes.values()),
            "instructions": timing.instructions,
            "tile": tile_text(evaluation),
        }


@dataclass(slots=True)
class Known:
    """What a ranking has found so far, for those who stop it.

    Attributes:
        reference: as in `Ranking`, once it is known.
        evaluations: those done, in the order in which they were.
    """

    reference: Evaluation | None = None
    evaluations: list[Evaluation] = field(default_factory=list)

    def ranking(self, operator: Operator, config: Config, top: int | None) -> Ranking | None:
        """The ranking of what is known, of which nothing is proven; None if that is nothing."""
        found = tuple(self.evaluations)
        fixed = self.reference.embedding if self.reference else None
        placed = _placed([e for e in found if e.scheduled is not None], fixed, 0.0)
        if not placed:
            return None
        unfit = sum(e.bound is None for e in found)
        return Ranking(
            operator, config, tuple(placed[:top]), self.reference, None, len(found), unfit
        )


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
    """Bytes in DRAM of the packed inputs of all terms, and of the packed output."""
    design, config = evaluation.design, evaluation.design.config
    inputs = [design.inp, *(inp for inp, _ in design.further)]
    weights = [design.wgt, *(wgt for _, wgt in design.further)]
    return (
        sum(layout.entries for layout in inputs) * config.element_bytes(Memory.INP)
        + sum(layout.entries for layout in weights) * config.element_bytes(Memory.WGT)
        + design.acc.entries * config.element_bytes(Memory.OUT)
    )


def tile_text(evaluation: Evaluation) -> str:
    """The tile as ``loop:iterations``, in tile-loop order."""
    schedule, loops = evaluation.code.schedule, evaluation.design.nest.outer
    return " ".join(f"{loops[i].name}:{schedule.tile[i]}" for i in schedule.order)


def rank(
    operator: Operator,
    config: Config,
    embeddings: Sequence[AnyEmbedding] | Counted | Ascending | AscendingJoint,
    *,
    top: int | None = 10,
    effort: int | None = None,
    jobs: int | None = None,
    on_progress: Progress = lambda _: None,
    restrictions: Restrictions = UNRESTRICTED,
    within: float = 0.0,
    known: Known | None = None,
    prepared: Prepared | None = None,
) -> Ranking:
    """The embeddings by the cycles of their best programs.

    Of equal cycles, the simplest comes first: the reference embedding, then the one of fewer
    classes, contiguous before strided, of fewer digits.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        embeddings: those to rank; `Ascending` and `AscendingJoint` find them as far as they can
            reach the top.
        top: how many to rank; None ranks all.
        effort: programs to simulate for each design at most; None proves each optimum.
        jobs: worker processes; by default one a core.
        on_progress: told how many embeddings have just been dealt with.
        restrictions: what all programs keep to, the reference's too.
        within: the share of the least cycles up to which a slower embedding counts as equal.
        known: is told what is found, as soon as it is.
        prepared: what is known of the operator in this block already; it stays in this process,
            which does all the work then.

    Returns:
        The ranking; the same input gives the same one, whatever the number of jobs.
    """
    judge = partial(prepared.evaluate if prepared else partial(evaluate, operator), config)
    held = partial(judge, restrictions=restrictions)
    fixed = prepared.reference if prepared else reference(operator, config)
    known = known or Known()
    known.reference = base = held(fixed, fixed_layout=True) if fixed else None
    tasks = PORTION if isinstance(embeddings, Ascending | AscendingJoint) else len(embeddings)
    with _workers(1 if prepared else jobs, tasks) as run:
        queue = Candidates(operator, config, embeddings)
        found = known.evaluations
        found.extend(_evaluations(held, queue, top, effort, run, on_progress, within))
        placed = _placed([e for e in found if e.scheduled is not None], fixed, within)
        best = placed[:top]
        free = []
        if restrictions != UNRESTRICTED:
            free = list(run(partial(judge, effort=effort), [e.embedding for e in best]))
            free += [judge(fixed, fixed_layout=True)] if fixed else []
    return Ranking(
        operator,
        config,
        tuple(best),
        base,
        queue.total,
        len(found),
        sum(e.bound is None for e in found),
        tuple(e.scheduled.cycles if e.scheduled else math.nan for e in free),
        within,
        min(placed, key=_cycles, default=None),
    )


def parse_share(text: str) -> float:
    """A share such as ``1%`` or ``0.01``.

    Raises:
        InputError: it is none from 0 to 1.
    """
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*(%?)", text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share <= 1:
        raise InputError("--within", "", text, "a share from 0 to 1, as 1% or 0.01")
    return share


def simplicity(embedding: AnyEmbedding, fixed: AnyEmbedding | None) -> tuple[object, ...]:
    """The key that decides between embeddings of equal cycles; `fixed` is the reference."""
    return embedding != fixed, *embedding.complexity


def _placed(
    found: Sequence[Evaluation], fixed: AnyEmbedding | None, within: float
) -> list[Evaluation]:
    """Evaluations in the order of the table: those that count as the best by simplicity."""
    limit = math.floor(min(map(_cycles, found), default=0) * (1 + within))
    return sorted(
        found, key=lambda e: (max(_cycles(e), limit), simplicity(e.embedding, fixed), _cycles(e))
    )


def _cycles(evaluation: Evaluation) -> int:
    assert evaluation.scheduled is not None
    return evaluation.scheduled.cycles


def _evaluations(
    judge: Callable[..., Evaluation],
    queue: Candidates,
    top: int | None,
    effort: int | None,
    run: Callable[..., Iterator[Evaluation]],
    on_progress: Progress,
    within: float,
) -> Iterator[Evaluation]:
    """Evaluations in the order of a simple bound, until no bound can reach the top.

    A quick look at the first embeddings limits what the others have to undercut. The limit is
    inclusive, so that of equal ones the simplest is among the top.
    """
    limit = math.inf
    cycles: list[int] = []
    if top is not None:
        quick = run(partial(judge, effort=QUICK), queue.first(2 * top))
        limit = _worst(sorted(e.scheduled.cycles for e in quick if e.scheduled), top, within)
    portion = math.inf if top is None else PORTION
    while chosen := queue.take(portion, limit):
        ordered = _alike_together(chosen)
        for evaluation in run(partial(judge, effort=effort, below=limit + 1), ordered):
            if evaluation.scheduled is not None:
                cycles.append(evaluation.scheduled.cycles)
            on_progress(1)
            yield evaluation
        if top is not None:
            limit = min(limit, _worst(sorted(cycles), top, within))


def _alike_together(embeddings: Iterable[AnyEmbedding]) -> list[AnyEmbedding]:
    """The embeddings in the same order, but those that differ in strides of lanes alone together.

    They share most of their programs, which a worker that has them all writes and simulates once.
    """
    alike: dict[str, list[AnyEmbedding]] = {}
    for embedding in embeddings:
        alike.setdefault(embedding.id.replace("%", ":"), []).append(embedding)
    return [embedding for group in alike.values() for embedding in group]


def _worst(cycles: Sequence[int], top: int, within: float) -> float:
    """The cycles that none of the top exceeds, or no limit when there are fewer."""
    if len(cycles) < top:
        return math.inf
    return max(cycles[top - 1], math.floor(cycles[0] * (1 + within)))


@contextmanager
def _workers(jobs: int | None, tasks: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map`, in order, that goes over to worker processes once that pays.

    Work is done in this process first: workers need about as long as `PATIENCE` to import what they
    run, so that a ranking which is through by then would wait for them in vain, and a longer one
    loses at most that time. What is found does not depend on where it was.
    """
    count = jobs or os.cpu_count() or 1
    if count == 1 or tasks < PORTION:
        yield map
        return
    with ExitStack() as stack:
        started = time.monotonic()
        executor: Executor | None = None

        def run(
            work: Callable[[AnyEmbedding], Any], embeddings: Iterable[AnyEmbedding]
        ) -> Iterator[Any]:
            nonlocal executor
            waiting = iter(embeddings)
            if executor is None:
                for embedding in waiting:
                    yield work(embedding)
                    if time.monotonic() - started > PATIENCE:
                        break
            left = list(waiting)
            if left and executor is None:
                executor = stack.enter_context(pool(count, evaluate.__module__))
            if executor is not None:
                yield from executor.map(work, left, chunksize=CHUNK)

        yield run
