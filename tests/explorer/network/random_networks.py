"""Random quantised models, compared with ONNX Runtime: ``python -m … [NUMBER [FIRST SEED]]``."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from explorer.network.graph import Accelerated
from tests.explorer.network.quantised import Writer, differing


def drawn(seed: int) -> tuple[Writer, list[str]]:
    """A model of three to six layers, and its outputs."""
    random = np.random.default_rng(seed)
    writer = Writer(seed, ("qdq", "qlinear")[seed % 2], unsigned=bool(seed // 2 % 2))
    c, size = int(random.choice([4, 6, 8])), int(random.integers(6, 11))
    x = writer.given((1, c, size, size + int(random.integers(0, 3))))
    alive = [x]
    for _ in range(int(random.integers(3, 7))):
        x = _layer(writer, random, x, alive)
        alive.append(x)
    if random.random() < 0.5:
        n, c, h, w = writer.shapes[x]
        x = writer.through("Flatten", x, (n, c * h * w), axis=1)
        x = writer.matrix(x, int(random.integers(3, 12)))
    elif random.random() < 0.6:
        n, c, h, w = writer.shapes[x]
        x = writer.through("Transpose", x, (n, h, w, c), perm=[0, 2, 3, 1])
        shape = writer.constant(np.array([n, h * w, c], np.int64))
        y = writer.node("Reshape", [x, shape])
        writer.shapes[y], writer.exponents[y] = (n, h * w, c), writer.exponents[x]
        x = writer.matrix(y, 6, kind="MatMul")
        x = writer.attention(x)
    return writer, [x]


def _layer(writer: Writer, random: np.random.Generator, x: str, alive: list[str]) -> str:
    """One more layer on a tensor (n, c, h, w)."""
    n, c, h, w = writer.shapes[x]
    same = [t for t in alive if writer.shapes[t] == writer.shapes[x] and t != x]
    wide = [t for t in alive if writer.shapes[t][2:] == (h, w)]
    end = [[], [("Relu", 0.0, 0.0)], [("Clip", 0.0, 6.0)], [("Clip", -1.5, 2.25)]][
        int(random.integers(4))
    ]
    common: dict[str, Any] = {
        "channels": bool(random.integers(2)),
        "bias": bool(random.integers(2)),
        "end": end,
    }
    choice = random.choice(["conv", "conv", "grouped", "depthwise", "up", "add", "concat", "pool",
                            "mean", "residual"])  # fmt: skip
    pads = [int(p) for p in random.integers(0, 3, 4)]
    if choice == "conv":
        strides = [int(s) for s in random.integers(1, 3, 2)]
        dilation = int(random.integers(1, 3)) if min(h, w) + min(pads) >= 5 else 1
        k = int(random.integers(1, 4)) if min(h, w) >= 5 else 1
        more = int(random.integers(4, 10))
        return writer.product("Conv", x, (more, c, k, 1), pads=pads, strides=strides,
                              dilations=[dilation, 1], **common)  # fmt: skip
    if choice == "grouped" and c % 2 == 0:
        automatic = str(random.choice(["SAME_UPPER", "SAME_LOWER"]))
        return writer.product("Conv", x, (6, c // 2, 2, 3), group=2, auto_pad=automatic, **common)
    if choice == "depthwise":
        factor = int(random.integers(1, 3))
        return writer.product("Conv", x, (c * factor, 1, 3, 3), group=c, pads=[1, 1, 1, 1],
                              **common)  # fmt: skip
    if choice == "up":
        group = 2 if c % 2 == 0 and random.integers(2) else 1
        stride, extra = (int(v) for v in random.integers(1, 3, 2))
        return writer.product(
            "ConvTranspose", x, (c, 3, 3, 2), group=group, strides=[stride, 2],
            output_padding=[0, extra - 1], pads=[1, 0, int(random.integers(2)), 1], **common,
        )  # fmt: skip
    if choice == "add" and same:
        other = str(random.choice(same))
        highest = max(writer.exponents[t] for t in (x, other))
        return writer.add(x, other, highest + int(random.integers(0, 2)), bool(random.integers(2)))
    if choice == "concat" and len(wide) > 1:
        # Of equal scales where there are such: then the parts are terms.
        ranked = sorted(wide, key=lambda t: abs(writer.exponents[t] - writer.exponents[x]))
        parts = [x, next(t for t in ranked if t != x)]
        y = writer.concat(parts, max(writer.exponents[t] for t in parts))
        return writer.product("Conv", y, (4, writer.shapes[y][1], 1, 1), **common)
    if choice == "pool" and min(h, w) > 3:
        shape = (n, c, (h + 1 - 3) // 2 + 1, (w + 1 - 3) // 2 + 1)
        return writer.through("MaxPool", x, shape, kernel_shape=[3, 3], strides=[2, 2],
                              pads=[1, 0, 0, 1])  # fmt: skip
    if choice == "mean" and min(h, w) > 3:
        shape = (n, c, h // 2, w // 2)
        return writer.through("AveragePool", x, shape, kernel_shape=[2, 2], strides=[2, 2])
    if choice == "residual":
        return writer.product("Conv", x, (c, c, 1, 1), add=x, coarser=1, **common)
    return writer.product("Conv", x, (c, c, 3, 3), pads=[1, 1, 1, 1], **common)


def main() -> None:
    """Compare as many models as asked for."""
    number, first = [*map(int, sys.argv[1:]), *(100, 0)[len(sys.argv) - 1 :]]
    nodes: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + number):
            writer, outputs = drawn(seed)
            imported, different = differing(writer.model(*outputs), Path(folder), seed)
            for node in imported.network.nodes:
                kind = node.operator.kind if isinstance(node, Accelerated) else "host"
                nodes[kind] += 1
            if different:
                wrong += 1
                print(f"seed {seed}: {', '.join(different)}")
    print(f"{number} models, {wrong} with differences; nodes: {dict(nodes)}")


if __name__ == "__main__":
    main()
