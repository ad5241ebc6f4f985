"""Operators in one line of text."""

from __future__ import annotations

import pytest
from hypothesis import given

from explorer.operators import constructors as build
from explorer.operators.inline import parse
from isa.computation import Operator
from isa.errors import InputError
from tests.strategies import operators


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        (
            "conv2d:n=1,c=3,h=224,w=224,k=64,r=7,s=7,pad=3,stride=2",
            build.conv2d(n=1, c=3, h=224, w=224, k=64, r=7, s=7, pad=3, stride=2),
        ),
        (
            "conv2d: n=1, c=4, h=9, w=9, k=8, r=3, s=1, pad=1x0, stride_w=2, groups=2",
            build.conv2d(
                n=1,
                c=4,
                h=9,
                w=9,
                k=8,
                r=3,
                s=1,
                pad=(1, 0),
                stride=(1, 2),
                groups=2,
            ),
        ),
        ("conv1d:n=1,c=2,w=9,k=4,s=3", build.conv1d(n=1, c=2, w=9, k=4, s=3)),
        (
            "conv3d:n=1,c=2,d=4,h=5,w=6,k=4,t=2,r=3,s=3,pad_d=1",
            build.conv3d(n=1, c=2, d=4, h=5, w=6, k=4, t=2, r=3, s=3, pad=(1, 0, 0)),
        ),
        (
            "depthwise:n=1,c=32,h=112,w=112,r=3,s=3,pad=1",
            build.depthwise2d(n=1, c=32, h=112, w=112, r=3, s=3, pad=1),
        ),
        (
            "conv2d_transpose:n=1,c=8,h=4,w=4,k=4,r=4,s=4,stride=2,pad=1",
            build.transposed2d(n=1, c=8, h=4, w=4, k=4, r=4, s=4, stride=2, pad=1),
        ),
        ("dense:m=16,n=1008,k=512", build.gemm(m=16, n=1008, k=512)),
        ("bmm:b=2,m=3,n=4,k=5", build.batched_matmul(b=2, m=3, n=4, k=5)),
        (
            "gemm:m=1,n=2,k=3,shift=4,bias=1,relu=true,clip=0",
            build.gemm(m=1, n=2, k=3, shift=4, bias=True, relu=True, clip=False),
        ),
    ],
)
def test_text(text: str, operator: Operator) -> None:
    """Every kind and way of writing an argument means what the constructor makes of it."""
    assert parse(text) == operator


@given(operators(epilogues=True))
def test_name_gives_the_operator_again(operator: Operator) -> None:
    """An operator's name is text that means this operator."""
    assert parse(operator.name) == operator


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("conv2e:n=1", ["conv2e", "did you mean 'conv2d'"]),
        ("gemm:m=1,n=2", ["k: missing", "m, n, k"]),
        ("gemm:m=1,n=2,k=3,residual_left=4", ["residual_left: 4", "residual=1"]),
        ("gemm:m=1,n=2,k=3,residual=1,residual_left=40", ["residual_left: 40", "0 to 31"]),
        ("gemm:m=1,n=2,k=3,residual_first=1", ["residual_first: 1", "residual=1"]),
        ("gemm:m=1,n=2,k=3,bias_bits=16", ["bias_bits: 16", "bias=1"]),
        ("gemm:m=1,n=2,k=3,bias=1,bias_bits=33", ["bias_bits: 33"]),
        ("gemm:m=1,n=2,k=3,k=4", ["k: '4'", "twice"]),
        ("gemm:m=1,n=2,k", ["'k'", "name=value"]),
        ("gemm:m=1,n=2,k=", ["'k='", "name=value"]),
        ("gemm:m=1,n=2,k=0", ["k: 0", "1 to 1048576"]),
        ("gemm:m=1,n=2,k=2.5", ["k: '2.5'", "whole number"]),
        ("gemm:m=1,n=2,k=3x3", ["k: '3x3'", "whole number"]),
        ("gemm:m=1,n=2,k=9999999999999", ["k: '9999999999999'", "at most 12 digits"]),
        ("gemm:m=1,n=2,k=3,relu=2", ["relu: '2'", "0 or 1"]),
        ("gemm:m=1,n=2,k=3,shift=40", ["shift: 40", "0 to 31"]),
        ("gemm:m=1,n=2,k=3,relo=1", ["relo", "did you mean 'relu'", "m, n, k"]),
        ("conv1d:n=1,c=1,w=4,k=1,s=2,pad=1,pad_w=2", ["pad_w: '2'", "pad is given"]),
        ("conv1d:n=1,c=1,w=4,k=1,s=2,pad_h=2", ["pad_h", "pad_w"]),
        ("conv1d:n=1,c=1,w=4,k=1,s=2,pad=1x1x1", ["pad: (1, 1, 1)", "one number"]),
        ("conv1d:n=1,c=1,w=4,k=1,s=2,pad=a", ["pad: 'a'", "3x1"]),
    ],
)
def test_errors(text: str, parts: list[str]) -> None:
    """An error quotes the whole text, what is wrong in it, and what is allowed."""
    with pytest.raises(InputError) as error:
        parse(text)
    assert error.value.source == text
    for part in parts:
        assert part in str(error.value)
