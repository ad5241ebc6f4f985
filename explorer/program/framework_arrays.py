"""Arrays as frameworks have them → tensors as an operator has them.

A layout is a letter for each dimension of the array: ``NCHW``, ``NHWC``, ``OIHW``, ``KCRS``. What
frameworks join, an operator may have apart (groups, the kernels of a depth multiplier, heads), and
a dimension of one element may be missing on either side.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from explorer.operators.letters import usual
from isa.computation import Tensor
from isa.errors import InputError


def arranged(
    array: NDArray[np.generic], letters: str, tensor: Tensor, source: str
) -> NDArray[np.generic]:
    """The array with the tensor's dimensions, in the tensor's order.

    Args:
        array: what a framework has.
        letters: its layout.
        tensor: what it is for.
        source: where the array comes from, for errors.

    Raises:
        InputError: the layout does not fit the array, or the array not the tensor.
    """
    letters = usual(letters, tensor.letters)
    if not re.fullmatch(r"[A-Z]+", letters) or len(set(letters)) < len(letters):
        raise InputError("--data-layout", tensor.name, letters, "different letters, as in NCHW")
    if len(letters) != array.ndim:
        allowed = f"a letter for each dimension; {source} has shape {array.shape}"
        raise InputError("--data-layout", tensor.name, letters, allowed)
    sizes = dict(zip(tensor.letters, tensor.shape, strict=True))
    missing = [x for x in tensor.letters if x not in letters and sizes[x] > 1]
    found: list[str] = []
    for letter, extent in zip(letters, array.shape, strict=True):
        parts = _parts(letter, extent, sizes, missing)
        if parts is None:
            allowed = (
                f"{tensor.name} has {tensor.letters} of shape {tensor.shape}, and a dimension that "
                "stands for several of these has as many elements"
            )
            shown = f"{letter} of {extent} in {letters}"
            raise InputError("--data-layout", tensor.name, shown, allowed)
        missing = [x for x in missing if x not in parts]
        found += parts
    if missing:
        allowed = f"{tensor.name} has {tensor.letters} of shape {tensor.shape}"
        raise InputError("--data-layout", tensor.name, letters, allowed)
    found += [x for x in tensor.letters if x not in found]  # of one element
    apart = array.reshape([sizes[x] for x in found])
    return np.ascontiguousarray(apart.transpose([found.index(x) for x in tensor.letters]))


def _parts(letter: str, extent: int, sizes: dict[str, int], missing: list[str]) -> list[str] | None:
    """The tensor's dimensions that one of the array stands for, the slowest first."""
    if sizes.get(letter) == extent:
        return [letter]
    joined = [*missing, letter] if letter in sizes else missing
    if missing and math.prod(sizes[x] for x in joined) == extent:
        return joined
    return [] if extent == 1 and letter not in sizes else None
