"""What planning and computing a network take of memory, known before either is begun."""

from __future__ import annotations

from explorer.network.graph import Network
from explorer.program.memory import check_size, needed

# Bytes an element of a tensor while a layout of it is told or compared: a few numbers of 64 bits an
# entry, of which there are about as many as elements where windows have their own; and what is kept
# of layouts that others are compared with, which have an entry for several elements.
_AT_ONCE, _KEPT = 32, 1
_LAYOUTS = 16  # of a tensor, as an order of magnitude
_FLOAT = 8  # bytes an element that host nodes may compute with


def check_plan(network: Network) -> None:
    """Check that the layouts of a network's tensors can be compared in the memory that is free.

    Raises:
        InputError: they cannot; the message names the size.
    """
    tensors = network.by_name
    views = [view for node in network.accelerated for view in (*node.inputs, node.output)]
    sizes = [tensors[v.tensor].size for v in views if not tensors[v.tensor].constant]
    size = (_AT_ONCE + _KEPT * _LAYOUTS) * max(sizes, default=0)
    check_size(network.name, size, "smaller nodes can be planned; show needs no tensors")


def check_run(network: Network) -> None:
    """Check that all tensors of a network can be computed in the memory that is free.

    Raises:
        InputError: they cannot; the message names the size.
    """
    kept = _FLOAT * sum(tensor.size for tensor in network.tensors if tensor.shape is not None)
    most = max((needed(node.operator) for node in network.accelerated), default=0)
    check_size(network.name, kept + most, "plan and show need no numbers")
