"""What the host moves to change layouts: the bytes and copies that plans count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from explorer.deployment.image import Action, Deployment, Run
from explorer.deployment.steps import Call, Fill, Pack, Unpack
from explorer.network.plan.transitions import Host


@dataclass(frozen=True, slots=True)
class Total:
    """What the host moves in all, host nodes aside.

    Attributes:
        bytes: read and written.
        copies: buffers packed, filled and unpacked.
        cycles: of these.
    """

    bytes: int
    copies: int
    cycles: int


def total(deployment: Deployment, host: Host) -> Total:
    """All that the host does to change layouts."""
    own = [a for a in deployment.actions if isinstance(a, Pack | Fill | Unpack)]
    spent = sum(cycles(deployment, action, host) for action in own)
    return Total(sum(moved(deployment, action) for action in own), len(own), spent)


def cycles(deployment: Deployment, action: Action, host: Host) -> int:
    """Cycles of the host in a step; a node takes what moving its tensors does."""
    rule = host if isinstance(action, Pack | Fill | Unpack) else replace(host, per_call=0)
    return rule.cost(moved(deployment, action), 0).cycles


def moved(deployment: Deployment, action: Action) -> int:
    """Bytes that the host reads and writes in a step; of a node, those of its tensors."""
    placed, tensors = deployment.placed, deployment.network.by_name
    if isinstance(action, Run):
        return 0
    if isinstance(action, Call):
        node = next(n for n in deployment.network.nodes if n.name == action.node)
        return sum(tensors[name].bytes for name in (*node.reads, *node.writes))
    part = placed[action.buffer]
    assert part.content is not None
    if isinstance(action, Unpack):
        return part.size + tensors[action.tensor].bytes
    if isinstance(action, Pack):
        pairs = zip(part.content.tensors, action.sources, strict=True)
        read = (tensors[t].bytes if source < 0 else placed[source].size for t, source in pairs)
        return part.size + sum(read)
    index = part.content.summands[0].held.rows(part.filled)
    # Zeros are only written.
    made = int(np.count_nonzero((index >= 0).any(axis=1)))
    return (len(index) + made) * int(index.shape[1])
