"""Random operators, instructions and configurations for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from explorer.operators import constructors as build
from isa import intrinsics
from isa.computation import Computation, Operator
from isa.config import Config, Timing
from isa.errors import InputError


def _window(draw: st.DrawFn, high: int) -> tuple[int, int, int, int, int]:
    """Size, kernel, stride, padding, dilation of one spatial axis that fit together."""
    kernel = draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2)) if kernel > 1 else 1
    pad = draw(st.integers(0, 2))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * pad)
    size = draw(st.integers(least, max(least, high)))
    return size, kernel, draw(st.integers(1, 3)), pad, dilation


@st.composite
def operators(draw: st.DrawFn, high: int = 4, *, epilogues: bool = False) -> Operator:
    """An operator of any shipped kind with extents up to about `high`."""
    n = st.integers(1, high)
    extra: dict[str, bool | int] = {}
    if epilogues:
        extra = {
            "shift": draw(st.integers(0, 20)),
            "bias": draw(st.booleans()),
            "relu": draw(st.booleans()),
            "clip": draw(st.booleans()),
        }
    kind = draw(
        st.sampled_from(
            ["gemm", "batched", "conv1d", "conv2d", "grouped", "depthwise", "transposed", "conv3d"]
        )
    )
    if kind == "gemm":
        return build.gemm(m=draw(n), n=draw(n), k=draw(n), **extra)
    if kind == "batched":
        return build.batched_matmul(b=draw(n), m=draw(n), n=draw(n), k=draw(n), **extra)
    w = _window(draw, high)
    if kind == "conv1d":
        return build.conv1d(
            n=draw(n), c=draw(n), w=w[0], k=draw(n), s=w[1], stride=w[2], pad=w[3], dilation=w[4],
            **extra,
        )  # fmt: skip
    h = _window(draw, high)
    sizes = {"h": h[0], "w": w[0], "r": h[1], "s": w[1]}
    axes = {"stride": (h[2], w[2]), "pad": (h[3], w[3]), "dilation": (h[4], w[4])}
    if kind == "depthwise":
        return build.depthwise2d(n=draw(n), c=draw(n), **sizes, **axes, **extra)
    if kind == "transposed":
        del axes["dilation"]
        try:
            return build.transposed2d(n=1, c=draw(n), k=draw(n), **sizes, **axes, **extra)
        except InputError:  # the padding leaves no output
            return build.transposed2d(
                n=1, c=draw(n), k=draw(n), **sizes, stride=axes["stride"], pad=(0, 0), **extra
            )
    if kind == "conv3d":
        small = st.integers(1, 2)
        return build.conv3d(
            n=1, c=draw(small), d=2, h=2, w=3, k=draw(small), t=draw(small), r=1, s=2,
            stride=(1, 1, 1), pad=(0, 0, 1), **extra,
        )  # fmt: skip
    groups = 2 if kind == "grouped" else 1
    return build.conv2d(
        n=draw(n), c=groups * draw(n), k=groups * draw(n), groups=groups, **sizes, **axes, **extra
    )


@st.composite
def gemm_intrinsics(draw: st.DrawFn, high: int = 4) -> Computation:
    """A GEMM instruction with small axes."""
    extent = st.integers(1, high)
    return intrinsics.load(
        "vta_gemm", {"batch": draw(extent), "block_out": draw(extent), "block_in": draw(extent)}
    )


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """A legal configuration: batch 1 to 4, blocks 4 to 32, scratchpads that force many tiles."""
    batch, block_in, block_out = draw(st.integers(0, 2)), *(draw(st.integers(2, 5)) for _ in "io")
    return Config(
        log_batch=batch,
        log_block_in=block_in,
        log_block_out=block_out,
        log_uop_buff_size=draw(st.integers(8, 11)),
        log_inp_buff_size=batch + block_in + draw(st.integers(3, 7)),
        log_wgt_buff_size=block_in + block_out + draw(st.integers(2, 6)),
        log_acc_buff_size=2 + batch + block_out + draw(st.integers(2, 6)),
        timing=Timing(
            bus_bits=draw(st.sampled_from([64, 128])), burst_beats=draw(st.sampled_from([16, 256]))
        ),
    )
