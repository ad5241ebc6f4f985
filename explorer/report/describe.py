"""One embedding in full: digits, virtual loops, layouts, schedule, instructions, cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from explorer.embedding.digits import Embedding
from explorer.embedding.several import term_by_term
from explorer.embedding.virtual_loops import Nest, nest
from explorer.layout.alu_passes import Product, Vector
from explorer.layout.design import Design
from explorer.layout.packed import Layout
from explorer.layout.stored import places
from explorer.program.stepwise import arrangements, utilisation
from explorer.ranking.best_first import describe
from explorer.ranking.explore import Evaluation, gemm_intrinsic
from explorer.report.lanes import picture, pictures
from explorer.schedule.lowering import Code
from isa.computation import Computation
from isa.fields import Column, Memory, Opcode
from isa.words import counted
from simulator.roofline import Roofline, roofline
from simulator.timing import ModuleReport, TimingReport

KINDS = {
    "contiguous": "neighbours share a step",
    "strided": "lanes lie a tile count apart",
    "skew": "a banded operand block",
    "diagonal": "a block-diagonal operand",
}


def describe_embedding(
    embedding: Embedding, operator: Computation, intrinsic: Computation, step: int = 0
) -> str:
    """What follows from an embedding on any instruction.

    Args:
        embedding: what is described.
        operator: what is embedded.
        intrinsic: what it is embedded into.
        step: the step whose lanes are drawn.

    Raises:
        InputError: there is no such step.
    """
    loops = nest(embedding, operator)
    share = utilisation(operator, intrinsic, loops.steps)
    lines = [f"{embedding.id}  of {operator.name} on {intrinsic.name}", ""]
    lines += _section("Digits", digit_lines(embedding, intrinsic))
    lines += _section(
        f"Virtual loops, {share:.1%} of all lanes work", loop_lines(loops, loops.steps)
    )
    layouts = next(arrangements(embedding, operator, intrinsic))
    for layout in layouts:
        title = f"Packed {layout.tensor.name} on port {layout.port}, {layout.entries:,} entries"
        lines += _section(title, layout_lines(layout))
    lines += _section(f"Lanes in step {step}", picture(embedding, operator, intrinsic, step))
    return "\n".join(lines).rstrip()


def describe_evaluation(evaluation: Evaluation, step: int = 0) -> str:
    """What follows from an embedding on VTA, down to its program's cycles.

    Raises:
        InputError: there is no such step whose lanes could be drawn.
    """
    code = evaluation.code
    assert evaluation.scheduled is not None
    operator = code.design.operator
    intrinsic = gemm_intrinsic(code.design.config)
    lines = [f"{evaluation.embedding.id}  of {operator.name}", ""]
    design, each = code.design, term_by_term(evaluation.embedding, operator)
    named = [f" of term {n}" if len(each) > 1 else "" for n, _ in enumerate(each, start=1)]
    for name, (embedding, _) in zip(named, each, strict=True):
        lines += _section(f"Digits{name}", digit_lines(embedding, intrinsic))
    lines += _section("Virtual loops", loop_lines(design.nest, design.steps))
    operands, stored = design.operands, design.stored
    rows = places(operands)
    for tensor in operands:
        if tensor.memory == Memory.ACC:
            continue
        layout, held = tensor.layout, stored[rows[tensor.use]]
        size = layout.entries * design.config.element_bytes(tensor.memory)
        title = f"Packed {layout.tensor.name} on port {layout.port}, {size:,} bytes"
        if held.use != tensor.use:  # an equal block that is there already
            lines += [f"{title}: the block of {held.layout.tensor.name}", ""]
            continue
        lines += _section(title, layout_lines(layout))
    lines += _section("Steps", _steps(code.design))
    for name, drawn in zip(named, pictures(each, intrinsic, step), strict=True):
        lines += _section(f"Lanes in step {step}{name}", drawn)
    lines += _section("Schedule", schedule_lines(code))
    lines += _section("Program", instruction_lines(code))
    timing = evaluation.scheduled.timing
    lines += _section("Cycles", _cycles(timing, evaluation.bound))
    macs = sum(term.useful_macs for _, term in each)
    lines += _section("Roofline", _roofline(roofline(code.design.config, code.table, timing, macs)))
    return "\n".join(lines).rstrip()


def record(evaluation: Evaluation) -> dict[str, object]:
    """What `describe_evaluation` says in numbers and names, as plain data."""
    code, loops = evaluation.code, evaluation.design.nest
    table, uops = code.instructions()
    assert evaluation.scheduled is not None
    timing = evaluation.scheduled.timing
    return {
        "operator": code.design.operator.name,
        "embedding": evaluation.embedding.id,
        "classes": list(evaluation.embedding.classes),
        "outer": {loop.name: loop.extent for loop in loops.outer},
        "lanes": {loop.name: [loop.axis, loop.extent, loop.stride] for loop in loops.lanes},
        "steps": evaluation.design.steps,
        "layouts": {
            layout.port: {"layout": describe(layout), "shape": list(layout.shape)}
            for layout in code.design.layouts
        },
        "tile": {
            loops.outer[place].name: code.schedule.tile[place] for place in code.schedule.order
        },
        "instructions": len(table),
        "uops": len(uops),
        "cycles": timing.cycles,
        "bound": evaluation.bound,
        "proven": evaluation.proven,
        "dram_bytes": timing.bytes,
    }


def _section(title: str, body: Iterable[str]) -> list[str]:
    return [title, *(f"  {line}" for line in body), ""]


def digit_lines(embedding: Embedding, intrinsic: Computation) -> Iterator[str]:
    """The binding and the digits, one a line."""
    exchanged = f"exchanged: in1 on {intrinsic.in0.name}, in0 on {intrinsic.in1.name}"
    yield f"binding      {exchanged if embedding.swapped else 'straight'}"
    for digit in embedding.digits:
        partner = f", moves {digit.partner} by {digit.coefficient:+d}" if digit.partner else ""
        yield (
            f"axis {'+'.join(digit.axes):<7} {digit.subject}: {digit.lanes} lanes, "
            f"{digit.outer} outer, {digit.kind} ({KINDS[digit.kind]}){partner}"
        )
    if not embedding.digits:
        yield "no digits: one multiply-accumulate a step"


def loop_lines(nest: Nest, steps: int) -> Iterator[str]:
    """The virtual loops, what they mean, and the steps."""
    outer = ", ".join(f"{loop.name} < {loop.extent}" for loop in nest.outer) or "none"
    yield f"outer  {outer}"
    for loop in nest.lanes:
        yield f"lane   {loop.name} < {loop.extent}, {loop.stride} apart on axis {loop.axis}"
    for name, row in nest.dims.items():
        yield f"{name} = {row}"
    for left, right in nest.equal:
        yield f"only where {left} = {right}"
    yield counted(steps, "step")


def layout_lines(layout: Layout) -> Iterator[str]:
    """A packed layout: its name, shape, coordinates, and where elements come from."""
    yield f"layout       {describe(layout)}"
    axes = "".join(f"[{axis}<{extent}]" for axis, extent in layout.axes)
    coordinates = "".join(f"[{c.name}<{c.stored}]" for c in layout.coordinates)
    yield f"packed       {coordinates}{axes}"
    for c in layout.coordinates:
        sum_of = " + ".join(n if f == 1 else f"{f}*{n}" for n, f in c.terms)
        shift = f", stored from {c.low} to {c.high - 1}" if c.is_padded else ""
        if shift or sum_of != c.name:
            yield f"coordinate   {c.name} = {sum_of}{shift}"
    yield from (f"element      {line}" for line in layout.formulas())


def _steps(design: Design) -> Iterator[str]:
    """What is done to finished accumulators, a line a pass."""
    for each in design.alu.passes:
        named = isinstance(each.src, Vector) and each.src.tensor.name
        if isinstance(each.src, Product):
            what = f"GEMM + {design.operator.terms[each.src.number]}"
        elif each.opcode is None and each.src in design.alu.products:
            what = f"GEMM + {named}, its digits times a constant, through port wgt"
        elif each.opcode is None:
            what = f"GEMM + {named} * identity, through port inp" if named else "reset"
        else:
            what = f"{each.opcode.name} {named or each.src}"
        yield f"{each.dst:<8}{what}{', once' if each.once else ''}"
    if not design.alu.passes:
        yield "none"


def schedule_lines(code: Code) -> Iterator[str]:
    """The tile loops, the slowest first, and the contexts."""
    loops, schedule = code.design.nest.outer, code.schedule
    for place in schedule.order:
        loop, tile = loops[place], schedule.tile[place]
        tiles = counted(-(-loop.extent // tile), "tile")
        yield f"{loop.name}: {tiles} of {tile} (of {loop.extent})"
    yield f"contexts: {schedule.load_contexts} for loads, {schedule.acc_contexts} for accumulators"


def instruction_lines(code: Code) -> Iterator[str]:
    """How many instructions of each kind, and micro-ops."""
    table, uops = code.instructions()
    opcodes = table[:, Column.OPCODE]
    kinds = {op.name: int((opcodes == op).sum()) for op in Opcode}
    each = ", ".join(f"{n} {k}" for k, n in kinds.items() if n)
    yield f"{counted(len(table), 'instruction')}: {each}"
    yield counted(len(uops), "micro-op")


def _cycles(timing: TimingReport, bound: int | None) -> Iterator[str]:
    distance = f", {timing.cycles / bound:.3f} of the lower bound {bound:,}" if bound else ""
    yield f"{timing.cycles:,} cycles{distance}"
    for name in ("load", "compute", "store"):
        module: ModuleReport = getattr(timing, name)
        parts = {
            "busy": module.busy,
            "waiting for a token": module.waiting_for_token,
            "for the bus": module.waiting_for_bus,
            "idle": module.idle,
        }
        yield f"{name:<8}" + ", ".join(
            f"{part} {cycles / timing.cycles:.1%}" for part, cycles in parts.items()
        )
    yield f"read channel moves data {timing.read_beats / timing.cycles:.1%} of the time"
    yield "DRAM bytes: " + ", ".join(f"{name} {count:,}" for name, count in timing.bytes.items())


def _roofline(position: Roofline) -> Iterator[str]:
    reached, limit = position.achieved / position.attainable, position.limit
    yield f"{position.intensity:.4g} multiply-accumulates for each byte read: {limit} bound"
    yield (
        f"{position.achieved:.4g} multiply-accumulates a cycle, {reached:.1%} of the "
        f"{position.attainable:.4g} under the roof (peak {position.peak:,})"
    )
