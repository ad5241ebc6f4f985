"""What is asked of a plan: preferences, limits and pins, from texts as users write them.

The texts parsed here::

    cycles,host-bytes        preferences, the strongest first; or objectives of a front
    host-copies<=2           a limit; max-host-copies=2 says the same
    conv1=y=oc:16/z=ic:16    a node takes this candidate
    t7=NCHW1n16c             a tensor is written in this layout
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from explorer.network.graph import Network
from explorer.network.plan.problem import LARGEST, METRICS, Problem
from explorer.operators.kinds import expected
from explorer.ranking.explore import find
from isa.config import Config
from isa.errors import InputError

_MOST_NAMED = 5
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LIMIT = re.compile(r"\s*(?:([a-z-]+)\s*<=|max-([a-z-]+)=)\s*(\d{1,15})([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Pin:
    """A choice that is made beforehand.

    Attributes:
        text: as the user wrote it.
        node, candidate: a node takes the candidate; or
        tensor, layout: the tensor is written in the layout.
    """

    text: str
    node: str = ""
    candidate: str = ""
    tensor: str = ""
    layout: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything that is asked of a plan.

    Attributes:
        prefer: metrics, the strongest first: what equals in one is decided by the next.
        limits: the greatest value that a metric may have.
        pins: choices made beforehand.
        objectives: all plans are wanted that none dominates in these metrics; preferences are then
            left aside. Empty: one best plan.
    """

    prefer: tuple[str, ...] = ("cycles", "host-bytes", "memory")
    limits: Mapping[str, int] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    objectives: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[str, ...]:
        """The metrics by which plans are ranked, the strongest first."""
        return self.objectives or self.prefer


def parse_metrics(text: str, source: str) -> tuple[str, ...]:
    """Metrics separated by commas.

    Raises:
        InputError: one is none, or stands twice.
    """
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in METRICS:
            raise InputError(source, "", name, f"metrics are {', '.join(METRICS)}")
        if names.count(name) > 1:
            raise InputError(source, "", name, "a metric may stand once")
    return names


def parse_limits(texts: Iterable[str], source: str = "--require") -> dict[str, int]:
    """Limits; each text may hold several, separated by commas.

    Raises:
        InputError: a text is none, or two are about the same metric.
    """
    limits: dict[str, int] = {}
    for text in (part for whole in texts for part in whole.split(",")):
        found = _LIMIT.fullmatch(text)
        name = (found[1] or found[2]) if found else ""
        if found is None or name not in METRICS or found[4] not in _UNITS:
            allowed = f"METRIC<=NUMBER, as host-copies<=2, with a metric of {', '.join(METRICS)}"
            raise InputError(source, "", text, allowed)
        if name in limits:
            raise InputError(source, "", text, "a metric may be limited once")
        limits[name] = int(found[3]) * _UNITS[found[4]]
        if limits[name] > LARGEST:
            raise InputError(source, text, limits[name], f"a limit is at most {LARGEST}")
    return limits


def check_names(texts: Iterable[str], network: Network, source: str = "--pin") -> None:
    """Check what pins name: before candidates are evaluated, which takes minutes.

    The candidates and layouts that they ask for are known only after that, see `parse_pins`.

    Raises:
        InputError: a text is no pin, there is no such node or tensor, or two pins are of one.
    """
    names = {*(node.name for node in network.nodes), *(tensor.name for tensor in network.tensors)}
    names |= {*(f"input:{t}" for t in network.inputs), *(f"output:{t}" for t in network.outputs)}
    pinned = set[str]()
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not value:
            allowed = "NODE=ID or TENSOR=LAYOUT, with names as `explorer network show` has them"
            raise InputError(source, "", text, allowed)
        if name not in names:
            allowed = expected(name, sorted(names), "a node or a tensor, one of")
            raise InputError(source, "", name, allowed)
        if name in pinned:
            raise InputError(source, "", text, f"{name} is pinned already")
        pinned.add(name)


def check_ids(
    texts: Iterable[str], network: Network, config: Config, source: str = "--pin"
) -> None:
    """Check the embeddings that pins name: before candidates are evaluated, which takes minutes.

    Raises:
        InputError: a node cannot have an embedding that a pin gives it.
    """
    nodes = {node.name: node for node in network.accelerated}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if name in nodes and ":" in value:
            try:
                find(nodes[name].operator, config, value.partition("#")[0])
            except InputError as error:
                told = f"{error.field}: {error.allowed}" if error.field else error.allowed
                raise InputError(source, name, value, told) from None


def _some(what: str, names: Sequence[str]) -> str:
    """What can be given, with the first of the names; "" where there are none."""
    more = f", … ({len(names)} in all)" if len(names) > _MOST_NAMED else ""
    return f"{what}, as {', '.join(names[:_MOST_NAMED])}{more}" if names else ""


def parse_pins(texts: Iterable[str], problem: Problem, source: str = "--pin") -> tuple[Pin, ...]:
    """Pins of a problem's nodes and tensors.

    Raises:
        InputError: there is no such node, tensor, candidate or layout, or two pins are of one.
    """
    nodes = {node.name: node for node in problem.nodes}
    writers = problem.writers()
    pins: dict[str, Pin] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not (name in nodes or name in writers):
            known = ", ".join([*nodes, *writers])
            raise InputError(source, text, name, f"NODE=ID or TENSOR=LAYOUT, with one of {known}")
        if name in pins:
            raise InputError(source, "", text, f"{name} is pinned already")
        # A node and the tensor that it writes may have one name: what is pinned tells which.
        if name in nodes and value in [c.name for c in nodes[name].candidates]:
            pins[name] = Pin(text, node=name, candidate=value)
        elif name in writers and value in problem.layouts(name)[0]:
            pins[name] = Pin(text, tensor=name, layout=value)
        else:
            ids = [c.name for c in nodes[name].candidates] if name in nodes else []
            layouts = problem.layouts(name)[0] if name in writers else []
            told = (_some("an embedding", ids), _some("a layout of the tensor", layouts))
            raise InputError(source, name, value, "; or ".join(filter(None, told)))
    return tuple(pins.values())
