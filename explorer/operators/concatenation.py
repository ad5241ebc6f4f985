"""An operator whose input comes as several tensors: a term for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from isa.computation import Operator, Term
from isa.errors import InputError

MOST = 8
"""So many tensors an input may come as."""


def parts_of(kind: str, text: str, channels: int, groups: int) -> list[int]:
    """The channels of each tensor, from a text as ``64+32``.

    Raises:
        InputError: it is none, or they are not the operator's channels.
    """
    found = re.fullmatch(r"\d{1,12}(\+\d{1,12})+", text)
    parts = [int(part) for part in text.split("+")] if found else []
    if not 2 <= len(parts) <= MOST or min(parts) < 1 or sum(parts) != channels:
        allowed = f"2 to {MOST} whole numbers whose sum is c, {channels}, as in 64+32"
        raise InputError(kind, "concat", text, allowed)
    if groups > 1:
        raise InputError(kind, "concat", text, f"groups must be 1, not {groups}")
    return parts


def concatenated(whole: Operator, parts: Sequence[Operator]) -> Operator:
    """The whole operator with a term for each part; names of their inputs tell its number."""
    terms = []
    for number, part in enumerate(parts, start=1):
        term = part.computation
        in0, in1 = (replace(t, name=f"{t.name}{number}") for t in (term.in0, term.in1))
        terms.append(Term(replace(term, in0=in0, in1=in1), part.constants))
    return replace(whole, stages=(*terms, *whole.steps))
