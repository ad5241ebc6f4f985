"""Small programs that tests of several modules share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.codec import Queue, Row, finish, gemm, load, nop, store, table_of
from isa.config import Config
from isa.fields import Memory
from isa.program_image import Program

N = 16  # rows, lanes of input and lanes of output of the product


def product(config: Config | None = None) -> Program:
    """A 16x16x16 matrix product, as VTA's stand-alone compiler lays one out.

    INP lies at byte 0x1000, WGT at 0x2000, OUT at 0x3000, UOP at 0x4000 and INSN at 0x5000. The
    output is the low byte of each accumulator.
    """
    config = config or Config.default()
    return Program.build(
        config,
        table_of(product_rows()),
        np.array([[0, 0, 0], [0, 0, 0]]),
        {"INP": N * config.inp_bytes, "WGT": config.wgt_bytes, "OUT": N * config.out_bytes},
    )


def product_rows() -> list[Row]:
    """The instructions of `product`: reset, load, multiply, store, and a gated FINISH."""
    return [
        load(Memory.UOP, 0, 0x1000, x_size=1),
        gemm(0, 1, iter_in=N, dst=(0, 1), reset=1, push_prev=1),
        load(Memory.INP, 0, 0x100, x_size=N, pop_next=1),
        load(Memory.WGT, 0, 0x20, x_size=1, push_next=1),
        load(Memory.UOP, 1, 0x1001, x_size=1, pop_prev=1),
        gemm(1, 2, iter_in=N, dst=(0, 1), src=(0, 1), push_next=1),
        store(0, 0x300, x_size=N, pop_prev=1, push_prev=1),
        nop(Queue.LOAD, push_next=1),
        nop(Queue.COMPUTE, pop_prev=1, pop_next=1),
        finish(),
    ]


def product_data(seed: int = 0) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.int8]]:
    """Packed inputs of `product`, and the packed output, by numpy."""
    rng = np.random.default_rng(seed)
    inp, wgt = (rng.integers(-128, 128, (N, N), np.int8) for _ in range(2))
    sums = inp.astype(np.int32) @ wgt.astype(np.int32).T
    return {"INP": inp, "WGT": wgt}, sums.astype(np.int8)
