"""Small ONNX models with scales that are powers of two, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from explorer.network.onnx.importing import Imported, load
from explorer.network.onnx.reference import execute, run

Array = NDArray[Any]
Form = Literal["qdq", "qlinear"]


CONTRIBUTED = {"QLinearAdd", "QLinearConcat", "QLinearGlobalAveragePool", "QGemm"}
"""Quantised operations of ONNX Runtime that the standard does not have."""


class Writer:
    """A model that grows layer by layer; tensors are named by their integers.

    Args:
        seed: of weights and inputs.
        form: how layers are written.
        unsigned: whether tensors are uint8 with zero point 128.
    """

    def __init__(self, seed: int, form: Form = "qdq", *, unsigned: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        self.form = form
        self.dtype: type[np.int8] | type[np.uint8] = np.uint8 if unsigned else np.int8
        self.zero = np.array(128 if unsigned else 0, self.dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.exponents: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: list[str] = []
        self._count = 0

    def name(self, stem: str) -> str:
        """A name that is not taken."""
        self._count += 1
        return f"{stem}{self._count}"

    def constant(self, array: Array, stem: str = "c") -> str:
        """An initialiser."""
        name = self.name(stem)
        self.constants[name] = array
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A node of one output."""
        output = output or self.name(kind.lower())
        domain = "com.microsoft" if kind in CONTRIBUTED else ""
        made = helper.make_node(
            kind, list(inputs), [output], name=self.name(kind), domain=domain, **attributes
        )
        self.nodes.append(made)
        return output

    def given(self, shape: tuple[int, ...], exponent: int = -4) -> str:
        """An input of the model: integers."""
        name = self.name("x")
        self.inputs.append(name)
        self.shapes[name], self.exponents[name] = shape, exponent
        return name

    def scale(self, exponent: int | Array) -> str:
        """A scale, or one for each channel."""
        return self.constant(np.float32(2.0) ** np.asarray(exponent, np.float32), "scale")

    def dq(self, name: str) -> str:
        """The floats of integers."""
        zero = self.constant(self.zero, "zero")
        return self.node("DequantizeLinear", [name, self.scale(self.exponents[name]), zero])

    def q(self, name: str, exponent: int, shape: tuple[int, ...], stem: str = "y") -> str:
        """The integers of floats."""
        output = self.name(stem)
        zero = self.constant(self.zero, "zero")
        self.node("QuantizeLinear", [name, self.scale(exponent), zero], output)
        self.shapes[output], self.exponents[output] = shape, exponent
        return output

    def weights(self, shape: tuple[int, ...], magnitude: int = 40) -> Array:
        """Random int8 weights."""
        return self.random.integers(-magnitude, magnitude + 1, shape).astype(np.int8)

    def product(
        self,
        kind: Literal["Conv", "ConvTranspose"],
        x: str,
        weight: tuple[int, ...],
        *,
        channels: bool = False,
        bias: bool = True,
        end: Sequence[tuple[str, float, float]] = (),
        coarser: int = 0,
        exponent: int | None = None,
        add: str = "",
        **attributes: Any,
    ) -> str:
        """A convolution, what follows it, and its integers.

        Args:
            kind: of the two.
            x: its input.
            weight: the kernel's shape.
            channels: whether there is a scale for each output channel.
            bias: whether it has one.
            end: ``("Relu", 0, 0)`` or ``("Clip", low, high)`` before the integers.
            coarser: by how many bits the output's scale is larger than it would be.
            exponent: of the output's scale, where it is not to be chosen.
            add: integers that are added before those of the sum.
            attributes: of the node.
        """
        groups = attributes.get("group", 1)
        outs = weight[0] if kind == "Conv" else weight[1] * groups
        deep = prod(weight[1:]) if kind == "Conv" else weight[0] // groups * prod(weight[2:])
        shape = self._shape(kind, x, weight, attributes)
        # So small that the output's scale stays near the input's.
        scales = np.full(outs if kind == "Conv" else weight[1], -9)
        if channels:
            scales = scales - self.random.integers(0, 4, scales.shape)
        own = -9 - (2 if channels else 0)
        output = self.exponents[x] + own + round(log2(40 * deep**0.5)) + 1 + coarser
        output = output if exponent is None else exponent
        w = self.constant(self.weights(weight), "w")
        w_exponent: Array = scales if channels else scales[:1].reshape(())
        b_exponent = self.exponents[x] + (np.tile(scales, outs // scales.size))
        extra = [self.constant(self.random.integers(-2000, 2000, outs).astype(np.int32), "b")]
        if self.form == "qlinear" and not end and not add and kind == "Conv":
            zeros = np.zeros(w_exponent.shape, np.int8)
            y = self.name("y")
            names = [x, self.scale(self.exponents[x]), self.constant(self.zero), w,
                     self.scale(w_exponent), self.constant(zeros), self.scale(output),
                     self.constant(self.zero)]  # fmt: skip
            self.node("QLinearConv", names + (extra if bias else []), y, **attributes)
            self.shapes[y], self.exponents[y] = shape, output
            return y
        axis = 0 if kind == "Conv" else 1
        wf = self.node("DequantizeLinear", [w, self.scale(w_exponent)], axis=axis)
        names = [self.dq(x), wf]
        if bias:
            uniform = b_exponent if channels else b_exponent[:1].reshape(())
            names.append(self.node("DequantizeLinear", [extra[0], self.scale(uniform)], axis=0))
        y = self.node(kind, names, **attributes)
        if add:
            y = self.node("Add", [y, self.dq(add)])
        for ending, low, high in end:
            limits = [self.constant(np.array(v, np.float32)) for v in (low, high)] * (
                ending == "Clip"
            )
            y = self.node(ending, [y, *limits])
        return self.q(y, output, shape)

    def _shape(
        self, kind: str, x: str, weight: tuple[int, ...], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """The shape of what a convolution makes, from ONNX's own inference."""
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            [helper.make_node(kind, ["x", "w"], ["y"], **attributes)], "one",
            [info("x", 1, self.shapes[x]), info("w", 1, weight)], [info("y", 1, None)],
        )  # fmt: skip
        inferred = onnx.shape_inference.infer_shapes(helper.make_model(graph))
        dims = inferred.graph.output[0].type.tensor_type.shape.dim
        return tuple(dim.dim_value for dim in dims)

    def add(self, a: str, b: str, exponent: int, relu: bool = False) -> str:
        """The sum of two tensors."""
        shape = self.shapes[a]
        if self.form == "qlinear" and not relu:
            y = self.name("y")
            names = [n for t in (a, b) for n in
                     (t, self.scale(self.exponents[t]), self.constant(self.zero))]  # fmt: skip
            self.node("QLinearAdd", [*names, self.scale(exponent), self.constant(self.zero)], y)
            self.shapes[y], self.exponents[y] = shape, exponent
            return y
        y = self.node("Add", [self.dq(a), self.dq(b)])
        return self.q(self.node("Relu", [y]) if relu else y, exponent, shape)

    def matrix(self, x: str, columns: int, *, kind: Literal["Gemm", "MatMul"] = "Gemm") -> str:
        """A product with constant columns; a scale for each column, and a bias behind a MatMul."""
        *rows, k = self.shapes[x]
        scales = -9 - self.random.integers(0, 3, columns)
        turned = kind == "Gemm"
        w = self.constant(self.weights((columns, k) if turned else (k, columns)), "w")
        axis = 0 if turned else 1
        wf = self.node("DequantizeLinear", [w, self.scale(scales)], axis=axis)
        b = self.constant(self.random.integers(-500, 500, columns).astype(np.int32), "b")
        bf = self.node("DequantizeLinear", [b, self.scale(self.exponents[x] + scales)], axis=0)
        if turned:
            y = self.node("Gemm", [self.dq(x), wf, bf], transB=1)
        else:
            y = self.node("Add", [self.node("MatMul", [self.dq(x), wf]), bf])
        exponent = self.exponents[x] - 10 + round(log2(40 * k**0.5)) + 1
        return self.q(y, exponent, (*rows, columns))

    def attention(self, x: str) -> str:
        """A matrix of rows times itself transposed, scaled by a power of two."""
        b, m, k = self.shapes[x]
        turned = self.node("Transpose", [self.dq(x)], perm=[0, 2, 1])
        y = self.node("MatMul", [self.dq(x), turned])
        y = self.node("Mul", [y, self.constant(np.array(0.25, np.float32))])
        exponent = 2 * self.exponents[x] - 2 + round(log2(100 * k**0.5)) + 1
        return self.q(y, exponent, (b, m, m))

    def through(self, kind: str, x: str, shape: tuple[int, ...], **attributes: Any) -> str:
        """An operation on floats that keeps the scale: pools and renamings."""
        y = self.node(kind, [self.dq(x)], **attributes)
        return self.q(y, self.exponents[x], shape)

    def triple(self, name: str) -> list[str]:
        """Integers, their scale and zero point, as the QLinear operations take them."""
        return [name, self.scale(self.exponents[name]), self.constant(self.zero)]

    def linear(
        self, kind: str, inputs: Sequence[str], exponent: int, shape: tuple[int, ...],
        before: bool = False, **attributes: Any,
    ) -> str:  # fmt: skip
        """A QLinear operation; the output's scale stands behind the inputs, or before them."""
        y = self.name("y")
        own = [self.scale(exponent), self.constant(self.zero)]
        self.node(kind, [*own, *inputs] if before else [*inputs, *own], y, **attributes)
        self.shapes[y], self.exponents[y] = shape, exponent
        return y

    def concat(self, parts: Sequence[str], exponent: int) -> str:
        """Tensors joined along the channels."""
        y = self.node("Concat", [self.dq(part) for part in parts], axis=1)
        shapes = [self.shapes[part] for part in parts]
        total = sum(shape[1] for shape in shapes)
        return self.q(y, exponent, (shapes[0][0], total, *shapes[0][2:]))

    def model(self, *outputs: str, opset: int = 17) -> onnx.ModelProto:
        """The model."""
        element = TensorProto.UINT8 if self.dtype is np.uint8 else TensorProto.INT8
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "generated",
            [info(name, element, self.shapes[name]) for name in self.inputs],
            [info(name, element, None) for name in outputs],
            [numpy_helper.from_array(a, name) for name, a in self.constants.items()],
        )
        versions = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=9)


def given(imported: Imported, seed: int) -> dict[str, Array]:
    """Random inputs, over the whole range of their types."""
    random, found = np.random.default_rng(seed), dict[str, Array]()
    for name in imported.network.inputs:
        tensor = imported.network.by_name[name]
        if tensor.dtype == "float32":
            found[name] = random.normal(0, 2, tensor.shape).astype(np.float32)
        else:
            low = 0 if tensor.dtype == "uint8" else -128
            found[name] = random.integers(low, low + 256, tensor.shape).astype(tensor.dtype)
    return found


def differing(model: onnx.ModelProto, folder: Path, seed: int = 0) -> tuple[Imported, list[str]]:
    """The network of a model, and its tensors that are not ONNX Runtime's, bit for bit.

    Those within a function of the model's own are not compared.
    """
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    imported = load(path)
    arrays = given(imported, seed)
    ours = run(imported, arrays)
    there = {name for node in model.graph.node for name in node.output}
    there |= {value.name for value in model.graph.output} - {v.name for v in model.graph.input}
    names = [n for n in ours if imported.names[n] in there]
    theirs = [imported.names[n] for n in names]
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    known = {value.name for value in whole.graph.output}
    whole.graph.output.extend(onnx.ValueInfoProto(name=n) for n in theirs if n not in known)
    wanted = execute(whole, {imported.names[n]: a for n, a in arrays.items()}, theirs)
    different = [
        name
        for name, expected in zip(names, wanted, strict=True)
        if ours[name].dtype != expected.dtype or ours[name].tobytes() != expected.tobytes()
    ]
    return imported, different
