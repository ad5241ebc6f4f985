"""Readers of whole networks, documents to folders: they read them, or raise one short message."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from explorer import cli
from explorer.cli.network import shapes
from explorer.deployment.compilation import emitted
from explorer.deployment.subjects import Subject, subject
from explorer.network.candidates.given import given_candidates
from explorer.network.models import resolve
from explorer.network.onnx import importing
from explorer.network.plan.problem import Candidate, Cost, Node, Problem
from explorer.network.plan.transitions import model, priced
from explorer.network.plan.wishes import check_names, parse_limits, parse_metrics, parse_pins
from explorer.network.shipped import shipped
from explorer.program.emission import write_folder
from isa.config import Config
from isa.schema import parse_yaml
from tests.explorer.deployment.small import DOCUMENT, block, programs
from tests.fuzz.hostile import (
    NUMBERS,
    TEXTS,
    accepts_or_says,
    budget,
    check_message,
    mutants,
    said,
    words,
)

DEFAULT = Config.load("default")
RESNET = shipped("resnet18", "terms")
TABLE = b"""operator,embedding,inp_halo,inp_padded,wgt_halo,cycles
resnet18:C2,reference,1,1,0,531000
resnet18:C2,y=oc:16/z=ic:16,1,0,0,529874
"""
PROBLEM = Problem(
    (Node("conv", (Candidate("reference", Cost(1), (("x", "NCHW"),), (("y", "NCHW1n16c"),)),)),),
    {},
)


def _mutated(value: Any, chance: random.Random) -> Any:
    """A JSON value with something in it replaced, left out or doubled."""
    if isinstance(value, dict | list) and value and chance.random() < 0.93:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chance.choice(keys)
        copy = value.copy()
        kind = chance.randrange(12)
        if kind == 0:
            del copy[key]
        elif kind == 1 and isinstance(copy, list):
            copy.append(copy[key])
        elif kind == 2:
            copy[key] = copy[chance.choice(keys)]
        else:
            copy[key] = _mutated(value[key], chance)
        return copy
    near = [value + 1, value - 1, -value, value * 2] if type(value) is int else []
    return chance.choice(
        [*near, *near, None, 0, 1, -1, 7, 2**31 - 1, 2**31, 2**63, 10**30, 0.5, True, "", [], {},
         [value], {"a": value}, chance.choice(TEXTS), chance.choice(NUMBERS), "int32", "tensor"]
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A model with what accelerator and host do."""
    return block(tmp_path_factory.mktemp("fuzz") / "block.onnx")


def _reads(name: str, originals: list[bytes], read_it: Callable[[Path], object], many: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name

        @budget(12, many)
        @given(mutants(originals))
        def holds(data: bytes) -> None:
            path.write_bytes(data)
            accepts_or_says(lambda: read_it(path))

        holds()


def test_models(small: Subject) -> None:
    """An ONNX model that is damaged anywhere is a network, or there is one message."""
    assert small.imported is not None
    data = small.imported.model.proto.SerializeToString()
    _reads("x.onnx", [data], importing.load, 4_000)


def test_tables() -> None:
    """A table of candidates that is damaged is read, or there is one message."""
    _reads("x.csv", [TABLE], lambda path: given_candidates(path, RESNET, DEFAULT), 1_000)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_documents(suffix: str) -> None:
    """A network's document that is damaged is a network, or there is one message."""
    data = DOCUMENT if suffix == "yaml" else json.dumps(parse_yaml(DOCUMENT, "x"))
    _reads(f"x.{suffix}", [data.encode()], lambda path: resolve(str(path)), 3_000)


@budget(25, 6_000)
@given(st.integers(0, 2**32))
def test_values_of_documents(seed: int) -> None:
    """Whatever stands where in a document, it can be computed, or there is one message."""
    chance, data = random.Random(seed), parse_yaml(DOCUMENT, "x")
    for _ in range(chance.randint(1, 3)):
        data = _mutated(data, chance)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        path.write_text(json.dumps(data))
        accepts_or_says(lambda: _computed(subject(str(path))))


def _computed(found: Subject) -> object:
    return found.tensors(found.inputs())


@pytest.fixture(scope="module")
def folder(small: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a network with programs of TVM's embeddings."""
    path = tmp_path_factory.mktemp("fuzz") / "deployment"
    write_folder(path, emitted(small, programs(small), "block")[1])
    return path


def test_folders(folder: Path) -> None:
    """A network's folder of which a file is damaged is read, or there is one message.

    The manifest may say otherwise than the files, or whatever fits the damaged one. What is read is
    run, or refused in the same way.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    contents = {path: path.read_bytes() for path in files}
    manifest, image = folder / "manifest.json", folder.parent / "image.npy"
    np.save(image, np.zeros((1, 16, 6, 6), np.uint8))

    @budget(12, 1_500)
    @given(st.sampled_from([manifest, *files]), st.booleans(), st.integers(0, 2**32), st.data())
    def holds(path: Path, forged: bool, seed: int, data: st.DataObject) -> None:
        chance = random.Random(seed)
        told = json.loads(contents[manifest])
        if path == manifest and forged:
            for _ in range(chance.randint(1, 3)):
                told = _mutated(told, chance)
            path.write_text(json.dumps(told))
        else:
            path.write_bytes(data.draw(mutants([contents[path]])))
            if forged:
                _forge(told, path.relative_to(folder).as_posix(), path.read_bytes())
                manifest.write_text(json.dumps(told))
        try:
            _run(folder, image)
        finally:
            path.write_bytes(contents[path])
            manifest.write_bytes(contents[manifest])

    holds()


def _forge(value: Any, name: str, data: bytes) -> None:
    """Have a manifest say of a file what is true."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if isinstance(value, dict) and value.get("file") == name:
        value |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict | list):
            _forge(part, name, data)


def _run(path: Path, image: Path) -> None:
    arguments = ["network", "run", str(path), "--data", str(image), "--timeline"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 2)
    if result.exit_code:
        (line,) = said(result.stderr)
        check_message(line.removeprefix("explorer: error: "))


# What reads the text of an argument or option.
PARSERS: dict[str, Callable[[str], object]] = {
    "model": resolve,
    "shape": lambda text: shapes([text]),
    "priced": lambda text: priced(text, 0),
    "pin": lambda text: parse_pins([text], PROBLEM),
    "names": lambda text: check_names([text], RESNET),
    "limit": lambda text: parse_limits([text]),
    "metrics": lambda text: parse_metrics(text, "--prefer"),
    "transitions": model,
}


@pytest.mark.parametrize("name", PARSERS)
def test_texts(name: str) -> None:
    """Any text as an argument or an option is understood, or there is one message."""

    @budget(30, 2_000)
    @given(words)
    def holds(text: str) -> None:
        accepts_or_says(lambda: PARSERS[name](text))

    holds()
