"""Conflicts: minimal, true, and with the nearest answer once a requirement is given up."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import explorer
from explorer.embedding.facts import CLASSES, metric_term
from explorer.embedding.metrics import MORE_IS_BETTER, ROLES_BY_NAME, Metric, Wishes
from explorer.embedding.solver import Solver
from explorer.preference.conflicts import UTILISATION, conflict, explain
from explorer.preference.parsing import parse_requirements
from explorer.preference.problem import Problem
from isa.computation import Operator
from isa.config import Config
from tests.strategies import configs, operators

DEMANDS = (
    "dense", "no-im2col", "no-padding", "no-swap", "no-strided", "no-multi", "no-fused", "no-skew",
    "no-diagonal", "min-utilisation=0.9", "max-steps=2", "max-footprint=64", "max-transform=0",
    "max-duplication=0", "keep",
)  # fmt: skip
ONE_CHANNEL = "conv2d:n=1,c=1,h=32,w=32,k=16,r=3,s=3,pad=1"


@st.composite
def demands(draw: st.DrawFn, operator: Operator) -> list[str]:
    """Requirements of every kind."""
    names = draw(st.sets(st.sampled_from(DEMANDS), min_size=2, max_size=5))
    tensor = draw(st.sampled_from(sorted(ROLES_BY_NAME)))
    letters = operator.computation.tensor(ROLES_BY_NAME[tensor]).letters
    layout = f"{letters}{draw(st.sampled_from([4, 16]))}{draw(st.sampled_from(letters)).lower()}"
    return [f"keep-{tensor}-layout={layout}" if n == "keep" else n for n in sorted(names)]


@settings(max_examples=40)
@given(st.data(), operators(3), configs(), st.sets(st.sampled_from(sorted(CLASSES))))
def test_conflicts_are_minimal_and_relaxations_the_nearest(
    data: st.DataObject, operator: Operator, config: Config, classes: set[str]
) -> None:
    """No answer meets the requirements named, and one meets them as soon as any is left out.

    The answer told is the nearest, by the metric told, of all that meet the other requirements.
    """
    names = sorted(classes | {"padded"})
    texts = data.draw(demands(operator))
    lanes = config.batch * config.block_in * config.block_out
    wishes = Wishes(requirements=parse_requirements(texts, operator.computation, lanes))
    program = Problem(operator, config, wishes, names).search()
    assume(not program.is_satisfiable())
    terms = conflict(program)
    assert terms or not program.is_satisfiable(program.requirements)
    others = program.requirements.keys() - set(terms)
    assert not program.is_satisfiable(others)
    assert all(program.is_satisfiable(others | {name}) for name in terms)
    found = explain(Problem(operator, config, wishes, names), program)
    assert set(found.requirements) <= set(texts)
    compared: dict[Metric, Solver] = {}
    for term, relaxation in zip(terms, found.relaxations, strict=True):
        metric = program.concerns[term]
        if metric not in compared:
            wanted = replace(wishes, objectives=tuple(dict.fromkeys((metric, UTILISATION))))
            compared[metric] = Problem(operator, config, wanted, names).search()
        assert relaxation.suffices == program.is_satisfiable({term})
        waived = {term} if relaxation.suffices else others | {term}
        values = [values for values, _ in compared[metric].solve("enum", waived=waived).models]
        costs = relaxation.answer.costs
        assert min(values)[0] == costs.get(str(metric_term(metric)), 0)
        assert min(values)[-1] == costs["utilisation"]
        assert relaxation.lacks or term.startswith("max(")
    if found.freest is not None:
        (metric,) = (program.concerns[term] for term in terms)
        assert found.freest.suffices
        best, other = found.freest.value, found.relaxations[0].value
        assert best >= other if metric.name in MORE_IS_BETTER else best <= other


def test_conflicts_in_words() -> None:
    """A conflict is told with the best that each requirement costs, and why."""
    found = explorer.optimize(ONE_CHANNEL, require=["dense", "no-im2col"]).conflict
    assert found is not None
    assert found.lines() == [
        "dense cannot be met",
        "  without dense, the best utilisation is 0.0625 (y=oc:16); axis z has idle lanes (it "
        "admits ic of 1, kh of 3, kw of 3)",
        "  without any requirement, the best utilisation is 0.5625 (y=oc:16/z=kh:3,kw:3); axis z "
        "has idle lanes (it admits ic of 1, kh of 3, kw of 3)",
    ]
    found = explorer.optimize(ONE_CHANNEL, require=["no-im2col", "min-utilisation=0.3"]).conflict
    assert found is not None
    assert found.requirements == ("min-utilisation=0.3", "no-im2col")
    head, low, copied = found.lines()
    assert head == "min-utilisation=0.3 and no-im2col conflict"
    assert low == "  without min-utilisation=0.3, the best utilisation is 0.0625 (y=oc:16)"
    assert copied.startswith("  without no-im2col, the least duplication is ")
    assert copied.endswith("; overlapping windows of the input have copies of their own")


def test_the_classes_alone_may_have_no_answers() -> None:
    """Without padded, an operator that does not fill the axes has no embeddings: no conflict."""
    found = explorer.optimize("gemm:m=1,n=3,k=3", classes=(), require=["dense"]).conflict
    assert found is not None
    assert not found.requirements
    assert found.lines() == ["no embedding of gemm:m=1,n=3,k=3 has these classes alone"]
