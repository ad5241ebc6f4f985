"""A design: one embedding of an operator with the packed layout of every tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from operator import eq
from typing import TypeAlias

from explorer.embedding.digits import Embedding
from explorer.embedding.joint import Joint
from explorer.embedding.several import AnyEmbedding
from explorer.embedding.virtual_loops import Loop, Nest, Row, nest
from explorer.layout.alu_passes import (
    AluProgram,
    Vector,
    alu_program,
    with_products,
    with_terms,
)
from explorer.layout.constant_product import digits_layout, has_digits, level_layout
from explorer.layout.joint import common
from explorer.layout.packed import Layout, choices, derive
from explorer.layout.stored import Kind, Stored, Use, filled_block, identity_block, once
from isa import intrinsics
from isa.computation import Affine, Computation, Epilogue, Operator, Role, Tensor
from isa.config import Config
from isa.errors import InputError
from simulator.implementations import Implementation, check_admitted
from simulator.lint import CHISEL_UOPS, check_options


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What programs keep to beyond what the instructions allow.

    Attributes:
        uops: micro-ops that a program has at most; None for as many as the scratchpad holds.
        safe_distance: how many micro-ops after one that writes an accumulator the first one that
            uses it may come; 1 allows the next one.
    """

    uops: int | None = None
    safe_distance: int = 1

    @classmethod
    def of(cls, target: str, safe_distance: int, config: Config) -> Restrictions:
        """Those of a target, one of `simulator.lint.TARGETS`.

        Raises:
            InputError: there is no such target, it does not run programs of the configuration, or
                the distance is none that can be kept.
        """
        check_options(target, safe_distance)
        if target in tuple(Implementation):
            try:
                check_admitted(config, Implementation(target))
            except InputError as error:
                raise InputError("--target", "", target, f"other configurations: {error}") from None
        return cls(CHISEL_UOPS if target == "chisel" else None, safe_distance)

    def uop_depth(self, config: Config) -> int:
        """Micro-ops that a program may have."""
        return config.uop_depth if self.uops is None else min(self.uops, config.uop_depth)


@dataclass(frozen=True, slots=True)
class Design:
    """What a schedule is made for.

    Attributes:
        inp, wgt, acc: the layout on each of VTA's ports.
        alu: what the steps of the operator take.
        spread: the layouts on port acc of the vectors over fewer dimensions than the output has.
        products: the same of those that come in as products with a constant, as if they did not.
        further: of each further term, the layouts on ports inp and wgt.
        runs: the outer loops that the products of each term run over; empty if there is one term,
            which runs over all.
        fixed_order: keep the coordinates' order in DRAM; else the schedule chooses it.
        restrictions: what its programs keep to.
        partial: whether the embedding has more designs than were made with this one.
    """

    operator: Operator
    config: Config
    embedding: AnyEmbedding
    nest: Nest
    inp: Layout
    wgt: Layout
    acc: Layout
    alu: AluProgram
    spread: tuple[Layout, ...]
    fixed_order: bool = False
    restrictions: Restrictions = Restrictions()
    further: tuple[tuple[Layout, Layout], ...] = ()
    runs: tuple[frozenset[str], ...] = ()
    products: tuple[Layout, ...] = ()
    partial: bool = False

    @property
    def own_loops(self) -> list[list[bool]]:
        """Whether the products of each term run over each outer loop."""
        names = [loop.name for loop in self.nest.outer]
        return [[name in run for name in names] for run in self.runs or (frozenset(names),)]

    @property
    def term_steps(self) -> list[int]:
        """Issues of the instruction for each term."""
        extents = [loop.extent for loop in self.nest.outer]
        return [
            math.prod(n for n, runs in zip(extents, own, strict=True) if runs)
            for own in self.own_loops
        ]

    @property
    def steps(self) -> int:
        """Issues of the instruction for the operator's terms."""
        return sum(self.term_steps)

    @property
    def dense(self) -> tuple[Layout, ...]:
        """The layouts of the vectors as large as the output: its own, in int32."""
        return tuple(replace(self.acc, role=None, tensor=v.tensor) for v in self.alu.dense)

    @property
    def terms(self) -> tuple[Layout, ...]:
        """The layouts on port inp of terms: the output's, with lanes of axis z in place of y."""
        return tuple(_turned(self.acc, v.tensor, self.config) for v in self.alu.terms)

    @property
    def levels(self) -> tuple[Layout, ...]:
        """The layout on port inp of what digits are multiplied by, if there are any."""
        return (level_layout(self.config),) if self.alu.products else ()

    @property
    def digits(self) -> tuple[Layout, ...]:
        """The layouts on port wgt of vectors that come in as products with a constant."""
        return tuple(digits_layout(layout, self.config) for layout in self.products)

    @property
    def operands(self) -> list[Stored]:
        """All that programs load and store, in the order in which it lies in each section."""
        alu, fills = self.alu, [term.fill for term in self.operator.terms]
        inputs, weights = zip((self.inp, self.wgt), *self.further, strict=True)

        def ports(kind: Kind, layouts: Iterable[Layout]) -> list[Stored]:
            pairs = enumerate(zip(layouts, fills, strict=True))
            return [Stored(Use(kind, k), x, filled_block(x, fill)) for k, (x, fill) in pairs]

        def vectors(kind: Kind, each: Iterable[Vector], layouts: Iterable[Layout]) -> list[Stored]:
            pairs = zip(each, layouts, strict=True)
            return [Stored(Use(kind, vector), layout) for vector, layout in pairs]

        blocks = [_identity(factor, self.config) for factor in alu.factors]
        (inp, *further), (wgt, *beside) = ports("inp", inputs), ports("wgt", weights)
        return [
            inp,
            wgt,
            Stored(Use("out"), self.acc),
            *vectors("spread", alu.spread, self.spread),
            *further,
            *beside,
            *(Stored(Use("level"), layout) for layout in self.levels),
            *vectors("digits", alu.products, self.digits),
            *(
                Stored(Use("block", factor), layout, identity_block(layout, factor))
                for factor, layout in zip(alu.factors, blocks, strict=True)
            ),
            *vectors("dense", alu.dense, self.dense),
            *vectors("term", alu.terms, self.terms),
        ]

    @property
    def stored(self) -> tuple[Stored, ...]:
        """The same with equal blocks of constants once: the tensors in DRAM."""
        return once(self.operands)

    def followed_by(self, epilogue: Epilogue) -> Design:
        """The same design of the same terms with another epilogue, in the order it has."""
        operator = self.operator.followed_by(epilogue)
        alu = alu_program(operator)
        intrinsic = intrinsics.load("vta_gemm", self.config.axes)
        spread, _ = _vectors(alu, self.nest, intrinsic, {})
        return replace(
            self, operator=operator, alu=alu, spread=spread, products=(), fixed_order=True
        )

    @property
    def layouts(self) -> tuple[Layout, Layout, Layout]:
        """The layouts on inp, wgt and acc."""
        return self.inp, self.wgt, self.acc


MOST_CHOICES = 1024
"""Choices of the layouts of all terms' inputs that are all made, each with every way to add the
rest."""


def designs(
    operator: Operator,
    config: Config,
    intrinsic: Computation,
    embedding: AnyEmbedding,
    most: int = MOST_CHOICES,
) -> Iterator[Design]:
    """Every choice of materialisation and padding for an embedding.

    Windows that overlap may share entries (halo) or not (im2col); a border of zeros may be written
    by the DMA engine or kept in DRAM. VTA pads portably only when it loads the inp scratchpad.
    Where the embedding orders its outer loops, the coordinates stand in that order in DRAM. Tensors
    of 8 bits that are as large as the output may be added as vectors of accumulators, or come in as
    terms; smaller ones of few bits by the ALU, or as products with a constant.

    Each input of several terms has choices of its own. Where they are more than `most` together,
    only those are made in which all terms choose alike, and the designs say that there are others.
    """
    if isinstance(embedding, Joint):
        yield from _joint_designs(operator, config, intrinsic, embedding, most)
        return
    computation = operator.computation
    loops = nest(embedding, computation)
    acc = derive(loops, computation.out, intrinsic.out, intrinsic, role="out")
    inputs, weights = _choices(embedding, computation, loops, intrinsic)
    known: dict[Tensor, Layout] = {}
    for alu in alternatives(operator, config):
        spread, products = _vectors(alu, loops, intrinsic, known)
        for inp in inputs if all(map(has_digits, products)) else ():
            for wgt in weights:
                design = Design(
                    operator,
                    config,
                    embedding,
                    loops,
                    inp,
                    wgt,
                    acc,
                    alu,
                    spread,
                    products=products,
                )
                yield _ordered(design) if embedding.order else design


def _choices(
    embedding: Embedding, computation: Computation, loops: Nest, intrinsic: Computation
) -> list[list[Layout]]:
    """The layouts that there may be on port inp, and on port wgt."""
    found: list[list[Layout]] = []
    ports: tuple[tuple[Tensor, Role], ...] = ((intrinsic.in0, "in0"), (intrinsic.in1, "in1"))
    for port, name in ports:
        role = embedding.role(name)
        tensor, padding = computation.tensor(role), port is intrinsic.in0
        found.append(choices(loops, tensor, port, intrinsic, role=role, dma_padding=padding))
    return found


Pair: TypeAlias = tuple[Layout, Layout]
"""The layouts of a term's inputs, on ports inp and wgt."""


def _together(pairs: Sequence[Sequence[Pair]], most: int) -> tuple[list[tuple[Pair, ...]], bool]:
    """The choices of all terms together, and whether there are more than these."""
    if math.prod(map(len, pairs)) <= most:
        return list(product(*pairs)), False
    ways = dict.fromkeys(_way(pair) for own in pairs for pair in own)
    # A term that has not got a way takes one that is most like it.
    alike = (tuple(max(own, key=partial(_agreeing, way)) for own in pairs) for way in ways)
    return list(dict.fromkeys(alike)), True


def _way(pair: Pair) -> tuple[bool, bool, bool]:
    """What tells the layouts of an embedding apart."""
    inp, wgt = pair
    return inp.halo, inp.is_padded, wgt.halo


def _agreeing(way: tuple[bool, bool, bool], pair: Pair) -> int:
    return sum(map(eq, way, _way(pair)))


def _joint_designs(
    operator: Operator, config: Config, intrinsic: Computation, joint: Joint, most: int
) -> Iterator[Design]:
    """The designs of several terms: every choice for every input, or some."""
    parts = common(joint, [term.computation for term in operator.terms])
    nests = [nest(embedding, term) for embedding, term in parts]
    port = intrinsic.out
    first, *others = (
        derive(loops, term.out, port, intrinsic, role="out")
        for loops, (_, term) in zip(nests, parts, strict=True)
    )
    # Terms agree on the homes, and a skew widens reductions only: so their tiles are the same.
    assert all(_cells(acc, first.tensor) == _cells(first, first.tensor) for acc in others)
    runs = tuple(frozenset(loop.name for loop in loops.outer) for loops in nests)
    # Loops over outputs come in one order in all terms, so that the first one's holds for these.
    outer = dict.fromkeys(loop for loops in nests for loop in loops.outer)
    merged = replace(nests[0], outer=tuple(outer))
    ordered = any(embedding.order for embedding in joint.terms)
    pairs: list[list[Pair]] = []
    for loops, (embedding, term) in zip(nests, parts, strict=True):
        inputs, weights = _choices(embedding, term, loops, intrinsic)
        pairs.append(list(product(inputs, weights)))
    made, partly = _together(pairs, most)
    known: dict[Tensor, Layout] = {}
    for alu in alternatives(operator, config):
        spread, products = _vectors(alu, nests[0], intrinsic, known)
        for (inp, wgt), *further in made if all(map(has_digits, products)) else ():
            design = Design(
                operator,
                config,
                joint,
                merged,
                inp,
                wgt,
                first,
                alu,
                spread,
                further=tuple((inputs, weights) for inputs, weights in further),
                runs=runs,
                products=products,
                partial=partly,
            )
            yield _ordered(design, nests[1:]) if ordered else design


def _cells(acc: Layout, tensor: Tensor) -> Layout:
    """The layout of accumulators with the lanes of different axes in one order.

    Lanes of one axis stand as they are apart; which axis comes first is a matter of a term's other
    digits, as diagonal ones come last.
    """
    lanes = sorted(acc.lanes, key=lambda loop: loop.name)
    return replace(acc, tensor=tensor, lanes=tuple(lanes), equal=tuple(sorted(acc.equal)))


@lru_cache(maxsize=256)  # asked of an operator for each of its embeddings
def alternatives(operator: Operator, config: Config) -> tuple[AluProgram, ...]:
    """The ways to do an operator's steps, without terms and products first."""
    alu = alu_program(operator)
    # The lanes of an accumulator need as many of an input beside them.
    terms = with_terms(alu) if config.block_in >= config.block_out else alu
    ways = dict.fromkeys((alu, terms))
    return tuple(dict.fromkeys([*ways, *(with_products(way, config.block_in) for way in ways)]))


def _turned(acc: Layout, tensor: Tensor, config: Config) -> Layout:
    """The layout on port inp of a tensor that lies as the output does."""
    lanes = tuple(replace(loop, axis="z") if loop.axis == "y" else loop for loop in acc.lanes)
    axes = tuple(("z", config.block_in) if axis == "y" else (axis, n) for axis, n in acc.axes)
    return replace(acc, port="inp", role=None, tensor=tensor, lanes=lanes, axes=axes)


def _identity(factor: int, config: Config) -> Layout:
    """The layout of a block of weights with a power of two on its diagonal."""
    shape = {"y": config.block_out, "z": config.block_in}
    rows = tuple(Affine.of({name: 1}) for name in shape)
    return Layout(
        port="wgt",
        role=None,
        tensor=Tensor(f"identity*{1 << factor}", tuple(shape.values()), rows, "OI"),
        coordinates=(),
        lanes=tuple(Loop(name, extent, name, 1) for name, extent in shape.items()),
        axes=tuple(shape.items()),
        equal=(),
        rows=tuple(map(Row, rows)),
        guards=(),
        halo=False,
    )


def _vectors(
    alu: AluProgram, loops: Nest, intrinsic: Computation, known: dict[Tensor, Layout]
) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
    """The layouts on port acc of vectors that the ALU adds, and of those that are products.

    Those that are known are not derived again, and others are added to them: the ways to do an
    operator's steps share most.
    """
    for vector in (*alu.spread, *alu.products):
        if vector.tensor not in known:
            known[vector.tensor] = derive(loops, vector.tensor, intrinsic.out, intrinsic, role=None)
    spread, products = (
        tuple(known[vector.tensor] for vector in vectors) for vectors in (alu.spread, alu.products)
    )
    return spread, products


def _ordered(design: Design, further: Sequence[Nest] = ()) -> Design:
    """The design with every layout in the order of the outer loops, those of its term."""
    outer = design.nest.outer
    inp, wgt, acc = (layout.along(outer) for layout in design.layouts)
    spread, products = (
        tuple(layout.along(outer) for layout in each) for each in (design.spread, design.products)
    )
    inputs = tuple(
        (left.along(loops.outer), right.along(loops.outer))
        for (left, right), loops in zip(design.further, further, strict=True)
    )
    return replace(
        design,
        inp=inp,
        wgt=wgt,
        acc=acc,
        spread=spread,
        products=products,
        further=inputs,
        fixed_order=True,
    )


def reference_designs(
    operator: Operator,
    config: Config,
    intrinsic: Computation,
    embedding: AnyEmbedding,
    *,
    terms: bool = False,
) -> Iterator[Design]:
    """The reference embedding's layouts, the preferred one first.

    Windows share entries, the DMA engine pads where it can, and coordinates stay in tensor order
    (channels outermost). A border that the DMA engine cannot write, because it is wider than 15
    entries or has more than two sides, is stored in DRAM: that is the second one.

    Args:
        operator: what is compiled.
        config: what it is compiled for.
        intrinsic: the configuration's instruction.
        embedding: the reference's.
        terms: those that add residuals as int8, of which there may be none; else, as TVM does, as
            int32.
    """
    found = list(designs(operator, config, intrinsic, embedding))
    # What TVM does, not what is fastest: it is the baseline.
    shared = max((d.inp.halo, d.wgt.halo) for d in found)
    alike = [d for d in found if (d.inp.halo, d.wgt.halo) == shared]
    # So is how it adds a bias: as int32.
    alike = [d for d in alike if bool(d.alu.terms) == terms and not d.alu.products]
    for design in sorted(alike, key=lambda d: not d.inp.is_padded):
        yield replace(design, fixed_order=True)
