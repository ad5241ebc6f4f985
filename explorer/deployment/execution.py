"""Running a deployed network: segments on the functional simulator, the host in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.image import Deployment, Run, memory
from explorer.deployment.steps import Fill, Pack, Unpack
from explorer.network.graph import Accelerated, Host
from explorer.network.integers import accelerated, checked
from simulator.functional import execute as execute_program
from simulator.implementations import Implementation
from simulator.interleaving import PROGRAM, Interleaving

Array = NDArray[Any]
Library = Callable[[Host, Mapping[str, Array]], Mapping[str, Array]]
Watch = Callable[[Run | Fill, NDArray[np.uint8]], None]


def _unwatched(action: Run | Fill, image: NDArray[np.uint8]) -> None:
    """Look at nothing."""


def execute(
    deployment: Deployment,
    given: Mapping[str, Array],
    library: Library,
    *,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
    watch: Watch = _unwatched,
) -> dict[str, Array]:
    """The tensors that the host has seen, by name, the network's outputs among them.

    Args:
        deployment: what to run.
        given: the network's inputs.
        library: runs the host's nodes.
        implementation: as which of VTA's the segments are executed.
        interleaving: the order of the queues.
        watch: called after each launch and fill with memory as it is then.

    Raises:
        SimulationError: a segment is not portable.
    """
    network, config = deployment.network, deployment.config
    tensors, nodes = network.by_name, {node.name: node for node in network.nodes}
    image, found = memory(deployment), {**deployment.constants, **given}
    for action in deployment.actions:
        if isinstance(action, Pack):
            part = deployment.placed[action.buffer]
            assert part.content is not None
            pairs = zip(part.content.tensors, action.sources, strict=True)
            arrays = {
                name: found[name] if source < 0 else stored(deployment, source, image)
                for name, source in pairs
            }
            image[part.address : part.address + part.size] = part.content.packed(arrays)
        elif isinstance(action, Fill):
            _fill(deployment, action, image)
            watch(action, image)
        elif isinstance(action, Unpack):
            found[action.tensor] = stored(deployment, action.buffer, image)
        elif isinstance(action, Run):
            segment = deployment.segments[action.segment]
            result = execute_program(
                config,
                image,
                deployment.placed[segment.code].address,
                len(segment.table),
                implementation=implementation,
                interleaving=interleaving,
            )
            image = result.image
            watch(action, image)
        else:
            node = nodes[action.node]
            if isinstance(node, Accelerated):
                array = accelerated(node, tensors, found, deployment.constants)
                found[node.output.tensor] = array
            else:
                read = {n: found[n] for n in node.reads}
                found |= checked(tensors, node, library(node, read))
    hidden = deployment.constants.keys() - {*network.outputs}
    return {name: array for name, array in found.items() if name not in hidden}


def _fill(deployment: Deployment, action: Fill, image: NDArray[np.uint8]) -> None:
    """Make the entries of a buffer that no program stores."""
    part = deployment.placed[action.buffer]
    assert part.content is not None
    size = deployment.network.by_name[part.content.tensors[0]].size
    flat = np.zeros(size, np.int8)
    if action.source >= 0:
        source = deployment.placed[action.source]
        assert source.content is not None
        data = image[source.address : source.address + source.size]
        flat = source.content.elements(data, size, source.filled)
    made = part.content.made(part.filled, flat)
    entries = image[part.address : part.address + part.size].reshape(-1, made.shape[1])
    entries[part.filled] = made.view(np.uint8)


def stored(deployment: Deployment, buffer: int, image: NDArray[np.uint8]) -> Array:
    """The tensor that a buffer holds."""
    part = deployment.placed[buffer]
    assert part.content is not None
    tensor = deployment.network.by_name[part.content.tensors[0]]
    return part.content.unpacked(image[part.address : part.address + part.size], tensor)
