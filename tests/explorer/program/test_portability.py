"""Generated programs as each of VTA's implementations executes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.portability import COMBINATIONS, KINDS, Case, case, faults
from explorer.program import verification
from isa.codec import Table
from isa.fields import Column, Opcode
from isa.folder import read
from isa.program_image import Program
from simulator import folder_run as runner
from simulator.functional import run
from simulator.implementations import Implementation
from simulator.lint import lint

PROGRAMS = 200
FEW = tuple(range(0, len(COMBINATIONS), 7))


@pytest.mark.slow
def test_random_programs_are_right_as_each() -> None:
    """Programs of every class, epilogue and configuration leave the direct result everywhere.

    They keep all rules, and at least a third has several tiles and a bias or a residual.
    """
    assert len(COMBINATIONS) <= PROGRAMS
    rich = 0
    for number in range(PROGRAMS):
        made = case(number)
        assert made.kind in KINDS
        assert not faults(made), number
        rich += made.is_rich
    assert rich >= PROGRAMS / 3


def _immediates(table: Table) -> NDArray[np.bool_]:
    immediate: NDArray[np.bool_] = (table[:, Column.OPCODE] == Opcode.ALU) & (
        table[:, Column.USE_IMM] == 1
    )
    return immediate


def _as_before(made: Case) -> Program:
    """The program with source 0 in its immediate instructions, as they once were generated."""
    code = made.code
    table, uops = code.table.copy(), code.uops.copy()
    rows = _immediates(table)
    table[rows, Column.SRC_OUT] = table[rows, Column.SRC_IN] = 0
    for begin, end in table[rows, Column.UOP_BGN : Column.UOP_END + 1].tolist():
        uops[begin:end, 1] = 0
    return Program.build(code.design.config, table, uops, code.sizes)


def test_immediates_from_source_0_are_wrong_on_chisel() -> None:
    """That form is right as the C++ simulator and HLS, and wrong as Chisel as a rule."""
    wrong = changed = 0
    for number in FEW:
        made = case(number)
        program = _as_before(made)
        if np.array_equal(program.table, made.code.table):
            continue
        changed += 1
        inputs = verification.packed(made.code, verification.random_data(made.code.design.operator))
        results = {
            each: run(program, inputs, portable=False, implementation=each)
            for each in Implementation
        }
        fsim, hls, chisel = (program.output(result.image) for result in results.values())
        assert np.array_equal(fsim, hls)
        assert "immediate-source" in {finding.rule for finding in lint(program)}
        undefined = results[Implementation.CHISEL].undefined.any()
        wrong += bool(undefined) or not np.array_equal(fsim, chisel)
    assert changed > len(FEW) / 2
    assert wrong > 0.7 * changed  # some change nothing, as a maximum that no output reaches


def test_a_folder_of_before(root: Path) -> None:
    """One that was emitted with source 0 is right as two of the three, and the rule is named."""
    found = runner.run(read(root / "tests" / "golden" / "immediates_from_zero"))
    assert [each.verdict for each in found.executions] == ["as expected", "as expected", "differs"]
    assert found.objection is not None
    assert (found.objection.instruction, found.objection.rule) == (8, "immediate-source")
    assert found.executions[2].wrong > found.executions[2].undefined > 0
