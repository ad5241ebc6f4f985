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

    tensors = deployment.network.by_name

    def run(node: Host, given: Mapping[str, Array]) -> Mapping[str, Array]:
        import onnx  # noqa: PLC0415 - an extra

        from explorer.network.onnx.reference import hosted_by  # noqa: PLC0415 - needs the extra

        model = deployment.models[node.name]
        arrays = {model.inputs[name]: array for name, array in given.items()}
        outputs = {old: tensors[new] for new, old in model.outputs.items()}
        with parsing(node.name, "must be a model that ONNX Runtime runs"):
            parsed = onnx.load_model_from_string(model.data)
            found = hosted_by(parsed, arrays, outputs, node.name)
        return {new: found[old] for new, old in model.outputs.items()}

    return run
