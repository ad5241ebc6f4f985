"""Whole networks: what the commands of ``explorer network`` do, as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

from explorer.api.arguments import (
    ClassesLike,
    ConfigLike,
    TextsLike,
    classes_of,
    config_of,
    texts_of,
)
from explorer.deployment.pricing import simulated
from explorer.embedding.user_rules import check as check_rules
from explorer.network.given import given_candidates
from explorer.network.graph import Network
from explorer.network.handing import handed
from explorer.network.models import resolve
from explorer.network.network_plan import CANDIDATES, NetworkPlan, candidates, plan_network
from explorer.network.own_best import OwnBest, own_best
from explorer.network.proof.plans import Proof
from explorer.network.spaces import running
from explorer.network.transitions import model, priced
from explorer.network.wishes import Wishes, check_ids, check_names, parse_limits, parse_metrics
from explorer.study.candidates import answering

NetworkLike = Network | str | Path


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
    rules: Sequence[Path] = (),
    count: int = CANDIDATES,
    effort: int | None = None,
    candidate_cycles: Path | None = None,
    classes: ClassesLike | None = None,
    time_limit: float | None = None,
    shape: Mapping[str, tuple[int, ...]] | None = None,
    concat: Literal["terms", "host"] = "terms",
    over: Literal["listed", "all"] = "listed",
    on_host: TextsLike = (),
    jobs: int | None = 1,
    store: Path | None = None,
    dask: str | None = None,
) -> NetworkPlan:
    """The best embedding for each node of a network; see ``explorer network plan --help``.

    The programs of the plan, and of those beside it, are simulated with the stores that they have
    in the end, but for fronts and candidates of a table.

    Args:
        network: an object, the name of a shipped network, or the path of a document or ONNX model.
        config: the machine.
        transitions: the model of what passes tensors on, of `explorer.network.transitions.models`.
        host_cycles_per_byte: for each byte that the host reads or writes.
        host_cycles_per_call: for each transition that the host makes.
        pin: ``NODE=ID`` or ``TENSOR=LAYOUT``.
        require: limits, as ``host-copies<=2``.
        prefer: metrics, the most important first.
        pareto: metrics; all plans are wanted that none dominates.
        rules: files of rules of a user's own over `encodings/network.lp`.
        count: embeddings evaluated for each operator.
        effort: programs simulated for each layout at most; None for proven cycles.
        candidate_cycles: a table to take candidates from (`explorer.network.given`).
        classes: of embeddings that may be used; None for those of `explorer network plan`.
        time_limit: seconds for the solver.
        shape: shapes of inputs of an ONNX model.
        concat: what becomes of Concat: ``terms`` or ``host``.
        over: what the plan is best of: the candidates ``listed``, or ``all`` embeddings of the
            classes; `NetworkPlan.claim` then says what is proven. No pins, limits, objectives,
            rules, table or effort can be given with these, and transitions that store.
        on_host: nodes that the host runs, whatever programs they have.
        jobs: processes; None for one a core.
        store: a directory that keeps candidates, so that none is evaluated twice.
        dask: the address of a Dask scheduler to evaluate candidates on, or ``local:N``.

    Raises:
        InputError: an argument is unusable.
    """
    found, machine = network_of(network, concat, shape), config_of(config)
    found = handed(found, texts_of(on_host), "on_host")
    front, limits = parse_metrics(pareto, "pareto") if pareto else (), texts_of(require)
    wishes = Wishes(parse_metrics(prefer, "prefer"), parse_limits(limits, "require"), (), front)
    rule = model(transitions, "transitions")
    host = priced(str(host_cycles_per_byte), host_cycles_per_call)
    pins = texts_of(pin)
    check_names(pins, found, "pin")
    check_ids(pins, found, machine, "pin")
    check_rules(rules)
    if over == "all":
        given: dict[str, object] = {"pin": pins, "require": limits, "pareto": pareto}
        given |= {"rules": rules, "candidate_cycles": candidate_cycles, "effort": effort}
        named = None if classes is None else classes_of(classes)
        proof = Proof(found, machine, transitions, host, named, wishes)
        proof.check(given)
        with running(jobs) as run:
            proof.run(run, time_limit)
        planned = proof.known()
        assert planned is not None
        return simulated(planned, free=False)
    if candidate_cycles is not None:
        spaces, hosts = given_candidates(candidate_cycles, found, machine)
    else:
        chosen = None if classes is None else classes_of(classes)
        with answering(jobs, store, dask) as answers, running(jobs) as run:
            spaces, hosts = candidates(
                found, machine, count, chosen, run=run, effort=effort, answers=answers
            )
    planned = plan_network(
        found, machine, spaces, hosts, rule, host, wishes, pins, time_limit, rules
    )
    return simulated(planned, seconds=time_limit, free=not rules)


def network_why(plan: NetworkPlan, node: str) -> OwnBest | None:
    """What a node's own best would cost elsewhere in a plan; None if no plan can have it.

    Raises:
        InputError: the node has no program, or there is no plan.
    """
    return own_best(plan, node, plan.wishes, simulated)
