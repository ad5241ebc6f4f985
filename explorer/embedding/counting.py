"""How many embeddings there are, without making any.

Axes that have no dimension in common are counted apart: the solver tells which, and what each part
contributes to the classes; the numbers are multiplied. Where no rule compares two axes, those that
have dimensions in common are counted apart, too, for each choice of the digits that link them.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from clingo import Control, Symbol

from explorer.embedding.control import ground
from explorer.embedding.enumeration import MANY_ANSWERS
from explorer.embedding.facts import APART, DEFAULT_CLASSES, atom, instance
from isa.computation import Affine, Computation, Tensor


@dataclass(frozen=True, slots=True)
class Count:
    """Numbers of embeddings.

    Attributes:
        total: of all.
        classes: of those that belong to a class (perhaps to others, too); ``tile`` is those that
            belong to none but, perhaps, padded.
    """

    total: int
    classes: dict[str, int]


def count(
    operator: Computation,
    intrinsic: Computation,
    classes: Sequence[str] = DEFAULT_CLASSES,
    *,
    all_tiles: bool = False,
    maximal: bool = True,
    orders: Collection[str] = (),
) -> Count:
    """How many answers `enumerate_embeddings` would give; the same arguments."""
    found: Counter[Part] = Counter()
    # By exchanged ports, not by the class: parts that are counted apart agree on the binding.
    exchanged = replace(intrinsic, in0=intrinsic.in1, in1=intrinsic.in0)
    bindings = {"straight": intrinsic, "swapped": exchanged}
    for binding in bindings if "swapped" in classes else ("straight",):
        problem = _Problem(
            operator,
            bindings[binding],
            tuple(name for name in classes if name != "swapped"),
            all_tiles=all_tiles,
            maximal=maximal,
            orders=tuple(name for name in orders if name == "lanes"),
        )
        whole = _NOTHING
        for axes in linked_axes(problem.facts()):
            whole = _product(
                whole, _apart(problem, axes) if problem.apart else tally(problem.facts(axes))
            )
        mark = frozenset({"swapped"} if binding == "swapped" else ())
        found += Counter({Part(p.classes | mark, p.saved): n for p, n in whole.items()})
    if "outer" not in orders:
        return summary(found, classes)
    # Each loop order is an answer of its own: their number is known, so the solver is spared them.
    loops = sum(dim.extent > 1 for dim in operator.dims)
    ways = {p: n * math.factorial(loops - p.saved[0]) for p, n in found.items()}
    return summary(ways, classes)


def summary(found: Mapping[Part, int], classes: Iterable[str]) -> Count:
    """The count of answers of each kind."""
    numbers = {"tile": sum(n for p, n in found.items() if p.classes <= {"padded"})}
    for name in classes:
        numbers[name] = sum(n for p, n in found.items() if name in p.classes)
    return Count(sum(found.values()), numbers)


def _product(left: Counter[Part], right: Counter[Part]) -> Counter[Part]:
    """Both parts together, in every combination."""
    product: Counter[Part] = Counter()
    for a, n in left.items():
        for b, m in right.items():
            # An answer has a class if one of its parts has it; saved loops add up.
            saved = tuple(map(sum, zip(a.saved, b.saved, strict=True)))
            product[Part(a.classes | b.classes, saved)] += n * m
    return product


def _restricted(intrinsic: Computation, axes: Collection[str]) -> Computation:
    """The instruction with some of its axes only."""

    def port(tensor: Tensor) -> Tensor:
        rows = (tuple((n, c) for n, c in row.terms if n in axes) for row in tensor.index)
        return replace(tensor, index=tuple(Affine(terms) for terms in rows))

    return replace(
        intrinsic,
        dims=tuple(dim for dim in intrinsic.dims if dim.name in axes),
        in0=port(intrinsic.in0),
        in1=port(intrinsic.in1),
        out=port(intrinsic.out),
    )


def count_answers(facts: Iterable[Symbol]) -> int:
    """How many embeddings a problem given as facts has; none is read."""
    control = ground(facts, options=MANY_ANSWERS)
    with control.solve(yield_=True) as handle:
        return sum(1 for _ in handle)


class Part(NamedTuple):
    """What an answer is counted by.

    Attributes:
        classes: those it belongs to.
        saved: how many outer loops the digits of each term save; of several terms then also how
            many of the loops over outputs, which they have in common.
    """

    classes: frozenset[str]
    saved: tuple[int, ...]


_NOTHING = Counter({Part(frozenset(), (0,)): 1})
"""One way to place no digit."""


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is counted under one binding: the arguments of `count`."""

    operator: Computation
    intrinsic: Computation
    classes: tuple[str, ...]
    all_tiles: bool
    maximal: bool
    orders: tuple[str, ...]

    @property
    def apart(self) -> bool:
        """Whether linked axes can be counted apart: nothing compares or joins them."""
        return "padded" in self.classes and not self.maximal and not self.orders

    def facts(self, axes: Collection[str] | None = None) -> list[Symbol]:
        """The instance with some of the axes, or all."""
        return instance(
            self.operator,
            self.intrinsic if axes is None else _restricted(self.intrinsic, axes),
            self.classes,
            all_tiles=self.all_tiles,
            enforce=("maximal",) if self.maximal else (),
            orders=self.orders,
        )


def _apart(problem: _Problem, axes: Sequence[str]) -> Counter[Part]:
    """What `tally` gives of linked axes, counted for each choice of the digits that link them."""
    facts = [*problem.facts(axes), APART]
    control = ground(facts, "entries/count-linking.lp", options=MANY_ANSWERS)
    linking = [a.symbol.arguments[0] for a in control.symbolic_atoms.by_signature("linking", 1)]
    choices: Counter[tuple[Part, tuple[frozenset[Symbol], ...]]] = Counter()
    for symbols, number in _told(control).items():
        felt = [s.arguments for s in symbols if s.match("felt", 2)]
        each = tuple(frozenset(what for x, what in felt if x.name == axis) for axis in axes)
        choices[_part(symbols), each] += number

    @functools.cache
    def share(axis: str, feels: frozenset[Symbol]) -> Counter[Part]:
        felt = [atom("feels", what) for what in feels]
        never = [atom("never", d) for d in linking if str(d.arguments[0]) == axis]
        own = [*problem.facts([axis]), APART, *felt, *never]
        return tally(own, "entries/count-share.lp")

    parts: Counter[Part] = Counter()
    for (part, each), number in choices.items():
        chosen: Counter[Part] = Counter({part: number})
        for of_axis in map(share, axes, each):
            chosen = _product(chosen, of_axis)
        parts += chosen
    return parts


def tally(facts: Iterable[Symbol], entry: str = "entries/count.lp") -> Counter[Part]:
    """How many embeddings of each kind a problem given as facts has; no digit is read."""
    parts: Counter[Part] = Counter()
    for symbols, number in _told(ground(facts, entry, options=MANY_ANSWERS)).items():
        parts[_part(symbols)] += number
    return parts


def _told(control: Control) -> Counter[tuple[Symbol, ...]]:
    """What answers show, and how many show the same: few different tuples for many answers."""
    found: Counter[tuple[Symbol, ...]] = Counter()
    with control.solve(yield_=True) as handle:
        for model in handle:
            found[tuple(model.symbols(shown=True))] += 1
    return found


def _part(symbols: Iterable[Symbol]) -> Part:
    classes = frozenset(s.arguments[0].name for s in symbols if s.match("belongs", 1))
    # clingo orders numbers before names: the terms first, then the output.
    saved = sorted(s.arguments for s in symbols if s.match("saved", 2))
    return Part(classes, tuple(n.number for _, n in saved))


def linked_axes(facts: Iterable[Symbol]) -> list[list[str]]:
    """The axes of a problem given as facts, in groups that can be counted apart."""
    control = ground(facts, "entries/count.lp")
    groups: dict[str, list[str]] = {}
    for pair in control.symbolic_atoms.by_signature("linked", 2):
        left, right = (a.name for a in pair.symbol.arguments)
        groups.setdefault(left, []).append(right)
    return sorted({tuple(sorted(group)): sorted(group) for group in groups.values()}.values())
