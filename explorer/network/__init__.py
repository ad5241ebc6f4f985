"""What is a whole network: operators and host nodes over tensors, from models and documents.

In: an ONNX model, a document, or the name of a shipped network. Out: `graph.Network`, and the
integers that it has to compute. Imports `isa`, `simulator` and the stages before it.
"""

from explorer.network.graph import Accelerated, Host, Network, Node, Tensor, View

__all__ = ["Accelerated", "Host", "Network", "Node", "Tensor", "View"]
