"""Stages evaluated directly, against plain integers of Python and numpy on whole tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.operators import resolve
from isa.computation import (
    ROUNDINGS,
    Add,
    Affine,
    Computation,
    Max,
    Min,
    Operator,
    Rounding,
    Shift,
    Stage,
    Tensor,
    Term,
)
from simulator.reference import accumulate, epilogue, evaluate, shifted
from tests.oracles.naive import naive
from tests.strategies import operators
from tests.tiny import sums


def exact(value: int, by: int, rounding: Rounding) -> int:
    """A quotient rounded by comparing twice the rest with the divisor; the low 32 bits."""
    below, rest = divmod(value, 2**by) if by > 0 else (value * 2**-by, 0)
    divisor = 2 ** max(by, 0)
    tie, more = 2 * rest == divisor, 2 * rest > divisor
    up = {"floor": False, "half-up": more or tie, "half-even": more or (tie and below % 2 == 1)}
    return int((below + up[rounding] + 2**31) % 2**32 - 2**31)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("by", range(-31, 32))
def test_shifts_round_exactly(rounding: Rounding, by: int) -> None:
    """Ties, their neighbours, both ends of the range and random values."""
    half = 2 ** max(by - 1, 0)
    ties = [k * half + d for k in range(-9, 10) for d in (-1, 0, 1)]
    ends = [-(2**31), -(2**31) + 1, 2**31 - 2, 2**31 - 1]
    random = np.random.default_rng(0).integers(-(2**31), 2**31, 200).tolist()
    values = [v for v in (*ties, *ends, *random) if -(2**31) <= v < 2**31]
    found = shifted(np.array(values, np.int32), np.int32(by), rounding)
    assert found.tolist() == [exact(v, by, rounding) for v in values]


@pytest.mark.parametrize("by", range(1, 31))
def test_half_even_is_two_shifts_of_sums(by: int) -> None:
    """((a + H) >> (s + 1)) + ((a + H + 2^s - 1) >> (s + 1)) is exact in 32 bits to its bound."""
    half, most = 2 ** (by - 1), 2**31 - 3 * 2 ** (by - 1)
    count = min(2**20 // half, 2**14)
    ties = np.arange(-count, count + 1, dtype=np.int64) * half
    random = np.random.default_rng(by).integers(-(2**31), most + 1, 10_000)
    values = np.concatenate([ties - 1, ties, ties + 1, random, [-(2**31), most - 1, most]])
    values = values[values <= most].astype(np.int32)
    first = values + np.int32(half)
    second = first + np.int32(2**by - 1)
    # A shift by 32 is one by 31: what is left is the sign.
    right = np.int32(min(by + 1, 31))
    assert np.array_equal(
        (first >> right) + (second >> right), shifted(values, np.int32(by), "half-even")
    )


def random_tensors(operator: Operator, seed: int) -> dict[str, np.ndarray]:
    """Tensors over their whole ranges, by name."""
    rng = np.random.default_rng(seed)
    found = {}
    for stage in operator.stages:
        if isinstance(stage, Term):
            for tensor in (stage.computation.in0, stage.computation.in1):
                found[tensor.name] = rng.integers(-128, 128, tensor.shape, np.int8)
        elif isinstance(stage, Add) and isinstance(stage.value, Tensor):
            reach = 2 ** (stage.bits - 1)
            found[stage.value.name] = rng.integers(-reach, reach, stage.value.shape, np.int32)
        elif isinstance(stage, Shift) and isinstance(stage.amount, Tensor):
            low, high = stage.span
            found[stage.amount.name] = rng.integers(low, high + 1, stage.amount.shape, np.int32)
    return found


@settings(max_examples=60)
@given(operators(3, epilogues=True), st.integers(0, 99))
def test_epilogues_are_evaluated_as_before(operator: Operator, seed: int) -> None:
    """The stages of a kind give what its product and its epilogue give."""
    tensors = random_tensors(operator, seed)
    computation, steps = operator.computation, operator.epilogue
    values = accumulate(computation, tensors[computation.in0.name], tensors[computation.in1.name])
    bias = tensors[steps.bias.name] if steps.bias else None
    residual = tensors["residual"].astype(np.int8) if steps.residual else None
    expected = epilogue(steps, values, bias, computation, residual)
    assert np.array_equal(evaluate(operator, tensors), expected)


STEPS = st.one_of(
    st.builds(Add, st.integers(-(2**31), 2**31 - 1)),
    st.builds(Shift, st.integers(-8, 20), st.sampled_from(ROUNDINGS)),
    st.builds(Max, st.integers(-300, 300)),
    st.builds(Min, st.integers(-300, 300)),
)


@settings(max_examples=100)
@given(sums(), st.lists(st.lists(STEPS, max_size=3), min_size=3, max_size=3), st.integers(0, 99))
def test_stages_are_applied_one_after_the_other(
    terms: list[Computation], steps: list[list[Stage]], seed: int
) -> None:
    """Terms summed product by product, steps by Python's integers, on every element."""
    stages: list[Stage] = []
    for number, (term, after) in enumerate(zip(terms, steps, strict=False)):
        stages += [_renamed(term, number), *after]
    operator = Operator("sum", "sum", tuple(stages))
    tensors = random_tensors(operator, seed)
    expected = np.zeros(operator.out.shape, object)
    for stage in stages:
        if isinstance(stage, Term):
            names = stage.computation.in0.name, stage.computation.in1.name
            expected = expected + naive(stage.computation, *(tensors[n] for n in names))
        else:
            stepped = [_step(stage, int(v)) for v in expected.reshape(-1)]
            expected = np.array(stepped, object).reshape(expected.shape)
        expected = (expected + 2**31) % 2**32 - 2**31
    low = ((expected + 128) % 256 - 128).astype(np.int8)
    assert np.array_equal(evaluate(operator, tensors), low)


def _renamed(term: Computation, number: int) -> Term:
    """A term whose inputs have names of their own."""
    in0, in1 = (replace(t, name=f"{t.name}_{number}") for t in (term.in0, term.in1))
    return Term(replace(term, in0=in0, in1=in1))


def _step(stage: Stage, value: int) -> int:
    if isinstance(stage, Add) and isinstance(stage.value, int):
        return value + stage.value
    if isinstance(stage, Shift) and isinstance(stage.amount, int):
        return exact(value, stage.amount, stage.rounding)
    if isinstance(stage, Max):
        return max(value, stage.bound)
    assert isinstance(stage, Min)
    return min(value, stage.bound)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_amounts_may_differ_from_channel_to_channel(rounding: Rounding) -> None:
    """A tensor of shifts, some to the left, moves each channel by its own."""
    plain = resolve("gemm:m=3,n=4,k=5")
    amounts = Tensor("amounts", (4,), (Affine.of({"n": 1}),), "N")
    operator = Operator("o", "o", (plain.stages[0], Shift(amounts, rounding, (-3, 12))))
    tensors = random_tensors(operator, 1) | {"amounts": np.array([-3, 0, 5, 12], np.int32)}
    sums = accumulate(plain.computation, tensors["data"], tensors["weight"])
    expected = [
        [exact(int(v), by, rounding) for v, by in zip(row, (-3, 0, 5, 12), strict=True)]
        for row in sums
    ]
    assert np.array_equal(evaluate(operator, tensors), np.array(expected).astype(np.int8))
