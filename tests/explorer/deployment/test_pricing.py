"""What plans count is what is executed: programs, and what the host moves between them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import explorer
from explorer.api.networks import Planning
from explorer.deployment.compilation import Compiled, chosen
from explorer.deployment.execution import execute
from explorer.deployment.host_work import total
from explorer.deployment.pricing import simulated
from explorer.deployment.steps import Fill
from explorer.deployment.subjects import Subject, subject
from explorer.network.graph import Accelerated, Network, Tensor, View, operand
from explorer.network.network_plan import NetworkPlan, candidates, plan_network
from explorer.network.own_best import own_best
from explorer.network.problem import plan
from explorer.network.transitions import Host, model
from explorer.network.wishes import Wishes
from explorer.operators import resolve
from isa.computation import Add
from isa.computation import Tensor as Operand
from isa.config import Config
from simulator.interleaving import Interleaving
from tests.explorer.network.quantised import Writer

B2 = Config.load("b2")
HOST = Host(Fraction(1, 2), 7)
NAMES = ("repack", "stored")
Made = tuple[Subject, Mapping[str, NetworkPlan]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Convolutions with a residual and a stride, a pool by the host, planned for b2 both ways."""
    writer = Writer(1, "qdq")
    x = writer.given((1, 16, 6, 6), -3)
    a = writer.product("Conv", x, (32, 16, 1, 1), end=[("Relu", 0, 0)])
    b = writer.product("Conv", a, (32, 32, 3, 3), pads=[1] * 4)
    y = writer.add(b, a, max(writer.exponents[b], writer.exponents[a]) + 1, relu=True)
    z = writer.product("Conv", y, (16, 32, 3, 3), pads=[1] * 4, strides=[2, 2])
    pool = writer.through("MaxPool", y, (1, 32, 3, 3), kernel_shape=[2, 2], strides=[2, 2])
    path: Path = tmp_path_factory.mktemp("plan") / "plan.onnx"
    outputs = [
        writer.product("Conv", z, (32, 16, 1, 1), strides=[2, 2]),
        writer.product("Conv", pool, (16, 32, 1, 1)),
    ]
    path.write_bytes(writer.model(*outputs).SerializeToString())
    found = subject(str(path))
    spaces, hosts = candidates(found.network, B2, 4, effort=1)
    plans = {
        name: plan_network(found.network, B2, spaces, hosts, model(name), HOST, Wishes())
        for name in NAMES
    }
    return found, plans


def compiled(found: Subject, planned: NetworkPlan, name: str) -> Compiled:
    """The programs of a plan."""
    stores = model(name).stores
    return Compiled(found.network, found.values, B2, chosen(planned), stores=stores)


def drawn(planned: NetworkPlan) -> Iterator[dict[str, str]]:
    """Choices of candidates: some at random, and some that have a transition of each kind."""
    chooser, problem = random.Random(1), planned.assembled.problem
    asked: dict[str, tuple[str, str, str]] = {}
    for key, kind in planned.assembled.kinds.items():
        asked.setdefault(kind, key)
    for key in (*asked.values(), *[("", "", "")] * 4):
        tensor, written, read = key
        choices = {}
        for node in problem.nodes:
            ends = [(c.name, dict(c.reads), dict(c.writes)) for c in node.candidates]
            fits = [
                n
                for n, r, w in ends
                if r.get(tensor, read) == read and w.get(tensor, written) == written
            ]
            choices[node.name] = chooser.choice(fits or [n for n, _, _ in ends])
        yield choices


@pytest.mark.parametrize("name", NAMES)
def test_counted_as_done(name: str, made: Made) -> None:
    """Whatever candidates are taken, cycles, bytes and copies of the plan are the deployment's."""
    found, plans = made
    planned, kinds, filled = plans[name], Counter[str](), 0
    given, order = found.inputs(), Interleaving.parse("eager-load")
    wanted = found.tensors(given)
    problem = planned.assembled.problem
    for choices in drawn(planned):
        taken = plan(problem, choices)
        assert taken is not None
        one = replace(planned, planned=replace(planned.planned, plans=(taken,)))
        told = simulated(one, free=False)
        cost = told.planned.plans[0].cost
        made_of = compiled(found, told, name)
        deployment = made_of.deployment()
        assert told.planned.plans[0].programs == {n: p.cycles for n, p in made_of.programs.items()}
        work = total(deployment, HOST)
        assert (work.bytes, work.copies) == (cost.host_bytes, cost.host_copies)
        assert work.cycles + sum(s.alone for s in deployment.segments) == cost.cycles
        kinds.update(told.assembled.kinds[m.tensor, m.written, m.read] for m in taken.moves)
        fills = [action for action in deployment.actions if isinstance(action, Fill)]
        filled += sum(action.source >= 0 for action in fills)
        seen = execute(deployment, given, found.host, interleaving=order)
        assert all(np.array_equal(array, wanted[tensor]) for tensor, array in seen.items())
    every = {"none", "host"} | ({"stored", "filled"} if name == "stored" else set())
    assert kinds.keys() == every == set(planned.assembled.kinds.values())
    assert bool(filled) == (name == "stored")


def test_never_above_what_counts_as_free(made: Made) -> None:
    """The plan that is simulated is one of the best that are, and no bound is above it."""
    _, plans = made
    free = plans["stored"]
    found = simulated(free)
    (best,) = found.planned.plans
    moves = sum(move.cost.cycles for move in best.moves)
    assert best.cost.cycles == moves + sum(best.programs.values())
    first = simulated(free, free=False).planned.plans[0]
    assert free.planned.bound <= found.planned.bound <= best.cost.cycles <= first.cost.cycles
    for other in (found.fixed, found.greedy):
        assert other is not None
        assert best.cost.cycles <= other.cost.cycles
    rows = found.frame()
    assert rows["cycles"].sum() + rows["transitions"].sum() == best.cost.cycles


def test_limits_of_cycles(made: Made) -> None:
    """A limit on cycles is kept by what programs take; where no plan does that, it is told."""
    _, plans = made
    free = plans["stored"]
    least = simulated(free).planned.plans[0].cost.cycles
    wishes = Wishes(("host-bytes", "cycles"), {"cycles": least + 1000})
    found = simulated(replace(free, wishes=wishes))
    (best,) = found.planned.plans
    assert least <= best.cost.cycles <= least + 1000
    none = simulated(replace(free, wishes=Wishes(limits={"cycles": least - 1}))).planned
    assert not none.plans
    assert none.conflict is not None
    assert none.conflict.lines()[0] == f"cycles<={least - 1} cannot be met"


def test_own_best(made: Made) -> None:
    """What a node's own best costs is the difference of two plans whose programs are simulated."""
    _, plans = made
    found = simulated(plans["stored"])
    for node in found.assembled.options:
        told = own_best(found, node, found.wishes, simulated)
        assert told is not None
        assert told.more == sum(change.more for change in told.changes)


def test_left_as_they_are(made: Made) -> None:
    """Fronts, and candidates of which only cycles are known, are not simulated."""
    _, plans = made
    planned = plans["stored"]
    front = replace(planned, wishes=Wishes(objectives=("cycles",)))
    assert simulated(front) is front
    trial = replace(planned, rule=model("trial"))
    assert simulated(trial) is trial


def test_what_is_planned_is_emitted(root: Path) -> None:
    """The sums of a plan are those of the network that the same arguments verify."""
    path = root / "docs" / "small_network.yaml"
    asked = Planning(transitions="stored", count=1, effort=1, jobs=1, classes=("padded",))
    planned = explorer.network_plan(path, "b2", **asked)
    verified = explorer.network_verify(path, "b2", **asked)
    assert verified.right
    cost, work = planned.planned.plans[0].cost, total(verified.deployment, Host())
    assert (work.bytes, work.copies) == (cost.host_bytes, cost.host_copies)
    assert work.cycles + sum(s.alone for s in verified.deployment.segments) == cost.cycles


def test_residuals_of_several_shifts() -> None:
    """A tensor that is added twice, in different steps, is widened twice; so the plan counts."""
    part = resolve("conv2d:n=1,c=16,h=4,w=4,k=16,r=1,s=1,residual=1")
    place = next(i for i, stage in enumerate(part.stages) if isinstance(stage, Add))
    first = part.stages[place]
    assert isinstance(first, Add)
    assert isinstance(first.value, Operand)
    second = replace(first, value=replace(first.value, name="second"), left=1)
    stages = (*part.stages[: place + 1], second, *part.stages[place + 1 :])
    operator = replace(part, stages=stages)
    operands = ("data", "weight", first.value.name, "second")
    names = ("data", "weight", "added")
    tensors = [Tensor(n, operand(operator, n).shape, constant=n == "weight") for n in names[:2]]
    tensors.append(Tensor("added", operator.out.shape))
    views = [
        View.plain(o, n, operand(operator, o).shape)
        for o, n in zip(operands, (*names, "added"), strict=True)
    ]
    out = Tensor("sum", operator.out.shape)
    view = View.plain("output", "sum", out.shape or ())
    node = Accelerated("node", operator, tuple(views), view)
    given = tuple(n for n in names if n != "weight")
    network = Network("sums", given, ("sum",), (*tensors, out), (node,))
    weight = np.random.default_rng(1).integers(-8, 8, operand(operator, "weight").shape, np.int8)
    found = Subject(network, {"weight": weight}, None, drawn=True, seed=0)
    spaces, hosts = candidates(network, B2, 1, ("padded",), effort=1)
    planned = plan_network(network, B2, spaces, hosts, model("stored"), HOST, Wishes())
    together = 0
    for name, option in planned.assembled.options["node"].items():
        choices = {n.name: n.candidates[0].name for n in planned.assembled.problem.nodes}
        taken = plan(planned.assembled.problem, choices | {"node": name})
        assert taken is not None
        deployment = Compiled(network, found.values, B2, {"node": option}, stores=True).deployment()
        work = total(deployment, HOST)
        cost = taken.cost
        assert (work.bytes, work.copies) == (cost.host_bytes, cost.host_copies)
        assert work.cycles + option.cycles == cost.cycles
        seen = execute(deployment, found.inputs(), found.host)
        assert np.array_equal(seen["sum"], found.tensors(found.inputs())["sum"])
        together += len(option.wide) == 2
    assert together
