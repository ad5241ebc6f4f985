"""A sweep: the units of a study that a store does not hold yet are done and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from explorer.study.backends import Answer, Backend, Work, run
from explorer.study.store import Store
from explorer.study.study import Study
from explorer.study.unit import Unit, evaluate_in_turn
from explorer.study.version import model_version
from isa.errors import InputError
from isa.interrupts import unbroken


@dataclass(slots=True)
class Summary:
    """How far a sweep has got.

    Attributes:
        total: units of the study.
        reused: of them, those that the store held before.
        done: those done now.
        statuses: units by status, old and new.
        reasons: units without a result by status and reason.
        failures: units that ended in an error, with the answer; they are tried again next time.
    """

    total: int = 0
    reused: int = 0
    done: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[tuple[Unit, Answer]] = field(default_factory=list)

    @property
    def new(self) -> int:
        """Units that this sweep has dealt with."""
        return self.done + len(self.failures)

    @property
    def left(self) -> int:
        """Units that are still to do."""
        return self.total - self.reused - self.new

    def count(self, status: str, reason: str) -> None:
        """Add a unit."""
        self.statuses[status] += 1
        if reason:
            self.reasons[status, reason] += 1


def sweep(
    study: Study,
    path: Path,
    open_backend: Callable[[], Backend],
    *,
    on_progress: Callable[[Summary], None] = lambda _: None,
    summary: Summary | None = None,
    work: Work = evaluate_in_turn,
) -> Summary:
    """Do what is left of a study.

    Args:
        study: what is asked.
        path: the store's directory.
        open_backend: makes the backend; it is not called when nothing is left to do.
        on_progress: told once before the first unit, and after each.
        summary: filled in as the sweep goes; what there is after Ctrl-C.
        work: what evaluates a unit.

    Raises:
        InputError: the store cannot be written or is damaged, or a unit finds the study at fault.
            All parts that were finished are kept.
    """
    summary = summary or Summary()
    model = model_version()
    store = Store.create(path, study.options.describe(), model)
    with store.locked():
        store.name_layers(study.name, study.named_layers())
        for unit in study.units(model):
            summary.total += 1
            table = store.find(unit.key)
            if table is not None:
                summary.reused += 1
                summary.count(table["status"][0].as_py(), table["reason"][0].as_py())
        on_progress(summary)
        if summary.reused == summary.total:
            return summary
        left = (unit for unit in study.units(model) if not store.part(unit.key).exists())
        count = summary.total - summary.reused
        with closing(run(left, count, open_backend(), work)) as answers:
            for unit, answer in answers:
                if answer.is_input:
                    raise InputError(unit.layer.operator.name, "", None, answer.error)
                if answer.rows is None:
                    summary.failures.append((unit, answer))
                else:
                    with unbroken:  # whoever is told how many are done finds as many
                        store.write(unit.key, answer.rows)
                        summary.done += 1
                    summary.count(answer.rows[0]["status"], answer.rows[0]["reason"])
                on_progress(summary)
    return summary
