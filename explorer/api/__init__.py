"""The Python API: the commands as functions, from an operator's text or object to typed results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.api.arguments import (
    ClassesLike,
    ConfigLike,
    IntrinsicLike,
    OperatorLike,
    TextsLike,
    classes_of,
    config_of,
    intrinsic_of,
    names_of,
    operator_of,
    texts_of,
)
from explorer.api.deployments import (
    network_emit,
    network_run,
    network_timeline,
    network_trace,
    network_verify,
)
from explorer.api.folders import disasm, lint, run
from explorer.api.networks import network_map, network_plan, network_why
from explorer.api.pages import map, trace
from explorer.api.sweeps import results, sweep
from explorer.baselines.asked_tiling import BEST, template_counters
from explorer.embedding import counting
from explorer.embedding.explanation import Verdict as Judgement
from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.embedding.several import (
    AnyEmbedding,
    count_any,
    enumerate_any,
    find_any,
    term_by_term,
    why_joint,
)
from explorer.layout.design import Restrictions
from explorer.operators import catalogue
from explorer.preference import limited, parsing
from explorer.preference.optima import Method
from explorer.preference.outcome import Optima
from explorer.preference.problem import Problem, comparable
from explorer.program import emission, stepwise, verification
from explorer.program.verification import Verdict
from explorer.ranking import explore, gains
from explorer.ranking.best_first import Ranking, parse_share
from explorer.ranking.best_first import rank as rank_embeddings
from explorer.ranking.explore import Evaluation
from explorer.report.describe import describe_evaluation
from explorer.study import dominance
from isa.errors import InputError
from isa.folder.manifest import Format
from simulator.interleaving import Interleaving
from simulator.lint import PORTABLE

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "bench",
    "count",
    "disasm",
    "emit",
    "enumerate",
    "evaluate",
    "execute",
    "lint",
    "map",
    "network_emit",
    "network_map",
    "network_plan",
    "network_run",
    "network_timeline",
    "network_trace",
    "network_verify",
    "network_why",
    "optimize",
    "pareto",
    "rank",
    "results",
    "run",
    "schema",
    "show",
    "sweep",
    "template",
    "trace",
    "verify",
    "why",
]

VTA = "vta_gemm"
ALL = "all"


def enumerate(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: ClassesLike = ALL,
    *,
    intrinsic: IntrinsicLike = VTA,
    all_tiles: bool = False,
    orders: Collection[str] = (),
) -> list[AnyEmbedding]:
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
    op, chosen = operator_of(operator), classes_of(classes)
    found = enumerate_any(
        [term.computation for term in op.terms],
        intrinsic_of(intrinsic, config),
        chosen,
        all_tiles=all_tiles,
        maximal=not all_tiles,
        orders=orders,
    )
    if not found:
        raise explore.no_embedding(op.name, chosen)
    return found


def count(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: ClassesLike = ALL,
    *,
    intrinsic: IntrinsicLike = VTA,
    all_tiles: bool = False,
    orders: Collection[str] = (),
) -> counting.Count:
    """How many embeddings `enumerate` would give, in total and of each class; none is made.

    Raises:
        InputError: the operator, the configuration or the instruction is unusable.
    """
    return count_any(
        [term.computation for term in operator_of(operator).terms],
        intrinsic_of(intrinsic, config),
        classes_of(classes),
        all_tiles=all_tiles,
        maximal=not all_tiles,
        orders=orders,
    )


def execute(
    operator: OperatorLike,
    embedding: AnyEmbedding | str,
    config: ConfigLike = "default",
    *,
    intrinsic: IntrinsicLike = VTA,
    seed: int = 0,
) -> list[stepwise.Outcome]:
    """Execute an embedding step by step on random data, each term with each choice of layouts.

    Raises:
        InputError: the id is no legal embedding, or the instruction is unusable.
    """
    op, instruction = operator_of(operator), intrinsic_of(intrinsic, config)
    if isinstance(embedding, str):
        terms = [term.computation for term in op.terms]
        embedding = find_any(terms, instruction, embedding)
    tensors = verification.of_terms(op, verification.random_data(op, seed))
    return [
        outcome
        for (part, term), given in zip(term_by_term(embedding, op), tensors, strict=True)
        for outcome in stepwise.check(part, term, instruction, given)
    ]


def why(
    operator: OperatorLike,
    embedding: str,
    config: ConfigLike = "default",
    classes: ClassesLike | None = None,
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
    instruction = intrinsic_of(intrinsic, config)
    allowed = None if classes is None else classes_of(classes)
    terms = [term.computation for term in operator_of(operator).terms]
    return why_joint(terms, instruction, embedding, allowed)


def evaluate(
    operator: OperatorLike,
    embedding: AnyEmbedding | str,
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
    op, machine = operator_of(operator), config_of(config)
    kept = Restrictions.of(target, safe_distance, machine)
    fixed = embedding == "reference"
    found = explore.find(op, machine, embedding) if isinstance(embedding, str) else embedding
    return explore.evaluate(op, machine, found, fixed_layout=fixed, restrictions=kept)


def rank(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: ClassesLike = ALL,
    *,
    top: int | None = 10,
    all_tiles: bool = False,
    jobs: int | None = None,
    effort: int | None = None,
    within: float | str = 0.0,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> Ranking:
    """The embeddings by simulated cycles; `top` None ranks all. Targets are as in `evaluate`.

    Every class competes by default. `within` is a share (0.01 or ``1%``) of the least cycles: the
    simplest embedding that is at most so much slower comes first.

    Raises:
        InputError: the operator or the configuration is unusable, there is no embedding, or `top`
            or `effort` is less than 1.
    """
    op, machine = operator_of(operator), config_of(config)
    kept = Restrictions.of(target, safe_distance, machine)
    for name, number in (("top", top), ("effort", effort)):
        if number is not None and number < 1:
            raise InputError(name, "", number, "a number of at least 1, or None")
    make = explore.embeddings if top is None else explore.ascending
    found = make(op, machine, classes_of(classes), all_tiles=all_tiles, maximal=not all_tiles)
    share = parse_share(within) if isinstance(within, str) else within
    return rank_embeddings(
        op, machine, found, top=top, effort=effort, jobs=jobs, restrictions=kept, within=share
    )


def verify(
    operator: OperatorLike,
    embedding: AnyEmbedding | str,
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
    op, order = operator_of(operator), Interleaving.parse(schedule)
    code = evaluate(op, embedding, config, target=target, safe_distance=safe_distance).code
    return verification.verify(code, verification.random_data(op, seed), interleaving=order)


def emit(
    operator: OperatorLike,
    embedding: AnyEmbedding | str,
    out: str | Path,
    config: ConfigLike = "default",
    *,
    form: Format = "raw",
    data: Mapping[str, NDArray[np.generic]] | str | None = None,
    data_layout: str = "",
    seed: int = 0,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> None:
    """Write an embedding's best program with its tensors and the expected output to a folder.

    Tensors of `data` replace random ones; their names are ``in0``, ``in1``, ``bias`` and
    ``residual``. A text names ``.npy`` files, as ``--data`` and ``--data-layout`` do. Targets
    are as in `evaluate`.

    Raises:
        InputError: the id is no legal embedding, no schedule fits the scratchpads, or the folder
            cannot be written.
    """
    emission.check_target(Path(out))
    op = operator_of(operator)
    given = emission.load_data(op, data, data_layout) if isinstance(data, str) else data or {}
    emission.check_data(op, given)
    code = evaluate(op, embedding, config, target=target, safe_distance=safe_distance).code
    emission.write_folder(Path(out), emission.emit(code, form, given=given, seed=seed))


def optimize(
    operator: OperatorLike,
    config: ConfigLike = "default",
    classes: ClassesLike | None = None,
    *,
    profile: str | None = None,
    prefer: str = "",
    require: TextsLike = (),
    objectives: str = "",
    rules: Sequence[str | Path] | str | Path = (),
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
        classes: the classes that may be used, of `explorer.embedding.facts.CLASSES`. By default all
            where fewer steps come before all else, and these can be compared in seconds; otherwise
            `explorer.embedding.facts.DEFAULT_CLASSES`. The result's problem tells which.
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
    op, machine = operator_of(operator), config_of(config)
    wishes = parsing.wish(
        op,
        machine,
        profile=profile,
        prefer=prefer,
        require=texts_of(require),
        objectives=objectives,
        rules=[Path(p) for p in ([rules] if isinstance(rules, str | Path) else rules)],
    )
    names = comparable(op) if classes is None else classes_of(classes)
    return limited.optimize(
        Problem(op, machine, wishes, names, all_tiles),
        time_limit,
        everything=everything,
        method=method,
        limit=limit,
        otherwise=DEFAULT_CLASSES if classes is None else None,
    )


def pareto(
    frame: pd.DataFrame,
    minimize: TextsLike = (),
    maximize: TextsLike = (),
    group_by: TextsLike = (),
) -> pd.DataFrame:
    """The rows of a table that no other row of their group beats.

    The embeddings of an operator that no other beats are `optimize` with objectives.

    Raises:
        InputError: an objective is no column of numbers, or has missing values.
    """
    return dominance.pareto(frame, names_of(minimize), names_of(maximize), names_of(group_by))


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document or output; see ``explorer schema --help``.

    Raises:
        InputError: there is none of that name.
    """
    from explorer import schemas  # noqa: PLC0415 - models of all outputs, slow to make

    return schemas.schema(name)


def show(
    operator: OperatorLike,
    embedding: AnyEmbedding | str,
    config: ConfigLike = "default",
    *,
    step: int = 0,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> str:
    """What follows from an embedding, down to its program's cycles; see ``explorer show --help``.

    Raises:
        InputError: the id is no legal embedding, no schedule fits, or there is no such step.
    """
    found = evaluate(operator, embedding, config, target=target, safe_distance=safe_distance)
    return describe_evaluation(found, step)


def template(
    operator: OperatorLike, config: ConfigLike = "default", tiling: str = BEST
) -> dict[str, int]:
    """What TVM's template makes of an operator: knobs, cycles, and what it moves.

    Args:
        operator: a convolution or a product.
        config: what it is compiled for.
        tiling: ``best``, ``tuned``, or knobs as in ``th=7,tw=14``.

    Raises:
        InputError: the template does not take the operator, or does not run the tiling.
    """
    return template_counters(operator_of(operator), config_of(config), tiling)


def bench(
    suite: str | Sequence[OperatorLike],
    config: ConfigLike = "default",
    classes: ClassesLike = ALL,
    *,
    verify: bool = False,
    jobs: int = 1,
) -> pd.DataFrame:
    """The best embedding of each layer against the baselines; see ``explorer bench --help``.

    Args:
        suite: the beginning of shipped workloads' names, or operators.
        config: what they are compiled for.
        classes: the classes that may be used.
        verify: execute each winner's program, and tell whether every bit is right.
        jobs: worker processes.

    Raises:
        InputError: there are no such workloads, or a layer has no program.
    """
    asked = [e.reference for e in catalogue(suite)] if isinstance(suite, str) else suite
    layers = [operator_of(each) for each in asked]
    rows = gains.table(layers, config_of(config), classes_of(classes), verify=verify, jobs=jobs)
    return gains.measured(rows)
