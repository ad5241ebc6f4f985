"""A plan's candidates compiled, and put in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from explorer.deployment.image import Deployment, HostModel, deployed
from explorer.deployment.programs import NodeProgram, compiled
from explorer.deployment.steps import Course, course
from explorer.deployment.stores import directed
from explorer.network.candidates import Option
from explorer.network.graph import Network
from isa.config import Config

Array = NDArray[Any]


class Compiled:
    """A network with programs for the nodes that a plan has candidates for.

    Args:
        network: the network.
        values: its constants by name.
        config: what it is compiled for.
        chosen: of each programmed node its candidate.
        effort: as the candidates were evaluated with.
        stores: whether programs store what their readers want, where they have it.
        on_progress: told when a node is done.
    """

    def __init__(
        self,
        network: Network,
        values: Mapping[str, Array],
        config: Config,
        chosen: Mapping[str, Option],
        effort: int | None = None,
        *,
        stores: bool = False,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.network, self.values, self.config = network, values, config
        self.programs: dict[str, NodeProgram] = {}
        for node in network.accelerated:
            if node.name in chosen:
                option = chosen[node.name]
                self.programs[node.name] = compiled(node, network, values, config, option, effort)
                on_progress(1)
        if stores:
            self.programs = directed(network, self.programs)
        self.course: Course = course(network, self.programs)

    def deployment(
        self,
        *,
        one_by_one: bool = False,
        apart: bool = False,
        models: Mapping[str, HostModel] | None = None,
    ) -> Deployment:
        """All of it in memory; see `image.deployed`."""
        return deployed(
            self.network,
            self.config,
            self.programs,
            self.course,
            one_by_one=one_by_one,
            apart=apart,
            constants=self._needed(),
            models=models,
        )

    def _needed(self) -> dict[str, Array]:
        """The constants that the host reads: of nodes that it runs, and of sums that it packs."""
        names = {
            view.tensor
            for node in self.network.accelerated
            if node.name not in self.programs
            for view in node.inputs
        }
        names |= {t for buffer in self.course.buffers for t in buffer.content.tensors}
        return {n: a for n, a in self.values.items() if n in names}
