"""A network: nodes over tensors, in an order in which they can run.

A node is accelerated, an operator whose tensors are tensors of the network, or it is run by the
host's own library. An operator sees a tensor of the network through a view,
which only renames elements: it costs nothing, and says where each of them lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from explorer.operators.stages import tensor_of
from isa.computation import Operator
from isa.computation import Tensor as Operand
from isa.errors import InputError

Element = TypeVar("Element", bound=np.generic)

Dtype = Literal[
    "bool", "int4", "uint4", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
    "uint64", "float16", "bfloat16", "float32", "float64", "other",
]  # fmt: skip
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
"""Types of elements; ``other`` are those that no accelerated node meets."""
_WIDTHS = {"int4": 1, "uint4": 1, "bfloat16": 2, "other": 0}  # bytes of what numpy does not have


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a network.

    Its real values are ``(value - zero_point) * scale``. An accelerated node sees an uint8 tensor
    of zero point 128 as the int8 tensor of zero point 0 that it is with every top bit flipped.

    Attributes:
        name: unique in the network.
        shape: extents, row-major; None where they are not known before the network runs, which
            can be between host nodes only.
        dtype: of the elements. What an accelerated node reads or writes as int8 is int8 here also
            if the model has floats there: they are to be quantised.
        scale: what one step of the integers is worth; one for each output channel where a constant
            has several; None where it is not known.
        zero_point: the integer that stands for zero.
        constant: whether the values are known offline, so that packing them costs nothing.
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: Dtype = "int8"
    scale: float | tuple[float, ...] | None = None
    zero_point: int = 0
    constant: bool = False

    @property
    def size(self) -> int:
        """Number of elements; 0 where the shape is not known."""
        return 0 if self.shape is None else math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes as the host has it; 0 where shape or type are not known."""
        width = _WIDTHS.get(self.dtype)
        return self.size * (np.dtype(self.dtype).itemsize if width is None else width)

    @property
    def exponent(self) -> int | None:
        """The logarithm of the scale, if it is one power of two."""
        if not isinstance(self.scale, float):
            return None
        fraction, exponent = math.frexp(self.scale)
        return exponent - 1 if fraction == 0.5 else None


@dataclass(frozen=True, slots=True)
class View:
    """How an operator's tensor lies in a tensor of the network: a renaming of all elements.

    The operator's is the network's, its row-major elements cut into the extents `split`, these axes
    transposed, and the result cut into the operator's own shape::

        ours.reshape(split).transpose(order).reshape(the operator's shape)

    Attributes:
        operand: the tensor's name in the operator.
        tensor: its name in the network.
        split: extents whose product is the number of elements.
        order: which axis of `split` comes first, second, …
    """

    operand: str
    tensor: str
    split: tuple[int, ...]
    order: tuple[int, ...]

    @classmethod
    def plain(cls, operand: str, tensor: str, shape: tuple[int, ...]) -> View:
        """Elements in the same order; `shape` is that of either tensor."""
        return cls(operand, tensor, shape, tuple(range(len(shape))))

    @property
    def transposes(self) -> bool:
        """Whether the elements have another row-major order."""
        moved = [axis for axis in self.order if self.split[axis] > 1]
        return moved != sorted(moved)

    def read(self, array: NDArray[Element], shape: tuple[int, ...]) -> NDArray[Element]:
        """The operator's array, of its shape, from the network's.

        Raises:
            ValueError: the array has another number of elements.
        """
        return array.reshape(self.split).transpose(self.order).reshape(shape)

    def write(self, array: NDArray[Element], shape: tuple[int, ...]) -> NDArray[Element]:
        """The network's array, of its shape, from the operator's: the reverse of `read`.

        Raises:
            ValueError: the array has another number of elements.
        """
        cut = array.reshape([self.split[axis] for axis in self.order])
        return cut.transpose(np.argsort(self.order)).reshape(shape)


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A node that is an operator of the accelerator.

    Operators of equal layers are equal: their names, and those of their tensors, say nothing of the
    node.

    Attributes:
        name: unique in the network.
        operator: what is computed, rounding and clipping included.
        inputs: one view for each tensor that the operator takes, in the order of `taken`.
        output: where the operator's output lies in the network's tensor.
        folded: nodes of the model that it stands for, in the order in which they run.
        inexact: why its integers may differ from what the model computes; empty where they do not.
    """

    name: str
    operator: Operator
    inputs: tuple[View, ...]
    output: View
    folded: tuple[str, ...] = ()
    inexact: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors of the network that it reads, each once, constants included."""
        return tuple(dict.fromkeys(view.tensor for view in self.inputs))

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensor of the network that it writes."""
        return (self.output.tensor,)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all terms whose output is kept."""
        return sum(term.computation.useful_macs for term in self.operator.terms)

    @property
    def views(self) -> Mapping[str, View]:
        """The views, inputs and output, by the operator's tensor."""
        return {view.operand: view for view in (*self.inputs, self.output)}


@dataclass(frozen=True, slots=True)
class Host:
    """A node that the host's own library runs, on whole tensors in their plain order.

    Attributes:
        name: unique in the network.
        operation: what is run, as the model names it: `Softmax`.
        inputs: tensors of the network, in the operation's order; "" for one that is left out.
        outputs: tensors of the network, in the operation's order; "" for one that is not wanted.
        reason: why it is not accelerated.
    """

    name: str
    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reason: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it reads, each once."""
        return tuple(dict.fromkeys(filter(None, self.inputs)))

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensors that it writes."""
        return tuple(filter(None, self.outputs))


Node = Accelerated | Host


@dataclass(frozen=True, slots=True)
class Network:
    """A network that `explorer.network.check.check` has found to be one.

    Attributes:
        name: what it is called.
        inputs: tensors that are given, in order.
        outputs: tensors that are wanted, in order.
        tensors: all of them.
        nodes: each after those whose tensors it reads.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]

    @property
    def by_name(self) -> Mapping[str, Tensor]:
        """The tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @property
    def accelerated(self) -> tuple[Accelerated, ...]:
        """The nodes that are operators, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Accelerated))

    @property
    def producers(self) -> Mapping[str, Node]:
        """Of each tensor that a node writes, the node."""
        return {name: node for node in self.nodes for name in node.writes}

    @property
    def readers(self) -> Mapping[str, tuple[Node, ...]]:
        """Of each tensor, the nodes that read it, in order."""
        found: dict[str, list[Node]] = {tensor.name: [] for tensor in self.tensors}
        for node in self.nodes:
            for name in node.reads:
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the accelerated nodes."""
        return sum(node.macs for node in self.accelerated)


def no_program(network: Network, hosts: Mapping[str, str]) -> InputError:
    """What is raised where nothing is left to plan: the host runs all nodes, for these reasons."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in hosts.items())
    opened = [name for name in network.inputs if network.by_name[name].shape is None]
    known = f"; --shape tells the open shapes of {', '.join(opened)}" if opened else ""
    allowed = f"one that a program can be made for is needed, and the host runs all{known}: "
    return InputError(network.name, "nodes", None, f"{allowed}{reasons}")


def taken(operator: Operator) -> Iterator[tuple[Operand, bool]]:
    """The tensors that an operator takes, stage by stage, and whether each is a term's input.

    A term's inputs are int8; what a step adds or shifts by has the bits that the step says.
    """
    for stage in operator.stages:
        if (term := getattr(stage, "computation", None)) is not None:
            yield term.in0, True
            yield term.in1, True
        elif (tensor := tensor_of(stage)) is not None:
            yield tensor, False


def operand(operator: Operator, name: str) -> Operand:
    """A tensor of an operator by its name; KeyError where it has none of that name."""
    known: dict[str, Any] = {tensor.name: tensor for tensor, _ in taken(operator)}
    return known[name] if name in known else {operator.out.name: operator.out}[name]
