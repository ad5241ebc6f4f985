"""Metrics, preferences, requirements and Pareto sets against what the materialised arrays say."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import clingo
import pytest
from clingo import Symbol
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding import solver
from explorer.embedding.control import held_back
from explorer.embedding.facts import CLASSES
from explorer.embedding.metrics import ROLES_BY_NAME, Keep, Metric, Wishes
from explorer.embedding.rule_files import profiles
from explorer.embedding.solver import Solver, Values
from explorer.embedding.step_costs import logarithm
from explorer.operators import resolve
from explorer.preference.conflicts import conflict
from explorer.preference.optima import Method, design, minima, optimum, pareto
from explorer.preference.parsing import parse_objectives, parse_preferences, parse_requirements
from explorer.preference.problem import Problem
from explorer.ranking.explore import gemm_intrinsic
from isa.computation import ROLES, Operator
from isa.config import Config
from tests import seeded
from tests.oracles.costs import costs, distance, is_blocked
from tests.strategies import configs, operators

BY_TENSOR = ("footprint", "padding", "duplication", "transform", "packing", "rows", "row_length")
METRICS = (
    *(Metric(name) for name in ("steps", "utilisation", "idle", *BY_TENSOR)),
    *(Metric(name, role) for name in BY_TENSOR for role in ROLES),
)
classes = st.sets(st.sampled_from(sorted(CLASSES))).map(lambda names: sorted(names | {"padded"}))
skewed_or_any = classes.map(lambda names: sorted({*names, "skewed"})) | classes

SMALL = "conv2d:n=1,c=3,h=12,w=12,k=20,r=3,s=3,pad=1"
LARGE = "conv2d:n=16,c=64,h=112,w=112,k=128,r=3,s=3,pad=1"  # of DeepBench


def is_skew(symbol: Symbol) -> bool:
    """Whether an atom places a skewed digit."""
    return symbol.match("place", 5) and symbol.arguments[2].match("skew", 2)


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_equals_what_the_arrays_say(seed: int) -> None:
    """The encoding's value of each metric is counted again in the gather maps."""

    def check(
        operator: Operator, config: Config, names: list[str], all_tiles: bool, chance: int
    ) -> None:
        wishes = Wishes(levels={0: dict.fromkeys(METRICS, 1)})
        intrinsic = gemm_intrinsic(config)
        program = Problem(operator, config, wishes, names, all_tiles=all_tiles).search()
        models = [symbols for _, symbols in program.solve("enum", most=2000).models]
        # Thousands of answers are made of a few hundred atoms, each of which is looked at once.
        skews = set()
        if "skewed" in names:
            skews = {symbol for symbol in set().union(*models) if is_skew(symbol)}
        skewed = [symbols for symbols in models if skews and not skews.isdisjoint(symbols)]
        draw = random.Random(chance)
        sample = draw.sample(skewed, min(8, len(skewed))) + draw.sample(models, min(6, len(models)))
        for symbols in sample:
            answer = program.answer(symbols)
            counted = costs(design(operator, config, intrinsic, answer))
            assert {name: answer.costs.get(name, 0) for name in counted} == counted

    drawn = operators(), configs(), skewed_or_any, st.booleans(), st.integers(0, 2**32)
    seeded.run(check, seed, 6, *drawn)


@settings(max_examples=8)
@given(operators(3), configs(), classes)
def test_profiles_and_fronts_equal_the_whole_enumeration(
    operator: Operator, config: Config, names: list[str]
) -> None:
    """A profile's optimum is the least of all answers; both methods give their front."""
    for path in profiles().values():
        program = Problem(operator, config, Wishes(rules=(path,)), names).search()
        values = [value for value, _ in program.solve("enum").models]
        best = program.solve("optN")
        assert best.exhausted
        assert {value for value, _ in best.models} == {min(values)}
        assert len(best.models) == values.count(min(values))
    wishes = Wishes(objectives=parse_objectives("steps,footprint,transform,row-length"))
    cuts = pareto(Problem(operator, config, wishes, names).search())
    program = Problem(operator, config, wishes, names).search()
    assert cuts.complete
    assert cuts.answers == pareto(program, method="enumerate").answers
    values = [value for value, _ in program.solve("enum").models]
    undominated = {
        a for a in values
        if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in values)
    }  # fmt: skip
    assert set(minima(values)) == undominated
    assert cuts.points == len(undominated)


def kept(
    operator: Operator, config: Config, names: Sequence[str], tensor: str, layout: str
) -> tuple[Solver, Keep]:
    """The problem of keeping a layout, with the distance from it as a preference."""
    text = f"keep-{tensor}-layout={layout}"
    (keep,) = parse_requirements([text], operator.computation, 1)
    assert isinstance(keep, Keep)
    wishes = Wishes({0: {Metric("distance", keep.role): 1}}, (keep,))
    return Problem(operator, config, wishes, names).search(), keep


@st.composite
def given_layouts(draw: st.DrawFn, operator: Operator, config: Config) -> tuple[str, str]:
    """A tensor and a layout for it, with up to two blocks."""
    tensor = draw(st.sampled_from(sorted(ROLES_BY_NAME)))
    letters = operator.computation.tensor(ROLES_BY_NAME[tensor]).letters
    extents = st.sampled_from([config.batch, config.block_in, config.block_out])
    cut = draw(st.lists(st.sampled_from(letters), unique=True, max_size=2))
    return tensor, letters + "".join(f"{draw(extents)}{x.lower()}" for x in cut)


@settings(max_examples=15)
@given(operators(), configs(), classes, st.data())
def test_a_kept_layout_is_the_layout(
    operator: Operator, config: Config, names: list[str], data: st.DataObject
) -> None:
    """The answers that keep a layout are those whose packed tensor is cut into its blocks."""
    program, keep = kept(operator, config, names, *data.draw(given_layouts(operator, config)))
    everything = program.solve("enum", waived=list(program.requirements), most=400)
    keeping = {symbols for _, symbols in program.solve("enum").models}
    for _, symbols in everything.models:
        found = design(operator, config, gemm_intrinsic(config), program.answer(symbols))
        (layout,) = [x for x in found.layouts if x.role == keep.role]
        assert (symbols in keeping) == is_blocked(layout, keep.blocks)


@settings(max_examples=30)
@given(operators(), configs(), classes, st.data(), st.integers(0, 2**32))
def test_distances_are_what_the_arrays_say(
    operator: Operator, config: Config, names: list[str], data: st.DataObject, seed: int
) -> None:
    """The distance from a given layout is counted again in the gather map; 0 is no difference."""
    program, keep = kept(operator, config, names, *data.draw(given_layouts(operator, config)))
    models = program.solve("enum", waived=list(program.requirements), most=1000).models
    for _, symbols in random.Random(seed).sample(models, min(40, len(models))):
        answer = program.answer(symbols)
        found = design(operator, config, gemm_intrinsic(config), answer)
        (layout,) = [x for x in found.layouts if x.role == keep.role]
        counted = distance(layout, keep.blocks)
        assert answer.costs.get(f"of(distance,{keep.role})", 0) == counted
        assert (counted == 0) == is_blocked(layout, keep.blocks)


CONV = "conv2d:n=1,c=3,h=4,w=4,k=8,r=3,s=3,pad=1"
WIDE, FLAT, CUBE = (0, 4, 4), (2, 4, 4), (2, 2, 2)  # logarithms of BATCH, BLOCK_IN, BLOCK_OUT
HARD = [
    # Two idle axes: each pads one row, and one row pads one axis.
    ("gemm:m=1,n=1,k=3", CUBE, "output=MN4m4n", "z=k:3", "", 0),
    ("gemm:m=1,n=1,k=3", CUBE, "output=MN4m", "z=k:3", "", 1),
    ("gemm:m=1,n=1,k=3", CUBE, "output=MN4n", "z=k:3", "", 1),
    ("gemm:m=1,n=1,k=3", CUBE, "input=MK4m", "scalar", "", 1),
    ("bmm:b=1,m=1,n=3,k=3", CUBE, "output=BMN4m4b", "z=k:3", "", 0),
    ("bmm:b=1,m=1,n=3,k=3", CUBE, "output=BMN4m4b", "y=n:3/z=k:3", "", 2),
    # A row on the diagonal of two axes has a block on one of them.
    ("bmm:b=3,m=2,n=2,k=2", CUBE, "input=BMK4b", "x+z=b:3", "", 1),
    # What is left of h is its block.
    ("conv2d:n=1,c=1,h=2,w=1,k=2,r=2,s=1,pad=2x0,stride=2", CUBE, "input=NCHW4n4h", "z=kh:2",
     "trim", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "logs", "layout", "embedding", "choices", "number"),
    [
        # Rows of h and w are joined and trimmed: c lies on z, as given.
        (CONV, WIDE, "input=NCHW16c", "y=oc:8/z=ic:3", "share trim", 0),
        (CONV, WIDE, "input=NCHW1n16c", "y=oc:8/z=ic:3", "share trim", 0),
        # h and w have 6 values, of which 4 are given; or two coordinates each.
        (CONV, WIDE, "input=NCHW16c", "y=oc:8/z=ic:3", "share", 2),
        (CONV, WIDE, "input=NCHW16c", "y=oc:8/z=ic:3", "", 2),
        # c is cut, and should not be; but a block lies on z.
        (CONV, WIDE, "input=NCHW", "y=oc:8/z=ic:3", "share trim", 1),
        (CONV, WIDE, "input=NCHW8c", "y=oc:8/z=ic:3", "share trim", 1),
        # c is not cut, and no block lies on z.
        (CONV, WIDE, "input=NCHW16c", "y=oc:8", "share trim", 2),
        # h is cut in place of c.
        (CONV, WIDE, "input=NCHW16c", "y=oc:8/z=kh:3", "share trim", 2),
        # c and h are cut, and neither has z for itself.
        (CONV, WIDE, "input=NCHW16c", "y=oc:8/z=ic:3,kh:3", "share trim", 3),
        # The idle lanes of x pad n to a block if that is given; the order of the blocks counts.
        (CONV, FLAT, "input=NCHW16c", "y=oc:8/z=ic:3", "share trim", 1),
        (CONV, FLAT, "input=NCHW4n16c", "y=oc:8/z=ic:3", "share trim", 0),
        (CONV, FLAT, "input=NCHW16c4n", "y=oc:8/z=ic:3", "share trim", 1),
        # h is cut in place of n.
        (CONV, FLAT, "input=NCHW4n16c", "x=oh:4/y=oc:8/z=ic:3", "share trim", 2),
        (CONV, WIDE, "weight=OIHW16o16i", "y=oc:8/z=ic:3", "share trim", 0),
        (CONV, WIDE, "weight=OIHW16i16o", "y=oc:8/z=ic:3", "share trim", 1),
        (CONV, WIDE, "weight=OIHW16i", "y=oc:8/z=ic:3", "share trim", 1),
        (CONV, WIDE, "weight=OIHW", "y=oc:8/z=ic:3", "share trim", 2),
        (CONV, WIDE, "output=NCHW16c", "y=oc:8/z=ic:3", "share trim", 0),
        (CONV, FLAT, "output=NCHW4n16c", "y=oc:8/z=ic:3", "share trim", 0),
        (CONV, FLAT, "output=NHWC", "y=oc:8/z=ic:3", "share trim", 2),
        *HARD,
    ],
)  # fmt: skip
def test_distances_counted_by_hand(
    operator: str,
    logs: tuple[int, int, int],
    layout: str,
    embedding: str,
    choices: str,
    number: int,
) -> None:
    """Rows that are cut otherwise, axes without a block and a wrong order count one each."""
    batch, block_in, block_out = logs
    config = replace(
        Config.default(),
        log_batch=batch,
        log_block_in=block_in,
        log_block_out=block_out,
        log_inp_buff_size=batch + block_in + 5,
        log_wgt_buff_size=block_in + block_out + 4,
        log_acc_buff_size=batch + block_out + 6,
    )
    problem = resolve(operator)
    names = ["padded", *["multi"] * ("," in embedding), *["diagonal"] * ("+" in embedding)]
    program, keep = kept(problem, config, names, *layout.split("="))
    for _, symbols in program.solve("enum", waived=list(program.requirements)).models:
        answer = program.answer(symbols)
        chosen = ("share" in choices, "trim" in choices)
        if answer.embedding.id == embedding and chosen == (
            "in0" in answer.shared,
            "in0" in answer.trimmed,
        ):
            found = design(problem, config, gemm_intrinsic(config), answer)
            (packed,) = [x for x in found.layouts if x.role == keep.role]
            assert distance(packed, keep.blocks) == number
            assert is_blocked(packed, keep.blocks) == (number == 0)
            assert answer.costs.get(f"of(distance,{keep.role})", 0) == number
            return
    pytest.fail(f"{embedding} is no answer")


def test_limits_hold_and_conflicts_are_minimal() -> None:
    """A conflict's requirements have no answer together, and one as soon as any is left out."""
    operator = resolve(SMALL)
    config = Config.default()
    texts = ["dense", "no-im2col", "max-footprint=20k", "min-utilisation=0.5", "no-swap"]
    required = parse_requirements(texts, operator.computation, 256)
    wishes = Wishes(parse_preferences("steps"), required)
    program = Problem(operator, config, wishes).search()
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
    operator = resolve(SMALL)
    config = Config.default()
    least = Problem(operator, config, Wishes(parse_preferences("footprint"))).search()
    value = optimum(least).answers[0].costs["footprint"]
    for limit, found in ((value, 1), (value - 1, 0)):
        required = parse_requirements([f"max-footprint={limit}"], operator.computation, 256)
        wishes = Wishes(parse_preferences("steps"), required)
        assert len(optimum(Problem(operator, config, wishes).search()).answers) == found


def front_of_small() -> Solver:
    """A problem whose front has some twenty points."""
    config = Config.default()
    wishes = Wishes(objectives=parse_objectives("steps,footprint.input,padding,row-length"))
    classes = ("padded", "multi", "strided")
    return Problem(resolve(SMALL), config, wishes, classes).search()


@pytest.mark.parametrize("method", ["cuts", "enumerate"])
def test_a_limited_front_is_a_prefix(method: Method) -> None:
    """The points that a limit leaves are the front's first ones, with all of their answers."""
    whole = pareto(front_of_small(), method="enumerate")
    points = [tuple(answer.costs.items()) for answer in whole.answers]
    assert whole.complete
    assert whole.points == len(set(points)) > 3
    for limit in (0, 3):
        found = pareto(front_of_small(), method=method, limit=limit)
        assert found.points == limit
        assert found.proven
        assert not found.complete
        assert found.answers == whole.answers[: len(found.answers)]
        assert not set(points[: len(found.answers)]) & set(points[len(found.answers) :])


@contextmanager
def ctrl_c_at_the_first_answer() -> Iterator[None]:
    """Ctrl-C comes when the solver has given an answer, and it goes on once that is known."""
    known: list[Event] = []
    symbols = clingo.Model.symbols

    @contextmanager
    def noted() -> Iterator[Event]:
        with held_back() as pressed:
            known.append(pressed)
            yield pressed

    def given(model: clingo.Model, **options: bool) -> Sequence[clingo.Symbol]:
        if not known[-1].is_set():  # once: nobody holds back one that comes later
            os.kill(os.getpid(), signal.SIGINT)
            known[-1].wait()
        return symbols(model, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clingo.Model, "symbols", given)
        patch.setattr(solver, "held_back", noted)
        yield


def test_ctrl_c_between_runs_keeps_the_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points are given that were found before Ctrl-C came while the next cut was grounded."""
    whole = pareto(front_of_small(), method="enumerate")
    cut = Solver.cut

    def interrupted(program: Solver, point: int, values: Values) -> None:
        if point == 2:
            raise KeyboardInterrupt
        cut(program, point, values)

    monkeypatch.setattr(Solver, "cut", interrupted)
    found = pareto(front_of_small(), method="cuts")
    assert found.proven
    assert not found.complete
    assert found.points == 3
    assert found.answers == whole.answers[: len(found.answers)]


def test_ctrl_c_ends_a_run_with_what_it_has_found() -> None:
    """A run that Ctrl-C ends gives its answers so far, and claims no more than it has proven."""
    config = replace(Config.default(), log_batch=2)
    wishes = Wishes(parse_preferences("transform.weight"))  # all answers have 0: it is constant
    classes = ("padded", "multi", "strided", "swapped")
    program = Problem(resolve(LARGE), config, wishes, classes, all_tiles=True).search()
    with ctrl_c_at_the_first_answer():
        found = program.solve("enum")
    assert found.interrupted
    assert not found.exhausted
    assert found.models
    with ctrl_c_at_the_first_answer():
        best = optimum(program, everything=True)
    assert best.answers
    assert not best.complete
    assert not program.solve("enum", most=1).interrupted


def test_logarithms_add_up_and_keep_the_order() -> None:
    """Equal products have equal sums; far apart, numbers keep their order."""
    assert logarithm(6) + logarithm(35) == logarithm(210) == logarithm(14) + logarithm(15)
    sums = [logarithm(number) for number in range(1, 3000)]
    assert sums == sorted(set(sums))
