"""The operations of a model in one form: what is quantised is floats between Q and DQ.

``QLinearConv`` and its like are several operations here, DequantizeLinear of the inputs, the
operation on floats, QuantizeLinear of its output: that is how they are defined. What a float stands
for is then found by walking back to the integers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper

from explorer.network.onnx.file import Array, Model, Op, attributes_of, kind_of
from explorer.network.onnx.shapes import captured
from explorer.network.views import Renamed

RENAMES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Dropout"}
QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
OPEN = "open"
"""Attribute of a DequantizeLinear whose zero point is computed as the model runs."""
BYTES = {"int8", "uint8"}


_OURS = re.compile(r"::\d+\.(\d+|float|scale)$")


def told(name: str) -> str:
    """A tensor as people are told of it: that of the model that one made here belongs to."""
    return _OURS.sub("", name)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A float tensor that is integers times a scale.

    Attributes:
        renamed: the integers: a tensor of the network under other axes.
        scale: what one step of the integers is worth; None in a model of floats.
        zero_point: the integer that stands for zero; None where that is computed as the model runs.
        dtype: the integers'.
    """

    renamed: Renamed
    scale: float | None
    zero_point: int | None
    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A float constant that is integers times scales.

    Attributes:
        values: the integers, their zero point taken away.
        scales: one, or one for each element along an axis.
        axis: that axis.
    """

    values: Array
    scales: Array
    axis: int


class Graph:
    """A model's operations, who writes and who reads each tensor, and what floats stand for.

    Args:
        model: what the file says.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.ops = [op for number in range(len(model.nodes)) for op in _expanded(model, number)]
        self.producers = {name: op for op in self.ops for name in op.outputs if name}
        self.readers: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in filter(None, op.inputs):
                self.readers.setdefault(name, []).append(op)
        for number, node in enumerate(model.nodes):
            for name in captured(node):
                # A graph inside a node reads it, which nothing can be folded into.
                self.readers.setdefault(name, []).append(Op(kind_of(node), (), (), {}, number))
        self.quantised = any(
            "Quantize" in node.op_type or "QLinear" in node.op_type or "Integer" in node.op_type
            for node in model.nodes
        )

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, if it is known."""
        return self.model.shapes.get(name)

    def only_reader(self, name: str) -> Op | None:
        """The operation that alone reads a tensor, once; None where there is no such."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.model.outputs else None

    def parameters(self, op: Op) -> tuple[Array, Array] | None:
        """Scales and zero points of a Q or DQ; None where they are not known, or of blocks."""
        scales = self.model.constants.get(op.input(1))
        if scales is None or scales.ndim > 1 or op.attributes.get("block_size"):
            return None
        zeros = self.model.constants.get(op.input(2)) if op.input(2) else None
        if zeros is None and op.input(2):
            return None
        if zeros is None:
            asked = int(op.attributes.get("output_dtype", 0)) if op.kind == QUANTISE else 0
            usual = np.dtype(np.uint8 if op.kind == QUANTISE else np.int8)
            dtype = helper.tensor_dtype_to_np_dtype(asked) if asked else usual
            zeros = np.zeros(scales.shape, dtype)
        return scales.astype(np.float64), zeros

    # --- What a float stands for ------------------------------------------------------------------

    def quantity(self, name: str) -> Quantity | None:
        """The integers behind a float that varies; in a model of floats, the tensor itself."""
        op = self.producers.get(name)
        if op is not None and op.kind in RENAMES:
            inner = self.quantity(op.inputs[0])
            renamed = self._renamed(op, inner.renamed) if inner else None
            if inner and renamed:
                return Quantity(renamed, inner.scale, inner.zero_point, inner.dtype)
        if op is not None and op.kind == DEQUANTISE:
            found = self.parameters(op)
            integers = self._integers(op.inputs[0])
            if found is None or integers is None or found[0].size != 1:
                return None
            dtype = self.model.dtypes.get(integers.tensor, "other")
            zero = None if op.attributes.get(OPEN) else int(found[1].flat[0])
            return Quantity(integers, float(found[0].flat[0]), zero, dtype)
        shape = self.shape(name)
        if self.quantised or shape is None or name in self.model.constants:
            return None
        return Quantity(Renamed.of(name, shape), None, 0, "int8")

    def _integers(self, name: str) -> Renamed | None:
        """The tensor behind integers that were only renamed."""
        shape = self.shape(name)
        if name in self.model.constants or shape is None:
            return None
        op = self.producers.get(name)
        if op is not None and op.kind in RENAMES and (inner := self._integers(op.inputs[0])):
            return self._renamed(op, inner) or Renamed.of(name, shape)
        if op is not None and op.kind == QUANTISE:
            source = self.producers.get(op.inputs[0])
            inner_value = self.quantity(op.inputs[0]) if source is not None else None
            found = self.parameters(op)
            # Dequantised, renamed, and quantised as it was: the same integers.
            if inner_value and found and found[0].size == 1:
                same = (float(found[0].flat[0]), int(found[1].flat[0]), found[1].dtype.name)
                if same == (inner_value.scale, inner_value.zero_point, inner_value.dtype):
                    return inner_value.renamed
        return Renamed.of(name, shape)

    def _renamed(self, op: Op, value: Renamed) -> Renamed | None:
        """A view after one more renaming."""
        if op.kind == "Transpose":
            axes = op.attributes.get("perm") or reversed(range(len(value.shape)))
            return value.transposed(list(axes))
        shape = self.shape(op.outputs[0])
        if shape is None or math.prod(shape) != math.prod(value.shape):
            return None
        return value.reshaped(shape)

    def constant(self, name: str) -> Constant | None:
        """The integers behind a float constant."""
        op = self.producers.get(name)
        if op is None:
            return None
        if op.kind == DEQUANTISE:
            values, found = self.model.constants.get(op.inputs[0]), self.parameters(op)
            if values is None or found is None:
                return None
            scales, zeros = found
            axis = int(op.attributes.get("axis", 1))
            return _dequantised(values, scales, zeros, axis)
        inner = self.constant(op.inputs[0]) if op.kind in RENAMES else None
        if inner is None:
            return None
        if op.kind == "Transpose":
            axes = list(op.attributes.get("perm") or reversed(range(inner.values.ndim)))
            axis = axes.index(inner.axis % inner.values.ndim) if inner.scales.size > 1 else 0
            return Constant(inner.values.transpose(axes), inner.scales, axis)
        shape = self.shape(op.outputs[0])
        if shape is None or inner.scales.size > 1:
            return None
        return Constant(inner.values.reshape(shape), inner.scales, 0)

    def real(self, name: str) -> Array | None:
        """A float constant as float64, whether it is given as such or by integers."""
        if name in self.model.constants:
            values = self.model.constants[name]
            return values.astype(np.float64) if values.dtype.kind in "fiub" else None
        found = self.constant(name)
        if found is None:
            return self._renamed_real(name)
        scales = found.scales
        if scales.size > 1:
            shape = [1] * found.values.ndim
            shape[found.axis] = scales.size
            scales = scales.reshape(shape)
        return np.asarray(found.values * scales)

    def _renamed_real(self, name: str) -> Array | None:
        """A constant that is renamed though each channel has a scale: a bias that is reshaped."""
        op = self.producers.get(name)
        inner = self.real(op.inputs[0]) if op is not None and op.kind in RENAMES else None
        shape = self.shape(name)
        if op is None or inner is None or shape is None or inner.size != math.prod(shape):
            return None
        if op.kind == "Transpose":
            return inner.transpose(op.attributes.get("perm"))
        return inner.reshape(shape)


def _dequantised(values: Array, scales: Array, zeros: Array, axis: int) -> Constant | None:
    """Integers less their zero points, of one scale or of one for each element along the axis."""
    if scales.size == 1:
        return Constant(values.astype(np.int64) - int(zeros.flat[0]), scales.reshape(-1), 0)
    if not -values.ndim <= axis < values.ndim or values.shape[axis] != scales.size:
        return None
    shape = [1] * values.ndim
    shape[axis] = scales.size
    moved = values.astype(np.int64) - zeros.astype(np.int64).reshape(shape)
    return Constant(moved, scales, axis % values.ndim)


# --- One form -------------------------------------------------------------------------------------


def _expanded(model: Model, number: int) -> Iterator[Op]:
    """A node as operations on floats between DQ and Q."""
    node = model.nodes[number]
    given = attributes_of(node)
    inputs, outputs = tuple(node.input), tuple(node.output)
    make = _Making(number, model)
    kind = kind_of(node)
    if kind == "QLinearConv":
        x, w = make.dequantised(inputs[0:3], 1), make.dequantised(inputs[3:6], 0)
        bias = make.bias(inputs[8], inputs[1], inputs[4]) if len(inputs) > 8 and inputs[8] else ""
        middle = make.middle(outputs[0])
        make.op("Conv", (x, w, bias), middle, given)
        make.op(QUANTISE, (middle, *inputs[6:8]), outputs[0], {})
    elif kind == "QLinearMatMul":
        # Scales of columns are along the last axis.
        x, w = make.dequantised(inputs[0:3], -1), make.dequantised(inputs[3:6], -1)
        middle = make.middle(outputs[0])
        make.op("MatMul", (x, w), middle, given)
        make.op(QUANTISE, (middle, *inputs[6:8]), outputs[0], {})
    elif kind == "QGemm" and len(inputs) > 7 and inputs[7]:
        axis = 0 if given.get("transB") else 1
        x, w = make.dequantised(inputs[0:3], 1), make.dequantised(inputs[3:6], axis)
        bias = make.bias(inputs[6], inputs[1], inputs[4]) if inputs[6] else ""
        middle = make.middle(outputs[0])
        make.op("Gemm", (x, w, bias), middle, given)
        make.op(QUANTISE, (middle, *inputs[7:9]), outputs[0], {})
    elif kind == "QLinearAdd":
        a, b = make.dequantised(inputs[0:3], 1), make.dequantised(inputs[3:6], 1)
        middle = make.middle(outputs[0])
        make.op("Add", (a, b), middle, given)
        make.op(QUANTISE, (middle, *inputs[6:8]), outputs[0], {})
    elif kind in {"QLinearGlobalAveragePool", "QLinearAveragePool"} and not given.get(
        "channels_last"
    ):
        x = make.dequantised(inputs[0:3], 1)
        middle = make.middle(outputs[0])
        make.op(kind.removeprefix("QLinear"), (x,), middle, given)
        make.op(QUANTISE, (middle, *inputs[3:5]), outputs[0], {})
    elif kind == "QLinearConcat":
        parts = [make.dequantised(inputs[i : i + 3], 1) for i in range(2, len(inputs), 3)]
        middle = make.middle(outputs[0])
        make.op("Concat", tuple(parts), middle, given)
        make.op(QUANTISE, (middle, *inputs[0:2]), outputs[0], {})
    elif kind in {"ConvInteger", "MatMulInteger"}:
        one = make.one()
        x = make.dequantised((inputs[0], one, *inputs[2:3]), 1)
        w = make.dequantised((inputs[1], one, *inputs[3:4]), 0 if kind == "ConvInteger" else -1)
        make.op(kind.removesuffix("Integer"), (x, w), outputs[0], {**given, "integer": True})
    else:
        yield Op(kind, inputs, outputs, given, number)
        return
    yield from make.ops


class _Making:
    """The operations that one node is, and the tensors between them."""

    def __init__(self, origin: int, model: Model) -> None:
        self.ops: list[Op] = []
        self._origin = origin
        self._model = model

    def op(
        self, kind: str, inputs: tuple[str, ...], output: str, attributes: Mapping[str, Any]
    ) -> None:
        self.ops.append(Op(kind, inputs, (output,), attributes, self._origin))

    def dequantised(self, inputs: tuple[str, ...], axis: int) -> str:
        """The float of integers, their scale and zero point."""
        dynamic = len(inputs) > 2 and inputs[2] != "" and inputs[2] not in self._model.constants
        name = f"{inputs[0]}::{self._origin}.{len(self.ops)}"
        self._model.shapes[name] = self._model.shapes.get(inputs[0])
        if dynamic:
            self.op(DEQUANTISE, inputs[:2], name, {"axis": axis, OPEN: True})
        else:
            self.op(DEQUANTISE, inputs, name, {"axis": axis})
        return name

    def bias(self, name: str, data_scale: str, weight_scale: str) -> str:
        """The float of a bias: its scale is the product of the others."""
        scales = [self._model.constants.get(n) for n in (data_scale, weight_scale)]
        if scales[0] is None or scales[1] is None:
            return name
        scale = f"{name}::{self._origin}.scale"
        product = scales[0].astype(np.float64) * scales[1].astype(np.float64)
        self._model.constants[scale] = product.reshape(-1) if product.size > 1 else product
        return self.dequantised((name, scale), 0)

    def middle(self, output: str) -> str:
        """The float before it is quantised."""
        name = f"{output}::{self._origin}.float"
        self._model.shapes[name] = self._model.shapes.get(output)
        return name

    def one(self) -> str:
        """A scale of 1: integers as they are."""
        self._model.constants["::one"] = np.ones((), np.float64)
        return "::one"
