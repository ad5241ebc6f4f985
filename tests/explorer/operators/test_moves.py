"""Sums, means and copies: what they compute, said in numpy, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from explorer.operators import document, resolve
from explorer.operators.stages import check_stages, ranges
from explorer.program import verification
from explorer.program.emission import tensors_of
from isa.computation import Fill, Operator, Term
from isa.errors import InputError
from simulator.reference import evaluate

SHAPE = (2, 5, 4, 6)


def image(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.int8]:
    """Random bytes."""
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


def half_even(values: NDArray[np.int64], by: int) -> NDArray[np.int64]:
    """Quotients by a power of two, to the nearest, ties to the even one."""
    nearest: NDArray[np.int64] = np.rint(values / 2**by).astype(np.int64)
    return nearest


@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 3), (6, 0), (9, 2)])
def test_add_is_the_rounded_sum_of_both(left: int, right: int) -> None:
    """Both sides are shifted to the left, whether or not a byte can hold the factor."""
    sizes = "n=2,c=5,h=4,w=6"
    made = resolve(f"add:{sizes},lhs_left={left},rhs_left={right},shift=4,rounding=half-even")
    lhs, rhs = image(0), image(1)
    total = (lhs.astype(np.int64) << left) + (rhs.astype(np.int64) << right)
    expected = np.clip(half_even(total, 4), -128, 127)
    assert np.array_equal(evaluate(made, {"lhs": lhs, "rhs": rhs}), expected)
    assert [*tensors_of(made)] == ["in0", "rhs"]


def test_average_pool_is_the_rounded_mean() -> None:
    """Windows of eight elements, two columns apart, with a border of zeros that counts."""
    text = "average_pool:n=2,c=5,h=4,w=6,r=2,s=4,stride=1x2,pad=0x0x1x1,rounding=half-up"
    data = image(2)
    padded = np.pad(data.astype(np.int64), ((0, 0), (0, 0), (0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 4), axis=(2, 3))
    expected = (windows.sum(axis=(-1, -2)) + 4)[:, :, :, ::2] >> 3
    found = evaluate(resolve(text), {"data": data})
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("mix", ["", "c", "cw", "h"])
def test_copy_keeps_every_element(mix: str) -> None:
    """Whichever dimensions may change lanes, the output is the input in another order."""
    made = resolve("copy:n=2,c=5,h=4,w=6,source=NHWC,target=WNCH" + f",mix={mix}" * bool(mix))
    data = image(3)
    found = evaluate(made, {"data": data.transpose(0, 2, 3, 1)})
    assert np.array_equal(found, data.transpose(3, 0, 1, 2))
    assert not made.steps


@pytest.mark.parametrize(
    "text",
    [
        "add:n=1,c=4,h=2,w=2,lhs_left=7",
        "average_pool:n=1,c=4,h=4,w=4,r=2,s=2,relu=1",
        "copy:n=1,c=4,h=2,w=2",
        "copy:n=1,c=4,h=2,w=2,mix=ch",
    ],
)
def test_documents_say_what_is_filled(text: str) -> None:
    """The document that is written of an operator makes the same stages, and the same data."""
    made = resolve(text)
    read = document.parse(document.dump(made), "made")
    assert read.stages == made.stages
    assert made.name == text
    ones = verification.random_data(read, 1).in1
    assert read.only.fill is not None
    assert np.array_equal(ones, read.only.fill.array(ones.shape))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("average_pool:n=1,c=4,h=4,w=4,r=3,s=2", "power of two, not 6"),
        ("average_pool:n=1,c=4,h=4,w=4,r=2,s=2,shift=30", "29"),
        ("copy:n=1,c=4,h=2,w=2,source=NHW", "letters NCHW"),
        ("copy:n=1,c=4,h=2,w=2,mix=cc", "each once"),
        ("copy:n=1,c=256,h=256,w=2,mix=ch", "2\\^15"),
        ("add:n=1,c=4,h=2,w=2,rhs_left=32", "31"),
        ("add:n=1,c=0,h=2,w=2", "c"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match=message):
        resolve(text)


def test_letters_of_either_case() -> None:
    """A layout may be written in small letters; what is wrong is told in those that are printed."""
    small, large = (resolve(f"copy:n=1,c=4,h=2,w=2,source={text}") for text in ("nhwc", "NHWC"))
    assert small.terms == large.terms
    for field, text in (("source", "nhw"), ("target", "nhww"), ("mix", "x")):
        with pytest.raises(InputError, match=f"{field}.*letters NCHW.*each once"):
            resolve(f"copy:n=1,c=4,h=2,w=2,{field}={text}")


def filled(fill: Fill, name: str = "copy:n=1,c=4,h=2,w=2,mix=c") -> Operator:
    """An operator with another fill."""
    made = resolve(name)
    return replace(made, stages=(replace(made.only, fill=fill),))


def test_a_fill_is_checked() -> None:
    """Its number is a byte, an identity is a matrix of an output and a reduction, and constant."""
    with pytest.raises(InputError, match="8 bits"):
        check_stages(filled(Fill(200)), "made")
    with pytest.raises(InputError, match="twice the same extents"):
        check_stages(filled(Fill(identity=True), "copy:n=1,c=4,h=2,w=2"), "made")
    moving = filled(Fill())
    moving = replace(moving, stages=(replace(moving.only, constants=frozenset()),))
    with pytest.raises(InputError, match="among the constants"):
        check_stages(moving, "made")
    turned = resolve("gemm:m=4,n=4,k=4,rhs=kn").computation
    with pytest.raises(InputError, match="one dimension of the output a row, then"):
        check_stages(Operator("x", "x", (Term(turned, fill=Fill(identity=True)),)), "made")


def test_ranges_know_what_is_filled() -> None:
    """A product with an identity is one product, and one with a number is that many of it."""
    assert ranges(filled(Fill(3, identity=True)))[0] == (-384, 381)
    assert ranges(filled(Fill(-2)))[0] == (-1016, 1024)
