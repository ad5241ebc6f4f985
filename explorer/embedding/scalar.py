"""Embeddings of single multiply-accumulates: the definition itself, for small operators.

The encodings `scalar.lp` and `scalar-digits.lp` know nothing of the local rule, so they are what
`embedding.lp` is compared with. Their facts are the whole dataflow, hence the limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from clingo import Function

from explorer.embedding.control import ground
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import answers
from explorer.embedding.facts import DEFAULT_CLASSES, named, scalar_instance
from isa.computation import Computation
from isa.errors import InputError

STRUCTURED_LIMIT = (32, 256)
"""Multiply-accumulates of an operator, and lanes of an instruction, for answers made of digits."""

UNSTRUCTURED_LIMIT = (8, 8)
"""The same for answers of any kind, of which there are exponentially many."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An embedding that need not have any structure.

    Attributes:
        swapped: whether the two inputs exchange their ports.
        stands: for each multiply-accumulate of the operator, in row-major order of its domain, the
            step and the lane that stands for it; a step is called after the first one in it, lanes
            count the instruction's domain in row-major order.
    """

    swapped: bool
    stands: tuple[tuple[int, int], ...]

    @property
    def steps(self) -> int:
        """Issues of the instruction."""
        return len({step for step, _ in self.stands})

    def __str__(self) -> str:
        lanes: dict[int, list[str]] = {}
        for node, (step, lane) in enumerate(self.stands):
            lanes.setdefault(step, []).append(f"{lane}:{node}")
        steps = " | ".join(" ".join(lanes[step]) for step in sorted(lanes))
        return f"{'swap ' if self.swapped else ''}{steps}"


def check_sizes(
    terms: Sequence[Computation], intrinsic: Computation, limits: tuple[int, int]
) -> None:
    """Check that the dataflow is small enough to be looked at one multiply-accumulate at a time.

    Raises:
        InputError: the terms, one or together, or the instruction have more than their limit.
    """
    allowed = [f"with this encoding at most {limit} multiply-accumulates" for limit in limits]
    checked = (*((term, 0) for term in terms), (intrinsic, 1))
    for computation, which in checked:
        if computation.macs > limits[which]:
            extents = " * ".join(str(d.extent) for d in computation.dims)
            raise InputError(computation.name, "", extents, allowed[which])
    if sum(term.macs for term in terms) > limits[0]:
        raise InputError(terms[0].name, "", " + ".join(str(t.macs) for t in terms), allowed[0])


def scalar_embeddings(
    operator: Computation, intrinsic: Computation, classes: Sequence[str] = DEFAULT_CLASSES
) -> list[Embedding]:
    """Every embedding with every tile, by the definition on single multiply-accumulates.

    Sorted by id; the same as `enumerate_embeddings` with all tiles that need not be maximal.

    Raises:
        InputError: the operator or the instruction is too large.
    """
    check_sizes([operator], intrinsic, STRUCTURED_LIMIT)
    facts = scalar_instance(operator, intrinsic, classes)
    # The heuristic decides digits before single multiply-accumulates, which follow from them.
    found = answers(operator, intrinsic, facts, "entries/scalar.lp", ("--heuristic=Domain",))
    return sorted(found, key=lambda e: e.id)


def unstructured_embeddings(
    terms: Sequence[Computation], intrinsic: Computation, *, swapped: bool = False
) -> Iterator[tuple[Assignment, ...]]:
    """Every embedding that the definition admits, whether digits describe it or not.

    Args:
        terms: what is embedded.
        intrinsic: what they are embedded into.
        swapped: whether the two inputs of a term may exchange their ports.

    Yields:
        What each term's multiply-accumulates stand at.

    Raises:
        InputError: the terms together or the instruction are too large.
    """
    check_sizes(terms, intrinsic, UNSTRUCTURED_LIMIT)
    classes = ("swapped",) if swapped else ()
    facts = scalar_instance(terms[0], intrinsic, classes, further=terms[1:])
    control = ground(facts, "entries/unstructured.lp")
    exchanged = [Function("use", [named("swapped", number)]) for number in range(len(terms))]
    # Nodes are numbered through, and so are the lanes of the issues for one term after the other.
    first = list(accumulate((term.macs for term in terms), initial=0))
    with control.solve(yield_=True) as handle:
        for model in handle:
            symbols = model.symbols(shown=True)
            stands = {}
            for step, lane, node in (s.arguments for s in symbols if s.match("stands", 3)):
                stands[node.number] = step.number, lane.number % intrinsic.macs
            each = [[stands[i] for i in range(*pair)] for pair in pairwise(first)]
            yield tuple(
                Assignment(swap in symbols, tuple((step - n, lane) for step, lane in places))
                for swap, n, places in zip(exchanged, first, each, strict=False)
            )
