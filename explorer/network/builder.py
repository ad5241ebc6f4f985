"""How the shipped networks are written down: layer by layer, as their papers list them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Literal, TypedDict, Unpack

from explorer.network.check import check
from explorer.network.graph import Accelerated, Host, Network, Node, Tensor, View, taken
from explorer.network.terms import generic, joined, seen
from explorer.operators import constructors
from isa.computation import Operator

Concat = Literal["terms", "host"]
"""What a product over concatenated tensors is: one term for each, or one of a joined tensor."""

Value = tuple[str, ...]
"""Names of tensors that are concatenated along the channels; usually one."""


class _Ends(TypedDict, total=False):
    """How a layer ends, as `constructors.EpilogueOptions` says."""

    shift: int
    bias: bool
    relu: bool
    relu6: int


class Builder:
    """A network that grows node by node.

    Args:
        name: of the network.
        concat: what becomes of Concat.
    """

    def __init__(self, name: str, concat: Concat) -> None:
        self._name = name
        self._concat = concat
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []

    def build(self, *outputs: Value) -> Network:
        """The network that was written down, with these outputs."""
        network = Network(
            self._name,
            tuple(self._inputs),
            tuple(name for value in outputs for name in value),
            tuple(self._tensors.values()),
            tuple(self._nodes),
        )
        return check(network, self._name)

    def given(self, name: str, *shape: int) -> Value:
        """An input of the network."""
        self._inputs.append(name)
        return self._tensor(name, shape)

    def shape(self, value: Value) -> tuple[int, ...]:
        """The shape of a value; of several parts, their channels together."""
        shapes = [self._tensors[name].shape or () for name in value]
        return (shapes[0][0], sum(shape[1] for shape in shapes), *shapes[0][2:])

    def _tensor(
        self, name: str, shape: tuple[int, ...], dtype: Literal["int8", "int32"] = "int8"
    ) -> Value:
        self._tensors[name] = Tensor(name, shape, dtype)
        return (name,)

    # --- Products ---------------------------------------------------------------------------------

    def conv(
        self,
        name: str,
        data: Value,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        skip: Value | None = None,
        **epilogue: Unpack[_Ends],
    ) -> Value:
        """A convolution with bias, to which `skip` is added; one term for each part of its data."""
        parts = []
        for part in data:
            n, c, h, w = self._tensors[part].shape or ()
            operator = constructors.conv2d(
                n=n, c=c, h=h, w=w, k=channels, r=kernel, s=kernel, stride=stride, pad=pad,
                residual=skip is not None, **_Ends(bias=True) | epilogue,
            )  # fmt: skip
            parts.append(operator)
        return self._product(name, joined(parts), _numbered(data, skip))

    def depthwise(
        self,
        name: str,
        data: Value,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        **epilogue: Unpack[_Ends],
    ) -> Value:
        """A kernel for each channel, of data of one part."""
        n, c, h, w = self.shape(data)
        operator = constructors.depthwise2d(
            n=n, c=c, h=h, w=w, r=kernel, s=kernel, stride=stride, pad=pad, **epilogue
        )
        return self._product(name, generic(operator), _numbered(data))

    def transposed(self, name: str, data: Value, channels: int, kernel: int, stride: int) -> Value:
        """A transposed convolution with bias, of data of one part."""
        n, c, h, w = self.shape(data)
        operator = constructors.transposed2d(
            n=n, c=c, h=h, w=w, k=channels, r=kernel, s=kernel, stride=stride, bias=True
        )
        return self._product(name, generic(operator), _numbered(data))

    def dense(
        self,
        name: str,
        data: Value,
        columns: int,
        *,
        skip: Value | None = None,
        **epilogue: Unpack[_Ends],
    ) -> Value:
        """A matrix product with bias, to which `skip` is added; axes after the first are joined."""
        parts = []
        for part in data:
            rows, *rest = self._tensors[part].shape or ()
            operator = constructors.gemm(
                m=rows, n=columns, k=prod(rest), residual=skip is not None,
                **_Ends(bias=True) | epilogue,
            )  # fmt: skip
            parts.append(operator)
        return self._product(name, joined(parts), _numbered(data, skip))

    def scores(self, name: str, query: Value, key: Value, heads: int) -> Value:
        """Queries times keys of each head: (m, heads*d) and (n, heads*d) to (1, heads, m, n)."""
        (m, hidden), (n, _) = self.shape(query), self.shape(key)
        operator = constructors.attention_scores(b=1, heads=heads, m=m, n=n, d=hidden // heads)
        return self._product(name, generic(operator), {"query": query[0], "key": key[0]})

    def attended(self, name: str, weights: Value, value: Value) -> Value:
        """Weights times values of each head: (1, heads, m, n) and (n, heads*d) to (m, heads*d)."""
        (_, heads, m, n), (_, hidden) = self.shape(weights), self.shape(value)
        operator = constructors.attention_values(b=1, heads=heads, m=m, n=n, d=hidden // heads)
        given = {"weights": weights[0], "value": value[0]}
        return self._product(name, generic(operator), given, (m, hidden))

    def _product(
        self,
        name: str,
        operator: Operator,
        given: Mapping[str, str],
        shape: tuple[int, ...] | None = None,
    ) -> Value:
        """A node; what is not given to its operator is a constant of the node's."""
        views: list[View] = []
        for operand, product in taken(operator):
            tensor = given.get(operand.name, f"{name}.{operand.name}")
            if tensor not in self._tensors:
                dtype: Literal["int8", "int32"] = "int8" if product else "int32"
                self._tensors[tensor] = Tensor(tensor, operand.shape, dtype, constant=True)
            views.append(seen(operand, tensor))
        value = self._tensor(name, shape or operator.out.shape)
        self._nodes.append(Accelerated(name, operator, tuple(views), seen(operator.out, name)))
        return value

    # --- The host ---------------------------------------------------------------------------------

    def concat(self, name: str, *values: Value) -> Value:
        """Tensors joined along the channels: as parts, or by the host."""
        parts = tuple(part for value in values for part in value)
        if self._concat == "terms":
            return parts
        return self.copied(name, parts)

    def copied(self, name: str, parts: Value) -> Value:
        """Tensors that the host joins along the channels, whatever reads them."""
        reason = "joins tensors in memory"
        return self.host(name, "Concat", parts, self.shape(parts), reason)

    def pool(
        self, name: str, data: Value, operation: str, kernel: int, stride: int, pad: int = 0
    ) -> Value:
        """A pool that rounds up, by the host, of each part by itself."""
        reason = "no product takes a maximum"
        found: list[str] = []
        for number, part in enumerate(data, 1):
            n, c, *image = self._tensors[part].shape or ()
            size = [-(-(extent + 2 * pad - kernel) // stride) + 1 for extent in image]
            label = name if len(data) == 1 else f"{name}.{number}"
            found += self.host(label, operation, (part,), (n, c, *size), reason)
        return tuple(found)

    def mean(self, name: str, data: Value) -> Value:
        """The mean of each channel, by the host, of each part by itself."""
        found: list[str] = []
        for number, part in enumerate(data, 1):
            n, c, h, w = self._tensors[part].shape or ()
            reason = f"a mean of {h * w} values is no shift"
            label = name if len(data) == 1 else f"{name}.{number}"
            found += self.host(label, "GlobalAveragePool", (part,), (n, c, 1, 1), reason)
        return tuple(found)

    def host(
        self, name: str, operation: str, inputs: Value, shape: tuple[int, ...], reason: str
    ) -> Value:
        """A node that the host runs, with one output."""
        self._nodes.append(Host(name, operation, inputs, (name,), reason))
        return self._tensor(name, shape)


def _numbered(data: Sequence[str], residual: Value | None = None) -> dict[str, str]:
    """The tensors of the parts by the names of the terms' inputs, and the residual."""
    given = {f"data_{number}" if number > 1 else "data": x for number, x in enumerate(data, 1)}
    return given | ({"residual": residual[0]} if residual else {})
