"""The product of two blocks, which is what nearly all the time of an execution goes into.

It is written as vector instructions, since the loop over lanes, compiled as Python, adds up the
products of each accumulator across a vector register: four times as slow. Sums are taken in
single-precision floats, whose multiply-add every processor has. They are exact: a product of two
8-bit integers is at most 2**14 in size, a float holds every integer up to 2**24, and blocks of at
most 2**8 inputs leave a factor of four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from simulator.jit import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDE, NARROW = 16, 4
"""Accumulators in a register: of the usual blocks, and of the smallest that has any use of one."""

_INT, _FLOAT = ir.IntType(32), ir.FloatType()


@jit
def multiply_block(
    acc: NDArray[np.int32],
    inp: NDArray[np.float32],
    wgt: NDArray[np.float32],
    indices: tuple[int, int, int],
) -> None:
    """``acc[a, b, o] += sum over k of inp[i, b, k] * wgt[w, k, o]``, in place, modulo 2**32.

    Whole scratchpads are passed, because views of single elements take as long as the product.

    Args:
        acc: of shape (depth, batch, block_out), as contiguous as the others.
        inp: whole numbers that fit a byte, of shape (depth, batch, block_in).
        wgt: the same of shape (depth, block_in, block_out), which is the other way round than in
            DRAM, so that what is multiplied by one input lies side by side.
        indices: a, i and w.
    """
    a, i, w = indices
    batch, width, terms = inp.shape[1], wgt.shape[2], wgt.shape[1]
    for b in range(batch):
        row, column, target = (i * batch + b) * terms, w * terms * width, (a * batch + b) * width
        if width % WIDE == 0:
            for o in range(0, width, WIDE):
                _add_products_wide(acc, target + o, inp, row, wgt, column + o)
        elif width % NARROW == 0:
            for o in range(0, width, NARROW):
                _add_products_narrow(acc, target + o, inp, row, wgt, column + o)
        else:
            for o in range(width):
                for k in range(terms):
                    acc[a, b, o] += np.int32(inp[i, b, k] * wgt[w, k, o])


def _add_products(lanes: int) -> Any:
    """Compiled: add a row times a matrix to that many accumulators side by side.

    The tensors are followed by where, in elements from their starts, the first accumulator, the
    row, and the matrix's column for the first accumulator are.
    """

    @intrinsic
    def add_products(
        _: object,
        acc: object,
        target: object,
        inp: object,
        row: object,
        wgt: object,
        column: object,
    ) -> object:
        offsets = types.intp
        return signature(types.void, acc, offsets, inp, offsets, wgt, offsets), generate

    def generate(context: Any, builder: Any, call: Any, values: Any) -> Any:
        acc, inp, wgt = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(call.args[::2], values[::2], strict=True)
        )
        _, terms, width = cgutils.unpack_tuple(builder, wgt.shape, 3)
        target, row, column = (
            builder.gep(array.data, [offset])
            for array, offset in zip((acc, inp, wgt), values[1::2], strict=True)
        )
        floats, integers = ir.VectorType(_FLOAT, lanes), ir.VectorType(_INT, lanes)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(floats, [floats] * 3), f"llvm.fma.v{lanes}f32"
        )
        total = cgutils.alloca_once_value(builder, ir.Constant(floats, None))
        builder.store(ir.Constant(floats, None), total)
        with cgutils.for_range(builder, terms) as loop:
            factor = _broadcast(builder, builder.load(builder.gep(row, [loop.index])), floats)
            weights = builder.gep(column, [builder.mul(loop.index, width)])
            weights = builder.load(builder.bitcast(weights, floats.as_pointer()), align=4)
            builder.store(builder.call(fma, [factor, weights, builder.load(total)]), total)
        target = builder.bitcast(target, integers.as_pointer())
        products = builder.fptosi(builder.load(total), integers)
        builder.store(builder.add(builder.load(target, align=4), products), target, align=4)
        return context.get_dummy_value()

    return add_products


def _broadcast(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of equal lanes."""
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(_INT, 0))
    lanes = ir.Constant(ir.VectorType(_INT, vector.count), None)
    return builder.shuffle_vector(single, undefined, lanes)


_add_products_wide = _add_products(WIDE)
_add_products_narrow = _add_products(NARROW)
