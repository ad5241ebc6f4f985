"""The product that a node begins with: its integers, and what a step of their sums is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from explorer.network.graph import View
from explorer.network.onnx.chain import Chain, logarithm
from explorer.network.onnx.file import Array, Op
from explorer.network.onnx.operations import BYTES, Constant, Graph, Quantity, told
from explorer.network.onnx.products import (
    Product,
    Shape,
    Unfit,
    convolution,
    copy,
    matrices,
    matrix,
    mean,
    phases,
    transposed,
)
from explorer.network.terms import numbered
from isa.computation import Role, Term

PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "AveragePool", "GlobalAveragePool", "Add"}
"""Operations with which a node may begin."""


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """The second factor of a product, where it is constant.

    Attributes:
        values: its integers, as the operation has them; None where the model has floats.
        shape: theirs.
        exponents: of their scales; one, or one for each output channel.
    """

    values: Array | None
    shape: Shape
    exponents: Array


def begin(graph: Graph, op: Op, concat: bool) -> Chain:
    """The chain of one operation.

    Args:
        graph: the model.
        op: one of `PRODUCTS`.
        concat: whether tensors that are joined for it alone are terms of it.

    Raises:
        Unfit: it cannot be a product of 8 bits.
    """
    if op.kind == "Add":
        return _sum(graph, op)
    if op.kind.endswith("AveragePool"):
        return _mean(graph, op)
    parts = joined_parts(graph, op) if concat and op.kind == "Conv" else None
    chain = _terms(graph, op, parts) if parts else _product(graph, op)
    bias = op.input(2) if op.kind in {"Conv", "ConvTranspose", "Gemm"} else ""
    if bias:
        values = graph.real(bias)
        if values is None:
            raise Unfit("its bias is not constant")
        if op.kind in {"Conv", "ConvTranspose"}:
            values = values.reshape(-1, *((1,) * (len(chain.product.shape) - 2)))
        chain.offset(values, bias)
    return chain


def _data(graph: Graph, name: str, notes: list[str]) -> tuple[Quantity, int]:
    """An input that varies, and the exponent of its scale."""
    found = graph.quantity(name)
    if found is None:
        shape = graph.shape(name)
        if shape is None:
            raise Unfit(f"the shape of {told(name)} is not known; --shape may tell it")
        raise Unfit(f"its input {told(name)} is no tensor of 8 bits")
    if found.dtype not in BYTES:
        raise Unfit(f"its input {told(name)} is {found.dtype}")
    exponent = 0 if found.scale is None else logarithm(found.scale, name, notes)
    return found, exponent


def _weights(graph: Graph, op: Op, name: str, notes: list[str]) -> _Weights | None:
    """The second factor, if it is constant: 8 bits, of one scale an output channel at most."""
    shape = graph.shape(name)
    if graph.real(name) is None or shape is None:
        return None
    if not graph.quantised:
        return _Weights(None, shape, np.zeros(1, np.int64))
    found = graph.constant(name)
    if found is None:
        raise Unfit("its weights are floats")
    if found.values.size and not -128 <= found.values.min() <= found.values.max() <= 127:
        raise Unfit("its weights take more than 8 bits")
    scales = _along_channels(op, found)
    exponents = [logarithm(float(s), f"the weights {name}", notes) for s in scales]
    return _Weights(found.values.astype(np.int8), shape, np.array(exponents))


def _along_channels(op: Op, found: Constant) -> Array:
    """The scales of weights, one for all or one for each output channel."""
    rank = found.values.ndim
    axis = {"Conv": 0, "ConvTranspose": 1, "MatMul": rank - 1}.get(op.kind)
    if axis is None:
        axis = 0 if op.attributes.get("transB") else 1
    if found.scales.size == 1:
        return found.scales.reshape(-1)
    if found.axis != axis or (op.kind == "MatMul" and rank > 2):
        raise Unfit("its weights have scales along more than the output channels")
    # Each group of a transposed convolution has the same scales.
    groups = int(op.attributes.get("group", 1)) if op.kind == "ConvTranspose" else 1
    return np.tile(found.scales, groups)


def _product(graph: Graph, op: Op) -> Chain:
    """A product of one input with weights or with another input."""
    notes: list[str] = []
    data, exponent = _data(graph, op.inputs[0], notes)
    weights = _weights(graph, op, op.inputs[1], notes)
    if weights is None:
        return _of_two(graph, op, data, exponent, notes)
    product, values = _with_weights(graph, op, data.renamed.shape, weights)
    chain = _chain(graph, op, product, exponent + weights.exponents, notes)
    chain.note_zero(data, op.inputs[0])
    chain.views.append(data.renamed.view(product.computation.in0.name))
    chain.constants[product.computation.in1.name] = values
    chain.bounds = _bounds(product, values)
    return chain


def _with_weights(
    graph: Graph, op: Op, data: Shape, weights: _Weights
) -> tuple[Product, Array | None]:
    """The product of an operation with constant weights, and these as its kind has them."""
    values, shape = weights.values, weights.shape
    if op.kind == "Conv":
        product = convolution(op, data, shape)
        if values is not None:
            values = values.reshape(product.computation.in1.shape)
    elif op.kind == "ConvTranspose":
        product = transposed(op, data, shape, graph.shape(op.outputs[0]))
        if values is not None:
            values = phases(product, values, int(op.attributes.get("group", 1)))
    else:
        # Constant matrices are turned so that each row makes an output, which costs nothing.
        turned = op.kind == "MatMul" or not op.attributes.get("transB")
        flat = len(shape) == 2
        if turned and flat:
            values = None if values is None else np.ascontiguousarray(values.T)
            shape = shape[::-1]
        right = "nk" if flat else "kn"
        if op.kind == "Gemm":
            product = matrix(op, data, shape, right)
        else:
            product = matrices(data, shape, right)
        if values is not None:
            values = values.reshape(product.computation.in1.shape)
    return product, values


def _bounds(product: Product, values: Array | None) -> Array:
    """How large the sums of each channel can be: 128 times its weights' magnitudes."""
    extents = product.computation.extents
    deepest = int(np.prod([extents[n] for n in product.computation.reductions], dtype=np.int64))
    channels = product.channel.size
    if values is None or values.size % channels or product.computation.name == "batched_matmul":
        return np.array([128 * 128 * deepest], np.int64)
    magnitudes = np.abs(values.astype(np.int64))
    # Channels come first, but for a matrix that is read as (k, n).
    first = product.computation.in1.index[0].terms
    last = bool(first) and first[0][0] in product.computation.reductions
    rows = (magnitudes.T if last else magnitudes).reshape(channels, -1).sum(axis=1)
    return np.asarray(128 * rows, np.int64)


def _of_two(graph: Graph, op: Op, data: Quantity, exponent: int, notes: list[str]) -> Chain:
    """A product of two inputs that vary."""
    if op.kind.startswith("Conv"):
        raise Unfit("its weights are not constant")
    other, further = _data(graph, op.inputs[1], notes)
    right, seen = "kn", other.renamed
    if op.attributes.get("transB"):
        right = "nk"
    elif len(seen.shape) >= 2:
        # A transposed matrix is read as it lies, where that is a form of the kind.
        axes = [*range(len(seen.shape) - 2), len(seen.shape) - 1, len(seen.shape) - 2]
        turned = seen.transposed(axes)
        if turned and turned.innermost and not seen.innermost:
            right, seen = "nk", turned
    if op.kind == "Gemm":
        product = matrix(op, data.renamed.shape, seen.shape, right)
    else:
        product = matrices(data.renamed.shape, seen.shape, right)
    chain = _chain(graph, op, product, np.array([exponent + further]), notes, frozenset())
    for quantity, name, renamed, operand in (
        (data, op.inputs[0], data.renamed, product.computation.in0),
        (other, op.inputs[1], seen, product.computation.in1),
    ):
        chain.note_zero(quantity, name)
        chain.views.append(renamed.view(operand.name))
    chain.bounds = _bounds(product, None)
    return chain


def _chain(
    graph: Graph,
    op: Op,
    product: Product,
    exponents: Array,
    notes: list[str],
    constants: frozenset[Role] = frozenset({"in1"}),
) -> Chain:
    """A chain of a first term; the bounds of its sums are still to be told."""
    term = Term(product.computation, constants)
    bounds = np.zeros(1, np.int64)
    return Chain(graph, product, [op], [term], [], {}, exponents, bounds, notes=notes)


# --- Concat, means and sums -----------------------------------------------------------------------


def joined_parts(graph: Graph, op: Op) -> list[Quantity] | None:
    """The tensors that a Concat joins along the channels for a convolution, if it only renames.

    That is where all parts and the whole have one scale.
    """
    if int(op.attributes.get("group", 1)) != 1:
        return None
    source = graph.producers.get(op.inputs[0])
    integers = graph.quantised
    whole = graph.quantity(op.inputs[0])
    if whole is None:
        return None
    if integers:
        quantised = graph.producers.get(whole.renamed.tensor)
        if quantised is None:
            return None
        source = quantised
        if quantised.kind == "QuantizeLinear":
            source = graph.producers.get(quantised.inputs[0])
    if source is None or source.kind != "Concat" or len(source.inputs) < 2:
        return None
    rank = len(whole.renamed.shape)
    plain = whole.renamed.view("x")
    if int(source.attributes.get("axis", 1)) % rank != 1 or plain.transposes:
        return None
    if graph.shape(whole.renamed.tensor) != whole.renamed.shape:
        return None
    parts = [_part(graph, name, whole) for name in source.inputs]
    found = [part for part in parts if part is not None]
    return found if len(found) == len(parts) else None


def _part(graph: Graph, name: str, whole: Quantity) -> Quantity | None:
    """A part of what is joined, if it has the scale of the whole."""
    part = graph.quantity(name)
    if name in graph.model.constants:
        return None
    if part is None and graph.quantised:
        # Integers that are joined as such: they have the scale of the whole.
        shape = graph.shape(name)
        if shape is None or graph.model.dtypes.get(name) != whole.dtype:
            return None
        return replace(whole, renamed=whole.renamed.of(name, shape))
    if part is None:
        return None
    same = (part.scale, part.zero_point, part.dtype)
    return part if same == (whole.scale, whole.zero_point, whole.dtype) else None


def _terms(graph: Graph, op: Op, parts: list[Quantity]) -> Chain:
    """A convolution over joined tensors: a term for each of them."""
    notes: list[str] = []
    weights = _weights(graph, op, op.inputs[1], notes)
    if weights is None:
        raise Unfit("its weights are not constant")
    chains: list[Chain] = []
    first = 0
    for number, part in enumerate(parts, 1):
        last = first + part.renamed.shape[1]
        shape = (weights.shape[0], last - first, *weights.shape[2:])
        values = None if weights.values is None else weights.values[:, first:last]
        own = replace(weights, values=values, shape=shape)
        product, array = _with_weights(graph, op, part.renamed.shape, own)
        product = replace(product, computation=numbered(product.computation, number))
        exponent = 0 if part.scale is None else logarithm(part.scale, op.inputs[0], notes)
        chain = _chain(graph, op, product, exponent + weights.exponents, notes)
        chain.note_zero(part, op.inputs[0])
        chain.views.append(part.renamed.view(product.computation.in0.name))
        chain.constants[product.computation.in1.name] = array
        chain.bounds = _bounds(product, array)
        chains.append(chain)
        first = last
    whole = chains[0]
    for chain in chains[1:]:
        whole.stages += chain.stages
        whole.views += chain.views
        whole.constants |= chain.constants
        whole.bounds = whole.bounds + chain.bounds
    return whole


def _mean(graph: Graph, op: Op) -> Chain:
    notes: list[str] = []
    data, exponent = _data(graph, op.inputs[0], notes)
    product, shift = mean(op, data.renamed.shape)
    chain = _chain(graph, op, product, np.array([exponent - shift]), notes)
    chain.note_zero(data, op.inputs[0])
    chain.views.append(data.renamed.view(product.computation.in0.name))
    ones = np.ones(product.computation.in1.shape, np.int8) if graph.quantised else None
    chain.constants[product.computation.in1.name] = ones
    chain.bounds = np.array([128 << shift], np.int64)
    return chain


def _sum(graph: Graph, op: Op) -> Chain:
    """An Add of two tensors: one is copied, in the steps that both are counted in."""
    notes: list[str] = []
    names = list(op.inputs[:2])
    if any(graph.real(name) is not None for name in names):
        raise Unfit("it adds a constant to no product")
    found = [_data(graph, name, notes) for name in names]
    # The one of smaller steps is copied; the other is shifted to the left.
    (data, exponent), (other, larger) = sorted(found, key=lambda pair: pair[1])
    if data.renamed.shape != other.renamed.shape:
        raise Unfit("it adds tensors of different shapes")
    product = copy(data.renamed.shape)
    chain = _chain(graph, op, product, np.array([exponent]), notes)
    for (quantity, _), name in zip(found, names, strict=True):
        chain.note_zero(quantity, name)
    ones = np.ones(product.computation.in1.shape, np.int8) if graph.quantised else None
    chain.constants[product.computation.in1.name] = ones
    chain.views.append(data.renamed.view(product.computation.in0.name))
    chain.bounds = np.array([128], np.int64)
    chain.add_tensor(other, larger)
    return chain


def view_of(chain: Chain, tensor: str, shape: Shape) -> View:
    """How the operator's output lies in the tensor that it becomes."""
    out = chain.product.computation.out
    if chain.renamed is None:
        return View.plain(out.name, tensor, shape)
    found = replace(chain.renamed.reverse(out.name), tensor=tensor)
    return found if found.transposes else View.plain(out.name, tensor, shape)
