"""Layouts by the names that users have for them."""

from __future__ import annotations

import pytest

import explorer
from explorer.embedding.metrics import Keep
from explorer.operators import resolve
from explorer.preference.parsing import Lanes, lanes_of, parse_requirements
from isa.config import Config

CONV = "conv2d:n=1,c=32,h=6,w=6,k=32,r=3,s=3,pad=1"
LANES = lanes_of(Config.default())


def kept(text: str, operator: str = CONV) -> tuple[tuple[int, int], ...]:
    """Block and place of each dimension that a requirement asks for."""
    (found,) = parse_requirements([text], resolve(operator).computation, 256, LANES)
    assert isinstance(found, Keep)
    return found.blocks


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("keep-input-layout=NCHWnc", "keep-input-layout=NCHW1n16c"),
        ("keep-input-layout=NCHW16c", "keep-input-layout=NCHW1n16c"),
        ("keep-input-layout=NHWC", "keep-input-layout=NHWC1n16c"),
        ("keep-weight-layout=OIHWoi", "keep-weight-layout=OIHW16o16i"),
        ("keep-weight-layout=HWIOoi", "keep-weight-layout=OIHW16o16i"),
        ("keep-output-layout=NHWC", "keep-output-layout=NCHW16c"),
        ("keep-weight-layout=KCRS16k16c", "keep-weight-layout=OIHW16o16i"),
        ("keep-weight-layout=RSCKkc", "keep-weight-layout=OIHW16o16i"),
    ],
)
def test_names_that_mean_the_same_bytes(short: str, long: str) -> None:
    """Blocks may lack factors, and plain layouts have the bytes of entries that are full."""
    assert kept(short) == kept(long)


def test_plain_layouts_whose_entries_hold_two_dimensions() -> None:
    """An entry of a plain layout goes on in the next dimension, where the last is one block."""
    few = "conv2d:n=1,c=16,h=8,w=8,k=32,r=1,s=1"
    assert kept("keep-weight-layout=HWOI", few) == kept("keep-weight-layout=OIHW16o16i", few)
    assert kept("keep-weight-layout=HWOI") == kept("keep-weight-layout=OIHW16i")
    lanes: Lanes = {"in0": (4, 16)}
    computation = resolve(few).computation
    plain, blocked = (
        parse_requirements([f"keep-input-layout={name}"], computation, 1024, lanes)
        for name in ("NHWC", "NHWC4w16c")
    )
    assert isinstance(plain[0], Keep)
    assert isinstance(blocked[0], Keep)
    assert plain[0].blocks == blocked[0].blocks


def test_products_have_the_letters_of_dense_layers() -> None:
    """A matrix product's tensors may be called NC and OI, as a dense layer's are."""
    gemm = "gemm:m=16,n=32,k=32"
    assert kept("keep-input-layout=NC16c", gemm) == kept("keep-input-layout=MK16k", gemm)
    assert kept("keep-weight-layout=OI16o16i", gemm) == kept("keep-weight-layout=NK16n16k", gemm)


def test_rows_that_fill_no_entry_stay_unblocked() -> None:
    """Where lanes do not divide the innermost dimension, a plain layout is no blocked one."""
    assert all(block == 1 for block, _ in kept("keep-input-layout=NHWC", CONV.replace("32", "20")))


def test_plain_channels_last_can_be_kept() -> None:
    """NHWC is met by a layout with the same bytes, its border left to the DMA engine."""
    found = explorer.optimize(CONV, require="keep-input-layout=NHWC", prefer="steps")
    assert found.best.answers, found.conflict
    (row,) = found.frame().to_dict("records")
    assert str(row["input"]).endswith("16c dma-pad") or row["dma_padding"]
