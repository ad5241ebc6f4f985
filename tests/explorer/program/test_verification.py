"""Programs against the direct reference: any operator, machine, embedding and schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.layout.design import Design, Restrictions, designs
from explorer.operators import resolve
from explorer.program import verification
from explorer.ranking import explore
from explorer.schedule.dma import Infeasible
from explorer.schedule.lowering import lower
from explorer.schedule.space import Schedule, output_loops
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import Column
from isa.program_image import Program
from simulator.functional import run
from simulator.interleaving import POLICIES, Interleaving
from simulator.lint import lint
from tests.strategies import configs, operators, restrictions
from tests.tokens import without_token


@st.composite
def schedules(draw: st.DrawFn, design: Design) -> Schedule:
    """Any schedule of a design, whether or not the search would choose it."""
    extents = [loop.extent for loop in design.nest.outer]
    outputs = output_loops(design)
    reductions = [i for i in range(len(extents)) if i not in outputs]
    return Schedule(
        tuple(draw(st.integers(1, n)) for n in extents),
        (*draw(st.permutations(outputs)), *draw(st.permutations(reductions))),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
    )


def _embedding(data: st.DataObject, operator: Operator, config: Config) -> Embedding:
    classes = data.draw(st.sets(st.sampled_from(sorted(CLASSES)))) | {"padded"}
    intrinsic = explore.gemm_intrinsic(config)
    found = enumerate_embeddings(operator.computation, intrinsic, sorted(classes))
    return data.draw(st.sampled_from(found))


@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(operators(5, epilogues=True), configs(), st.data())
def test_any_schedule_of_any_embedding_is_exact(
    operator: Operator, config: Config, data: st.DataObject
) -> None:
    """Every program that can be generated computes the operator, outputs and accumulators.

    It does so in any order of the queues, breaks no rule, and keeps to its restrictions.
    """
    embedding = _embedding(data, operator, config)
    intrinsic = explore.gemm_intrinsic(config)
    design = data.draw(st.sampled_from(list(designs(operator, config, intrinsic, embedding))))
    design = replace(design, restrictions=data.draw(restrictions()))
    try:
        code = lower(design, data.draw(schedules(design)))
    except Infeasible:
        assume(False)
    distance = design.restrictions.safe_distance
    assert not lint(code.program, safe_distance=distance)
    assert len(code.uops) <= design.restrictions.uop_depth(config)
    tensors = verification.random_data(operator, data.draw(st.integers(0, 99)))
    order = Interleaving.parse(data.draw(st.sampled_from(POLICIES)).replace("SEED", "0"))
    assert verification.verify(code, tensors, interleaving=order).exact


@settings(max_examples=40)
@given(operators(5, epilogues=True), configs(), st.data())
def test_the_chosen_schedule_is_exact(
    operator: Operator, config: Config, data: st.DataObject
) -> None:
    """What the search picks computes the operator, and takes no fewer cycles than the bound."""
    embedding = _embedding(data, operator, config)
    free = explore.evaluate(operator, config, embedding)
    kept = data.draw(restrictions())
    restricted = explore.evaluate(operator, config, embedding, restrictions=kept)
    for evaluation in (free, restricted):
        if evaluation.scheduled is None or evaluation.bound is None:
            continue
        assert evaluation.scheduled.cycles >= evaluation.bound
        assert verification.verify(evaluation.code, verification.random_data(operator)).exact
        distance = evaluation.design.restrictions.safe_distance
        assert not lint(evaluation.code.program, safe_distance=distance)


def test_restrictions_cost_little() -> None:
    """A layer has a program that accumulates no closer than 8 micro-ops, and one for Chisel."""
    operator, config = resolve("conv2d:n=1,c=32,h=14,w=14,k=32,r=3,s=3,pad=1"), Config.default()
    embedding = explore.find(operator, config, "reference")
    free, spaced, chisel = (
        explore.evaluate(operator, config, embedding, restrictions=kept)
        for kept in (
            explore.UNRESTRICTED,
            Restrictions(safe_distance=8),
            Restrictions.of("chisel", 1, config),
        )
    )
    assert free.scheduled is not None
    assert spaced.scheduled is not None
    assert chisel.scheduled is not None
    assert lint(free.code.program, safe_distance=8)
    assert not lint(spaced.code.program, safe_distance=8)
    assert not lint(chisel.code.program, target="chisel")
    assert spaced.scheduled.cycles < 1.1 * free.scheduled.cycles


def test_a_generated_program_that_lacks_a_token_races() -> None:
    """Whichever token is taken from a program: if orders then disagree, a race is reported."""
    config = Config.default()
    operator = resolve("conv2d:n=1,c=32,h=14,w=14,k=32,r=3,s=3,pad=1,bias=1")
    code = explore.evaluate(operator, config, explore.find(operator, config, "reference")).code
    inputs = verification.packed(code, verification.random_data(operator))
    pushes = code.table[:, [Column.PUSH_PREV, Column.PUSH_NEXT]].sum()
    differ = 0
    for place in range(pushes):
        table = without_token(code.table, place)
        program = Program.build(config, table, code.uops, code.sizes)
        results = {
            run(
                program, inputs, portable=False, interleaving=Interleaving.parse(order)
            ).image.tobytes()
            for order in ("program", "eager-load", "lazy-store", "random:0", "random:1")
        }
        differ += len(results) > 1
        assert len(results) == 1 or "race" in {finding.rule for finding in lint(program)}
    assert differ > pushes / 2


def test_few_outputs_are_accumulated_by_instructions_of_their_own() -> None:
    """Where a tile has fewer outputs than the distance, no instruction uses one twice."""
    operator, config = resolve("gemm:m=1,n=10,k=84"), Config.default()
    embedding = explore.find(operator, config, "reference")
    code = explore.evaluate(
        operator, config, embedding, restrictions=Restrictions(safe_distance=4)
    ).code
    assert not lint(code.program, safe_distance=4)
    assert verification.verify(code, verification.random_data(operator)).exact


def test_chisel_has_a_batch_of_1() -> None:
    """A configuration of which there is no Chisel design is refused by its batch."""
    with pytest.raises(InputError, match="b4: LOG_BATCH: 2"):
        Restrictions.of("chisel", 1, Config.load("b4"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "embedding"),
    [
        ("deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2", "y=oc:16/z=kh:5,kw:3"),
        ("deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2", "reference"),
        ("deepbench:conv/server/n1_c3_h224_w224_k64_r7_s7_p3x3_st2x2", "y=oc:16/z=kh:7,kw%2"),
        ("resnet18:C5", "swap/y=ow:14/z=ic:16"),
    ],
)
def test_full_size_layers_are_exact(operator: str, embedding: str) -> None:
    """Whole DeepBench and ResNet layers, executed in full."""
    op, config = resolve(operator), Config.default()
    found = explore.find(op, config, embedding)
    evaluation = explore.evaluate(op, config, found, fixed_layout=embedding == "reference")
    verdict = verification.verify(evaluation.code, verification.random_data(op), accumulators=False)
    assert verdict.exact
    assert not lint(evaluation.code.program)
