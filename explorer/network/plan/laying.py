"""What the lanes of an operator's layout hold of a tensor of the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from explorer.layout.held import Held
from explorer.layout.packed import Layout
from explorer.network.graph import View


@dataclass(frozen=True, slots=True)
class _Moved:
    """How an operator's tensor lies in the network's, where its elements have another order.

    Attributes:
        view: the same, without names.
        part: shape of the operator's tensor.
    """

    view: View
    part: tuple[int, ...]


def held(layout: Layout, view: View, *, strict: bool) -> Held:
    """What the lanes hold, as elements of the network's tensor.

    Args:
        layout: of the operator's tensor.
        view: how that lies in the network's.
        strict: whether lanes that stand for nothing have to be zero.
    """
    return _held(layout, _moved(layout, view), strict)


def digest(layout: Layout, view: View, *, strict: bool) -> str:
    """Equal for layouts that hold the same, lane by lane; arguments as for `held`.

    It is told once a process, so that who plans at several prices need not look at lanes again.
    """
    return _digest(layout, _moved(layout, view), strict)


def _moved(layout: Layout, view: View) -> _Moved | None:
    if not view.transposes:
        return None
    return _Moved(replace(view, operand="", tensor=""), layout.tensor.shape)


def _held(layout: Layout, moved: _Moved | None, strict: bool) -> Held:
    found = Held.of(layout)
    found = found.strict() if strict else found
    if moved is None:
        return found
    flat = np.arange(layout.tensor.size)
    return found.moved(moved.view.read(flat, moved.part).reshape(-1))


@lru_cache(maxsize=2**14)
def _digest(layout: Layout, moved: _Moved | None, strict: bool) -> str:
    return _held(layout, moved, strict).digest
