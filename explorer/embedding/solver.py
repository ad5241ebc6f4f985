"""Search by wishes: one grounded program, solved under requirements that can be waived."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import clingo
from clingo import Number, Symbol

from explorer.embedding.control import NEEDED, ground, ground_part, held_back
from explorer.embedding.decoding import Decoder
from explorer.embedding.facts import atom, term_of
from explorer.embedding.fewest_steps import digits
from explorer.embedding.metrics import Metric
from explorer.embedding.several import AnyEmbedding, JointDecoder
from explorer.embedding.step_costs import LARGEST
from isa.computation import ROLES, Computation
from isa.errors import InputError
from isa.files import read_text


@dataclass(frozen=True, slots=True)
class Answer:
    """An embedding with the choices of its layouts, and what it costs.

    Attributes:
        embedding: the embedding.
        shared: the tensors, as `named`, whose overlapping windows share entries (halo).
        trimmed: the tensors whose border of zeros is left to the DMA engine.
        costs: the value of each metric that was asked for, by its term in the encodings.
    """

    embedding: AnyEmbedding
    shared: frozenset[str]
    trimmed: frozenset[str]
    costs: Mapping[str, int]


Values = tuple[int, ...]
Model = tuple[Values, tuple[Symbol, ...]]
"""The values of all levels or objectives, the strongest first, and the symbols shown."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one run of the solver found.

    Attributes:
        models: the answers.
        exhausted: whether everything was searched, so that nothing better is missing.
        interrupted: whether the user ended it.
        core: where there is no answer, requirements that alone exclude every answer.
    """

    models: list[Model]
    exhausted: bool
    interrupted: bool
    core: frozenset[str] = frozenset()


_MOST_MIXED = 256
"""Digits of a space with fused and skewed ones that layouts can be told of, in about half a minute.

A skew widens loops, fused digits run over all combinations of them, and what may come together is
grounded.
"""


_MOST_WITHIN = 128
"""Digits of embeddings with few steps that are worth comparing before others, in seconds."""


class TooManyDigitsError(InputError):
    """Layouts of all embeddings of these classes take too long to compare."""


class Solver:
    """A program of preferences and requirements, grounded once and solved as often as needed."""

    def __init__(
        self,
        terms: Sequence[Computation],
        intrinsic: Computation,
        facts: Iterable[Symbol],
        rules: Sequence[Path] = (),
        entry: str = "entries/optimize.lp",
        *,
        within: int | None = None,
    ) -> None:
        """Ground the program.

        Args:
            terms: what is embedded.
            intrinsic: what they are embedded into.
            facts: those of both, and what is wished for.
            rules: files of a user's own.
            entry: the encodings.
            within: leave out digits that only embeddings of more steps have.

        Raises:
            InputError: the rules are faulty, or a metric, demand or weight cannot be used.
            TooManyDigitsError: fused and skewed digits are too many together, or those within so
                many steps are.
        """
        self._decoder: Decoder | JointDecoder = (
            JointDecoder(terms, intrinsic) if len(terms) > 1 else Decoder(terms[0], intrinsic)
        )
        facts = list(facts)
        most = None if within is None else _MOST_WITHIN
        possible, impossible = digits(facts, within, most)
        if most is not None and len(possible) > most:
            allowed = f"embeddings of at most {within} steps have more than {most} digits"
            raise TooManyDigitsError("--classes", "", "", allowed)
        mixed = {atom("class", "fused"), atom("class", "skewed")} <= set(facts)
        if mixed and len(possible) > _MOST_MIXED:
            allowed = (
                f"together they have {len(possible)} digits here, and layouts of {_MOST_MIXED} can "
                "be compared: leave one of these classes out"
            )
            raise TooManyDigitsError("--classes", "", "fused, skewed", allowed)
        # What the program says of layouts grows with the digits.
        facts += [atom("never", digit) for digit in impossible]
        # Projected: atoms that are not shown may have several values, and would repeat an answer.
        self._control = ground(facts, entry, rules, ("--project=show",))
        self._bounds: set[tuple[Symbol, int]] = set()
        self.metrics = self._names("metric")
        self.demands = self._names("demand")
        self.requirements = self._names("requirement")
        pairs = [a.symbol.arguments for a in self._atoms("concerns", 2)]
        self.concerns = {str(name): _metric(metric) for name, metric in sorted(pairs)}
        objectives = [a.symbol.arguments for a in self._atoms("objective", 2)]
        self.objectives = [metric for metric, _ in sorted(objectives, key=lambda o: o[1])]
        self._check_names(rules)
        self._check_weights()
        # A list, since grounding a part changes the atoms that are iterated over.
        for limit in [a.symbol.arguments for a in self._atoms("limit", 2)]:
            self._bound(limit[0], limit[1].number)

    def _atoms(self, name: str, arity: int) -> Iterator[clingo.SymbolicAtom]:
        return self._control.symbolic_atoms.by_signature(name, arity)

    def _names(self, name: str) -> dict[str, Symbol]:
        symbols = sorted(a.symbol.arguments[0] for a in self._atoms(name, 1))
        return {str(symbol): symbol for symbol in symbols}

    def _check_names(self, rules: Sequence[Path]) -> None:
        wanted = [(a.symbol.arguments[0], self.metrics, "metric") for a in self._atoms("asked", 1)]
        wanted += [(s, self.demands, "requirement") for s in self.requirements.values()]
        for symbol, known, kind in sorted(wanted, key=str):
            if str(symbol) not in known:
                names = ", ".join(n.replace("_", "-") for n in known if "(" not in n)
                source, field = _mention(symbol.name, rules) or (self._option(symbol, kind), kind)
                raise InputError(source, field, str(symbol).replace("_", "-"), f"one of {names}")

    def _option(self, symbol: Symbol, kind: str) -> str:
        """The option that names what no file does."""
        if kind == "metric":
            for name, arity, option in (
                ("prefer", 3, "--prefer"),
                ("objective", 2, "--objectives"),
            ):
                if any(a.symbol.arguments[0] == symbol for a in self._atoms(name, arity)):
                    return option
        return "--require"

    def _check_weights(self) -> None:
        """Check that the solver's 32 bits hold each weighted value."""
        weights: dict[Symbol, int] = {}
        for found in self._atoms("prefer", 3):
            metric, _, weight = found.symbol.arguments
            weights[metric] = max(weights.get(metric, 0), abs(weight.number))
        for found in self._atoms("cost", 3):
            metric, _, value = found.symbol.arguments
            factor = weights.get(metric, 0)
            # clingo would wrap around without a word.
            if factor * abs(value.number) > LARGEST:
                allowed = f"{metric} is up to {abs(value.number)}: lessen the weight"
                raise InputError("weight", str(metric), factor, allowed)

    def _bound(self, metric: Symbol, value: int) -> None:
        # Points can have values in common, and each bound is grounded once.
        if (metric, value) not in self._bounds:
            self._bounds.add((metric, value))
            ground_part(self._control, "bound", metric, Number(value))

    def cut(self, point: int, values: Values) -> None:
        """Leave only answers that are better than a point in some objective.

        Args:
            point: the point's number.
            values: its value in each objective, in their order.
        """
        # Better by one at least: all costs are integers.
        for metric, value in zip(self.objectives, values, strict=True):
            self._bound(metric, value - 1)
            ground_part(self._control, "beats", metric, Number(value - 1), Number(point))
        ground_part(self._control, "cut", Number(point))

    def solve(
        self,
        mode: Literal["opt", "optN", "enum"],
        *,
        waived: Collection[str] = (),
        most: int | None = None,
    ) -> Found:
        """Solve under all requirements but the waived ones.

        Ctrl-C ends the run; what was found so far is given, as not exhausted.

        Args:
            mode: one optimum (the last model), all optima, or all answers.
            waived: requirements that need not hold.
            most: stop after so many answers.

        Raises:
            InputError: clingo's integers cannot hold the sums of what is preferred.
        """
        self._control.configuration.solve.opt_mode = mode  # type: ignore[union-attr]
        models: list[Model] = []

        def take(model: clingo.Model) -> bool:
            # Each model is better than the one before; only the last one is of interest.
            if mode == "opt":
                models.clear()
            # In this mode models that only lead to the optimum come first, without proof.
            if mode != "optN" or model.optimality_proven:
                models.append((tuple(model.cost), tuple(model.symbols(shown=True))))
            return most is None or len(models) < most

        with held_back() as pressed, self._start(self._assumptions(waived), take) as handle:
            # Not get() at once: Python would not see Ctrl-C until the search is over.
            while not handle.wait(0.1):
                if pressed.is_set():
                    handle.cancel()
            result = handle.get()
            core = frozenset(self._required(handle.core())) if result.unsatisfiable else frozenset()
            return Found(models, bool(result.exhausted), pressed.is_set(), core)

    def _start(
        self, assumptions: Sequence[tuple[Symbol, bool]], take: Callable[[clingo.Model], bool]
    ) -> clingo.SolveHandle:
        try:
            return self._control.solve(assumptions=assumptions, on_model=take, async_=True)
        except RuntimeError as error:
            if "weight too large" not in str(error):
                raise
            metrics = ", ".join(sorted(self.metrics.keys() & self._names("asked")))
            allowed = "costs of one level must not add up to more than 32 bits: mix fewer metrics"
            raise InputError("preferences", "", metrics, allowed) from None

    def _required(self, literals: Sequence[int]) -> Iterator[str]:
        """The requirements that these literals assume."""
        atoms = self._control.symbolic_atoms
        for name, symbol in self.requirements.items():
            found = atoms[atom("enforce", symbol)]
            if found is not None and found.literal in literals:
                yield name

    def is_satisfiable(self, waived: Collection[str] = ()) -> bool:
        """Whether an answer meets all requirements but the waived ones."""
        return bool(self.solve("enum", waived=waived, most=1).models)

    def _assumptions(self, waived: Collection[str]) -> list[tuple[Symbol, bool]]:
        return [(atom("enforce", s), n not in waived) for n, s in self.requirements.items()]

    def answer(self, symbols: Sequence[Symbol]) -> Answer:
        """An answer from its shown symbols."""
        chosen: dict[str, set[str]] = {"share": set(), "trim": set()}
        costs: dict[str, int] = {}
        for symbol in symbols:
            if symbol.name in chosen:
                chosen[symbol.name].add(str(symbol.arguments[0]))
            elif symbol.match("cost", 3):
                metric, _, value = symbol.arguments
                costs[str(metric)] = costs.get(str(metric), 0) + value.number
        shared, trimmed = frozenset(chosen["share"]), frozenset(chosen["trim"])
        embedding = self._decoder.embedding(symbols)
        return Answer(embedding, shared, trimmed, costs)


def preferences(rules: Sequence[Path]) -> Iterator[tuple[int, Metric]]:
    """Level and metric of each preference that files state as facts, as shipped profiles do."""
    control = clingo.Control()
    for path in rules:
        control.load(str(path))
    control.ground()
    for found in control.symbolic_atoms.by_signature("prefer", 3):
        metric, level, _ = found.symbol.arguments
        yield level.number, _metric(metric)


def _metric(symbol: Symbol) -> Metric:
    """The metric of a term: ``footprint``, or ``of(footprint, in0)``."""
    if not symbol.match("of", 2):
        return Metric(symbol.name)
    name, tensor = symbol.arguments
    term, role = term_of(tensor)
    return Metric(name.name, next(r for r in ROLES if r == role.name), term)


def _mention(name: str, rules: Sequence[Path]) -> tuple[str, str] | None:
    """Where a user's rules first name something: the file, and the line in words."""
    for path in rules:
        for number, line in enumerate(read_text(path, NEEDED).splitlines(), start=1):
            if re.search(rf"\b{re.escape(name)}\b", line.partition("%")[0]):
                return str(path), f"line {number}"
    return None
