"""Small networks with programs of TVM's embedding, which need no planning."""

from __future__ import annotations

from pathlib import Path

from explorer.deployment.compilation import Compiled
from explorer.deployment.subjects import Subject, subject
from explorer.network.candidates.listing import fixed
from isa.config import Config
from tests.explorer.network.quantised import Writer

DEFAULT = Config.load("default")
DOCUMENT = """
name: two layers
inputs: [image]
outputs: [scores]
tensors:
  image: {shape: [64, 64]}
  first.weight: {shape: [64, 64], constant: true}
  second.weight: {shape: [64, 64], constant: true}
  middle: {shape: [64, 64]}
  scores: {shape: [64, 64]}
operators:
  gemm: {kind: gemm, m: 64, n: 64, k: 64}
nodes:
  - {name: first, operator: gemm, inputs: {data: image, weight: first.weight}, output: middle}
  - {name: second, operator: gemm, inputs: {data: middle, weight: second.weight}, output: scores}
"""


def block(path: Path) -> Subject:
    """A quantised model: convolutions with a residual, a pool by the host, a convolution."""
    writer = Writer(1, "qdq", unsigned=True)
    x = writer.given((1, 16, 6, 6), -3)
    a = writer.product("Conv", x, (16, 16, 3, 3), pads=[1] * 4, end=[("Relu", 0, 0)])
    b = writer.product("Conv", a, (16, 16, 3, 3), pads=[1] * 4)
    c = writer.product("Conv", b, (16, 16, 3, 3), pads=[1] * 4)
    y = writer.add(c, a, max(writer.exponents[c], writer.exponents[a]) + 1, relu=True)
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    z = writer.through("MaxPool", y, (1, 16, 3, 3), **pool)
    made = writer.model(writer.product("Conv", z, (8, 16, 1, 1)))
    path.write_bytes(made.SerializeToString())
    return subject(str(path))


def programs(found: Subject, config: Config = DEFAULT) -> Compiled:
    """TVM's embedding in its fixed layouts for each node that can have one."""
    network, chosen = found.network, {}
    for node in network.accelerated:
        chosen[node.name] = fixed(node.operator, config)[0]
    return Compiled(network, found.values, config, chosen)
