"""Stores in the reader's order: each vector where it is read, and the rest of memory left alone."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.deployment.boxes import boxes
from explorer.deployment.compilation import Compiled
from explorer.deployment.execution import execute
from explorer.deployment.steps import Fill, Pack, Unpack
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import verify
from explorer.network.candidates.listing import Option, options
from explorer.network.plan.transitions import model
from explorer.ranking.explore import reference
from simulator.interleaving import Interleaving
from tests.explorer.deployment.small import DEFAULT
from tests.explorer.network.quantised import Writer

PAIRS = st.dictionaries(st.integers(0, 30), st.sets(st.integers(0, 60), max_size=3), max_size=20)


@given(PAIRS)
def test_boxes(goes: dict[int, set[int]]) -> None:
    """Each vector goes to each of its places once, and nothing else is stored."""
    pairs = [(sram, dram) for sram, places in goes.items() for dram in places]
    stored = [
        (sram + y * width + x, dram + y * stride + x)
        for sram, dram, width, height, stride in boxes(np.array(pairs).reshape(-1, 2))
        for y in range(height)
        for x in range(width)
    ]
    assert sorted(stored) == sorted(pairs)


def test_boxes_are_large() -> None:
    """A block of an image is one STORE, and so is its transpose."""
    block = [(y * 4 + x, 100 + y * 16 + x) for y in range(4) for x in range(4)]
    assert list(boxes(np.array(block))) == [(0, 100, 4, 4, 16)]
    column = [(y, 100 + 7 * y) for y in range(5)]
    assert list(boxes(np.array(column))) == [(0, 100, 1, 5, 7)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, list[list[Option]]]:
    """Three convolutions, the last with a stride, with the layouts that each can have."""
    writer = Writer(4)
    x = writer.given((1, 16, 6, 6), -3)
    a = writer.product("Conv", x, (32, 16, 1, 1), end=[("Relu", 0, 0)])
    b = writer.product("Conv", a, (16, 32, 3, 3), pads=[1] * 4)
    made = writer.model(writer.product("Conv", b, (16, 16, 1, 1), strides=[2, 2]))
    path: Path = tmp_path_factory.mktemp("chain") / "chain.onnx"
    path.write_bytes(made.SerializeToString())
    found = subject(str(path))
    # Each materialisation of TVM's embedding: windows that share entries or have their own, and a
    # border that is stored or made by the DMA engine.
    listed = []
    for node in found.network.accelerated:
        embedding = reference(node.operator, DEFAULT)
        assert embedding is not None
        listed.append(options(node.operator, DEFAULT, embedding, 1))
    return found, listed


@pytest.mark.parametrize("seed", range(6))
def test_chain(seed: int, chain: tuple[Subject, list[list[Option]]]) -> None:
    """Whatever the layouts are, all tensors are right, in every order of the queues."""
    found, listed = chain
    chooser = random.Random(seed)
    names = [node.name for node in found.network.accelerated]
    chosen = {n: chooser.choice(own) for n, own in zip(names, listed, strict=True)}
    compiled = Compiled(found.network, found.values, DEFAULT, chosen, model("stored"))
    result = verify(found, compiled, found.inputs())
    assert result.right
    # Of what the last one reads, it wants every second pixel of every second row.
    stored = [row for row in result.rows if row.compared < row.elements]
    assert all((row.node, row.compared * 4) == (names[1], row.elements) for row in stored)
    first, _, last = result.rows
    assert (first.compared, last.compared) == (first.elements, last.elements)


def test_host_is_left_out(chain: tuple[Subject, list[list[Option]]]) -> None:
    """Some layouts that differ are passed on by stores alone, where the host would repack."""
    found, listed = chain
    given, names = found.inputs(), [node.name for node in found.network.accelerated]
    wanted, fewer, filled = found.tensors(given), 0, 0
    for number, own in enumerate(listed[1]):
        options_of = (listed[0][0], own, listed[2][number % len(listed[2])])
        chosen = dict(zip(names, options_of, strict=True))
        with_host, without = (
            Compiled(found.network, found.values, DEFAULT, chosen, model(name)).deployment()
            for name in ("repack", "stored")
        )
        moved = [
            sum(isinstance(action, Pack | Unpack) for action in made.actions)
            for made in (with_host, without)
        ]
        assert moved[1] <= moved[0]
        fewer += moved[1] < moved[0]
        filled += any(isinstance(action, Fill) for action in without.actions)
        order = Interleaving.parse("eager-load")
        for name, array in execute(without, given, found.host, interleaving=order).items():
            assert np.array_equal(array, wanted[name])
    assert fewer
    assert filled
