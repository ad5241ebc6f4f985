"""Quantised models with scales that are powers of two: every tensor equals ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.network.document import dump, parse
from explorer.network.graph import Accelerated
from explorer.network.onnx.importing import Imported
from isa.computation import Add, Shift
from tests.explorer.network.quantised import Form, Writer, differing
from tests.explorer.network.random_networks import drawn

FORMS: list[tuple[Form, bool]] = [("qdq", False), ("qdq", True), ("qlinear", False)]


def exact(writer: Writer, folder: Path, *outputs: str) -> Imported:
    """The network of a model, once it has been found to be exact in every bit."""
    imported, different = differing(writer.model(*outputs), folder)
    assert not different
    assert all(not node.inexact for node in imported.network.accelerated)
    return imported


def operators(imported: Imported) -> list[str]:
    """The kinds of the accelerated nodes in order, host nodes by their operation."""
    return [
        node.operator.kind if isinstance(node, Accelerated) else node.operation
        for node in imported.network.nodes
    ]


@pytest.mark.parametrize("seed", range(20))
def test_random_models(seed: int, tmp_path: Path) -> None:
    """Random models come out the same in every bit, and survive being written as documents."""
    writer, outputs = drawn(seed)
    imported = exact(writer, tmp_path, *outputs)
    text = dump(imported.network, as_json=True)
    assert parse(text, "net.json") == imported.network


@pytest.mark.parametrize(("form", "unsigned"), FORMS)
def test_residual_block(form: Form, unsigned: bool, tmp_path: Path) -> None:
    """Convolution, ReLU, convolution and a residual of another scale are two operators."""
    writer = Writer(1, form, unsigned=unsigned)
    x = writer.given((1, 8, 7, 7), exponent=-3)
    inner = writer.product("Conv", x, (8, 8, 3, 3), pads=[1, 1, 1, 1], coarser=1,
                           end=[("Relu", 0, 0)])  # fmt: skip
    outer = writer.product("Conv", inner, (8, 8, 3, 3), pads=[1, 1, 1, 1])
    assert writer.exponents[outer] != writer.exponents[x]
    y = writer.add(outer, x, writer.exponents[x] + 1, relu=True)
    imported = exact(writer, tmp_path, y)
    assert operators(imported) == ["conv2d", "conv2d"]
    assert len(imported.network.accelerated[1].folded) == (5 if form == "qlinear" else 6)


def test_projection(tmp_path: Path) -> None:
    """Of two convolutions that are added, the one that the model computes last takes the sum in."""
    writer = Writer(2, "qdq")
    x = writer.given((1, 4, 6, 6))
    skip = writer.product("Conv", x, (8, 4, 1, 1), strides=[2, 2])
    main = writer.product("Conv", x, (8, 4, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
    y = writer.add(main, skip, writer.exponents[skip] + 1, relu=True)
    imported = exact(writer, tmp_path, y)
    assert [len(node.folded) for node in imported.network.accelerated] == [2, 6]


def test_sum_alone(tmp_path: Path) -> None:
    """A sum of two inputs is an operator of its own, the coarser one shifted to the left."""
    writer = Writer(3, "qlinear")
    a, b = writer.given((1, 5, 3, 3), -2), writer.given((1, 5, 3, 3), -5)
    imported = exact(writer, tmp_path, writer.add(a, b, -1))
    assert operators(imported) == ["add"]
    (node,) = imported.network.accelerated
    assert [str(stage) for stage in node.operator.stages[:2]] == [
        "data * weight", "+ (residual << 3)",
    ]  # fmt: skip


def test_channels_of_several_scales(tmp_path: Path) -> None:
    """Depthwise with a scale a channel and ReLU6: a shift by a tensor, and a clip behind it."""
    writer = Writer(4, "qdq")
    x = writer.given((1, 6, 5, 5), -4)
    y = writer.product("Conv", x, (6, 1, 3, 3), group=6, channels=True, end=[("Clip", 0, 6)])
    imported = exact(writer, tmp_path, y)
    (node,) = imported.network.accelerated
    assert any(isinstance(s, Shift) and not isinstance(s.amount, int) for s in node.operator.stages)


def test_dead_channels(tmp_path: Path) -> None:
    """Channels without weights, whose scale a quantiser made 2^-46, round to zero."""
    writer = Writer(5, "qdq")
    x = writer.given((1, 4, 4, 4))
    w = writer.weights((4, 4, 1, 1))
    w[2] = 0
    scales = np.array([-9, -10, -46, -9])
    wf = writer.node("DequantizeLinear", [writer.constant(w), writer.scale(scales)], axis=0)
    bias = writer.constant(np.array([3, -7, 900, 5], np.int32))
    bf = writer.node("DequantizeLinear", [bias, writer.scale(scales - 4)], axis=0)
    y = writer.q(writer.node("Conv", [writer.dq(x), wf, bf]), -3, (1, 4, 4, 4))
    imported = exact(writer, tmp_path, y)
    (node,) = imported.network.accelerated
    (shift,) = (s for s in node.operator.stages if isinstance(s, Shift))
    assert shift.reach == (10, 11)


def test_float_chains(tmp_path: Path) -> None:
    """A residual may be added before any rounding, even of a much coarser scale."""
    for coarse in (-4, 1, 2):
        writer = Writer(6, "qdq")
        x, r = writer.given((1, 4, 4, 4)), writer.given((1, 4, 4, 4), coarse)
        y = writer.product("Conv", x, (4, 4, 1, 1), add=r, coarser=6, end=[("Relu", 0, 0)])
        imported = exact(writer, tmp_path, y)
        assert operators(imported) == ["conv2d"]
        stages = imported.network.accelerated[0].operator.stages
        assert [s.left for s in stages if isinstance(s, Add) and s.bits == 8] == [coarse + 13]


def test_concat_of_equal_scales(tmp_path: Path) -> None:
    """A convolution over joined tensors of one scale has a term for each; nothing is joined."""
    writer = Writer(7, "qdq")
    a, b = writer.given((1, 3, 5, 5)), writer.given((1, 5, 5, 5))
    y = writer.product("Conv", writer.concat([a, b], -4), (4, 8, 3, 3), channels=True)
    imported = exact(writer, tmp_path, y)
    assert operators(imported) == ["conv2d"]
    assert len(imported.network.accelerated[0].operator.terms) == 2


def test_concat_of_unequal_scales(tmp_path: Path) -> None:
    """Where a part is rounded by being joined, the host joins."""
    writer = Writer(8, "qdq")
    a, b = writer.given((1, 3, 5, 5), -4), writer.given((1, 5, 5, 5), -6)
    y = writer.product("Conv", writer.concat([a, b], -4), (4, 8, 3, 3))
    imported = exact(writer, tmp_path, y)
    assert operators(imported) == ["Concat", "conv2d"]


def test_attention_without_copies(tmp_path: Path) -> None:
    """Heads that are split and transposed are views, and a quarter is part of a shift."""
    writer = Writer(9, "qdq")
    x = writer.given((1, 6, 8))
    heads = writer.constant(np.array([1, 6, 2, 4], np.int64))
    split = writer.node("Reshape", [writer.dq(x), heads])
    left = writer.node("Transpose", [split], perm=[0, 2, 1, 3])
    right = writer.node("Transpose", [split], perm=[0, 2, 3, 1])
    quarter = writer.constant(np.array(0.25, np.float32))
    y = writer.node("Mul", [writer.node("MatMul", [left, right]), quarter])
    y = writer.q(y, -3, (1, 2, 6, 6))
    imported = exact(writer, tmp_path, y)
    assert operators(imported) == ["batched_matmul"]
    (node,) = imported.network.accelerated
    for view in node.inputs:
        assert (view.tensor, view.split, view.order) == (x, (6, 2, 4), (1, 0, 2))


def test_means_and_small_images(tmp_path: Path) -> None:
    """A mean of 64 values is a product; a depthwise kernel on images of one element is one too."""
    writer = Writer(10, "qdq")
    x = writer.given((1, 4, 8, 8))
    y = writer.node("GlobalAveragePool", [writer.dq(x)])
    y = writer.q(y, -6, (1, 4, 1, 1))
    y = writer.product("Conv", y, (4, 1, 1, 1), group=4, end=[("Relu", 0, 0)])
    y = writer.product("Conv", y, (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1])
    assert operators(exact(writer, tmp_path, y)) == ["average_pool", "depthwise2d", "depthwise2d"]


def test_normalisation_behind_a_transposed_convolution(tmp_path: Path) -> None:
    """Factors that are powers of two become scales of channels, offsets become the bias."""
    writer = Writer(11, "qdq")
    x = writer.given((1, 4, 4, 4))
    w = writer.constant(writer.weights((4, 3, 2, 2)))
    wf = writer.node("DequantizeLinear", [w, writer.scale(-9)])
    y = writer.node("ConvTranspose", [writer.dq(x), wf], strides=[2, 2])
    rows = ([1.0, 0.5, 2.0], [0.5, -0.25, 0.0], [0.0, 0.125, 0.25], [1.0, 1.0, 1.0])
    names = [writer.constant(np.array(row, np.float32)) for row in rows]
    y = writer.node("BatchNormalization", [y, *names], epsilon=0.0)
    imported = exact(writer, tmp_path, writer.q(y, -3, (1, 3, 8, 8)))
    assert operators(imported) == ["transposed2d"]


@pytest.mark.parametrize("unsigned", [False, True])
def test_operations_on_integers(unsigned: bool, tmp_path: Path) -> None:
    """What ONNX Runtime has for integers alone is the same as between DQ and Q."""
    writer = Writer(12, "qlinear", unsigned=unsigned)
    a, b = writer.given((1, 4, 4, 4)), writer.given((1, 2, 4, 4))
    y = writer.linear("QLinearConcat", [*writer.triple(a), *writer.triple(b)], -4, (1, 6, 4, 4),
                      before=True, axis=1)  # fmt: skip
    y = writer.product("Conv", y, (8, 6, 1, 1), channels=True)
    y = writer.linear("QLinearGlobalAveragePool", writer.triple(y), -4, (1, 8, 1, 1),
                      channels_last=0)  # fmt: skip
    flat = writer.node("Reshape", [y, writer.constant(np.array([1, 8]))])
    writer.exponents[flat] = -4
    w = writer.constant(writer.weights((5, 8)))
    weight = [w, writer.scale(-9), writer.constant(np.array(0, np.int8))]
    bias = writer.constant(writer.random.integers(-99, 99, 5).astype(np.int32))
    y = writer.linear("QGemm", [*writer.triple(flat), *weight, bias], -3, (1, 5), transB=1)
    turned = writer.constant(writer.weights((5, 3)))
    columns = [turned, writer.scale(-9), writer.constant(np.array(0, np.int8))]
    y = writer.linear("QLinearMatMul", [*writer.triple(y), *columns], -3, (1, 3))
    assert operators(exact(writer, tmp_path, y)) == ["conv2d", "average_pool", "gemm", "gemm"]
