"""Steps of an operator as programs: rounding, shifts, clips and what is added, in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.steps import SHIFTS, faults, wrong_halves
from explorer.layout.alu_passes import Part, alu_program
from explorer.layout.design import Design, alternatives, designs, reference_designs
from explorer.operators import resolve
from explorer.program import verification
from explorer.ranking import explore
from explorer.schedule.lowering import Code, lower
from explorer.schedule.search import search
from explorer.schedule.space import Schedule, output_loops
from isa.computation import Add, Affine, Max, Min, Operator, Shift, Step, Tensor
from isa.config import Config
from isa.errors import InputError
from simulator.lint import lint
from simulator.reference import shifted

CONFIG = Config.default()
GEMM = explore.gemm_intrinsic(CONFIG)
BASE = resolve("gemm:m=3,n=20,k=5")


def _channels(name: str) -> Tensor:
    return Tensor(name, (20,), (Affine.of({"n": 1}),), "N")


def _operator(*steps: Step, base: Operator = BASE) -> Operator:
    return replace(base, stages=(base.stages[0], *steps))


def _designs(operator: Operator) -> list[Design]:
    """Those of the reference embedding: one for each way of adding."""
    return list(designs(operator, CONFIG, GEMM, explore.find(operator, CONFIG, "reference")))


def _code(design: Design) -> Code:
    """A program of two tiles along each loop, the last cut short."""
    outputs = output_loops(design)
    extents = [loop.extent for loop in design.nest.outer]
    rest = [i for i in range(len(extents)) if i not in outputs]
    tile = tuple(max(1, extent - 1) for extent in extents)
    return lower(design, Schedule(tile, (*outputs, *rest), 1, 2))


OUTPUT = replace(BASE.out, name="residual")
RESIDUAL = Add(OUTPUT, bits=8)
CASES: dict[str, tuple[Step, ...]] = {
    "even behind a limit": (Shift(8, "half-even"), Max(-128), Min(127)),
    "even, scratch reset": (Shift(3, "half-even"), Max(-128), Min(127)),
    "even, residual with a shift": (
        Add(_channels("bias"), bits=20),
        Shift(8, "half-even"),
        replace(RESIDUAL, left=2),
        Max(-128),
        Min(127),
    ),
    "even by a vector of constants": (Shift(-8), Shift(18, "half-even")),
    "up, short and long": (Shift(5, "half-up"), Shift(-3), Add(70000), Shift(17, "half-up")),
    "even by channel": (Add(_channels("bias"), 20), Shift(_channels("by"), "half-even", (-2, 18))),
    "floor by channel": (Shift(_channels("by"), "floor", (0, 12)), Max(-128), Min(127)),
    "up by channel": (Min(100000), Shift(_channels("by"), "half-up", (-3, 12)), Max(-128)),
    "even by channel, to the left": (Shift(_channels("by"), "half-even", (-4, 0)), Shift(-3)),
    "residual first": (RESIDUAL, Shift(4, "half-even"), Max(0), Min(127)),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_are_exact_everywhere(name: str) -> None:
    """Every implementation leaves the direct result, and no rule of portability is broken."""
    operator = _operator(*CASES[name])
    for code in map(_code, _designs(operator)):
        assert not lint(code.program)
        assert verification.verify(code, verification.random_data(operator, 1)).exact


def test_a_residual_comes_in_as_bytes_or_as_accumulators() -> None:
    """Both ways are designs; one moves a quarter of the other's bytes and takes fewer cycles."""
    operator = resolve("gemm:m=64,n=64,k=16,residual=1")
    loaded, term = (search(design).best for design in _designs(operator))
    assert loaded
    assert term
    sizes = loaded.code.sizes, term.code.sizes
    assert sizes[0]["ACC_BIS"] == 4 * 64 * 64
    assert sizes[1]["ACC_BIS"] == 0
    assert sizes[1]["INP"] - sizes[0]["INP"] == 64 * 64
    assert sizes[1]["WGT"] - sizes[0]["WGT"] == CONFIG.wgt_bytes
    assert term.cycles < loaded.cycles
    fixed = reference_designs(operator, CONFIG, GEMM, explore.find(operator, CONFIG, "reference"))
    assert not any(design.terms for design in fixed)


def test_terms_share_the_identity_of_their_factor() -> None:
    """Three residuals of two scales have two blocks of weights; one beyond a weight is loaded."""
    lefts = (0, 2, 2, 7)
    steps = [Add(replace(OUTPUT, name=f"r{n}"), 8, left) for n, left in enumerate(lefts)]
    plain, terms = _designs(_operator(*steps, Shift(3)))
    assert len(plain.dense) == 4
    blocks = [tensor for tensor in terms.stored if tensor.use.kind == "block"]
    assert (len(terms.dense), len(terms.terms), len(blocks)) == (1, 3, 2)
    for design in (plain, terms):
        data = verification.random_data(design.operator)
        assert verification.verify(_code(design), data, accumulators=False).exact


def test_no_term_where_inputs_have_fewer_lanes() -> None:
    """A vector of 8 inputs cannot stand beside 16 accumulators, so that a residual is loaded."""
    config = replace(CONFIG, log_block_in=3, log_inp_buff_size=14, log_wgt_buff_size=17)
    ways = alternatives(_operator(RESIDUAL), config)
    assert [bool(alu.terms) for alu in ways] == [False]


def _ties(by: int) -> NDArray[np.int32]:
    """All ties up to 2^20, or a hundred where they are farther apart, and their neighbours."""
    half, most = 1 << (by - 1), max(2**20 >> by, 50)
    ties = half + (np.arange(-most, most, dtype=np.int64) << by)
    ends = np.array([-(2**31), -(2**31) + 1, 2**31 - 3 * half - 1, 2**31 - 3 * half])
    near = np.concatenate([ties - 1, ties, ties + 1, ends])
    kept = near[(near >= -(2**31)) & (near <= 2**31 - 3 * half)]
    return kept.astype(np.int32)


@pytest.mark.parametrize("by", range(31))
def test_the_sum_of_two_shifts_rounds_half_to_even(by: int) -> None:
    """The two summands, in int32, are the rounded quotient; for a shift by 0 too."""
    values = _ties(by) if by else np.arange(-9, 9, dtype=np.int32)
    amount = np.array(by)
    greater, gap = (int(Part("by", form).of(amount)) for form in ("even", "gap"))
    upper = values + np.int32(greater)
    found = ((upper + np.int32(gap)) >> (by + 1)) + (upper >> (by + 1))
    assert np.array_equal(found, shifted(values, np.int32(by), "half-even"))


def test_scratch_is_kept_where_a_limit_bounds_what_is_left() -> None:
    """Seven cycles a vector behind a ReLU, eight with a reset where nothing is known."""
    short = alu_program(_operator(Shift(5, "half-even"), Max(0)))
    long = alu_program(_operator(Shift(5, "half-even")))
    assert (short.immediates, short.pairs, short.sweeps) == (5, 2, 0)  # one of them is the ReLU
    assert (long.immediates, long.pairs, long.sweeps) == (4, 2, 1)


def test_what_cannot_be_exact_is_refused() -> None:
    """A bias of 32 bits may leave no room for the addends; the step and the remedy are named."""
    operator = _operator(Add(_channels("bias")), Shift(5, "half-even"))
    with pytest.raises(InputError, match=r"half-even.*give the bits"):
        alu_program(operator)


@pytest.mark.parametrize("by", SHIFTS)
def test_half_even_programs_round_ties_near_ties_and_ends(by: int) -> None:
    """A sample of what ``python -m benchmarks steps --halves`` goes through, in all four bytes."""
    count, wrong = wrong_halves(by, 64, 200)
    assert count > 200
    assert wrong == 0


def test_random_steps_are_right_everywhere() -> None:
    """100 operators of random terms and steps leave the direct result as each implementation."""
    assert not [number for number in range(100) if faults(number)]
