"""A small network from candidates to a plan: layouts, transitions, pins, and what it is beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.layout.canonical import contents
from explorer.network.candidates import REFERENCE
from explorer.network.document import load
from explorer.network.graph import Network
from explorer.network.network_plan import NetworkPlan, candidates, plan_network
from explorer.network.problem import Cost
from explorer.network.shipped import shipped
from explorer.network.spaces import Space
from explorer.network.transitions import Host, Laid, lacking, model, models
from explorer.network.wishes import Wishes
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError

B2 = Config.load("b2")
Found = tuple[Network, dict[Operator, Space], dict[str, str]]


@pytest.fixture(scope="module")
def found(root: Path) -> Found:
    """Two convolutions with a residual, and six embeddings of each."""
    network = load(root / "docs" / "small_network.yaml")
    return network, *candidates(network, B2, 6)


def planned(found: Found, name: str = "repack", *pins: str, **limits: int) -> NetworkPlan:
    """The plan under a model of transitions."""
    network, spaces, hosts = found
    bounds: Mapping[str, int] = {k.replace("_", "-"): v for k, v in limits.items()}
    wishes = Wishes(limits=bounds)
    return plan_network(network, B2, spaces, hosts, model(name), Host(), wishes, pins)


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
            held, asked = (Laid("", 0, 1, contents(x).astype(np.int32)) for x in (out, read))
            counted = lacking(held, asked)
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
    with pytest.raises(InputError, match="one of"):
        planned(found, "stored", "conv1=NCHW3n5c")


def test_limits_of_the_host(found: Found) -> None:
    """Copies that plain borders need cannot be forbidden; the least number is told."""
    result = planned(found, "repack", host_copies=1)
    assert result.planned.conflict is not None
    assert "the least host-copies is 2" in result.planned.conflict.lines()[1]


def test_what_cannot_be_programmed_is_the_hosts() -> None:
    """Nodes of several terms are run by the host, with the reason."""
    network = shipped("unet")
    several = next(n for n in network.accelerated if len(n.operator.terms) > 1)
    only = Network("one", several.reads, several.writes, network.tensors, (several,))
    spaces, hosts = candidates(only, B2, 1, DEFAULT_CLASSES)
    assert not spaces
    assert "one term" in hosts[several.name]
    with pytest.raises(InputError, match="programmed"):
        plan_network(only, B2, spaces, hosts, model("repack"), Host(), Wishes())
