"""Whole networks: what the commands of ``explorer network`` do, as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from explorer.api.arguments import (
    ClassesLike,
    ConfigLike,
    TextsLike,
    check_range,
    classes_of,
    config_of,
    texts_of,
    write_text,
)
from explorer.deployment.compilation import chosen
from explorer.deployment.pricing import simulated
from explorer.network.candidates.given import given_candidates
from explorer.network.candidates.spaces import Space, running
from explorer.network.graph import Network
from explorer.network.handing import handed
from explorer.network.models import resolve
from explorer.network.plan.network_plan import CANDIDATES, NetworkPlan, candidates, plan_network
from explorer.network.plan.own_best import OwnBest, own_best
from explorer.network.plan.planning import check_rules
from explorer.network.plan.transitions import model, priced
from explorer.network.plan.wishes import Wishes, check_ids, check_names, parse_limits, parse_metrics
from explorer.network.proof.certificate import certificate as made
from explorer.network.proof.certificate import text
from explorer.network.proof.plans import Proof
from explorer.report.pages.network import page
from explorer.study.candidates import answering, check_store
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

NetworkLike = Network | str | Path
Hosts = dict[str, str]
"""Nodes that the host runs, with the reason."""


class Planning(TypedDict, total=False):
    """How a network is planned: arguments of `network_plan`, with its defaults."""

    transitions: str
    host_cycles_per_byte: Fraction | int | str
    host_cycles_per_call: int
    pin: TextsLike
    require: TextsLike
    prefer: str
    rules: Sequence[str | Path]
    count: int
    effort: int | None
    classes: ClassesLike | None
    shape: Mapping[str, tuple[int, ...]] | None
    concat: Literal["terms", "host"]
    jobs: int | None
    store: str | Path | None


def network_of(
    network: NetworkLike,
    concat: Literal["terms", "host"],
    shape: Mapping[str, tuple[int, ...]] | None,
) -> Network:
    """The network itself, or that of a name or path."""
    if isinstance(network, Network):
        return network
    return resolve(str(network), concat, shape or {})


def network_plan(
    network: NetworkLike,
    config: ConfigLike = "default",
    *,
    transitions: str = "repack",
    host_cycles_per_byte: Fraction | int | str = 1,
    host_cycles_per_call: int = 0,
    pin: TextsLike = (),
    require: TextsLike = (),
    prefer: str = "cycles,host-bytes,memory",
    pareto: str | None = None,
    rules: Sequence[str | Path] = (),
    count: int = CANDIDATES,
    effort: int | None = None,
    candidate_cycles: str | Path | None = None,
    classes: ClassesLike | None = None,
    time_limit: float | None = None,
    shape: Mapping[str, tuple[int, ...]] | None = None,
    concat: Literal["terms", "host"] = "terms",
    over: Literal["listed", "all"] = "listed",
    on_host: TextsLike = (),
    certificate: str | Path | None = None,
    jobs: int | None = None,
    store: str | Path | None = None,
    dask: str | None = None,
) -> NetworkPlan:
    """The best embedding for each node of a network; see ``explorer network plan --help``.

    The programs of the plan or the front, and of those beside it, are simulated with the stores
    that they have in the end, but for candidates of a table.

    Args:
        network: an object, the name of a shipped network, or the path of a document or ONNX model.
        config: the machine.
        transitions: the model of what passes tensors on, of
            `explorer.network.plan.transitions.models`.
        host_cycles_per_byte: for each byte that the host reads or writes.
        host_cycles_per_call: for each transition that the host makes.
        pin: ``NODE=ID`` or ``TENSOR=LAYOUT``.
        require: limits, as ``host-copies<=2``.
        prefer: metrics, the most important first.
        pareto: metrics; all plans are wanted that none dominates.
        rules: files of rules of a user's own over `encodings/network.lp`.
        count: embeddings evaluated for each operator.
        effort: programs simulated for each layout at most; None for proven cycles.
        candidate_cycles: a table to take candidates from (`explorer.network.candidates.given`).
        classes: of embeddings that may be used; None for those of `explorer network plan`.
        time_limit: seconds for the solver.
        shape: shapes of inputs of an ONNX model.
        concat: what becomes of Concat: ``terms`` or ``host``.
        over: what the plan is best of: the candidates ``listed``, or ``all`` embeddings of the
            classes; `NetworkPlan.claim` then says what is proven. No pins, limits, objectives,
            rules, table or effort can be given with these, and transitions that store.
        on_host: nodes that the host runs, whatever programs they have.
        certificate: a file for what is claimed over all embeddings.
        jobs: processes; None for one a core.
        store: a directory that keeps candidates, so that none is evaluated twice.
        dask: the address of a Dask scheduler to evaluate candidates on, or ``local:N``.

    Raises:
        InputError: an argument is unusable.
    """
    front = parse_metrics(pareto, "pareto") if pareto is not None else ()
    limits, pins, files = texts_of(require), texts_of(pin), tuple(map(Path, rules))
    wishes = Wishes(parse_metrics(prefer, "prefer"), parse_limits(limits, "require"), (), front)
    rule = model(transitions, "transitions")
    host = priced(str(host_cycles_per_byte), host_cycles_per_call, "host_cycles_per_")
    work = _Work(
        count, effort, None if classes is None else classes_of(classes), jobs,
        Path(store) if store is not None else None, dask,
        Path(candidate_cycles) if candidate_cycles is not None else None,
    )  # fmt: skip
    work.check()
    check_range("time_limit", time_limit, 1, 10**6)
    if over not in {"listed", "all"}:
        raise InputError("over", "", over, "listed or all")
    machine = config_of(config)
    check_rules(files, time_limit)
    found = handed(network_of(network, concat, shape), texts_of(on_host), "on_host")
    check_names(pins, found, "pin")
    check_ids(pins, found, machine, "pin")
    if over == "all":
        given: dict[str, object] = {"pin": pins, "require": limits, "pareto": pareto}
        given |= {"rules": rules, "candidate_cycles": candidate_cycles, "effort": effort}
        given |= {"store": store, "dask": dask}
        proof = Proof(found, machine, transitions, host, work.classes, wishes)
        proof.check(given)
        target = None if certificate is None else Path(certificate)
        return _proven(proof, jobs, time_limit, target)
    if certificate is not None:
        raise InputError("certificate", "", str(certificate), "only with over='all'")
    spaces, hosts = work.gathered(found, machine)
    planned = plan_network(
        found, machine, spaces, hosts, rule, host, wishes, pins, time_limit, files
    )
    return simulated(planned, seconds=time_limit, free=not rules)


@dataclass(frozen=True, slots=True)
class _Work:
    """How candidates are found; arguments of `network_plan`."""

    count: int
    effort: int | None
    classes: tuple[str, ...] | None
    jobs: int | None
    store: Path | None
    dask: str | None
    table: Path | None

    def check(self) -> None:
        """Check all of it, before anything is computed.

        Raises:
            InputError: a number is out of its range, the store is none, or a table is given beside
                what says how to evaluate.
        """
        check_range("count", self.count, 1, 10_000)
        check_range("effort", self.effort, 1, 2**31)
        check_range("jobs", self.jobs, 1, 1024)
        if self.table is not None:
            for name in ("effort", "classes", "store", "dask"):
                if getattr(self, name) is not None:
                    value = getattr(self, name)
                    raise InputError(name, "", value, "candidate_cycles evaluates nothing")
        check_store(self.store)

    def gathered(self, network: Network, config: Config) -> tuple[dict[Operator, Space], Hosts]:
        """The candidates of every operator, and what the host runs."""
        if self.table is not None:
            return given_candidates(self.table, network, config)
        with (
            answering(self.jobs, self.store, self.dask) as answers,
            running(self.jobs) as run,
        ):
            return candidates(
                network, config, self.count, self.classes,
                run=run, effort=self.effort, answers=answers,
            )  # fmt: skip


def _proven(
    proof: Proof, jobs: int | None, seconds: float | None, certificate: Path | None
) -> NetworkPlan:
    """The best plan over all embeddings, with its certificate written."""
    if certificate is not None and not certificate.parent.is_dir():
        allowed = f"there is no directory {certificate.parent}"
        raise InputError("certificate", "", str(certificate), allowed)
    with running(jobs) as run:
        proof.run(run, seconds)
    planned = proof.known()
    assert planned is not None
    planned = simulated(planned, free=False)
    if certificate is not None:
        write_text(certificate, text(made(planned, proof.rule_name, proof.host)), "certificate")
    return planned


def network_map(
    network: NetworkLike,
    out: str | Path,
    config: ConfigLike = "default",
    **planning: Unpack[Planning],
) -> NetworkPlan:
    """Write a network's candidates and plan as a page that one explores.

    See ``explorer network map --help``.

    Args:
        network: as for `network_plan`.
        out: the page's file.
        config: the machine.
        planning: arguments of `network_plan`.

    Returns:
        The plan that is drawn.

    Raises:
        InputError: an argument is unusable, pins and limits conflict, no plan keeps the rules, or
            the page cannot be written.
    """
    planned = network_plan(network, config, **planning)
    chosen(planned)  # refuses what is no plan
    write_text(Path(out), page(planned), "out")
    return planned


def network_why(plan: NetworkPlan, node: str) -> OwnBest | None:
    """What a node's own best would cost elsewhere in a plan; None if no plan can have it.

    Raises:
        InputError: the node has no program, or there is no plan.
    """
    return own_best(plan, node, plan.wishes, simulated)
