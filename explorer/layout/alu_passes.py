"""What is done to finished accumulators: the passes that the steps of an operator take.

A pass is one operation on every accumulator of a tile: with an immediate, with a vector of
constants or of a tensor, or with a scratch tile of as many vectors. A tensor of 8 bits that is as
large as the output can also come in through port inp, as a product with a multiple of the identity:
GEMM adds to whatever accumulators hold, so that such a term may stand between steps. It moves a
quarter of the bytes, by another module than the one that computes, and takes half the cycles. A
vector over fewer dimensions, such as a bias, may come in as a product of its digits with a
constant (`constant_product`).

Half-even rounding by s has no
operation of its own. With H = 2^(s-1), and for every a that `stages.check_stages` lets pass,

    half-even(a, s) = ((a + H) >> (s + 1)) + ((a + H + 2^s - 1) >> (s + 1))

because, with a = q·2^s + r, the sum is ⌊(q + b)/2⌋ + ⌊(q + 1 + b')/2⌋, where b is 1 if r reaches
the half and b' is 1 if it exceeds it: for r below the half that is ⌊q/2⌋ + ⌊(q + 1)/2⌋ = q, above
it q + 1, and at the half 2·⌊(q + 1)/2⌋, the even one of the two.
For s = 0, with 0 and 1 in place of the two addends, it is a itself, so that a tensor of amounts may
hold zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.layout.constant_product import reach
from explorer.operators.stages import check_stages, limits
from isa.computation import Add, Affine, Max, Min, Operator, Shift, Stage, Step, Tensor, Term
from isa.fields import AluOp

MAX_FACTOR = 6  # 2^6 is the largest power of two that an int8 weight can be
MAX_SHIFT = 15  # HLS takes the shift amount as a signed 5-bit number
IMMEDIATE = -(2**15), 2**15 - 1
Amount = Literal["value", "half", "even", "gap", "part"]


@dataclass(frozen=True, slots=True)
class Part:
    """A summand of a vector's values, which the host makes of a tensor.

    Attributes:
        name: the tensor's.
        form: ``value`` (shifted to the left by `number`); or of amounts that `number` is added to:
            the ``half`` that half-up adds, ``even`` H + 2^s - 1, ``gap`` -(2^s - 1), or the
            ``part`` of at most 15 that is left when so much has been shifted as `number` lacks.
        bits: of a value, signed.
    """

    name: str
    form: Amount = "value"
    number: int = 0
    bits: int = 32

    def of(self, values: NDArray[np.signedinteger[Any]]) -> NDArray[np.int64]:
        """The summand."""
        wide: NDArray[np.int64] = values.astype(np.int64)
        if self.form == "value":
            return wide << self.number
        wide = wide + self.number
        if self.form == "part":
            return np.asarray(np.minimum(np.maximum(wide, 0), MAX_SHIFT), np.int64)
        whole = np.int64(1) << wide
        half: NDArray[np.int64] = whole >> 1
        if self.form == "half":
            return half
        gap: NDArray[np.int64] = np.maximum(whole - 1, 1)
        return half + gap if self.form == "even" else -gap


@dataclass(frozen=True, slots=True)
class Vector:
    """Values that lie in the accumulators' scratchpad beside them.

    Attributes:
        tensor: their name, shape and access map.
        parts: the summands of the values.
        const: a number that is added to them.
    """

    tensor: Tensor
    parts: tuple[Part, ...] = ()
    const: int = 0

    def values(self, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.int32]:
        """The values, from the operator's tensors by name; sums wrap as the ALU's do."""
        total = np.full(self.tensor.shape, self.const, np.int64)
        for part in self.parts:
            total += part.of(tensors[part.name])
        return total.astype(np.int32)


@dataclass(frozen=True, slots=True)
class Product:
    """A further term of the operator.

    Attributes:
        number: which, the second term being 1.
    """

    number: int


Place = Literal["acc", "scratch"]


@dataclass(frozen=True, slots=True)
class Pass:
    """One operation on all accumulators of a tile, or on its scratch vectors.

    Attributes:
        opcode: None for GEMM: a reset to zero; a further term; or, with vectors, their product with
            a multiple of the identity. A reset is done `once`, or for every tile.
        dst: what is changed.
        src: the other operand: an immediate, vectors, one of the two tiles, or a term.
    """

    opcode: AluOp | None
    dst: Place
    src: int | Vector | Place | Product = 0
    once: bool = False


@dataclass(frozen=True, slots=True)
class AluProgram:
    """The passes of an operator, in order.

    Attributes:
        spread: vectors over fewer dimensions than the output has, each once.
        dense: vectors as large as the output.
        terms: those of them that come in through port inp instead, each of one tensor.
        products: vectors over fewer dimensions that come in as products of digits with a constant.
    """

    passes: tuple[Pass, ...] = ()
    spread: tuple[Vector, ...] = ()
    dense: tuple[Vector, ...] = ()
    terms: tuple[Vector, ...] = ()
    products: tuple[Vector, ...] = ()

    @property
    def factors(self) -> tuple[int, ...]:
        """By how many places the terms are shifted to the left: each has a block of weights."""
        return tuple(sorted({vector.parts[0].number for vector in self.terms}))

    @property
    def immediates(self) -> int:
        """Passes that take an immediate."""
        return sum(p.opcode is not None and isinstance(p.src, int) for p in self.passes)

    @property
    def pairs(self) -> int:
        """Passes that take a second vector."""
        return sum(p.opcode is not None and not isinstance(p.src, int) for p in self.passes)

    @property
    def sweeps(self) -> int:
        """GEMM passes that every tile takes: resets of scratch vectors, and terms."""
        return sum(p.opcode is None and not p.once for p in self.passes)

    @property
    def scratch(self) -> bool:
        """Whether each accumulator of a tile has a scratch vector."""
        return any(p.dst == "scratch" for p in self.passes)


def alu_program(operator: Operator) -> AluProgram:
    """The passes of an operator's stages behind the first term.

    Raises:
        InputError: a step cannot be made exactly (see `stages.check_stages`).
    """
    steps = operator.stages[1:]
    if any(isinstance(step, Shift) and step.rounding != "floor" for step in steps):
        check_stages(operator, operator.name)
    steps = merged(steps)
    writer = _Writer(operator.out, _keeps_scratch(steps))
    for number, step in enumerate(steps):
        if isinstance(step, Term):
            # What waits to be added may be so behind it: sums commute.
            terms = sum(isinstance(before, Term) for before in steps[:number])
            writer.passes.append(Pass(None, "acc", Product(terms + 1)))
            continue
        hoisted = _hoisted(steps, number)
        if number and _hoisted(steps, number - 1) is not None:
            continue
        writer.write(step, hoisted)
    writer.flush()
    vectors = dict.fromkeys(p.src for p in writer.passes if isinstance(p.src, Vector))
    dense = tuple(v for v in vectors if _is_dense(v.tensor, operator.out))
    return AluProgram(tuple(writer.passes), tuple(v for v in vectors if v not in dense), dense)


def with_terms(alu: AluProgram) -> AluProgram:
    """The program with every tensor that may come in through port inp doing so; maybe the same."""
    terms = tuple(vector for vector in alu.dense if _is_term(vector))
    passes = (
        replace(p, opcode=None) if p.opcode == AluOp.ADD and p.src in terms else p
        for p in alu.passes
    )
    rest = tuple(vector for vector in alu.dense if vector not in terms)
    return replace(alu, passes=tuple(passes), dense=rest, terms=terms)


def with_products(alu: AluProgram, block_in: int) -> AluProgram:
    """The program with every vector added by a product that can be so; maybe the same.

    Args:
        alu: the passes.
        block_in: lanes of axis z, which hold the digits of a number.
    """
    added = {p.src for p in alu.passes if p.opcode == AluOp.ADD and p.dst == "acc"}
    others = {p.src for p in alu.passes if not (p.opcode == AluOp.ADD and p.dst == "acc")}
    products = tuple(
        v for v in alu.spread if v in added - others and _has_digits(v, reach(block_in))
    )
    passes = (replace(p, opcode=None) if p.src in products else p for p in alu.passes)
    rest = tuple(vector for vector in alu.spread if vector not in products)
    return replace(alu, passes=tuple(passes), spread=rest, products=products)


def _has_digits(vector: Vector, within: tuple[int, int]) -> bool:
    """Whether all values that a vector may hold lie within the reach of digits."""
    low = high = vector.const
    for part in vector.parts:
        if part.form != "value":
            return False
        low -= 1 << (part.bits - 1 + part.number)
        high += ((1 << (part.bits - 1)) - 1) << part.number
    return bool(vector.parts) and within[0] <= low and high <= within[1]


def _is_term(vector: Vector) -> bool:
    """Whether a vector holds bytes times what a weight can be."""
    if len(vector.parts) != 1 or vector.const:
        return False
    (part,) = vector.parts
    return part.bits <= 8 and part.form == "value" and part.number <= MAX_FACTOR


def merged(steps: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages with limits of one kind that follow each other made one."""
    found: list[Stage] = []
    for step in steps:
        last = found[-1] if found else None
        if isinstance(step, Max) and isinstance(last, Max):
            found[-1] = Max(max(last.bound, step.bound))
        elif isinstance(step, Min) and isinstance(last, Min):
            found[-1] = Min(min(last.bound, step.bound))
        else:
            found.append(step)
    return tuple(found)


def _is_dense(tensor: Tensor, out: Tensor) -> bool:
    return tensor.index == out.index and tensor.shape == out.shape


def _even_addend(by: int) -> int:
    """H + 2^s - 1, which the greater of half-even's two summands adds."""
    return 3 * (1 << by >> 1) - 1


def _hoisted(steps: Sequence[Stage], number: int) -> int | None:
    """The immediate with which a lower limit behind half-even may stand before its shifts.

    Rounding keeps the order and maps c·2^s to c, so that max(he(a), c) = he(max(a, c·2^s)). The
    limit then also bounds what is left in the scratch vectors.
    """
    step = steps[number]
    limit = steps[number + 1] if number + 1 < len(steps) else None
    if not (isinstance(step, Shift) and isinstance(limit, Max)):
        return None
    by = step.amount
    if step.rounding != "half-even" or isinstance(by, Tensor) or by < 1:
        return None
    value = (limit.bound << by) + _even_addend(by)
    return value if _fits(value) else None


def _keeps_scratch(steps: Sequence[Stage]) -> bool:
    """Whether a MIN makes half-even's scratch constant again of whatever it was left with.

    That needs a constant of one immediate, and that no use leaves less than any use's constant.
    What the limits say is asked of any accumulator and not only of those that stand for an output:
    a lane may be idle in one tile and used in the next.
    """
    before = limits(steps)
    left, wanted = [0], [-(2**31)]
    for number, step in enumerate(steps):
        if not isinstance(step, Shift) or step.rounding != "half-even":
            continue
        # A tensor rounds even if no amount is to the right: all have a left part in common.
        if isinstance(step.amount, Tensor) or step.amount > MAX_SHIFT:
            return False
        if step.amount <= 0:
            continue
        low, hoisted = before[number][0], _hoisted(steps, number)
        if hoisted is not None:
            low = max(low, hoisted - _even_addend(step.amount))
        elif before[number][1] + _even_addend(step.amount) >= 2**31:
            return False
        left.append((low + (1 << step.amount >> 1)) >> (step.amount + 1))
        wanted.append(1 - (1 << step.amount))
    return min(left) >= max(wanted)


def _fits(value: int) -> bool:
    return IMMEDIATE[0] <= value <= IMMEDIATE[1]


@dataclass(slots=True)
class _Writer:
    """Writes passes; additions wait until something else than an addition comes.

    Attributes:
        out: the operator's output.
        keeps: whether the scratch is reset once and then kept; see `_keeps_scratch`.
        const, vectors: what waits to be added.
    """

    out: Tensor
    keeps: bool
    passes: list[Pass] = field(default_factory=list)
    const: int = 0
    vectors: list[Vector] = field(default_factory=list)

    def write(self, step: Step, hoisted: int | None) -> None:
        """Write a step; `hoisted` as `_hoisted` says."""
        if isinstance(step, Add):
            if isinstance(step.value, int):
                self.const += step.value
            else:
                self._wait(step.value, Part(step.value.name, "value", step.left, step.bits))
        elif isinstance(step, Shift):
            self._shift(step, hoisted)
        else:
            self.flush()
            self._apply(AluOp.MAX if isinstance(step, Max) else AluOp.MIN, "acc", step.bound)

    def _wait(self, tensor: Tensor, part: Part) -> None:
        """Add a vector; to one of the same map that waits already, where neither is dense."""
        for place, vector in enumerate(self.vectors):
            alike = (vector.tensor.index, vector.tensor.shape) == (tensor.index, tensor.shape)
            if alike and not _is_dense(tensor, self.out):
                name = f"{vector.tensor.name}+{part.name}.{part.form}"
                named = replace(vector.tensor, name=name)
                self.vectors[place] = replace(vector, tensor=named, parts=(*vector.parts, part))
                return
        named = tensor if part.form == "value" else replace(tensor, name=f"{part.name}.{part.form}")
        self.vectors.append(Vector(named, (part,)))

    def flush(self) -> None:
        """Write the additions that wait: a number with a vector where there is one to take it."""
        spread = [v for v in self.vectors if not _is_dense(v.tensor, self.out)]
        const = (self.const + 2**31) % 2**32 - 2**31
        if const and spread:
            place = self.vectors.index(spread[0])
            named = replace(spread[0].tensor, name=f"{spread[0].tensor.name}{const:+}")
            self.vectors[place] = replace(spread[0], tensor=named, const=const)
            const = 0
        self.passes += [Pass(AluOp.ADD, "acc", vector) for vector in self.vectors]
        if const:
            self._apply(AluOp.ADD, "acc", const)
        self.const, self.vectors = 0, []

    def _apply(self, opcode: AluOp, dst: Place, number: int) -> None:
        """An operation with a number that may exceed the immediate.

        Two immediates add as fast as one vector of the number does, and need none.
        """
        if opcode == AluOp.ADD and not _fits(number):
            first = max(IMMEDIATE[0], min(IMMEDIATE[1], number))
            if _fits(number - first):
                self.passes += [Pass(opcode, dst, first), Pass(opcode, dst, number - first)]
                return
        if _fits(number):
            self.passes.append(Pass(opcode, dst, number))
        else:
            tensor = Tensor(f"constant{number:+}", (1,), (Affine.of({}),), "S")
            self.passes.append(Pass(opcode, dst, Vector(tensor, (), number)))

    def _right(self, dst: Place, shift: Shift, extra: int) -> None:
        """A shift to the right by an amount and `extra`, in parts of at most 15."""
        amount = shift.amount
        for done in range(0, shift.reach[1] + extra, MAX_SHIFT):
            if isinstance(amount, int):
                self.passes.append(Pass(AluOp.SHR, dst, min(amount + extra - done, MAX_SHIFT)))
                continue
            tensor = replace(amount, name=f"{amount.name}.part{extra - done:+}")
            part = Part(amount.name, "part", extra - done)
            self.passes.append(Pass(AluOp.SHR, dst, Vector(tensor, (part,))))

    def _left(self, amount: int) -> None:
        self.flush()
        for done in range(0, amount, MAX_SHIFT):
            self.passes.append(Pass(AluOp.SHR, "acc", -min(amount - done, MAX_SHIFT)))

    def _shift(self, step: Shift, hoisted: int | None) -> None:
        low, high = step.reach
        left = max(0, -low)
        if left:
            # All amounts of a tensor have the left part in common: `check_stages` knows that no
            # accumulator leaves 32 bits by it.
            self._left(left)
        if high + left <= 0 or (isinstance(step.amount, int) and left):
            return
        if step.rounding == "half-up":
            self._half_up(step, left)
        elif step.rounding == "half-even":
            self._half_even(step, left, hoisted)
        else:
            self.flush()
            self._right("acc", step, left)

    def _half_up(self, step: Shift, left: int) -> None:
        amount = step.amount
        if isinstance(amount, Tensor):
            self._wait(amount, Part(amount.name, "half", left))
        else:
            half = 1 << (amount - 1)
            taken = any(not _is_dense(v.tensor, self.out) for v in self.vectors)
            if not taken and not _fits(self.const + half):
                # The half is one bit behind a shift by one less, which drops only lower ones.
                self.flush()
                self._right("acc", replace(step, amount=amount - 1), 0)
                self.const = 1
                step = replace(step, amount=1)
            else:
                self.const += half
        self.flush()
        self._right("acc", step, left)

    def _half_even(self, step: Shift, left: int, hoisted: int | None) -> None:
        amount = step.amount
        if isinstance(amount, Tensor):
            self._wait(amount, Part(amount.name, "even", left))
        else:
            self.const += _even_addend(amount)
        self.flush()
        if hoisted is not None:
            self._apply(AluOp.MAX, "acc", hoisted)
        if self.keeps and not any(p.once for p in self.passes):
            self.passes.append(Pass(None, "scratch", once=True))
        if not self.keeps:
            self.passes.append(Pass(None, "scratch"))
        opcode = AluOp.MIN if self.keeps else AluOp.ADD
        if isinstance(amount, Tensor):
            gap = Vector(
                replace(amount, name=f"{amount.name}.gap"), (Part(amount.name, "gap", left),)
            )
            self.passes.append(Pass(opcode, "scratch", gap))
        else:
            self._apply(opcode, "scratch", 1 - (1 << amount))
        self.passes.append(Pass(AluOp.ADD, "scratch", "acc"))
        self._right("scratch", step, left + 1)
        self._right("acc", step, left + 1)
        self.passes.append(Pass(AluOp.ADD, "acc", "scratch"))
