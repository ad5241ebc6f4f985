"""A plan's candidates compiled, and put in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from explorer.deployment.folder import folder_files
from explorer.deployment.image import Deployment, HostModel, deployed
from explorer.deployment.programs import NodeProgram, compiled
from explorer.deployment.steps import Course, course
from explorer.deployment.stores import Director
from explorer.deployment.subjects import Subject
from explorer.network.candidates.listing import Option
from explorer.network.graph import Network
from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.plan.problem import METRICS
from explorer.network.plan.transitions import Host, Model, model
from isa.config import Config
from isa.errors import InputError
from simulator.lint import HLS, PORTABLE

Array = NDArray[Any]
REPACK = model("repack")
TARGETS = (PORTABLE, HLS)


def is_one_by_one(target: str, source: str = "--target") -> bool:
    """Whether each node is a segment of its own: HLS's modules have memory ports of their own.

    Raises:
        InputError: there is no such target.
    """
    if target not in TARGETS:
        raise InputError(source, "", target, f"one of {', '.join(TARGETS)}")
    return target == HLS


class Compiled:
    """A network with programs for the nodes that a plan has candidates for.

    Args:
        network: the network.
        values: its constants by name.
        config: what it is compiled for.
        chosen: of each programmed node its candidate.
        rule: which transitions there are.
        host: what the host's work costs, where programs may copy instead.
        on_progress: told when a node is done.
    """

    def __init__(
        self,
        network: Network,
        values: Mapping[str, Array],
        config: Config,
        chosen: Mapping[str, Option],
        rule: Model = REPACK,
        host: Host = Host(),  # noqa: B008 - it is a value
        *,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.network, self.values, self.config = network, values, config
        programs: dict[str, NodeProgram] = {}
        for node in network.accelerated:
            if node.name in chosen:
                option = chosen[node.name]
                programs[node.name] = compiled(node, network, values, config, option)
                on_progress(1)
        self.directed = Director(config).directed(network, programs, rule, host)
        self.programs: Mapping[str, NodeProgram] = self.directed.nodes
        self.course: Course = course(network, self.programs, self.directed.copies)

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
            self.directed.all,
            self.course,
            one_by_one=one_by_one,
            apart=apart,
            constants=self._needed(),
            models=models,
        )

    def _needed(self) -> dict[str, Array]:
        """The constants of the host: of nodes that it runs, of sums that it packs, outputs."""
        names = {*self.network.outputs}
        names |= {
            view.tensor
            for node in self.network.accelerated
            if node.name not in self.programs
            for view in node.inputs
        }
        names |= {t for buffer in self.course.buffers for t in buffer.content.tensors}
        return {n: a for n, a in self.values.items() if n in names}


def chosen(plan: NetworkPlan) -> dict[str, Option]:
    """The candidates of a plan's programmed nodes by name.

    Raises:
        InputError: there is no plan: pins and limits conflict.
        KeyboardInterrupt: the user ended the search, and better ones are left.
    """
    if plan.planned.interrupted:
        raise KeyboardInterrupt
    if not plan.planned.plans:
        conflict = plan.planned.conflict
        lines = conflict.lines() if conflict else ["there is no plan"]
        asked = ", ".join(conflict.requirements) if conflict else ""
        if not asked:  # no option is to blame by name: a rule may be, or what a tensor becomes
            raise InputError("plan", "", None, "; ".join(lines))
        limited = any(text.partition("<=")[0] in METRICS for text in asked.split(", "))
        raise InputError("--require" if limited else "--pin", "", asked, "; ".join(lines))
    options, choices = plan.assembled.options, plan.planned.plans[0].choices
    return {name: options[name][c] for name, c in choices.items() if name in options}


def compiled_plan(
    found: Subject, plan: NetworkPlan, *, on_progress: Callable[[int], None] = lambda _: None
) -> Compiled:
    """The programs of a plan, the best of a front; arguments as for `Compiled`.

    Raises:
        InputError: there is no plan.
    """
    return Compiled(
        found.network,
        found.values,
        plan.config,
        chosen(plan),
        plan.rule,
        plan.host,
        on_progress=on_progress,
    )


def emitted(
    found: Subject, compiled: Compiled, name: str, *, one_by_one: bool = False
) -> tuple[Deployment, dict[str, bytes]]:
    """A network with what its host nodes do, and the files of its folder.

    Args:
        found: the network.
        compiled: its programs.
        name: of the model, for the manifest.
        one_by_one: whether each node is a segment of its own.
    """
    deployment = compiled.deployment(one_by_one=one_by_one, models=found.host_models())
    drawn = {"constants": f"random, seed {found.seed}"} if found.drawn else {}
    source = {"model": name, "target": TARGETS[one_by_one], **drawn}
    return deployment, folder_files(deployment, source)
