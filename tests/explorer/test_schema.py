"""JSON outputs and shipped documents are what their schemas say, and the schemas are strict."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

import explorer
from explorer.cli import EVERY, app
from explorer.schemas import ENTRIES
from isa.config import PRESETS
from isa.errors import InputError

SMALL = "gemm:m=2,n=8,k=8"
WIDE = "conv2d:n=1,c=1,h=6,w=6,k=16,r=3,s=3"
# Candidates are evaluated once: all commands find them where the first one has kept them.
PLANNED = "docs/small_network.yaml --candidates 2 --jobs 1 --store candidates"
CASES: tuple[tuple[str, str], ...] = (
    ("operators", "operators resnet18"), ("kinds", "kinds"), ("facts", f"facts {SMALL}"),
    ("embeddings", f"enumerate {SMALL}"), ("embeddings", f"enumerate {SMALL} --layouts"),
    ("embeddings", "enumerate gemm:m=2,n=1,k=1 --encoding unstructured --classes padded "
                   "--intrinsic docs/two_lanes.yaml"),
    ("embeddings", "enumerate docs/block.yaml --classes padded,multi"),
    ("counts", f"count {SMALL}"), ("counts", f"count {SMALL} --fused-mappings"),
    ("ranking", f"rank {SMALL} --top 2"), ("ranking", f"rank {SMALL} --top 1 --safe-distance 4"),
    ("ranking", "rank depthwise2d:n=1,c=4,h=4,w=4,r=3,s=3 --top 1 --classes padded,diagonal"),
    ("optima", f"optimize {WIDE} --prefer footprint.input,rows --all"),
    ("optima", f"pareto {WIDE} --objectives steps,footprint"),
    ("embedding", f"show {SMALL} y=n:8"), ("embedding", f"show {SMALL} y=n:8 --lanes"),
    ("embedding", f"show {SMALL} reference"),
    ("verdict", f"why {SMALL} y=n:8"), ("verdict", f"why {WIDE} y=oh:4"),
    ("template", f"template {SMALL}"),
    ("verification", f"verify {SMALL} reference"), ("execution", f"execute {SMALL} y=n:8"),
    ("emission", f"emit {SMALL} reference --out again"),
    ("instructions", "disasm program"), ("run", "run program"), ("run", "run program --as chisel"),
    ("findings", "lint-program program"), ("findings", "lint-program program --safe-distance 99"),
    ("sweep", f"sweep {SMALL} --vary LOG_BLOCK=3,4 --dry-run"),
    ("sweep", f"sweep {SMALL} --vary LOG_BLOCK=3,4 --out study"),
    ("sweep", "sweep small.yaml --dry-run"),
    ("results", "results study"), ("totals", "results study --totals"),
    ("rows", "results study --sql 'select cycles, status from results'"),
    ("rows", "pareto study --minimize cycles"), ("rows", "pareto front.csv --minimize cycles"),
    ("map", f"map {SMALL} --out map.html"),
    ("nodes", "network show docs/small_network.yaml"), ("nodes", "network show resnet18"),
    ("import", "network import docs/small_network.yaml --out net.json"),
    ("plan", f"network plan {PLANNED}"), ("plan", f"network plan {PLANNED} --pareto cycles"),
    ("plan", "network plan docs/small_network.yaml --transitions stored --over all --jobs 1"),
    ("changes", f"network why {PLANNED.replace(' ', ' conv1 ', 1)}"),
    ("network-map", f"network map {PLANNED} --out n.html"),
    ("network-emission", f"network emit {PLANNED} --out again-network"),
    ("network-run", "network run network --data in.npy"),
    ("network-timeline", "network run network --data in.npy --timeline"),
    ("network-verification", f"network verify {PLANNED}"),
    ("schemas", "schema"),
)  # fmt: skip
READ = {
    "operator": (
        "docs/block.yaml",
        "docs/projection.yaml",
        "docs/rounded.yaml",
        "docs/two_sums.yaml",
    ),
    "stages": ("docs/block.yaml", "docs/projection.yaml", "docs/rounded.yaml"),
    "network": ("docs/small_network.yaml",),
    "study": ("studies/*.yaml",),
    "costs": ("explorer/study/costs.yaml",),
    "intrinsic": ("isa/intrinsics/*.yaml", "docs/two_lanes.yaml"),
    "config": ("isa/presets/*.json",),
    "certificate": ("results/network_proofs/*.json",),
}


@cache
def validator(name: str) -> Draft202012Validator:
    """What checks documents of a schema, which is itself a schema."""
    schema = explorer.schema(name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check(name: str, document: Any) -> None:
    """Raise ValidationError unless the document is what its schema says."""
    validator(name).validate(document)


@pytest.fixture(scope="module")
def home(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program, a study and a table."""
    path = tmp_path_factory.mktemp("schemas")
    (path / "docs").symlink_to(root / "docs")
    (path / "small.yaml").write_text(f'name: small\nworkloads: ["{SMALL}"]\n', encoding="utf-8")
    np.save(path / "in.npy", np.ones((1, 16, 8, 8), np.int8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for words in (
            f"emit {SMALL} reference --out program",
            f"sweep {SMALL} --vary LOG_BLOCK=3,4 --out study",
            "pareto study --minimize cycles,area --out front.csv",
            f"network emit {PLANNED} --out network",
        ):
            result = CliRunner().invoke(app, words.split())
            assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize(("name", "words"), CASES, ids=[words for _, words in CASES])
def test_outputs(name: str, words: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command prints with --json is what its schema says."""
    monkeypatch.chdir(home)
    result = CliRunner().invoke(app, [*shlex.split(words), "--json", "--quiet"])
    assert result.exit_code in (0, 1), result.output
    check(name, json.loads(result.stdout))


@pytest.mark.slow
def test_gains() -> None:
    """The table of `bench` is what its schema says."""
    words = ["bench", "resnet18", "--every", "20", "--classes", "padded", "--json", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    check("gains", json.loads(result.stdout))


def test_a_program_that_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that does not come to its end is in the schema of runs."""
    monkeypatch.chdir(home)
    words = f"emit {SMALL} reference --out broken --format standalone-vta"
    assert CliRunner().invoke(app, words.split()).exit_code == 0
    (home / "broken" / "manifest.json").unlink()
    instructions = home / "broken" / "instructions.bin"
    instructions.write_bytes(instructions.read_bytes()[:-16])  # without FINISH
    result = CliRunner().invoke(app, ["run", "broken", "--json"])
    assert result.exit_code == 1, result.output
    check("run", json.loads(result.stdout))


def test_every_output_has_a_case() -> None:
    """Each schema of an output is tried, and each command that prints JSON has one."""
    tried = {name for name, _ in CASES} | {"gains"}
    assert tried == {entry.name for entry in ENTRIES if entry.command}
    assert {entry.command for entry in ENTRIES} - {""} == EVERY.keys()
    made = {"manifest", "network-manifest"}
    assert READ.keys() | made == {entry.name for entry in ENTRIES if not entry.command}


def shipped(root: Path) -> Iterator[tuple[str, Path]]:
    """The documents that ship, each with the schema that it is of."""
    for name, patterns in READ.items():
        for pattern in patterns:
            found = sorted(root.glob(pattern))
            assert found, pattern
            yield from ((name, path) for path in found)


def test_shipped_documents(root: Path, home: Path) -> None:
    """Every document that ships is what its schema says, and so are manifests."""
    assert len(PRESETS) == len(list(root.glob("isa/presets/*.json")))
    for name, path in shipped(root):
        check(name, yaml.safe_load(path.read_text(encoding="utf-8")))
    check("manifest", json.loads((home / "program" / "manifest.json").read_text()))
    check("network-manifest", json.loads((home / "network" / "manifest.json").read_text()))


def test_editors_find_the_schema(root: Path) -> None:
    """The YAML documents that ship say in their first line which schema they are of."""
    for name, path in shipped(root):
        if path.suffix == ".yaml" and name != "operator":
            line = path.read_text(encoding="utf-8").partition("\n")[0]
            target = line.removeprefix("# yaml-language-server: $schema=")
            assert json.loads((path.parent / target).read_text()) == explorer.schema(name), path


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("operator", {"kind": "gemm", "m": 1, "n": 1}),
        ("operator", {"kind": "gemm", "m": 1, "n": 1, "k": 1, "q": 1}),
        ("operator", {"kind": "nothing"}),
        ("config", {"LOG_BLOCK": 4}),
        ("study", {"name": "a", "workloads": ["resnet18"], "very": {}}),
        ("intrinsic", {"name": "a", "axes": {"x": 2}}),
        ("costs", {"name": "a"}),
        ("manifest", {"format": "raw"}),
        ("network-manifest", {"format": "network", "version": 1}),
        ("ranking", [{"rank": 1, "embedding": "scalar"}]),
        ("verdict", {"embedding": "scalar", "reasons": [], "legal": True, "more": 1}),
        ("instructions", [{"index": 0, "queue": "fetch"}]),
    ],
)
def test_schemas_are_strict(name: str, document: object) -> None:
    """What lacks a key, or has one too many, is not what the schema says."""
    with pytest.raises(ValidationError):
        check(name, document)


def test_kinds_by_their_arguments() -> None:
    """A kind takes its arguments as numbers, lists and text, single axes included."""
    layer: dict[str, object] = {"kind": "conv2d", "n": 1, "c": 3, "h": 8, "w": 8, "k": 8}
    check("operator", layer | {"r": 3, "s": 3, "pad": [0, 1, 0, 1], "stride_h": 2, "relu": True})
    check("operator", layer | {"r": 3, "s": 3, "pad": "same", "name": "stem"})


def test_an_unknown_name() -> None:
    """A schema that there is not is told with those that there are."""
    with pytest.raises(InputError, match="did you mean 'ranking'"):
        explorer.schema("rankin")
