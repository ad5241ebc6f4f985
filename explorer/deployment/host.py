"""What runs the host's nodes of a deployment that was read: the models that it brings along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from explorer.deployment.execution import Library
from explorer.deployment.image import Deployment
from explorer.network.graph import Host
from isa.errors import InputError
from isa.files import parsing

Array = NDArray[Any]


def library(deployment: Deployment) -> Library:
    """A function that runs host nodes by their models.

    Raises:
        InputError: a node has none.
    """
    for node in deployment.network.nodes:
        if isinstance(node, Host) and node.name not in deployment.models:
            allowed = f"{node.operation}: what it came from does not say more, so it cannot be run"
            raise InputError(deployment.network.name, f"nodes.{node.name}", None, allowed)

    def run(node: Host, given: Mapping[str, Array]) -> Mapping[str, Array]:
        import onnx  # noqa: PLC0415 - an extra

        from explorer.network.reference import by_model  # noqa: PLC0415 - needs the extra

        model = deployment.models[node.name]
        with parsing(node.name, "must be a model that ONNX Runtime runs"):
            read = onnx.load_model_from_string(model.data)
            names = {**model.inputs, **model.outputs}
            return by_model(read, node, deployment.network, names, given)

    return run
