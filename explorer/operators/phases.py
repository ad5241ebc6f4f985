"""A framework's kernel of a transposed convolution → the weight tensor, which has its phases apart.

Where the kernel stands among its phases depends on the border, which access maps do not tell: the
arguments do, by which an operator of that kind is named.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.operators import inline
from explorer.operators.axes import PerAxis, Subpixel, subpixels_along
from isa.computation import Operator
from isa.errors import InputError

_AXES = {"transposed1d": {"w": "s"}, "transposed2d": {"h": "r", "w": "s"}}
_PHASE = {"h": "P", "w": "Q"}


def apart(
    array: NDArray[np.generic], letters: str, operator: Operator
) -> tuple[NDArray[np.generic], str]:
    """A kernel with phases as dimensions, and its layout.

    Args:
        array: the kernel as frameworks have it.
        letters: its layout, in the letters of the weight tensor: PyTorch's is ``IOHW``.
        operator: whose weights it is; of any other kind, the array is given back as it is.

    Raises:
        InputError: the kernel has other extents, or the operator is not named by its arguments.
    """
    weight = operator.terms[0].computation.in1
    split = [x for x, phase in _PHASE.items() if phase in weight.letters and x.upper() in letters]
    if operator.kind not in _AXES or not split or set(_PHASE.values()) & set(letters):
        return array, letters
    for subpixel in _subpixels(operator):
        if subpixel.axis in split:
            array, letters = _split(array, letters, subpixel)
    return array, letters


def _split(
    array: NDArray[np.generic], letters: str, subpixel: Subpixel
) -> tuple[NDArray[np.generic], str]:
    """The array with an axis in phases; zeros lead, lie between dilated taps, and end it."""
    letter, stride = subpixel.axis.upper(), subpixel.stride
    at = letters.index(letter)
    if array.shape[at] != subpixel.kernel:
        shown = f"{letter} of {array.shape[at]}"
        raise InputError("--data-layout", "weight", shown, f"the kernel has {subpixel.kernel}")
    (taps,) = subpixel.taps.values()
    shape = [*array.shape[:at], taps * stride, *array.shape[at + 1 :]]
    whole = np.zeros(shape, array.dtype)
    place = [slice(None)] * array.ndim
    place[at] = slice(subpixel.lead, subpixel.lead + subpixel.rows, subpixel.dilation)
    whole[tuple(place)] = array
    shape[at : at + 1] = [taps, stride]
    return whole.reshape(shape), letters.replace(letter, letter + _PHASE[subpixel.axis])


def _subpixels(operator: Operator) -> list[Subpixel]:
    """The axes, from the arguments in the operator's name.

    Raises:
        InputError: the name is another one.
    """
    kind, _, rest = operator.name.partition(":")
    allowed = f"for a kernel as frameworks have it, {operator.kind}:… in one line, without a name"
    if kind != operator.kind or inline.parse(operator.name).terms != operator.terms:
        raise InputError("--data-layout", "weight", operator.name, allowed)
    given = dict(part.split("=") for part in rest.split(","))

    def numbers(name: str, default: int) -> PerAxis:
        values = tuple(map(int, given.get(name, str(default)).split("x")))
        return values if len(values) > 1 else values[0]

    axes = {axis: (int(given[axis]), int(given[tap])) for axis, tap in _AXES[kind].items()}
    pad, stride, dilation = numbers("pad", 0), numbers("stride", 1), numbers("dilation", 1)
    return subpixels_along(kind, axes, pad, stride, dilation, numbers("output_padding", 0))
