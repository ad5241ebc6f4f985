"""Instructions as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from isa import intrinsics
from isa.computation import Computation
from isa.errors import InputError

VTA = {"batch": 2, "block_out": 4, "block_in": 8}

SHAPES = {
    "amx_tdpbssd": ((16, 64), (64, 16), (16, 16)),
    "arm_sdot": ((4, 4), (4, 4), (4,)),
    "arm_sdot_lane": ((4, 4), (4,), (4,)),
    "arm_smmla": ((2, 8), (2, 8), (2, 2)),
    "avx512_vpdpbusd": ((16, 4), (16, 4), (16,)),
    "gemmini_16x16x16": ((16, 16), (16, 16), (16, 16)),
    "gemv16x16": ((16,), (16, 16), (16,)),
    "nvidia_m16n16k16": ((16, 16), (16, 16), (16, 16)),
    "nvidia_m16n8k16": ((16, 16), (8, 16), (16, 8)),
    "outer16x16": ((16,), (16,), (16, 16)),
    "vta_gemm": ((2, 8), (4, 8), (2, 4)),
}


def ports(computation: Computation) -> tuple[tuple[int, ...], ...]:
    """The shapes of the three ports."""
    return computation.in0.shape, computation.in1.shape, computation.out.shape


def test_names() -> None:
    """What ships is listed, sorted."""
    assert intrinsics.names() == list(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_ports(name: str) -> None:
    """Each instruction has its ports' shapes, and a letter for each of their dimensions."""
    intrinsic = intrinsics.load(name, VTA)
    assert intrinsic.name == name
    assert ports(intrinsic) == SHAPES[name]
    for tensor in (intrinsic.in0, intrinsic.in1, intrinsic.out):
        assert len(set(tensor.letters)) == len(tensor.shape)


def test_vta_gemm() -> None:
    """VTA's GEMM has its three axes in order, and each port lacks one of them."""
    intrinsic = intrinsics.load("vta_gemm", VTA)
    assert intrinsic.extents == {"x": 2, "y": 4, "z": 8}
    assert list(intrinsic.extents) == ["x", "y", "z"]
    assert [t.name for t in (intrinsic.in0, intrinsic.in1, intrinsic.out)] == ["inp", "wgt", "acc"]
    assert [t.letters for t in (intrinsic.in0, intrinsic.in1, intrinsic.out)] == ["XZ", "YZ", "XY"]
    assert intrinsic.reductions == ("z",)
    assert intrinsics.load("vta_gemm", {"x": 2, "y": 4, "z": 8}) == intrinsic


def test_vendors_can_be_left_out() -> None:
    """A name without its vendor is enough where no other instruction is called so."""
    assert intrinsics.load("m16n16k16").name == "nvidia_m16n16k16"
    assert intrinsics.load("sdot").name == "arm_sdot"


def test_fixed_extents_stay() -> None:
    """A configuration does not change an instruction whose extents are fixed."""
    assert intrinsics.load("arm_smmla", {"x": 5, "batch": 5}) == intrinsics.load("arm_smmla")


DOCUMENT = """\
name: dot
axes: {lane: 4, z: width}
in0: {name: a, index: [lane, z]}
in1: {name: b, index: ["3*lane + z", 0]}
out: {name: c, index: [lane]}
"""


def test_file(tmp_path: Path) -> None:
    """An instruction may come from a file; ports are as large as their maps reach."""
    path = tmp_path / "dot.yaml"
    path.write_text(DOCUMENT, encoding="utf-8")
    intrinsic = intrinsics.load(path, {"width": 3})
    assert intrinsic.extents == {"lane": 4, "z": 3}
    assert ports(intrinsic) == ((4, 3), (12, 1), (4,))
    assert intrinsics.load(str(path), {"width": 3}) == intrinsic


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("z: width", "z: height", ["axes.z: missing", "height"]),
        ("lane: 4", "lane: 0", ["axes.lane: 0", "greater than"]),
        ("lane: 4", "lane: 1.5", ["axes.lane: 1.5", "integer or", "string"]),
        ("[lane, z]", "[lane, y]", ["in0.index.1: 'y'", "no dimension 'y'", "lane, z"]),
        ("[lane, z]", "[lane, z - 1]", ["in0.index.1: 'z - 1'", "negative"]),
        ("[lane, z]", "[lane + z]", ["in0.index", "lane + z", "share a cell"]),
        ("z: width}", "z: width, w: 2}", ["axes.w: 2", "some port must use"]),
        ("name: c", "nam: c", ["out"]),
        ("name: dot", "name: dot\nlatency: 4", ["latency: 4", "name, axes, in0, in1, out"]),
    ],
)
def test_errors(old: str, new: str, parts: list[str], tmp_path: Path) -> None:
    """Each way to spoil a document is one error that names file, field and value."""
    path = tmp_path / "dot.yaml"
    path.write_text(DOCUMENT.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as error:
        intrinsics.load(path, {"width": 3})
    for part in [str(path), *parts]:
        assert part in str(error.value)


def test_unknown_and_incomplete() -> None:
    """A name that does not ship, and an extent that is not given, are said so."""
    with pytest.raises(InputError, match="did you mean 'vta_gemm'"):
        intrinsics.load("vta_gem")
    with pytest.raises(InputError, match=r"axes\.x: missing.*batch"):
        intrinsics.load("vta_gemm")
    with pytest.raises(InputError, match=r"axes\.z: 0.*1 to"):
        intrinsics.load("vta_gemm", VTA | {"block_in": 0})
