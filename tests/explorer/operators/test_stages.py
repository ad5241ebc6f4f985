"""Operators as lists of stages: documents, ranges, and what is refused by name."""

from __future__ import annotations

import pytest

from explorer.operators import resolve
from explorer.operators.document import dump, parse
from explorer.operators.stages import check_stages, ranges
from isa.computation import Add, Epilogue, Max, Min, Operator, Shift, Term
from isa.errors import InputError

BLOCK = """
name: block
out: {name: output, shape: [1, 32, 8, 8], letters: NCHW}
stages:
  - term:
      dimensions: {n: 1, oc: 32, oh: 8, ow: 8, ic: 16}
      in0: {name: data, shape: [1, 16, 8, 8], index: [n, ic, oh, ow], letters: NCHW}
      in1: {name: weight, shape: [32, 16], index: [oc, ic], letters: OI}
      out: [n, oc, oh, ow]
  - add: {name: bias, shape: [32], index: [oc], bits: 20}
  - shift: {by: 8, rounding: half-even}
  - max: -128
  - min: 127
  - term:
      dimensions: {n: 1, c: 32, h: 8, w: 8, r: 32}
      in0: {name: residual, shape: [1, 32, 8, 8], index: [n, r, h, w], letters: NCHW}
      in1: {name: identity, shape: [32, 32], index: [c, r], letters: OI}
      out: [n, c, h, w]
  - shift: -1
  - shift: {by: {name: amounts, shape: [32], index: [oc], span: [-2, 9]}, rounding: half-up}
  - add: 3
  - max: 0
"""


def changed(old: str, new: str) -> str:
    """The document with something else in one place."""
    assert BLOCK.count(old) == 1
    return BLOCK.replace(old, new)


def test_a_document_of_stages_is_read_in_order() -> None:
    """Terms and steps stand as they are written, and what is dumped is read again as the same."""
    operator = parse(BLOCK, "block.yaml")
    assert list(map(str, operator.stages)) == [
        "data * weight",
        "+ bias",
        ">> 8 (half-even)",
        "max -128",
        "min 127",
        "residual * identity",
        "<< 1",
        ">> amounts (half-up)",
        "+ 3",
        "max 0",
    ]
    assert [term.computation.extents for term in operator.terms][1]["r"] == 32
    assert parse(dump(operator), "again.yaml") == operator


@pytest.mark.parametrize("shift", [0, 8, 31])
@pytest.mark.parametrize(
    "steps", ["", ",bias=1", ",residual=1", ",relu=1", ",clip=0", ",bias=1,residual=1,relu=1"]
)
def test_epilogues_are_stages(shift: int, steps: str) -> None:
    """What kinds are given becomes stages, and is read from these again."""
    operator = resolve(f"gemm:m=2,n=3,k=4,shift={shift}{steps}")
    epilogue = operator.epilogue
    assert isinstance(operator.stages[0], Term)
    assert epilogue.steps(operator.out) == operator.stages[1:]
    assert (epilogue.shift, epilogue.bias is not None) == (shift, "bias" in steps)
    assert (epilogue.residual, epilogue.relu) == ("residual" in steps, "relu" in steps)
    assert epilogue.clip == (None if "clip" in steps else (-128, 127))
    assert parse(dump(operator), "again.yaml") == operator


def test_steps_in_another_order_are_no_epilogue() -> None:
    """A clip before the shift, a residual of another scale, a rounding: each is only stages."""
    operator = resolve("gemm:m=2,n=3,k=4,residual=1,relu=1")
    term, shift, residual, relu, low, high = operator.stages
    for steps in (
        (low, high, shift, residual, relu),
        (residual, shift, relu, low, high),
        (Shift(8, "half-even"), residual, relu, low, high),
        (shift, residual, Shift(-1), relu, low, high),
        (Add(3), shift),
        (shift, relu, relu),
        (shift, high, low),
    ):
        assert Epilogue.of(steps, operator.out) is None  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"gemm.*this takes a term and then"):
            _ = Operator("gemm", "gemm", (term, *steps)).epilogue


def test_ranges_follow_the_stages() -> None:
    """Each bound is what the extreme inputs give; a sum that may wrap may be anything."""
    term = resolve("gemm:m=1,n=1,k=4").stages[0]
    steps = (Shift(3, "half-up"), Max(-100), Min(5000), Add(-7), Shift(-4))
    operator = Operator("o", "o", (term, *steps))
    low, high = -4 * 128 * 127, 4 * 128 * 128
    assert ranges(operator) == [
        (low, high),
        (low // 8, high // 8),
        (-100, high // 8),
        (-100, 5000),
        (-107, 4993),
        (-107 * 16, 4993 * 16),
    ]
    assert ranges(Operator("o", "o", (term, Shift(-16))))[-1] == (-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (", bits: 20", "", ["stages.2", "half-even", "+ bias", "give the bits"]),
        ("bits: 20", "bits: 33", ["bits", "33", "32"]),
        ("index: [oc], bits", "index: [ic], bits", ["'ic'", "n, oc, oh, ow"]),
        ("span: [-2, 9]", "span: [-9, 9]", ["stages.7", "-9", "8 to the left"]),
        ("span: [-2, 9]", "span: [5, 4]", ["stages.7", "least first"]),
        ("by: 8", "by: 31", ["stages.2", "31", "half-even shifts at most 30"]),
        ("- max: 0", "- max: 4294967296", ["stages.9.max", "4294967296"]),
        ("- max: 0", "- {max: 0, min: 1}", ["stages.9", "one key of"]),
        ("- max: 0", "- {}", ["stages.9", "one key of"]),
        ("name: residual", "name: data", ["'data'", "different names"]),
        ("out: [n, c, h, w]", "out: [n, c, w, h]", ["stages.5.term.out", "n, oc, oh, ow"]),
        (
            "{n: 1, c: 32, h: 8, w: 8, r: 32}",
            "{n: 1, h: 8, w: 8, c: 32, r: 32}",
            ["h: 8", "oc: 32"],
        ),
        ("w: 8, r: 32}", "w: 4, r: 32}", ["stages.5.term.dimensions.w", "4"]),
        ("rounding: half-up", "rounding: up", ["stages.7", "up", "half-even"]),
    ],
)
def test_what_cannot_be_is_refused_by_name(old: str, new: str, parts: list[str]) -> None:
    """The error names the document, the stage, the value and what is allowed."""
    with pytest.raises(InputError) as caught:
        parse(changed(old, new), "block.yaml")
    for part in ["block.yaml", *parts]:
        assert part in str(caught.value)


def test_the_first_stage_is_a_term() -> None:
    """Steps on accumulators that hold nothing are refused."""
    head, _, tail = BLOCK.partition("  - term:")
    with pytest.raises(InputError, match="first stage must be a term"):
        parse(f"{head}  - add: 3\n  - term:{tail}", "block.yaml")


def test_half_even_takes_what_its_sums_have_room_for() -> None:
    """The greatest accumulator that the sequence of ADD and SHR is exact for, and one more."""
    term = resolve("gemm:m=1,n=1,k=1").stages[0]
    for by in (1, 8, 30):
        most = 2**31 - 3 * 2 ** (by - 1)
        for above in (0, 1):
            stages = (term, Min(0), Max(0), Add(most + above), Shift(by, "half-even"))
            operator = Operator("o", "o", stages)
            if not above:
                check_stages(operator, "o")
                continue
            with pytest.raises(InputError, match="half-even"):
                check_stages(operator, "o")
