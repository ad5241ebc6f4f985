"""What docs/networks.md shows works, on a model that is made for it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from explorer.cli import GROUPS, app
from explorer.network.document import NetworkDocument, parse
from explorer.network.shipped import NETWORKS
from tests.explorer.network.quantised import Writer

TEXT = (Path(__file__).parent.parent / "docs" / "networks.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for script in SCRIPTS for line in script.splitlines()]
DOCUMENTS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def model() -> onnx.ModelProto:
    """A quantised model of an image of unknown size: floats in, a convolution, a mean."""
    writer = Writer(0)
    writer.shapes["image"] = (1, 3, 16, 16)
    x = writer.q("image", -5, (1, 3, 16, 16))
    y = writer.product("Conv", x, (8, 3, 3, 3), pads=[1, 1, 1, 1], end=[("Relu", 0, 0)])
    made = writer.model(writer.through("MaxPool", y, (1, 8, 8, 8), kernel_shape=[2, 2],
                                       strides=[2, 2]))  # fmt: skip
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    made.graph.input.append(image)
    return made


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the page end well, one after the other."""
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(model().SerializeToString())
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "explorer"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (command, result.output)


def test_programs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program of the page computes the model's tensors."""
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(model().SerializeToString())
    for program in PROGRAMS:
        exec(program, {})
    assert str(np.dtype(np.int8)) in capsys.readouterr().out


def test_documents_are_networks() -> None:
    """Each document of the page is one."""
    assert [parse(text, "docs/networks.md").name for text in DOCUMENTS] == ["two layers"]


def test_everything_is_named() -> None:
    """The page names every shipped network, every command of the group and every key."""
    assert all(f"`{name}`" in TEXT for name in NETWORKS)
    assert {shlex.split(c)[2] for c in COMMANDS} >= {"show", "import", "schema"}
    assert {shlex.split(c)[2] for c in COMMANDS} <= set(GROUPS["network"].commands)
    for key in NetworkDocument.model_json_schema()["$defs"]["_NodeDocument"]["properties"]:
        assert re.search(rf"`{key}`|\b{key}:", TEXT), key
