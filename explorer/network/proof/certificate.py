"""What is claimed of a plan over all embeddings as a document, for others to check.

It says what was asked, the plan, and of every layout whose programs were searched the cycles that
were found, or what no program of it undercuts. With the bounds of all other layouts' schedules,
all of this is what the bound rests on.
"""

from __future__ import annotations

from pathlib import Path

from explorer.network.plan.claim import Searched
from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.plan.transitions import Host
from isa.schema import Document


class SearchedDocument(Document):
    """A layout whose programs were searched; see `claim.Searched`."""

    node: str
    embedding: str
    design: int
    cycles: int | None
    at_least: int

    def read(self) -> Searched:
        """The same as a value."""
        return Searched(self.node, self.embedding, self.design, self.cycles, self.at_least)


class Certificate(Document):
    """A plan over all embeddings, and what its proof rests on.

    Attributes:
        network, configuration: names of what was planned, and for what.
        on_host: nodes that the host runs.
        transitions, host_cycles_per_byte, host_cycles_per_call: what passing tensors on costs.
        classes: of embeddings; null for the usual ones.
        cycles, bound, proven, operators, embeddings, reached, rounds: see `claim.Claim`.
        executed, fixed: cycles of the plan, and with TVM's layouts throughout (null where that is
            no plan), as programs have them in the end, with the stores that readers want.
        plan: each node's candidate.
        searched: all layouts whose programs were searched.
    """

    network: str
    configuration: str
    on_host: list[str]
    transitions: str
    host_cycles_per_byte: str
    host_cycles_per_call: int
    classes: list[str] | None
    cycles: int
    bound: int
    proven: bool
    operators: int
    embeddings: int
    reached: int
    rounds: int
    executed: int
    fixed: int | None
    plan: dict[str, str]
    searched: list[SearchedDocument]


def certificate(found: NetworkPlan, transitions: str, host: Host) -> Certificate:
    """The certificate of a plan that was made over all embeddings."""
    claim = found.claim
    assert claim is not None
    hosts = found.assembled.hosts
    return Certificate(
        network=found.network.name,
        configuration=found.config.name,
        on_host=[n.name for n in found.network.nodes if n.name in hosts],
        transitions=transitions,
        host_cycles_per_byte=str(host.per_byte),
        host_cycles_per_call=host.per_call,
        classes=None if claim.classes is None else list(claim.classes),
        cycles=claim.cycles,
        bound=claim.bound,
        proven=claim.proven,
        operators=claim.operators,
        embeddings=claim.embeddings,
        reached=claim.reached,
        rounds=claim.rounds,
        executed=found.planned.plans[0].cost.cycles,
        fixed=None if found.fixed is None else found.fixed.cost.cycles,
        plan=dict(found.planned.plans[0].choices),
        searched=[
            SearchedDocument(
                node=s.node,
                embedding=s.embedding,
                design=s.design,
                cycles=s.cycles,
                at_least=s.at_least,
            )
            for s in claim.searched
        ],
    )


def text(made: Certificate) -> str:
    """The document as JSON; the same plan has the same bytes."""
    return made.model_dump_json(indent=1) + "\n"


def read(path: Path) -> Certificate:
    """A certificate that was written."""
    return Certificate.model_validate_json(path.read_bytes())
