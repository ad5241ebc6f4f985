"""The product of two blocks, which is what nearly all the time of an execution goes into.

This module is imported by `simulator.jit` when it is needed, as numba is.

It is written as vector instructions, since the loop over lanes, compiled as Python, adds up the
products of each accumulator across a vector register: four times as slow. Sums are taken in
single-precision floats, whose multiply-add every processor has. They are exact: a product of two
8-bit integers is at most 2**14 in size, a float holds every integer up to 2**24, and blocks of at
most 2**8 inputs leave a factor of four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils

if TYPE_CHECKING:
    from collections.abc import Sequence

LANES = (16, 4, 1)
"""Accumulators in a register, the most that divide a block: of the usual blocks, the smallest that
have any use of one, and the others."""

CHAINS = 4
"""Sums side by side: a multiply-add waits four cycles for the one before, and so for no other."""

_INT, _FLOAT = ir.IntType(32), ir.FloatType()


def generate(context: Any, builder: Any, call: Any, values: Any) -> Any:
    """Emit the instructions that stand where `simulator.execution.multiply_block` is called.

    Args:
        context: numba's.
        builder: LLVM's.
        call: the types of what is passed.
        values: what is passed.
    """
    acc, inp, wgt = (
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(call.args[::2], values[::2], strict=True)
    )
    a, i, w = values[1::2]
    batch = cgutils.unpack_tuple(builder, inp.shape, 3)[1]
    _, terms, width = cgutils.unpack_tuple(builder, wgt.shape, 3)
    with cgutils.for_range(builder, batch) as rows:
        target = builder.mul(builder.add(builder.mul(a, batch), rows.index), width)
        row = builder.mul(builder.add(builder.mul(i, batch), rows.index), terms)
        places = (
            builder.gep(acc.data, [target]),
            builder.gep(inp.data, [row]),
            builder.gep(wgt.data, [builder.mul(w, builder.mul(terms, width))]),
        )
        _multiply_row(builder, places, terms, width, LANES)
    return context.get_dummy_value()


def _multiply_row(builder: Any, places: Any, terms: Any, width: Any, lanes: Sequence[int]) -> None:
    """Add a row times a matrix to a row of accumulators, with the first lanes that divide it."""
    first, *others = lanes
    remainder = builder.urem(width, ir.Constant(width.type, first))
    divides = builder.icmp_unsigned("==", remainder, ir.Constant(width.type, 0))
    with builder.if_else(divides) as (then, otherwise):
        with then:
            start, step = ir.Constant(width.type, 0), ir.Constant(width.type, first)
            columns = cgutils.for_range_slice(builder, start, width, step, step.type)
            with columns as (at, _):
                _multiply_lanes(builder, places, terms, width, at, first)
        with otherwise:
            if others:
                _multiply_row(builder, places, terms, width, others)


def _multiply_lanes(builder: Any, places: Any, terms: Any, width: Any, at: Any, lanes: int) -> None:
    """The same of so many accumulators, from the one at `at`."""
    acc, row, matrix = places
    places = builder.gep(acc, [at]), row, builder.gep(matrix, [at])
    several = builder.icmp_unsigned(
        "==", builder.urem(terms, ir.Constant(terms.type, CHAINS)), ir.Constant(terms.type, 0)
    )
    with builder.if_else(several) as (then, otherwise):
        with then:
            _sum_up(builder, places, terms, width, lanes, CHAINS)
        with otherwise:
            _sum_up(builder, places, terms, width, lanes, 1)


def _sum_up(builder: Any, places: Any, terms: Any, width: Any, lanes: int, chains: int) -> None:
    """The same in so many sums side by side, whose number divides that of the terms."""
    acc, row, matrix = places
    floats, integers = ir.VectorType(_FLOAT, lanes), ir.VectorType(_INT, lanes)
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(floats, [floats] * 3), f"llvm.fma.v{lanes}f32"
    )
    octets = ir.VectorType(ir.IntType(8), lanes)
    zero, step = ir.Constant(floats, None), ir.Constant(terms.type, chains)
    sums = [cgutils.alloca_once(builder, floats) for _ in range(chains)]
    for total in sums:
        builder.store(zero, total)
    start, bits = ir.Constant(terms.type, 0), ir.IntType(_INT.width * chains)
    with cgutils.for_range_slice(builder, start, terms, step, terms.type) as (first, _):
        # Lanes that an embedding leaves idle hold zeros, whose products need not be added.
        inputs = builder.bitcast(builder.gep(row, [first]), bits.as_pointer())
        inputs = builder.load(inputs, align=4)
        with builder.if_then(builder.icmp_unsigned("!=", inputs, ir.Constant(bits, 0))):
            for chain, total in enumerate(sums):
                k = builder.add(first, ir.Constant(terms.type, chain))
                factor = _broadcast(builder, builder.load(builder.gep(row, [k])), floats)
                weights = builder.gep(matrix, [builder.mul(k, width)])
                weights = builder.load(builder.bitcast(weights, octets.as_pointer()), align=1)
                weights = builder.sitofp(weights, floats)
                builder.store(builder.call(fma, [factor, weights, builder.load(total)]), total)
    target = builder.bitcast(acc, integers.as_pointer())
    result = builder.load(target, align=4)
    for total in sums:
        result = builder.add(result, builder.fptosi(builder.load(total), integers))
    builder.store(result, target, align=4)


def _broadcast(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of equal lanes."""
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(_INT, 0))
    lanes = ir.Constant(ir.VectorType(_INT, vector.count), None)
    return builder.shuffle_vector(single, undefined, lanes)
