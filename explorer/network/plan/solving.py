"""clingo finds the plan: one grounded program, solved as often as needed, for a limited time."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clingo
from clingo import Number, Symbol

from explorer.embedding.control import ground, held_back
from explorer.network.plan.facts import Instance, atom, metric_term
from explorer.network.plan.tables import Tables

# Cores one after the other, small sums first: with weights that are mostly zero for the best
# candidates, this proved optima that branch and bound did not come near.
_CORES = "--opt-strategy=usc,k,0,5"

# Where values have two limbs, carries take something off a sum. With weights below zero, clasp's
# cores may never end, not even when they are told to; branch and bound does.
_BOUNDS = "--opt-strategy=bb,hier"
_POLL = 0.05  # seconds between looks at the clock and at Ctrl-C


@dataclass(frozen=True, slots=True)
class Found:
    """What one run found.

    Attributes:
        choices: of each table, the row or the candidate's name; None if nothing was found.
        exhausted: whether everything was searched: the answer is best, or there is none.
        interrupted: whether the user ended it.
        bound: the first level's least sum that is not excluded, in scaled units; 0 if not known.
        core: requirements that together exclude every plan, where there is none.
        conflicts: that the search met.
    """

    choices: dict[str, int | str] | None
    exhausted: bool
    interrupted: bool
    bound: int = 0
    core: frozenset[Symbol] = frozenset()
    conflicts: int = 0


class Program:
    """A network's program.

    Args:
        tables: what it is about.
        facts: the same as clingo's symbols.
        rules: files of a user's own.
    """

    def __init__(self, tables: Tables, facts: Instance, rules: Sequence[Path] = ()) -> None:
        strategy = _BOUNDS if any(scale.radix for scale in facts.scales) else _CORES
        options = (strategy, "--project=show")
        self._control = ground(facts.facts, "entries/network.lp", rules, options)
        self._tables, self._scales = tables, facts.scales
        symbols = self._control.symbolic_atoms.by_signature("requirement", 1)
        self.requirements = frozenset(a.symbol.arguments[0] for a in symbols)

    def solve(
        self,
        *,
        seconds: float | None = None,
        waived: Collection[Symbol] = (),
        any_one: bool = False,
    ) -> Found:
        """The best plan under all requirements but the waived ones.

        Args:
            seconds: time to search.
            waived: requirements that need not hold.
            any_one: a plan is enough, whatever it costs.
        """
        control = self._control
        control.configuration.solve.opt_mode = "ignore" if any_one else "opt"  # type: ignore[union-attr]
        assumptions = [(atom("enforce", r), r not in waived) for r in sorted(self.requirements)]
        models: list[list[Symbol]] = []
        bounds: list[Sequence[int]] = []

        def take(model: clingo.Model) -> bool:
            models[:] = [list(model.symbols(shown=True))]
            return not any_one

        deadline = None if seconds is None else time.monotonic() + seconds
        with (
            held_back() as pressed,
            control.solve(
                assumptions=assumptions, on_model=take, on_unsat=bounds.append, async_=True
            ) as handle,
        ):
            while not handle.wait(_POLL):
                if pressed.is_set() or (deadline is not None and time.monotonic() > deadline):
                    handle.cancel()
            result = handle.get()
            core = self._core(handle.core()) if result.unsatisfiable else frozenset()
            interrupted = pressed.is_set()
        choices = _choices(models[0]) if models else None
        done = bool(result.exhausted) or (any_one and choices is not None)
        conflicts = self._statistic("solving", "solvers", "conflicts")
        return Found(choices, done, interrupted, self._bound(bounds), core, conflicts)

    @property
    def size(self) -> int:
        """Ground rules."""
        return self._statistic("problem", "lp", "rules")

    def _statistic(self, *names: str) -> int:
        """A number that clingo keeps of its last search."""
        found: Any = self._control.statistics
        for name in names:
            found = found[name]
        return int(found)

    def _bound(self, bounds: Sequence[Sequence[int]]) -> int:
        """The first metric's bound: of two limbs, the high one says all that can be said."""
        if not bounds or not bounds[-1]:
            return 0
        radix = self._scales[0].radix
        return max(bounds[-1][0] * (radix or 1), 0)

    def _core(self, literals: Sequence[int]) -> frozenset[Symbol]:
        atoms = self._control.symbolic_atoms
        found = {r: atoms[atom("enforce", r)] for r in self.requirements}
        return frozenset(r for r, a in found.items() if a is not None and a.literal in literals)

    def cut(self, number: int, values: Sequence[int]) -> None:
        """Leave only plans that are better than a found one in some objective.

        Args:
            number: tells the plan from others.
            values: its scaled values in the metrics that rank.
        """
        parts = []
        for metric, value, scale in zip(self._tables.metrics, values, self._scales, strict=False):
            high, low = scale.limbs(value - 1) if value else (-1, 0)
            arguments = [metric_term(metric), Number(high), Number(low), Number(number)]
            parts.append(("beats", arguments))
        parts.append(("cut", [Number(number)]))
        with held_back() as pressed:
            self._control.ground(parts)
        if pressed.is_set():
            raise KeyboardInterrupt


def _choices(symbols: Sequence[Symbol]) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for symbol in symbols:
        if symbol.match("choose", 2):
            node, candidate = symbol.arguments
            number = candidate.type is clingo.SymbolType.Number
            found[node.string] = candidate.number if number else candidate.string
    return found
