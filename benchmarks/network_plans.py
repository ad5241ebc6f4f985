"""``python -m benchmarks.network_plans [NAME]...``: how long plans of the shipped networks take.

The graphs are the networks'. Without ``--config``, candidates and transitions are drawn at random,
so that nothing else is needed: 60 a node over 24 layouts a tensor, cycles as the products make
them, one to two and a half times as many; a layout that differs is a copy of all bytes read and
written, or for one pair in five nothing. With ``--config MACHINE`` they are the machine's own,
evaluated or taken from ``--store``; only the search for the plan is timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

from explorer.network.candidates.spaces import running
from explorer.network.graph import Accelerated, Network
from explorer.network.graph import Node as Part
from explorer.network.plan.assembly import assemble
from explorer.network.plan.network_plan import CANDIDATES as AS_MANY
from explorer.network.plan.network_plan import candidates
from explorer.network.plan.planning import solve
from explorer.network.plan.problem import Candidate, Cost, Node, Problem
from explorer.network.plan.transitions import Host, model
from explorer.network.plan.wishes import Wishes
from explorer.network.shipped import NETWORKS, shipped
from explorer.study.candidates import answering
from isa.config import PRESETS, Config

CANDIDATES = 60
LAYOUTS = tuple(f"L{i}" for i in range(24))
LANES = 256  # multiply-accumulates a cycle
SECONDS = 60.0
"""Time for the solver."""


def problem(network: Network, random: Random) -> Problem:
    """A problem over a network's graph."""
    tensors = {t.name: t for t in network.tensors if not t.constant and t.size}
    made = {t for node in network.nodes for t in node.writes} | set(network.inputs)
    read = [t for t in tensors if t in made]
    nodes = [
        Node(f"input:{t}", (Candidate("host", Cost(), (), ((t, "plain"),)),))
        for t in network.inputs
        if t in tensors
    ]
    for part in network.nodes:
        reads, writes = ([t for t in ends if t in read] for ends in (part.reads, part.writes))
        nodes.append(Node(part.name, tuple(_candidates(part, reads, writes, random))))
    passages = {}
    for name in read:
        moved = 2 * tensors[name].size
        for written in (*LAYOUTS, "plain"):
            for wanted in (*LAYOUTS, "plain"):
                free = "plain" not in (written, wanted) and random.random() < 0.2
                if written != wanted:
                    cost = Cost() if free else Cost(moved, moved, moved // 2, 1)
                    passages[name, written, wanted] = cost
    return Problem(tuple(nodes), passages)


def _candidates(
    part: Part, reads: list[str], writes: list[str], random: Random
) -> Iterator[Candidate]:
    if not isinstance(part, Accelerated):
        plain = (tuple((t, "plain") for t in ends) for ends in (reads, writes))
        yield Candidate("host", Cost(), *plain)
        return
    for number in range(CANDIDATES):
        cycles = int(part.macs / LANES * random.uniform(1, 2.5)) + 1
        places = (tuple((t, random.choice(LAYOUTS)) for t in ends) for ends in (reads, writes))
        yield Candidate(f"c{number}", Cost(cycles), *places)


def real(network: Network, config: Config, asked: argparse.Namespace) -> Problem:
    """The problem of a network's own candidates, with stores in the readers' order."""
    with answering(asked.jobs, asked.store) as answers, running(asked.jobs) as run:
        spaces, hosts = candidates(
            network, config, asked.candidates, run=run, effort=asked.effort, answers=answers
        )
    host = Host(asked.host_cycles_per_byte)
    return assemble(network, config, spaces, model("stored"), host, hosts).problem


def main(arguments: Sequence[str] | None = None) -> None:
    """One line a network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--config", choices=list(PRESETS))
    parser.add_argument("--host-cycles-per-byte", type=Fraction, default=Fraction(1))
    parser.add_argument("--candidates", type=int, default=AS_MANY)
    parser.add_argument("--effort", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--time-limit", type=float, default=SECONDS)
    asked = parser.parse_args(arguments)
    for name in asked.networks:
        network = shipped(name)
        if asked.config:
            made = real(network, Config.load(asked.config), asked)
        else:
            made = problem(network, Random(1))
        begin, own = time.perf_counter(), time.process_time()
        found = solve(made, Wishes(), seconds=asked.time_limit)
        seconds, own = time.perf_counter() - begin, time.process_time() - own
        account = found.account
        proof = "proven" if found.proven else f"at least {found.bound:,}"
        print(
            f"{name}: {len(made.nodes)} nodes, {account.candidates:,} candidates, "
            f"{seconds:.2f} s ({own:.2f} s of one core), "
            f"{found.plans[0].cost.cycles:,} cycles ({proof}); {account.eliminated} nodes "
            f"eliminated; {account.nodes} nodes with "
            f"{account.left:,} candidates left to the solver, {found.rules:,} ground rules, "
            f"{found.conflicts:,} conflicts",
            flush=True,
        )


if __name__ == "__main__":
    main()
