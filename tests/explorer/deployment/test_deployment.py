"""A network from programs to a folder and back: every tensor is the reference's, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.deployment.compilation import Compiled
from explorer.deployment.content import Content, Summand, serves
from explorer.deployment.execution import execute
from explorer.deployment.folder import folder_files
from explorer.deployment.host import library
from explorer.deployment.programs import compiled as program_of
from explorer.deployment.reading import read
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import executions, verify
from explorer.layout.canonical import IDLE, ZERO, contents
from explorer.layout.held import Held
from explorer.network.candidates.listing import REFERENCE, REFERENCE_TERMS, fixed, options
from explorer.network.graph import Host as HostNode
from explorer.network.plan.transitions import Host
from explorer.program.emission import write_folder
from explorer.ranking.explore import reference
from explorer.report import network_trace
from isa.errors import InputError
from tests.explorer.deployment.small import DEFAULT, block, programs

Made = tuple[Subject, Compiled]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A quantised block with a pool by the host."""
    found = block(tmp_path_factory.mktemp("block") / "block.onnx")
    return found, programs(found)


@pytest.fixture(scope="module")
def folder(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a folder."""
    found, compiled = made
    models = found.host_models()
    path = tmp_path_factory.mktemp("folder") / "network"
    write_folder(path, folder_files(compiled.deployment(models=models), {}))
    return path


def test_every_tensor(made: Made) -> None:
    """All tensors are right on all implementations, and the output is ONNX Runtime's."""
    found, compiled = made
    result = verify(found, compiled, found.inputs())
    assert result.right
    assert result.exact
    assert [row.tensor for row in result.rows] == [
        name for node in found.network.nodes for name in node.writes
    ]
    assert {row.runs for row in result.rows} == {"accelerator", "host"}
    assert [row.difference for row in result.rows if row.difference is not None] == [0.0]


def test_programs_are_the_candidates(made: Made) -> None:
    """A candidate's program has its cycles and layouts, however residuals and biases come in."""
    found, _ = made
    network, kinds = found.network, set()
    for node in network.accelerated:
        operator = node.operator
        embedding = reference(operator, DEFAULT)
        assert embedding is not None
        for option in [*fixed(operator, DEFAULT, 1), *options(operator, DEFAULT, embedding, 1)]:
            program = program_of(node, network, found.values, DEFAULT, option)
            kinds.add((option.name, bool(option.wide)))
            assert program.cycles == option.cycles
            held = {
                summand.tensor: (part.content.wide, summand.index)
                for part in program.operands
                if part.content is not None
                for summand in part.content.summands
            }
            for name, layout in option.layouts.items():
                tensor = network.by_name[node.views[name].tensor]
                if not tensor.constant:
                    wide, index = held.pop(tensor.name)
                    assert wide == (name in option.wide)
                    assert np.array_equal(index, contents(layout))
            assert not held
    assert {(REFERENCE, True), (REFERENCE_TERMS, False)} <= kinds


def test_a_candidate_without_its_program(made: Made) -> None:
    """A candidate of which only cycles are known is an error, and not another program."""
    found, _ = made
    node = found.network.accelerated[0]
    (option,) = fixed(node.operator, DEFAULT, 1)
    with pytest.raises(ValueError, match="has no program"):
        program_of(node, found.network, found.values, DEFAULT, replace(option, schedule=None))


def test_wrong_bits_are_seen(made: Made) -> None:
    """A weight that differs is found in the tensors behind it, and in the output."""
    found, compiled = made
    name = found.network.accelerated[0].views["weight"].tensor
    values = {**found.values, name: found.values[name] ^ 1}
    other = Subject(found.network, values, found.imported, drawn=False, seed=found.seed)
    compared: list[int] = []
    result = verify(other, compiled, found.inputs(), on_compared=compared.append)
    assert not result.right
    assert result.rows[0].wrong
    # So far as it has come, at each time.
    assert len(compared) == executions(compiled.config) - 1
    assert 0 < compared[0] <= compared[-1] == sum(row.wrong for row in result.rows)


def test_folder(made: Made, folder: Path) -> None:
    """A folder that was read computes what ONNX Runtime does, without the model it came from."""
    found, _ = made
    deployment = read(folder)
    assert deployment.config.name == DEFAULT.name
    given = found.inputs()
    seen = execute(deployment, given, library(deployment))
    for name, array in found.original(given).items():
        assert array.dtype == seen[name].dtype
        assert np.array_equal(array, seen[name])


def test_same_bytes(made: Made, folder: Path) -> None:
    """Equal networks give equal files, and a folder that was read gives its own again."""
    found, compiled = made
    models = found.host_models()
    files = folder_files(compiled.deployment(models=models), {})
    assert {n: (folder / n).read_bytes() for n in files} == files
    assert folder_files(read(folder), {}) == files


Damage = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda m: m.update(version=1), "version"),
        (lambda m: m.update(more=1), "more"),
        (lambda m: m["ranges"][0].update(address=8), "ranges.0.address"),
        (lambda m: m["ranges"][0].update(address=2**30), "ranges.0.address"),
        (lambda m: m["ranges"][0].update(size=1), "ranges.0.size"),
        (lambda m: m["ranges"][0]["content"]["summands"][0].update(tensor="no"), "no"),
        (lambda m: m["ranges"][0]["content"].update(lanes=7), "ranges.0.content"),
        (lambda m: m["segments"][0].update(count=3), "segments.0.count"),
        (lambda m: m["segments"][0].update(instructions=0), "instructions"),
        (lambda m: m["steps"][0].update(range=10**6), "steps.0.range"),
        (lambda m: m["steps"][0].update(sources=[]), "steps.0.sources"),
        (lambda m: m["steps"][0].update(sources=[10**6]), "steps.0.sources"),
        (lambda m: m["steps"][0].update(do="launch"), "steps.0.segment"),
        (lambda m: m["steps"][0].update(do="call", node="no"), "steps.0.node"),
        (lambda m: m["hosts"].update(no=next(iter(m["hosts"].values()))), "hosts.no"),
        (lambda m: m["network"].update(sha256="0" * 64), "network.json"),
        (lambda m: m["inputs"].append("no"), "inputs"),
    ],
)
def test_damage(damage: Damage, told: str, folder: Path, tmp_path: Path) -> None:
    """Whatever is wrong with a folder is one error that names the field."""
    path = tmp_path / "network"
    shutil.copytree(folder, path)
    manifest = json.loads((path / "manifest.json").read_text())
    damage(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=told):
        read(path)


def test_damaged_files(folder: Path, tmp_path: Path) -> None:
    """Files that are missing, cut off or others than the manifest says are told by name."""
    names = [p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file()]
    for name in (n for n in names if n.suffix != ".txt" and n.name != "manifest.json"):
        path = tmp_path / "network"
        shutil.copytree(folder, path)
        (path / name).write_bytes((path / name).read_bytes()[:-1])
        with pytest.raises(InputError, match=name.name):
            read(path)
        (path / name).unlink()
        with pytest.raises(InputError, match=name.name):
            read(path)
        shutil.rmtree(path)


def test_host_without_a_model(folder: Path) -> None:
    """What a host node of a document writes is drawn by the seed; a folder with one is not run."""
    found = subject("transformer", seed=1)
    node = next(n for n in found.network.nodes if isinstance(n, HostNode))
    drawn, again = (subject("transformer", seed=1).host(node, {}) for _ in range(2))
    assert drawn.keys() == set(node.writes)
    assert all(np.array_equal(array, again[name]) for name, array in drawn.items())
    deployment = read(folder)
    with pytest.raises(InputError, match="MaxPool"):
        library(replace(deployment, models={}))


def test_open_shapes(made: Made) -> None:
    """An input whose shape the model leaves open is asked for by the option that tells it."""
    found, _ = made
    network = found.network
    tensors = tuple(
        replace(t, shape=None) if t.name in network.inputs else t for t in network.tensors
    )
    other = Subject(replace(network, tensors=tensors), found.values, None, drawn=True, seed=0)
    with pytest.raises(InputError, match="--shape"):
        other.inputs()


def test_timeline(made: Made) -> None:
    """Steps follow each other without gaps, and the trace has each instruction and node once."""
    _, compiled = made
    deployment = compiled.deployment()
    host = Host(Fraction(1, 2), 3)
    rows = network_trace.rows(deployment, host)
    assert len(rows) == len(deployment.actions)
    assert all(b.begin == a.begin + a.cycles for a, b in pairwise(rows))
    # A copy takes its bytes and the call; a node what moving its tensors does.
    for row in rows:
        call = 3 if row.what in {"pack", "fill", "unpack"} else 0
        assert row.what == "launch" or row.cycles == -(-row.bytes // 2) + call
    (pool,) = (row for row in rows if row.what == "call")
    assert pool.bytes == 16 * 6 * 6 + 16 * 3 * 3
    events = json.loads(network_trace.trace(deployment, host))["traceEvents"]
    slices = [e for e in events if e["ph"] == "X" and e["cat"] == "busy"]
    assert 0 < len(slices) <= sum(len(s.table) for s in deployment.segments)
    nodes = [e["name"] for e in events if e.get("cat") == "node"]
    assert nodes == [name for s in deployment.segments for name in s.nodes]
    flows = [e["id"] for e in events if e["ph"] == "s"]
    assert len(set(flows)) == len(flows)
    launches = [r for r in rows if r.what == "launch"]
    last = max(e["ts"] + e["dur"] for e in slices)
    assert last <= launches[-1].begin + launches[-1].cycles


def content(*index: int, wide: bool = False) -> Content:
    """A tensor in one entry."""
    return Content((Summand("t", Held.of_rows([np.array([index])])),), 0, wide, "")


def test_what_serves() -> None:
    """Garbage serves where lanes are idle, zeros of the host where they are to be zero, no more."""
    assert serves(content(0, IDLE), content(0, IDLE), by_host=False)
    assert serves(content(0, 1), content(0, IDLE), by_host=False)
    assert not serves(content(0, IDLE), content(0, ZERO), by_host=False)
    assert serves(content(0, IDLE), content(0, ZERO), by_host=True)
    assert not serves(content(0, 1), content(0, ZERO), by_host=True)
    assert not serves(content(1, 0), content(0, 1), by_host=False)
    assert not serves(content(0, wide=True), content(0, wide=True), by_host=True)
