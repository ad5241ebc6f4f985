"""Plans over all embeddings: min-marginals, costs of many layouts, and the optimum itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path
from random import Random

import numpy as np
import pytest

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.layout.design import designs
from explorer.network.builder import Builder
from explorer.network.candidates.listing import options
from explorer.network.candidates.spaces import Space, running
from explorer.network.document import load
from explorer.network.graph import Network, operand
from explorer.network.handing import handed
from explorer.network.plan import laying
from explorer.network.plan.assembly import Desk, assemble
from explorer.network.plan.planning import solve
from explorer.network.plan.transitions import Host, model, passed
from explorer.network.plan.wishes import Wishes
from explorer.network.proof import vectors
from explorer.network.proof.certificate import certificate, text
from explorer.network.proof.marginals import NEVER, beside, min_marginals
from explorer.network.proof.marginals import product as product_of
from explorer.network.proof.plans import Proof
from explorer.network.proof.relaxation import touched
from explorer.network.proof.ways import Bounding, bound, bounds, pool
from explorer.ranking.explore import embeddings, gemm_intrinsic
from explorer.schedule.search import search
from isa.config import Config
from isa.errors import InputError
from tests.oracles.network_proofs import check

B2 = Config.load("b2")


@pytest.mark.parametrize("seed", range(40))
def test_min_marginals(seed: int) -> None:
    """They are what all assignments say; where pairs had to be weakened, lower bounds of that."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 4, random.integers(1, 6))
    own = {i: random.integers(0, 9, n) for i, n in enumerate(sizes)}
    pairs = {}
    for i, j in combinations(range(len(sizes)), 2):
        if random.random() < 0.6:
            pairs[i, j] = random.integers(0, 9, (sizes[i], sizes[j]))
            pairs[i, j][random.random(pairs[i, j].shape) < 0.15] = NEVER
    expected = {i: np.full(n, NEVER) for i, n in enumerate(sizes)}
    for values in product(*map(range, sizes)):
        cost = sum(own[i][v] for i, v in enumerate(values))
        cost += sum(costs[values[i], values[j]] for (i, j), costs in pairs.items())
        for i, v in enumerate(values):
            expected[i][v] = min(expected[i][v], cost)
    found = min_marginals(own, pairs)
    for i, costs in expected.items():
        assert (found.of[i] == costs).all() if found.exact else (found.of[i] <= costs).all()
    best = min(int(costs.min()) for costs in expected.values())
    assert found.least == best if found.exact else found.least <= best


@pytest.mark.parametrize("seed", range(20))
def test_few_possible_pairs(seed: int) -> None:
    """Sums of costs are the same where few pairs are possible, of either side or of both."""
    random = np.random.default_rng(seed)
    n, k, m = random.integers(1, 40, 3)
    left, right, costs = (random.integers(0, 99, shape) for shape in ((n, k), (k, m), (n, m)))
    for i, (array, share) in enumerate(((left, 0.05), (right, 0.1), (costs, 0.1))):
        if seed >> i & 1:
            array[random.random(array.shape) > share] = NEVER
    expected = (left[:, :, None] + right).min(axis=1, initial=NEVER)
    found = product_of(left, right)
    assert (np.minimum(found, NEVER) == np.minimum(expected, NEVER)).all()
    both = beside(costs, left, right)
    assert (np.minimum(both, NEVER) == np.minimum(costs + expected, NEVER)).all()


def small(seed: int) -> Network:
    """A chain of two or three tiny convolutions; with a residual if the seed is odd."""
    random = Random(seed)
    net = Builder(f"random{seed}", "terms")
    channels, size = random.choice([4, 6, 20]), random.choice([2, 3])
    data = net.given("data", 1, channels, size, size)
    skip = data
    for number in range(2 + (seed % 3 == 0)):
        kernel = random.choice([1, 1, 3]) if channels == 4 else 1
        added = skip if seed % 2 and number == 1 else None
        data = net.conv(f"conv{number}", data, channels, kernel, pad=kernel // 2, skip=added)
    return net.build(data)


def proof(network: Network, transitions: str, price: str = "1") -> Proof:
    """A search over all embeddings of a network on b2."""
    return Proof(network, B2, transitions, Host(Fraction(price)), DEFAULT_CLASSES)


@pytest.mark.parametrize(
    ("seed", "transitions", "price"),
    [(0, "stored", "1"), (1, "stored", "1"), (3, "stored", "8"), (5, "trial", "4"),
     (7, "stored", "0.125"), (9, "trial", "1")],
)  # fmt: skip
def test_optimum_of_everything(seed: int, transitions: str, price: str) -> None:
    """The plan is proven and costs what the planner finds of everything evaluated, and a sweep."""
    network = small(seed)
    search = proof(network, transitions, price)
    search.run(map)
    known = search.known()
    assert known is not None
    assert known.claim is not None
    spaces = {}
    assert search.closing is not None
    for operator, own in search.closing.pools.items():
        whole = {e.id: options(operator, B2, e) for e in embeddings(operator, B2)}
        spaces[operator] = Space(operator, B2, [], [], whole, [])
        # What a way was taken to cost at the least, its program does not undercut.
        for way in own.ways:
            if way.number >= 0:
                cycles = [o.cycles for o in whole[way.option.embedding.id]]
                assert any(way.cycles <= c for c in cycles) or not cycles
    everything = assemble(network, B2, spaces, search.rule, search.host, {})
    best = solve(everything.problem, Wishes()).plans[0]
    assert known.claim.proven
    assert known.claim.cycles == known.planned.plans[0].cost.cycles == best.cost.cycles
    made = certificate(known, transitions, search.host)
    assert check(made, network, again=3) == (best.cost.cycles, best.cost.cycles)


def test_numbers_stand_for_vectors(root: Path) -> None:
    """Transitions between all layouts of two nodes cost what the planner says, for each model."""
    network = load(root / "docs" / "small_network.yaml")
    first, second = network.accelerated
    for name in ("stored", "trial"):
        rule, host = model(name), Host(Fraction(1, 8), 3)
        desk, alike = Desk(network, B2, rule), rule.empty == "alike"
        sides = []
        for node, operand_name in ((first, "output"), (second, "data")):
            view = node.output if operand_name == "output" else node.views[operand_name]
            tensor = node.operator.out if view is node.output else operand(node.operator, "data")
            found = []
            for embedding in embeddings(node.operator, B2)[::29]:
                for design in designs(node.operator, B2, gemm_intrinsic(B2), embedding):
                    layouts = {x.tensor.name: x for x in design.layouts}
                    layout = replace(layouts[operand_name], role=None, tensor=tensor)
                    held = laying.held(layout, view, strict=alike)
                    found.append((desk.lay(layout, view, False), held, desk.vector(layout)))
            sides.append(found)
        for there, written, _ in sides[0][::3]:
            for here, wanted, vector in sides[1]:
                expected = passed(there, here, rule, host, by_host=False)[1].cycles
                made = vectors.Written.of(written, there.size, alike=alike)
                read = vectors.Read.of(wanted, here.size, vector, alike=alike)
                assert vectors.cycles(made, read, host) == expected


def test_limits_and_jokers() -> None:
    """Ways are the layouts up to the limit, and the joker costs what no other one undercuts."""
    operator = small(2).accelerated[0].operator
    own = pool(operator, B2, DEFAULT_CLASSES)
    floors = [floor for floor, _ in own.ordered]
    assert floors == sorted(floors)
    intrinsic = gemm_intrinsic(B2)
    costs = {
        (embedding.id, number): max(floor, least)
        for floor, embedding in own.ordered
        for number, design in enumerate(designs(operator, B2, intrinsic, embedding))
        if (least := bound(design)) is not None
    }
    for limit in (floors[0], sorted(costs.values())[len(costs) // 2], max(costs.values())):
        while asked := list(own.questions(limit)):
            for question in asked:
                own.take(bounds(question))
        own.reach(limit)
        listed = {(w.option.embedding.id, w.number): w.cycles for w in own.ways if w.number >= 0}
        assert listed == {key: cycles for key, cycles in costs.items() if cycles <= limit}
        assert own.joker == min((c for c in costs.values() if c > limit), default=None)


def test_bounds_of_programs(root: Path) -> None:
    """No program undercuts its bound; layouts that are told to share programs do."""
    operator = load(root / "docs" / "small_network.yaml").accelerated[0].operator
    chosen = tuple(embeddings(operator, B2)[::30])
    cycles: dict[bytes, int | None] = {}
    for embedding, found in zip(chosen, bounds(Bounding(operator, B2, chosen)), strict=True):
        made = list(designs(operator, B2, gemm_intrinsic(B2), embedding))
        for design, (least, key) in zip(made, found, strict=True):
            best = search(design).best
            own = None if best is None else best.cycles
            assert least is not None or own is None
            assert own is None or least is None or least <= own
            assert cycles.setdefault(key, own) == own
    assert len(cycles) < sum(map(len, bounds(Bounding(operator, B2, chosen))))


def test_two_processes() -> None:
    """Searches that two processes share give the same certificate, byte for byte."""
    made = []
    for jobs in (1, 2):
        search = proof(small(3), "stored")
        with running(jobs) as run:
            search.run(run)
        known = search.known()
        assert known is not None
        made.append(text(certificate(known, "stored", search.host)))
    assert made[0] == made[1]


@pytest.mark.parametrize("number", range(4))
def test_touched(number: int) -> None:
    """It is what the products of a strided, a dilated, a padded and a plain convolution read."""
    net = Builder("net", "terms")
    data = net.given("data", 1, 2, 7, 7)
    kernel, stride, pad = [(1, 2, 0), (2, 3, 0), (3, 1, 1), (3, 1, 0)][number]
    node = net.build(net.conv("conv", data, 2, kernel, stride=stride, pad=pad)).accelerated[0]
    computation = node.operator.computation
    read = set()
    names = [dim.name for dim in computation.dims]
    for point in product(*(range(dim.extent) for dim in computation.dims)):
        values = dict(zip(names, point, strict=True))
        index = tuple(row.at(values, 0) for row in computation.in0.index)
        if all(0 <= i < n for i, n in zip(index, computation.in0.shape, strict=True)):
            read.add(index)
    assert touched(node.operator, computation.in0.name) == len(read)


def test_ended_early(root: Path) -> None:
    """A search that is ended after a round gives its best plan, and how far that may be off."""
    search = proof(load(root / "docs" / "small_network.yaml"), "stored")
    search.run(map, seconds=0)
    known = search.known(interrupted=True)
    assert known is not None
    assert known.claim is not None
    assert not known.claim.proven
    assert 0 < known.claim.bound < known.claim.cycles == known.planned.plans[0].cost.cycles
    assert "at most" in " ".join(known.claim.lines())


def test_what_cannot_be_asked(root: Path) -> None:
    """Pins, other first preferences, and transitions in which orders count are refused by name."""
    network = load(root / "docs" / "small_network.yaml")
    search = proof(network, "stored")
    with pytest.raises(InputError, match="--pin"):
        search.check({"--pin": ["conv1=x"]})
    with pytest.raises(InputError, match="cycles first"):
        replace(search, wishes=Wishes(prefer=("memory",))).check({})
    with pytest.raises(InputError, match="repack"):
        proof(network, "repack").check({})
    with pytest.raises(InputError, match="conv3"):
        handed(network, ["conv3"])


def test_handed_to_the_host(root: Path) -> None:
    """A node that is handed to the host is planned as any of the host's: with plain tensors."""
    network = handed(load(root / "docs" / "small_network.yaml"), ["conv1"])
    assert [node.name for node in network.accelerated] == ["conv2"]
    search = proof(network, "stored")
    search.run(map)
    known = search.known()
    assert known is not None
    assert known.claim is not None
    assert known.claim.proven
    assert known.assembled.hosts["conv1"] == "handed to it"
