"""Random networks of the shapes that real ones have, with candidates, transitions, pins, limits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from explorer.network.plan.problem import METRICS, Candidate, Cost, Node, Problem
from explorer.network.plan.wishes import Pin, Wishes

SHAPES = ("chain", "residual", "dense", "u-shape", "inception", "random")
Edges = list[tuple[str, list[str]]]
"""Of each node, its name and the nodes whose tensors it reads, called as their nodes."""


def edges(random: Random, shape: str, size: int) -> Edges:
    """A graph of a shape with about so many nodes, producers first."""
    names = [f"n{i}" for i in range(size)]
    if shape == "chain":
        return [(n, names[max(i - 1, 0) : i]) for i, n in enumerate(names)]
    if shape == "residual":
        # The second node of a block reads the first one, and what the block begins with.
        reads = [names[max(i - 1, 0) : i] for i in range(size)]
        for i in range(2, size, 2):
            reads[i] = [names[i - 1], names[i - 2]]
        return list(zip(names, reads, strict=True))
    if shape == "dense":
        return [(n, names[max(0, i - 3) : i]) for i, n in enumerate(names)]
    if shape == "u-shape":
        depth = size // 2
        down = [(n, names[max(i - 1, 0) : i]) for i, n in enumerate(names[:depth])]
        up = [
            (names[i], [names[i - 1], *([names[size - 1 - i]] if size - 1 - i < i - 1 else [])])
            for i in range(depth, size)
        ]
        return [*down, *up]
    if shape == "inception":
        return list(_modules(random, names))
    return [
        (n, random.sample(names[:i], min(i, random.randint(0, 3)))) for i, n in enumerate(names)
    ]


def _modules(random: Random, names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Modules of branches of one or two nodes, the first of which read the ends of all branches."""
    ends, left = list[str](), iter(names)
    while True:
        branches = []
        for first in islice(left, random.randint(2, 3)):
            yield first, ends
            second = next(left, None) if random.random() < 0.4 else None
            if second is not None:
                yield second, [first]
            branches.append(second or first)
        if not branches:
            return
        ends = branches


def network(random: Random, shape: str, size: int, most: int, scale: int = 1) -> Problem:
    """A problem over such a graph.

    Args:
        random: decides.
        shape: one of `SHAPES`.
        size: nodes.
        most: candidates of a node.
        scale: what costs are multiplied by.
    """
    graph = edges(random, shape, size)
    layouts = {name: [f"L{i}" for i in range(random.randint(1, 4))] for name, _ in graph}
    nodes = []
    for name, reads in graph:
        # A tensor that is read twice, as input and as residual.
        twice = [*reads, *(reads[:1] if random.random() < 0.2 else [])]
        candidates = tuple(
            Candidate(
                f"c{i}",
                _cost(random, scale, 20),
                tuple((t, random.choice(layouts[t])) for t in twice),
                ((name, random.choice(layouts[name])),),
            )
            for i in range(random.randint(1, most))
        )
        nodes.append(Node(name, candidates))
    return Problem(tuple(nodes), dict(_passages(random, layouts, scale)))


def _cost(random: Random, scale: int, most: int) -> Cost:
    return Cost(
        *(scale * random.randint(0, most) + (scale > 1) * random.randint(0, 9) for _ in METRICS)
    )


def _passages(
    random: Random, layouts: dict[str, list[str]], scale: int
) -> Iterator[tuple[tuple[str, str, str], Cost]]:
    free, never = random.choice([(0.0, 0.0), (0.3, 0.0), (0.2, 0.2), (0.0, 0.5)])
    for tensor, names in layouts.items():
        for written in names:
            for read in names:
                chance = random.random()
                if written == read and chance < 0.9:  # else even the same layout costs something
                    continue
                if chance < free:
                    yield (tensor, written, read), Cost()
                elif chance < 1 - never:
                    yield (tensor, written, read), _cost(random, scale, 9)


def wishes(random: Random, problem: Problem) -> Wishes:
    """What is asked of a problem: an order of metrics or objectives, pins, limits, or neither."""
    names = random.sample(METRICS, random.randint(1, 3))
    pins = []
    for node in random.sample(problem.nodes, min(len(problem.nodes), random.choice([0, 0, 1, 2]))):
        chosen = random.choice(node.candidates)
        if random.random() < 0.5:
            pins.append(Pin(f"{node.name}={chosen.name}", node=node.name, candidate=chosen.name))
        else:
            tensor, layout = chosen.writes[0]
            pins.append(Pin(f"{tensor}={layout}", tensor=tensor, layout=layout))
    size = len(problem.nodes)
    limited = random.sample(METRICS, random.choice([0, 0, 1, 2]))
    limits = {m: random.randint(0, 14 * size) for m in limited}
    if random.random() < 0.25:
        return Wishes(tuple(names), limits, tuple(pins), tuple(names[:2]))
    return Wishes(tuple(names), limits, tuple(pins))
