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
from explorer.deployment.folder import folder_files
from explorer.deployment.host_work import total
from explorer.deployment.pricing import Programs, _best, simulated
from explorer.deployment.steps import Fill
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import verify
from explorer.network.graph import Accelerated, Network, Tensor, View, operand
from explorer.network.plan.network_plan import NetworkPlan, candidates, plan_network
from explorer.network.plan.own_best import own_best
from explorer.network.plan.planning import Conflict, solve
from explorer.network.plan.problem import plan
from explorer.network.plan.transitions import Host, model
from explorer.network.plan.wishes import Wishes
from explorer.operators import resolve
from explorer.program.emission import write_folder
from explorer.report import network_plan as report
from isa.computation import Add
from isa.computation import Tensor as Operand
from isa.config import Config
from simulator.interleaving import Interleaving
from tests.explorer.network.quantised import Writer

B2 = Config.load("b2")
HOST = Host(Fraction(1, 2), 7)
NAMES = ("repack", "stored", "copied")
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
    return Compiled(found.network, found.values, B2, chosen(planned), model(name), HOST)


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
    if name == "copied":
        assert {"copied", "stored"} <= kinds.keys() <= {*every, "stored", "copied", "filled"}
        return
    assert kinds.keys() == every == set(planned.assembled.kinds.values())
    assert bool(filled) == (name == "stored")


def test_copies_of_a_plan(made: Made, tmp_path: Path) -> None:
    """A plan that copies is right in every order, and so is the folder that it is written to."""
    found, plans = made
    planned = simulated(plans["copied"])
    problem, kinds = planned.assembled.problem, planned.assembled.kinds
    taken = next(
        found_plan
        for choices in drawn(plans["copied"])
        if (found_plan := plan(problem, choices)) is not None
        and any(kinds[m.tensor, m.written, m.read] == "copied" for m in found_plan.moves)
    )
    told = simulated(replace(planned, planned=replace(planned.planned, plans=(taken,))), free=False)
    programs = compiled(found, told, "copied")
    assert programs.directed.copies
    given = found.inputs()
    result = verify(found, programs, given)
    assert result.right
    assert {row.tensor for row in result.rows} == {t for n in found.network.nodes for t in n.writes}
    tensors = found.tensors(given)
    deployment = programs.deployment(models=found.host_models())
    names = [name for segment in deployment.segments for name in segment.nodes]
    assert {c.name for c in programs.directed.copies.values()} == {*names} - {*programs.programs}
    write_folder(tmp_path / "net", folder_files(deployment, {}))
    outputs = explorer.network_run(tmp_path / "net", given)
    assert all(np.array_equal(array, tensors[name]) for name, array in outputs.items())


def test_copies_are_no_worse(made: Made) -> None:
    """Where programs may copy, the plan takes no more cycles than where the host does it."""
    _, plans = made
    stored, copied = (simulated(plans[name]).planned for name in ("stored", "copied"))
    assert copied.plans[0].cost.cycles <= stored.plans[0].cost.cycles
    assert copied.bound <= copied.plans[0].cost.cycles


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for candidates, of which none is evaluated twice."""
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize(("price", "kind"), [(1, "copied"), (0, "host"), ("1/64", "host")])
def test_copies_where_they_are_cheaper(
    price: int | str, kind: str, root: Path, store: Path
) -> None:
    """A window in the lanes is copied where the host would take longer, and is the host's else."""
    pins = ["conv1=reference", "conv2=y=oc:16/z=ic:8,kw%2"]

    def asked(name: str) -> Planning:
        return Planning(
            transitions=name, host_cycles_per_byte=price, pin=pins,
            count=1, effort=1, jobs=1, classes=("padded",), store=store,
        )  # fmt: skip

    path = root / "docs" / "small_network.yaml"
    plans = {}
    for name in ("stored", "copied"):
        planned = explorer.network_plan(path, **asked(name))
        (plans[name],) = planned.planned.plans
    kinds = {planned.assembled.kinds[m.tensor, m.written, m.read] for m in plans["copied"].moves}
    assert kinds == {kind, "host"}
    stored, copied = (plans[name].cost for name in ("stored", "copied"))
    assert (copied.cycles < stored.cycles) == (copied.host_bytes < stored.host_bytes)
    assert (copied.cycles < stored.cycles) == (kind == "copied")
    if kind == "host":
        return
    verified = explorer.network_verify(path, **asked("copied"))
    assert verified.right
    work = total(verified.deployment, Host(Fraction(price)))
    assert (work.bytes, work.copies) == (copied.host_bytes, copied.host_copies)
    assert work.cycles + sum(s.alone for s in verified.deployment.segments) == copied.cycles


SCORES = """
name: scores
inputs: [image]
outputs: [scores]
tensors:
  image: {shape: [32, 32]}
  weight: {shape: [32, 32], constant: true}
  middle: {shape: [32, 32]}
  scores: {shape: [1, 1, 32, 32]}
operators:
  gemm: {kind: gemm, m: 32, n: 32, k: 32}
  scores: {kind: attention_scores, b: 1, heads: 1, m: 32, n: 32, d: 32}
nodes:
  - {name: first, operator: gemm, inputs: {data: image, weight: weight}, output: middle}
  - name: second
    operator: scores
    inputs:
      query: {tensor: middle, split: [1, 32, 1, 32], order: [0, 1, 2, 3]}
      key: {tensor: middle, split: [1, 32, 1, 32], order: [0, 1, 2, 3]}
    output: scores
"""


def test_copies_into_blocks_of_weights(tmp_path: Path) -> None:
    """A tensor that is multiplied by itself is read as it is written, and copied into blocks."""
    path = tmp_path / "scores.yaml"
    path.write_text(SCORES)
    asked = Planning(transitions="copied", host_cycles_per_byte=8, count=1, effort=1, jobs=1)
    planned = explorer.network_plan(path, **asked)
    (best,) = planned.planned.plans
    moves = [m for m in best.moves if m.tensor == "middle"]
    kinds = [planned.assembled.kinds[m.tensor, m.written, m.read] for m in moves]
    assert sorted(kinds) == ["copied", "none"]
    verified = explorer.network_verify(path, **asked)
    assert verified.right
    (segment,) = verified.deployment.segments
    assert segment.nodes == ("first", "copy of middle", "second")
    work = total(verified.deployment, Host(Fraction(8)))
    assert work.cycles + segment.alone == best.cost.cycles
    assert segment.cycles < segment.alone


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


def test_programs_are_shared(made: Made) -> None:
    """With the programs of an earlier plan, nothing is simulated anew, and the plan is the same."""
    _, plans = made
    programs = Programs.of(B2)
    first = simulated(plans["stored"], programs=programs).planned
    known = dict(programs.own)
    again = simulated(plans["stored"], programs=programs).planned
    assert again.plans == first.plans == simulated(plans["stored"]).planned.plans
    assert programs.own == known


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


def test_limits_of_copies(made: Made) -> None:
    """A limit on the host's copies is kept by the plan in which copies were simulated."""
    _, plans = made
    free = plans["copied"]
    least = min(simulated(plans[n]).planned.plans[0].cost.host_copies for n in ("stored", "copied"))
    for most in (least, least + 1):
        wishes = Wishes(limits={"host-copies": most})
        planned = solve(free.assembled.problem, wishes)
        found = simulated(replace(free, wishes=wishes, planned=planned))
        (best,) = found.planned.plans
        assert best.cost.host_copies <= most
    (first,) = found.planned.plans
    none = replace(found.planned, plans=(replace(first, cost=first.cost._replace(host_copies=99)),))
    assert _best(replace(found, planned=none), none.plans, 0).conflict == Conflict(
        (f"host-copies<={most}",),
        ("without it, the plans that were simulated take 99 host-copies or more",),
    )


@pytest.mark.parametrize("name", ["stored", "copied"])
def test_own_best(name: str, made: Made) -> None:
    """What a node's own best costs is the difference of two plans whose programs are simulated."""
    _, plans = made
    found = simulated(plans[name])
    for node in found.assembled.options:
        told = own_best(found, node, found.wishes, simulated)
        assert told is not None
        assert told.more == sum(change.more for change in told.changes)


def test_left_as_they_are(made: Made) -> None:
    """Where nobody makes the transitions, nothing is simulated; that is told."""
    _, plans = made
    planned = plans["stored"]
    trial = replace(planned, rule=model("trial"))
    assert simulated(trial) is trial
    assert "nobody makes" in "".join(report.lines(trial))
    assert "free" not in "".join(report.lines(simulated(planned)))


FRONTS = (("cycles",), ("cycles", "memory"), ("memory", "host-bytes"))


@pytest.mark.parametrize("objectives", FRONTS)
def test_fronts(objectives: tuple[str, ...], made: Made) -> None:
    """A front's plans have the cycles of their programs, and none dominates another.

    Of plans that were drawn at random it has one that is no worse, but for the share of cycles that
    is told; so it has of the best plan.
    """
    found, plans = made
    free = plans["stored"]
    wishes = Wishes(objectives=objectives)
    planned = solve(free.assembled.problem, wishes)
    front = simulated(replace(free, wishes=wishes, planned=planned))
    values = [tuple(p.cost.of(m) for m in objectives) for p in front.planned.plans]
    assert values == sorted(set(values))
    for one in values:
        assert not any(all(a <= b for a, b in zip(v, one, strict=True)) for v in values if v != one)
    for made_plan in front.planned.plans:
        alone = replace(front, planned=replace(front.planned, plans=(made_plan,)))
        programs = compiled(found, alone, "stored").programs
        assert made_plan.programs == {n: p.cycles for n, p in programs.items()}
    if objectives[0] == "cycles":
        best = simulated(free).planned
        assert values[0][0] <= best.plans[0].cost.cycles * (1 + front.planned.excess)
        assert front.planned.bound <= values[0][0]
    assert front.planned.proven
    allowed = {"cycles": 1 + front.planned.excess + 1e-12}
    assert "cycles" in objectives or not front.planned.excess
    for choices in drawn(free):
        taken = plan(free.assembled.problem, choices)
        assert taken is not None
        one_plan = replace(free.planned, plans=(taken,))
        told = simulated(replace(free, planned=one_plan), free=False).planned.plans[0]
        mine = [told.cost.of(m) * allowed.get(m, 1) for m in objectives]
        assert any(all(a <= b for a, b in zip(v, mine, strict=True)) for v in values)


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
        compiled_one = Compiled(network, found.values, B2, {"node": option}, model("stored"))
        deployment = compiled_one.deployment()
        work = total(deployment, HOST)
        cost = taken.cost
        assert (work.bytes, work.copies) == (cost.host_bytes, cost.host_copies)
        assert work.cycles + option.cycles == cost.cycles
        seen = execute(deployment, found.inputs(), found.host)
        assert np.array_equal(seen["sum"], found.tensors(found.inputs())["sum"])
        together += len(option.wide) == 2
    assert together
