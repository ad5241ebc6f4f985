"""Arrays in frameworks' layouts, and random data whose outputs say something."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.operators import catalogue, resolve
from explorer.program.emission import load_data
from explorer.program.framework_arrays import arranged
from explorer.program.verification import direct, random_data
from isa.errors import InputError
from tests.oracles.naive import naive

RNG = np.random.default_rng(0)
CASES = {
    "conv2d:n=2,c=3,h=4,w=5,k=6,r=2,s=3": (("NHWC", "HWIO"), ("nhwc->nchw", "hwio->oihw")),
    "conv2d:n=2,c=4,h=4,w=5,k=6,r=2,s=3,groups=2": (
        ("NCHW", "OIHW"), ("n(gc)hw->ngchw", "(go)ihw->goihw"),
    ),
    "depthwise2d:n=1,c=4,h=4,w=5,r=2,s=3": (("NHWC", "OIHW"), ("nhwc->nchw", "cihw->chw")),
    "depthwise2d:n=1,c=4,h=4,w=5,r=2,s=3,multiplier=2": (
        ("NCHW", "OIHW"), ("nchw->nchw", "(cq)ihw->cqhw"),
    ),
    "attention_scores:b=2,heads=3,m=4,n=5,d=6": (("BMX", "BNX"), ("bm(hd)->bmhd", "bn(hd)->bnhd")),
    "conv2d:n=2,c=3,h=4,w=5,k=6,r=2,s=3,stride=1": (
        ("NHWC", "RSCK"), ("nhwc->nchw", "hwio->oihw"),
    ),
    "conv3d:n=2,c=3,d=3,h=4,w=5,k=6,t=2,r=2,s=3": (
        ("NDHWC", "KCTRS"), ("ndhwc->ncdhw", "oidhw->oidhw"),
    ),
    "depthwise2d:n=1,c=4,h=4,w=5,r=2,s=3,stride=1": (
        ("NHWC", "KCRS"), ("nhwc->nchw", "cihw->chw"),
    ),
    "gemm:m=2,n=3,k=4": (("KM", "KN"), ("km->mk", "kn->nk")),
    "gemm:m=2,n=3,k=4,shift=7": (("NC", "OI"), ("mk->mk", "nk->nk")),
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_arrays_are_arranged(text: str) -> None:
    """An array made from the tensor by the inverse of a layout gives the tensor back."""
    computation = resolve(text).computation
    layouts, rules = CASES[text]
    for tensor, letters, rule in zip(
        (computation.in0, computation.in1), layouts, rules, strict=True
    ):
        wanted = RNG.integers(-128, 128, tensor.shape, np.int8)
        source, target = rule.split("->")
        names = [x for x in source if x.isalpha()]
        sizes = dict(zip(target, tensor.shape, strict=True))
        apart = wanted.transpose([target.index(x) for x in names if x in sizes])
        joined = [sizes.get(x, 1) for x in names]
        if "(" in source:
            place = source.index("(")
            joined[place : place + 2] = [joined[place] * joined[place + 1]]
        array = apart.reshape(joined)
        np.testing.assert_array_equal(arranged(array, letters, tensor, "file"), wanted)


@pytest.mark.parametrize(
    ("letters", "shape"),
    [("NHWC", (2, 3, 4)), ("NHWW", (2, 4, 5, 3)), ("nhwc", (2, 4, 5, 3)), ("NHWC", (2, 5, 4, 3)),
     ("NHWX", (2, 4, 5, 4)), ("N", (2,))],
)  # fmt: skip
def test_layouts_that_do_not_fit_are_refused(letters: str, shape: tuple[int, ...]) -> None:
    """A layout of another rank, of unknown or repeated letters, or of other extents is named."""
    tensor = resolve("conv2d:n=2,c=3,h=4,w=5,k=6,r=2,s=3").computation.in0
    with pytest.raises(InputError, match="--data-layout"):
        arranged(np.zeros(shape, np.int8), letters, tensor, "file")


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("transposed2d:n=1,c=4,h=3,w=4,k=6,r=3,s=2,stride=2,pad=1,output_padding=1,groups=2",
         ((2, 1, 1), (2, 1, 1))),
        ("transposed2d:n=2,c=2,h=3,w=3,k=3,r=2,s=3,stride=3x2,pad=0x1,dilation=2",
         ((3, 0, 2), (2, 1, 2))),
        ("transposed2d:n=1,c=2,h=3,w=3,k=2,r=3,s=3,stride=2x1,pad=1x0x2x0",
         ((2, 1, 1), (1, 2, 1))),
    ],
)  # fmt: skip
def test_kernels_of_transposed_convolutions(
    text: str, grid: tuple[tuple[int, int, int], ...], tmp_path: Path
) -> None:
    """PyTorch's (Cin, Cout/groups, R, S) gives what scattering each input by the kernel gives.

    `grid` is the stride, the border before the output and the dilation along both axes.
    """
    op = resolve(text)
    arguments = dict(part.split("=") for part in text.partition(":")[2].split(","))
    c, k, r, s = (int(arguments[x]) for x in "ckrs")
    groups, n = int(arguments.get("groups", 1)), int(arguments["n"])
    kernel = RNG.integers(-9, 10, (c, k // groups, r, s)).astype(np.int8)
    np.save(tmp_path / "kernel.npy", kernel)
    given = load_data(op, f"weight={tmp_path / 'kernel.npy'}", "weight=IOHW")
    weight, in0 = given["in1"].astype(np.int8), op.computation.in0
    data = RNG.integers(-9, 10, in0.shape).astype(np.int8)
    flat = data.reshape(n, c, *in0.shape[-2:])
    found = naive(op.computation, data, weight)
    high, wide = found.shape[-2:]
    expected = np.zeros((n, k, high, wide), np.int32)
    (sy, py, dy), (sx, px, dx) = grid
    for b, i, o, y, x, t, u in np.ndindex(n, c, k // groups, *flat.shape[2:], r, s):
        row, column = sy * y + dy * t - py, sx * x + dx * u - px
        if 0 <= row < high and 0 <= column < wide:
            out = i // (c // groups) * (k // groups) + o
            expected[b, out, row, column] += int(flat[b, i, y, x]) * int(kernel[i, o, t, u])
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_kernels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Another extent is named; so is what an operator without its arguments lacks."""
    np.save(tmp_path / "w.npy", np.zeros((2, 3, 2, 3), np.int8))
    op = resolve("transposed2d:n=1,c=2,h=3,w=3,k=3,r=3,s=3,stride=2")
    for operator, part in ((op, "H of 2"), (replace(op, name="up"), "'up'")):
        with pytest.raises(InputError, match=part):
            load_data(operator, f"weight={tmp_path / 'w.npy'}", "weight=IOHW")


def test_emit_takes_frameworks_arrays(tmp_path: Path) -> None:
    """PyTorch's depthwise weights (C, 1, R, S) and channels-last data become the tensors."""
    text = "depthwise2d:n=1,c=3,h=4,w=4,r=3,s=3"
    op = resolve(text)
    data = RNG.integers(-128, 128, op.computation.in0.shape, np.int8)
    weight = RNG.integers(-9, 9, op.computation.in1.shape, np.int8)
    for name, array in {
        "d": data, "w": weight, "hwc": data.transpose(0, 2, 3, 1), "c1rs": weight[:, None],
    }.items():  # fmt: skip
        np.save(tmp_path / f"{name}.npy", array)
    results = []
    for files, layouts in [("d,w", ()), ("hwc,c1rs", ("--data-layout", "data=NHWC,weight=OIHW"))]:
        paths = ",".join(str(tmp_path / f"{name}.npy") for name in files.split(","))
        folder = tmp_path / files.replace(",", "")
        done = CliRunner().invoke(
            app, ["emit", text, "scalar", "--out", str(folder), "--data", paths, *layouts]
        )
        assert done.exit_code == 0, done.output
        results.append([(folder / f).read_bytes() for f in ("input.bin", "weight.bin")])
    assert results[0] == results[1]


@pytest.mark.slow
def test_random_outputs_spread() -> None:
    """At most 5 % of the outputs of a shipped layer are saturated; bias and residual included."""
    layers = {e.reference: e.macs for e in catalogue() if e.macs <= 2e7}
    texts = [*layers, "gemm:m=64,n=64,k=64,bias=1,residual=1", "gemm:m=32,n=32,k=65536,shift=0"]
    for text in texts:
        operator = resolve(text)
        out = direct(operator, random_data(operator))
        assert np.mean((out == 127) | (out == -128)) <= 0.05, text
        assert out.size < 100 or out.std() > 5, text


@pytest.mark.parametrize("tiling", ["", ":th=4,tw=4"])
def test_templates_program_is_emitted(tiling: str, tmp_path: Path) -> None:
    """TVM's template is an id of emit; its program is exact, and its cycles are the template's."""
    text, folder = "conv2d:n=1,c=16,h=8,w=8,k=16,r=3,s=3,pad=1", str(tmp_path / "folder")
    done = CliRunner().invoke(app, ["emit", text, f"template{tiling}", "--out", folder])
    assert done.exit_code == 0, done.output
    result = json.loads(CliRunner().invoke(app, ["run", folder, "--json"]).stdout)
    assert result["verdict"] == "as expected"
    shown = CliRunner().invoke(app, ["template", text, "--json", "--tiling", tiling[1:] or "best"])
    assert json.loads(shown.stdout)[0]["cycles"] == result["cycles"]


def test_templates_program_is_refused(tmp_path: Path) -> None:
    """An operator that the template does not take, or a tiling that it does not run, is named."""
    for text, given in [("depthwise2d:n=1,c=3,h=4,w=4,r=3,s=3", "template"),
                        ("gemm:m=4,n=16,k=16", "template:th=3"),
                        ("gemm:m=4,n=16,k=16,rhs=kn", "template")]:  # fmt: skip
        done = CliRunner().invoke(app, ["emit", text, given, "--out", str(tmp_path / "x")])
        assert done.exit_code == 2, done.output
