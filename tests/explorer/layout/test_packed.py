"""Packed layouts: what they hold, what they are called, and that unpacking undoes packing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.ids import parse
from explorer.embedding.virtual_loops import nest
from explorer.layout.design import designs
from explorer.layout.packed import derive
from explorer.operators import resolve
from explorer.ranking.explore import find, gemm_intrinsic
from isa.computation import Operator
from isa.config import Config
from tests.strategies import configs, operators

DEFAULT = Config.default()


@settings(max_examples=60)
@given(operators(), configs(), st.data())
def test_unpacking_undoes_packing(operator: Operator, config: Config, data: st.DataObject) -> None:
    """Every element that the operator reads or writes has a lane; outputs have exactly one."""
    intrinsic = gemm_intrinsic(config)
    found = enumerate_embeddings(operator.computation, intrinsic, tuple(CLASSES))
    embedding = data.draw(st.sampled_from(found))
    for design in designs(operator, config, intrinsic, embedding):
        for layout in design.layouts:
            index = layout.gather()
            held = index[index >= 0]
            values = np.arange(1, layout.tensor.size + 1)
            restored = layout.unpack(layout.pack(values.reshape(layout.tensor.shape)))
            assert (restored.reshape(-1)[held] == values[held]).all()
        outputs = design.acc.gather()
        counts = np.bincount(outputs[outputs >= 0], minlength=operator.computation.out.size)
        assert counts.max() == 1


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        ("resnet18:C2", ("NCHW1n16c", "OIHW16o16i", "NCHW1n16c")),
        ("gemm:m=64,n=64,k=64", ("MK1m16k", "NK16n16k", "MN1m16n")),
    ],
)
def test_reference_has_tvms_layout_names(operator: str, names: tuple[str, ...]) -> None:
    """The reference embedding's layouts are the ones TVM names."""
    op = resolve(operator)
    embedding = find(op, DEFAULT, "reference")
    intrinsic = gemm_intrinsic(DEFAULT)
    design = next(iter(designs(op, DEFAULT, intrinsic, embedding)))
    assert tuple(layout.name for layout in design.layouts) == names


def test_halo_shares_entries_that_im2col_copies() -> None:
    """Overlapping windows take fewer entries when they share them."""
    op = resolve("conv2d:n=1,c=16,h=8,w=8,k=16,r=3,s=3")
    intrinsic = gemm_intrinsic(DEFAULT)
    loops = nest(parse("y=oc:16/z=ic:16", op.computation, intrinsic), op.computation)
    sizes = [
        derive(loops, op.computation.in0, intrinsic.in0, intrinsic, role="in0", halo=halo).entries
        for halo in (True, False)
    ]
    assert sizes == [8 * 8, 6 * 6 * 9]


def test_border_of_zeros_is_left_to_the_dma_engine() -> None:
    """With DMA padding, DRAM holds the 8x8 image and not its border."""
    op = resolve("conv2d:n=1,c=16,h=8,w=8,k=16,r=3,s=3,pad=1")
    intrinsic = gemm_intrinsic(DEFAULT)
    loops = nest(parse("y=oc:16/z=ic:16", op.computation, intrinsic), op.computation)
    stored, padded = (
        derive(
            loops, op.computation.in0, intrinsic.in0, intrinsic,
            role="in0", halo=True, dma_padding=dma,
        )
        for dma in (False, True)
    )  # fmt: skip
    assert (stored.entries, padded.entries) == (100, 64)
