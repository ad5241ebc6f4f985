"""Operators in one line of text: ``conv2d:n=1,c=3,h=224,w=224,k=64,r=7,s=7,pad=3,stride=2``."""

from __future__ import annotations

from explorer.operators.kinds import construct
from isa.computation import Operator
from isa.errors import InputError


def parse(text: str) -> Operator:
    """The operator that a text ``kind:name=value,…`` gives.

    Args:
        text: a kind (`kinds.KINDS`) and its arguments, as `kinds.construct` takes them.

    Raises:
        InputError: the text has another form, an argument stands twice, or as `kinds.construct`.
    """
    kind, _, rest = text.partition(":")
    arguments: dict[str, object] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise InputError(text, "", part, "an argument is written name=value")
        if name in arguments:
            raise InputError(text, name, value, "stands twice")
        arguments[name] = value
    return construct(text, kind.strip(), arguments)
