"""Networks as data: what they say of their nodes, and what is not one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.network.check import check
from explorer.network.graph import Accelerated, Host, Network, Tensor, View, operand, taken
from explorer.operators.inline import parse
from isa.errors import InputError


def conv(name: str, data: str, output: str, residual: str | None = None) -> Accelerated:
    """A 1×1 convolution of eight channels, with a residual if it is given one."""
    operator = parse(f"conv2d:n=1,c=8,h=4,w=4,k=8,r=1,s=1,residual={int(residual is not None)}")
    names = {"data": data, "weight": f"{name}.weight", "residual": residual or ""}
    views = tuple(View.plain(t.name, names[t.name], t.shape) for t, _ in taken(operator))
    return Accelerated(name, operator, views, View.plain("output", output, operator.out.shape))


def small() -> Network:
    """Two convolutions, of which the second adds the first one's input, and a host node."""
    image, weight = (1, 8, 4, 4), (8, 8, 1, 1)
    tensors = (
        *(Tensor(name, image) for name in "xyzs"),
        Tensor("a.weight", weight, constant=True),
        Tensor("b.weight", weight, constant=True),
    )
    nodes = (
        conv("a", "x", "y"),
        conv("b", "y", "z", residual="x"),
        Host("soft", "Softmax", ("z",), ("s",), "no product"),
    )
    return Network("small", ("x",), ("s",), tensors, nodes)


def test_what_a_network_says() -> None:
    """Producers, readers and sizes follow from the nodes."""
    network = check(small(), "test")
    assert {name: node.name for name, node in network.producers.items()} == {
        "y": "a", "z": "b", "s": "soft",
    }  # fmt: skip
    assert [node.name for node in network.readers["x"]] == ["a", "b"]
    assert network.macs == 2 * 16 * 8 * 8
    assert [node.name for node in network.accelerated] == ["a", "b"]
    assert network.by_name["x"].size == 128
    assert network.accelerated[1].reads == ("y", "b.weight", "x")
    assert operand(network.accelerated[0].operator, "weight").shape == (8, 8, 1, 1)


@pytest.mark.parametrize(
    ("scale", "exponent"),
    [(0.25, -2), (1.0, 0), (8.0, 3), (2.0**-46, -46), (0.3, None), (None, None), ((0.5,), None)],
)
def test_exponent(scale: float | tuple[float, ...] | None, exponent: int | None) -> None:
    """A scale has an exponent where it is one power of two."""
    assert Tensor("t", (1,), scale=scale, constant=True).exponent == exponent


@given(st.permutations(range(4)), st.lists(st.integers(1, 4), min_size=4, max_size=4))
def test_views_reverse(order: list[int], split: list[int]) -> None:
    """What a view reads, it writes back; one that moves no element does not transpose."""
    view = View("data", "x", tuple(split), tuple(order))
    array = np.arange(np.prod(split)).reshape(-1)
    seen = view.read(array, (array.size,))
    assert (view.write(seen, array.shape) == array).all()
    assert view.transposes == (seen != array).any()


def wrong() -> list[tuple[str, Network, str]]:
    """A name for each fault, a network that has it, and what its message must say."""
    network = small()
    a, b, soft = network.nodes
    assert isinstance(a, Accelerated)
    assert isinstance(soft, Host)
    data, weight = a.inputs
    tensors = network.tensors

    def nodes(*some: Accelerated | Host) -> Network:
        return replace(network, nodes=some)

    def first(**changes: object) -> Network:
        return replace(network, tensors=(replace(tensors[0], **changes), *tensors[1:]))  # type: ignore[arg-type]

    return [
        ("twice", replace(network, tensors=(*tensors, tensors[0])), "'x'"),
        ("node twice", nodes(a, b, replace(soft, name="a")), "'a'"),
        ("late", nodes(b, a, soft), "nodes.b.inputs: 'y'"),
        ("unknown", nodes(a, b, replace(soft, inputs=("q",))), "'q'"),
        ("two producers", nodes(a, b, replace(soft, outputs=("y",))), "nodes.soft.outputs: 'y'"),
        ("no output", replace(network, outputs=()), "outputs"),
        ("never written", replace(network, nodes=(a, b)), "outputs: 's'"),
        ("writes nothing", nodes(a, b, replace(soft, outputs=("",))), "nodes.soft.outputs"),
        ("constant input", replace(network, inputs=("x", "a.weight")), "'a.weight'"),
        ("type", first(dtype="float32"), "x: float32"),
        ("no type", first(dtype="int9"), "'int9'"),
        ("shape", first(shape=None), "known shape"),
        ("extent", first(shape=(1, -8, 4, 4)), "[1, -8, 4, 4]"),
        ("size", first(shape=(1, 8, 4, 5)), "160 elements"),
        ("scale", first(scale=0.0), "tensors.x.scale: 0.0"),
        ("scales", first(scale=(0.5, 0.25)), "only a constant"),
        ("operand", nodes(replace(a, inputs=(data,)), b, soft), "data, weight"),
        ("order", nodes(replace(a, inputs=(replace(data, order=(0, 1, 2, 2)), weight)), b, soft),
         "[0, 1, 2, 2]"),
        ("output", nodes(replace(a, output=replace(a.output, operand="q")), b, soft), "'q'"),
        ("not constant", nodes(replace(a, inputs=(data, replace(weight, tensor="x",
         split=(8, 16)))), b, soft), "128 elements"),
    ]  # fmt: skip


@pytest.mark.parametrize(("network", "said"), [w[1:] for w in wrong()], ids=[w[0] for w in wrong()])
def test_what_is_no_network(network: Network, said: str) -> None:
    """A fault is refused in one line that names what is wrong."""
    with pytest.raises(InputError) as caught:
        check(network, "net.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("net.yaml")
