"""Candidates of nodes: which options there are, how they are kept, and that they fit neighbours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explorer.embedding.facts import DEFAULT_CLASSES
from explorer.embedding.joint import Joint
from explorer.embedding.joint_space import JointSpace
from explorer.layout.canonical import form
from explorer.layout.design import designs
from explorer.network.candidates import spaces
from explorer.network.candidates.evaluation import COLUMNS, Request, answer
from explorer.network.candidates.listing import Option, fixed, option, options
from explorer.network.candidates.spaces import survey, usual_classes
from explorer.network.graph import Accelerated, Network, Tensor, View
from explorer.network.plan.network_plan import candidates, plan_network
from explorer.network.plan.transitions import Host, model
from explorer.network.plan.wishes import Wishes
from explorer.operators import resolve
from explorer.ranking.explore import evaluate, floor, gemm_intrinsic
from explorer.schedule.search import search
from isa.config import Config

B2 = Config.load("b2")
JOINING = resolve("conv2d:n=1,c=16,h=6,w=6,k=16,r=3,s=3,pad=1,residual=1,bias=1,bias_bits=8")


def content(found: Option) -> object:
    """All that plans and programs take from an option."""
    layouts = {name: form(layout) for name, layout in found.layouts.items()}
    return layouts, replace(found, layouts={})


def test_options_left_out_are_no_better() -> None:
    """Each design's cycles are those of its own search; where one is missing, another does as well.

    That is one with the same layouts whose residual comes in as int8, or that is added as here.
    """
    embedding = next(e for _, e in survey(JOINING, B2).ordered if e.id == "x=oh%2/y=oc:16/z=ic:16")
    listed = options(JOINING, B2, embedding)
    kept = [(found.origin, found.cycles) for found in listed]
    made = list(designs(JOINING, B2, gemm_intrinsic(B2), embedding))
    assert 0 < len(kept) < len(made)
    for design in made:
        best = search(design).best
        assert best is not None
        if any(design == other for other, _ in kept):
            assert (design, best.cycles) in kept
            continue
        assert any(
            cycles <= best.cycles
            for other, cycles in kept
            if (other.inp, other.wgt) == (design.inp, design.wgt)
            if len(other.alu.dense) <= len(design.alu.dense)
        )
    assert [found.cycles for found in listed] == sorted(found.cycles for found in listed)


def test_rows_have_all_of_an_option() -> None:
    """Options that are made again of rows are those that the search had found."""
    place = survey(JOINING, B2)
    asked = Request(JOINING, B2, tuple(place.ordered), 3, None)
    rows = answer(asked)
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert all(type(row[name]) is kind for row in rows for name, kind in COLUMNS.items())
    place.take(asked, rows)
    assert len(place.evaluated) == 3
    assert [content(o) for o in place.fixed] == [content(o) for o in fixed(JOINING, B2)]
    for several in (*place.evaluated.values(), place.fixed):
        for found in several:
            best = search(found.origin).best
            assert best is not None
            again = option(found.name, best.cycles, best.code.design, best.code.origin, proven=True)
            assert content(found) == content(replace(again, schedule=best.code.schedule))


@pytest.mark.parametrize(
    ("text", "diagonal"),
    [
        ("depthwise2d:n=1,c=8,h=4,w=4,r=3,s=3,pad=1", True),
        ("batched_matmul:b=4,m=2,n=16,k=16", True),
        ("conv2d:n=1,c=8,h=4,w=4,k=16,r=3,s=3,pad=1", False),
        ("gemm:m=4,n=16,k=16", False),
    ],
)
def test_usual_classes(text: str, diagonal: bool) -> None:
    """Diagonal embeddings are candidates where a dimension is one of all three tensors."""
    expected = (*DEFAULT_CLASSES, "diagonal") if diagonal else DEFAULT_CLASSES
    assert usual_classes(resolve(text)) == expected


def test_depthwise_layers_need_no_host() -> None:
    """Between point-wise convolutions, a depthwise one reads and writes what these have."""
    size, texts = (1, 16, 6, 6), ("conv2d:n=1,c=16,h=6,w=6,k=16,r=1,s=1",
                                  "depthwise2d:n=1,c=16,h=6,w=6,r=3,s=3,pad=1")  # fmt: skip
    operators = [resolve(texts[0]), resolve(texts[1]), resolve(texts[0])]
    tensors, nodes = [Tensor("t0", size)], []
    for number, operator in enumerate(operators):
        weight, term = Tensor(f"w{number}", operator.computation.in1.shape, constant=True), operator
        tensors += [weight, Tensor(f"t{number + 1}", size)]
        views = [
            View.plain(term.computation.in0.name, f"t{number}", size),
            View.plain(term.computation.in1.name, weight.name, weight.shape or ()),
        ]
        out = View.plain(term.out.name, f"t{number + 1}", size)
        nodes.append(Accelerated(f"n{number}", operator, tuple(views), out))
    network = Network("separable", ("t0",), ("t3",), tuple(tensors), tuple(nodes))
    config = Config.default()  # one row a step: windows share all their vectors
    spaces, hosts = candidates(network, config, 6)
    assert not hosts
    found = plan_network(network, config, spaces, hosts, model("stored"), Host(), Wishes())
    (best,) = found.planned.plans
    assert best.cost.host_copies == 2  # the network's input and output, which are plain
    assert "c:" in best.choices["n1"]


MANY = resolve("conv2d:n=1,c=8,h=3,w=2,k=8,r=3,s=3,pad=1,concat=2+2+2+2")


def test_very_many_embeddings_are_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several terms some are listed: the first ones, alike ones, and others that read else."""
    monkeypatch.setattr(spaces, "MOST_JOINT", 100)
    monkeypatch.setattr(spaces, "SOME_JOINT", 6)
    place = survey(MANY, B2)
    listed = [embedding for _, embedding in place.ordered]
    assert 6 <= len(listed) <= 18
    assert all(isinstance(embedding, Joint) for embedding in listed)
    assert [floor for floor, _ in place.ordered] == sorted(floor for floor, _ in place.ordered)
    alike = [e for e in listed if isinstance(e, Joint) and len(set(e.terms)) == 1]
    assert 6 <= len(alike) <= len(listed)
    (row, *_) = answer(Request(MANY, B2, tuple(place.ordered), 1, 1))
    assert row["embedding"] in {e.id for e in listed}


def test_layouts_of_many_terms_are_alike() -> None:
    """Where choices of layouts multiply, those are made that are alike in all terms; it is told."""
    terms = [term.computation for term in MANY.terms]
    ((_, embedding),) = JointSpace(terms, gemm_intrinsic(B2)).least(1)
    every = list(designs(MANY, B2, gemm_intrinsic(B2), embedding))
    some = list(designs(MANY, B2, gemm_intrinsic(B2), embedding, most=4))
    assert 0 < len(some) < len(every)
    assert not any(design.partial for design in every)
    assert all(replace(design, partial=False) in every for design in some)
    for design in some:
        inputs = [design.inp, *(inp for inp, _ in design.further)]
        assert len({(layout.halo, layout.is_padded) for layout in inputs}) == 1
    found = evaluate(MANY, B2, embedding, effort=1, known=some)
    assert not found.proven
    assert found.bound == floor(MANY, B2, embedding)
