"""A design: one embedding of an operator with the packed layout of every tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from explorer.embedding.digits import Embedding
from explorer.embedding.virtual_loops import Nest, nest
from explorer.layout.alu_passes import AluProgram, alu_program
from explorer.layout.packed import Layout, derive, overlaps
from isa import intrinsics
from isa.computation import Computation, Epilogue, Operator
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
        fixed_order: keep the coordinates' order in DRAM; else the schedule chooses it.
        restrictions: what its programs keep to.
    """

    operator: Operator
    config: Config
    embedding: Embedding
    nest: Nest
    inp: Layout
    wgt: Layout
    acc: Layout
    alu: AluProgram
    spread: tuple[Layout, ...]
    fixed_order: bool = False
    restrictions: Restrictions = Restrictions()

    @property
    def dense(self) -> tuple[Layout, ...]:
        """The layouts of the vectors as large as the output: its own, in int32."""
        return tuple(replace(self.acc, role=None, tensor=v.tensor) for v in self.alu.dense)

    def followed_by(self, epilogue: Epilogue) -> Design:
        """The same design of the same product with another epilogue, in the order it has."""
        operator = self.operator.followed_by(epilogue)
        alu = alu_program(operator)
        intrinsic = intrinsics.load("vta_gemm", self.config.axes)
        spread = _spread(alu, self.nest, intrinsic)
        return replace(self, operator=operator, alu=alu, spread=spread, fixed_order=True)

    @property
    def layouts(self) -> tuple[Layout, Layout, Layout]:
        """The layouts on inp, wgt and acc."""
        return self.inp, self.wgt, self.acc


def designs(
    operator: Operator, config: Config, intrinsic: Computation, embedding: Embedding
) -> Iterator[Design]:
    """Every choice of materialisation and padding for an embedding.

    Windows that overlap may share entries (halo) or not (im2col); a border of zeros may be written
    by the DMA engine or kept in DRAM. VTA pads portably only when it loads the inp scratchpad.
    Where the embedding orders its outer loops, the coordinates stand in that order in DRAM.
    """
    computation = operator.computation
    loops = nest(embedding, computation)
    ports = (intrinsic.in0, intrinsic.in1)
    roles = (embedding.role("in0"), embedding.role("in1"))
    acc = derive(loops, computation.out, intrinsic.out, intrinsic, role="out")
    alu = alu_program(operator)
    spread = _spread(alu, loops, intrinsic)
    choices: list[list[Layout]] = []
    for port, role in zip(ports, roles, strict=True):
        tensor = computation.tensor(role)
        axes = [a.name for a in intrinsic.dims if port.varies({a.name: 1})]
        found = []
        for halo in (True, False) if overlaps(loops, tensor, axes) else (False,):
            stored = derive(loops, tensor, port, intrinsic, role=role, halo=halo)
            found.append(stored)
            if port is intrinsic.in0:
                padded = derive(
                    loops, tensor, port, intrinsic, role=role, halo=halo, dma_padding=True
                )
                # Without a border both choices are the same layout, and would be searched twice.
                if padded.is_padded:
                    found.append(padded)
        choices.append(found)
    for inp in choices[0]:
        for wgt in choices[1]:
            design = Design(operator, config, embedding, loops, inp, wgt, acc, alu, spread)
            yield _ordered(design) if embedding.order else design


def _spread(alu: AluProgram, loops: Nest, intrinsic: Computation) -> tuple[Layout, ...]:
    port = intrinsic.out
    return tuple(derive(loops, v.tensor, port, intrinsic, role=None) for v in alu.spread)


def _ordered(design: Design) -> Design:
    """The design with every layout in the order of the outer loops."""
    outer = design.nest.outer
    inp, wgt, acc = (layout.along(outer) for layout in design.layouts)
    spread = tuple(layout.along(outer) for layout in design.spread)
    return replace(design, inp=inp, wgt=wgt, acc=acc, spread=spread, fixed_order=True)


def reference_designs(
    operator: Operator, config: Config, intrinsic: Computation, embedding: Embedding
) -> Iterator[Design]:
    """The reference embedding's layouts, the preferred one first.

    Windows share entries, the DMA engine pads where it can, and coordinates stay in tensor order
    (channels outermost). A border that the DMA engine cannot write, because it is wider than 15
    entries or has more than two sides, is stored in DRAM: that is the second one.
    """
    found = list(designs(operator, config, intrinsic, embedding))
    # What TVM does, not what is fastest: it is the baseline.
    shared = max((d.inp.halo, d.wgt.halo) for d in found)
    alike = [d for d in found if (d.inp.halo, d.wgt.halo) == shared]
    for design in sorted(alike, key=lambda d: not d.inp.is_padded):
        yield replace(design, fixed_order=True)
