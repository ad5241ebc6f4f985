"""Programs in one stream: no legal order of the queues sees a tensor before it is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.deployment.compilation import Compiled
from explorer.deployment.execution import execute
from explorer.deployment.image import Deployment, memory
from explorer.deployment.segments import Border, joined
from explorer.deployment.subjects import Subject, subject
from isa.codec import Queue, encode, queues
from isa.config import Config
from isa.fields import Column
from isa.program_image import DRAM_START, SECTIONS, Program, Section
from simulator.interleaving import Interleaving
from simulator.lint import lint
from simulator.timing import cycles
from tests.explorer.deployment.small import DEFAULT, block, programs

BORDERS: tuple[Border, ...] = ("flow", "barrier")
ORDERS = ("eager-load", "lazy-store", *(f"random:{seed}" for seed in range(6)))
Made = tuple[Subject, Compiled, Deployment]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three convolutions in a row, the last of which adds what the first has written."""
    found = block(tmp_path_factory.mktemp("block") / "block.onnx")
    compiled = programs(found)
    return found, compiled, compiled.deployment()


def tables(deployment: Deployment) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """The instructions of each launch."""
    return [segment.table for segment in deployment.segments]


def program(table: np.ndarray[tuple[int, ...], np.dtype[np.int64]], of: Deployment) -> Program:
    """A stream behind all that a deployment has in memory."""
    code, data = encode(of.config, table), memory(of)
    known = {
        "UOP": Section("UOP", DRAM_START, of.size - DRAM_START, data[DRAM_START:].tobytes()),
        "INSN": Section("INSN", of.size, len(code), code),
    }
    sections = tuple(known.get(name, Section(name, DRAM_START, 0)) for name in SECTIONS)
    return Program(of.config, table, of.segments[0].uops, sections)


def test_every_order_is_right(made: Made) -> None:
    """The outputs are the reference's in the orders that take the queues farthest apart."""
    found, _, deployment = made
    given = found.inputs()
    wanted = found.tensors(given)
    for order in ORDERS:
        seen = execute(deployment, given, found.host, interleaving=Interleaving.parse(order))
        assert all(np.array_equal(wanted[name], array) for name, array in seen.items())


@pytest.mark.parametrize("border", BORDERS)
def test_joined(made: Made, border: Border) -> None:
    """Streams of both kinds have no finding, and flow takes no longer than a barrier."""
    _, compiled, _ = made
    alone = compiled.deployment(one_by_one=True, apart=True)
    stream = joined(DEFAULT, tables(alone)[:2], memory(alone), border).table
    assert not lint(program(stream, alone))
    barrier = joined(DEFAULT, tables(alone)[:2], memory(alone), "barrier").table
    assert cycles(DEFAULT, stream) <= cycles(DEFAULT, barrier)
    assert cycles(DEFAULT, barrier) < sum(cycles(DEFAULT, t) for t in tables(alone)[:2])


@pytest.mark.parametrize("border", BORDERS)
def test_every_token_is_needed(made: Made, border: Border) -> None:
    """Without one of the tokens between two programs the linter sees a race, whichever it is."""
    _, compiled, _ = made
    alone = compiled.deployment(one_by_one=True, apart=True)
    pair = tables(alone)[:2]
    found = joined(DEFAULT, pair, memory(alone), border)
    stream, before = found.table, np.concatenate([pair[0][:-1], pair[1]])
    waits = np.flatnonzero(
        (queues(stream) == Queue.LOAD)
        & (stream[:, Column.POP_NEXT] != before[found.origin[:, 1] + _start(found.origin, pair),
                                               Column.POP_NEXT])
    )  # fmt: skip
    pushes = np.flatnonzero(
        (queues(stream) == Queue.COMPUTE)
        & (stream[:, Column.PUSH_PREV] != before[found.origin[:, 1] + _start(found.origin, pair),
                                                Column.PUSH_PREV])
    )  # fmt: skip
    assert len(waits) == len(pushes) > 0
    for wait, push in zip(waits, pushes, strict=True):
        broken = stream.copy()
        broken[wait, Column.POP_NEXT] = broken[push, Column.PUSH_PREV] = 0
        assert any(finding.rule == "race" for finding in lint(program(broken, alone)))


def _start(
    origin: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    pair: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Where the program of each instruction begins when they stand one after the other."""
    return np.where(origin[:, 0] == 0, 0, len(pair[0]) - 1)


def test_one_program_a_node(made: Made) -> None:
    """On request each node is a launch of its own, with the same results."""
    found, compiled, _ = made
    deployment = compiled.deployment(one_by_one=True)
    assert all(len(segment.nodes) == 1 for segment in deployment.segments)
    given = found.inputs()
    wanted = found.tensors(given)
    for name, array in execute(deployment, given, found.host).items():
        assert np.array_equal(wanted[name], array)


def test_host_interrupts_no_more_than_it_has_to(made: Made) -> None:
    """The residual, which the host widens, ends the first launch as late as it may."""
    _, _, deployment = made
    assert [len(segment.nodes) for segment in deployment.segments] == [2, 1, 1]


def test_small_depths(root: Path) -> None:
    """With scratchpads of half the depth, where tiles are smaller, streams have no findings."""
    config = replace(Config.load("half"))
    found = subject(str(root / "docs" / "small_network.yaml"))
    deployment = programs(found, config).deployment()
    given = found.inputs()
    wanted = found.tensors(given)
    seen = execute(deployment, given, found.host, interleaving=Interleaving.parse("lazy-store"))
    assert all(np.array_equal(wanted[name], array) for name, array in seen.items())
