"""Random operators, instructions and configurations for property tests."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from hypothesis import strategies as st

from explorer.layout.design import Restrictions
from explorer.operators.kinds import construct
from explorer.operators.stages import check_stages
from isa import intrinsics
from isa.computation import (
    ROUNDINGS,
    Add,
    Affine,
    Computation,
    Max,
    Min,
    Operator,
    Shift,
    Step,
    Tensor,
)
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


KINDS = ("gemm", "bmm", "conv1d", "conv2d", "grouped", "depthwise", "transposed", "conv3d")


@st.composite
def operators(draw: st.DrawFn, high: int = 4, *, epilogues: bool = False) -> Operator:
    """An operator of any shipped kind with extents up to about `high`."""
    kind = draw(st.sampled_from(KINDS))
    extents = st.integers(1, high)
    sizes = {name: draw(extents) for name in _PLAIN[kind]}
    arguments: dict[str, object] = dict(sizes)
    windows = [_window(draw, 2 if kind == "conv3d" else high) for _ in _AXES[kind]]
    for (size, kernel), window in zip(_AXES[kind], windows, strict=True):
        arguments |= {size: window[0], kernel: window[1]}
    if windows:
        arguments |= {"stride": [w[2] for w in windows], "pad": [w[3] for w in windows]}
        if kind != "transposed":
            arguments["dilation"] = [w[4] for w in windows]
    if kind == "grouped":
        arguments |= {"groups": 2, "c": 2 * sizes["c"], "k": 2 * sizes["k"]}
    if epilogues:
        arguments |= {name: draw(st.booleans()) for name in ("bias", "residual", "relu", "clip")}
        arguments["shift"] = draw(st.integers(0, 20))
    built = "conv2d" if kind == "grouped" else kind
    try:
        return construct("random", built, arguments)
    except InputError:  # a transposed convolution whose padding leaves no output
        return construct("random", built, arguments | {"pad": 0})


@st.composite
def stepped(draw: st.DrawFn, high: int = 4) -> Operator:
    """An operator of any shipped kind with steps of every sort, as far as they can be exact."""
    base = draw(operators(high))
    made = replace(base, stages=base.stages[:1])
    for place in range(draw(st.integers(1, 5))):
        longer = replace(made, stages=(*made.stages, draw(_steps(base.out, f"t{place}"))))
        with suppress(InputError):
            check_stages(longer, "random")
            made = longer
    return made


@st.composite
def _steps(draw: st.DrawFn, out: Tensor, name: str) -> Step:
    """A step; its tensor has this name and some of the output's dimensions, all of them or none."""
    kept = [x for x in range(len(out.shape)) if draw(st.booleans())]
    shape = tuple(out.shape[x] for x in kept) or (1,)
    index = tuple(out.index[x] for x in kept) or (Affine.of({}),)
    some = Tensor(name, shape, index, "ABCDEF"[: len(shape)])
    rounding = draw(st.sampled_from(ROUNDINGS))
    match draw(
        st.sampled_from(["even", "shift", "amounts", "number", "add", "dense", "max", "min"])
    ):
        case "even":
            return Shift(draw(st.integers(1, 20)), "half-even")
        case "shift":
            return Shift(draw(st.integers(-8, 20)), rounding)
        case "amounts":
            low, high = sorted((draw(st.integers(-8, 20)), draw(st.integers(-8, 20))))
            return Shift(some, rounding, (low, high))
        case "number":
            return Add(draw(st.integers(-(2**18), 2**18)))
        case "add":
            return Add(some, draw(st.integers(2, 24)))
        case "dense":
            return Add(replace(out, name=name), 8, draw(st.integers(0, 4)))
        case "max":
            return Max(draw(st.integers(-(2**17), 100)))
        case _:
            return Min(draw(st.integers(-100, 2**17)))


_PLAIN = {
    "gemm": "mnk",
    "bmm": ("b", "m", "n", "k"),
    "conv1d": "nck",
    "conv2d": "nck",
    "grouped": "nck",
    "depthwise": "nc",
    "transposed": "nck",
    "conv3d": "nck",
}
_AXES: dict[str, tuple[tuple[str, str], ...]] = {
    "gemm": (),
    "bmm": (),
    "conv1d": (("w", "s"),),
    "conv2d": (("h", "r"), ("w", "s")),
    "grouped": (("h", "r"), ("w", "s")),
    "depthwise": (("h", "r"), ("w", "s")),
    "transposed": (("h", "r"), ("w", "s")),
    "conv3d": (("d", "t"), ("h", "r"), ("w", "s")),
}


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


def restrictions() -> st.SearchStrategy[Restrictions]:
    """None at all, few micro-ops, accumulations far apart, or both."""
    return st.builds(
        Restrictions,
        uops=st.none() | st.integers(4, 64),
        safe_distance=st.just(1) | st.integers(2, 9),
    )
