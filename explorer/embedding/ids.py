"""Ids → embeddings: the texts that users write and tables print, such as ``y=oc:16/z=ic:16``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from explorer.embedding.digits import Digit, Embedding, Kind, arrange, canonical
from explorer.embedding.virtual_loops import nest
from isa.computation import Computation
from isa.errors import InputError

_LONGEST = 2**31 - 1  # clingo's integers have 32 bits
_DIGIT = re.compile(
    r"(?P<dims>\w+(?:\.\w+)*)(?:~(?P<partner>\w+)(?P<coefficient>[+-]\d{1,9}))?(?P<kind>[:%])(?P<lanes>\d{1,9})"
)


def parse(text: str, operator: Computation, intrinsic: Computation) -> Embedding:
    """The embedding that an `Embedding.id` names; whether it is legal is for the encoding to say.

    Raises:
        InputError: the text is no embedding id, names an unknown axis or dimension, a digit twice,
            or numbers beyond 32 bits.
    """
    text, _, order = text.partition("@")
    swapped = text.rstrip("/") == "swap" or text.startswith("swap/")
    parts = [p for p in text.removeprefix("swap").split("/") if p not in ("", "scalar")]
    groups: list[tuple[tuple[str, ...], re.Match[str]]] = []
    axes = [a.name for a in intrinsic.dims]
    for part in parts:
        axis, _, body = part.partition("=")
        if not body or any(a not in axes for a in axis.split("+")):
            raise InputError("embedding", part, axis, f"write AXIS=DIGIT,… with an axis of {axes}")
        for item in body.split(","):
            match = _DIGIT.fullmatch(item)
            if match is None:
                raise InputError("embedding", part, item, "write DIM:LANES, DIM%LANES, A.B:LANES")
            groups.append((tuple(axis.split("+")), match))
    sizes = operator.extents
    for _, match in groups:
        for name in (*match["dims"].split("."), match["partner"]):
            if name is not None and name not in sizes:
                raise InputError(
                    "embedding", match[0], name, f"the operator's dimensions are {list(sizes)}"
                )
        if partner := match["partner"]:
            # A skew widens its partner's loop, and the partner's own digit is cut from that.
            sizes[partner] += abs(int(match["coefficient"])) * (int(match["lanes"]) - 1)
    digits = [_digit(pair, match, sizes) for pair, match in groups]
    if len(set(digits)) < len(digits):
        raise InputError("embedding", "", text, "the same digit stands twice")
    embedding = canonical(swapped, digits, operator, intrinsic)
    first = [d.dims[0] for d in digits]
    # The lanes' order is the text's; the outer loops' is told only where it is unusual.
    if not order:
        return arrange(embedding, operator, first, ())
    loops = [loop.first for loop in nest(embedding, operator).outer]
    if sorted(order.split(",")) != sorted(loops):
        raise InputError("embedding", "@", order, f"the outer loops are {','.join(loops)}")
    return arrange(embedding, operator, first, order.split(","))


def _digit(axes: tuple[str, ...], match: re.Match[str], sizes: Mapping[str, int]) -> Digit:
    dims = tuple(match["dims"].split("."))
    lanes = int(match["lanes"])
    if lanes < 1:
        raise InputError("embedding", match[0], lanes, "a digit has at least 1 lane")
    # Python integers, since the product of a user's numbers is checked and may be of any size.
    values = int(np.prod([sizes[d] for d in dims], dtype=object))
    if values > _LONGEST:
        raise InputError("embedding", match[0], values, f"a loop has at most {_LONGEST} iterations")
    kind: Kind = "strided" if match["kind"] == "%" else "contiguous"
    if match["partner"]:
        kind = "skew"
    elif len(axes) > 1:
        kind = "diagonal"
    coefficient = int(match["coefficient"] or 0)
    return Digit(axes, dims, kind, lanes, -(-values // lanes), match["partner"], coefficient)
