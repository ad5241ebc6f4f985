"""The networks that ship: their structure as the literature has it, without weights.

Batch 1. Batch normalisations are folded into the convolutions before them, images have 224 pixels a
side where nothing else is said, and scales are not known: every accelerated node ends as the kinds
of operator do, with a bias, ``>> 8`` and a clip.

==================  ==============================================================================
resnet18, resnet50  He et al. 2016; the stride of a bottleneck in its 3×3 convolution
mobilenetv2         Sandler et al. 2018; ReLU6 is a clip to 96, as with a scale of 1/16
vgg16               Simonyan and Zisserman 2015, configuration D
densenet121         Huang et al. 2017; a normalisation before a convolution scales each channel
inception_v1        Szegedy et al. 2015, GoogLeNet, without response normalisation
unet                Ronneberger et al. 2015, 256 pixels a side, padded so that nothing is cropped
transformer         Vaswani et al. 2017, an encoder layer of BERT-base: 128 tokens, 12 heads
==================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from explorer.network.builder import Builder, Concat, Value
from explorer.network.graph import Network
from explorer.operators.kinds import expected
from isa.errors import InputError

IMAGE = 224
CLASSES = 1000
_SIX = 96


def shipped(name: str, concat: Concat = "terms") -> Network:
    """A network by its name.

    Args:
        name: one of `NETWORKS`.
        concat: whether a product over concatenated tensors has a term for each, or the host joins
            them.

    Raises:
        InputError: no network has this name, or Concat cannot become that.
    """
    if name not in NETWORKS:
        raise InputError("network", "", name, expected(name, NETWORKS, "one of"))
    if concat not in get_args(Concat):
        raise InputError("concat", "", concat, f"one of {', '.join(get_args(Concat))}")
    return NETWORKS[name](Builder(name, concat))


def _stem(net: Builder) -> Value:
    """What residual and dense networks begin with: a quarter of the image, 64 channels."""
    data = net.given("data", 1, 3, IMAGE, IMAGE)
    data = net.conv("conv1", data, 64, 7, stride=2, pad=3, relu=True)
    # Both count positions that the border cuts off in full: 112 to 56, as in the papers.
    return net.pool("pool1", data, "MaxPool", 3, 2, pad=0)


def _classifier(net: Builder, data: Value) -> Network:
    data = net.mean("pool", data)
    return net.build(net.dense("fc", data, CLASSES))


def _resnet18(net: Builder) -> Network:
    data = _stem(net)
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            name, skip = f"layer{stage}.{block}", data
            if stride > 1:
                skip = net.conv(f"{name}.downsample", data, channels, 1, stride=stride)
            inner = net.conv(f"{name}.conv1", data, channels, 3, stride=stride, pad=1, relu=True)
            data = net.conv(f"{name}.conv2", inner, channels, 3, pad=1, skip=skip, relu=True)
    return _classifier(net, data)


def _resnet50(net: Builder) -> Network:
    data = _stem(net)
    for stage, (channels, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            name, skip = f"layer{stage}.{block}", data
            if block == 0:
                skip = net.conv(f"{name}.downsample", data, 4 * channels, 1, stride=stride)
            inner = net.conv(f"{name}.conv1", data, channels, 1, relu=True)
            inner = net.conv(f"{name}.conv2", inner, channels, 3, stride=stride, pad=1, relu=True)
            data = net.conv(f"{name}.conv3", inner, 4 * channels, 1, skip=skip, relu=True)
    return _classifier(net, data)


def _mobilenetv2(net: Builder) -> Network:
    data = net.given("data", 1, 3, IMAGE, IMAGE)
    data = net.conv("conv1", data, 32, 3, stride=2, pad=1, relu6=_SIX)
    number = 0
    for factor, channels, blocks, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):  # fmt: skip
        for block in range(blocks):
            number += 1
            name, skip, stride = f"block{number}", data, first if block == 0 else 1
            wide = net.shape(data)[1] * factor
            if factor > 1:
                data = net.conv(f"{name}.expand", data, wide, 1, relu6=_SIX)
            data = net.depthwise(
                f"{name}.depthwise", data, 3, stride=stride, pad=1, bias=True, relu6=_SIX
            )
            whole = skip if block > 0 else None
            data = net.conv(f"{name}.project", data, channels, 1, skip=whole)
    return _classifier(net, net.conv("conv2", data, 1280, 1, relu6=_SIX))


def _vgg16(net: Builder) -> Network:
    data = net.given("data", 1, 3, IMAGE, IMAGE)
    for stage, (channels, layers) in enumerate(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1
    ):
        for layer in range(1, layers + 1):
            data = net.conv(f"conv{stage}_{layer}", data, channels, 3, pad=1, relu=True)
        data = net.pool(f"pool{stage}", data, "MaxPool", 2, 2)
    data = net.dense("fc6", data, 4096, relu=True)
    data = net.dense("fc7", data, 4096, relu=True)
    return net.build(net.dense("fc8", data, CLASSES))


def _densenet121(net: Builder) -> Network:
    growth, data = 32, _stem(net)
    blocks = (6, 12, 24, 16)
    for number, layers in enumerate(blocks, 1):
        parts = data
        for layer in range(1, layers + 1):
            name = f"block{number}.{layer}"
            data = _normalised(net, name, parts)
            data = net.conv(f"{name}.conv1", data, 4 * growth, 1, relu=True)
            parts += net.conv(f"{name}.conv2", data, growth, 3, pad=1)
        if number == len(blocks):
            data = _normalised(net, "last", parts)
            break
        name = f"transition{number}"
        data = _normalised(net, name, parts)
        data = net.conv(f"{name}.conv", data, net.shape(data)[1] // 2, 1)
        # The mean of four is a sum, which a depthwise kernel of ones makes, shifted by two.
        data = net.depthwise(f"{name}.pool", data, 2, stride=2, shift=2)
    return _classifier(net, data)


def _normalised(net: Builder, name: str, parts: Value) -> Value:
    """Channels scaled, moved and cut at zero, before anything mixes them.

    No convolution can take that in, as a ReLU stands between. Each channel has one weight: that is
    a depthwise convolution of one element, and it reads a joined tensor.
    """
    data = net.copied(f"{name}.concat", parts) if len(parts) > 1 else parts
    return net.depthwise(f"{name}.norm", data, 1, bias=True, relu=True)


_INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels of each module: 1×1; 3×3 after a reduction; 5×5 after one; behind the pool."""


def _inception_v1(net: Builder) -> Network:
    data = net.given("data", 1, 3, IMAGE, IMAGE)
    data = net.conv("conv1", data, 64, 7, stride=2, pad=3, relu=True)
    data = net.pool("pool1", data, "MaxPool", 3, 2)
    data = net.conv("conv2.reduce", data, 64, 1, relu=True)
    data = net.conv("conv2", data, 192, 3, pad=1, relu=True)
    data = net.pool("pool2", data, "MaxPool", 3, 2)
    for name, (one, reduce3, three, reduce5, five, pooled) in _INCEPTION.items():
        a = net.conv(f"{name}.1x1", data, one, 1, relu=True)
        b = net.conv(f"{name}.3x3.reduce", data, reduce3, 1, relu=True)
        b = net.conv(f"{name}.3x3", b, three, 3, pad=1, relu=True)
        c = net.conv(f"{name}.5x5.reduce", data, reduce5, 1, relu=True)
        c = net.conv(f"{name}.5x5", c, five, 5, pad=2, relu=True)
        d = net.pool(f"{name}.pool", data, "MaxPool", 3, 1, pad=1)
        d = net.conv(f"{name}.pool.proj", d, pooled, 1, relu=True)
        data = net.concat(f"{name}.concat", a, b, c, d)
        if name in {"3b", "4e"}:
            data = net.pool(f"pool{name[0]}", data, "MaxPool", 3, 2)
    return _classifier(net, data)


def _unet(net: Builder) -> Network:
    data, skips = net.given("data", 1, 1, 256, 256), list[Value]()
    for level, channels in enumerate((64, 128, 256, 512, 1024), 1):
        if skips:
            data = net.pool(f"pool{level - 1}", data, "MaxPool", 2, 2)
        for layer in (1, 2):
            data = net.conv(f"down{level}.conv{layer}", data, channels, 3, pad=1, relu=True)
        skips.append(data)
    for level in (4, 3, 2, 1):
        channels = 32 << level
        data = net.transposed(f"up{level}", data, channels, 2, 2)
        data = net.concat(f"up{level}.concat", skips[level - 1], data)
        for layer in (1, 2):
            data = net.conv(f"up{level}.conv{layer}", data, channels, 3, pad=1, relu=True)
    return net.build(net.conv("classes", data, 2, 1))


def _transformer(net: Builder) -> Network:
    tokens, hidden, heads, inner = 128, 768, 12, 3072
    reason = "exponentials and divisions are no products"
    data = net.given("data", tokens, hidden)
    query, key, value = (net.dense(name, data, hidden) for name in ("query", "key", "value"))
    scores = net.scores("scores", query, key, heads)
    weights = net.host("softmax", "Softmax", scores, net.shape(scores), reason)
    mixed = net.attended("values", weights, value)
    summed = net.dense("projection", mixed, hidden, skip=data)
    data = net.host("norm1", "LayerNormalization", summed, (tokens, hidden), reason)
    wide = net.dense("feed1", data, inner)
    wide = net.host("gelu", "Gelu", wide, (tokens, inner), reason)
    summed = net.dense("feed2", wide, hidden, skip=data)
    return net.build(net.host("norm2", "LayerNormalization", summed, (tokens, hidden), reason))


NETWORKS: dict[str, Callable[[Builder], Network]] = {
    "resnet18": _resnet18,
    "resnet50": _resnet50,
    "mobilenetv2": _mobilenetv2,
    "vgg16": _vgg16,
    "densenet121": _densenet121,
    "inception_v1": _inception_v1,
    "unet": _unet,
    "transformer": _transformer,
}
"""How each shipped network is written down."""
