"""Layers from the files of other tools: they compute what the loops of the file say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from explorer.cli import app
from explorer.operators import catalogue, layer_files, resolve
from explorer.operators.workloads import group, members
from isa.computation import Operator
from isa.errors import InputError, InputWarning
from tests.oracles.naive import naive

LAYERS = Path(__file__).resolve().parents[2] / "data" / "layers"
ZIGZAG = str(LAYERS / "zigzag.yaml")

Place = tuple[int, ...]
Nest = Callable[..., tuple[Place, Place, Place]]
"""From the loops' values to a place in the output, the data and the weights."""

# Of each layer: the extents of its loops as the file has them, and what it computes with their
# values, with tensors as the operator has them: NCHW and OIHW, (m, k) and (n, k).
NESTS: dict[str, tuple[tuple[int, ...], Nest]] = {
    "zigzag.yaml:stem": (
        (8, 3, 6, 5, 3, 3),
        lambda k, c, oy, ox, fy, fx: (
            (0, k, oy, ox),
            (0, c, 2 * oy + fy, 2 * ox + fx - 1),
            (k, c, fy, fx),
        ),
    ),
    "zigzag.yaml:2": (
        (8, 2, 3, 2, 3),
        lambda g, ox, oy, fx, fy: ((0, g, oy, ox), (0, g, oy + fy, ox + 2 * fx), (g, fy, fx)),
    ),
    "zigzag.yaml:4": ((4, 24, 6), lambda m, k, n: ((m, n), (m, k), (n, k))),
    "timeloop.yaml": (
        (4, 8, 3, 2, 5, 6),
        lambda c, m, r, s, p, q: ((0, m, q, p), (0, c, s + q, r + 2 * p - 1), (m, c, s, r)),
    ),
    "gemm.yaml": ((4, 6, 24), lambda m, n, k: ((m, n), (m, k), (n, k))),
    "cosa.yaml": (
        (3, 1, 4, 3, 4, 8),
        lambda r, s, p, q, c, k: ((0, k, q, p), (0, c, s + 2 * q, r + p), (k, c, s, r)),
    ),
}


def nested(
    extents: tuple[int, ...], nest: Nest, op: Operator, in0: NDArray[np.int8], in1: NDArray[np.int8]
) -> NDArray[np.int32]:
    """The loop nest as it stands; what is read outside the data is zero."""
    out = np.zeros(op.out.shape, np.int32)
    for values in itertools.product(*map(range, extents)):
        to, data, weight = nest(*values)
        if all(0 <= at < size for at, size in zip(data, in0.shape, strict=True)):
            out[to] += int(in0[data]) * int(in1[weight])
    return out


@pytest.mark.parametrize("reference", NESTS)
def test_what_is_computed(reference: str) -> None:
    """Each layer of the examples computes what its loops say."""
    op, rng = resolve(str(LAYERS / reference)), np.random.default_rng(0)
    in0, in1 = (
        rng.integers(-128, 128, tensor.shape, np.int8)
        for tensor in (op.computation.in0, op.computation.in1)
    )
    assert np.array_equal(naive(op.computation, in0, in1), nested(*NESTS[reference], op, in0, in1))


def test_kinds_and_constants() -> None:
    """Layers have kinds of which references are known; another layer's output is not constant."""
    with pytest.warns(InputWarning, match=r"left out.*1 \(Pooling\), 3 \(Add\)"):
        found = [(e.reference, e.kind) for e in catalogue(ZIGZAG)]
    expected = {"stem": "conv2d", "2": "depthwise2d", "4": "gemm"}
    assert found == [(f"{ZIGZAG}:{label}", kind) for label, kind in expected.items()]
    assert [resolve(r).constants for r, _ in found] == [{"in1"}, {"in1"}, set()]
    assert resolve(str(LAYERS / "timeloop.yaml")).computation.in0.shape == (1, 4, 7, 10)


def test_lists_of_cosa() -> None:
    """A list gives the files beside it; a count gives the layers of its keys, with their number."""
    listed = [r for r, _ in members(str(LAYERS / "cosa_list.yaml"))]
    assert [resolve(r).computation for r in listed] == [
        resolve(str(LAYERS / name)).computation for name in ("cosa.yaml", "gemm.yaml")
    ]
    counted = members(str(LAYERS / "cosa_count.yaml"))
    assert [times for _, times in counted] == [3, 1]
    layer = resolve(counted[0][0])
    assert layer.computation == resolve(str(LAYERS / "cosa.yaml")).computation


def test_an_unknown_product(tmp_path: Path) -> None:
    """What is no kind is an operator by its maps: here a contraction over two dimensions."""
    path = tmp_path / "contraction.yaml"
    path.write_text(
        "problem:\n  shape:\n    dimensions: [I, J, X, Y]\n    data_spaces:\n"
        "    - {name: A, projection: [[[I]], [[X]], [[Y]]]}\n"
        "    - {name: B, projection: [[[Y]], [[J]], [[X]]]}\n"
        "    - {name: Z, projection: [[[J]], [[I]]], read_write: true}\n"
        "  instance: {I: 3, J: 4, X: 5, Y: 6}\n"
    )
    op, rng = resolve(str(path)), np.random.default_rng(0)
    a, b = rng.integers(-9, 9, (3, 5, 6), np.int8), rng.integers(-9, 9, (6, 4, 5), np.int8)
    assert op.kind == "custom"
    expected = np.einsum("ixy,yjx->ji", a.astype(np.int32), b.astype(np.int32))
    assert np.array_equal(naive(op.computation, a, b), expected)


def test_groups_of_reports() -> None:
    """The layers of a file are one group of a report, called after the file."""
    assert {group(r) for r, _ in members(str(LAYERS / "cosa_list.yaml"))} == {"cosa_list"}
    assert group(str(LAYERS / "gemm.yaml")) == "gemm"


def test_commands_take_them() -> None:
    """`operators` lists a file's layers, and commands take one of them."""
    listed = CliRunner().invoke(app, ["operators", str(LAYERS / "cosa_list.yaml")])
    assert listed.exit_code == 0, listed.output
    assert "cosa_list.yaml:gemm" in listed.stdout
    counted = CliRunner().invoke(app, ["count", f"{ZIGZAG}:4"])
    assert counted.exit_code == 0, counted.output


REFUSED = {
    "architecture: {version: 0.4}": ["architecture of Timeloop"],
    "- {name: default, spatial_mapping: {D1: [K, 4]}}": ["mapping of ZigZag"],
    "{LOG_BLOCK: 4, TARGET: sim}": ["configuration of VTA", "--config"],
    "{workloads: [resnet18]}": ["study of explorer sweep"],
    "{colour: red, size: 3}": ["colour", "Timeloop", "ZigZag"],
    "[1, 2]": ["a list", "ZigZag"],
    "problem: {shape: mttkrp, I: 3}": ["mttkrp", "cnn-layer", "gemm-ABZ"],
    "problem: {shape: gemm-ABZ, M: 3, N: 4}": ["problem: K", "missing"],
    "problem: {shape: gemm-ABZ, M: 3, N: 4, K: 1.5}": ["K", "1.5"],
    "- {id: 0, operator_type: Conv, equation: 'O[b]+=W[b]', loop_dims: [B], loop_sizes: [1]}": [
        "layer 0",
        "equation",
    ],
    "- {id: 0, operator_type: X, equation: 'O[b][k]+=W[k][c]*I[b][c]', loop_dims: [B, K], "
    "loop_sizes: [1, 2]}": ["equation", "'c'", "b, k"],
    "- {id: 0, operator_type: X, equation: 'O[b][k]+=W[k][c]*I[b][c]', loop_dims: [B, K, C], "
    "loop_sizes: [1, 2]}": ["loop_sizes"],
    "- {id: 0, operator_type: Add, equation: 'O[b]=W[b]+I[b]', loop_dims: [B], loop_sizes: [2]}": [
        "ZigZag",
        "0 (Add)",
    ],
    "- {id: 0, operator_type: X, equation: 'O[y]+=W[f]*I[i]', dimension_relations: [i=2*y+1*f], "
    "loop_dims: [Y, F], loop_sizes: [4, 3], pr_loop_dims: [I], pr_loop_sizes: [4]}": ["layer 0"],
    "'3_3_1': 4": ["3_3_1"],
    "'3_1_4_3_4_8_1_1_2_1_1': many": ["many", "at least once"],
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_it_is_when_it_cannot(text: str, tmp_path: Path) -> None:
    """A file that is no workload is refused in one line that says what it is, or what is wrong."""
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        resolve(str(path))
    assert all(part in str(error.value) for part in ["file.yaml", *REFUSED[text]])


def test_several_layers() -> None:
    """Where one operator is needed, a file of several names some; an unknown label is told."""
    with pytest.raises(InputError, match=r"ZigZag with 3 layers.*zigzag.yaml:stem"):
        resolve(ZIGZAG)
    with pytest.raises(InputError, match="stem"):
        resolve(f"{ZIGZAG}:sten")
    with pytest.raises(InputError, match=r"1 \(Pooling\) multiplies no two tensors"):
        resolve(f"{ZIGZAG}:1")
    assert layer_files.split("net.yaml:/conv1/Conv") == (Path("net.yaml"), "/conv1/Conv")
    assert layer_files.split("resnet18:C2") is None
