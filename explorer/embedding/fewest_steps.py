"""The fewest steps, and the digits of embeddings that take no more than so many.

Both are asked before any layout is grounded, and cost little: steps are compared by logarithms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import clingo
from clingo import Symbol

from explorer.embedding.control import ground, held_back
from explorer.embedding.decoding import Decoder
from explorer.embedding.facts import atom
from explorer.embedding.step_costs import logarithm_limit
from explorer.embedding.virtual_loops import nest
from isa.computation import Computation

_ENTRY = "entries/fewest.lp"
_UNIT = 1024  # as in encodings/fewest.lp
_COSTLY = {atom("class", "fused"), atom("class", "skewed")}


def fewest_steps(
    operator: Computation, intrinsic: Computation, facts: Sequence[Symbol]
) -> int | None:
    """The steps of an embedding that has the fewest, or hardly more; None if there are none.

    Steps that round to equal logarithms, 0.1 % apart, are not told apart.
    """
    # Most digits are fused or skewed; what the others reach bounds the search among all.
    few = _fewest(operator, intrinsic, [fact for fact in facts if fact not in _COSTLY], None)
    if not _COSTLY & set(facts):
        return few
    return _fewest(operator, intrinsic, facts, few)


def _fewest(
    operator: Computation, intrinsic: Computation, facts: Iterable[Symbol], within: int | None
) -> int | None:
    control = ground([*facts, *_within(within)], _ENTRY)
    found: list[Symbol] = []

    def take(model: clingo.Model) -> None:
        found[:] = model.symbols(shown=True)

    _run(control, take)
    return nest(Decoder(operator, intrinsic).embedding(found), operator).steps if found else None


def digits(
    facts: Iterable[Symbol], within: int | None = None, most: int | None = None
) -> tuple[set[Symbol], list[Symbol]]:
    """The digits that some embedding has, and those that are candidates and none is known to have.

    Args:
        facts: the operator, the instruction and the classes.
        within: of embeddings with at most so many steps; a few with more may pass.
        most: look for no others once more than these are found.
    """
    brave = ("--enum-mode=brave", "--opt-mode=ignore")
    if within is None:
        control = ground(facts, options=brave)
    else:
        control = ground([*facts, *_within(within)], _ENTRY, options=brave)
    found: set[Symbol] = set()

    def take(model: clingo.Model) -> bool:  # each has the digits of all before
        found.update(s for s in model.symbols(shown=True) if s.match("place", 5))
        return most is None or len(found) <= most

    _run(control, take)
    every = [a.symbol for a in control.symbolic_atoms.by_signature("place", 5)]
    return found, [digit for digit in every if digit not in found]


def _within(steps: int | None) -> Iterable[Symbol]:
    if steps is not None:
        yield atom("within", logarithm_limit(steps) // _UNIT)


def _run(control: clingo.Control, take: Callable[[clingo.Model], bool | None]) -> None:
    """Solve to the end, or until an answer is taken with False; Ctrl-C ends it.

    Raises:
        KeyboardInterrupt: the user ended it.
    """
    with held_back() as pressed, control.solve(on_model=take, async_=True) as handle:
        while not handle.wait(0.1):
            if pressed.is_set():
                handle.cancel()
    if pressed.is_set():
        raise KeyboardInterrupt
