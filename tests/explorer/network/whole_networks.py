"""Whole quantised networks, compared with ONNX Runtime: ``python -m … [NAME …]``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from explorer.report.network import summary
from tests.explorer.network.quantised import Form, Writer, differing

_RELU = [("Relu", 0.0, 0.0)]
_RELU6 = [("Clip", 0.0, 6.0)]


def resnet18(size: int, form: Form) -> tuple[Writer, list[str]]:
    """ResNet-18 of images of some size; sums have scales of their own."""
    net = Writer(18, form)
    x = net.given((1, 3, size, size))
    x = net.product("Conv", x, (64, 3, 7, 7), strides=[2, 2], pads=[3] * 4, end=_RELU)
    half = (net.shapes[x][2] + 1) // 2
    x = net.through(
        "MaxPool", x, (1, 64, half, half), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
    )
    for stage, channels in enumerate((64, 128, 256, 512)):
        for number in range(2):
            stride, before = (2 if stage and not number else 1), net.shapes[x][1]
            skip = x
            if stride > 1:
                skip = net.product("Conv", x, (channels, before, 1, 1), strides=[2, 2])
            y = net.product("Conv", x, (channels, before, 3, 3), strides=[stride] * 2,
                            pads=[1] * 4, end=_RELU)  # fmt: skip
            y = net.product("Conv", y, (channels, channels, 3, 3), pads=[1] * 4, channels=True)
            exponent = max(net.exponents[skip], net.exponents[y])
            x = net.add(y, skip, exponent + number, relu=True)
    return net, [_classified(net, x)]


def mobilenetv2(size: int, form: Form) -> tuple[Writer, list[str]]:
    """MobileNetV2 of images of some size, depthwise with a scale for each channel, ReLU6."""
    net = Writer(2, form)
    x = net.given((1, 3, size, size))
    x = net.product("Conv", x, (32, 3, 3, 3), strides=[2, 2], pads=[0, 0, 1, 1], end=_RELU6)
    for factor, channels, blocks, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):  # fmt: skip
        for number in range(blocks):
            skip, before, stride = x, net.shapes[x][1], first if number == 0 else 1
            wide = before * factor
            if factor > 1:
                x = net.product("Conv", x, (wide, before, 1, 1), exponent=-4, end=_RELU6)
            x = net.product("Conv", x, (wide, 1, 3, 3), group=wide, pads=[1] * 4, exponent=-4,
                            strides=[stride] * 2, channels=True, end=_RELU6)  # fmt: skip
            x = net.product("Conv", x, (channels, wide, 1, 1), channels=True)
            if number:
                x = net.add(x, skip, max(net.exponents[x], net.exponents[skip]))
    return net, [_classified(net, net.product("Conv", x, (1280, 320, 1, 1), end=_RELU6))]


def unet(size: int, form: Form) -> tuple[Writer, list[str]]:
    """A U-Net of three levels, whose Concats are of equal scales."""
    net, skips = Writer(5, form), list[str]()
    x = net.given((1, 3, size, size))
    for level, channels in enumerate((16, 32, 64)):
        if level:
            extent = net.shapes[x][2] // 2
            shape = (1, net.shapes[x][1], extent, extent)
            x = net.through("MaxPool", x, shape, kernel_shape=[2, 2], strides=[2, 2])
        for _ in range(2):
            weight = (channels, net.shapes[x][1], 3, 3)
            x = net.product("Conv", x, weight, pads=[1] * 4, exponent=-4, end=_RELU)
        skips.append(x)
    for level, channels in ((1, 32), (0, 16)):
        x = net.product("ConvTranspose", x, (2 * channels, channels, 2, 2), strides=[2, 2],
                        exponent=-4)  # fmt: skip
        x = net.concat([skips[level], x], -4)
        for _ in range(2):
            weight = (channels, net.shapes[x][1], 3, 3)
            x = net.product("Conv", x, weight, pads=[1] * 4, exponent=-4, end=_RELU)
    return net, [net.product("Conv", x, (2, 16, 1, 1))]


def transformer(size: int, form: Form) -> tuple[Writer, list[str]]:
    """An encoder layer of some tokens; Softmax, LayerNormalization and Gelu stay with the host."""
    net, hidden, heads = Writer(7, form), 64, 4
    x = net.given((1, size, hidden))
    apart = net.constant(np.array([1, size, heads, hidden // heads], np.int64))
    split: list[str] = []
    for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        y = net.matrix(x, hidden, kind="MatMul")
        y = net.node("Reshape", [net.dq(y), apart])
        split.append(net.node("Transpose", [y], perm=order))
    scale = net.constant(np.array(0.25, np.float32))
    y = net.node("Mul", [net.node("MatMul", split[:2]), scale])
    y = net.q(y, -4, (1, heads, size, size))
    y = net.q(net.node("Softmax", [net.dq(y)], axis=-1), -7, (1, heads, size, size))
    y = net.q(net.node("MatMul", [net.dq(y), split[2]]), -4, (1, heads, size, hidden // heads))
    y = net.node("Transpose", [net.dq(y)], perm=[0, 2, 1, 3])
    joined = net.constant(np.array([1, size, hidden], np.int64))
    y = net.q(net.node("Reshape", [y, joined]), -4, (1, size, hidden))
    y = net.matrix(y, hidden, kind="MatMul")
    x = _normalised(net, net.add(y, x, net.exponents[y] + 1))
    y = net.matrix(x, 4 * hidden, kind="MatMul")
    floats = net.dq(y)
    y = net.node("Mul", [floats, net.node("Sigmoid", [floats])])
    y = net.q(y, -4, (1, size, 4 * hidden))
    y = net.matrix(y, hidden, kind="MatMul")
    return net, [_normalised(net, net.add(y, x, net.exponents[y] + 1))]


def _normalised(net: Writer, x: str) -> str:
    """LayerNormalization over the last axis."""
    ones = net.constant(np.ones(net.shapes[x][-1], np.float32))
    return net.q(net.node("LayerNormalization", [net.dq(x), ones], axis=-1), -5, net.shapes[x])


def _classified(net: Writer, x: str) -> str:
    """A mean by the host, flattened, and a Gemm."""
    n, c = net.shapes[x][:2]
    y = net.through("GlobalAveragePool", x, (n, c, 1, 1))
    return net.matrix(net.through("Flatten", y, (n, c), axis=1), 1000)


NETWORKS: dict[str, tuple[Callable[[int, Form], tuple[Writer, list[str]]], int]] = {
    "resnet18-32": (resnet18, 32),
    "resnet18-224": (resnet18, 224),
    "mobilenetv2-96": (mobilenetv2, 96),
    "unet-64": (unet, 64),
    "transformer-32": (transformer, 32),
}


def main() -> None:
    """Compare the networks that are named, or all, in both forms."""
    for name in sys.argv[1:] or NETWORKS:
        build, size = NETWORKS[name]
        forms: tuple[Form, Form] = ("qdq", "qlinear")
        for form in forms:
            begun = time.process_time()
            writer, outputs = build(size, form)
            with tempfile.TemporaryDirectory() as folder:
                imported, different = differing(writer.model(*outputs), Path(folder))
            inexact = [n.name for n in imported.network.accelerated if n.inexact]
            seconds = time.process_time() - begun
            print(f"{name} {form}: {summary(imported.network)}")
            print(f"  {len(different)} tensors differ {different[:5]}, inexact {inexact[:5]}; "
                  f"{seconds:.0f} s of CPU", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
