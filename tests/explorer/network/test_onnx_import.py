"""ONNX models of all kinds: what is accelerated, what the host runs and why, what is no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explorer.network.graph import Accelerated, Host, Network
from explorer.network.onnx import file as onnx_file
from explorer.network.onnx.importing import Imported, load
from explorer.network.onnx.reference import run
from isa.errors import InputError
from tests.explorer.network.quantised import Array, Writer, differing, given
from tests.explorer.network.random_networks import drawn

info = helper.make_tensor_value_info
FLOAT = TensorProto.FLOAT


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    """A model in a file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def floats(
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    constants: dict[str, Array],
    outputs: tuple[str, ...] = ("y",),
) -> onnx.ModelProto:
    """A model of floats with one input, x."""
    graph = helper.make_graph(
        nodes, "floats", [info("x", FLOAT, shape)], [info(n, FLOAT, None) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def kinds(network: Network) -> list[str]:
    """The kinds of the accelerated nodes in order, host nodes by their operation."""
    return [
        node.operator.kind if isinstance(node, Accelerated) else node.operation
        for node in network.nodes
    ]


def reasons(network: Network) -> str:
    """Why the host runs what it runs."""
    return "; ".join(node.reason for node in network.nodes if isinstance(node, Host))


def normal(*shape: int) -> Array:
    """Random floats."""
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def block() -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """A convolution, its normalisation, a ReLU and a sum with the input."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", *["v"] * 4], ["b"], name="norm"),
        node("Add", ["x", "b"], ["c"], name="add"),
        node("Relu", ["c"], ["y"], name="relu"),
    ]
    return nodes, {"w": normal(4, 4, 3, 3), "v": np.ones(4, np.float32)}


def test_floats_are_planned(tmp_path: Path) -> None:
    """A model of floats is a network of operators as the kinds have them, without scales."""
    nodes, constants = block()
    network = load(saved(floats(nodes, [1, 4, 6, 6], constants), tmp_path)).network
    (node,) = network.accelerated
    assert node.folded == ("conv", "norm", "add", "relu")
    assert [str(stage) for stage in node.operator.stages] == [
        "data * weight", "+ bias", ">> 8", "+ residual", "max 0", "max -128", "min 127",
    ]  # fmt: skip
    assert node.operator.epilogue.relu
    assert {t.scale for t in network.tensors} == {None}
    assert {t.dtype for t in network.tensors if not t.constant} == {"int8"}


def test_a_model_of_floats_has_no_integers(tmp_path: Path) -> None:
    """It cannot be computed, and the message says why."""
    nodes, constants = block()
    imported = load(saved(floats(nodes, [1, 4, 6, 6], constants), tmp_path))
    with pytest.raises(InputError, match="no integers"):
        run(imported, {"x": np.zeros((1, 4, 6, 6), np.int8)})


def test_unknown_extents(tmp_path: Path) -> None:
    """A first extent is 1; others have to be told, or the host runs what needs them."""
    nodes, constants = block()
    path = saved(floats(nodes, ["n", 4, "h", "w"], constants), tmp_path)
    hidden = load(path).network
    assert not hidden.accelerated
    assert "--shape may tell it" in reasons(hidden)
    told = load(path, {"x": (2, 4, 5, 7)}).network
    assert told.by_name["y"].shape == (2, 4, 5, 7)
    assert len(told.accelerated) == 1
    with pytest.raises(InputError, match="the inputs are x"):
        load(path, {"z": (1,)})
    with pytest.raises(InputError, match="it has 4 axes"):
        load(path, {"x": (1,)})


def test_a_first_extent_is_one(tmp_path: Path) -> None:
    """Most published models leave the batch open."""
    nodes, constants = block()
    network = load(saved(floats(nodes, ["n", 4, 6, 6], constants), tmp_path)).network
    assert network.by_name["x"].shape == (1, 4, 6, 6)


def test_extents_of_one_name(tmp_path: Path) -> None:
    """Extents that a model calls by one name are told by one of them; a first one is 1."""
    nodes, constants = block()
    model = floats(nodes, ["n", 4, "h", "h"], constants)
    model.graph.input.append(info("state", FLOAT, [2, "n", "h"]))
    model.graph.input.append(info("other", FLOAT, ["m", "n", "o"]))
    path = saved(model, tmp_path)

    def found(given: dict[str, tuple[int, ...]]) -> list[tuple[int, ...] | None]:
        network = load(path, given).network
        return [network.by_name[name].shape for name in ("x", "state", "other")]

    assert found({}) == [None, None, None]
    assert found({"x": (3, 4, 6, 7)}) == [(3, 4, 6, 7), (2, 3, 6), None]
    assert found({"state": (2, 1, 6), "other": (1, 1, 5)}) == [(1, 4, 6, 6), (2, 1, 6), (1, 1, 5)]


def test_shapes_that_are_computed(tmp_path: Path) -> None:
    """A Reshape to an extent that the model reads off a tensor is still a renaming."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["flat"]),
        node("Constant", [], ["w"], value=numpy_helper.from_array(normal(5, 16))),
        node("Gemm", ["flat", "w"], ["y"], transB=1, name="fc"),
    ]
    constants: dict[str, Array] = {
        "zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])
    }  # fmt: skip
    network = load(saved(floats(nodes, ["n", 4, 2, 2], constants), tmp_path)).network
    assert kinds(network) == ["gemm"]
    assert network.accelerated[0].views["data"].tensor == "x"


def test_shapes_that_old_operations_compute(tmp_path: Path) -> None:
    """What a version of ONNX says of an operation holds for what is evaluated beforehand, too."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Identity", ["s"], ["t"]),
        node("Gather", ["t", "zero"], ["n"]),
        node("Unsqueeze", ["n"], ["n1"], axes=[0]),  # an input since version 13
        node("Shape", ["w"], ["u"]),  # of what is constant
        node("Gather", ["u", "one"], ["k"]),
        node("Concat", ["n1", "k"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["flat"]),
        node("Gemm", ["flat", "w"], ["y"], transB=1, name="fc"),
    ]
    constants = {"zero": np.array(0), "one": np.array([1]), "w": normal(5, 16)}
    model = floats(nodes, ["n", 4, 2, 2], constants)
    model.opset_import[0].version = 11
    network = load(saved(model, tmp_path)).network
    assert kinds(network) == ["gemm"]
    assert network.by_name["y"].shape == (1, 5)


def test_shapes_that_follow_from_each_other(tmp_path: Path) -> None:
    """However many layers compute the shape that the next one needs, the last one's is known."""
    node, layers = helper.make_node, 40
    nodes = []
    for i in range(layers):
        nodes += [
            node("Shape", [f"x{i}"], [f"s{i}"]),
            # Values behind an Identity are none that inference would follow.
            node("Identity", [f"s{i}"], [f"t{i}"]),
            node("Gather", [f"t{i}", "order"], [f"u{i}"]),
            node("Reshape", [f"x{i}", f"u{i}"], [f"x{i + 1}"]),
        ]
    nodes[0].input[0] = nodes[3].input[0] = "x"
    nodes += [node("MatMul", [f"x{layers}", "w"], ["y"])]
    constants = {"w": normal(6, 4), "order": np.array([0, 2, 1])}
    model = saved(floats(nodes, ["n", "h", "w"], constants), tmp_path)
    network = load(model, {"x": (1, 5, 6)}).network
    assert kinds(network)[-1] == "gemm"
    assert all(tensor.shape is not None for tensor in network.tensors)


def test_weights_of_constants(tmp_path: Path) -> None:
    """Weights may be made by ConstantOfShape."""
    node = helper.make_node
    value = numpy_helper.from_array(np.array([0.5], np.float32))
    nodes = [
        node("ConstantOfShape", ["s"], ["w"], value=value),
        node("MatMul", ["x", "w"], ["y"]),
    ]
    network = load(saved(floats(nodes, [3, 4], {"s": np.array([4, 6])}), tmp_path)).network
    assert kinds(network) == ["gemm"]
    assert network.macs == 3 * 4 * 6


def test_channels_last(tmp_path: Path) -> None:
    """An image that is transposed first is read as it lies."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["y"]),
    ]
    network = load(saved(floats(nodes, [1, 5, 6, 3], {"w": normal(4, 3, 1, 1)}), tmp_path)).network
    assert kinds(network) == ["conv2d"]
    view = network.accelerated[0].views["data"]
    assert (view.tensor, view.split, view.order) == ("x", (1, 5, 6, 3), (0, 3, 1, 2))


def test_joined_floats(tmp_path: Path) -> None:
    """In a model of floats, too, a convolution over joined tensors has a term for each."""
    node = helper.make_node
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Concat", ["x", "r"], ["c"], axis=1),
        node("Conv", ["c", "w"], ["a"]),
        node("BatchNormalization", ["a", *["v"] * 4], ["b"]),
        node("Relu", ["b"], ["y"]),
    ]
    constants = {"w": normal(4, 6, 1, 1), "v": np.ones(4, np.float32)}
    path = saved(floats(nodes, [1, 3, 4, 4], constants), tmp_path)
    assert kinds(load(path).network) == ["Relu", "conv2d"]
    assert len(load(path).network.accelerated[0].operator.terms) == 2
    assert kinds(load(path, concat=False).network) == ["Relu", "Concat", "conv2d"]


def test_renamed_between_products(tmp_path: Path) -> None:
    """What is renamed between two products of floats is read where the first has written it."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Identity", ["a"], ["b"]),
        node("Transpose", ["b"], ["t"], perm=[1, 0]),
        node("MatMul", ["t", "v"], ["y"]),
    ]
    constants = {"w": normal(4, 5), "v": normal(3, 2)}
    network = load(saved(floats(nodes, [3, 4], constants), tmp_path)).network
    assert kinds(network) == ["gemm", "gemm"]
    assert network.accelerated[1].views["data"].order == (1, 0)


def test_extents_of_minus_one(tmp_path: Path) -> None:
    """Some exporters write -1 for what they do not know; it counts as not known."""
    nodes, constants = block()
    path = saved(floats(nodes, [-1, 4, -1, 6], constants), tmp_path)
    assert not load(path).network.accelerated
    assert load(path, {"x": (1, 4, 6, 6)}).network.macs == 4 * 4 * 9 * 36


def test_what_the_host_runs(tmp_path: Path) -> None:
    """Anything else is a host node by its name with a reason; never a failure."""
    node = helper.make_node
    body = helper.make_graph([node("Relu", ["c"], ["r"])], "then", [], [info("r", FLOAT, None)])
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="conv"),
        node("If", ["flag"], ["i"], name="choice", then_branch=body, else_branch=body),
        node("Resize", ["i", "", "scales"], ["z"], name="bigger"),
        node("Softmax", ["z"], ["s"]),
        node("NonZero", ["s"], ["nz"]),
        node("Custom", ["s"], ["y"], domain="somewhere"),
    ]
    constants: dict[str, Array] = {
        "w": normal(4, 4, 1, 1), "scales": np.array([1, 1, 2, 2], np.float32),
        "flag": np.array(True),
    }  # fmt: skip
    model = floats(nodes, [1, 4, 3, 3], constants, ("y", "nz"))
    model.opset_import.append(helper.make_opsetid("somewhere", 1))
    network = load(saved(model, tmp_path)).network
    assert kinds(network) == ["conv2d", "If", "Resize", "Softmax", "NonZero", "Custom"]
    assert network.nodes[1].name == "choice"
    assert network.nodes[1].reads == ("c",)
    assert network.by_name["nz"].shape is None
    assert "Softmax is no product" in reasons(network)


def test_sizes_that_no_kind_has(tmp_path: Path) -> None:
    """Products with a vector, factors, and weights that vary are left to the host."""
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["a"]),
        helper.make_node("Gemm", ["x", "w"], ["b"], alpha=0.5),
        helper.make_node("Conv", ["x4", "x4"], ["c"]),
        helper.make_node("Unsqueeze", ["x", "axes"], ["x4"]),
    ]
    nodes = [nodes[3], *nodes[:3]]
    constants = {"v": normal(4), "w": normal(4, 2), "axes": np.array([0, 1])}
    network = load(saved(floats(nodes, [4, 4], constants, ("a", "b", "c")), tmp_path)).network
    assert not network.accelerated
    for reason in ("with a vector", "alpha", "weights are not constant"):
        assert reason in reasons(network)


# --- Quantised models -----------------------------------------------------------------------------


def loaded(writer: Writer, folder: Path, *outputs: str) -> Imported:
    """The network of a model that is written down."""
    return load(saved(writer.model(*outputs), folder))


def test_float_islands(tmp_path: Path) -> None:
    """Where a quantiser left floats, the host keeps the product before them, and all is exact."""
    writer = Writer(1)
    x = writer.given((1, 4, 4, 4))
    w = writer.constant(writer.weights((4, 4, 1, 1)))
    conv = writer.node(
        "Conv", [writer.dq(x), writer.node("DequantizeLinear", [w, writer.scale(-9)])]
    )
    gate = writer.node("Mul", [conv, writer.node("Sigmoid", [conv])])
    y = writer.product("Conv", writer.q(gate, -4, (1, 4, 4, 4)), (4, 4, 3, 3))
    imported, different = differing(writer.model(y), tmp_path)
    assert not different
    assert kinds(imported.network) == ["Conv", "Sigmoid", "Mul", "conv2d"]
    assert "its sums leave as floats" in reasons(imported.network)


def test_no_zero_point_is_unsigned(tmp_path: Path) -> None:
    """QuantizeLinear without a zero point makes uint8 from 0 on, which is planned, not computed."""
    writer = Writer(2)
    x = writer.given((1, 4, 4, 4))
    writer.nodes.clear()
    y = writer.product("Conv", x, (4, 4, 1, 1))
    writer.nodes[-1].input.pop()
    path = saved(writer.model(y), tmp_path)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    imported = load(saved(model, tmp_path))
    (node,) = imported.network.accelerated
    assert node.inexact == (f"the zero point of {y} is 0, not 128",)
    with pytest.raises(InputError, match="zero point"):
        run(imported, given(imported, 0))
    assert run(imported, given(imported, 0), nearest=True)[y].dtype == np.uint8


def test_scales_that_are_no_powers_of_two(tmp_path: Path) -> None:
    """They are planned with the nearest power, reported, and computed on request only."""
    writer = Writer(3)
    x = writer.given((1, 4, 4, 4))
    y = writer.product("Conv", x, (4, 4, 1, 1))
    scale = writer.nodes[-1].input[1]
    writer.constants[scale] = writer.constants[scale] * np.float32(1.1)
    imported = loaded(writer, tmp_path, y)
    (node,) = imported.network.accelerated
    assert "no power of two" in node.inexact[0]
    assert imported.network.by_name[y].exponent is None
    assert run(imported, given(imported, 0), nearest=True)[y].shape == (1, 4, 4, 4)


def test_sums_beyond_floats(tmp_path: Path) -> None:
    """Where sums can pass 2^24, ONNX Runtime's own floats round: that is said."""
    writer = Writer(4)
    x = writer.given((1, 2048))
    w = writer.constant(np.full((2048, 1), 127, np.int8))
    wf = writer.node("DequantizeLinear", [w, writer.scale(-9)])
    y = writer.q(writer.node("MatMul", [writer.dq(x), wf]), 3, (1, 1))
    (node,) = loaded(writer, tmp_path, y).network.accelerated
    assert node.inexact == ("sums up to 33,292,288, and floats are exact up to 2**24",)


def test_integer_forms(tmp_path: Path) -> None:
    """ConvInteger with a known scale is exact; sums that leave are planned with 8 bits."""
    writer = Writer(5)
    x = writer.given((1, 4, 5, 5))
    w = writer.constant(writer.weights((3, 4, 2, 2)))
    sums = writer.node("ConvInteger", [x, w])
    cast = writer.node("Cast", [sums], to=FLOAT)
    y = writer.q(writer.node("Mul", [cast, writer.scale(-13)]), -3, (1, 3, 4, 4))
    imported, different = differing(writer.model(y), tmp_path)
    assert not different
    assert kinds(imported.network) == ["conv2d"]
    writer = Writer(6)
    x = writer.given((3, 4))
    sums = writer.node("MatMulInteger", [x, writer.constant(writer.weights((4, 5)))])
    model = writer.model(sums)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    (node,) = load(saved(model, tmp_path)).network.accelerated
    assert node.inexact == ("its sums leave with 32 bits, and 8 are planned",)


def test_dynamic_quantisation(tmp_path: Path) -> None:
    """Integers whose scale and zero point the model computes are planned, and not called exact."""
    node = helper.make_node
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        node("ConvInteger", ["q", "w", "zero"], ["sums"], name="conv"),
        node("Cast", ["sums"], ["cast"], to=FLOAT),
        node("Mul", ["cast", "scale"], ["y"]),
    ]
    weights = np.random.default_rng(0).integers(-128, 128, (3, 4, 2, 2), np.int8)
    model = saved(floats(nodes, [1, 4, 5, 5], {"w": weights}), tmp_path)
    imported = load(model)
    assert kinds(imported.network) == ["DynamicQuantizeLinear", "conv2d", "Cast", "Mul"]
    (conv,) = imported.network.accelerated
    assert conv.inexact == (
        "the zero point of q is computed as the model runs",
        "its sums leave with 32 bits, and 8 are planned",
    )
    tensor = imported.network.by_name["q"]
    assert (tensor.dtype, tensor.scale) == ("uint8", None)
    found = run(imported, {"x": normal(1, 4, 5, 5)}, nearest=True)
    assert found["sums"].dtype == np.int8
    assert found["cast"].dtype == found["y"].dtype == np.float32


def test_names_of_any_kind(tmp_path: Path) -> None:
    """Tensors and nodes may be called anything, or nothing; documents have plain names of them."""
    node = helper.make_node
    nodes = [
        node("Relu", ["x"], ["a b\té" * 100]),
        node("Relu", ["a b\té" * 100], ["a b é" * 100]),
        node("Relu", ["a b é" * 100], ["y"]),
    ]
    network = load(saved(floats(nodes, [2], {}), tmp_path)).network
    assert [n.name for n in network.nodes] == ["Relu", "Relu.2", "Relu.3"]
    assert all(len(t.name) < 200 and t.name.isascii() for t in network.tensors)


# --- What is no model -----------------------------------------------------------------------------


def bad_files() -> list[tuple[str, bytes, str]]:
    """A name, what is in the file, and what the message must say."""
    nodes, constants = block()
    model = floats(nodes, [1, 4, 6, 6], constants)
    whole = model.SerializeToString()
    model.opset_import[0].version = 99
    newest = model.SerializeToString()
    model.opset_import[0].version = 3
    oldest = model.SerializeToString()
    del model.opset_import[:]
    return [
        ("empty", b"", "without nodes"),
        ("text", b"this is no model\n" * 10, "must be an ONNX model"),
        ("truncated", whole[: len(whole) // 2], "must be an ONNX model"),
        ("newest", newest, "opset_import: 99"),
        ("oldest", oldest, "opset_import: 3"),
        ("none", model.SerializeToString(), "opset_import: missing"),
    ]


@pytest.mark.parametrize(("data", "said"), [f[1:] for f in bad_files()],
                         ids=[f[0] for f in bad_files()])  # fmt: skip
def test_bad_files(data: bytes, said: str, tmp_path: Path) -> None:
    """A file that is no model, cut off or of unknown versions is refused in one line."""
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_damaged_files(tmp_path: Path) -> None:
    """A model with bytes that have changed is read or refused in one line."""
    writer, outputs = drawn(3)
    whole = writer.model(*outputs).SerializeToString()
    random = np.random.default_rng(0)
    said: list[str] = []
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, len(data), int(random.integers(1, 6))):
            data[place] = int(random.integers(256))
        path = tmp_path / "damaged.onnx"
        path.write_bytes(data)
        try:
            load(path)
        except InputError as error:
            said.append(str(error))
    assert len(said) > 5
    assert all(len(text.splitlines()) == 1 for text in said)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is refused."""
    with pytest.raises(InputError, match="missing"):
        load(tmp_path / "none.onnx")


def test_what_is_too_large_is_not_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Constants that would fill the memory are left to the host, and not even begun."""
    evaluated: list[str] = []
    whole = ReferenceEvaluator

    def noted(model: onnx.ModelProto) -> Any:
        evaluated.append(model.graph.output[0].name)
        return whole(model)

    monkeypatch.setattr(onnx_file, "ReferenceEvaluator", noted)
    many = np.zeros(2**14, np.int64)
    constants: dict[str, Array] = {
        "row": many[None], "column": many[:, None], "shape": np.array([2**20, 2**20]),
        "one": np.array(1), "limit": np.array(2**40), "step": np.array(-1), "ones": many[:4],
    }  # fmt: skip
    large = [
        helper.make_node("Expand", ["one", "shape"], ["expanded"]),
        helper.make_node("Add", ["row", "column"], ["added"]),
        helper.make_node("Range", ["one", "limit", "one"], ["counted"]),
        helper.make_node("Gather", ["column", "row"], ["gathered"], axis=1),
        helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
    ]
    small = [
        helper.make_node("Range", ["limit", "one", "one"], ["none"]),
        helper.make_node("Gather", ["row", "ones"], ["few"], axis=1),
        helper.make_node("Concat", ["ones", "ones"], ["joined"], axis=0),
    ]
    outputs = (*(node.output[0] for node in large), "y")
    model = floats(
        [*large, *small, helper.make_node("Relu", ["x"], ["y"])], [1, 4], constants, outputs
    )
    load(saved(model, tmp_path))
    assert set(evaluated) == {"none", "few", "joined"}
