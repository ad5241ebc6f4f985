"""Execute a binary program, bit for bit as VTA does, and refuse what hardware would not run.

Only the binary and the memory image are read. Instructions run one after the other, in any of the
orders that their tokens allow: those of a program without races all leave the same memory. VTA has
three implementations, and a program is executed as one of them would: see
`simulator.implementations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.codec import decode
from isa.fields import INSTRUCTION_BYTES, Column, Opcode, uop_widths
from simulator.checks import check
from simulator.counts import Counts, count, element_bytes
from simulator.errors import SimulationError
from simulator.execution import execute_all
from simulator.implementations import (
    SEMANTICS,
    Implementation,
    Index,
    Semantics,
    admitted,
    check_admitted,
)
from simulator.interleaving import PROGRAM, Interleaving, execution_order
from simulator.machine import NEVER_LOADED, REASONS, Accumulators, Fault, Machine
from simulator.specialisation import specialise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isa.codec import Table
    from isa.config import Config
    from isa.program_image import Program

_POISON = 0x5A


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a run leaves behind.

    Attributes:
        image: DRAM after the run, uint8; the index is the byte address.
        accumulators: the ACC scratchpad, int32 of shape (depth, batch, block_out).
        counts: DRAM traffic and micro-ops.
        undefined: which bytes of the image the implementation leaves open; none of a portable run.
    """

    image: NDArray[np.uint8]
    accumulators: NDArray[np.int32]
    counts: Counts
    undefined: NDArray[np.bool_]


def run(
    program: Program,
    inputs: Mapping[str, NDArray[np.generic]],
    *,
    portable: bool = True,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
) -> Result:
    """Execute a program on packed inputs; see `isa.program_image.Program.image` and `execute`."""
    instructions = program.section("INSN")
    return execute(
        program.config,
        program.image(inputs),
        instructions.address,
        instructions.size // INSTRUCTION_BYTES,
        portable=portable,
        implementation=implementation,
        interleaving=interleaving,
    )


def run_everywhere(
    program: Program,
    inputs: Mapping[str, NDArray[np.generic]],
    *,
    interleaving: Interleaving = PROGRAM,
) -> dict[Implementation, Result]:
    """Execute a portable program as every implementation that its configuration admits; see `run`.

    Raises:
        SimulationError: the program is not portable.
    """
    config, image = program.config, program.image(inputs)
    code = program.section("INSN")
    table = _decoded(config, image, code.address, code.size // INSTRUCTION_BYTES, portable=True)
    # What makes a program portable does not depend on who executes it: it is checked once.
    check(config, table, table, len(image), portable=True, implementation=Implementation.FSIM)
    found = {}
    for each in admitted(config):
        semantics = SEMANTICS[each]
        executed = specialise(config, table, semantics)
        found[each] = _executed(config, image, executed, semantics, interleaving, portable=True)
    return found


def execute(
    config: Config,
    image: NDArray[np.uint8],
    address: int,
    n: int,
    *,
    portable: bool = True,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
) -> Result:
    """Execute the ``n`` instructions at a byte address of a memory image.

    What an implementation leaves open is poison, and so is all that is computed from it: what a
    scratchpad holds before the program writes it, too. A portable program stores none; of others,
    `Result.undefined` tells where it went.

    Args:
        config: the configuration that the binary is encoded for.
        image: DRAM, uint8; it is not modified.
        address: byte address of the first instruction.
        n: number of instructions.
        portable: also refuse what VTA's implementations do differently, whichever executes: the
            rules of `simulator.checks`, a STORE of what was not last written by an ALU or
            non-reset GEMM micro-op, ALU micro-ops that depend on the one before, tokens popped
            before the program pushes them, and more than 255 tokens waiting.
        implementation: whose semantics executes.
        interleaving: the order in which the queues are executed.

    Raises:
        isa.codec.DecodingError: when the bytes are no instructions.
        isa.errors.InputError: when the configuration cannot be built of the implementation.
        SimulationError: when the implementation would stop, hang or go out of bounds, or the
            program is not portable and has to be.
    """
    check_admitted(config, implementation)
    semantics = SEMANTICS[implementation]
    table = _decoded(config, image, address, n, portable=portable)
    executed = specialise(config, table, semantics)
    check(config, table, executed, len(image), portable=portable, implementation=implementation)
    return _executed(config, image, executed, semantics, interleaving, portable=portable)


def _decoded(
    config: Config, image: NDArray[np.uint8], address: int, n: int, *, portable: bool
) -> Table:
    end = address + n * INSTRUCTION_BYTES
    if address < 0 or end > len(image):
        raise SimulationError(0, f"instructions end at byte {end} of {len(image)}")
    return decode(config, image[address:end], any_store=not portable)


def _executed(
    config: Config,
    image: NDArray[np.uint8],
    executed: Table,
    semantics: Semantics,
    interleaving: Interleaving,
    *,
    portable: bool,
) -> Result:
    """What is left by a program that keeps the rules that can be told from its instructions."""
    order = execution_order(executed, interleaving, portable=portable, semantics=semantics)
    machine = _machine(config, image, executed, semantics)
    fault, instruction, value = execute_all(machine, executed, order, semantics, portable)
    if fault:
        rule, reason = REASONS[Fault(fault)]
        raise SimulationError(instruction, reason.format(value=value), rule)
    accumulators = machine.accumulators.acc.reshape(-1, config.batch, config.block_out)
    return Result(machine.dram, accumulators, count(config, executed), machine.dram_bad)


def _machine(
    config: Config, image: NDArray[np.uint8], table: Table, semantics: Semantics
) -> Machine:
    """The machine before it executes what an implementation makes of a program."""
    lanes = (config.acc_depth, config.batch * config.block_out)
    depths = (config.acc_depth, config.inp_depth, config.wgt_depth)
    more = semantics.beyond == Index.ONE_MORE_BIT
    acc, inp, wgt = ((depth << more) - 1 for depth in depths)  # depths are powers of two
    sizes = element_bytes(config)
    return Machine(
        dram=image.copy(),
        dram_bad=np.zeros(len(image), np.bool_),
        stored_bad=np.zeros(1, np.bool_),
        inp=np.full((config.inp_depth, config.batch, config.block_in), _POISON, np.float32),
        inp_bad=np.ones(config.inp_depth, np.bool_),
        wgt=np.full((config.wgt_depth, config.block_in, config.block_out), _POISON, np.int8),
        wgt_bad=np.ones(config.wgt_depth, np.bool_),
        accumulators=Accumulators(
            acc=np.full(lanes, _POISON * 0x01010101, np.int32),
            bad=np.ones(lanes, np.bool_),
            out=np.full(lanes, _POISON, np.uint8),
            out_bad=np.ones(lanes, np.bool_),
            fresh=np.zeros(config.acc_depth, np.bool_),
        ),
        uops=np.full((config.uop_depth, 3), NEVER_LOADED, np.int64),
        loaded=np.empty(_most_loaded(table, sizes), np.uint8),
        element_bytes=sizes,
        uop_widths=uop_widths(config.log_depths),
        log_inp=config.log_depths.inp,
        masks=(acc, inp, wgt),
    )


def _most_loaded(table: Table, sizes: NDArray[np.int64]) -> int:
    """Bytes that the largest LOAD writes, padding included."""
    loads = table[table[:, Column.OPCODE] == Opcode.LOAD]
    rows = loads[:, [Column.Y_PAD_0, Column.Y_SIZE, Column.Y_PAD_1]].sum(1)
    width = loads[:, [Column.X_PAD_0, Column.X_SIZE, Column.X_PAD_1]].sum(1)
    return int((rows * width * sizes[loads[:, Column.MEMORY_TYPE]]).max(initial=0))
