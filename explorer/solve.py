"""Running clingo: facts and encodings in, typed embeddings out; the one place with a Control."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Literal, NamedTuple

import clingo
from clingo import Function, Number, Symbol

from explorer.embedding import Digit, Embedding, Kind, arrange, digit_order
from explorer.encoding import encoding
from explorer.facts import DEFAULT_CLASSES, atom, instance, scalar_instance, wanted_facts
from explorer.preferences import LARGEST, Metric, logarithm
from explorer.scalar import STRUCTURED_LIMIT, UNSTRUCTURED_LIMIT, Assignment, check_size
from isa.computation import ROLES, Computation
from isa.errors import InputError

# Enumeration has few conflicts to learn from: the plainest search is twice as fast.
_MANY_ANSWERS = ("--configuration=frumpy",)


@contextmanager
def held_back() -> Iterator[Event]:
    """While the block runs, Ctrl-C sets the event that it gets, and raises nothing.

    An exception that comes while clingo calls back into Python would end the process.
    """
    pressed = Event()
    if current_thread() is not main_thread():  # only that one gets signals
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


class EncodingError(RuntimeError):
    """clingo refused an encoding, or said something about it: a defect, never the user's input."""


def _ground(
    facts: Iterable[Symbol],
    entry: str = "enumerate.lp",
    rules: Sequence[Path] = (),
    options: Sequence[str] = (),
) -> clingo.Control:
    """A grounded program: facts, an entry file, and files of a user's own rules.

    Raises:
        EncodingError: clingo has something to say about the encodings.
        InputError: it has something to say about the user's rules.
    """
    messages: list[str] = []
    control = clingo.Control(
        ["--warn=all", *options, "0"],
        logger=lambda code, text: messages.append(f"{code.name}: {text}"),
    )
    # Facts first: closing a backend checks every #show that is loaded by then.
    with control.backend() as backend:
        for fact in facts:
            backend.add_rule([backend.add_atom(fact)])
    control.load(str(encoding(entry)))
    with held_back() as pressed:
        try:
            for path in rules:
                control.load(str(path))
            control.ground(context=_Functions)
        except RuntimeError as error:
            messages.append(str(error))
    if pressed.is_set():
        raise KeyboardInterrupt
    if messages:
        raise _rejected(messages, rules) or EncodingError("\n".join(messages))
    warnings = [str(a.symbol) for a in control.symbolic_atoms.by_signature("warning", 2)]
    if warnings:
        raise EncodingError(f"malformed instance: {', '.join(warnings)}")
    return control


class _Functions:
    """What encodings call by ``@name(…)``."""

    @staticmethod
    def log2(number: Symbol) -> Symbol:
        """The fixed-point logarithm of a number."""
        return Number(logarithm(number.number))


def _rejected(messages: Sequence[str], rules: Sequence[Path]) -> InputError | None:
    """The first message about one of these files, with its line and what stands there."""
    for message in messages:
        for path in rules:
            found = re.search(re.escape(f"{path}:") + r"(\d+)[^ ]*: \w+: (.*)", message, re.DOTALL)
            if found:
                line = int(found[1])
                reason, *more = [text.strip() for text in found[2].splitlines() if text.strip()]
                notes = [text.partition("note: ")[2] for text in more if "note: " in text]
                text = "".join(
                    path.read_text(encoding="utf-8").splitlines()[line - 1 : line]
                ).strip()
                allowed = f"{reason.rstrip(':')}{f' ({notes[0]})' if notes else ''}"
                return InputError(str(path), f"line {line}", text or "end of file", allowed)
    return None


class _Decoder:
    """Reads answers. Each distinct symbol is taken apart once: reading symbols is what costs."""

    def __init__(self, operator: Computation, intrinsic: Computation) -> None:
        self.operator = operator
        self.order = digit_order(operator, intrinsic)
        self.digits: dict[Symbol, tuple[tuple[int, list[int], int], Digit]] = {}
        self.swapped = Function("use", [Function("swapped")])

    def embedding(self, symbols: Sequence[Symbol]) -> Embedding:
        swapped = False
        found: list[tuple[tuple[int, list[int], int], Digit]] = []
        pairs: dict[str, list[Symbol]] = {"slower": [], "earlier": []}
        for symbol in symbols:
            known = self.digits.get(symbol)
            if known is not None:
                found.append(known)
            elif symbol == self.swapped:
                swapped = True
            elif symbol.match("place", 5):
                digit = _digit(symbol)
                self.digits[symbol] = self.order(digit), digit
                found.append(self.digits[symbol])
            elif symbol.name in pairs:
                pairs[symbol.name].append(symbol)
        embedding = Embedding(swapped, tuple(digit for _, digit in sorted(found)))
        if not any(pairs.values()):
            return embedding
        usual = [d.dims[0] for d in embedding.digits]
        lanes = _sequence(usual, pairs["slower"])
        loops = {a.name for symbol in pairs["earlier"] for a in symbol.arguments}
        order = _sequence([d for d in self.operator.extents if d in loops], pairs["earlier"])
        return arrange(embedding, self.operator, lanes, order)


def _sequence(names: Sequence[str], pairs: Iterable[Symbol]) -> list[str]:
    """Names so ordered that the first of each pair precedes the second."""
    after = {name: set[str]() for name in names}
    for pair in pairs:
        after[pair.arguments[1].name].add(pair.arguments[0].name)
    return list(TopologicalSorter(after).static_order())


def _digit(place: Symbol) -> Digit:
    axis, subject, how, lanes, outer = place.arguments
    axes = [a.name for a in axis.arguments] or [axis.name]
    kinds: dict[str, Kind] = {
        "contiguous": "contiguous",
        "strided": "strided",
        "skew": "skew",
        "diagonal": "diagonal",
    }
    kind = kinds[how.name]
    partner = how.arguments[0].name if kind == "skew" else None
    coefficient = how.arguments[1].number if kind == "skew" else 0
    return Digit(
        tuple(axes), _dims(subject), kind, lanes.number, outer.number, partner, coefficient
    )


def _dims(subject: Symbol) -> tuple[str, ...]:
    """The dimensions of a subject, in operator order."""
    dims = []
    while subject.match("fuse", 2):
        dims.append(subject.arguments[0].name)
        subject = subject.arguments[1]
    return (*dims, subject.name)


def answers(
    operator: Computation,
    intrinsic: Computation,
    facts: Iterable[Symbol],
    entry: str = "enumerate.lp",
    options: Sequence[str] = (),
) -> Iterator[Embedding]:
    """The embeddings of a problem given as facts, as they are found."""
    control = _ground(facts, entry, options=(*_MANY_ANSWERS, *options))
    decoder = _Decoder(operator, intrinsic)
    with control.solve(yield_=True) as handle:
        for model in handle:
            yield decoder.embedding(model.symbols(shown=True))


def scalar_embeddings(
    operator: Computation, intrinsic: Computation, classes: Sequence[str] = DEFAULT_CLASSES
) -> list[Embedding]:
    """Every embedding with every tile, by the definition on single multiply-accumulates.

    Sorted by id; the same as `enumerate_embeddings` with all tiles that need not be maximal.

    Raises:
        InputError: the operator or the instruction is too large.
    """
    check_size(operator, intrinsic, STRUCTURED_LIMIT)
    facts = scalar_instance(operator, intrinsic, classes)
    found = answers(operator, intrinsic, facts, "enumerate-scalar.lp", ("--heuristic=Domain",))
    return sorted(found, key=lambda e: e.id)


def unstructured_embeddings(
    operator: Computation, intrinsic: Computation, *, swapped: bool = False
) -> Iterator[Assignment]:
    """Every embedding that the definition admits, whether digits describe it or not.

    Args:
        operator: what is embedded.
        intrinsic: what it is embedded into.
        swapped: whether the inputs may exchange their ports.

    Raises:
        InputError: the operator or the instruction is too large.
    """
    check_size(operator, intrinsic, UNSTRUCTURED_LIMIT)
    classes = ("swapped",) if swapped else ()
    control = _ground(scalar_instance(operator, intrinsic, classes), "enumerate-unstructured.lp")
    exchanged = Function("use", [Function("swapped")])
    with control.solve(yield_=True) as handle:
        for model in handle:
            symbols = model.symbols(shown=True)
            stands = {}
            for step, lane, node in (s.arguments for s in symbols if s.match("stands", 3)):
                stands[node.number] = step.number, lane.number
            yield Assignment(exchanged in symbols, tuple(stands[n] for n in range(operator.macs)))


def count_answers(facts: Iterable[Symbol]) -> int:
    """How many embeddings a problem given as facts has; none is read."""
    control = _ground(facts, options=_MANY_ANSWERS)
    with control.solve(yield_=True) as handle:
        return sum(1 for _ in handle)


def shown(facts: Iterable[Symbol], entry: str) -> Iterator[Sequence[Symbol]]:
    """The symbols that each answer of a problem shows."""
    control = _ground(facts, entry)
    with control.solve(yield_=True) as handle:
        for model in handle:
            yield model.symbols(shown=True)


class Part(NamedTuple):
    """What an answer is counted by: its classes, and how many outer loops its digits save."""

    classes: frozenset[str]
    saved: int


def tally(facts: Iterable[Symbol]) -> Counter[Part]:
    """How many embeddings of each kind a problem given as facts has; no digit is read."""
    found: Counter[tuple[Symbol, ...]] = Counter()
    control = _ground(facts, "enumerate-count.lp", options=_MANY_ANSWERS)
    with control.solve(yield_=True) as handle:
        for model in handle:
            found[tuple(model.symbols(shown=True))] += 1
    parts: Counter[Part] = Counter()
    for symbols, number in found.items():
        classes = frozenset(s.arguments[0].name for s in symbols if s.match("belongs", 1))
        (saved,) = (s.arguments[0].number for s in symbols if s.match("saved", 1))
        parts[Part(classes, saved)] += number
    return parts


def linked_axes(facts: Iterable[Symbol]) -> list[list[str]]:
    """The axes of a problem given as facts, in groups that can be counted apart."""
    control = _ground(facts, "enumerate-count.lp")
    groups: dict[str, list[str]] = {}
    for pair in control.symbolic_atoms.by_signature("linked", 2):
        left, right = (a.name for a in pair.symbol.arguments)
        groups.setdefault(left, []).append(right)
    return sorted({tuple(sorted(group)): sorted(group) for group in groups.values()}.values())


def fused_mappings(
    operator: Computation, intrinsic: Computation, *, swapped: bool = False
) -> Iterator[tuple[bool, dict[str, tuple[str, ...]]]]:
    """Every fused-iteration mapping: each axis takes some of the dimensions that it admits.

    Dimensions of one iteration are left out, and so are extents of tiles.

    Args:
        operator: what is mapped.
        intrinsic: what it is mapped to.
        swapped: whether the inputs may exchange their ports.

    Yields:
        Whether the inputs are exchanged, and for each axis its dimensions in operator order.
    """
    classes = ("fused", "padded", *(("swapped",) if swapped else ()))
    facts = instance(operator, intrinsic, classes, enforce=())
    exchanged = Function("use", [Function("swapped")])
    control = _ground(facts, "enumerate-mappings.lp")
    with control.solve(yield_=True) as handle:
        for model in handle:
            symbols = model.symbols(shown=True)
            pairs = (s.arguments for s in symbols if s.match("takes", 2))
            yield exchanged in symbols, {axis.name: _dims(subject) for axis, subject in pairs}


def enumerate_embeddings(
    operator: Computation,
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Iterable[str] = (),
) -> list[Embedding]:
    """Every embedding of an operator into an instruction, sorted by id.

    Args:
        operator: what is embedded.
        intrinsic: what it is embedded into.
        classes: the classes that may be used, of `explorer.facts.CLASSES`.
        all_tiles: take every tile extent, not only the least for each number of outer iterations.
        maximal: leave out embeddings whose axes could take more lanes and save outer iterations.
        orders: choices that are not left at a canonical one: the digits of an axis (``lanes``), the
            outer loops (``outer``).
    """
    enforce = ("maximal",) if maximal else ()
    facts = instance(
        operator, intrinsic, classes, all_tiles=all_tiles, enforce=enforce, orders=orders
    )
    return sorted(answers(operator, intrinsic, facts), key=lambda e: e.id)


def reference_embedding(operator: Computation, intrinsic: Computation) -> Embedding:
    """TVM's fixed embedding: each axis takes its first plain dimension, cut to the block."""
    facts = instance(operator, intrinsic, ("padded",), enforce=("reference",))
    return next(answers(operator, intrinsic, facts))


def is_legal(embedding: Embedding, operator: Computation, intrinsic: Computation) -> bool:
    """Whether an embedding is among the answers, of any class and with any tile."""
    classes = (*DEFAULT_CLASSES, *set(embedding.classes) & {"fused", "skewed", "diagonal"})
    facts = instance(operator, intrinsic, classes, all_tiles=True, enforce=())
    wanted = [*facts, *wanted_facts(embedding)]
    return next(answers(operator, intrinsic, wanted), None) is not None


# ------------------------------------------------------------------ designs, by wishes


@dataclass(frozen=True, slots=True)
class Answer:
    """An embedding with the choices of its layouts, and what it costs.

    Attributes:
        embedding: the embedding.
        shared: the tensors whose overlapping windows share entries (halo).
        trimmed: the tensors whose border of zeros is left to the DMA engine.
        costs: the value of each metric that was asked for, by its term in the encodings.
    """

    embedding: Embedding
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


def _digits(facts: Iterable[Symbol]) -> tuple[set[Symbol], list[Symbol]]:
    """The digits that some embedding has, and those that are candidates and none has."""
    control = _ground(facts, options=("--enum-mode=brave",))
    found: set[Symbol] = set()
    with control.solve(yield_=True) as handle:
        for model in handle:  # each has the digits of all before
            found = {s for s in model.symbols(shown=True) if s.match("place", 5)}
    digits = [a.symbol for a in control.symbolic_atoms.by_signature("place", 5)]
    return found, [digit for digit in digits if digit not in found]


class Search:
    """A program of preferences and requirements, grounded once and solved as often as needed."""

    def __init__(
        self,
        operator: Computation,
        intrinsic: Computation,
        facts: Iterable[Symbol],
        rules: Sequence[Path] = (),
        entry: str = "optimize.lp",
    ) -> None:
        """Ground the program.

        Args:
            operator: what is embedded.
            intrinsic: what it is embedded into.
            facts: those of both, and what is wished for.
            rules: files of a user's own.
            entry: the encodings.

        Raises:
            InputError: the rules are faulty, a metric, demand or weight cannot be used, or fused
                and skewed digits are too many together.
        """
        self._decoder = _Decoder(operator, intrinsic)
        facts = list(facts)
        possible, impossible = _digits(facts)
        mixed = {atom("class", "fused"), atom("class", "skewed")} <= set(facts)
        if mixed and len(possible) > _MOST_MIXED:
            allowed = (
                f"together they have {len(possible)} digits here, and layouts of {_MOST_MIXED} can "
                "be compared: leave one of these classes out"
            )
            raise InputError("--classes", "", "fused, skewed", allowed)
        # What the program says of layouts grows with the digits.
        facts += [atom("never", digit) for digit in impossible]
        self._control = _ground(facts, entry, rules, ("--project=show",))
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
                source, field = _mention(symbol.name, rules) or (f"unknown {kind}", "")
                raise InputError(source, field, str(symbol).replace("_", "-"), f"one of {names}")

    def _check_weights(self) -> None:
        """Check that the solver's 32 bits hold each weighted value."""
        weights: dict[Symbol, int] = {}
        for found in self._atoms("prefer", 3):
            metric, _, weight = found.symbol.arguments
            weights[metric] = max(weights.get(metric, 0), abs(weight.number))
        for found in self._atoms("cost", 3):
            metric, _, value = found.symbol.arguments
            factor = weights.get(metric, 0)
            if factor * abs(value.number) > LARGEST:
                allowed = f"{metric} is up to {abs(value.number)}: lessen the weight"
                raise InputError("weight", str(metric), factor, allowed)

    def _bound(self, metric: Symbol, value: int) -> None:
        if (metric, value) not in self._bounds:
            self._bounds.add((metric, value))
            self._ground_part("bound", metric, Number(value))

    def cut(self, point: int, values: Values) -> None:
        """Leave only answers that are better than a point in some objective.

        Args:
            point: the point's number.
            values: its value in each objective, in their order.
        """
        for metric, value in zip(self.objectives, values, strict=True):
            self._bound(metric, value - 1)
            self._ground_part("beats", metric, Number(value - 1), Number(point))
        self._ground_part("cut", Number(point))

    def _ground_part(self, name: str, *arguments: Symbol) -> None:
        with held_back() as pressed:
            self._control.ground([(name, arguments)])
        if pressed.is_set():
            raise KeyboardInterrupt

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
            if mode == "opt":
                models.clear()
            if mode != "optN" or model.optimality_proven:
                models.append((tuple(model.cost), tuple(model.symbols(shown=True))))
            return most is None or len(models) < most

        with held_back() as pressed, self._start(self._assumptions(waived), take) as handle:
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


def _metric(symbol: Symbol) -> Metric:
    """The metric of a term: ``footprint``, or ``of(footprint, in0)``."""
    if not symbol.match("of", 2):
        return Metric(symbol.name)
    name, role = (part.name for part in symbol.arguments)
    return Metric(name, next(r for r in ROLES if r == role))


def _mention(name: str, rules: Sequence[Path]) -> tuple[str, str] | None:
    """Where a user's rules first name something: the file, and the line in words."""
    for path in rules:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.search(rf"\b{re.escape(name)}\b", line.partition("%")[0]):
                return str(path), f"line {number}"
    return None
