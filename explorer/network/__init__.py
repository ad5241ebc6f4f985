"""What is a whole network, and which candidate of every node makes it best? Plans, with proof.

In: an ONNX model, a document, or the name of a shipped network. Out: `graph.Network`, the integers
that it has to compute, and `plan.planning.Planned`: candidates of the nodes with what lies between
them. Data flows from `onnx` over `candidates` to `plan` and `proof`; what stands beside these
folders says what a network is, and is imported by all of them. Imports `isa`, `simulator` and the
stages before it.
"""

from explorer.network.graph import Accelerated, Host, Network, Node, Tensor, View

__all__ = ["Accelerated", "Host", "Network", "Node", "Tensor", "View"]
