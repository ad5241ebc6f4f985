"""Random quantised models, planned, deployed and executed: ``python -m … [NUMBER [FIRST SEED]]``.

Each is planned with few candidates, for one of three machines, with one of three models of what
passes tensors on; where programs may copy, the host's bytes are expensive.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

import explorer
from explorer.api.networks import Planning
from explorer.deployment.verification import Verification
from explorer.embedding.facts import DEFAULT_CLASSES
from tests.explorer.network.random_networks import drawn

WAYS = tuple(product(("default", "b2", "b4"), ("repack", "stored", "copied")))


def verified(seed: int, path: Path) -> Verification:
    """The model of a seed, written to a path, and what executing it shows."""
    writer, outputs = drawn(seed)
    path.write_bytes(writer.model(*outputs).SerializeToString())
    config, transitions = WAYS[seed // 4 % len(WAYS)]
    asked = Planning(transitions=transitions, count=2, effort=1, classes=DEFAULT_CLASSES, jobs=1)
    if transitions == "copied":
        asked["host_cycles_per_byte"] = 16
    return explorer.network_verify(path, config, seed=seed, **asked)


def main() -> None:
    """Verify as many models as asked for."""
    number, first = [*map(int, sys.argv[1:]), *(20, 0)[len(sys.argv) - 1 :]]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + number):
            result = verified(seed, Path(folder) / "model.onnx")
            deployment = result.deployment
            wrong = [row.tensor for row in result.rows if row.wrong or row.difference]
            counts["wrong"] += not result.right
            counts["inexact"] += not result.exact
            counts["tensors"] += len(result.rows)
            counts["accelerated"] += sum(row.runs == "accelerator" for row in result.rows)
            counts["segments"] += len(deployment.segments)
            names = [name for s in deployment.segments for name in s.nodes]
            counts["programs"] += len(names)
            counts["copies"] += len({*names} - {n.name for n in deployment.network.nodes})
            if not result.right:
                print(f"seed {seed}: {', '.join(wrong)}", flush=True)
    print(f"{number} models: {dict(counts)}")


if __name__ == "__main__":
    main()
