"""Epilogues: every step on its own and all together, bit for bit, on the ALU."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.layout.alu_passes import Pass, alu_program
from explorer.operators import document, resolve
from explorer.program import verification
from explorer.ranking import explore
from explorer.schedule.lowering import Code
from isa.computation import Epilogue, Operator
from isa.config import Config
from isa.fields import AluOp, Column, Memory, Opcode
from isa.listing import format_instruction
from simulator.lint import lint
from simulator.reference import accumulate

BASE = "conv2d:n=1,c=5,h=6,w=6,k=20,r=3,s=3,pad=1"


def _code(operator: Operator, config: Config | None = None) -> Code:
    config = config or Config.default()
    embedding = explore.find(operator, config, "reference")
    code = explore.evaluate(operator, config, embedding, effort=4).code
    assert not lint(code.program)
    return code


@pytest.mark.parametrize(
    "steps",
    [
        "shift=0,clip=0",
        "shift=0",
        "shift=1,clip=0",
        "shift=15",
        "shift=16",
        "shift=31",
        "bias=1",
        "relu=1",
        "relu=1,clip=0",
        "residual=1",
        "residual=1,shift=0,clip=0",
        "residual=1,relu=1",
        "bias=1,residual=1,relu=1,shift=6",
        "bias=1,residual=1,relu=1,shift=20,clip=0",
    ],
)
@pytest.mark.parametrize("preset", ["default", "b4"])
def test_each_step_is_exact(steps: str, preset: str) -> None:
    """Outputs and accumulators, with long shifts split and nothing done where nothing is asked."""
    operator = resolve(f"{BASE},{steps}")
    code = _code(operator, Config.load(preset))
    assert verification.verify(code, verification.random_data(operator, seed=1)).exact


@pytest.mark.parametrize("clip", [(-128, 127), (0, 0), (-3, 100), (5, 9)])
def test_any_clip_is_exact(clip: tuple[int, int]) -> None:
    """Limits on either side of zero, with and without ReLU and a residual."""
    plain = resolve(BASE)
    for relu in (False, True):
        for residual in (False, True):
            steps = Epilogue(shift=7, relu=relu, residual=residual, clip=clip)
            operator = plain.followed_by(steps)
            verdict = verification.verify(_code(operator), verification.random_data(operator))
            assert verdict.exact


def test_extreme_values_wrap_as_int32_does() -> None:
    """A bias at the end of the range wraps around before the shift."""
    operator = resolve("gemm:m=4,n=16,k=16,bias=1,residual=1,shift=24")
    bias = np.where(np.arange(16) % 2, 2**31 - 1, -(2**31)).astype(np.int32)
    computation = operator.computation
    in0 = np.full(computation.in0.shape, -128, np.int8)
    data = verification.Data(
        in0,
        in0[:1].repeat(16, axis=0),
        {"bias": bias, "residual": np.full(computation.out.shape, -128, np.int8)},
        accumulate(computation, in0, in0[:1].repeat(16, axis=0)),
    )
    assert verification.verify(_code(operator), data).exact


def test_order_of_the_steps() -> None:
    """Bias, shifts of at most 15, residual, and then the limits, as the documentation has them."""
    operator = resolve("gemm:m=4,n=16,k=16,bias=1,residual=1,relu=1,shift=20")
    table = _code(operator).table
    rows = table[table[:, Column.OPCODE] == Opcode.ALU]
    texts = [" ".join(format_instruction(row).split()[1:3]) for row in rows.tolist()]
    assert texts == ["ADD uops", "SHR 15", "SHR 5", "ADD uops", "MAX 0", "MIN 127"]
    immediate = [p for p in alu_program(operator).passes if isinstance(p.src, int)]
    steps = (AluOp.SHR, 15), (AluOp.SHR, 5), (AluOp.MAX, 0), (AluOp.MIN, 127)
    assert immediate == [Pass(opcode, "acc", number) for opcode, number in steps]


def test_the_residual_is_loaded_as_int32() -> None:
    """No implementation but the C++ simulator widens bytes, so the host has done it."""
    operator = resolve("gemm:m=40,n=40,k=16,residual=1")
    code = _code(operator)
    loads = code.table[code.table[:, Column.OPCODE] == Opcode.LOAD]
    assert Memory.ACC_8BIT not in loads[:, Column.MEMORY_TYPE].tolist()
    entries = code.design.acc.entries
    assert code.sizes["ACC_BIS"] == entries * 64
    moved = loads[loads[:, Column.MEMORY_TYPE] == Memory.ACC]
    assert (moved[:, Column.X_SIZE] * moved[:, Column.Y_SIZE]).sum() == entries


def test_documents_and_texts_ask_for_a_residual() -> None:
    """Both forms give the same epilogue, and it comes back from a document."""
    operator = resolve("gemm:m=4,n=4,k=4,residual=1")
    assert operator.epilogue.residual
    assert operator.name == "gemm:m=4,n=4,k=4,residual=1"
    assert document.parse(document.dump(operator), "test") == operator
    assert not resolve("gemm:m=4,n=4,k=4").epilogue.residual
