"""Embeddings of single multiply-accumulates: the definition itself, for small operators.

The encodings `scalar.lp` and `scalar-digits.lp` know nothing of the local rule, so they are what
`embedding.lp` is compared with. Their facts are the whole dataflow, hence the limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clingo import Function

from explorer.embedding.control import ground
from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import answers
from explorer.embedding.facts import DEFAULT_CLASSES, scalar_instance
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


def check_size(operator: Computation, intrinsic: Computation, limits: tuple[int, int]) -> None:
    """Check that the dataflow is small enough to be looked at one multiply-accumulate at a time.

    Raises:
        InputError: the operator or the instruction has more than its limit.
    """
    for computation, limit in zip((operator, intrinsic), limits, strict=True):
        if computation.macs > limit:
            extents = " * ".join(str(d.extent) for d in computation.dims)
            allowed = f"with this encoding at most {limit} multiply-accumulates"
            raise InputError(computation.name, "", extents, allowed)


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
    # The heuristic decides digits before single multiply-accumulates, which follow from them.
    found = answers(operator, intrinsic, facts, "entries/scalar.lp", ("--heuristic=Domain",))
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
    control = ground(scalar_instance(operator, intrinsic, classes), "entries/unstructured.lp")
    exchanged = Function("use", [Function("swapped")])
    with control.solve(yield_=True) as handle:
        for model in handle:
            symbols = model.symbols(shown=True)
            stands = {}
            for step, lane, node in (s.arguments for s in symbols if s.match("stands", 3)):
                stands[node.number] = step.number, lane.number
            yield Assignment(exchanged in symbols, tuple(stands[n] for n in range(operator.macs)))
