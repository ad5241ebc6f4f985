"""The claim of a plan over all embeddings, checked by other means: a sweep over everything.

``python -m tests.oracles.network_proofs [NETWORK.yaml] CERTIFICATE.json…`` takes what
``explorer network plan --over all --certificate`` wrote. It lists all embeddings of all operators
anew, no jokers: in each layout one costs the cycles that the certificate says, or at least what no
schedule of it undercuts. A sweep over the nodes keeps, for each combination of layouts of tensors
that are still read, what the nodes so far cost at the least. With cycles and bounds that is the
bound, and with cycles alone the optimum. The sweep shares with the planner what embeddings, layouts
and bounds of schedules are; what it does with them, costs of transitions included, is its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby
from math import ceil
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from explorer.layout.alu_passes import Vector
from explorer.layout.canonical import IDLE, ZERO, contents, form
from explorer.layout.design import Design, designs, reference_designs
from explorer.layout.packed import Layout
from explorer.network.candidates.spaces import usual_classes
from explorer.network.graph import Accelerated, Network, View, operand
from explorer.network.handing import handed
from explorer.network.models import resolve
from explorer.network.plan.claim import Searched
from explorer.network.proof.certificate import Certificate, read
from explorer.ranking.explore import embeddings, gemm_intrinsic, reference, steps_of
from explorer.schedule.bound import compute_bound, lower_bound
from explorer.schedule.lowering import Lowering
from explorer.schedule.search import points, search
from isa.computation import Affine, Operator
from isa.config import Config
from isa.errors import InputError
from isa.fields import Memory

Array = NDArray[np.int64]
FAR = 10**15
GARBAGE = -7


Numbers = NDArray[np.uint64]
Mask = NDArray[np.bool_]
_WEIGHTS: Numbers = np.random.default_rng(2024).integers(0, 2**63, 2**12, np.uint64) * np.uint64(
    2
) + np.uint64(1)


def numbers(rows: NDArray[np.int32], lanes: NDArray[np.intp]) -> Numbers:
    """A number for each vector; different ones have the same with a chance of about 1 in 2^60."""
    found: Numbers = (rows.astype(np.int64).view(np.uint64) * _WEIGHTS[lanes]).sum(
        axis=1, dtype=np.uint64
    )
    return found


@dataclass(frozen=True, slots=True)
class Alike:
    """Entries whose lanes hold the same beyond the first element, and stand for work alike.

    Attributes:
        live: lanes that stand for work, (lanes,).
        inside: those of them that hold an element.
        first: the element of a lane of offset 0, (entries,), and `times` how often there is such.
    """

    live: Mask
    inside: Mask
    first: Array
    times: Array


@dataclass(frozen=True, slots=True)
class Asked:
    """Vectors that are wanted in some lanes: different ones, how often, and how many are zeros.

    Attributes:
        step: by what lanes differ, where that is the same in all vectors; else None.
        mixed: vectors with zeros beside elements, which are nobody's.
    """

    lanes: tuple[int, ...]
    vectors: Numbers
    times: Array
    empty: int
    mixed: int = 0
    step: bytes | None = None


@dataclass(eq=False, slots=True)
class Held:
    """A layout: its size, lanes of an entry (0 if plain), and what is wanted or written.

    What is written is an array, (entries, lanes), or groups of entries and the offsets of lanes.
    """

    size: int
    vector: int = 1
    width: int = 0
    lanes: NDArray[np.int32] | None = None
    groups: Sequence[Alike] = ()
    offsets: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    asked: list[Asked] = field(default_factory=list)
    offers: dict[tuple[int, ...], Numbers] = field(default_factory=dict)


def step_of(offsets: Array, lanes: Sequence[int]) -> bytes:
    """By what the elements of some lanes differ from the first one's."""
    own = offsets[list(lanes)]
    beyond: bytes = (own - own[0]).tobytes()
    return beyond


def numbered(first: Array, offsets: Array, lanes: Sequence[int]) -> Numbers:
    """`numbers` of vectors that hold an element in each lane."""
    chosen = list(lanes)
    weights = _WEIGHTS[chosen]
    own = (offsets[chosen].view(np.uint64) * weights).sum(dtype=np.uint64)
    found: Numbers = first.view(np.uint64) * weights.sum(dtype=np.uint64) + own
    return found


def groups_of(layout: Layout, strict: bool) -> tuple[list[Alike], Array] | None:
    """The entries of a layout in groups, and what lanes add; None where lanes do not add.

    Coordinates that no row has in common are apart: what they make of the first element adds up,
    and how often there is such an entry multiplies. So there are few, however windows overlap.
    """
    rows = list(zip(layout.rows, layout.tensor.shape, strict=True))
    limited = [*rows, *layout.guards]
    if any(row.terms for row, _ in limited):
        return None
    point, possible = _lane_points(layout)
    apart = _apart(layout, [{n for n, _ in row.affine.terms} for row, _ in limited])
    offsets = np.zeros(len(possible), np.int64)
    strides = [int(np.prod(layout.tensor.shape[i + 1 :])) for i in range(len(rows))]
    for (row, _), stride in zip(rows, strides, strict=True):
        offsets += stride * _at(row.affine, point, len(possible))
    found = [Alike(possible, possible, np.zeros(1, np.int64), np.ones(1, np.int64))]
    for names, members in apart:
        spans = [np.arange(c.low, c.high) for c in layout.coordinates if c.name in names]
        own = [c.name for c in layout.coordinates if c.name in names]
        grid = [g.reshape(-1) for g in np.meshgrid(*spans, indexing="ij")]
        size = len(grid[0]) if grid else 1
        values = dict(zip(own, grid, strict=True))
        first = np.zeros(size, np.int64)
        masks = [np.ones((size, len(possible)), np.bool_) for _ in range(2)]  # live, inside
        for i in members:
            row, extent = limited[i]
            outer = row.affine.const + _at(row.affine, values, size)
            at = outer[:, None] + _at(row.affine, point, len(possible))
            masks[i < len(rows)] &= (at >= 0) & (at < extent)
            if i < len(rows):
                first += strides[i] * outer
        here = list(_alike(masks[0], masks[1], first))
        found = [_both(left, right) for left in found for right in here]
    if strict:
        found = [replace(g, inside=g.inside & g.live, live=np.ones_like(g.live)) for g in found]
    return [replace(g, inside=g.inside & g.live) for g in found], offsets


def _lane_points(layout: Layout) -> tuple[dict[str, Array], Mask]:
    """The loops over lanes, at each lane, and the lanes that any loop reaches."""
    extents = [extent for _, extent in layout.axes]
    places = np.indices(extents).reshape(len(extents), -1)
    point: dict[str, Array] = {}
    possible = np.ones(places.shape[1], np.bool_)
    for (axis, _), index in zip(layout.axes, places, strict=True):
        own = [loop for loop in layout.lanes if loop.axis == axis]
        possible &= index < np.prod([loop.extent for loop in own], dtype=int)
        point |= {loop.name: index // loop.stride % loop.extent for loop in own}
    for left, right in layout.equal:
        possible &= point[left] == point[right]
    return point, possible


def _at(affine: Affine, point: Mapping[str, Array], size: int) -> Array:
    """What some of a row's terms add up to."""
    return sum((c * point[n] for n, c in affine.terms if n in point), np.zeros(size, np.int64))


def _apart(layout: Layout, used: Sequence[set[str]]) -> list[tuple[set[str], list[int]]]:
    """Sets of coordinates with no row in common, and the rows of each; all rows are in one."""
    coordinates = {c.name for c in layout.coordinates}
    found = [({n}, list[int]()) for n in coordinates]
    for i, names in enumerate(used):
        joined = [f for f in found if f[0] & names]
        found = [f for f in found if not f[0] & names]
        members = [m for f in joined for m in f[1]]
        found.append((set().union(*(f[0] for f in joined)), [*members, i]))
    return found


def _alike(live: Mask, inside: Mask, first: Array) -> Iterator[Alike]:
    """Points in groups of the same lanes, different elements once."""
    keys = [row.tobytes() for row in np.concatenate([live, inside], axis=1)]
    groups: dict[bytes, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    for members in groups.values():
        own, times = np.unique(first[members], return_counts=True)
        yield Alike(live[members[0]], inside[members[0]], own, times.astype(np.int64))


def _both(left: Alike, right: Alike) -> Alike:
    """Entries of two sets of coordinates that are apart."""
    first = (left.first[:, None] + right.first).reshape(-1)
    times = (left.times[:, None] * right.times).reshape(-1)
    return Alike(left.live & right.live, left.inside & right.inside, first, times)


Wide = tuple[bool, int, tuple[object, ...]]
"""What the host makes as int32: into another tensor's copy, bytes of constants, and what it is."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A layout of an embedding: what it reads (what it is as int32) and writes, and its cost."""

    reads: tuple[tuple[str, int, Wide | None], ...]
    writes: int
    least: int
    exact: bool


@dataclass(eq=False, slots=True)
class Listed:
    """What certificates of one network on one machine have in common, whatever bytes cost.

    Attributes:
        held: all layouts by number, and `numbers` those by what they are known by.
        designs: of each operator all layouts of all embeddings, with their numbers, and what none
            of their programs undercuts.
        bounds: of schedules, by what programs depend on.
        laid: of each design, of nodes with equal views, the layouts read, and the one written.
    """

    held: list[Held] = field(default_factory=list)
    numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    designs: dict[Operator, list[tuple[str, int, Design, int]]] = field(default_factory=dict)
    bounds: dict[tuple[object, ...], int] = field(default_factory=dict)
    laid: dict[tuple[object, ...], tuple[int, ...]] = field(default_factory=dict)


class Checker:
    """A certificate with what it is about."""

    def __init__(
        self, claim: Certificate, network: Network | None = None, common: Listed | None = None
    ) -> None:
        self.claim = claim
        whole = resolve(claim.network, "terms", {}) if network is None else network
        known = {n.name for n in whole.accelerated}
        self.network = handed(whole, [n for n in claim.on_host if n in known])
        self.config = Config.load(claim.configuration)
        self.price, self.call = Fraction(claim.host_cycles_per_byte), claim.host_cycles_per_call
        self.trial = claim.transitions == "trial"
        self.common = common or Listed()
        self.held, self.known = self.common.held, self.common.numbers
        self.costs: dict[tuple[int, int, Wide | None], int] = {}
        self.nodes = list(self.network.accelerated)
        others = (n for n in self.network.nodes if n not in self.nodes)
        self.wanted = {t for n in others for t in n.reads} | set(self.network.outputs)
        self.listed: dict[Operator, list[tuple[int, bool, Design]]] = {}
        first: dict[str, Operator] = {n.name: n.operator for n in self.nodes}
        self.searched: dict[tuple[Operator, str, int], Searched] = {}
        for item in claim.searched:
            found = item.read()
            self.searched[first[found.node], found.embedding, found.design] = found

    # ---------------------------------------------------------------- layouts

    def lay(self, layout: Layout, node: Accelerated, view: View, strict: bool) -> int:
        """The number of a layout of a network's tensor."""
        tensor = node.operator.out if view is node.output else operand(node.operator, view.operand)
        shape = self.network.by_name[view.tensor].shape
        moves = (view.split, view.order, shape) if view.transposes else ()
        key = (form(layout), layout.port, tensor.shape, strict, moves)
        if key not in self.known:
            self.known[key] = len(self.held)
            vector = self.bytes(layout) // layout.entries
            width = int(np.prod([extent for _, extent in layout.axes]))
            made = Held(self.bytes(layout), vector, width)
            quick = None if moves or self.trial else groups_of(layout, strict)
            if quick is not None:
                made.groups, made.offsets = quick
                made.asked = list(self.wanted_of(made))
            else:
                lanes = self.array(layout, node, view, strict)
                # What is only read is kept as numbers: with windows it is much.
                made.lanes = lanes if view is node.output or self.trial else None
                made.asked = list(self.asked(lanes))
            if view is not node.output and not self.trial:
                made.groups = ()
            self.held.append(made)
        return self.known[key]

    def array(
        self, layout: Layout, node: Accelerated, view: View, strict: bool
    ) -> NDArray[np.int32]:
        """What each lane of each entry holds, as elements of the network's tensor."""
        tensor = node.operator.out if view is node.output else operand(node.operator, view.operand)
        found = contents(layout)
        if strict or self.trial:
            found[found == IDLE] = ZERO
        if view.transposes:
            flat = np.arange(tensor.size).reshape(self.network.by_name[view.tensor].shape)
            names = view.read(flat, tensor.shape).reshape(-1)
            found = np.where(found >= 0, names[found], found)
        return found.astype(np.int32)

    def wanted_of(self, held: Held) -> Iterator[Asked]:
        """As `asked`, of entries in groups."""
        by_lanes: dict[tuple[int, ...], list[Alike]] = {}
        for group in held.groups:
            by_lanes.setdefault(tuple(np.flatnonzero(group.live).tolist()), []).append(group)
        for lanes, own in by_lanes.items():
            if lanes:
                whole = [g for g in own if g.inside.sum() == len(lanes)]
                empty = sum(int(g.times.sum()) for g in own if not g.inside.any())
                mixed = sum(int(g.times.sum()) for g in own) - empty
                first = np.concatenate([np.zeros(0, np.int64), *(g.first for g in whole)])
                several = np.concatenate([np.zeros(0, np.int64), *(g.times for g in whole)])
                unique, which = np.unique(first, return_inverse=True)
                times = np.bincount(which, several, len(unique)).astype(np.int64)
                vectors = numbered(unique, held.offsets, lanes)
                step = step_of(held.offsets, lanes)
                yield Asked(lanes, vectors, times, empty, mixed - int(times.sum()), step)

    def bytes(self, layout: Layout) -> int:
        """The size of a layout."""
        memory = {"inp": Memory.INP, "wgt": Memory.WGT}.get(layout.port, Memory.OUT)
        return layout.entries * self.config.element_bytes(memory)

    def plain(self, size: int) -> int:
        """The number of a plain tensor."""
        if ("plain", size) not in self.known:
            self.known["plain", size] = len(self.held)
            self.held.append(Held(size))
        return self.known["plain", size]

    def asked(self, held: NDArray[np.int32]) -> Iterator[Asked]:
        """Of each set of lanes that count together, the vectors wanted there."""
        left = held
        while len(left):
            counts = left[0] != IDLE
            here = ((left != IDLE) == counts).all(axis=1)
            lanes = np.flatnonzero(counts)
            rows, left = left[here][:, lanes], left[~here]
            if len(lanes):
                empty = (rows == ZERO).all(axis=1)
                found, times = np.unique(numbers(rows[~empty], lanes), return_counts=True)
                number = int(np.count_nonzero(empty))
                yield Asked(tuple(lanes.tolist()), found, times.astype(np.int64), number)

    def offers(self, held: Held, lanes: tuple[int, ...]) -> Numbers:
        """The vectors that were written in some lanes; without meaning, they are none's."""
        if lanes not in held.offers:
            if held.groups:
                whole = [g.first for g in held.groups if g.inside[list(lanes)].all()]
                first = np.unique(np.concatenate([np.zeros(0, np.int64), *whole]))
                held.offers[lanes] = np.sort(numbered(first, held.offsets, lanes))
            else:
                assert held.lanes is not None
                kept = held.lanes[:, lanes]
                empty = ZERO if self.trial else GARBAGE
                rows = np.where(kept < 0, np.int32(empty), kept)
                held.offers[lanes] = np.unique(numbers(rows, np.array(lanes)))
        return held.offers[lanes]

    def found(self, there: Held, asked: Asked) -> int:
        """How many of the vectors that are wanted were written."""
        apart = bool(there.groups) and asked.step is not None
        if apart and step_of(there.offsets, asked.lanes) != asked.step:
            return 0
        offers = self.offers(there, asked.lanes)
        if not len(offers):
            return 0
        places = np.minimum(np.searchsorted(offers, asked.vectors), len(offers) - 1)
        return int(asked.times[offers[places] == asked.vectors].sum())

    def cost(self, written: int, wanted: int, wide: Wide | None = None) -> int:
        """Cycles of a transition."""
        key = (written, wanted, wide)
        if key not in self.costs:
            there, here = self.held[written], self.held[wanted]
            call = self.call
            if wide is not None:
                further, besides, _ = wide
                moved = there.size + (0 if further else besides + 4 * here.size)
                call = 0 if further else call
            elif not (there.width or here.width):
                moved = 0
            elif not (there.width and here.width):
                moved = there.size + here.size
            else:
                lacking = live = empty = 0
                for asked in here.asked:
                    empty += 0 if self.trial else asked.empty
                    live += asked.mixed + int(asked.times.sum())
                    if there.width == here.width:
                        lacking -= self.found(there, asked)
                lacking += live
                moved = (2 * lacking + empty) * here.vector
                if not self.trial and (lacking or empty):
                    whole = there.size + here.size
                    # With none of the vectors there, everything is made anew.
                    moved = min(moved, whole) if lacking < live else whole
            self.costs[key] = ceil(moved * self.price) + call if moved else 0
        return self.costs[key]

    # ---------------------------------------------------------------- choices

    def designs(self, operator: Operator) -> Iterator[tuple[str, int, Design, int]]:
        """All layouts of all embeddings, and TVM's, with what no program of them undercuts."""
        intrinsic = gemm_intrinsic(self.config)
        floors: dict[int, int] = {}
        classes = usual_classes(operator) if self.claim.classes is None else self.claim.classes
        for embedding in embeddings(operator, self.config, classes):
            steps = steps_of(operator, embedding)
            if steps not in floors:
                floors[steps] = compute_bound(operator, self.config, steps)
            for number, design in enumerate(designs(operator, self.config, intrinsic, embedding)):
                least = max(floors[steps], lower_bound(design), self.bound(design))
                yield embedding.id, number, design, least
        fixed = reference(operator, self.config)
        if fixed is not None:
            number = 0
            for terms in (False, True):
                own = list(reference_designs(operator, self.config, intrinsic, fixed, terms=terms))
                if own:
                    number -= 1
                    yield fixed.id, number, own[0], lower_bound(own[0])

    def widened(self, node: Accelerated, vector: Vector, tensor: str) -> Wide:
        """What the host makes for a vector that is added as int32."""
        tensors = [self.network.by_name[node.views[part.name].tensor] for part in vector.parts]
        first = next(t.name for t in tensors if not t.constant)
        besides = sum(t.bytes for t in tensors if t.constant)
        parts = tuple(
            (p.form, p.number, t.name) for p, t in zip(vector.parts, tensors, strict=True)
        )
        return tensor != first, besides, (*parts, vector.const)

    def priced(self, operator: Operator) -> list[tuple[int, bool, Design]]:
        """All layouts of all embeddings: the least cycles of each, and whether it takes these."""
        if operator not in self.common.designs:
            self.common.designs[operator] = list(self.designs(operator))
        if operator not in self.listed:
            own = []
            for embedding, number, design, floor in self.common.designs[operator]:
                found = self.searched.get((operator, embedding, number))
                if found is not None:
                    own.append((found.at_least, found.cycles is not None, design))
                else:
                    # TVM's layouts are searched, or there is no program of theirs.
                    own.append((floor if number >= 0 else FAR, False, design))
            self.listed[operator] = own
        return self.listed[operator]

    def bound(self, design: Design) -> int:
        """What no schedule of a design undercuts; the same for all with the same programs."""
        key = (design.restrictions, design.fixed_order, Lowering(design).signature)
        if key not in self.common.bounds:
            self.common.bounds[key] = next((bound for bound, _ in points(design)), FAR)
        return self.common.bounds[key]

    def read(self, node: Accelerated, design: Design) -> Iterator[tuple[View, Layout, Wide | None]]:
        """What a node reads that is no constant, its layout, and what it is as int32."""
        ports = [design.inp, design.wgt, *(x for pair in design.further for x in pair)]
        laid = {x.tensor.name: x for x in ports}
        dense = list(zip(design.alu.dense, design.dense, strict=True))
        for vector, layout in (*dense, *zip(design.alu.terms, design.terms, strict=True)):
            laid |= {part.name: layout for part in vector.parts}
        for view in node.inputs:
            if not self.network.by_name[view.tensor].constant:
                wide = None
                for vector, _ in dense:
                    if view.operand in {part.name for part in vector.parts}:
                        wide = self.widened(node, vector, view.tensor)
                yield view, laid[view.operand], wide

    def forced(self) -> int:
        """What every plan pays where the host's plain tensors are packed, or made.

        The first reader of each, and the writer, has some layout; the smallest moves the least.
        """
        if self.trial:
            return 0
        made = {n.output.tensor for n in self.nodes}
        packed: dict[tuple[str, bool], int] = {}
        for node in self.nodes:
            out = node.output.tensor
            for _, _, design in self.priced(node.operator):
                here = [(out, True, self.bytes(design.acc))] if out in self.wanted else []
                for view, layout, wide in self.read(node, design):
                    if view.tensor not in made:
                        # A further summand is read into a copy that another one has paid.
                        size = 0 if wide and wide[0] else self.bytes(layout)
                        here.append((view.tensor, False, size))
                for tensor, writes, size in here:
                    packed[tensor, writes] = min(packed.get((tensor, writes), FAR), size)
        sizes = {name: self.network.by_name[name].size for name, _ in packed}
        return sum(ceil((sizes[name] + size) * self.price) for (name, _), size in packed.items())

    def choices(self, node: Accelerated, limit: int) -> list[Choice]:
        """The choices of a node; of equal layouts the cheapest, exact or not.

        Args:
            node: the node.
            limit: cycles; a layout that takes more is a choice only if its cycles are exact.
        """
        operator = node.operator
        best: dict[tuple[object, ...], Choice] = {}
        inputs = [(t.computation.in0, t.computation.in1) for t in operator.terms]
        several = {
            x.name
            for t, pair in zip(operator.terms, inputs, strict=True)
            for x in pair
            if not t.constants
        }
        sides = (*node.inputs, node.output)
        shapes = [self.network.by_name[view.tensor].shape for view in sides]
        seen = tuple((v.operand, v.split, v.order, s) for v, s in zip(sides, shapes, strict=True))
        for i, (least, exact, design) in enumerate(self.priced(operator)):
            if not exact and least > limit:
                continue
            found = list(self.read(node, design))
            key: tuple[object, ...] = (operator, *seen, i)
            if key not in self.common.laid:
                places = [self.lay(x, node, v, v.operand in several) for v, x, _ in found]
                written = self.lay(design.acc, node, node.output, False)
                self.common.laid[key] = (*places, written)
            *places, writes = self.common.laid[key]
            reads = tuple(
                (view.tensor, place, wide)
                for (view, _, wide), place in zip(found, places, strict=True)
            )
            same = (*reads, writes, exact)
            if same not in best or best[same].least > least:
                best[same] = Choice(reads, writes, least, exact)
        return list(best.values())


# -------------------------------------------------------------------- the sweep


Wanted = tuple[int, Wide | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """A tensor in the state: the layouts written, times which shared copy has been made of it."""

    tensor: str
    written: tuple[int, ...]
    shared: tuple[Wanted, ...]


def sweep(check: Checker, choices: Mapping[str, Sequence[Choice]]) -> int:
    """What a plan costs at the least.

    Raises:
        InputError: more than two nodes read a tensor: the state would need sets of copies.
    """
    last: dict[str, int] = {}
    wanted: dict[str, list[set[Wanted]]] = {}
    for i, node in enumerate(check.nodes):
        for column, (tensor, *_) in enumerate(choices[node.name][0].reads):
            last[tensor] = i
            here = {(c.reads[column][1], c.reads[column][2]) for c in choices[node.name]}
            wanted.setdefault(tensor, []).append(here)
    for tensor, readers in wanted.items():
        if len(readers) > 2:
            allowed = "at most two nodes that read a tensor; the sweep keeps one copy of each"
            raise InputError(check.network.name, tensor, len(readers), allowed)
    # A tensor's only reader shares with none.
    shared = {
        tensor: tuple(sorted(set.intersection(*sets), key=repr)) if sets[1:] else ()
        for tensor, sets in wanted.items()
    }
    made = {n.output.tensor for n in check.nodes}
    axes, state = _given(check, {t: r for t, r in wanted.items() if t not in made}, shared)
    for i, node in enumerate(check.nodes):
        own = choices[node.name]
        out = node.output.tensor
        axis = Axis(out, tuple(sorted({c.writes for c in own})), shared.get(out, ()))
        width = 1 + len(axis.shared)
        after = np.full((*state.shape, len(axis.written) * width), FAR)
        plain = 0
        for reads, alike in groupby(sorted(own, key=_reads), key=_reads):
            costs = state
            for tensor, number, wide in reads:
                wanted_here = number, wide if wide[1] >= 0 else None
                costs = _reading(check, costs, axes, tensor, wanted_here)
            for choice in alike:
                if out in check.wanted and not check.trial:
                    size = check.network.by_name[out].size
                    plain = check.cost(choice.writes, check.plain(size))
                place = axis.written.index(choice.writes) * width
                least = costs + (choice.least + plain)
                np.minimum(after[..., place], least, out=after[..., place])
        axes.append(axis)
        state = after
        for place in reversed(range(len(axes))):
            if last.get(axes[place].tensor, -1) <= i:
                state = state.min(axis=place)
                del axes[place]
    return int(state.min())


def _given(
    check: Checker,
    wanted: Mapping[str, Sequence[set[Wanted]]],
    shared: Mapping[str, tuple[Wanted, ...]],
) -> tuple[list[Axis], Array]:
    """The state at the beginning: tensors that the host writes."""
    axes: list[Axis] = []
    state: Array = np.zeros((), np.int64)
    for tensor, readers in wanted.items():
        written = [check.plain(check.network.by_name[tensor].size)]
        if check.trial:
            written = sorted({n for reader in readers for n, _ in reader})
        axes.append(Axis(tensor, tuple(written), shared[tensor]))
        start = np.full((len(written), 1 + len(shared[tensor])), FAR)
        start[:, 0] = 0
        state = state[..., None] + start.reshape(-1)
    return axes, state


def _reads(choice: Choice) -> tuple[tuple[str, int, Wide], ...]:
    """What a choice reads, in a form that can be sorted."""
    return tuple((tensor, number, wide or (False, -1, ())) for tensor, number, wide in choice.reads)


def _reading(
    check: Checker, state: Array, axes: Sequence[Axis], tensor: str, wanted: Wanted
) -> Array:
    """The state after a tensor was read; the layout is made unless it is there."""
    place = next(i for i, axis in enumerate(axes) if axis.tensor == tensor)
    axis = axes[place]
    width = 1 + len(axis.shared)
    moved = np.moveaxis(state, place, -1)
    parts = moved.reshape(*moved.shape[:-1], len(axis.written), width)
    price = np.array([check.cost(w, *wanted) for w in axis.written], np.int64)
    after = np.minimum(parts + price[:, None], FAR)
    if wanted in axis.shared:
        copy = 1 + axis.shared.index(wanted)
        there = parts[..., copy]
        fresh = parts.min(axis=-1) + price
        after = np.full_like(parts, FAR)
        after[..., copy] = np.minimum(there, fresh)
    return np.moveaxis(after.reshape(moved.shape), -1, place)


def check(
    claim: Certificate,
    network: Network | None = None,
    again: int = 0,
    common: Listed | None = None,
) -> tuple[int, int]:
    """The optimum of what was searched, and what no plan of all embeddings undercuts.

    Args:
        claim: what is claimed.
        network: the network, if it is none that a name stands for.
        again: programs of so many layouts, chosen at random, are searched again.
        common: what was listed for another certificate of this network on this machine.
    """
    checker = Checker(claim, network, common)
    # What exceeds the plan even beside the least of all others, and what no plan avoids, is in no
    # better one: its layouts, by far the most, need not be read.
    floors = [min(least for least, *_ in checker.priced(n.operator)) for n in checker.nodes]
    spare = claim.cycles - sum(floors) - checker.forced()
    choices = {
        node.name: checker.choices(node, floor + spare)
        for node, floor in zip(checker.nodes, floors, strict=True)
    }
    exact = {name: [c for c in own if c.exact] for name, own in choices.items()}
    searched = sorted(checker.searched, key=repr)
    for operator, name, number in Random(1).sample(searched, min(again, len(searched))):
        found = checker.searched[operator, name, number]
        own = checker.common.designs[operator]
        design = next(d for e, n, d, _ in own if (e, n) == (name, number))
        best = search(design).best
        cycles = best.cycles if best else FAR
        assert cycles == found.cycles if found.cycles is not None else cycles >= found.at_least
    return sweep(checker, exact), sweep(checker, choices)


def main(paths: Sequence[str]) -> int:
    """Check certificates; a network's document that comes first is theirs. How many are wrong."""
    wrong, network = 0, None
    common, last = Listed(), None
    for path in paths:
        if Path(path).suffix != ".json":
            network = resolve(path, "terms", {})
            continue
        start, claim = time.process_time(), read(Path(path))
        about = (claim.configuration, claim.transitions, claim.on_host, claim.classes)
        if last != (claim.network, network, *about):
            common, last = Listed(), (claim.network, network, *about)
        optimum, bound = check(claim, network, again=10, common=common)
        fine = optimum == claim.cycles and bound >= claim.bound
        wrong += not fine
        print(
            f"{path}: claimed {claim.cycles:,}, bound {claim.bound:,}; found {optimum:,}, bound "
            f"{bound:,}: {'agrees' if fine else 'DISAGREES'} ({time.process_time() - start:.0f} s)",
            flush=True,
        )
    return wrong


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]) > 0)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
