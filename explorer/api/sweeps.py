"""Sweeps and what they found, as functions."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.study import study as studies
from explorer.study import tables
from explorer.study.backends import AHEAD, Backend, Dask, Given, Inline, Local
from explorer.study.store import Store
from explorer.study.study import Study
from explorer.study.sweep import Summary
from explorer.study.sweep import sweep as run_sweep

if TYPE_CHECKING:
    import pandas as pd

VTA = "vta_gemm"
ALL = "all"


def sweep(
    study: Study | str | Path,
    path: str | Path,
    *,
    jobs: int = 1,
    dask: str | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Do what a store lacks of a study; see ``explorer sweep --help``.

    Args:
        study: a study (`explorer.study.study.make`), or the path of a study file.
        path: the store's directory.
        jobs: processes on this machine.
        dask: a Dask scheduler's address, or ``local:N``.
        executor: any other executor with so many `jobs`; it stays open.

    Raises:
        InputError: the study cannot be used, or the store cannot be written or is damaged.
    """
    asked = study if isinstance(study, Study) else studies.load(Path(study))
    return run_sweep(asked, Path(path), partial(_backend, jobs, dask, executor))


def _backend(jobs: int, dask: str | None, executor: Executor | None) -> Backend:
    if executor is not None:
        return Given(executor, AHEAD * jobs)
    if dask is not None:
        return Dask(dask)
    return Local(jobs) if jobs > 1 else Inline()


def results(
    path: str | Path, sql: str | None = None, *, totals: bool = False, model: str | None = None
) -> pd.DataFrame:
    """What a store holds: its results, its totals, or the answer to a query.

    Raises:
        InputError: the store is damaged, or the query is wrong.
    """
    store = Store.open(Path(path))
    if sql is not None:
        return tables.query(store, sql, model)[0]
    frame, _ = tables.results(store, model)
    return tables.totals(store, frame) if totals else frame
