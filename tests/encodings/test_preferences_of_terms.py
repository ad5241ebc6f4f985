"""Metrics, requirements and fronts of operators of several terms, against packed arrays."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from explorer.embedding.facts import CLASSES, check_separable, check_skewable
from explorer.embedding.metrics import Metric, Wishes, parse_tensor, tensor_name
from explorer.layout.design import designs
from explorer.operators import resolve
from explorer.preference.optima import design, minima, pareto
from explorer.preference.outcome import optimize
from explorer.preference.parsing import parse_objectives, wish
from explorer.preference.problem import Problem
from explorer.ranking.explore import gemm_intrinsic
from isa.computation import Computation, Operator, Term
from isa.config import Config
from isa.errors import InputError
from tests.encodings.test_preferences import BY_TENSOR
from tests.oracles.costs import costs
from tests.strategies import configs
from tests.tiny import sums

INPUTS = [(role, term) for term in (0, 1) for role in ("in0", "in1")]
METRICS = (
    *(Metric(name) for name in ("steps", "utilisation", "idle", *BY_TENSOR)),
    *(Metric(name, *parsed) for name in BY_TENSOR for parsed in [parse_tensor("output")] if parsed),
    *(
        Metric(name, *parsed)
        for name in BY_TENSOR
        for text in ("input", "weight", "input2", "weight2")
        if (parsed := parse_tensor(text))
    ),
)
CONCAT = "conv2d:n=1,c=12,h=6,w=6,k=16,r=3,s=3,pad=1,concat=8+4"


@settings(max_examples=12)
@given(
    sums().filter(lambda terms: len(terms) > 1),
    configs(),
    st.sets(st.sampled_from(sorted(CLASSES))).map(lambda names: sorted(names | {"padded"})),
    st.integers(0, 2**32),
)
def test_every_metric_of_several_terms_equals_what_the_arrays_say(
    terms: list[Computation], config: Config, names: list[str], seed: int
) -> None:
    """Steps and idle lanes of all terms, and each of their tensors, are counted in gather maps."""
    operator = Operator("sum", "sum", tuple(Term(term) for term in terms))
    assume(all(is_told_apart(term, names) for term in terms))
    program = Problem(operator, config, Wishes({0: dict.fromkeys(METRICS, 1)}), names).search()
    models = [symbols for _, symbols in program.solve("enum", most=500).models]
    for symbols in random.Random(seed).sample(models, min(5, len(models))):
        answer = program.answer(symbols)
        intrinsic = gemm_intrinsic(config)
        # A skew that widens an output's loop in one term alone has no program, and no layouts.
        if "skewed" in answer.embedding.classes and not any(
            designs(operator, config, intrinsic, answer.embedding)
        ):
            continue
        counted = costs(design(operator, config, intrinsic, answer))
        asked = {name: value for name, value in counted.items() if "term(3" not in name}
        assert {name: answer.costs.get(name, 0) for name in asked} == asked


def is_told_apart(term: Computation, names: list[str]) -> bool:
    """Whether rules on layouts take a term."""
    try:
        check_separable(term)
        if "skewed" in names:
            check_skewable(term)
    except InputError:
        return False
    return True


def test_a_front_of_several_terms_is_that_of_the_enumeration() -> None:
    """Cuts find the points that the comparison of all answers finds."""
    operator, config = resolve(CONCAT), Config.load("block8")
    wishes = Wishes(objectives=parse_objectives("steps,footprint.input2,transform"))
    problem = Problem(operator, config, wishes, ("padded", "multi"))
    cuts = pareto(problem.search())
    program = problem.search()
    values = [value for value, _ in program.solve("enum").models]
    assert cuts.complete
    assert cuts.points == len(minima(values)) > 1
    assert cuts.answers == pareto(program, method="enumerate").answers


def test_layouts_are_required_of_each_term() -> None:
    """The second term's input has the layout that it is given, and a conflict names its tensor."""
    operator, config = resolve(CONCAT), Config.default()
    wishes = wish(operator, config, prefer="steps", require=["keep-input2-layout=NCHW16c"])
    found = optimize(Problem(operator, config, wishes))
    assert (
        found.frame()["input2"].tolist() == ["NCHW1n16c dma-pad"]
        or found.frame()["input2"].str.startswith("NCHW1n16c").all()
    )
    impossible = wish(
        operator, config, prefer="steps", require=["keep-input2-layout=NCHW16c", "dense"]
    )
    conflict = optimize(Problem(operator, config, impossible)).conflict
    assert conflict is not None
    assert "of term 2" in " ".join(conflict.lines())


@pytest.mark.parametrize("text", ["input3", "output2", "weight0", "input1"])
def test_tensors_that_are_not_there_are_refused(text: str) -> None:
    """Each message says which tensors there are."""
    operator, config = resolve(CONCAT), Config.default()
    with pytest.raises(InputError, match="input2"):
        wish(operator, config, require=[f"keep-{text}-layout=NCHW16c"])


def test_names_of_tensors_are_read_as_they_are_written() -> None:
    """The first term's have no number."""
    for role, term in INPUTS:
        assert parse_tensor(tensor_name(role, term)) == (role, term)  # type: ignore[arg-type]


def test_sums_beyond_clingos_integers_are_refused() -> None:
    """Several terms whose steps cannot be counted one by one are refused by their sizes."""
    operator = resolve("conv2d:n=64,c=512,h=112,w=112,k=512,r=3,s=3,pad=1,concat=256+256")
    with pytest.raises(InputError, match="several terms"):
        Problem(operator, Config.default(), wish(operator, Config.default())).search()
