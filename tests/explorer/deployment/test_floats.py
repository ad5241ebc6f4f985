"""Models of floats deployed: constants are random, host nodes run as the model has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from explorer.deployment.execution import execute
from explorer.deployment.folder import folder_files
from explorer.deployment.host import library
from explorer.deployment.reading import read
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import verify
from explorer.network.integers import cast
from explorer.program.emission import write_folder
from isa.errors import InputError
from tests.explorer.deployment.small import programs

info = helper.make_tensor_value_info
node = helper.make_node
FLOAT = TensorProto.FLOAT


def saved(nodes: list[onnx.NodeProto], path: Path, *weights: str) -> Path:
    """A model of floats over one image, whose weights are of 16 to 16 channels."""
    array = np.random.default_rng(0).normal(0, 1, (16, 16, 1, 1)).astype(np.float32)
    ends = [info("x", FLOAT, [1, 16, 6, 6])], [info("y", FLOAT, None)]
    constants = [numpy_helper.from_array(array, name) for name in weights]
    graph = helper.make_graph(nodes, "floats", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Convolutions with a pool between them and a Softmax behind them, by the host."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="first"),
        node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2], name="pool"),
        node("Conv", ["b", "v"], ["c"], name="second"),
        node("Softmax", ["c"], ["y"], axis=1, name="softmax"),
    ]
    return subject(str(saved(nodes, tmp_path_factory.mktemp("floats") / "model.onnx", "w", "v")))


def test_the_host_runs_what_the_model_says(pooled: Subject) -> None:
    """Maxima of integers are maxima, and what leaves the accelerator is given on as floats."""
    found = pooled.tensors(pooled.inputs())
    a, b, c = (found[name] for name in "abc")
    assert {a.dtype, b.dtype, c.dtype} == {np.dtype(np.int8)}
    assert np.array_equal(b, a.reshape(1, 16, 3, 2, 3, 2).max(axis=(3, 5)))
    exponentials = np.exp(c.astype(np.float64))
    wanted = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert found["y"].dtype == np.float32
    assert np.allclose(found["y"], wanted)


def test_a_folder_runs(pooled: Subject, tmp_path: Path) -> None:
    """Programs are right, and a folder that was read gives what they were compared with."""
    compiled, given = programs(pooled), pooled.inputs()
    result = verify(pooled, compiled, given)
    assert result.right
    # Its constants are random, so its outputs are not the model's.
    assert {row.difference for row in result.rows} == {None}
    write_folder(
        tmp_path / "net", folder_files(compiled.deployment(models=pooled.host_models()), {})
    )
    deployment = read(tmp_path / "net")
    seen = execute(deployment, given, library(deployment))
    assert np.array_equal(seen["y"], pooled.tensors(given)["y"])


def test_products_without_constants(tmp_path: Path) -> None:
    """Also a model of floats without weights is one of floats, and is not said to be exact."""
    nodes = [node("MatMul", ["x", "x"], ["y"])]
    found = subject(str(saved(nodes, tmp_path / "model.onnx")))
    assert found.drawn
    assert found.original(found.inputs()) == {}


def test_numbers_of_other_types() -> None:
    """Floats become the nearest integers that there are, half to even; integers become floats."""
    array = np.array([-1e9, -1.5, 0.5, 2.5, 200, np.nan, np.inf], np.float32)
    assert cast(array, np.dtype(np.int8)).tolist() == [-128, -2, 0, 2, 127, 0, 127]
    assert cast(np.array([-3], np.int8), np.dtype(np.float16)).dtype == np.float16


def test_a_host_node_that_cannot_be_run(tmp_path: Path) -> None:
    """What ONNX Runtime cannot run is told by the node's name, in one line."""
    nodes = [node("Unheard", ["x"], ["a"], name="strange"), node("Conv", ["a", "w"], ["y"])]
    model = onnx.load(saved(nodes, tmp_path / "model.onnx", "w"))
    model.graph.node[0].domain = "somewhere"
    model.opset_import.append(helper.make_opsetid("somewhere", 1))
    model.graph.value_info.append(info("a", FLOAT, [1, 16, 6, 6]))
    onnx.save(model, tmp_path / "model.onnx")
    found = subject(str(tmp_path / "model.onnx"))
    with pytest.raises(InputError, match="strange") as caught:
        found.tensors(found.inputs())
    assert len(str(caught.value).splitlines()) == 1


def test_indices_are_valid(tmp_path: Path) -> None:
    """Random numbers of tokens are such that there are rows of that number."""
    table = numpy_helper.from_array(np.zeros((5, 16), np.float32), "table")
    weight = numpy_helper.from_array(np.zeros((16, 16), np.float32), "w")
    nodes = [node("Gather", ["table", "x"], ["a"]), node("MatMul", ["a", "w"], ["y"])]
    ends = [info("x", TensorProto.INT64, [1, 7])], [info("y", FLOAT, None)]
    model = helper.make_model(helper.make_graph(nodes, "tokens", *ends, [table, weight]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    found = subject(str(tmp_path / "model.onnx"))
    assert found.tensors(found.inputs())["y"].shape == (1, 7, 16)


def test_shapes_that_were_inferred_otherwise(tmp_path: Path) -> None:
    """A host node whose tensor has another shape than the model says is told by both."""
    nodes = [node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2]), node("Conv", ["a", "w"], ["y"])]
    model = onnx.load(saved(nodes, tmp_path / "model.onnx", "w"))
    found = subject(str(tmp_path / "model.onnx"))
    model.graph.node[0].attribute[0].ints[:] = [3, 3]
    assert found.imported is not None
    (pool,) = found.imported.programs.values()
    pool[0].CopyFrom(model.graph.node[0])
    with pytest.raises(InputError, match=r"\(1, 16, 4, 4\).*\(1, 16, 5, 5\)"):
        found.tensors(found.inputs())
