"""Networks that do not fit into memory are refused before anything is computed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from explorer.deployment.subjects import subject
from explorer.network.graph import Network
from explorer.network.plan.network_plan import candidates
from explorer.network.shipped import shipped
from explorer.network.size import check_plan, check_run
from explorer.program import memory
from isa.config import Config
from isa.errors import InputError


@pytest.fixture(scope="module")
def network() -> Network:
    """ResNet-18 for images of 224 by 224."""
    return shipped("resnet18", "terms")


def test_a_usual_network_fits(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 is planned and computed in 2 GiB."""
    monkeypatch.setattr(memory, "available", lambda: 2**31)
    check_plan(network)
    check_run(network)


@pytest.mark.parametrize(
    "begin",
    [
        check_plan,
        check_run,
        lambda network: candidates(network, Config.load("b2")),
        lambda network: subject(network.name),
    ],
)
def test_a_small_machine_is_told_of(
    begin: Callable[[Network], object], network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 16 MiB free, both are refused, with the sizes."""
    monkeypatch.setattr(memory, "available", lambda: 2**24)
    with pytest.raises(InputError, match=r"resnet18: tensors: 'about 0\.\d GiB'.*GiB are free"):
        begin(network)
