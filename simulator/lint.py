"""Everything that keeps a program from running the same on every VTA, found without data.

`simulator.functional` stops at the first fault of one execution. Here all legal orders of the three
queues count, and everything is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.codec import COUNTERS, MAX_TOKENS, Counter, Queue, Table, queues
from isa.errors import InputError
from isa.fields import Column, Opcode
from simulator.checks import portable_violations, violations
from simulator.counts import element_bytes
from simulator.footprints import Footprints, footprints
from simulator.interleaving import Merged, counter_name, early_pops, merge
from simulator.races import Clocks, accesses, clocks

if TYPE_CHECKING:
    from isa.program_image import Program, Section

RULES = {
    "finish": "FINISH is the last instruction, and all others are complete when it starts",
    "deadlock": "no queue waits for a token that never comes",
    "race": "no two queues use the same memory in an order that tokens leave open",
    "token-order": "a token is pushed earlier in the program than it is popped",
    "tokens-lost": f"a counter holds at most {MAX_TOKENS} tokens",
    "tokens-left": "no token is left for the next program",
    "token-edge": "a token flag leads to a neighbour that the queue has",
    "empty-loop": "GEMM and ALU instructions iterate at least once",
    "empty-uops": "GEMM and ALU instructions have at least one micro-op",
    "uop-range": "micro-ops lie within the scratchpad",
    "uop-unloaded": "micro-ops are loaded before they are used",
    "generated-uops": "micro-ops are not loaded from what the program stores",
    "generated-code": "the program does not store into its own instructions",
    "index-range": "every index of every micro-op lies within its scratchpad",
    "alu-hazard": "no ALU micro-op uses what the one before it writes",
    "alu-uop": "micro-ops of ALU instructions have weight index 0",
    "immediate-source": "immediate ALU instructions have their destination for a source",
    "stale-out": "what is stored was last written by ALU, or by GEMM that is no reset",
    "unwritten": "nothing is read from a scratchpad before it is written",
    "empty-rows": "LOAD and STORE that move elements have at least one row",
    "sram-range": "LOAD and STORE lie within the scratchpad",
    "dram-range": "LOAD and STORE lie within DRAM, and not at address 0",
    "store-padding": "STORE has no padding",
    "nop-padding": "LOAD of no elements has no padding",
    "padding": "only INP and ACC loads pad",
    "uop-rows": "LOAD of micro-ops has one row",
    "acc-8bit": "no 8-bit ACC load",
    "mul": "no ALU MUL",
    "shift": "shifts are by an immediate of -15 to 15, or by a tensor of 0 to 15",
    "accumulation-distance": "an accumulator is used again no sooner than the safe distance",
    "chisel-uops": "for Chisel: micro-ops lie below index 2048",
    "chisel-batch": "for Chisel: the batch is 1",
    "hls-source": "for HLS: an ACC index has no more bits than an INP index",
}
"""Every rule, with what a program that keeps it does."""

CHISEL_UOPS = 2048
PORTABLE, HLS, CHISEL = "portable", "hls", "chisel"
TARGETS = (PORTABLE, HLS, CHISEL)
MAX_DISTANCE = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A rule that a program breaks.

    Attributes:
        instruction: index of the instruction that breaks it.
        rule: one of `RULES`.
        why: what is wrong.
        other: index of another instruction that has part in it, or None.
    """

    instruction: int
    rule: str
    why: str
    other: int | None = None


def check_options(target: str, safe_distance: int) -> None:
    """See that there are such restrictions.

    Raises:
        InputError: it is none of `TARGETS`, or the distance is not of 1 to `MAX_DISTANCE`.
    """
    if target not in TARGETS:
        raise InputError("--target", "", target, f"one of {', '.join(TARGETS)}")
    if not 1 <= safe_distance <= MAX_DISTANCE:
        raise InputError("--safe-distance", "", safe_distance, f"from 1 to {MAX_DISTANCE}")


def lint(
    program: Program,
    inputs: Mapping[str, NDArray[np.generic]] | None = None,
    *,
    target: str = "portable",
    safe_distance: int = 1,
) -> list[Finding]:
    """Every finding in a program, by instruction.

    Args:
        program: what to look at.
        inputs: packed tensors by section; only those matter that are loaded as micro-ops.
        target: one of `TARGETS`; ``hls`` adds what its micro-ops need of the configuration,
            ``chisel`` what its default build needs.
        safe_distance: how many micro-ops after one that writes an accumulator the first one that
            uses it may come; with 1 the next one may. HLS promises nothing for close ones.

    Raises:
        InputError: there is no such target or distance.
    """
    check_options(target, safe_distance)
    config, table, image = program.config, program.table, program.image(inputs or {})
    if not len(table):
        return [Finding(0, "finish", "an empty program never finishes")]
    merged = merge(table)
    found = clocks(table, merged.order)
    touched = footprints(config, table, image, safe_distance=safe_distance)
    findings = [
        *_plain(program, len(image)),
        *_token_findings(table, merged, found),
        *_ending(table, merged, found),
        *_micro_ops(touched),
        *_memory(program, merged, found, touched),
        *_generated_code(program),
    ]
    if target == "chisel":
        findings += _chisel(program)
    if target == HLS:
        findings += _hls(program)
    return sorted(set(findings), key=lambda f: (f.instruction, f.rule, f.why))


def _plain(program: Program, image_bytes: int) -> Iterator[Finding]:
    rules = [*violations(program.config, program.table, image_bytes)]
    for rule, bad, why in [*rules, *portable_violations(program.table)]:
        yield from (Finding(i, rule, why) for i in np.flatnonzero(bad).tolist())


def _token_findings(table: Table, merged: Merged, found: Clocks) -> Iterator[Finding]:
    for stuck in merged.stuck:
        yield Finding(stuck.instruction, "deadlock", str(stuck))
    for i, counter in early_pops(table):
        name = counter_name(counter)
        why = f"waits for a {name} token that is pushed only later in the program, if at all"
        yield Finding(i, "token-order", why)
    queue = queues(table)
    for counter in Counter:
        moves = (COUNTERS[queue] == counter) & (
            table[:, Column.POP_PREV : Column.PUSH_NEXT + 1] != 0
        )
        pops, pushes = moves[:, :2].any(axis=1), moves[:, 2:].any(axis=1)
        name = counter_name(counter)
        excess = int(pushes.sum() - pops.sum())
        if excess > 0 and not merged.stuck:
            first = int(np.flatnonzero(pushes)[-excess])
            yield Finding(first, "tokens-left", f"{excess} {name} tokens are left at the end")
        yield from _lost(merged, found, queue, counter, pops, pushes)


def _lost(
    merged: Merged,
    found: Clocks,
    queue: NDArray[np.int64],
    counter: Counter,
    pops: NDArray[np.bool_],
    pushes: NDArray[np.bool_],
) -> Iterator[Finding]:
    """The first push that finds a counter full in the order in which its consumer is slowest."""
    (consumer,) = np.flatnonzero((COUNTERS[:, :2] == counter).any(axis=1))
    executed = np.zeros(len(queue), np.bool_)
    executed[merged.order] = True
    pushing = np.flatnonzero(pushes & executed)
    popped = np.concatenate([[0], np.cumsum(pops[queue == consumer])])
    waiting = np.arange(1, len(pushing) + 1) - popped[found.before[pushing, consumer]]
    full = np.flatnonzero(waiting > MAX_TOKENS)
    if len(full):
        name = counter_name(counter)
        why = f"up to {int(waiting.max())} {name} tokens may wait, and counters saturate"
        yield Finding(int(pushing[full[0]]), "tokens-lost", f"{why} at {MAX_TOKENS}")


def _ending(table: Table, merged: Merged, found: Clocks) -> Iterator[Finding]:
    """Instructions that may still run when FINISH does."""
    last, queue = len(table) - 1, queues(table)
    if merged.stuck or table[last, Column.OPCODE] != Opcode.FINISH:
        return
    for module in (Queue.LOAD, Queue.STORE):
        places = np.flatnonzero(queue == module)
        complete = int(found.before[last, module])
        if complete < len(places):
            other = int(places[complete])
            why = f"the {module.name.lower()} module may still run instruction {other}"
            yield Finding(last, "finish", why, other)


def _micro_ops(touched: Footprints) -> Iterator[Finding]:
    for i in np.flatnonzero(touched.which >= 0).tolist():
        for fault in touched.faults[touched.which[i]]:
            yield Finding(i, fault.rule, fault.why)


def _memory(
    program: Program, merged: Merged, found: Clocks, touched: Footprints
) -> Iterator[Finding]:
    result = accesses(program.config, program.table, merged.order, found, touched)
    for race in result.races:
        unit = "byte" if race.memory == "DRAM" else "element"
        why = f"races with instruction {race.first} for {race.memory} {unit} {race.place}"
        yield Finding(race.second, "race", why, race.first)
    for i, element in result.stale:
        why = f"stores ACC element {element}, whose last writer did not write OUT"
        yield Finding(i, "stale-out", why)
    for i, memory, element in result.unwritten:
        yield Finding(
            i, "unwritten", f"reads {memory} element {element}, which nothing has written"
        )
    for i in result.generated:
        yield Finding(i, "generated-uops", "loads micro-ops that the program has stored")


def _generated_code(program: Program) -> Iterator[Finding]:
    table, code = program.table, program.section("INSN")
    stores = table[:, Column.OPCODE] == Opcode.STORE
    bad = stores & _meets(program, code)
    for i in np.flatnonzero(bad).tolist():
        yield Finding(i, "generated-code", "stores into the program's instructions")


def _meets(program: Program, section: Section) -> NDArray[np.bool_]:
    """Which transfers have a row that meets a section of DRAM."""
    column = program.table.T
    size = element_bytes(program.config)[column[Column.MEMORY_TYPE]]
    begin, length = column[Column.DRAM_BASE] * size, column[Column.X_SIZE] * size
    stride = np.maximum(column[Column.X_STRIDE] * size, 1)
    first = np.maximum(0, (section.address - length - begin) // stride + 1)
    last = np.minimum(column[Column.Y_SIZE], -((begin - section.end) // stride)) - 1
    meets: NDArray[np.bool_] = (length > 0) & (first <= last)
    return meets


def _chisel(program: Program) -> Iterator[Finding]:
    table = program.table
    loops = np.isin(table[:, Column.OPCODE], [Opcode.GEMM, Opcode.ALU])
    for i in np.flatnonzero(loops & (table[:, Column.UOP_END] > CHISEL_UOPS)).tolist():
        last = int(table[i, Column.UOP_END]) - 1
        yield Finding(i, "chisel-uops", f"micro-op {last} of {CHISEL_UOPS}")
    if program.config.batch > 1:
        for i in np.flatnonzero(table[:, Column.OPCODE] == Opcode.ALU).tolist():
            why = f"the ALU computes the first of {program.config.batch} batch rows only"
            yield Finding(i, "chisel-batch", why)


def _hls(program: Program) -> Iterator[Finding]:
    depths = program.config.log_depths
    if depths.acc > depths.inp:
        loops = np.isin(program.table[:, Column.OPCODE], [Opcode.GEMM, Opcode.ALU])
        for i in np.flatnonzero(loops).tolist():
            why = f"the source has the {depths.inp} bits of an INP index, not {depths.acc}"
            yield Finding(i, "hls-source", why)
