"""Boxes moved by DMA: each entry lands where the dense box has it, zeros where it is padded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.schedule.dma import Infeasible, Side, order_for, transfers


@st.composite
def boxes(draw: st.DrawFn) -> list[Side]:
    """A box with up to four sides, some of them padded."""
    result = []
    for _ in range(draw(st.integers(1, 4))):
        extent = draw(st.integers(1, 6))
        first = draw(st.integers(0, extent - 1))
        count = draw(st.integers(1, extent - first))
        pad = st.integers(0, 2)
        before = draw(pad) if first == 0 else 0
        after = draw(pad) if first + count == extent else 0
        result.append(Side(first, count, extent, before, after))
    return result


def _expected(sides: list[Side], tensor: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> object:
    inside = tensor[tuple(slice(s.first, s.first + s.count) for s in sides)]
    return np.pad(inside, [(s.before, s.after) for s in sides]).reshape(-1).tolist()


@given(boxes())
def test_transfers_fill_the_dense_box(sides: list[Side]) -> None:
    """Executing the transfers as the specification says gives the padded box, row-major."""
    shape = [s.extent for s in sides]
    dram = np.arange(1, math.prod(shape) + 1)
    try:
        moves = transfers(sides)
    except Infeasible:
        assert sum(s.is_padded for s in sides) > 0
        return
    sram = np.full(math.prod(s.length for s in sides), -1)
    for move in moves:
        y0, y1, x0, x1 = move.pads
        width = x0 + move.x_size + x1
        block = np.zeros((y0 + move.y_size + y1, width), np.int64)
        for y in range(move.y_size):
            begin = move.dram + y * move.x_stride
            block[y0 + y, x0 : x0 + move.x_size] = dram[begin : begin + move.x_size]
        place = slice(move.sram, move.sram + block.size)
        assert (sram[place] == -1).all()
        sram[place] = block.reshape(-1)
    assert sram.tolist() == _expected(sides, dram.reshape(shape))


def test_whole_sides_fold_into_one_row() -> None:
    """A box of whole inner coordinates is one row of consecutive elements."""
    (move,) = transfers([Side(1, 2, 4), Side(0, 3, 3), Side(0, 5, 5)])
    assert (move.y_size, move.x_size, move.dram) == (1, 30, 15)


def test_order_puts_whole_coordinates_innermost() -> None:
    """Cutting the fastest coordinate costs instructions that another order saves."""
    sides = [Side(0, 4, 4), Side(0, 2, 8), Side(0, 3, 9), Side(0, 4, 4)]
    ordered = [sides[i] for i in order_for(sides)]
    assert len(transfers(ordered)) == 1
    assert len(transfers(sides)) > 1


@pytest.mark.parametrize(
    "sides",
    [
        [Side(0, 2, 4, before=16)],
        [Side(0, 1, 2), Side(0, 70_000, 70_000)],
        [Side(0, 2, 2, before=1), Side(0, 2, 2), Side(0, 2, 3)],
    ],
)
def test_limits_rule_a_box_out(sides: list[Side]) -> None:
    """Wide pads, sizes over 16 bits and pads along a third coordinate have no DMA."""
    with pytest.raises(Infeasible):
        transfers(sides)
