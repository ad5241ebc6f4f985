"""Conditions, values of parameters, and the configurations of a grid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.study.expression import Expression
from explorer.study.parameters import (
    PARAMETERS,
    Grid,
    configuration,
    label,
    parse_assignment,
    parse_values,
    point_of,
    sizes,
)
from isa.config import PRESETS, Config
from isa.errors import InputError

NAMES = {"a": 3, "b": -2, "c": 0}


@pytest.mark.parametrize(
    "text",
    ["a + b * 2 == -1", "2**a // 3 == 2", "not (a < b) and c == 0", "a > b < c", "1 < a <= 3",
     "a % 2 == 1 or b", "-a + +b", "(a - 1) / 2 == 1.0", "a != b"],
)  # fmt: skip
def test_conditions_mean_what_python_means(text: str) -> None:
    """Arithmetic, comparisons (chained too) and logic have Python's values and priorities."""
    expected = eval(text, {}, dict(NAMES))
    assert Expression.parse(text, "test").holds(NAMES) == bool(expected)


@pytest.mark.parametrize(
    "text",
    ["", "a <", "f(a)", "a.b", "a[0]", "'x' == a", "lambda: a", "[a]", "a if b else c", "a & b",
     "(x := 1)", "True", "__import__('os')", "a is b", "(" * 9000],
)  # fmt: skip
def test_nothing_else_is_a_condition(text: str) -> None:
    """Calls, attributes, texts and all other syntax are refused when the condition is read."""
    with pytest.raises(InputError, match=r"numbers, names"):
        Expression.parse(text, "test")


@pytest.mark.parametrize("text", ["1 / c", "a % c", "10**9**9", "2.0**64**a"])
def test_conditions_without_a_value(text: str) -> None:
    """Division by zero and huge powers name the values at which they happen."""
    with pytest.raises(InputError, match="no value"):
        Expression.parse(text, "test").value(NAMES)


def test_unknown_names_are_refused() -> None:
    """The message has the name and those that there are."""
    with pytest.raises(InputError, match=r"'d' is not allowed; .*a, b, c"):
        Expression.parse("d > 1", "test").check_names(NAMES)


@pytest.mark.parametrize(
    ("text", "values"),
    [("4", (4,)), ("3,5", (3, 5)), ("3..6", (3, 4, 5, 6)), ("8..20/4", (8, 12, 16, 20)),
     (" 5 , 3..4, 5", (5, 3, 4))],
)  # fmt: skip
def test_values(text: str, values: tuple[int, ...]) -> None:
    """Numbers, lists, ranges with both ends, steps, and mixtures; each value once."""
    assert parse_assignment(f"LOG_BLOCK={text}", "test") == ("LOG_BLOCK", values)


@pytest.mark.parametrize(
    ("text", "message"),
    [("LOG_BLOCK=6..3", "the grid is empty"), ("LOG_BLOCK=x", "values are written"),
     ("LOG_BLOCK=", "values are written"), ("LOG_BLOCK=3..5/0", "step must be positive"),
     ("LOG_BLOCK", "NAME=VALUES"), ("BLOCK=3", "the parameters are LOG_BLOCK"),
     ("LOG_BLOCK=99", "0 to 64"), ("LOG_BLOCK=-1", "values are written")],
)  # fmt: skip
def test_values_refused(text: str, message: str) -> None:
    """What is wrong in an assignment is named."""
    with pytest.raises(InputError, match=message):
        parse_assignment(text, "--vary")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_points(preset: str) -> None:
    """A preset's point has a configuration of the same parameters."""
    config = Config.load(preset)
    point = point_of(config)
    assert tuple(point) == PARAMETERS
    again = configuration(point)
    assert point_of(again) == point
    assert again.axes == config.axes
    assert again.timing == config.timing


def test_grid_order() -> None:
    """The last parameter changes fastest; points of the list follow; each occurs once."""
    vary = {"LOG_BLOCK": (3, 4), "BUS_BITS": (64, 128)}
    grid = Grid(Config.default(), vary, ({"BUS_BITS": 64}, {"LOG_BLOCK_IN": 5}))
    shown = [(p["LOG_BLOCK_IN"], p["LOG_BLOCK_OUT"], p["BUS_BITS"]) for p in grid]
    assert shown == [(3, 3, 64), (3, 3, 128), (4, 4, 64), (4, 4, 128), (5, 4, 64)]


def test_no_grid_is_the_base() -> None:
    """Without anything varied there is the base alone; a list alone adds no base."""
    assert list(Grid(Config.default(), {})) == [point_of(Config.default())]
    assert len(list(Grid(Config.default(), {}, ({"LOG_BLOCK": 5},)))) == 1


def test_fetch_batch_follows() -> None:
    """A bus of 128 bits brings more instructions in a burst, unless their number is set."""
    grid = Grid(Config.default(), {"BUS_BITS": (64, 128, 256)})
    assert [p["FETCH_BATCH"] for p in grid] == [8, 16, 16]
    fixed = Grid(Config.default(), {"BUS_BITS": (64, 128), "FETCH_BATCH": (4,)})
    assert [p["FETCH_BATCH"] for p in fixed] == [4, 4]


def test_both_ways_to_set_a_block() -> None:
    """LOG_BLOCK and one of its sides contradict each other."""
    with pytest.raises(InputError, match="LOG_BLOCK already sets both sides"):
        Grid(Config.default(), {"LOG_BLOCK": (3,), "LOG_BLOCK_IN": (4,)}).check("test")


def test_too_large_a_grid() -> None:
    """A grid of more than a million points is refused, not walked through."""
    values = parse_values("0..1000", "test", "MEMORY_LATENCY")
    with pytest.raises(InputError, match="1,000,000"):
        Grid(Config.default(), dict.fromkeys(("MEMORY_LATENCY", "QUEUE_DEPTH"), values)).check("t")


@given(st.lists(st.integers(0, 64), min_size=7, max_size=7))
def test_sizes_without_a_configuration(logs: list[int]) -> None:
    """Sizes and name of a point exist whether or not it can be encoded."""
    point = point_of(Config.default()) | dict(zip(PARAMETERS, logs, strict=False))
    assert sizes(point)["mac_units"] == 2.0 ** sum(logs[:3])
    assert label(point)
    try:
        config = configuration(point)
    except InputError:
        return
    assert sizes(point)["on_chip_bytes"] > config.inp_bytes * config.inp_depth


def test_default_sizes() -> None:
    """VTA's default: 256 lanes; 32 + 32 + 256 + 128 + 32 KiB."""
    size = sizes(point_of(Config.default()))
    assert (size["mac_units"], size["on_chip_bytes"]) == (256, 480 * 1024)
