"""Counts against the lists that they are the lengths of, and against the definition."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.control import ground, solutions
from explorer.embedding.counting import count
from explorer.embedding.digits import Digit, Embedding
from explorer.embedding.enumeration import enumerate_embeddings, fused_mappings
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES, instance, wanted_facts
from explorer.embedding.virtual_loops import nest
from explorer.operators import resolve
from isa import intrinsics
from isa.computation import ROLES, Computation
from tests.tiny import computations, instructions


@settings(max_examples=100)
@given(
    computations(),
    instructions(),
    st.sets(st.sampled_from(sorted(CLASSES))),
    st.booleans(),
    st.sets(st.sampled_from(["lanes", "outer"])),
)
def test_counts_equal_the_lengths_of_lists(
    operator: Computation,
    intrinsic: Computation,
    classes: set[str],
    all_tiles: bool,
    orders: set[str],
) -> None:
    """The number of all embeddings, and of those of each class, is that of the listed ones."""
    options = {"all_tiles": all_tiles, "maximal": not all_tiles}
    found = enumerate_embeddings(operator, intrinsic, sorted(classes), orders=orders, **options)
    counted = count(operator, intrinsic, sorted(classes), orders=orders, **options)
    assert counted.total == len(found)
    for name in {"tile", *classes} - {"padded"}:
        assert counted.classes[name] == sum(name in e.classes for e in found)


# What links axes: skews alone, diagonals, and both.
LINKED = {
    "skew": ("conv1d:n=1,c=2,w=5,k=3,s=3,pad=1", {"x": 1, "y": 4, "z": 4}, "diagonal"),
    "skews": ("conv2d:n=1,c=1,h=3,w=3,k=2,r=2,s=2,pad=1", {"x": 1, "y": 4, "z": 4}, ""),
    "diagonal": ("depthwise2d:n=2,c=3,h=3,w=2,r=2,s=2", {"x": 2, "y": 3, "z": 2}, "skewed"),
    "both": ("conv1d:n=2,c=2,w=3,k=3,s=2,pad=1", {"x": 2, "y": 3, "z": 4}, ""),
}


@pytest.mark.parametrize("kind", LINKED)
@pytest.mark.parametrize("orders", [(), ("outer",)], ids=["canonical", "ordered"])
def test_linked_axes_are_counted_apart(kind: str, orders: tuple[str, ...]) -> None:
    """Where digits link axes, the numbers of all classes are those of the listed answers."""
    text, sizes, without = LINKED[kind]
    operator = resolve(text).computation
    intrinsic = intrinsics.load("vta_gemm", sizes)
    classes = [name for name in CLASSES if name != without]
    found = enumerate_embeddings(operator, intrinsic, classes, all_tiles=True, maximal=False)
    # Each order of the outer loops is an answer of its own.
    outer = [
        sum(loop.extent > 1 for loop in nest(e, operator).outer) if orders else 0 for e in found
    ]
    ways = [math.factorial(loops) for loops in outer]
    counted = count(operator, intrinsic, classes, all_tiles=True, maximal=False, orders=orders)
    assert counted.total == sum(ways)
    for name in {"tile", *classes} - {"padded"}:
        number = sum(n for e, n in zip(found, ways, strict=True) if name in e.classes)
        assert counted.classes[name] == number


def test_a_large_space_is_counted() -> None:
    """Spaces of many millions are counted without listing them."""
    operator = resolve("conv2d:n=8,c=64,h=56,w=56,k=64,r=3,s=3,pad=1").computation
    intrinsic = intrinsics.load("m16n16k16")
    counted = count(operator, intrinsic, all_tiles=True, maximal=False, orders=("lanes", "outer"))
    assert counted.total > 10**9
    assert counted.classes["swapped"] == counted.total // 2


# ------------------------------------------------------------------------- fused-iteration mappings

# Extents are primes of which no product is a divisor or a multiple of 16.
KINDS = {
    "gemm": ("gemm:m=17,n=17,k=17", 1),
    "conv1d": ("conv1d:n=3,c=5,w=9,k=17,s=3", 9),
    "conv2d": ("conv2d:n=3,c=5,h=9,w=9,k=17,r=3,s=3", 49),
    "conv3d": ("conv3d:n=3,c=5,d=5,h=5,w=5,k=17,t=3,r=3,s=3", 225),
    "dilated": ("conv2d:n=3,c=5,h=9,w=9,k=17,r=3,s=3,dilation=2", 49),
    "transposed": ("transposed:n=3,c=5,h=4,w=4,k=17,r=6,s=6,stride=2,pad=1", 343),
    "grouped": ("conv2d:n=3,c=10,h=9,w=9,k=34,r=3,s=3,groups=2", 49),
    "depthwise": ("depthwise2d:n=3,c=17,h=9,w=9,r=3,s=3", 21),
    "bmm": ("bmm:b=3,m=17,n=17,k=17", 1),
}


def mappings(operator: Computation, intrinsic: Computation) -> set[tuple[tuple[str, ...], ...]]:
    """All of them by the definition: which dimensions an axis admits, and every subset of those."""
    choices = []
    for axis in intrinsic.extents:
        lacking = [r for r in ROLES if not intrinsic.tensor(r).varies({axis: 1})]
        admitted = [
            name
            for name, extent in operator.extents.items()
            if extent > 1
            and not any(operator.tensor(r).varies({name: 1}) for r in lacking)
            and (operator.out.varies({name: 1}) or "out" in lacking)
        ]
        subsets = [
            s
            for size in range(1, len(admitted) + 1)
            for s in itertools.combinations(admitted, size)
        ]
        choices.append(subsets or [()])
    return {
        chosen
        for chosen in itertools.product(*choices)
        if len({d for s in chosen for d in s}) == sum(map(len, chosen))
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_fused_mapping_is_there(kind: str) -> None:
    """They are as many as the definition says, and each is among the embeddings."""
    text, number = KINDS[kind]
    operator = resolve(text).computation
    intrinsic = intrinsics.load("m16n16k16")
    found = {
        tuple(taken.get(axis, ()) for axis in intrinsic.extents)
        for _, taken in fused_mappings(operator, intrinsic)
    }
    expected = mappings(operator, intrinsic)
    assert found == expected
    assert len(found) == number
    # One program of all embeddings, in which each is looked for.
    control = ground(
        instance(operator, intrinsic, (*DEFAULT_CLASSES, "fused"), all_tiles=True, enforce=())
    )
    atoms = [
        atom.symbol
        for signature in (("use", 1), ("place", 5))
        for atom in control.symbolic_atoms.by_signature(*signature)
    ]
    every = {*atoms}
    for chosen in sorted(expected):
        facts = wanted_facts(_embedding(chosen, operator, intrinsic))
        wanted = {fact.arguments[0] for fact in facts if fact.name == "wanted"}
        assert wanted <= every
        assert solutions(control, [(a, a in wanted) for a in atoms], most=1)


def _embedding(
    chosen: tuple[tuple[str, ...], ...], operator: Computation, intrinsic: Computation
) -> Embedding:
    """The mapping with the most lanes on each axis that make its fused digits cross borders."""
    digits = []
    for (axis, room), dims in zip(intrinsic.extents.items(), chosen, strict=True):
        sizes = [operator.extents[d] for d in dims]
        total, inner = math.prod(sizes), math.prod(sizes[1:])
        fitting = (
            t
            for t in range(min(room, total), 1, -1)
            if len(dims) == 1 or (inner % t and t % sizes[-1])
        )
        if dims:
            lanes = next(fitting)
            digits.append(Digit((axis,), dims, "contiguous", lanes, -(-total // lanes)))
    return Embedding(False, tuple(digits))


def test_exchanged_inputs_are_counted_on_demand() -> None:
    """With the inputs exchanged, a product has one more mapping."""
    operator = resolve("gemm:m=17,n=17,k=17").computation
    found = list(fused_mappings(operator, intrinsics.load("m16n16k16"), swapped=True))
    assert sorted(found) == [
        (False, {"x": ("m",), "y": ("n",), "z": ("k",)}),
        (True, {"x": ("n",), "y": ("m",), "z": ("k",)}),
    ]


def test_classes_are_those_of_the_list() -> None:
    """A count tells each class that was asked for, and plain tiles."""
    operator = resolve("conv2d:n=1,c=3,h=8,w=8,k=20,r=3,s=3,pad=1").computation
    counted = count(operator, intrinsics.load("vta_gemm", {"x": 1, "y": 16, "z": 16}))
    assert list(counted.classes) == ["tile", *DEFAULT_CLASSES]
    assert counted.classes["padded"] == counted.total
