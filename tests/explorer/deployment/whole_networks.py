"""Whole quantised networks, deployed and executed: ``python -m … [NAME …] [--config NAME]``.

Each node has TVM's embedding, in the layouts with the fastest of a few simulated programs: what is
tried are segments, memory and the host, not plans.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from explorer.deployment.compilation import Compiled
from explorer.deployment.folder import folder_files
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import verify
from explorer.network.candidates.listing import Option, options, programmed
from explorer.network.plan.transitions import model
from explorer.ranking.explore import reference
from isa.computation import Operator
from isa.config import Config
from tests.explorer.network.whole_networks import NETWORKS

EFFORT = 3


def compiled(found: Subject, config: Config) -> Compiled:
    """The programs of a network's nodes."""
    network = found.network
    known: dict[Operator, Option | None] = {}
    chosen = {}
    for node in network.accelerated:
        operator = node.operator
        if programmed(node, network):
            continue
        if operator not in known:
            embedding = reference(operator, config)
            listed = options(operator, config, embedding, EFFORT) if embedding else []
            known[operator] = listed[0] if listed else None
        option = known[operator]
        if option is not None:
            chosen[node.name] = option
    return Compiled(network, found.values, config, chosen, model("stored"))


def main() -> None:
    """Verify the networks that are named, or all."""
    arguments = sys.argv[1:]
    config = Config.load(arguments.pop() if "--config" in arguments else "default")
    names = [name for name in arguments if name != "--config"]
    for name in names or NETWORKS:
        build, size = NETWORKS[name]
        begun = time.process_time()
        writer, outputs = build(size, "qdq")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(writer.model(*outputs).SerializeToString())
            found = subject(str(path))
        result = verify(found, made := compiled(found, config), found.inputs())
        deployment = result.deployment
        files = folder_files(deployment, {})
        segments = deployment.segments
        print(
            f"{name} on {config.name}: {'right' if result.right else 'WRONG'}, "
            f"{len(result.rows)} tensors as {', '.join(result.implementations)}"
        )
        print(
            f"  {len(made.programs)} programs in {len(segments)} segments "
            f"({sum(s.border == 'flow' for s in segments)} by flow), "
            f"{sum(s.cycles for s in segments):,} cycles, alone "
            f"{sum(s.alone for s in segments):,}"
        )
        print(f"  memory {deployment.size:,} bytes, tensors {deployment.peak:,}, bound "
              f"{deployment.bound:,}; folder of {sum(map(len, files.values())):,} bytes; "
              f"{time.process_time() - begun:.0f} s of CPU")  # fmt: skip


if __name__ == "__main__":
    main()
