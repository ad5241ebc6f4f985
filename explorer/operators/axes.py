"""How tensors are addressed along the axes of an operator: plainly, by windows, or by phases.

A convolution's window slides over a padded image; a transposed convolution is the windows of as
many sub-pixel convolutions as the stride has phases. Both end as rows of access maps, which is all
that the constructors need of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isa.computation import Affine
from isa.errors import InputError
from isa.schema import MAX_EXTENT

PerAxis = int | tuple[int, ...]
"""A number for all spatial axes, or one for each."""

Rows = tuple[tuple[Affine, int], ...]
"""Of each tensor dimension, its access map and its extent."""

_KERNEL = {"d": "t", "h": "r", "w": "s"}
"""Of each spatial axis, the argument that gives the kernel's extent along it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A spatial axis of a convolution: output position and kernel tap address the input."""

    axis: str
    size: int
    kernel: int
    pad: int
    stride: int
    dilation: int

    @property
    def reach(self) -> int:
        """Input elements from a window's first tap to its last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def positions(self) -> dict[str, int]:
        """The dimension of output positions, and its extent."""
        return {f"o{self.axis}": (self.size + 2 * self.pad - self.reach) // self.stride + 1}

    @property
    def taps(self) -> dict[str, int]:
        """The dimension of kernel taps, and its extent."""
        return {f"k{self.axis}": self.kernel}

    @property
    def row(self) -> tuple[Affine, int]:
        """The data's access map along the axis, and the data's extent."""
        steps = {f"o{self.axis}": self.stride, f"k{self.axis}": self.dilation}
        return Affine.of(steps, -self.pad), self.size


@dataclass(frozen=True, slots=True)
class Subpixel:
    """A spatial axis of a transposed convolution, split in phases.

    Output row ``o`` gets input row ``i`` times kernel row ``t`` where ``o + pad = stride*i + t``.
    With ``t = stride*u + phase`` that is ``o + pad = stride*(i + u) + phase``: the phase follows
    from the output row, and ``i = q - u``. Taps count ``u`` down, so that the input row grows with
    them.
    """

    axis: str
    size: int
    kernel: int
    pad: int
    stride: int
    output_padding: int

    @property
    def out(self) -> int:
        """Extent of the output, the part of it that is kept."""
        grown = (self.size - 1) * self.stride + self.kernel
        return grown - 2 * self.pad + self.output_padding

    @property
    def taps(self) -> dict[str, int]:
        """The dimension of taps within a phase, and its extent."""
        return {f"t{self.axis}": -(-self.kernel // self.stride)}

    @property
    def phases(self) -> dict[str, int]:
        """The dimension of phases; none where the stride is 1."""
        return {f"p{self.axis}": self.stride} if self.stride > 1 else {}

    @property
    def positions(self) -> dict[str, int]:
        """The dimension of output positions within a phase, and its extent."""
        # Whole strides of padding start the count later; only the rest is computed and dropped.
        return {f"q{self.axis}": -(-(self.out + self.pad % self.stride) // self.stride)}

    @property
    def data_row(self) -> tuple[Affine, int]:
        """The data's access map along the axis, and the data's extent."""
        ((tap, taps),) = self.taps.items()
        steps = {f"q{self.axis}": 1, tap: 1}
        return Affine.of(steps, self.pad // self.stride - (taps - 1)), self.size

    @property
    def weight_rows(self) -> Rows:
        """The weight's access maps along the axis with their extents: tap, then phase."""
        ((tap, taps),) = self.taps.items()
        reverse = (Affine.of({tap: -1}, taps - 1), taps)
        return (reverse, *plain(self.phases, *self.phases))

    @property
    def out_row(self) -> tuple[Affine, int]:
        """The output's access map along the axis, and the output's extent."""
        steps = {f"q{self.axis}": self.stride} | dict.fromkeys(self.phases, 1)
        return Affine.of(steps, -(self.pad % self.stride)), self.out


def windows_along(
    kind: str,
    axes: Mapping[str, tuple[int, int]],
    pad: PerAxis,
    stride: PerAxis,
    dilation: PerAxis,
) -> list[Window]:
    """The axes of a convolution; `axes` maps each to its input and kernel extent."""
    pads = _per_axis(kind, "pad", pad, len(axes), low=0)
    strides = _per_axis(kind, "stride", stride, len(axes))
    dilations = _per_axis(kind, "dilation", dilation, len(axes))
    windows = []
    for (axis, (size, kernel)), *steps in zip(axes.items(), pads, strides, dilations, strict=True):
        check_range(kind, 1, **{axis: size, _KERNEL[axis]: kernel})
        window = Window(axis, size, kernel, *steps)
        padded = size + 2 * window.pad
        if window.reach > padded:
            allowed = f"spans {window.reach} elements where the padded input has {padded}"
            raise InputError(kind, _KERNEL[axis], kernel, allowed)
        windows.append(window)
    return windows


def subpixels_along(
    kind: str,
    axes: Mapping[str, tuple[int, int]],
    pad: PerAxis,
    stride: PerAxis,
    output_padding: PerAxis,
) -> list[Subpixel]:
    """The axes of a transposed convolution; `axes` maps each to its input and kernel extent."""
    pads = _per_axis(kind, "pad", pad, len(axes), low=0)
    strides = _per_axis(kind, "stride", stride, len(axes))
    extras = _per_axis(kind, "output_padding", output_padding, len(axes), low=0)
    subpixels = []
    for (axis, (size, kernel)), *steps in zip(axes.items(), pads, strides, extras, strict=True):
        check_range(kind, 1, **{axis: size, _KERNEL[axis]: kernel})
        subpixel = Subpixel(axis, size, kernel, *steps)
        if subpixel.output_padding >= subpixel.stride:
            allowed = f"must be less than the stride along {axis}, {subpixel.stride}"
            raise InputError(kind, "output_padding", subpixel.output_padding, allowed)
        if subpixel.out < 1:
            allowed = f"leaves no output along {axis}"
            raise InputError(kind, "pad", subpixel.pad, allowed)
        subpixels.append(subpixel)
    return subpixels


def plain(dims: Mapping[str, int], *names: str) -> Rows:
    """Tensor dimensions that are iteration dimensions."""
    return tuple((Affine.of({name: 1}), dims[name]) for name in names)


def _per_axis(kind: str, field: str, value: PerAxis, rank: int, low: int = 1) -> tuple[int, ...]:
    """One value for each spatial axis."""
    values = value if isinstance(value, tuple) else (value,) * rank
    if len(values) != rank:
        raise InputError(kind, field, value, f"takes one number, or {rank}")
    for number in values:
        check_range(kind, low, **{field: number})
    return values


def check_range(kind: str, low: int, high: int = MAX_EXTENT, /, **arguments: int) -> None:
    """Raise `InputError` for the first argument that is not within the two, inclusive."""
    for field, value in arguments.items():
        if not low <= value <= high:
            raise InputError(kind, field, value, f"must be {low} to {high}")
