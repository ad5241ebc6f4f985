"""Networks as documents: written and read back, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.network.document import dump, parse, schema, written
from explorer.network.graph import Accelerated, Host, Network, Node, Tensor, View, taken
from isa.computation import Operator
from isa.errors import InputError
from tests.strategies import operators

TWO = """
name: two layers
inputs: [image]
outputs: [scores]
tensors:
  image: {shape: [1, 3, 4, 4], scale: 0.0078125}
  conv.weight: {shape: [16, 3, 3, 3], constant: true, scale: [0.5, 0.25]}
  features: {shape: [1, 16, 4, 4]}
  classifier.weight: {shape: [10, 256], constant: true}
  logits: {shape: [1, 10]}
  scores: {shape: [1, 10], dtype: float32}
operators:
  conv2d: {kind: conv2d, n: 1, c: 3, h: 4, w: 4, k: 16, r: 3, s: 3, pad: 1}
  gemm: {kind: gemm, m: 1, n: 10, k: 256}
nodes:
  - name: conv
    operator: conv2d
    inputs: {data: image, weight: conv.weight}
    output: features
  - name: classifier
    operator: gemm
    inputs:
      data: {tensor: features, split: [1, 256], order: [0, 1]}
      weight: classifier.weight
    output: logits
  - {name: softmax, operation: Softmax, inputs: [logits], outputs: [scores], reason: no product}
"""


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A chain of random operators; between them host nodes, views that transpose, and scales."""
    tensors: list[Tensor] = [Tensor("given", draw(st.none() | st.just((2, 3))), "float32")]
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 3))):
        operator: Operator = replace(draw(operators(3, epilogues=True)), name="op")
        views = []
        for operand, product in taken(operator):
            name = f"{number}/{operand.name}:0"
            constant = not product or draw(st.booleans()) or operand.name == "weight"
            order = draw(st.permutations(range(len(operand.shape))))
            split = [0] * len(order)
            for axis, extent in zip(order, operand.shape, strict=True):
                split[axis] = extent
            scale = draw(st.none() | st.floats(2.0**-40, 8.0) | st.just(0.5))
            tensor = Tensor(name, tuple(split), "int8" if product else "int32", scale)
            tensors.append(replace(tensor, constant=constant))
            if not constant:
                tensors[-1] = replace(tensor, zero_point=draw(st.integers(0, 3)))
                nodes.append(Host(f"make {name}", "Make", ("given", ""), (name, ""), "test"))
            views.append(View(operand.name, name, tuple(split), tuple(order)))
        out = Tensor(f"{number}/out", operator.out.shape)
        tensors.append(out)
        view = View.plain(operator.out.name, out.name, operator.out.shape)
        node = Accelerated(str(number), operator, tuple(views), view, ("a b", "c"), ("x",))
        nodes.append(node)
    return Network("drawn", ("given",), (tensors[-1].name,), tuple(tensors), tuple(nodes))


@settings(max_examples=15, deadline=None)
@given(networks(), st.booleans())
def test_round_trip(network: Network, as_json: bool) -> None:
    """What is written is read back as the same network."""
    source = "net.json" if as_json else "net.yaml"
    assert parse(dump(network, as_json=as_json), source) == network


def test_reads_what_people_write() -> None:
    """The documented example is a network; equal operators are written once."""
    network = parse(TWO, "two.yaml")
    assert [node.name for node in network.nodes] == ["conv", "classifier", "softmax"]
    assert network.macs == 16 * 16 * 27 + 10 * 256
    assert network.by_name["conv.weight"].scale == (0.5, 0.25)
    assert parse(dump(network), "again.yaml") == network
    conv = network.accelerated[0]
    again = replace(conv, name="again", output=replace(conv.output, tensor="more"))
    twice = replace(
        network,
        tensors=(*network.tensors, Tensor("more", (1, 16, 4, 4))),
        nodes=(*network.nodes, again),
    )
    assert set(written(twice)["operators"]) == {"conv2d", "gemm"}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("operator: gemm", "operator: dense", "nodes.classifier.operator: 'dense'"),
        ("data: image, ", "", "nodes.conv.inputs: 'data'"),
        ("data: image", "date: image", "nodes.conv.inputs: 'date'"),
        ("weight: classifier.weight", "weight: other", "'other'"),
        ("order: [0, 1]", "order: [0, 0]", "[0, 0]"),
        ("reason: no product", "folded: [x]", "nodes.softmax.folded"),
        (", reason: no product", "", "nodes.softmax.reason: missing"),
        ("    output: logits\n", "", "nodes.classifier.output: missing"),
        ("inputs: [logits]", "inputs: {data: logits}", "nodes.softmax.inputs"),
        ("k: 256}", "k: 256, q: 3}", "operators.gemm: q"),
        ("dtype: float32", "dtype: float31", "tensors.scores.dtype"),
        ("scale: 0.0078125", "scale: -1.0", "tensors.image.scale"),
        ("inputs: [image]\n", "inputs: [image]\nextra: 1\n", "extra"),
        ("name: two layers", "name: 7", "name: 7"),
    ],
)  # fmt: skip
def test_refused(old: str, new: str, said: str) -> None:
    """A document with a fault is refused in one line that names the file and the place."""
    assert old in TWO
    with pytest.raises(InputError) as caught:
        parse(TWO.replace(old, new, 1), "two.yaml")
    assert str(caught.value).startswith("two.yaml")
    assert said in str(caught.value)


def test_not_even_a_document() -> None:
    """Text that is no YAML, or no JSON where the name says JSON, is refused as such."""
    with pytest.raises(InputError, match="YAML"):
        parse("a: [", "two.yaml")
    with pytest.raises(InputError, match="JSON"):
        parse(TWO, "two.json")


def test_schema() -> None:
    """The JSON Schema has every key of a document, and each reference in it is defined."""
    made = schema()
    assert set(made["properties"]) == set(written(parse(TWO, "two.yaml")))
    references: set[str] = set()

    def collect(part: object) -> None:
        if isinstance(part, dict):
            if isinstance(reference := part.get("$ref"), str):
                references.add(reference)
            for value in part.values():
                collect(value)
        elif isinstance(part, list):
            for value in part:
                collect(value)

    collect(made)
    assert references == {f"#/$defs/{name}" for name in made["$defs"]}
