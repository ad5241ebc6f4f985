"""TVM's template: published counts, tuned layers, and programs that do what the formulas say."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from explorer.baselines import template_search
from explorer.baselines.template import PackedLayer, TvmTiling, tilings
from explorer.baselines.template_program import TvmCode, TvmDesign, lower
from explorer.baselines.template_search import best, lower_bound
from explorer.baselines.template_tile import Kernel, Loop, counters, reason_invalid
from explorer.baselines.tophub import TunedLayer, tuned
from explorer.operators import constructors as build
from explorer.program.verification import Data, random_data
from explorer.schedule.dma import Infeasible
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from simulator import functional
from simulator.counts import count
from simulator.interleaving import PROGRAM, Interleaving
from simulator.lint import lint
from simulator.reference import epilogue
from simulator.timing import simulate
from tests.strategies import configs

DEFAULT = Config.default()
TUNED = [row for row in tuned() if row.template == "conv2d_packed"]
RESNET18 = [row for row in TUNED if row.network == "Resnet-18" and row.config.batch == 1]


def _layer(row: TunedLayer) -> PackedLayer:
    return PackedLayer.of(row.operator, row.config)


def _output(code: TvmCode, data: Data, interleaving: Interleaving = PROGRAM) -> NDArray[np.int8]:
    """What the program's binary computes, as a logical tensor; the same as each implementation."""
    design = code.design
    sections: dict[str, NDArray[np.generic]] = {
        "INP": design.inp.pack(data.in0),
        "WGT": design.wgt.pack(data.in1),
    }
    if design.bias is not None:
        sections["ACC"] = design.bias.pack(data.taken["bias"])
    program = code.program
    results = functional.run_everywhere(program, sections, interleaving=interleaving)
    output, *others = (program.output(result.image) for result in results.values())
    assert all(np.array_equal(output, other) for other in others)
    return design.acc.unpack(output).astype(np.int8)


def _expected(operator: Operator, data: Data) -> NDArray[np.int8]:
    return epilogue(
        operator.epilogue, data.accumulated, data.taken.get("bias"), operator.computation
    )


# ----------------------------------------------------------------------------- published numbers


def test_resnet18_moves_what_was_published() -> None:
    """ResNet-18 with the tuned tiles, without its first layer: what TVM's simulator counted."""
    total: collections.Counter[str] = collections.Counter()
    for row in RESNET18:
        layer = _layer(row)
        # Four 3x3 convolutions a stage; but for the first stage, the first of them is strided.
        repeats = 1 if layer.rows.stride > 1 else 4 if layer.ci == layer.co == 4 else 3
        found = counters(layer, row.tiling)
        for name in ("gemm", "inp_bytes", "wgt_bytes", "out_bytes", "acc_bytes", "uop_bytes"):
            total[name] += repeats * getattr(found, name)
    assert dict(total) == {
        "gemm": 6_623_232,
        "inp_bytes": 5_549_568,
        "wgt_bytes": 12_763_136,
        "out_bytes": 1_680_896,
        "acc_bytes": 30_720,
        "uop_bytes": 22_616,
    }


def test_convolution_tutorial() -> None:
    """The counts that TVM's convolution tutorial prints."""
    operator = build.conv2d(n=1, c=256, h=14, w=14, k=256, r=3, s=3, pad=1)
    layer = PackedLayer.of(operator, DEFAULT)
    tiling = TvmTiling(th=7, tw=14, tci=1, tco=8, oc_nthread=2)
    found = counters(layer, tiling)
    assert (found.inp_bytes, found.wgt_bytes, found.out_bytes) == (114_688, 1_179_648, 50_176)
    assert (found.gemm, found.alu, found.acc_bytes) == (451_584, 9_408, 0)
    # The tutorial's loops stand in another order than the template's: outputs before the kernel.
    gemm = Kernel.fold(*map(Loop, (8, 7, 3, 3, 14)))
    reset = Kernel.fold(*map(Loop, (8, 7, 14)))
    assert 4 * tiling.threads * (gemm.length + reset.length + layer.alu_stages) == 1_144


def test_matrix_multiply_tutorials() -> None:
    """The counts that TVM's tutorials on blocked and on simple matrix multiplication print."""
    blocked = PackedLayer.of(build.gemm(m=1, n=1024, k=1024), DEFAULT)
    found = counters(blocked, TvmTiling(tci=16, tco=16))
    assert (found.inp_bytes, found.wgt_bytes, found.out_bytes) == (4_096, 1_048_576, 1_024)
    assert (found.gemm, found.alu, found.uop_bytes) == (4_096, 192, 20)
    simple = PackedLayer.of(build.gemm(m=1, n=256, k=256, shift=0, clip=False), DEFAULT)
    found = counters(simple, TvmTiling(tci=1, tco=16))
    assert (found.inp_bytes, found.wgt_bytes, found.out_bytes) == (256, 65_536, 256)
    assert (found.gemm, found.alu, found.uop_bytes) == (256, 0, 8)


def test_every_tuned_layer_runs() -> None:
    """No tiling that ran on a board is judged invalid, and each is in the space."""
    assert len(TUNED) == 86
    for row in TUNED:
        layer = _layer(row)
        assert reason_invalid(layer, row.tiling) is None
        assert row.tiling in set(tilings(layer))


def test_best_is_no_worse_than_tuned() -> None:
    """For every ResNet-18 layer, the search finds at least what was tuned on a board."""
    for row in RESNET18:
        found = best(row.operator, row.config)
        assert found is not None
        tuned_code = lower(_layer(row), row.tiling)
        assert found.cycles <= simulate(row.config, tuned_code.table).cycles


def test_log_is_read_whole() -> None:
    """Both templates and both machines of the log, and which times are no measurements."""
    rows = tuned()
    templates = collections.Counter(row.template for row in rows)
    assert templates == {"conv2d_packed": 86, "group_conv2d_packed": 9}
    assert {row.config.bitstream for row in rows} == {
        "1x16_i8w8a32_15_15_18_17",
        "4x8_i8w8a32_15_16_16_18",
    }
    assert {row.network for row in rows if not row.is_measured} == {"Yolo-tiny"}


# ------------------------------------------------------------------------------------- any layer


@st.composite
def layers(draw: st.DrawFn) -> PackedLayer:
    """A small layer of either template, for a machine whose scratchpads force many tiles."""
    channels = st.integers(1, 40)
    n, ci, co = draw(st.integers(1, 5)), draw(channels), draw(channels)
    shift, relu = draw(st.integers(0, 20)), draw(st.booleans())
    bias, clip = draw(st.booleans()), draw(st.booleans())
    if draw(st.booleans()):
        operator = build.gemm(m=n, n=co, k=ci, shift=shift, relu=relu, bias=bias, clip=clip)
        return PackedLayer.of(operator, draw(configs()))
    r, s = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    pad = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    h = draw(st.integers(max(1, r - 2 * pad[0]), 9))
    w = draw(st.integers(max(1, s - 2 * pad[1]), 9))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    operator = build.conv2d(
        n=n, c=ci, h=h, w=w, k=co, r=r, s=s, pad=pad, stride=stride,
        shift=shift, relu=relu, bias=bias, clip=clip,
    )  # fmt: skip
    return PackedLayer.of(operator, draw(configs()))


@st.composite
def programs(draw: st.DrawFn) -> tuple[PackedLayer, TvmTiling]:
    """A layer with any tiling that runs."""
    layer = draw(layers())
    runnable = [t for t in tilings(layer) if reason_invalid(layer, t) is None]
    assume(runnable)
    return layer, draw(st.sampled_from(runnable))


@given(programs())
def test_programs_move_what_the_formulas_say(program: tuple[PackedLayer, TvmTiling]) -> None:
    """Traffic and micro-ops counted from the instructions are those of the formulas."""
    layer, tiling = program
    found = count(layer.config, lower(layer, tiling).table)
    formula = counters(layer, tiling)
    assert found.bytes == {
        "uop": formula.uop_bytes,
        "inp": formula.inp_bytes,
        "wgt": formula.wgt_bytes,
        "acc": formula.acc_bytes,
        "out": formula.out_bytes,
        "insn": formula.instruction_bytes,
    }
    assert found.gemm_uops == formula.gemm + formula.reset
    assert found.alu_uops == formula.alu


@given(programs(), st.integers(0, 99))
def test_programs_are_exact(program: tuple[PackedLayer, TvmTiling], seed: int) -> None:
    """The binary, executed on packed tensors, computes the operator bit for bit."""
    layer, tiling = program
    data = random_data(layer.operator, seed)
    found = _output(lower(layer, tiling), data)
    np.testing.assert_array_equal(found, _expected(layer.operator, data))


@given(programs(), st.integers(0, 99))
def test_programs_have_no_races(program: tuple[PackedLayer, TvmTiling], seed: int) -> None:
    """The programs break no rule, and in any order of the queues the result is the same."""
    layer, tiling = program
    code, data = lower(layer, tiling), random_data(layer.operator)
    assert not lint(code.program)
    found = _output(code, data, Interleaving("random", seed))
    np.testing.assert_array_equal(found, _expected(layer.operator, data))


@given(programs())
def test_bound_holds(program: tuple[PackedLayer, TvmTiling]) -> None:
    """No program takes fewer cycles than its lower bound."""
    layer, tiling = program
    cycles = simulate(layer.config, lower(layer, tiling).table).cycles
    assert lower_bound(layer, tiling) <= cycles


@given(layers())
def test_best_is_the_least_of_all(layer: PackedLayer) -> None:
    """The search skips no tiling that is better than what it returns."""
    cycles = [
        simulate(layer.config, lower(layer, tiling).table).cycles
        for tiling in tilings(layer)
        if reason_invalid(layer, tiling) is None
    ]
    found = best(layer.operator, layer.config)
    assert (found and found.cycles) == min(cycles, default=None)


@pytest.mark.slow
@pytest.mark.parametrize("row", RESNET18, ids=lambda row: row.operator.name)
def test_tuned_layers_are_exact(row: TunedLayer) -> None:
    """Whole ResNet-18 layers with their tuned tiles, executed in full."""
    data = random_data(row.operator)
    code = lower(_layer(row), row.tiling)
    assert not lint(code.program)
    np.testing.assert_array_equal(_output(code, data), _expected(row.operator, data))


# ------------------------------------------------------------------------------------ the details


@pytest.mark.parametrize(
    ("operator", "tiling", "words"),
    [
        (build.gemm(m=1, n=96, k=32), TvmTiling(tco=4), "does not divide"),
        (build.gemm(m=1, n=64, k=32), TvmTiling(tco=4, oc_nthread=2), "do not divide"),
        (build.gemm(m=1, n=64, k=32), TvmTiling(tco=1, oc_nthread=4), "1 or 2"),
        (
            build.gemm(m=1, n=1024, k=1024),
            TvmTiling(tci=64, tco=32),
            "2048 elements .* WGT .* 1024",
        ),
        (build.conv2d(n=1, c=16, h=64, w=64, k=16, r=1, s=1), TvmTiling(64, 64), "INP .* 2048"),
        (
            build.conv2d(n=1, c=16, h=32, w=32, k=64, r=1, s=1, bias=True),
            TvmTiling(32, 32, 1, 2),
            "2050 elements .* ACC .* 2048",
        ),
        (
            build.conv2d(n=1, c=32, h=8, w=8, k=16, r=3, s=3, pad=1),
            TvmTiling(4, 8, 2, 1),
            "padded .* more than one block",
        ),
        (
            build.conv2d(n=1, c=32, h=8, w=8, k=16, r=3, s=3),
            TvmTiling(2, 3, 2, 1),
            "input tile is no 2-D pattern",
        ),
        (
            build.conv2d(n=1, c=16, h=8, w=8, k=32, r=1, s=1),
            TvmTiling(4, 4, 1, 2),
            "output tile is no 2-D pattern",
        ),
        (
            build.conv2d(n=1, c=16, h=8, w=8, k=16, r=1, s=1, pad=1),
            TvmTiling(1, 10, 1, 1),
            "wholly in the padding",
        ),
        (
            build.conv2d(n=1, c=16, h=8, w=8, k=16, r=17, s=3, pad=(16, 1)),
            TvmTiling(1, 8, 1, 1),
            "pad exceeds",
        ),
        (
            build.conv2d(n=1, c=16, h=8, w=8, k=16, r=3, s=3, pad=1),
            TvmTiling(1, 8, 1, 1),
            "writes the accumulator",
        ),
        (
            build.conv2d(n=1, c=16, h=8, w=8, k=16, r=3, s=3, pad=1),
            TvmTiling(2, 8, 1, 1),
            "writes the accumulator",
        ),
    ],
)
def test_invalid_tilings_say_why(operator: Operator, tiling: TvmTiling, words: str) -> None:
    """A tiling that TVM refuses is refused with the rule it breaks, and cannot be lowered."""
    layer = PackedLayer.of(operator, DEFAULT)
    reason = reason_invalid(layer, tiling)
    assert reason is not None
    with pytest.raises(Infeasible, match=words):
        lower(layer, tiling)


@pytest.mark.parametrize(
    "operator",
    [
        build.conv2d(n=1, c=32, h=8, w=8, k=32, r=3, s=3, groups=2),
        build.conv2d(n=1, c=32, h=8, w=8, k=32, r=3, s=3, dilation=2),
        build.depthwise2d(n=1, c=32, h=8, w=8, r=3, s=3),
        build.batched_matmul(b=2, m=4, n=4, k=4),
    ],
    ids=lambda operator: operator.name,
)
def test_other_operators_are_refused(operator: Operator) -> None:
    """What TVM's two templates do not take is refused by its name."""
    with pytest.raises(InputError, match="without groups or dilation") as caught:
        best(operator, DEFAULT)
    assert operator.name in str(caught.value)


def test_nothing_runs() -> None:
    """A kernel whose weights fill more than the scratchpad has no program."""
    operator = build.conv2d(n=1, c=16, h=40, w=40, k=16, r=33, s=33)
    assert best(operator, DEFAULT) is None


def test_long_programs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is too long is not simulated, and the result says so if it could be better."""
    operator = build.conv2d(n=1, c=64, h=14, w=14, k=256, r=3, s=3, pad=1)
    whole = best(operator, DEFAULT)
    assert whole is not None
    assert whole.is_proven
    length = whole.timing.instructions
    monkeypatch.setattr(template_search, "MAX_INSTRUCTIONS", length - 1)
    rest = best(operator, DEFAULT)
    assert rest is not None
    assert rest.timing.instructions < length
    assert not rest.is_proven
    monkeypatch.setattr(template_search, "MAX_INSTRUCTIONS", 0)
    assert best(operator, DEFAULT) is None


def test_layouts_are_tvms() -> None:
    """The packed layouts have the names that TVM gives them."""
    conv = TvmDesign.of(
        PackedLayer.of(
            build.conv2d(n=4, c=3, h=8, w=8, k=32, r=1, s=1, stride=2), Config.load("b4")
        )
    )
    assert [x.name for x in (conv.inp, conv.wgt, conv.acc)] == [
        "NCHW4n16c",
        "OIHW16o16i",
        "NCHW4n16c",
    ]
    assert conv.inp.shape == (1, 1, 8, 8, 4, 16)
    dense = TvmDesign.of(PackedLayer.of(build.gemm(m=3, n=32, k=64), DEFAULT))
    assert [x.name for x in (dense.inp, dense.wgt, dense.acc)] == ["MK1m16k", "NK16n16k", "MN1m16n"]


def test_two_threads_hide_the_loads() -> None:
    """With one thread nothing overlaps; a second one multiplies while the first one loads."""
    operator = build.conv2d(n=1, c=256, h=14, w=14, k=256, r=3, s=3, pad=1)
    layer = PackedLayer.of(operator, DEFAULT)
    one, two = (
        simulate(DEFAULT, lower(layer, TvmTiling(7, 14, 1, 8, oc_nthread=t)).table) for t in (1, 2)
    )
    assert one.cycles > one.load.busy + one.compute.busy + one.store.busy
    assert two.cycles < 1.1 * two.compute.busy
