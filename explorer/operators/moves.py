"""Operators that multiply by ones: sums of two tensors, means of windows, copies.

They are products like others, with a second input that the operator itself fills; so they have
embeddings, and programs that run where convolutions do. Conventions are those of `constructors`; a
shift is 0 where none is given.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Unpack

from explorer.operators.assembly import EpilogueOptions, assembled, named, operand
from explorer.operators.axes import Pads, PerAxis, Rows, check_range, plain, windows_along
from isa.computation import Add, Affine, Fill, Operator, Shift, Step
from isa.errors import InputError

LETTERS = "NCHW"
_LARGEST_FACTOR = 6  # 2^6 is the largest power of two that an int8 can be
_ONE: Rows = ((Affine.of({}), 1),)


@named
def add(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    lhs_left: int = 0,
    rhs_left: int = 0,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Sum of two tensors (n, c, h, w), each shifted to the left before: lhs, rhs, output alike.

    The first is a product with a power of two; the second is added to it as a residual is, whose
    ways in the search compares.
    """
    check_range("add", 1, n=n, c=c, h=h, w=w)
    check_range("add", 0, 31, lhs_left=lhs_left, rhs_left=rhs_left)
    dims = {"n": n, "c": c, "h": h, "w": w}
    lhs, output = (operand(name, LETTERS, plain(dims, *dims)) for name in ("lhs", "output"))
    one, bias = operand("one", "S", _ONE), operand("bias", "C", plain(dims, "c"))
    fits = lhs_left <= _LARGEST_FACTOR
    fill = Fill(1 << lhs_left if fits else 1)
    moved: tuple[Step, ...] = () if fits else (Shift(-lhs_left),)
    second = Add(replace(output, name="rhs"), bits=8, left=rhs_left)
    return assembled(
        "add", dims, lhs, one, output, bias, epilogue, fill=fill, first=(*moved, second), places=0
    )


@named
def average_pool(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    r: int,
    s: int,
    pad: Pads = 0,
    stride: PerAxis = 1,
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """Means of windows of 2^p elements: data (n, c, h, w), output (n, c, oh, ow).

    The sum is shifted by p and rounded as `rounding` says; a `shift` comes on top. Elements of a
    border are zeros and count.
    """
    kind = "average_pool"
    windows = windows_along(kind, {"h": (h, r), "w": (w, s)}, pad, stride, 1)
    places = (r * s).bit_length() - 1
    if r * s != 1 << places:
        raise InputError(kind, "r", r, f"r times s must be a power of two, not {r * s}")
    check_range(kind, 1, n=n, c=c)
    extra = epilogue.get("shift", 0)
    check_range(kind, 0, 31 - places, shift=extra)
    positions = {name: e for window in windows for name, e in window.positions.items()}
    taps = {name: e for window in windows for name, e in window.taps.items()}
    dims = {"n": n, "c": c, **positions, **taps}
    rows = tuple(window.row for window in windows)
    data = operand("data", LETTERS, plain(dims, "n", "c") + rows)
    ones = operand("ones", "RS", plain(dims, *taps))
    output = operand("output", LETTERS, plain(dims, "n", "c", *positions))
    bias = operand("bias", "C", plain(dims, "c"))
    options: EpilogueOptions = {**_unclipped(epilogue), "shift": places + extra}
    return assembled(kind, dims, data, ones, output, bias, options, fill=Fill())


@named
def copy(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    source: str = LETTERS,
    target: str = LETTERS,
    mix: str = "",
    **epilogue: Unpack[EpilogueOptions],
) -> Operator:
    """A tensor in another layout: data with dimensions in the order `source`, output in `target`.

    Elements stay in their lanes, unless along the dimensions of `mix`: of those, each output is
    picked by a product with the identity, so that input and output may have any lanes.
    """
    kind = "copy"
    check_range(kind, 1, n=n, c=c, h=h, w=w)
    extents = dict(zip(LETTERS, (n, c, h, w), strict=True))
    for field, text in (("source", source), ("target", target)):
        if sorted(text.upper()) != sorted(LETTERS):
            raise InputError(kind, field, text, f"the letters {LETTERS} in any order, each once")
    source, target, mixed = source.upper(), target.upper(), mix.upper()
    if len(set(mixed)) != len(mixed) or not set(mixed) <= set(LETTERS):
        raise InputError(kind, "mix", mix, f"some of the letters {LETTERS}, each once")
    dims = {x.lower(): extents[x] for x in target}
    picked = {x: f"r{x.lower()}" for x in LETTERS if x in mixed}
    dims |= {name: extents[x] for x, name in picked.items()}
    if math.prod(extents[x] for x in mixed) > 2**15:
        raise InputError(kind, "mix", mix, "the mixed dimensions must have at most 2^15 elements")
    data = operand("data", source, plain(dims, *(picked.get(x, x.lower()) for x in source)))
    output = operand("output", target, plain(dims, *target.lower()))
    names = [*(x.lower() for x in picked), *picked.values()]
    second = operand("identity", _identity_letters(picked), plain(dims, *names))
    if not picked:
        second = operand("one", "S", _ONE)
    bias = operand("bias", "C", plain(dims, "c"))
    fill, options = Fill(identity=bool(picked)), _unclipped(epilogue)
    return assembled(kind, dims, data, second, output, bias, options, fill=fill, places=0)


def _unclipped(options: EpilogueOptions) -> EpilogueOptions:
    """The options without a clip that would change no value, as bytes and their means are bytes."""
    if options.keys() & {"clip", "relu6", "bias", "residual"}:
        return options
    return {**options, "clip": False}


def _identity_letters(picked: dict[str, str]) -> str:
    """Letters of the identity: those of the output, then others for the input's."""
    return "".join(picked) + "ABDE"[: len(picked)]
