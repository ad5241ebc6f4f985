"""The Python API: the commands as functions, from an operator's text or object to typed results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.embedding import counting
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.explanation import Verdict as Judgement
from explorer.embedding.explanation import find
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.embedding.several import count_joint, why_joint
from explorer.layout.design import Restrictions
from explorer.operators import resolve
from explorer.preference import limited, parsing
from explorer.preference.optima import Method
from explorer.preference.outcome import Optima
from explorer.preference.problem import Problem
from explorer.program import emission, stepwise, verification
from explorer.program.verification import Verdict
from explorer.ranking import explore
from explorer.ranking.best_first import Ranking
from explorer.ranking.best_first import rank as rank_embeddings
from explorer.ranking.explore import Evaluation
from explorer.study import dominance, tables
from explorer.study import study as studies
from explorer.study.backends import AHEAD, Backend, Dask, Given, Inline, Local
from explorer.study.store import Store
from explorer.study.study import Study
from explorer.study.sweep import Summary
from explorer.study.sweep import sweep as run_sweep
from isa import intrinsics
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError
from isa.folder import read, stored_instructions
from isa.folder.manifest import Format
from isa.listing import listing
from simulator import folder_run as folders
from simulator.implementations import Implementation
from simulator.interleaving import Interleaving
from simulator.lint import TARGETS, Finding
from simulator.lint import lint as lint_program

OperatorLike = Operator | str
ConfigLike = Config | str | Path
IntrinsicLike = Computation | str | Path

VTA = "vta_gemm"
PORTABLE = TARGETS[0]


def _operator(operator: OperatorLike) -> Operator:
    return operator if isinstance(operator, Operator) else resolve(operator)


def _config(config: ConfigLike) -> Config:
    return config if isinstance(config, Config) else Config.load(config)


def _intrinsic(intrinsic: IntrinsicLike, config: ConfigLike) -> Computation:
    if isinstance(intrinsic, Computation):
        return intrinsic
    return intrinsics.load(intrinsic, _config(config).axes)


def enumerate(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    intrinsic: IntrinsicLike = VTA,
    all_tiles: bool = False,
    orders: Collection[str] = (),
) -> list[Embedding]:
    """Every embedding, sorted by id; see ``explorer enumerate --help``.

    Args:
        operator: what is embedded.
        config: gives the extents of VTA's axes.
        classes: the classes that may be used, of `explorer.embedding.facts.CLASSES`.
        intrinsic: the instruction: its name, a YAML file, or the object.
        all_tiles: take every tile extent, and axes that could take more.
        orders: ``lanes`` and ``outer``, where orders are choices.

    Raises:
        InputError: the operator, the configuration or the instruction is unusable, or there is no
            embedding.
    """
    op = _operator(operator)
    found = enumerate_embeddings(
        op.computation,
        _intrinsic(intrinsic, config),
        classes,
        all_tiles=all_tiles,
        maximal=not all_tiles,
        orders=orders,
    )
    if not found:
        raise explore.no_embedding(op.name, classes)
    return found


def count(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    intrinsic: IntrinsicLike = VTA,
    all_tiles: bool = False,
    orders: Collection[str] = (),
) -> counting.Count:
    """How many embeddings `enumerate` would give, in total and of each class; none is made.

    Raises:
        InputError: the operator, the configuration or the instruction is unusable.
    """
    terms = [term.computation for term in _operator(operator).terms]
    if len(terms) > 1:
        if orders:
            allowed = "orders are canonical where an operator has several terms"
            raise InputError("orders", "", ", ".join(sorted(orders)), allowed)
        instruction = _intrinsic(intrinsic, config)
        return count_joint(terms, instruction, classes, all_tiles=all_tiles, maximal=not all_tiles)
    return counting.count(
        terms[0],
        _intrinsic(intrinsic, config),
        classes,
        all_tiles=all_tiles,
        maximal=not all_tiles,
        orders=orders,
    )


def execute(
    operator: OperatorLike,
    embedding: Embedding | str,
    config: ConfigLike = "default",
    *,
    intrinsic: IntrinsicLike = VTA,
    seed: int = 0,
) -> list[stepwise.Outcome]:
    """Execute an embedding step by step on random data, once for each choice of layouts.

    Raises:
        InputError: the id is no legal embedding, or the instruction is unusable.
    """
    op, instruction = _operator(operator), _intrinsic(intrinsic, config)
    if isinstance(embedding, str):
        embedding = find(op.computation, instruction, embedding)
    data = verification.random_data(op, seed)
    tensors = data.in0, data.in1, data.accumulated
    return list(stepwise.check(embedding, op.computation, instruction, tensors))


def why(
    operator: OperatorLike,
    embedding: str,
    config: ConfigLike = "default",
    classes: Sequence[str] | None = None,
    *,
    intrinsic: IntrinsicLike = VTA,
) -> Judgement:
    """Whether the embedding that an id names is legal, and what rejects it if it is not.

    Args:
        operator: what is embedded.
        embedding: an embedding's id.
        config: gives the extents of VTA's axes.
        classes: the classes that may be used; all by default.
        intrinsic: the instruction: its name, a YAML file, or the object.

    Raises:
        InputError: the text is no id, or the operator or the instruction is unusable.
    """
    instruction = _intrinsic(intrinsic, config)
    terms = [term.computation for term in _operator(operator).terms]
    return why_joint(terms, instruction, embedding, classes)


def evaluate(
    operator: OperatorLike,
    embedding: Embedding | str,
    config: ConfigLike = "default",
    *,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> Evaluation:
    """The best program of one embedding (or of its id, or of ``reference``).

    Args:
        operator: what is compiled.
        embedding: how it uses the instruction.
        config: what it is compiled for.
        target: one of `simulator.lint.TARGETS`.
        safe_distance: see `explorer.layout.design.Restrictions`.

    Raises:
        InputError: the id is no legal embedding, or the target does not run the configuration.
    """
    op, machine = _operator(operator), _config(config)
    kept = Restrictions.of(target, safe_distance, machine)
    fixed = embedding == "reference"
    found = explore.find(op, machine, embedding) if isinstance(embedding, str) else embedding
    return explore.evaluate(op, machine, found, fixed_layout=fixed, restrictions=kept)


def rank(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    top: int | None = 10,
    all_tiles: bool = False,
    jobs: int | None = None,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> Ranking:
    """The embeddings by simulated cycles; `top` None ranks all. Targets are as in `evaluate`.

    Raises:
        InputError: the operator or the configuration is unusable, or there is no embedding.
    """
    op, machine = _operator(operator), _config(config)
    kept = Restrictions.of(target, safe_distance, machine)
    found = enumerate(op, machine, classes, all_tiles=all_tiles)
    return rank_embeddings(op, machine, found, top=top, jobs=jobs, restrictions=kept)


def verify(
    operator: OperatorLike,
    embedding: Embedding | str,
    config: ConfigLike = "default",
    *,
    seed: int = 0,
    schedule: str = "program",
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> Verdict:
    """Execute an embedding's best program on random data and compare every bit.

    The three queues execute in the order that `schedule` names, see `simulator.interleaving`;
    targets are as in `evaluate`.

    Raises:
        InputError: the id is no legal embedding, or no schedule fits the scratchpads.
    """
    op, order = _operator(operator), Interleaving.parse(schedule)
    code = evaluate(op, embedding, config, target=target, safe_distance=safe_distance).code
    return verification.verify(code, verification.random_data(op, seed), interleaving=order)


def emit(
    operator: OperatorLike,
    embedding: Embedding | str,
    out: str | Path,
    config: ConfigLike = "default",
    *,
    form: Format = "raw",
    data: Mapping[str, NDArray[np.generic]] | None = None,
    seed: int = 0,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> None:
    """Write an embedding's best program with its tensors and the expected output to a folder.

    Tensors of `data` replace random ones; their names are ``in0``, ``in1``, ``bias`` and
    ``residual``. Targets are as in `evaluate`.

    Raises:
        InputError: the id is no legal embedding, no schedule fits the scratchpads, or the folder
            cannot be written.
    """
    emission.check_target(Path(out))
    op = _operator(operator)
    emission.check_data(op, data or {})
    code = evaluate(op, embedding, config, target=target, safe_distance=safe_distance).code
    emission.write_folder(Path(out), emission.emit(code, form, given=data, seed=seed))


def run(
    path: str | Path,
    config: ConfigLike | None = None,
    *,
    schedule: str = "program",
    implementation: str | None = None,
) -> folders.Run:
    """Execute and time the program in a folder; see ``explorer run --help``.

    It is executed as the implementation (``fsim``, ``hls`` or ``chisel``), or as each that the
    configuration admits.

    Raises:
        InputError: the folder holds no program, or there is no such implementation, or not for the
            configuration.
        simulator.errors.SimulationError: no execution comes to its end.
    """
    order = Interleaving.parse(schedule)
    chosen = None if implementation is None else Implementation.parse(implementation)
    folder = read(Path(path), None if config is None else _config(config))
    return folders.run(folder, order, chosen)


def lint(
    path: str | Path,
    config: ConfigLike | None = None,
    *,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> list[Finding]:
    """What keeps the program in a folder from running everywhere; see `simulator.lint.lint`.

    Raises:
        InputError: the folder holds no program, or there is no such target.
    """
    folder = read(Path(path), None if config is None else _config(config))
    return lint_program(folder.program, folder.inputs, target=target, safe_distance=safe_distance)


def disasm(path: str | Path, config: ConfigLike | None = None) -> str:
    """The listing of a file of instructions, or of a folder's program.

    Raises:
        InputError: the path holds no program.
    """
    _, table, uops = stored_instructions(Path(path), None if config is None else _config(config))
    return listing(table, uops)


def sweep(
    study: Study | str | Path,
    path: str | Path,
    *,
    workers: int = 1,
    dask: str | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Do what a store lacks of a study; see ``explorer sweep --help``.

    Args:
        study: a study (`explorer.study.study.make`), or the path of a study file.
        path: the store's directory.
        workers: processes on this machine.
        dask: a Dask scheduler's address, or ``local:N``.
        executor: any other executor with so many `workers`; it stays open.

    Raises:
        InputError: the study cannot be used, or the store cannot be written or is damaged.
    """
    asked = study if isinstance(study, Study) else studies.load(Path(study))
    return run_sweep(asked, Path(path), partial(_backend, workers, dask, executor))


def _backend(workers: int, dask: str | None, executor: Executor | None) -> Backend:
    if executor is not None:
        return Given(executor, AHEAD * workers)
    if dask is not None:
        return Dask(dask)
    return Local(workers) if workers > 1 else Inline()


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


def optimize(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    profile: str | None = None,
    prefer: str = "",
    require: Sequence[str] = (),
    objectives: str = "",
    rules: Sequence[str | Path] = (),
    all_tiles: bool = False,
    everything: bool = False,
    method: Method = "auto",
    limit: int | None = None,
    time_limit: float | None = None,
) -> Optima:
    """The embeddings that are preferred, with proof; see ``explorer optimize --help``.

    Args:
        operator: what is embedded.
        config: what it is embedded for.
        classes: the classes that may be used, of `explorer.embedding.facts.CLASSES`.
        profile: the name of preferences that ship.
        prefer: metrics, the most important first: ``steps,footprint:2+transform``.
        require: requirements: ``no-im2col``, ``max-footprint=2MiB``.
        objectives: metrics in which no answer may be dominated, in place of preferences.
        rules: files with rules of your own.
        all_tiles: take every tile extent.
        everything: every optimum, not only one.
        method: how a front is found, see `explorer.preference.optima.pareto`.
        limit: stop after so many points of the front.
        time_limit: seconds to search; what is found until then is given. By default a minute with
            rules of your own, and else as long as it takes.

    Raises:
        InputError: something of this is not what is allowed, or nothing is found in time; where the
            requirements exclude every answer, the result says so instead.
    """
    op, machine = _operator(operator), _config(config)
    wishes = parsing.wish(
        op,
        machine,
        profile=profile,
        prefer=prefer,
        require=require,
        objectives=objectives,
        rules=[Path(path) for path in rules],
    )
    problem = Problem(op, machine, wishes, classes, all_tiles)
    return limited.optimize(problem, time_limit, everything=everything, method=method, limit=limit)


def pareto(
    frame: pd.DataFrame,
    minimize: Sequence[str] = (),
    maximize: Sequence[str] = (),
    group_by: Sequence[str] = (),
) -> pd.DataFrame:
    """The rows of a table that no other row of their group beats.

    The embeddings of an operator that no other beats are `optimize` with objectives.

    Raises:
        InputError: an objective is no column of numbers, or has missing values.
    """
    return dominance.pareto(frame, minimize, maximize, group_by)
