"""Just-in-time compilation of the simulators' loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")


def jit(function: Function) -> Function:
    """Compile a function on its first call, and keep the machine code on disk where possible.

    numba ships no types, so this also is where the function's own signature survives.
    """
    try:
        compiled = numba.njit(cache=True)(function)
    except RuntimeError:  # neither the installation nor the user's cache folder can be written
        compiled = numba.njit(function)
    return cast("Function", compiled)
