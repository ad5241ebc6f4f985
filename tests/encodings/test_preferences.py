"""Metrics, preferences, requirements and Pareto sets against what the materialised arrays say."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.conflicts import conflict
from explorer.encoding import profiles
from explorer.explore import gemm_intrinsic
from explorer.facts import CLASSES
from explorer.operators import resolve
from explorer.optima import design, minima, optimum, pareto, search
from explorer.preferences import (
    ROLES_BY_NAME,
    Keep,
    Metric,
    Wishes,
    logarithm,
    parse_objectives,
    parse_preferences,
    parse_requirements,
)
from isa.computation import ROLES, Operator
from isa.config import Config
from tests.oracles.costs import costs, is_blocked
from tests.strategies import configs, operators

BY_TENSOR = ("footprint", "padding", "duplication", "transform", "packing", "rows", "row_length")
METRICS = (
    *(Metric(name) for name in ("steps", "utilisation", "idle", *BY_TENSOR)),
    *(Metric(name, role) for name in BY_TENSOR for role in ROLES),
)
classes = st.sets(st.sampled_from(sorted(CLASSES))).map(lambda names: sorted(names | {"padded"}))


@settings(max_examples=40)
@given(operators(), configs(), classes, st.booleans(), st.integers(0, 2**32))
def test_every_metric_equals_what_the_arrays_say(
    operator: Operator, config: Config, names: list[str], all_tiles: bool, seed: int
) -> None:
    """The encoding's value of each metric is counted again in the gather maps."""
    wishes = Wishes(levels={0: dict.fromkeys(METRICS, 1)})
    intrinsic = gemm_intrinsic(config)
    program = search(operator, config, intrinsic, wishes, names, all_tiles=all_tiles)
    models = program.solve("enum", most=2000).models
    for _, symbols in random.Random(seed).sample(models, min(8, len(models))):
        answer = program.answer(symbols)
        counted = costs(design(operator, config, intrinsic, answer))
        assert {name: answer.costs.get(name, 0) for name in counted} == counted


@settings(max_examples=15)
@given(operators(3), configs(), classes)
def test_profiles_and_fronts_equal_the_whole_enumeration(
    operator: Operator, config: Config, names: list[str]
) -> None:
    """A profile's optimum is the least of all answers; both methods give their front."""
    intrinsic = gemm_intrinsic(config)
    for path in profiles().values():
        program = search(operator, config, intrinsic, Wishes(rules=(path,)), names)
        values = [value for value, _ in program.solve("enum").models]
        best = program.solve("optN")
        assert best.exhausted
        assert {value for value, _ in best.models} == {min(values)}
        assert len(best.models) == values.count(min(values))
    wishes = Wishes(objectives=parse_objectives("steps,footprint,transform,row-length"))
    cuts = pareto(search(operator, config, intrinsic, wishes, names))
    program = search(operator, config, intrinsic, wishes, names)
    assert cuts.complete
    assert cuts.answers == pareto(program, method="enumerate").answers
    values = [value for value, _ in program.solve("enum").models]
    undominated = {
        a for a in values
        if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in values)
    }  # fmt: skip
    assert set(minima(values)) == undominated
    assert cuts.points == len(undominated)


@settings(max_examples=25)
@given(operators(), configs(), classes, st.data())
def test_a_kept_layout_is_the_layout(
    operator: Operator, config: Config, names: list[str], data: st.DataObject
) -> None:
    """The answers that keep a layout are those whose packed tensor is cut into its blocks."""
    intrinsic = gemm_intrinsic(config)
    name = data.draw(st.sampled_from(sorted(ROLES_BY_NAME)))
    role = ROLES_BY_NAME[name]
    letters = operator.computation.tensor(role).letters
    extents = [config.batch, config.block_in, config.block_out]
    cut = data.draw(st.lists(st.sampled_from(letters), unique=True, max_size=2))
    text = letters + "".join(f"{data.draw(st.sampled_from(extents))}{x.lower()}" for x in cut)
    (keep,) = parse_requirements([f"keep-{name}-layout={text}"], operator.computation, 1)
    assert isinstance(keep, Keep)
    wishes = Wishes(requirements=(keep,))
    program = search(operator, config, intrinsic, wishes, names)
    everything = program.solve("enum", waived=list(program.requirements), most=400)
    kept = {symbols for _, symbols in program.solve("enum").models}
    for _, symbols in everything.models:
        found = design(operator, config, intrinsic, program.answer(symbols))
        (layout,) = [x for x in found.layouts if x.role == role]
        assert (symbols in kept) == is_blocked(layout, keep.blocks)


def test_limits_hold_and_conflicts_are_minimal() -> None:
    """A conflict's requirements have no answer together, and one as soon as any is left out."""
    operator = resolve("conv2d:n=1,c=3,h=12,w=12,k=20,r=3,s=3,pad=1")
    config = Config.default()
    texts = ["dense", "no-im2col", "max-footprint=20k", "min-utilisation=0.5", "no-swap"]
    required = parse_requirements(texts, operator.computation, 256)
    wishes = Wishes(parse_preferences("steps"), required)
    program = search(operator, config, gemm_intrinsic(config), wishes)
    assert not optimum(program).answers
    found = conflict(program)
    assert found
    others = program.requirements.keys() - found
    assert not program.is_satisfiable(others)
    assert all(program.is_satisfiable({*others, name}) for name in found)
    met = optimum(program, waived=[*others, found[0]]).answers[0]
    assert met.embedding.id


def test_limits_hold_and_are_attained() -> None:
    """An answer at a limit is let through, and one beyond is not."""
    operator = resolve("conv2d:n=1,c=3,h=12,w=12,k=20,r=3,s=3,pad=1")
    config = Config.default()
    intrinsic = gemm_intrinsic(config)
    least = search(operator, config, intrinsic, Wishes(parse_preferences("footprint")))
    value = optimum(least).answers[0].costs["footprint"]
    for limit, found in ((value, 1), (value - 1, 0)):
        required = parse_requirements([f"max-footprint={limit}"], operator.computation, 256)
        wishes = Wishes(parse_preferences("steps"), required)
        assert len(optimum(search(operator, config, intrinsic, wishes)).answers) == found


def test_logarithms_add_up_and_keep_the_order() -> None:
    """Equal products have equal sums; far apart, numbers keep their order."""
    assert logarithm(6) + logarithm(35) == logarithm(210) == logarithm(14) + logarithm(15)
    sums = [logarithm(number) for number in range(1, 3000)]
    assert sums == sorted(set(sums))
