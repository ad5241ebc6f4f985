"""Blocks of constants that the tool makes: of equal ones a program has one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer.layout.design import Design, designs
from explorer.operators import document, resolve
from explorer.program import verification
from explorer.program.emission import emit
from explorer.ranking import explore
from explorer.report.describe import describe_evaluation
from explorer.schedule.lowering import Code
from explorer.schedule.search import search
from isa.codec import Table
from isa.computation import Operator
from isa.config import Config
from isa.fields import Column, Memory, Opcode
from isa.folder import MANIFEST
from simulator.lint import lint
from tests.explorer.schedule.test_search import check_whole_space

BLOCK8 = Config.load("block8")
TERM = """
  - term:
      dimensions: {n: 1, c: %(c)d, h: 4, w: 3, r%(k)d: %(c)d}
      in0: {name: data%(k)d, shape: [1, %(c)d, 4, 3], index: [n, r%(k)d, h, w], letters: NCHW}
      in1: {name: weight%(k)d, shape: [%(c)d, %(c)d], index: [c, r%(k)d], letters: OI}
      out: [n, c, h, w]%(fill)s"""


def summed(*fills: int, channels: int = 8) -> Operator:
    """A sum of tensors, the first times weights, others times a multiple of the identity."""
    stages = [TERM % {"k": 0, "c": channels, "fill": ""}]
    stages += [
        TERM % {"k": k, "c": channels, "fill": f"\n      fill: {{identity: {fill}}}"}
        for k, fill in enumerate(fills, start=1)
    ]
    out = f"{{name: output, shape: [1, {channels}, 4, 3], letters: NCHW}}"
    text = f"name: sum\nout: {out}\nstages:{''.join(stages)}\n  - shift: 3\n"
    return document.parse(text, "sum")


def loads(table: Table, memory: Memory) -> int:
    """LOADs to a scratchpad that move something."""
    chosen = (table[:, Column.OPCODE] == Opcode.LOAD) & (table[:, Column.MEMORY_TYPE] == memory)
    return int((chosen & (table[:, Column.X_SIZE] > 0)).sum())


def code_of(
    operator: Operator, embedding: str, config: Config = BLOCK8, *, terms: bool = False
) -> Code:
    """The best program of an embedding, of a design whose residuals are terms or not."""
    found = explore.find(operator, config, embedding)
    made = designs(operator, config, explore.gemm_intrinsic(config), found)
    best = search(next(d for d in made if bool(d.alu.terms) == terms)).best
    assert best
    return best.code


def blocks(design: Design) -> list[str]:
    """The names of what lies in section WGT."""
    return [t.layout.tensor.name for t in design.stored if t.section == "WGT"]


@pytest.mark.parametrize(("left", "held"), [(1, ["one"]), (2, ["one", "identity*4"])])
def test_a_sum_of_tensors_shares_the_block_of_its_factor(left: int, held: list[str]) -> None:
    """Both tensors of an addition multiply by one block where they are shifted alike."""
    operator = resolve(f"add:n=1,c=16,h=6,w=5,lhs_left=1,rhs_left={left},shift=1")
    code = code_of(operator, "y+z=c:8", terms=True)
    assert blocks(code.design) == held
    assert code.sizes["WGT"] == len(held) * BLOCK8.wgt_bytes
    assert loads(code.table, Memory.WGT) == len(held)
    assert not lint(code.program)
    data = verification.random_data(operator)
    assert verification.verify(code, data).exact
    manifest = json.loads(emit(code, "raw")[MANIFEST])
    (weights,) = (s["tensor"] for s in manifest["sections"] if s["name"] == "WGT")
    assert [w["name"] for w in (weights if isinstance(weights, list) else [weights])] == held


def test_the_bounds_of_a_shared_block_hold() -> None:
    """Simulating the whole space gives the search's cycles; no bound exceeds a simulation."""
    operator = resolve("add:n=1,c=16,h=3,w=4,shift=1")
    code = code_of(operator, "y+z=c:8", terms=True)
    assert blocks(code.design) == ["one"]
    check_whole_space(code.origin)


@pytest.mark.parametrize(
    ("fills", "held"),
    [
        ((1, 1), ["weight0", "weight1"]),
        ((1, 2), ["weight0", "weight1", "weight2"]),
        ((4, 2, 4), ["weight0", "weight1", "weight2"]),
    ],
)
def test_filled_terms_share_their_blocks(fills: tuple[int, ...], held: list[str]) -> None:
    """Terms that the tool fills alike have one block; what is given is never taken for one."""
    operator = summed(*fills)
    ids = ["y=c:8/z=r0:8", *(f"y=c:8/z=r{n}:8" for n, _ in enumerate(fills, start=1))]
    code = code_of(operator, " + ".join(ids))
    assert blocks(code.design) == held
    assert loads(code.table, Memory.WGT) == len(held)
    assert not lint(code.program)
    assert verification.verify(code, verification.random_data(operator)).exact


def test_exchanged_blocks_are_shared_too() -> None:
    """In a swapped embedding the block is an entry of port inp."""
    operator, config = summed(1, 1, channels=2), Config.load("b2")
    text = " + ".join(f"swap/x=c:2/y=h:4,w:3/z=r{k}:2" for k in range(3))
    code = code_of(operator, text, config)
    held = [t.layout.tensor.name for t in code.design.stored if t.section == "INP"]
    assert held == ["weight0", "weight1"]
    assert loads(code.table, Memory.INP) == len(held)
    assert verification.verify(code, verification.random_data(operator)).exact


def test_it_is_shown_which_block_is_shared() -> None:
    """`show` names the tensor whose block a term has."""
    operator = resolve("add:n=1,c=16,h=6,w=5")
    embedding = explore.find(operator, BLOCK8, "y+z=c:8")
    evaluation = explore.evaluate(operator, BLOCK8, embedding)
    assert evaluation.design.alu.terms
    assert "Packed identity*1 on port wgt, 64 bytes: the block of one" in describe_evaluation(
        evaluation
    )


def test_packed_blocks_are_what_the_terms_say() -> None:
    """Section WGT of a sum holds a multiple of the identity, byte for byte."""
    operator = summed(4, 4)
    ids = " + ".join(["y=c:8/z=r0:8", "y=c:8/z=r1:8", "y=c:8/z=r2:8"])
    code, data = code_of(operator, ids), verification.random_data(operator)
    weights = verification.packed(code, data)["WGT"].reshape(2, 8, 8)
    assert np.array_equal(weights[1], 4 * np.eye(8))
