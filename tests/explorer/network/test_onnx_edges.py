"""Models as other tools write them: every tensor equals ONNX Runtime's, or the reason is told."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from explorer.network.graph import Accelerated, Host
from explorer.network.onnx.importing import Imported, load
from isa.errors import InputError
from tests.explorer.network.quantised import Array, Writer, differing

info = helper.make_tensor_value_info
node = helper.make_node
IMAGE = (1, 8, 6, 6)
TYPES = {"y": TensorProto.INT8, "k": TensorProto.FLOAT, "x": TensorProto.INT8}


def floats(*values: float) -> Array:
    """An array of them."""
    return np.array(values, np.float32)


def constants() -> dict[str, Array]:
    """Scales, a zero point, and the weights of a convolution."""
    random = np.random.default_rng(0)
    scales = {"xs": -4, "ws": -9, "ys": -3}
    return {
        **{name: np.array(2.0**e, np.float32) for name, e in scales.items()},
        "z": np.array(0, np.int8),
        "w": random.integers(-99, 99, (6, 8, 1, 1)).astype(np.int8),
    }


def sums(x: str = "x", domain: str = "") -> list[onnx.NodeProto]:
    """A convolution of integers whose sums, `c`, are floats."""
    return [
        node("DequantizeLinear", [x, "xs", "z"], ["xf"], domain=domain),
        node("DequantizeLinear", ["w", "ws", "z"], ["wf"], domain=domain),
        node("Conv", ["xf", "wf"], ["c"]),
    ]


def integers(x: str, y: str = "y", domain: str = "") -> onnx.NodeProto:
    """The quantisation of floats."""
    return node("QuantizeLinear", [x, "ys", "z"], [y], domain=domain)


def made(
    nodes: list[onnx.NodeProto],
    known: Mapping[str, Array],
    outputs: Sequence[str] = ("y",),
    *,
    opset: int = 17,
    image: tuple[int, ...] = IMAGE,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model of one input of int8, x."""
    graph = helper.make_graph(
        nodes, "edges", [info("x", TensorProto.INT8, image)],
        [info(name, TYPES[name], None) for name in outputs],
        [numpy_helper.from_array(a, name) for name, a in known.items()],
    )  # fmt: skip
    domains = {"com.microsoft": 1, **{f.domain: 1 for f in functions}}
    versions = [helper.make_opsetid(name, number) for name, number in domains.items()]
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), *versions],
        ir_version=10,
        functions=list(functions),
    )


def kinds(imported: Imported) -> list[str]:
    """The kinds of the accelerated nodes in order, host nodes by their operation."""
    return [
        node.operator.kind if isinstance(node, Accelerated) else node.operation
        for node in imported.network.nodes
    ]


def exact(model: onnx.ModelProto, folder: Path) -> list[str]:
    """The kinds of a model's nodes, once all its tensors were found to be ONNX Runtime's."""
    imported, different = differing(model, folder)
    assert not different
    assert not any(node.inexact for node in imported.network.accelerated)
    return kinds(imported)


def reason(model: onnx.ModelProto, folder: Path) -> str:
    """Why the host runs the convolution, whose tensors are right nevertheless."""
    imported, different = differing(model, folder)
    assert not different
    (found,) = (
        node.reason
        for node in imported.network.nodes
        if isinstance(node, Host) and node.operation == "Conv"
    )
    return found


def noted(model: onnx.ModelProto, folder: Path) -> str:
    """Why the integers of a model's only accelerated node are not the model's."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    ((note,),) = (node.inexact for node in load(path).network.accelerated)
    return note


def test_branches_read_constants(tmp_path: Path) -> None:
    """A branch may read constants of the graph around it."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [node(kind, ["f", "k"], [name])], name, [], [info(name, TensorProto.FLOAT, None)]
        )
        for name, kind in (("then", "Add"), ("else", "Sub"))
    }
    nodes = [
        *sums(), integers("c", "q"), node("DequantizeLinear", ["q", "ys", "z"], ["f"]),
        node("If", ["flag"], ["i"], **branches), integers("i"),
    ]  # fmt: skip
    known = {**constants(), "k": floats(0.5), "flag": np.array(True)}
    assert exact(made(nodes, known), tmp_path) == ["conv2d", "If"]


def test_outputs_that_are_constant(tmp_path: Path) -> None:
    """A model may give what it knows, or was given, beside what it computes."""
    nodes = [*sums(), integers("c")]
    known = {**constants(), "k": floats(1, 2)}
    assert exact(made(nodes, known, ("y", "k", "x")), tmp_path) == ["conv2d"]


def test_quantisation_of_other_domains(tmp_path: Path) -> None:
    """ONNX Runtime's own Q and DQ are the standard's, and shapes go through them."""
    own = "com.microsoft"
    nodes = [*sums(domain=own), integers("c", domain=own)]
    assert exact(made(nodes, constants()), tmp_path) == ["conv2d"]


def test_names_of_other_domains(tmp_path: Path) -> None:
    """What only has the name of a standard operation is no such: channels may be last."""
    square = (1, 6, 6, 6)
    inputs = ["x", "xs", "z", "w", "ws", "z", "ys", "z"]
    last = node("QLinearConv", inputs, ["y"], domain="com.microsoft", channels_last=1)
    known = {**constants(), "w": constants()["w"][:, :6]}
    assert exact(made([last], known, image=square), tmp_path) == ["QLinearConv"]


def test_functions_are_written_out(tmp_path: Path) -> None:
    """A function of the model's own is what it consists of, though it is called like another."""
    versions = [helper.make_opsetid("", 17)]
    for body, found in (
        ([node("Conv", ["a", "b"], ["o"])], ["conv2d"]),
        ([node("Conv", ["a", "b"], ["i"]), node("Neg", ["i"], ["o"])], ["Conv", "Neg"]),
    ):
        function = helper.make_function("own", "Conv", ["a", "b"], ["o"], body, versions)
        nodes = [*sums(), integers("c")]
        nodes[2].domain = "own"
        assert exact(made(nodes, constants(), functions=[function]), tmp_path) == found


def test_functions_without_end(tmp_path: Path) -> None:
    """Functions that call each other in a circle, or are too many nodes, are refused."""
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    nodes = [node("f0", ["x"], ["y"], domain="own")]
    circle = [node("f0", ["a"], ["o"], domain="own")]
    twice = [
        helper.make_function(
            "own", f"f{i}", ["a"], ["o"],
            [node(f"f{i + 1}", ["a"], ["i"], domain="own"),
             node(f"f{i + 1}", ["i"], ["o"], domain="own")], versions,
        )
        for i in range(40)
    ]  # fmt: skip
    last = helper.make_function("own", "f40", ["a"], ["o"], [node("Relu", ["a"], ["o"])], versions)
    for functions in (
        [helper.make_function("own", "f0", ["a"], ["o"], circle, versions)],
        [*twice, last],
    ):
        path = tmp_path / "model.onnx"
        path.write_bytes(made(nodes, {}, functions=functions).SerializeToString())
        with pytest.raises(InputError, match="written out"):
            load(path)


def test_type_of_the_integers(tmp_path: Path) -> None:
    """Without a zero point a quantisation may still name its type; else it is uint8."""
    nodes = [*sums(), node("QuantizeLinear", ["c", "ys"], ["y"], output_dtype=TensorProto.INT8)]
    assert exact(made(nodes, constants(), opset=21), tmp_path) == ["conv2d"]


def test_floats_of_sixteen_bits(tmp_path: Path) -> None:
    """Sums that a model rounds to 16 bits are not its integers, and the node says so."""
    known = {n: a.astype(np.float16) if a.dtype == np.float32 else a
             for n, a in constants().items()}  # fmt: skip
    assert "float16" in noted(made([*sums(), integers("c")], known, opset=19), tmp_path)


def test_constants_among_what_is_joined(tmp_path: Path) -> None:
    """Where a constant is joined to a tensor, the host joins."""
    nodes = [node("Concat", ["x", "k8"], ["j"], axis=1), *sums("j"), integers("c")]
    known = {**constants(), "k8": np.ones((1, 2, 6, 6), np.int8)}
    known["w"] = np.concatenate([known["w"], known["w"][:, :2]], axis=1)
    assert exact(made(nodes, known), tmp_path) == ["Concat", "conv2d"]


def test_factors_with_more_axes(tmp_path: Path) -> None:
    """A number of five axes makes a tensor of five of one of four: no scale alone."""
    factor = np.full((1,) * 5, 0.5, np.float32)
    nodes = [*sums(), node("Mul", ["c", "m"], ["d"]), integers("d")]
    assert "adds an axis" in reason(made(nodes, {**constants(), "m": factor}), tmp_path)


def test_normalisation_behind_a_transposition(tmp_path: Path) -> None:
    """Channels that were moved are not those of the product, though they be as many."""
    nodes = [
        *sums(), node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        node("BatchNormalization", ["t", "gain", *["one"] * 3], ["n"], epsilon=0.0), integers("n"),
    ]  # fmt: skip
    gain = floats(1, 2, 0.5, 1, 4, 0.25)
    known = {**constants(), "gain": gain, "one": np.ones(6, np.float32)}
    assert "renamed before" in reason(made(nodes, known), tmp_path)


def test_sums_that_leave_their_width(tmp_path: Path) -> None:
    """Integers that would have to be shifted out of 32 bits stay with the host."""
    writer = Writer(1, "qdq")
    x, fine = writer.given((1, 4, 4, 4), -3), writer.given((1, 4, 4, 4), -33)
    y = writer.add(writer.product("Conv", x, (4, 4, 1, 1), exponent=-3), fine, -33)
    imported, different = differing(writer.model(y), tmp_path)
    assert not different
    assert kinds(imported) == ["conv2d", "Add"]


def test_bounds_of_matrices_as_they_lie(tmp_path: Path) -> None:
    """A matrix of three axes is not turned; its columns say how large sums can be."""
    depth = 1100
    weight = np.zeros((1, depth, 3), np.int8)
    weight[..., 1] = 127
    nodes = [
        node("DequantizeLinear", ["x", "xs", "z"], ["xf"]),
        node("DequantizeLinear", ["w", "ws", "z"], ["wf"]),
        node("MatMul", ["xf", "wf"], ["c"]),
        integers("c"),
    ]
    model = made(nodes, {**constants(), "w": weight}, image=(2, 5, depth))
    assert f"{128 * 127 * depth:,}" in noted(model, tmp_path)


def test_biases_of_several_scales_that_are_reshaped(tmp_path: Path) -> None:
    """A bias with a scale a channel may be given its place among the axes before it is added."""
    nodes = [
        *sums(), node("DequantizeLinear", ["b", "bs"], ["bf"], axis=0),
        node("Reshape", ["bf", "place"], ["bb"]), node("Add", ["c", "bb"], ["d"]), integers("d"),
    ]  # fmt: skip
    known = {
        **constants(), "b": np.arange(-300, 300, 100, dtype=np.int32),
        "place": np.array([1, 6, 1, 1]),
        "bs": 2.0 ** floats(-13, -12, -13, -14, -11, -13),
    }  # fmt: skip
    assert exact(made(nodes, known), tmp_path) == ["conv2d"]


@pytest.mark.parametrize("version", [3, 10])
def test_initialisers_are_inputs_or_not(version: int, tmp_path: Path) -> None:
    """Shapes follow from initialisers in files of any version, whether they are listed or not."""
    nodes = [node("Conv", ["x", "w"], ["c"]), node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2]),
             node("Conv", ["d", "w"], ["y"])]  # fmt: skip
    weight = numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), "w")
    for listed in ([], [info("w", TensorProto.FLOAT, [4, 4, 1, 1])]):
        ends = [info("x", TensorProto.FLOAT, [1, 4, 6, 6]), *listed], [info("y", 1, None)]
        graph = helper.make_graph(nodes, "versions", *ends, [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)])
        model.ir_version = version
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        assert kinds(load(path)) == ["conv2d", "MaxPool", "conv2d"]


def test_sequences_stay_within_a_node(tmp_path: Path) -> None:
    """What passes sequences on is run by each of its readers, which give and take tensors."""
    nodes = [
        *sums(), integers("c", "q"), node("DequantizeLinear", ["q", "ys", "z"], ["f"]),
        node("SplitToSequence", ["f", "three"], ["s"], axis=1),
        node("SequenceErase", ["s", "one"], ["t"]),
        node("SequenceAt", ["t", "one"], ["e"]), integers("e"),
        node("ConcatFromSequence", ["t"], ["k"], axis=1),
    ]  # fmt: skip
    known = {**constants(), "three": np.array(2), "one": np.array(1)}
    found = exact(made(nodes, known, ("y", "k")), tmp_path)
    assert found == ["conv2d", "SequenceAt", "ConcatFromSequence"]


def test_numbers_without_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no axes is a tensor, by ONNX Runtime and by the evaluator where that is missing."""
    nodes = [*sums(), integers("c"), node("DequantizeLinear", ["y", "ys", "z"], ["f"]),
             node("ReduceMax", ["f"], ["k"], keepdims=0)]  # fmt: skip
    model = made(nodes, constants(), ("y", "k"), opset=21)
    assert exact(model, tmp_path) == ["conv2d", "ReduceMax"]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert exact(model, tmp_path) == ["conv2d", "ReduceMax"]
