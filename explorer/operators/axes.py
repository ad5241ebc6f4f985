"""How tensors are addressed along the axes of an operator: plainly, by windows, or by phases.

A convolution's window slides over a padded image; a transposed convolution is the windows of as
many sub-pixel convolutions as the stride has phases. Both end as rows of access maps, which is all
that the constructors need of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from isa.computation import Affine
from isa.errors import InputError
from isa.schema import MAX_EXTENT

PerAxis = int | tuple[int, ...]
"""A number for all spatial axes, or one for each."""

Pads = int | tuple[int, ...] | Literal["same"]
"""The same for a border, or its two ends along each axis: top, bottom, left, right; or ``same``,
with which the output has ``ceil(extent / stride)`` positions, an odd element at the end.
"""

Ends = tuple[int, int]
"""Elements of a border before and after an axis."""

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
    pad: Ends
    stride: int
    dilation: int

    @property
    def padded(self) -> int:
        """Extent of the data with its border."""
        return self.size + sum(self.pad)

    @property
    def reach(self) -> int:
        """Input elements from a window's first tap to its last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def positions(self) -> dict[str, int]:
        """The dimension of output positions, and its extent."""
        return {f"o{self.axis}": (self.padded - self.reach) // self.stride + 1}

    @property
    def taps(self) -> dict[str, int]:
        """The dimension of kernel taps, and its extent."""
        return {f"k{self.axis}": self.kernel}

    @property
    def row(self) -> tuple[Affine, int]:
        """The data's access map along the axis, and the data's extent."""
        steps = {f"o{self.axis}": self.stride, f"k{self.axis}": self.dilation}
        return Affine.of(steps, -self.pad[0]), self.size


@dataclass(frozen=True, slots=True)
class Subpixel:
    """A spatial axis of a transposed convolution, split in phases.

    Output row ``o`` gets input row ``i`` times kernel row ``t`` where ``o + pad = stride*i + t``.
    With ``t = stride*u + phase`` that is ``o + pad = stride*(i + u) + phase``: the phase follows
    from the output row, and ``i = q - u``. Taps count ``u`` down, so that the input row grows with
    them.

    Where ``pad`` is no multiple of the stride, phases begin before the output does, and positions
    are computed that nobody keeps. Zeros that lead the kernel, as many as `lead`, move the phases
    to where the output begins; they are there if that is no more work. Where taps are a dilation
    apart and there are phases, the zeros between them are kernel rows like the others.
    """

    axis: str
    size: int
    kernel: int
    pad: Ends
    stride: int
    dilation: int
    output_padding: int

    @property
    def out(self) -> int:
        """Extent of the output, the part of it that is kept."""
        grown = (self.size - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        return grown - sum(self.pad) + self.output_padding

    @property
    def rows(self) -> int:
        """Kernel rows, those of zeros between dilated taps included."""
        return self.kernel if self.stride == 1 else (self.kernel - 1) * self.dilation + 1

    @property
    def lead(self) -> int:
        """Rows of zeros before the kernel's first one."""
        missing = -self.pad[0] % self.stride
        dropped = self._work(self.out + self.pad[0] % self.stride, self.rows)
        return missing if self._work(self.out, self.rows + missing) <= dropped else 0

    def _work(self, outputs: int, rows: int) -> int:
        """Positions times taps within a phase."""
        return -(-outputs // self.stride) * -(-rows // self.stride)

    @property
    def taps(self) -> dict[str, int]:
        """The dimension of taps within a phase, and its extent."""
        return {f"t{self.axis}": -(-(self.rows + self.lead) // self.stride)}

    @property
    def phases(self) -> dict[str, int]:
        """The dimension of phases; none where the stride is 1."""
        return {f"p{self.axis}": self.stride} if self.stride > 1 else {}

    @property
    def positions(self) -> dict[str, int]:
        """The dimension of output positions within a phase, and its extent."""
        # Whole strides of padding start the count later; only the rest is computed and dropped.
        return {f"q{self.axis}": -(-(self.out + self._dropped) // self.stride)}

    @property
    def _dropped(self) -> int:
        """Output rows that are computed before the first one that is kept."""
        return (self.pad[0] + self.lead) % self.stride

    @property
    def data_row(self) -> tuple[Affine, int]:
        """The data's access map along the axis, and the data's extent."""
        ((tap, taps),) = self.taps.items()
        apart = self.dilation if self.stride == 1 else 1
        steps = {f"q{self.axis}": 1, tap: apart}
        first = (self.pad[0] + self.lead) // self.stride - apart * (taps - 1)
        return Affine.of(steps, first), self.size

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
        return Affine.of(steps, -self._dropped), self.out


def windows_along(
    kind: str,
    axes: Mapping[str, tuple[int, int]],
    pad: Pads,
    stride: PerAxis,
    dilation: PerAxis,
) -> list[Window]:
    """The axes of a convolution; `axes` maps each to its input and kernel extent."""
    strides = _per_axis(kind, "stride", stride, len(axes))
    dilations = _per_axis(kind, "dilation", dilation, len(axes))
    pads = [(0, 0)] * len(axes) if pad == "same" else _ends(kind, pad, len(axes))
    windows = []
    for (axis, (size, kernel)), ends, *steps in zip(
        axes.items(), pads, strides, dilations, strict=True
    ):
        check_range(kind, 1, **{axis: size, _KERNEL[axis]: kernel})
        window = Window(axis, size, kernel, ends, *steps)
        if pad == "same":
            window = replace(window, pad=_same(window))
        if window.reach > window.padded:
            allowed = f"spans {window.reach} elements where the padded input has {window.padded}"
            raise InputError(kind, _KERNEL[axis], kernel, allowed)
        windows.append(window)
    return windows


def _same(window: Window) -> Ends:
    """The border with which there is an output position for each stride of the data."""
    last = (-(-window.size // window.stride) - 1) * window.stride
    border = max(last + window.reach - window.size, 0)
    return border // 2, border - border // 2


def subpixels_along(
    kind: str,
    axes: Mapping[str, tuple[int, int]],
    pad: PerAxis,
    stride: PerAxis,
    dilation: PerAxis,
    output_padding: PerAxis,
) -> list[Subpixel]:
    """The axes of a transposed convolution; `axes` maps each to its input and kernel extent."""
    pads = _ends(kind, pad, len(axes))
    strides = _per_axis(kind, "stride", stride, len(axes))
    dilations = _per_axis(kind, "dilation", dilation, len(axes))
    extras = _per_axis(kind, "output_padding", output_padding, len(axes), low=0)
    subpixels = []
    for (axis, (size, kernel)), ends, *steps in zip(
        axes.items(), pads, strides, dilations, extras, strict=True
    ):
        check_range(kind, 1, **{axis: size, _KERNEL[axis]: kernel})
        subpixel = Subpixel(axis, size, kernel, ends, *steps)
        least = max(subpixel.stride, subpixel.dilation)
        if subpixel.output_padding >= least:
            allowed = f"must be less than the stride or the dilation along {axis}, {least}"
            raise InputError(kind, "output_padding", subpixel.output_padding, allowed)
        if subpixel.out < 1:
            raise InputError(kind, "pad", pad, f"leaves no output along {axis}")
        subpixels.append(subpixel)
    return subpixels


def _ends(kind: str, pad: PerAxis, rank: int) -> list[Ends]:
    """The border's two ends along each axis."""
    if isinstance(pad, tuple) and len(pad) == 2 * rank:
        pairs = [(pad[i], pad[i + 1]) for i in range(0, 2 * rank, 2)]
        for ends in pairs:
            for number in ends:
                check_range(kind, 0, pad=number)
        return pairs
    if isinstance(pad, tuple) and len(pad) != rank:
        raise InputError(kind, "pad", pad, f"takes one number, {rank}, or {2 * rank}: both ends")
    return [(number, number) for number in _per_axis(kind, "pad", pad, rank, low=0)]


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
