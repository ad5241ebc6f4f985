"""From a product along the floats behind it to the next integers: the stages of one operator.

Everything is kept as integers times powers of two. Where a scale is none, the nearest is taken,
and the node says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from explorer.network.graph import View
from explorer.network.onnx.file import Array, Op
from explorer.network.onnx.operations import BYTES, Graph, Quantity, told
from explorer.network.onnx.products import Product, Unfit
from explorer.network.views import Renamed
from isa.computation import Add, Max, Min, Operator, Shift, Stage, Term

EXACT_FLOATS = 2**24
"""Integers up to here are floats of 32 bits, so that a model's own sums of them are exact."""

MOST_LIFTED = 8
"""Bits by which sums are shifted to the left so that what is added to them is a whole number."""

_MOST_LEFT = 22  # 128 times as much, and half of it for rounding, stay within 32 bits
_INT32 = 2**31
_USUAL_SHIFT = 8
_FREE = "its output is renamed, which costs those who read it nothing"


def logarithm(scale: float, name: str, notes: list[str]) -> int:
    """The exponent of a scale, or that of the nearest power of two, which is noted.

    Raises:
        Unfit: the scale is no positive number.
    """
    if not 0 < scale < math.inf:
        raise Unfit(f"the scale of {told(name)} is {scale}")
    fraction, exponent = math.frexp(scale)
    if fraction == 0.5:
        return exponent - 1
    text = f"the scale of {told(name)}, {scale:.6g}, is no power of two"
    if text not in notes:
        notes.append(text)
    return round(math.log2(scale))


def half_even(value: float) -> int:
    """The nearest whole number, of two that are as near the even one."""
    return round(value)


@dataclass(slots=True, eq=False)
class Chain:
    """The stages found so far, and what their sums are worth.

    Attributes:
        graph: the model.
        product: the first term.
        ops: the operations that are in it.
        stages: of the operator.
        views: of its inputs that vary.
        constants: values of its constants by name; None where the model has floats.
        exponents: the logarithm of what a sum's step is worth; one, or one for each channel.
        bounds: how large a sum can be, for each channel.
        low: the least real value that is kept by what has not become a stage yet.
        high: the greatest.
        notes: why the integers are not the model's.
        renamed: the output as it has been renamed, where it has.
        scale: of the integers that come out, and their zero point and type.
    """

    graph: Graph
    product: Product
    ops: list[Op]
    stages: list[Stage]
    views: list[View]
    constants: dict[str, Array | None]
    exponents: Array
    bounds: Array
    low: float = -math.inf
    high: float = math.inf
    notes: list[str] = field(default_factory=list[str])
    renamed: Renamed | None = None
    scale: tuple[float, int, str] | None = None

    def copy(self) -> Chain:
        """The same, to go on from."""
        return replace(
            self,
            ops=list(self.ops),
            stages=list(self.stages),
            views=list(self.views),
            constants=dict(self.constants),
            notes=list(self.notes),
        )

    @property
    def operator(self) -> Operator:
        """The operator of the stages."""
        kind = self.product.computation.name
        return Operator(kind, kind, tuple(self.stages))

    def follow(self, op: Op, name: str) -> None:
        """Take in the operation that reads the sums, or the integers, under a name.

        Raises:
            Unfit: no stage is that.
        """
        steps: Mapping[str, Callable[[Op, str], None]] = {
            "Add": self._add, "Mul": self._scale, "Div": self._scale, "Relu": self._clip,
            "Clip": self._clip, "BatchNormalization": self._normalise, "Cast": self._keep,
            "Identity": self._keep, "QuantizeLinear": self._quantise,
            "DequantizeLinear": self._dequantise, "Reshape": self._rename,
            "Flatten": self._rename, "Transpose": self._rename, "Squeeze": self._rename,
            "Unsqueeze": self._rename,
        }  # fmt: skip
        if op.kind not in steps:
            raise Unfit(f"{op.kind} takes its sums as floats")
        steps[op.kind](op, name)
        self.ops.append(op)

    def _keep(self, op: Op, name: str) -> None:
        """What changes nothing."""
        if op.kind == "Identity" and not self.graph.quantised:
            raise Unfit(_FREE)
        if op.kind == "Cast" and op.attributes.get("to") not in (1, 11):
            raise Unfit("its sums are cast to other integers")

    def _rename(self, op: Op, name: str) -> None:
        if self.scale is not None or not self.graph.quantised:
            raise Unfit(_FREE)
        shape = self.graph.shape(op.outputs[0])
        value = self.renamed or Renamed.of("", self.product.shape)
        if op.kind == "Transpose":
            axes = op.attributes.get("perm") or reversed(range(len(value.shape)))
            self.renamed = value.transposed(list(axes))
        else:
            self.renamed = value.reshaped(shape) if shape is not None else None
        if self.renamed is None:
            raise Unfit("its output is renamed as no view can say")

    # --- What is added ----------------------------------------------------------------------------

    def _add(self, op: Op, name: str) -> None:
        if self.renamed is not None:
            raise Unfit("what is added is renamed before")
        if op.inputs[0] == op.inputs[1]:
            raise Unfit("it is added to itself")
        other = op.inputs[1] if op.inputs[0] == name else op.inputs[0]
        values = self.graph.real(other)
        if values is not None:
            self.offset(values, other)
            return
        quantity = self.graph.quantity(other)
        if quantity is None or quantity.dtype not in BYTES:
            raise Unfit(f"{other}, which is added, is no tensor of 8 bits")
        if quantity.renamed.shape != self.product.shape:
            raise Unfit(f"{other}, which is added, has another shape")
        self.note_zero(quantity, other)
        if quantity.scale is None:
            self.add_tensor(quantity, 0)
            return
        self._flush()
        self.add_tensor(quantity, logarithm(quantity.scale, other, self.notes))

    def add_tensor(self, quantity: Quantity, exponent: int) -> None:
        """Add a tensor of 8 bits, all counted in steps that both are whole numbers of.

        Raises:
            Unfit: their scales are too far apart.
        """
        if quantity.scale is None:
            self._planned(last=False)
            exponent = 0
        elif (self.exponents != exponent).any():
            own = self._uniform()
            if exponent < own:
                self._left(own - exponent)
        left = exponent - int(self.exponents.flat[0])
        if left > _MOST_LEFT:
            raise Unfit(f"what is added is worth 2**{left} of its steps")
        tensor = replace(self.product.computation.out, name=self._free("residual"))
        self.stages.append(Add(tensor, bits=8, left=left))
        self.views.append(quantity.renamed.view(tensor.name))
        self.bounds = self.bounds + (128 << left)

    def offset(self, values: Array, name: str) -> None:
        """Add a constant, the same along all axes but the channels'.

        Raises:
            Unfit: it is not, or does not fit in 32 bits.
        """
        channels = self._by_channel(values, name)
        if not self.graph.quantised:
            steps = [stage for stage in self.stages if not isinstance(stage, Term)]
            if any(not isinstance(stage, Add) for stage in steps):
                raise Unfit("it is moved again after what is added")
            if not steps:
                self._constant_step(None)
            return
        self._flush()
        whole = channels * 2.0**-self.exponents
        lifted = 0
        while (whole != np.rint(whole)).any() and lifted < MOST_LIFTED:
            whole, lifted = whole * 2, lifted + 1
        if (whole != np.rint(whole)).any():
            self.notes.append(f"{name}, which is added, is no whole number of steps")
            whole, lifted = channels * 2.0**-self.exponents, 0
        if lifted:
            self._left(lifted)
        if np.abs(whole).max(initial=0) >= _INT32:
            raise Unfit(f"{name}, which is added, takes more than 32 bits")
        rounded = np.rint(whole).astype(np.int64)
        self.bounds = self.bounds + np.abs(rounded)
        if rounded.any():
            self._constant_step(rounded)

    def _constant_step(self, values: Array | None) -> None:
        bits = 32
        if values is not None:
            largest = int(np.where(values < 0, -values - 1, values).max(initial=0))
            bits = min(largest.bit_length() + 1, 32)
        tensor = replace(self.product.channel, name=self._free("bias"))
        self.stages.append(Add(tensor, bits))
        array = None if values is None else values.astype(np.int32)
        if array is not None:
            array = np.broadcast_to(array, (tensor.size,)).reshape(tensor.shape)
        self.constants[tensor.name] = array

    def _by_channel(self, values: Array, name: str) -> Array:
        """A constant as one value for each channel, or one for all."""
        shape, axis = self.product.shape, self.product.axis
        try:
            full = np.broadcast_shapes(values.shape, shape)
        except ValueError:
            full = ()
        if full != shape:
            raise Unfit(f"{name}, which is added, has another shape")
        if values.size == 1:
            return values.reshape(1)
        own = (1,) * (len(shape) - values.ndim) + values.shape
        if any(extent > 1 for at, extent in enumerate(own) if at != axis):
            raise Unfit(f"{name}, which is added, differs along more than the channels")
        return values.reshape(-1)

    def planned(self) -> Chain:
        """The same with stages to the end, where the model has floats: 8 bits of some scale."""
        ended = self.copy()
        ended._planned(last=True)
        return ended

    def _planned(self, *, last: bool) -> None:
        """What brings sums of floats to 8 bits, as the kinds of operator have it."""
        if not any(isinstance(stage, Shift) for stage in self.stages):
            self.stages.append(Shift(_USUAL_SHIFT))
        low, high = self.low > -math.inf, self.high < math.inf
        if low and not (last and high):
            self.stages.append(Max(0))
        if last:
            self.stages += [Max(0 if low and high else -128), Min(127)]
        self.low, self.high = -math.inf, math.inf

    # --- Scales and bounds ------------------------------------------------------------------------

    def _scale(self, op: Op, name: str) -> None:
        """A factor, which must be positive."""
        if op.kind == "Div" and op.inputs[0] != name:
            raise Unfit("it is divided by its sums")
        other = op.inputs[1] if op.inputs[0] == name else op.inputs[0]
        values = self.graph.real(other)
        if values is None or values.size != 1 or not self.graph.quantised:
            raise Unfit(f"{op.kind} with {other}, which is no number")
        shape = self.renamed.shape if self.renamed else self.product.shape
        if values.ndim > len(shape):
            raise Unfit(f"{op.kind} with {other} adds an axis")
        self._flush_unless_free()
        exponent = logarithm(float(values.flat[0]), other, self.notes)
        self.exponents = self.exponents + (exponent if op.kind == "Mul" else -exponent)

    def _normalise(self, op: Op, name: str) -> None:
        """A factor and an offset for each channel."""
        if self.renamed is not None:
            raise Unfit("what is normalised is renamed before")
        if not self.graph.quantised:
            self.offset(np.zeros(1), name)
            return
        found = [self.graph.real(n) for n in op.inputs[1:5]]
        if any(values is None for values in found):
            raise Unfit("its normalisation is not constant")
        gain, shift, mean, variance = (v.astype(np.float32) for v in found if v is not None)
        factor = gain / np.sqrt(variance + np.float32(op.attributes.get("epsilon", 1e-5)))
        self._flush_unless_free()
        logarithms = [logarithm(float(f), f"{op.kind} {name}", self.notes) for f in factor]
        self.exponents = self.exponents + np.array(logarithms)
        offset = (shift - mean * factor).astype(np.float64)
        ones = (1,) * (len(self.product.shape) - 2)
        self.offset(offset.reshape(-1, *ones), f"the offset of {op.kind}")

    def _clip(self, op: Op, name: str) -> None:
        low, high = 0.0, math.inf
        if op.kind == "Clip":
            low = self._limit(op, "min", 1, -math.inf)
            high = self._limit(op, "max", 2, math.inf)
        self.low = min(max(self.low, low), high)
        self.high = min(max(self.high, low), high)

    def _limit(self, op: Op, attribute: str, number: int, default: float) -> float:
        if not op.input(number):
            return float(op.attributes.get(attribute, default))
        values = self.graph.real(op.input(number))
        if values is None or values.size != 1:
            raise Unfit(f"the {attribute} of {op.kind} is not constant")
        return float(values.flat[0])

    def _flush_unless_free(self) -> None:
        if (self.low, self.high) != (-math.inf, math.inf):
            self._flush()

    def _flush(self) -> None:
        """Make stages of the bounds, which must be whole numbers of steps.

        Raises:
            Unfit: they are not.
        """
        if (self.low, self.high) == (-math.inf, math.inf):
            return
        finite = [b for b in (self.low, self.high) if math.isfinite(b)]
        if any(finite) and self.exponents.size > 1:
            self._uniform()
        step = 2.0 ** float(self.exponents.flat[0])
        for bound, stage in ((self.low, Max), (self.high, Min)):
            if not math.isfinite(bound):
                continue
            steps = bound / step
            if steps != round(steps) or abs(steps) >= _INT32:
                raise Unfit(f"it is clipped at {bound:.6g}, no whole number of steps")
            self.stages.append(stage(int(steps)))
        self.low, self.high = -math.inf, math.inf

    def _left(self, by: int) -> None:
        """Count in smaller steps.

        Raises:
            Unfit: sums would leave 32 bits.
        """
        if by > 30 or int(self.bounds.max()) << by >= _INT32:
            raise Unfit(f"its sums would be counted in steps 2**{by} times as small")
        self.stages.append(Shift(-by))
        self.exponents = self.exponents - by
        self.bounds = self.bounds << by

    def _uniform(self) -> int:
        """Count all channels in the same steps; their exponent."""
        least = int(self.exponents.min())
        amounts = least - self.exponents
        if amounts.any():
            if amounts.min() < -MOST_LIFTED:
                raise Unfit("the scales of its channels differ by more than a tensor can shift")
            self._shift_by(amounts, "floor")
            self.bounds = self.bounds << -amounts
        self.exponents = np.array([least])
        return least

    def _shift_by(self, amounts: Array, rounding: str) -> None:
        """Shift each channel by its own amount."""
        tensor = replace(self.product.channel, name=self._free("shift"))
        span = (int(amounts.min()), int(amounts.max()))
        self.stages.append(Shift(tensor, "half-even" if rounding == "half-even" else "floor", span))
        full = np.broadcast_to(amounts, (tensor.size,)).reshape(tensor.shape)
        self.constants[tensor.name] = full.astype(np.int32)

    def _free(self, name: str) -> str:
        """A name that no tensor of the operator has."""
        used = {view.operand for view in self.views} | self.constants.keys()
        number, candidate = 1, name
        while candidate in used:
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def note_zero(self, quantity: Quantity, name: str) -> None:
        """Note a zero point that the accelerator's zero is not."""
        expected = 128 if quantity.dtype == "uint8" else 0
        if quantity.zero_point != expected and quantity.scale is not None:
            text = f"the zero point of {told(name)} is {quantity.zero_point}, not {expected}"
            if quantity.zero_point is None:
                text = f"the zero point of {told(name)} is computed as the model runs"
            if text not in self.notes:
                self.notes.append(text)

    # --- Integers again ---------------------------------------------------------------------------

    def _quantise(self, op: Op, name: str) -> None:
        """Round to the integers of a scale, and keep those that 8 bits hold."""
        found = self.graph.parameters(op)
        if found is None or found[0].size != 1:
            raise Unfit("its output has no constant scale")
        scale, zero, dtype = float(found[0].flat[0]), int(found[1].flat[0]), found[1].dtype.name
        if dtype not in BYTES:
            raise Unfit(f"its output is {dtype}")
        if self.ops[-1].kind == "DequantizeLinear" and (scale, zero, dtype) == self.scale:
            raise Unfit("its integers stay as they are")
        output = op.outputs[0]
        floats = self.graph.model.dtypes.get(name, "other")
        if floats in {"float16", "bfloat16"}:
            self.notes.append(f"it computes with {floats}, which rounds every sum")
        self.note_zero(Quantity(Renamed.of(output, ()), scale, zero, dtype), output)
        if int(self.bounds.max(initial=0)) >= EXACT_FLOATS:
            text = f"sums up to {int(self.bounds.max()):,}, and floats are exact up to 2**24"
            self.notes.append(text)
        exponent = logarithm(scale, output, self.notes)
        self._round(exponent - self.exponents)
        self.exponents, self.bounds = np.array([exponent]), np.array([128], np.int64)
        low, high = -128, 127
        # Rounding keeps the order: what is clipped before it may be clipped after it, at the
        # rounded bounds.
        if self.low > -math.inf:
            low = min(max(low, half_even(self.low / scale)), high)
        if self.high < math.inf:
            high = max(min(high, half_even(self.high / scale)), low)
        self.low, self.high = -math.inf, math.inf
        self.stages += [Max(low), Min(high)]
        self.scale = (scale, zero, dtype)

    def _round(self, amounts: Array) -> None:
        """Shift all channels, half to even."""
        if amounts.size > 1:
            amounts = self._without_dead(amounts)
        if (amounts == amounts.flat[0]).all():
            amount = int(amounts.flat[0])
            if amount > 30 or amount < -24:
                raise Unfit(f"its sums are shifted by {amount}")
            if amount < 0:
                # What the shift would carry beyond 8 bits is cut before, so that nothing wraps.
                self.stages += [Max(-128), Min(127), Shift(amount)]
            elif amount > 0:
                self.stages.append(Shift(amount, "half-even"))
            return
        self._shift_by(amounts, "half-even")

    def _without_dead(self, amounts: Array) -> Array:
        """Amounts without those of channels that always round to zero, which become zeros.

        Quantisers give such channels scales down to 2^-46.
        """
        simple = not any(
            isinstance(stage, Max | Min)
            or (
                isinstance(stage, Add)
                and str(getattr(stage.value, "name", "")) not in self.constants
            )
            for stage in self.stages
        )
        bounds = np.broadcast_to(self.bounds, amounts.shape)
        dead = np.array(
            [int(b) < 1 << max(int(a) - 1, 0) for a, b in zip(amounts, bounds, strict=True)]
        ) & (amounts > 0)
        # Ones that all channels share (sums, means) cannot be zeros for some of them.
        shared = not any(
            self.product.computation.in1.varies({name: 1})
            for row in self.product.channel.index
            for name, _ in row.terms
        )
        if not simple or shared or not dead.any():
            return amounts
        for name, array in self.constants.items():
            # Weights and biases have the channels first, however many axes they are.
            if array is not None and not name.startswith("shift"):
                rows = array.reshape(amounts.size, -1).copy()
                rows[dead] = 0
                self.constants[name] = rows.reshape(array.shape)
        rest = amounts[~dead]
        return np.where(dead, rest.min() if rest.size else 0, amounts)

    def _dequantise(self, op: Op, name: str) -> None:
        """The integers that came out, as floats again."""
        found = self.graph.parameters(op)
        if found is None or found[0].size != 1 or self.scale is None:
            raise Unfit("its output is read with other scales")
        if (float(found[0].flat[0]), int(found[1].flat[0])) != self.scale[:2]:
            raise Unfit("its output is read with another scale")
