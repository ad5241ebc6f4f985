"""Why an embedding is none, in words: the encodings decide, this puts it in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clingo import Symbol

from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import is_legal, shown, the_reference
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, LEGALITY, instance, wanted_facts
from explorer.embedding.ids import parse
from explorer.embedding.metrics import NAMES_BY_ROLE
from isa.computation import Computation
from isa.errors import InputError
from isa.words import counted


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One rule that rejects an embedding.

    Attributes:
        rule: the rule's name.
        text: a sentence about it.
        tensor: the tensor whose dataflow breaks (input, weight or output), if that is the reason.
        port: the instruction's port that holds it.
    """

    rule: str
    text: str
    tensor: str | None = None
    port: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an embedding.

    Attributes:
        embedding: its id, in canonical form.
        reasons: why it is rejected; none if it is legal.
    """

    embedding: str
    reasons: tuple[Reason, ...]

    @property
    def legal(self) -> bool:
        """Whether no rule rejects it."""
        return not self.reasons

    def lines(self) -> list[str]:
        """The verdict in sentences."""
        if self.legal:
            return [f"{self.embedding} is legal: no rule rejects it"]
        return [f"{self.embedding} is no legal embedding", *(f"  {r.text}" for r in self.reasons)]


def why(
    operator: Computation,
    intrinsic: Computation,
    text: str,
    classes: Sequence[str] | None = None,
) -> Verdict:
    """Whether the embedding that an id names is legal, and what rejects it if it is not.

    Args:
        operator: what is embedded.
        intrinsic: what it is embedded into.
        text: an embedding's id.
        classes: the classes that may be used; all by default.

    Raises:
        InputError: the text is no id.
    """
    embedding = parse(text, operator, intrinsic)
    allowed = set(CLASSES if classes is None else classes)
    reasons = {*_classes(embedding, allowed), *_rejections(operator, intrinsic, embedding, allowed)}
    return Verdict(embedding.id, tuple(sorted(reasons, key=lambda r: (r.rule, r.text))))


def find(operator: Computation, intrinsic: Computation, text: str) -> Embedding:
    """The embedding of an id (or of the word ``reference``).

    Raises:
        InputError: the text is no id, or no legal embedding.
    """
    if text == "reference":
        return the_reference(operator, intrinsic)
    embedding = parse(text, operator, intrinsic)
    if not is_legal(embedding, operator, intrinsic):
        reasons = "; ".join(r.text for r in why(operator, intrinsic, text).reasons)
        raise InputError("embedding", "", text, f"it is no legal embedding: {reasons}")
    return embedding


def _classes(embedding: Embedding, allowed: set[str]) -> Iterator[Reason]:
    """The classes that the digits or the binding show and that are off (the rules tell multi)."""
    for name in embedding.classes:
        if name in CLASSES.keys() - allowed - {"multi"}:
            yield Reason("class", f"it is {name} ({CLASSES[name]}), a class that is not allowed")


def _rejections(
    operator: Computation, intrinsic: Computation, embedding: Embedding, allowed: set[str]
) -> set[Reason]:
    """What the encodings have against the embedding."""
    used = {*DEFAULT_CLASSES, *set(embedding.classes) & CLASSES.keys()}
    used -= {"multi", "padded"} - allowed
    facts = instance(operator, intrinsic, sorted(used), all_tiles=True, enforce=())
    given = (*facts, *wanted_facts(embedding))
    (symbols,) = shown((f for f in given if f.name != "enforce"), "entries/why.lp")
    refused = [s for s in symbols if s.name == "reject"]
    misfits = [s for s in symbols if s.name == "misfit"]
    broken = [s for s in symbols if s.name == "violated" and s.arguments[0].name in LEGALITY]
    # A refused digit leaves lanes idle and loops as they were: what follows from that is no reason.
    if refused:
        misfits = []
    if refused or misfits:
        broken = [s for s in broken if s.arguments[0].name not in ("shape", "padded")]
    return {
        *(_refusal(s) for s in refused),
        *(_misfit(s, padded="padded" in used) for s in misfits),
        *(_violation(s, intrinsic) for s in broken),
    }


def _refusal(symbol: Symbol) -> Reason:
    """A digit that cannot lie where it is wanted."""
    rule, digit, what = symbol.arguments
    parts = what.arguments
    if rule.name == "dataflow":
        direction, axis, port, role = parts
        tensor = {str(r): name for r, name in NAMES_BY_ROLE.items()}[role.name]
        text = (
            f"{_direction(direction)} cannot lie on axis {_axis(axis)}: the {tensor} moves along "
            f"it, and port {port}, which holds the {tensor}, has no axis {_axis(axis)}"
        )
        return Reason(rule.name, text, tensor, str(port))
    if rule.name == "home":
        direction, axis = parts
        text = (
            f"{_direction(direction)} cannot lie on axis {_axis(axis)}: the output stays along it, "
            "so one sum would be split over several cells of the accumulator"
        )
        return Reason(rule.name, text, "output")
    if rule.name == "needless":
        dim, axis = parts
        text = f"dimension {dim} can lie on axis {axis} by itself: a skew or diagonal is for others"
    elif rule.name == "idle":
        text = f"no port has both axes {parts[0]} and {parts[1]}: the other lanes would not be idle"
    elif rule.name == "lanes":
        text = f"{_digit(digit)} has one lane: a digit has at least two"
    elif rule.name == "room":
        text = f"{_digit(digit)} has {digit.arguments[3]} lanes, and axis {parts[0]} has {parts[1]}"
    elif rule.name == "reach":
        text = (
            f"{_digit(digit)} moves {parts[0]} by {abs(parts[1].number)} a lane: it must be less "
            f"than its extent, {parts[2]}"
        )
    elif rule.name == "once":
        text = f"dimension {what} is placed or widened more than once"
    elif rule.name == "drift":
        text = f"{_direction(what)} leaves no row of a tensor unchanged"
    elif rule.name == "against":
        text = f"{_direction(what)} does not move an output dimension against a reduction"
    else:
        text = f"dimension {what} has one iteration, so that there is nothing to place"
    return Reason(rule.name, text)


def _misfit(symbol: Symbol, *, padded: bool) -> Reason:
    """A digit that lies on the right axis, with lanes that it cannot have."""
    axis, subject, kind, lanes, _ = symbol.arguments[0].arguments
    name = f"{_subject(subject)} with {lanes} lanes on axis {_axis(axis)}"
    if subject.match("fuse", 2):
        need = "be in operator order, and its lanes must cross the borders of its dimensions"
    elif kind.name == "strided":
        need = "leave an outer loop, which fewer lanes would not leave as well"
    else:
        need = "have no more lanes than iterations, and less of a shift than its partner's extent"
    need += "" if padded else "; without padded, lanes must divide the iterations"
    return Reason("extent", f"{name}: a {kind.name} digit must {need}")


def _violation(symbol: Symbol, intrinsic: Computation) -> Reason:
    """A rule on all digits together."""
    rule, what = symbol.arguments
    name = _subject(what)
    texts = {
        "shape": f"the digit of {name} is not cut from its loop as the skews have widened it",
        "once": f"dimension {name} is placed or widened more than once",
        "capacity": f"the digits of axis {name} need more than its "
        f"{counted(intrinsic.extents.get(name, 0), 'lane')}",
        "neutral": f"lanes that a skew of {name} leaves idle would not multiply by zero: no input "
        "port tells apart the lanes of both dimensions",
        "multi": f"axis {name} has several digits, and multi is not allowed",
        "padded": f"axis {name} has idle lanes, and padded is not allowed",
    }
    return Reason(rule.name, texts[rule.name])


def _digit(place: Symbol) -> str:
    """A digit as an id names it, without its axis."""
    _, subject, kind, lanes, _ = place.arguments
    skew = f"~{kind.arguments[0]}{kind.arguments[1].number:+d}" if kind.arguments else ""
    return f"{_subject(subject)}{skew}{'%' if kind.name == 'strided' else ':'}{lanes}"


def _direction(symbol: Symbol) -> str:
    dim, *skew = symbol.arguments
    return f"the skew of {dim} by {skew[0]}{skew[1].number:+d}" if skew else f"dimension {dim}"


def _axis(symbol: Symbol) -> str:
    return "+".join(str(a) for a in symbol.arguments) or str(symbol)


def _subject(symbol: Symbol) -> str:
    return ".".join(map(_subject, symbol.arguments)) if symbol.match("fuse", 2) else str(symbol)
