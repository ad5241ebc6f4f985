"""The direct reference against its definition, one multiply-accumulate at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.operators import resolve
from isa.computation import Affine, Computation, Dimension, Epilogue, Operator, Tensor
from simulator.reference import accumulate, epilogue
from tests.oracles.naive import naive
from tests.strategies import operators

NAMES = "abcd"


@st.composite
def tensors(draw: st.DrawFn, name: str) -> Tensor:
    """A tensor with any affine map: negative steps, offsets, several dimensions in a row."""
    rank = draw(st.integers(1, 3))
    steps = st.dictionaries(st.sampled_from(NAMES), st.integers(-2, 2), max_size=3)
    index = tuple(Affine.of(draw(steps), draw(st.integers(-2, 3))) for _ in range(rank))
    return Tensor(name, tuple(draw(st.integers(1, 5)) for _ in range(rank)), index, "ABC"[:rank])


@st.composite
def computations(draw: st.DrawFn) -> Computation:
    """A computation that no document could give: outputs may be written by any points."""
    dims = tuple(Dimension(name, draw(st.integers(1, 4))) for name in NAMES)
    in0, in1, out = (draw(tensors(name)) for name in ("in0", "in1", "out"))
    return Computation("random", dims, in0, in1, out)


def _inputs(
    computation: Computation, seed: int
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int8]]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, t.shape, np.int8) for t in (computation.in0, computation.in1)]


@settings(max_examples=150)
@given(computations(), st.integers(0, 99))
def test_any_computation_is_its_definition(computation: Computation, seed: int) -> None:
    """Whatever the access maps, with reads and writes outside the bounds."""
    inputs = _inputs(computation, seed)
    assert np.array_equal(accumulate(computation, *inputs), naive(computation, *inputs))


@settings(max_examples=60)
@given(operators(4), st.integers(0, 99))
def test_any_operator_is_its_definition(operator: Operator, seed: int) -> None:
    """The shipped kinds with padding, strides, dilation and groups."""
    inputs = _inputs(operator.computation, seed)
    expected = naive(operator.computation, *inputs)
    assert np.array_equal(accumulate(operator.computation, *inputs), expected)


def test_sums_wrap_around() -> None:
    """2^17 + 5 products of (-128)^2 exceed 32 bits and come out modulo 2^32."""
    length = 2**17 + 5
    computation = resolve(f"gemm:m=1,n=1,k={length}").computation
    inputs = [np.full((1, length), -128, np.int8)] * 2
    expected = (length * 128 * 128 + 2**31) % 2**32 - 2**31
    assert expected < 0
    assert accumulate(computation, *inputs).tolist() == [[expected]]


def test_inputs_of_another_shape_are_refused() -> None:
    """Transposed or flattened tensors are named."""
    computation = resolve("gemm:m=2,n=3,k=4").computation
    with pytest.raises(ValueError, match=r"weight has shape \(3, 4\), not \(4, 3\)"):
        accumulate(computation, np.zeros((2, 4), np.int8), np.zeros((4, 3), np.int8))


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=3, max_size=3),
    st.none() | st.lists(st.integers(-128, 127), min_size=6, max_size=6),
    st.integers(0, 31),
    st.booleans(),
    st.booleans(),
    st.none() | st.tuples(st.integers(-128, 0), st.integers(0, 127)),
)
def test_epilogue_is_its_definition(
    sums: list[int], bias: list[int], residual: list[int] | None, shift: int, with_bias: bool,
    relu: bool, clip: tuple[int, int] | None,
) -> None:  # fmt: skip
    """Each step on each element in Python's integers, wrapping where int32 wraps."""
    operator = resolve("gemm:m=2,n=3,k=1,bias=1")
    steps = replace(
        operator.epilogue, shift=shift, residual=residual is not None, relu=relu, clip=clip
    )
    if not with_bias:
        steps = replace(steps, bias=None)
    found = epilogue(
        steps,
        np.array(sums, np.int32).reshape(2, 3),
        np.array(bias, np.int32) if with_bias else None,
        operator.computation,
        None if residual is None else np.array(residual, np.int8).reshape(2, 3),
    )
    for place, total in enumerate(sums):
        value = total
        if with_bias:
            value = (value + bias[place % 3] + 2**31) % 2**32 - 2**31
        value >>= shift
        if residual is not None:
            value = (value + residual[place] + 2**31) % 2**32 - 2**31
        if relu:
            value = max(value, 0)
        if clip:
            value = min(max(value, clip[0]), clip[1])
        assert found.reshape(-1)[place] == (value + 128) % 256 - 128


def test_a_bias_needs_values_and_the_reverse() -> None:
    """A bias without values, values without a bias, and those of another shape are refused."""
    operator = resolve("gemm:m=2,n=3,k=1,bias=1")
    sums, computation = np.zeros((2, 3), np.int32), operator.computation
    with pytest.raises(ValueError, match="bias"):
        epilogue(operator.epilogue, sums, None, computation)
    with pytest.raises(ValueError, match="bias"):
        epilogue(Epilogue(), sums, np.zeros(3, np.int32), computation)
    with pytest.raises(ValueError, match=r"bias has shape \(3,\), not \(2,\)"):
        epilogue(operator.epilogue, sums, np.zeros(2, np.int32), computation)


def test_a_residual_needs_values_and_the_reverse() -> None:
    """As for the bias, and its shape is the output's."""
    operator = resolve("gemm:m=2,n=3,k=1")
    sums, computation = np.zeros((2, 3), np.int32), operator.computation
    added = replace(operator.epilogue, residual=True)
    with pytest.raises(ValueError, match="residual needs values"):
        epilogue(added, sums, None, computation)
    with pytest.raises(ValueError, match="residual needs values"):
        epilogue(operator.epilogue, sums, None, computation, np.zeros((2, 3), np.int8))
    with pytest.raises(ValueError, match=r"residual has shape \(2, 3\), not \(3, 2\)"):
        epilogue(added, sums, None, computation, np.zeros((3, 2), np.int8))
