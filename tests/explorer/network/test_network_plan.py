"""A small network from candidates to a plan: layouts, transitions, pins, and what it is beside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.deployment.compilation import chosen
from explorer.layout.held import Held
from explorer.network.candidates.given import COLUMNS, given_candidates
from explorer.network.candidates.listing import REFERENCE, REFERENCE_TERMS
from explorer.network.candidates.spaces import Space
from explorer.network.document import load
from explorer.network.graph import Accelerated, Network, Tensor, View, operand
from explorer.network.plan import network_plan
from explorer.network.plan.network_plan import NetworkPlan, candidates, plan_network
from explorer.network.plan.own_best import own_best
from explorer.network.plan.planning import Planned, solve
from explorer.network.plan.problem import Cost
from explorer.network.plan.transitions import Host, Laid, lacking, model, models
from explorer.network.plan.wishes import Wishes, check_names
from explorer.network.terms import joined
from explorer.operators import resolve
from explorer.report import network_plan as report
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

B2 = Config.load("b2")
Found = tuple[Network, dict[Operator, Space], dict[str, str]]
PLANS: dict[tuple[object, ...], NetworkPlan] = {}
"""Plans of what `found` has, by what was asked."""


@pytest.fixture(scope="module")
def found(root: Path) -> Found:
    """Two convolutions with a residual, and six embeddings of each."""
    network = load(root / "docs" / "small_network.yaml")
    return network, *candidates(network, B2, 6)


def planned(found: Found, name: str = "repack", *pins: str, **limits: int) -> NetworkPlan:
    """The plan under a model of transitions; asked for again, it is not made again."""
    network, spaces, hosts = found
    known = (name, pins, *limits.items())
    if known not in PLANS:
        bounds: Mapping[str, int] = {k.replace("_", "-"): v for k, v in limits.items()}
        asked = Host(), Wishes(limits=bounds), pins
        PLANS[known] = plan_network(network, B2, spaces, hosts, model(name), *asked)
    return PLANS[known]


@pytest.mark.parametrize("name", models())
def test_never_above_the_others(found: Found, name: str) -> None:
    """The plan is proven, and costs what its parts do; no other has fewer cycles."""
    result = planned(found, name)
    (best,) = result.planned.plans
    assert result.planned.proven
    assert result.fixed is not None
    assert result.greedy is not None
    assert (
        result.floor <= best.cost.cycles <= min(result.fixed.cost.cycles, result.greedy.cost.cycles)
    )
    options = result.assembled.options
    nodes = sum(options[n][c].cycles for n, c in best.choices.items() if n in options)
    assert best.cost.cycles == nodes + sum(move.cost.cycles for move in best.moves)
    for move in best.moves:
        kind = result.assembled.kinds[move.tensor, move.written, move.read]
        assert (kind == "none") == (move.cost == Cost())
        assert (kind in {"filled", "host"}) == (move.cost.host_copies == 1)


def test_candidates_have_what_neighbours_have(found: Found) -> None:
    """Each operator has TVM's embedding, its fastest ones first, and no more than was asked for."""
    network, spaces, hosts = found
    assert not hosts
    for node in network.accelerated:
        space = spaces[node.operator]
        listed = space.all()
        assert listed[0].name == REFERENCE
        assert len(space.evaluated) <= 6
        cycles = [option.cycles for option in listed[len(space.fixed) :]]
        assert cycles == sorted(cycles)
        assert len({option.name for option in listed}) == len(listed)


def test_vectors_are_found_by_what_they_hold(found: Found) -> None:
    """What is not lacking is among the packed vectors of the producer; the rest is not."""
    network, spaces, _ = found
    first, second = network.accelerated
    data = np.arange(1, 1 + 16 * 8 * 8)
    for writer in spaces[first.operator].all()[:4]:
        for reader in spaces[second.operator].all()[:4]:
            out, read = writer.layouts["output"], reader.layouts["data"]
            width = int(np.prod([extent for _, extent in out.axes]))
            written = out.pack(data).reshape(-1, width)
            wanted = read.pack(data).reshape(-1, width)
            missing = sum(not ((written == row) | (row == 0)).all(axis=1).any() for row in wanted)
            held, asked = (Laid("", 0, 1, Held.of(x)) for x in (out, read))
            lack = lacking(held, asked)
            counted = lack.made + lack.blank
            assert missing <= counted <= missing + int((wanted == 0).any(axis=1).sum())


def test_pin_of_an_embedding_that_is_no_candidate(found: Found) -> None:
    """It is evaluated, and the node takes it; one that is illegal is refused."""
    name = "y=oc:8/z=ic:8"
    result = planned(found, "repack", f"conv1={name}")
    assert result.planned.plans[0].choices["conv1"] == name
    with pytest.raises(InputError):
        planned(found, "repack", "conv1=y=ic:16")


def test_pin_of_a_layout(found: Found) -> None:
    """The tensor between the nodes is written in the layout that the pin names."""
    result = planned(found, "stored", "conv1=NCHW2n16c")
    assert {m.written for m in result.planned.plans[0].moves if m.tensor == "conv1"} == {
        "NCHW2n16c"
    }
    with pytest.raises(InputError, match=r"an embedding, as .*; or a layout of the tensor, as "):
        planned(found, "stored", "conv1=NCHW3n5c")


def test_pin_of_a_tensor_that_is_called_otherwise(found: Found) -> None:
    """A tensor is pinned by its own name, which is not always that of the node that writes it."""
    network, _, _ = found
    check_names(["data=plain", "conv2=reference", "input:data=host"], network)
    for text, told in (("dat=plain", "did you mean 'data'"), ("data=", "NODE=ID")):
        with pytest.raises(InputError, match=told):
            check_names([text], network)


def test_nothing_to_plan(found: Found) -> None:
    """Where the host runs all nodes, the reasons are told."""
    network, spaces, _ = found
    hosts = {"conv1": "handed to it", "conv2": "no product"}
    with pytest.raises(InputError, match="conv1: handed to it; conv2: no product"):
        plan_network(network, B2, spaces, hosts, model("repack"), Host(), Wishes())


def test_limits_of_the_host(found: Found) -> None:
    """Copies that plain borders need cannot be forbidden; the least number is told."""
    result = planned(found, "repack", host_copies=1)
    assert result.planned.conflict is not None
    assert "the least host-copies is 2" in result.planned.conflict.lines()[1]


def test_products_over_joined_tensors() -> None:
    """A node of two terms is programmed; each of its tensors is read in the layout of its term."""
    part = resolve("conv2d:n=1,c=16,h=4,w=4,k=16,r=1,s=1")
    operator = joined([part, part])
    names = ("data", "weight", "data_2", "weight_2")
    tensors = [Tensor(n, operand(operator, n).shape, constant="weight" in n) for n in names]
    views = [View.plain(t.name, t.name, t.shape or ()) for t in tensors]
    out = Tensor("sum", operator.out.shape)
    node = Accelerated("both", operator, tuple(views), View.plain("output", "sum", out.shape or ()))
    network = Network("joined", ("data", "data_2"), ("sum",), (*tensors, out), (node,))
    spaces, hosts = candidates(network, B2, 2)
    assert not hosts
    result = plan_network(network, B2, spaces, hosts, model("repack"), Host(), Wishes())
    (best,) = result.planned.plans
    assert {move.tensor for move in best.moves} == {"data", "data_2", "sum"}
    assert " + " in best.choices["both"]
    assert result.fixed is not None  # TVM has no such layout: the node takes its fastest


def test_residuals_are_read_as_they_are_loaded(found: Found) -> None:
    """A program that loads a residual as int32 has the host widen it; one of int8 need not."""
    result = planned(found, "stored")
    own = result.assembled.options["conv2"]
    assert {bool(option.wide) for option in own.values()} == {True, False}
    for name, option in own.items():
        reads = dict(result.assembled.problem.node("conv2").candidate(name).reads)
        assert reads["data"].endswith("in 32 bits") == bool(option.wide)
    fixed = result.fixed
    assert fixed is not None
    assert fixed.choices["conv2"] in {REFERENCE, REFERENCE_TERMS}


def test_table_of_cycles(found: Found, tmp_path: Path) -> None:
    """A plan from a table has its cycles; nodes that it lacks are the host's."""
    network, _, _ = found
    path = tmp_path / "table.csv"
    text = "conv2d:n=1,c=16,h=8,w=8,k=16,r=3,s=3,pad=1"
    rows = [
        f'"{text}",reference,1,1,0,5000',
        f'"{text}",x=ow%2/y=oc:16/z=ic:16,1,0,0,7',
        f'"{text}",x=ow%2/y=oc:16/z=ic:16,0,0,0,9',
    ]
    path.write_text("\n".join([",".join(COLUMNS), *rows]))
    spaces, hosts = given_candidates(path, network, B2)
    result = plan_network(network, B2, spaces, hosts, model("trial"), Host(), Wishes())
    assert result.floor == 14
    assert result.fixed is not None
    assert result.fixed.cost.cycles == 10_000
    path.write_text("\n".join([",".join(COLUMNS), rows[0].replace(",1,1,0", ",1,1,1")]))
    with pytest.raises(InputError, match="line 2"):
        given_candidates(path, network, B2)
    path.write_text("\n".join([",".join(COLUMNS), rows[1].replace("%2", "%3")]))
    with pytest.raises(InputError, match="ow%3"):
        given_candidates(path, network, B2)


@pytest.mark.parametrize("name", ["conv1", "conv2"])
def test_own_best(found: Found, name: str) -> None:
    """What a node's own best saves there and costs elsewhere is the difference of the two plans."""
    result = planned(found, "repack")
    told = own_best(result, name, result.wishes)
    assert told is not None
    assert told.more == sum(change.more for change in told.changes) >= 0
    least = min(o.cycles for o in result.assembled.options[name].values())
    assert told.best_cycles == least <= told.planned_cycles
    with pytest.raises(InputError, match="conv1, conv2"):
        own_best(result, "conv3", result.wishes)


def test_plans_beside_one_that_is_pinned(found: Found) -> None:
    """A plan that keeps pins may take more cycles than one that need not: that is told as such."""
    assert "as many cycles as the plan" in " ".join(report.lines(planned(found, "stored")))
    told = " ".join(report.lines(planned(found, "stored", "conv1=y=oc:8/z=ic:8")))
    assert re.search(r"[\d.]+ % fewer cycles than the plan, without what is asked of", told)


def test_rules_of_a_user(found: Found, tmp_path: Path) -> None:
    """A rule over the predicates of the encoding is kept, and one without end is stopped."""
    network, spaces, hosts = found
    free = planned(found, "stored").planned.plans[0]
    path = tmp_path / "mine.lp"
    path.write_text(f':- choose("conv1", "{free.choices["conv1"]}").')
    asked = network, B2, spaces, hosts, model("stored"), Host(), Wishes()
    result = plan_network(*asked, rules=[path])
    assert result.planned.proven
    assert result.planned.plans[0].choices["conv1"] != free.choices["conv1"]
    path.write_text("q(0). q(X+1) :- q(X).")
    with pytest.raises(InputError, match="must end"):
        plan_network(*asked, seconds=1, rules=[path])


def test_interrupted(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best plan until Ctrl-C is given, without further searches, and told as not proven."""
    begun = []

    def interrupted(*arguments: Any, **options: Any) -> Planned:
        begun.append(arguments)
        return replace(solve(*arguments, **options), proven=False, interrupted=True)

    monkeypatch.setattr(network_plan, "solve", interrupted)
    network, spaces, hosts = found
    result = plan_network(network, B2, spaces, hosts, model("repack"), Host(), Wishes())
    assert len(begun) == 1
    assert result.planned.plans
    told = " ".join(report.lines(result))
    assert "not proven" in told
    assert "no plan" not in told.replace("no plan has fewer", "")
    for use in (chosen, lambda plan: own_best(plan, "conv1", plan.wishes)):
        with pytest.raises(KeyboardInterrupt):
            use(result)
