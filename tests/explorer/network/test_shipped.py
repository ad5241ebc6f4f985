"""Shipped networks: their size is what the literature says, and both forms of Concat agree."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest

from explorer.network.document import dump, parse
from explorer.network.graph import Accelerated, Host, Network
from explorer.network.shipped import NETWORKS, shipped
from isa.errors import InputError

WEIGHTS = {
    "resnet18": 11_689_512 - 9_600 - 1_000,
    "resnet50": 25_557_032 - 53_120 - 1_000,
    "mobilenetv2": 3_504_872 - 34_112 - 1_000,
    "vgg16": 138_357_544 - 13_416,
    "densenet121": 7_978_856 - 83_648 - 1_000,
    "inception_v1": 6_998_552 - 8_280,
    "transformer": 7_087_872 - 4 * 768 - 2 * (2 * 768) - 3072 - 768,
}
"""Published numbers of parameters, less those of normalisations and biases."""

MACS = {
    "resnet18": 1.814e9,
    "resnet50": 4.089e9,
    "mobilenetv2": 0.3008e9,
    "vgg16": 15.47e9,
    "densenet121": 2.834e9,
    "inception_v1": 1.583e9,
}
"""Published multiply-accumulates of one image."""


def weights(network: Network) -> int:
    """Weights of convolutions and products, those of scales of single channels left out."""
    found = 0
    for node in network.accelerated:
        if not node.name.endswith((".norm", ".pool")):
            for term in node.operator.terms:
                found += term.computation.in1.size if term.constants else 0
    return found


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name: str) -> None:
    """A network has as many weights as were published."""
    assert weights(shipped(name)) == WEIGHTS[name]


@pytest.mark.parametrize("name", MACS)
def test_macs(name: str) -> None:
    """It multiplies as often as was published, to a part in two hundred."""
    assert shipped(name).macs == pytest.approx(MACS[name], rel=0.005)


def test_unet_by_hand() -> None:
    """The U-Net's weights are those of its two columns, layer by layer."""
    down = [1, 64, 128, 256, 512, 1024]
    encoder = sum(9 * (a * b + b * b) for a, b in pairwise(down))
    decoder = sum(4 * 2 * c * c + 9 * (2 * c * c + c * c) for c in (512, 256, 128, 64))
    assert weights(shipped("unet")) == encoder + decoder + 2 * 64


@pytest.mark.parametrize("name", NETWORKS)
def test_both_forms(name: str) -> None:
    """With terms for Concat or joined by the host: the same products, the same output."""
    terms, host = shipped(name), shipped(name, "host")
    assert terms.macs == host.macs
    assert weights(terms) == weights(host)
    shape = terms.by_name[terms.outputs[0]].shape
    assert shape == host.by_name[host.outputs[0]].shape
    assert prod(shape or ()) == {"unet": 2 * 256 * 256, "transformer": 128 * 768}.get(name, 1000)
    assert all(len(node.operator.terms) == 1 for node in host.accelerated)
    joins = {n.operation for n in terms.nodes if isinstance(n, Host)}
    assert ("Concat" in joins) == (name == "densenet121")


def test_equal_layers_are_equal() -> None:
    """Layers of the same shape have one operator, so that they are looked at once."""
    operators = {node.operator for node in shipped("resnet18").accelerated}
    assert len(operators) == 16
    assert len(shipped("resnet18").accelerated) == 21


@pytest.mark.parametrize("name", ["resnet18", "unet", "transformer", "inception_v1"])
def test_documents(name: str) -> None:
    """A shipped network is the same after being written and read."""
    network = shipped(name)
    assert parse(dump(network, as_json=True), "net.json") == network


def test_views_of_heads() -> None:
    """Attention sees the joined heads of a matrix as an axis of its own, without a copy."""
    network = shipped("transformer")
    (scores,) = (node for node in network.nodes if node.name == "scores")
    assert isinstance(scores, Accelerated)
    assert scores.views["query"].split == (1, 128, 12, 64)
    assert network.by_name["query"].shape == (128, 768)


@pytest.mark.parametrize(("name", "concat"), [("resnet19", "terms"), ("unet", "never")])
def test_unknown(name: str, concat: str) -> None:
    """Another name, or another form of Concat, is refused with what there is."""
    with pytest.raises(InputError, match=r"resnet18|terms, host"):
        shipped(name, concat)  # type: ignore[arg-type]
