"""Comparing a deployed network with the integers that it has to compute, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.compilation import Compiled
from explorer.deployment.execution import execute
from explorer.deployment.image import Deployment, Run
from explorer.deployment.steps import Fill
from explorer.deployment.subjects import Subject
from isa.config import Config
from simulator.implementations import Implementation, admitted
from simulator.interleaving import PROGRAM, Interleaving

Array = NDArray[Any]
ORDERS = ("eager-load", "lazy-store")
"""The orders of the queues that go as far from the program's as tokens allow."""


@dataclass(frozen=True, slots=True)
class Row:
    """A tensor of a network.

    Attributes:
        tensor: its name.
        node: that writes it.
        runs: where: accelerator or host.
        elements: how many it has.
        compared: how many of them were somewhere to be seen: what no reader wants, as between the
            steps of a stride, a program that stores for its readers does not store.
        wrong: how many of them are not the integer reference's in some execution.
        executions: how often it was seen and compared.
        difference: of an output, the greatest distance from the model's own, by ONNX Runtime with
            its optimisation off; None where there is none to compare with.
    """

    tensor: str
    node: str
    runs: str
    elements: int
    compared: int
    wrong: int
    executions: int
    difference: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What executing a network showed.

    Attributes:
        rows: a tensor each, in the order of the nodes.
        implementations: as which of VTA's all tensors were compared.
        exact: whether the network's integers are the model's, so that outputs have to be equal.
        deployment: as it would be emitted.
    """

    rows: tuple[Row, ...]
    implementations: tuple[Implementation, ...]
    exact: bool
    deployment: Deployment

    @property
    def right(self) -> bool:
        """Whether every bit is as it has to be."""
        compared = [row.difference for row in self.rows if self.exact]
        return not any(row.wrong for row in self.rows) and not any(compared)


def verify(
    subject: Subject,
    compiled: Compiled,
    given: Mapping[str, Array],
    *,
    one_by_one: bool = False,
    interleaving: Interleaving = PROGRAM,
    on_progress: Callable[[int], None] = lambda _: None,
    on_compared: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Execute a network and compare every tensor.

    In memory that tensors share, some are gone when their segment ends. So as each implementation
    the network is executed with every tensor in a place of its own; and once as it is emitted, in
    each of the orders that take the queues farthest apart, where what the host sees is compared.

    Args:
        subject: the network.
        compiled: its programs.
        given: its inputs.
        one_by_one: whether each node is a segment of its own.
        interleaving: the order of the queues in all but those last executions.
        on_progress: told when an execution is done.
        on_compared: told after each but the reference's how many elements differ so far.
    """
    wanted = subject.tensors(given)
    on_progress(1)
    tally = _Tally(wanted)
    apart = compiled.deployment(one_by_one=one_by_one, apart=True)
    machines = admitted(compiled.config)

    def watch(action: Run | Fill, image: NDArray[np.uint8]) -> None:
        buffers = apart.segments[action.segment].outputs if isinstance(action, Run) else ()
        for buffer in (action.buffer,) if isinstance(action, Fill) else buffers:
            part = apart.placed[buffer]
            data = image[part.address : part.address + part.size]
            assert part.content is not None
            name = part.content.tensors[0]
            # What the host makes is looked at when it has, which may be before the rest is there.
            rows = np.arange(part.entries, dtype=np.int32)
            without = part.filled if isinstance(action, Run) else np.setdiff1d(rows, part.filled)
            bad = part.content.differs(data, wanted[name], without)
            tally.add(name, bad, part.content.holds(wanted[name], without))

    for machine in machines:
        seen = execute(
            apart, given, subject.host, implementation=machine, interleaving=interleaving,
            watch=watch,
        )  # fmt: skip
        tally.compare_all(seen, subject, compiled)
        on_compared(tally.differing)
        on_progress(1)
    deployment = compiled.deployment(one_by_one=one_by_one)
    for order in ORDERS:
        seen = execute(deployment, given, subject.host, interleaving=Interleaving.parse(order))
        tally.compare_all(seen, subject, compiled)
        on_compared(tally.differing)
        on_progress(1)
    rows = _rows(subject, compiled, tally, _differences(subject, wanted, given))
    exact = not any(node.inexact for node in subject.network.accelerated)
    return Verification(tuple(rows), machines, exact, deployment)


def executions(config: Config) -> int:
    """How often `verify` computes a network: by the reference, apart, and as it is emitted."""
    return 1 + len(admitted(config)) + len(ORDERS)


class _Tally:
    """What was compared."""

    def __init__(self, wanted: Mapping[str, Array]) -> None:
        self.wanted = wanted
        self.wrong: dict[str, NDArray[np.bool_]] = {}
        self.seen: dict[str, int] = {}
        self.held: dict[str, NDArray[np.bool_]] = {}

    @property
    def differing(self) -> int:
        """How many elements differ."""
        return sum(int(bad.sum()) for bad in self.wrong.values())

    def compare(self, name: str, found: Array) -> None:
        """Compare a tensor, in all its bits."""
        wanted = self.wanted[name]
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            bad = np.ones(wanted.size, np.bool_)
        elif wanted.dtype.kind == "O":  # texts
            bad = np.asarray(found != wanted).reshape(-1)
        else:
            width = max(wanted.dtype.itemsize, 1)
            ours, theirs = (
                np.frombuffer(a.tobytes(), np.uint8).reshape(-1, width) for a in (found, wanted)
            )
            bad = (ours != theirs).any(axis=1)
        self.add(name, bad, np.ones(bad.size, np.bool_))

    def add(self, name: str, bad: NDArray[np.bool_], held: NDArray[np.bool_]) -> None:
        """Note which elements of a tensor are wrong, of those that are there."""
        self.seen[name] = self.seen.get(name, 0) + 1
        self.wrong[name] = self.wrong.get(name, np.zeros(bad.size, np.bool_)) | bad
        self.held[name] = self.held.get(name, np.zeros(bad.size, np.bool_)) | held

    def compare_all(self, seen: Mapping[str, Array], subject: Subject, compiled: Compiled) -> None:
        """Compare what the host has seen and a node has written."""
        for name, array in seen.items():
            if name not in subject.network.inputs and name not in compiled.values:
                self.compare(name, array)


def _differences(
    subject: Subject, wanted: Mapping[str, Array], given: Mapping[str, Array]
) -> dict[str, float]:
    """How far outputs are from those of the model itself."""
    found = {}
    for name, array in subject.original(given).items():
        if array.dtype != wanted[name].dtype or array.shape != wanted[name].shape:
            found[name] = float("inf")
        elif array.dtype.kind == "O":  # texts
            found[name] = 0.0 if np.array_equal(array, wanted[name]) else float("inf")
        elif array.tobytes() == wanted[name].tobytes():
            found[name] = 0.0
        else:
            apart = np.abs(array.astype(np.float64) - wanted[name].astype(np.float64))
            # Not-a-number on one side only is as far apart as can be.
            found[name] = float(np.nan_to_num(apart, nan=np.inf).max()) or float(
                np.finfo(np.float64).tiny
            )
    return found


def _rows(
    subject: Subject, compiled: Compiled, tally: _Tally, differences: Mapping[str, float]
) -> list[Row]:
    rows = []
    for node in subject.network.nodes:
        runs = "accelerator" if node.name in compiled.programs else "host"
        for name in node.writes:
            held, wrong = int(tally.held[name].sum()), int(tally.wrong[name].sum())
            size, seen = int(tally.wanted[name].size), tally.seen[name]
            rows.append(Row(name, node.name, runs, size, held, wrong, seen, differences.get(name)))
    return rows
