"""What an embedding of several terms is: one of each, with lanes in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.embedding.digits import Embedding, arrange
from explorer.embedding.facts import CLASSES
from isa.computation import Computation

PLUS = " + "
"""Between the ids of terms."""


@dataclass(frozen=True, slots=True)
class Joint:
    """An embedding of an operator of several terms.

    Attributes:
        terms: the embedding of each term, in the operator's order.
    """

    terms: tuple[Embedding, ...]

    @property
    def id(self) -> str:
        """The terms' ids: ``y=oc:16/z=ic:16 + y=oc:16/z=r:16``."""
        return PLUS.join(e.id for e in self.terms)

    @property
    def complexity(self) -> tuple[int, int, int, str]:
        """What decides between equals: see `Embedding.complexity`, of all terms together."""
        each = [e.complexity for e in self.terms]
        named = [name for name in self.classes if name != "tile"]
        return len(named), sum(e[1] for e in each), sum(e[2] for e in each), self.id

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that some term belongs to; ``tile`` if all are that."""
        found = {name for e in self.terms for name in e.classes}
        return tuple(name for name in CLASSES if name in found) or ("tile",)


def seated(
    embeddings: Sequence[Embedding], terms: Sequence[Computation], intrinsic: Computation
) -> Joint:
    """The joint embedding of digits in canonical order: with lanes in one order in all terms.

    The canonical order of an axis is operator order, diagonal digits fastest. A digit of the output
    that is diagonal in one term only would stand at different places in the terms, and the outputs
    be at home in different cells; so what is diagonal in one term is fastest in all.
    """
    seats = list(intrinsic.extents)
    late: dict[str, list[int]] = {}
    for embedding, term in zip(embeddings, terms, strict=True):
        image = images(term, terms[0])
        for digit in embedding.digits:
            if len(digit.axes) > 1 and digit.dims[0] in image:
                late.setdefault(image[digit.dims[0]], [seats.index(a) for a in digit.axes])
    found = []
    for embedding, term in zip(embeddings, terms, strict=True):
        image, position = images(term, terms[0]), list(term.extents)
        ranks: dict[str, tuple[list[int], int]] = {}
        for digit in embedding.digits:
            own = [seats.index(a) for a in digit.axes] if len(digit.axes) > 1 else []
            places = late.get(image.get(digit.dims[0], ""), own)
            ranks[digit.dims[0]] = places, position.index(digit.dims[0])
        lanes = sorted(ranks, key=ranks.__getitem__)
        found.append(arrange(embedding, term, lanes, embedding.order))
    return Joint(tuple(found))


def images(term: Computation, first: Computation) -> dict[str, str]:
    """Dimensions of a term, each with the one of the first term that it is to the output."""
    return dict(zip(term.parallel, first.parallel, strict=True))
