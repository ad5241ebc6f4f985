"""The best plan of a network over all embeddings of its operators, with what is proven of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from explorer.network.candidates.listing import Measured, numbered, programmed, restored
from explorer.network.candidates.spaces import Run, Space, usual_classes
from explorer.network.graph import Host, Network, no_program
from explorer.network.plan.claim import Claim, Searched
from explorer.network.plan.network_plan import NetworkPlan, plan_network
from explorer.network.plan.transitions import Host as HostCost
from explorer.network.plan.transitions import Model, model
from explorer.network.plan.wishes import Wishes
from explorer.network.proof.relaxation import Relaxation
from explorer.network.proof.search import Closing, Progress
from explorer.network.proof.ways import Pool, Way, pool
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.interrupts import pressed


@dataclass(slots=True)
class Proof:
    """A search over all embeddings of a network, as far as it has come.

    Attributes:
        network, config: what is planned, and for what.
        rule_name, host: the transitions, and what the host's work costs.
        classes: of embeddings; None for `usual_classes`.
        wishes: what decides between plans of equal cycles.
        hosts: nodes that the host runs, with the reason.
        closing: the search; None before its beginning.
        latest: the best plan known, and its cycles in the search.
        claimed: that plan with what was proven of it when the last round ended.
    """

    network: Network
    config: Config
    rule_name: str
    host: HostCost
    classes: tuple[str, ...] | None
    wishes: Wishes = field(default_factory=Wishes)
    hosts: dict[str, str] = field(default_factory=dict)
    closing: Closing | None = None
    latest: tuple[int, NetworkPlan] | None = None
    claimed: NetworkPlan | None = None

    @property
    def rule(self) -> Model:
        """The transitions."""
        return model(self.rule_name)

    def check(self, given: Mapping[str, object], dashes: str = "") -> None:
        """Check what is asked, before anything is computed.

        Args:
            given: values of options that cannot be met over all embeddings, by their names.
            dashes: what the names of options begin with, where they come from the command line.

        Raises:
            InputError: one of these was given, preferences do not begin with cycles, or transitions
                depend on orders in DRAM.
        """
        for name, value in given.items():
            if value:
                raise InputError(name, "", value, "only for plans of the candidates listed")
        if self.wishes.ranked[0] != "cycles":
            named = ",".join(self.wishes.ranked)
            raise InputError(f"{dashes}prefer", "", named, "cycles first, over all embeddings")
        if not self.rule.stores or self.rule.copies:
            allowed = "stored or trial: else orders in DRAM count, which schedules choose"
            if self.rule.copies:
                allowed = "stored or trial: copies are of the candidates listed only"
            raise InputError(f"{dashes}transitions", "", self.rule_name, allowed)

    def run(
        self,
        run: Run,
        seconds: float | None = None,
        on_round: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Search until the plan is proven, or the time is up, which is looked at after each round.

        Raises:
            InputError: no node has a program.
        """
        if not self.rule.stores:
            allowed = (
                "stored or trial: else a layout's order in DRAM counts, which schedules choose"
            )
            raise InputError("--transitions", "", self.rule_name, allowed)
        begin = time.monotonic()
        network = self.network
        self.hosts = {n.name: n.reason for n in network.nodes if isinstance(n, Host)}
        self.hosts |= {n.name: w for n in network.accelerated if (w := programmed(n, network))}
        pools = self._pools(run)
        if not pools:
            raise no_program(network, self.hosts)
        relaxation = Relaxation(network, self.config, self.rule, self.host, self.hosts, pools)
        self.closing = Closing(relaxation)
        for progress in self.closing.rounds(run):
            if self.latest is None or progress.best < self.latest[0]:
                self.latest = progress.best, self._plan()
            self.claimed = self._claimed(self.latest[1], self.closing)
            on_round(progress)
            if pressed.is_set() or (seconds is not None and time.monotonic() - begin > seconds):
                return
        # Only now, as what is searched here is not what the bound rests on.
        self.closing.compare(run)
        if self.claimed is not None:
            self.claimed = replace(self._plan(), claim=self.claimed.claim)

    def _pools(self, run: Run) -> dict[Operator, Pool]:
        """The embeddings of each operator; nodes without any program are the host's."""
        nodes = [n for n in self.network.accelerated if n.name not in self.hosts]
        operators = list(dict.fromkeys(n.operator for n in nodes))
        made = run(_Pools(self.config, self.classes), operators)
        pools = {p.operator: p for p in made if p is not None}
        for node in nodes:
            if node.operator not in pools:
                self.hosts[node.name] = "no schedule fits the scratchpads"
        return pools

    def known(self, *, interrupted: bool = False) -> NetworkPlan | None:
        """The best plan known, beside what others would do, with what is proven of it.

        Args:
            interrupted: whether the user has ended the search.
        """
        found = self.claimed
        if found is None or found.claim is None:
            return None
        return replace(found, claim=replace(found.claim, interrupted=interrupted))

    def _claimed(self, found: NetworkPlan, closing: Closing) -> NetworkPlan:
        """A plan with what is proven of it: whole in itself, as Ctrl-C may ask at any time."""
        known = closing.progress
        cycles = found.planned.plans[0].cost.cycles
        claim = Claim(
            cycles,
            min(known.bound, cycles),
            self.classes,
            len(closing.pools),
            known.embeddings,
            known.reached,
            known.rounds,
            tuple(self._searched(closing.pools)),
            known.exact,
        )
        return replace(found, claim=claim)

    def _plan(self) -> NetworkPlan:
        """The plan of the ways that the search has found to make the best one."""
        assert self.closing is not None
        pools = self.closing.pools
        ways: dict[Operator, list[Way]] = {operator: [] for operator in pools}
        for node in self.closing.relaxation.nodes:
            ways[node.operator] += self.closing.chosen[node.name]
        spaces = {o: _space(p, ways[o]) for o, p in pools.items()}
        return plan_network(
            self.network, self.config, spaces, self.hosts, self.rule, self.host, self.wishes
        )

    def _searched(self, pools: Mapping[Operator, Pool]) -> Iterable[Searched]:
        first = {n.operator: n.name for n in reversed(self.network.accelerated)}
        for operator, own in pools.items():
            for name, number, programs in own.searched():
                cycles = programs.least if programs.exact else None
                yield Searched(first[operator], name, number, cycles, programs.least)


@dataclass(frozen=True, slots=True)
class _Pools:
    """Makes the pool of an operator; None where no program fits."""

    config: Config
    classes: Sequence[str] | None

    def __call__(self, operator: Operator) -> Pool | None:
        named = usual_classes(operator) if self.classes is None else self.classes
        found = pool(operator, self.config, named)
        return found if found.begin() else None


def _space(found: Pool, chosen: Iterable[Way]) -> Space:
    """The ways that plans are made of: those chosen, and the fastest."""
    kept = {
        (w.option.embedding.id, w.number): (w.option.embedding, w.number, w.programs)
        for w in chosen
        if w.number >= 0
    }
    if (place := found.fastest()) is not None:
        embedding, number, programs = found.way(place)
        kept[embedding.id, number] = embedding, number, programs
    by_id: dict[str, list[Measured]] = {}
    embeddings = {}
    for embedding, number, programs in sorted(kept.values(), key=lambda k: (k[2].least, k[1])):
        assert programs.schedule is not None
        name = embedding.id
        several = by_id.setdefault(name, [])
        label = numbered(name, len(several) + 1)
        several.append(Measured(label, number, programs.schedule, programs.least, proven=True))
        embeddings[name] = embedding
    evaluated = {
        name: restored(found.operator, found.config, embeddings[name], several)
        for name, several in by_id.items()
    }
    own = [w.option for w in found.ways if w.number < 0]
    return Space(found.operator, found.config, [], [], evaluated, own)
