"""`network run` on a folder: outputs as files, steps, the trace; what is wrong is one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from explorer.cli import app
from explorer.deployment.folder import folder_files
from explorer.deployment.subjects import Subject
from explorer.network.graph import Accelerated
from explorer.program.emission import write_folder
from tests.explorer.deployment.small import block, programs


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Subject]:
    """A folder with an emitted network and an image."""
    path = tmp_path_factory.mktemp("home")
    found = block(path / "block.onnx")
    models = found.host_models()
    write_folder(path / "net", folder_files(programs(found).deployment(models=models), {}))
    (image,) = found.inputs().values()
    np.save(path / "image.npy", image)
    np.save(path / "small.npy", image[:, :, 1:])
    return path, found


def run(home: Path, *words: str) -> tuple[int, str]:
    """The exit status of a run and all that it prints."""
    words = tuple(word.replace("HOME", str(home)) for word in words)
    result = CliRunner().invoke(app, ["network", "run", *words, "--quiet"])
    return result.exit_code, result.output


@pytest.mark.parametrize("machine", ["fsim", "hls", "chisel"])
def test_outputs(machine: str, home: tuple[Path, Subject]) -> None:
    """The file of an output holds what ONNX Runtime makes of the same image."""
    path, found = home
    (name,) = found.network.outputs
    files = ("--data", "HOME/image.npy", "--out", f"{name}=HOME/out.npy")
    status, printed = run(path, "HOME/net", *files, "--as", machine)
    assert status == 0, printed
    assert name in printed
    (wanted,) = found.original(found.inputs()).values()
    stored = np.load(path / "out.npy")
    assert stored.dtype == wanted.dtype
    assert np.array_equal(stored, wanted)


def test_steps_and_trace(home: tuple[Path, Subject], root: Path) -> None:
    """The steps add up to what the trace says, which is as the schema of traces wants it."""
    path, _ = home
    words = ("HOME/net", "--data", "HOME/image.npy", "--host-cycles-per-byte", "0.5")
    status, printed = run(path, *words, "--timeline", "--trace", "HOME/run.json", "--json")
    assert status == 0, printed
    steps = json.loads(printed)
    trace = json.loads((path / "run.json").read_text())
    schema = root / "tests" / "data" / "trace_event.schema.json"
    Draft202012Validator(json.loads(schema.read_text())).validate(trace)
    assert trace["otherData"]["cycles"] == steps[-1]["begin"] + steps[-1]["cycles"]
    assert {step["what"] for step in steps} == {"pack", "launch", "unpack", "call"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("HOME/net",), "--data"),
        (("HOME/net", "--data", "HOME/small.npy"), "small.npy"),
        (("HOME/net", "--data", "no=HOME/image.npy"), "no"),
        (("HOME/net", "--data", "HOME/image.npy,HOME/image.npy"), "1 file, of"),
        (("HOME/net", "--data", "HOME/none.npy"), "none.npy"),
        (("HOME/net", "--data", "HOME/image.npy", "--out", "HOME/out.txt"), ".npy"),
        (("HOME/net", "--data", "HOME/image.npy", "--as", "other"), "fsim"),
        (("HOME", "--data", "HOME/image.npy"), "manifest.json"),
    ],
)
def test_bad_input(words: tuple[str, ...], told: str, home: tuple[Path, Subject]) -> None:
    """What is wrong is told in one line, with exit status 2."""
    status, printed = run(home[0], *words)
    assert status == 2
    assert told in printed
    assert len(printed.splitlines()) == 1


def test_what_is_not_exact_is_told(home: tuple[Path, Subject]) -> None:
    """A network whose integers are not the model's says so whenever it is run."""
    path, found = home
    first, *others = found.network.nodes
    assert isinstance(first, Accelerated)
    network = replace(found.network, nodes=(replace(first, inexact=("its scale",)), *others))
    models = found.host_models()
    deployment = replace(programs(found).deployment(models=models), network=network)
    write_folder(path / "inexact", folder_files(deployment, {}))
    status, printed = run(path, "HOME/inexact", "--data", "HOME/image.npy")
    assert status == 0
    assert "1 node is not exact and computed" in printed
    assert "not exact" not in run(path, "HOME/net", "--data", "HOME/image.npy")[1]


def test_target() -> None:
    """A target that there is not is refused before anything is planned."""
    words = ["network", "verify", "resnet18", "--target", "chisel"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "portable, hls" in result.output
