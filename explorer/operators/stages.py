"""What the stages of an operator must fulfil: one output, and roundings that no sum can spoil."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

from explorer.operators.validate import check
from isa.computation import Add, Computation, Max, Min, Operator, Shift, Stage, Tensor, Term
from isa.errors import InputError

LEAST, GREATEST = -(2**31), 2**31 - 1
Range = tuple[int, int]
"""Least and greatest value of an accumulator, both inclusive."""


def check_stages(operator: Operator, source: str) -> None:
    """Check the terms one by one, that they have one output, and what each step may be given.

    Args:
        operator: its stages.
        source: the file or argument it comes from, for errors.

    Raises:
        InputError: a stage cannot be, or not where it is.
    """
    if not operator.stages or not isinstance(operator.stages[0], Term):
        first = str(operator.stages[0]) if operator.stages else None
        raise InputError(source, "stages.0", first, "the first stage must be a term")
    for number, stage in enumerate(operator.stages):
        field = f"stages.{number}"
        if isinstance(stage, Term):
            _check_term(stage.computation, source, f"{field}.term")
            _check_fill(stage, source, f"{field}.term.fill")
            check_output(operator.terms[0].computation, stage.computation, source, field)
        else:
            _check_step(stage, operator, source, field)
    _check_names(operator, source)
    _check_ranges(operator, source)


def _check_term(term: Computation, source: str, field: str) -> None:
    """Check a term by itself; an error says which."""
    try:
        check(term, source)
    except InputError as error:
        raise InputError(source, f"{field}.{error.field}", error.value, error.allowed) from None


def _check_fill(term: Term, source: str, field: str) -> None:
    """Check that the second input can be filled, and is then constant."""
    fill, tensor = term.fill, term.computation.in1
    if fill is None:
        return
    if not -128 <= fill.value <= 127:
        raise InputError(source, field, fill.value, "must be an integer of 8 bits")
    half = len(tensor.shape) // 2
    if fill.identity and tensor.shape != 2 * tensor.shape[:half]:
        allowed = f"an identity has the shape of a matrix of twice the same extents; {tensor.name}"
        raise InputError(source, field, list(tensor.shape), f"{allowed} has not")
    if fill.identity and not _is_plain(tensor, term.computation):
        allowed = (
            f"the map of an identity, {tensor.name}, must have one dimension of the output a row, "
            "then as many reductions"
        )
        raise InputError(source, field, ", ".join(map(str, tensor.index)), allowed)
    if "in1" not in term.constants:
        raise InputError(source, field, str(fill), "what is filled must be among the constants")


def _is_plain(tensor: Tensor, term: Computation) -> bool:
    """Whether each row is a dimension of its own, and the second half of them the reductions.

    Then one product of each output is not zero at the most.
    """
    names = [name for row in tensor.index for name, _ in row.terms]
    plain = all(row.const == 0 and [c for _, c in row.terms] == [1] for row in tensor.index)
    half = len(names) // 2
    reductions = {name for name in names if name in term.reductions}
    return plain and len(set(names)) == len(names) and reductions == {*names[half:]}


def check_output(first: Computation, term: Computation, source: str, field: str) -> None:
    """Check that a further term has the output of the first one.

    Raises:
        InputError: it has another shape, its dimensions that the output uses have other extents or
            stand in another order, or its map is another one.
    """
    ours = [first.extents[n] for n in first.parallel]
    theirs = [term.extents[n] for n in term.parallel]
    image = dict(zip(term.parallel, first.parallel, strict=False))
    if ours != theirs or term.out.shape != first.out.shape:
        allowed = f"dimensions of the output must be as in the first term, {_listed(first)}"
        raise InputError(source, f"{field}.term.out", _listed(term), allowed)
    for there, row in zip(term.out.index, first.out.index, strict=True):
        if {image[n]: c for n, c in there.terms} != dict(row.terms) or there.const != row.const:
            text, wanted = (", ".join(map(str, c.out.index)) for c in (term, first))
            allowed = f"must be the map of the first term, {wanted}, in the order of its dimensions"
            raise InputError(source, f"{field}.term.out", text, allowed)


def _listed(term: Computation) -> str:
    return ", ".join(f"{name}: {term.extents[name]}" for name in term.parallel)


def _check_step(stage: Stage, operator: Operator, source: str, field: str) -> None:
    """Check the numbers of a step, and that its tensor is defined for every output."""
    if isinstance(stage, Max | Min) and not LEAST <= stage.bound <= GREATEST:
        raise InputError(source, field, stage.bound, "must be an integer of 32 bits")
    if isinstance(stage, Shift):
        low, high = stage.reach
        if not -31 <= low <= high <= 31:
            raise InputError(source, field, [low, high], "shifts are -31 to 31, least first")
        if low < -8 and isinstance(stage.amount, Tensor):
            raise InputError(source, field, low, "a tensor shifts at most 8 to the left")
    if isinstance(stage, Add):
        if not 1 <= stage.bits <= 32:
            raise InputError(source, field, stage.bits, "bits are 1 to 32")
        if not 0 <= stage.left <= 31 or (stage.left and isinstance(stage.value, int)):
            raise InputError(source, field, stage.left, "a tensor is shifted by 0 to 31")
        if isinstance(stage.value, int) and not LEAST <= stage.value <= GREATEST:
            raise InputError(source, field, stage.value, "must be an integer of 32 bits")
    tensor = tensor_of(stage)
    extents = operator.terms[0].computation.extents
    for row, size in zip(tensor.index, tensor.shape, strict=True) if tensor else ():
        low, high = row.bounds(extents)
        if low < 0 or high >= size:
            allowed = f"must stay within 0 to {size - 1}"
            raise InputError(source, f"{field}.index", str(row), allowed)


def tensor_of(stage: Stage) -> Tensor | None:
    """The tensor that a step takes, if it takes one."""
    value = stage.value if isinstance(stage, Add) else None
    value = stage.amount if isinstance(stage, Shift) else value
    return value if isinstance(value, Tensor) else None


def _check_names(operator: Operator, source: str) -> None:
    """Check that a tensor can be told by its name."""
    names = [tensor.name for stage in operator.stages if (tensor := tensor_of(stage))]
    for term in operator.terms:
        names += [term.computation.in0.name, term.computation.in1.name]
    for name, times in Counter([*names, operator.out.name]).items():
        if times > 1:
            raise InputError(source, "stages", name, "tensors must have different names")


# --- Ranges ---------------------------------------------------------------------------------------


def ranges(operator: Operator) -> list[Range]:
    """Between which values an accumulator is after each stage, whatever the tensors hold."""
    found: list[Range] = []
    now = (0, 0)
    for stage in operator.stages:
        now = _wrapped(*_after(stage, now))
        found.append(now)
    return found


def limits(stages: Sequence[Stage]) -> list[Range]:
    """Between which values an accumulator is before each stage, if it may be any before the first.

    Unlike `ranges`, that holds of lanes too in which no output lies: a term may add anything there.
    """
    found, now = [], (LEAST, GREATEST)
    for stage in stages:
        found.append(now)
        after = (LEAST, GREATEST) if isinstance(stage, Term) else _after(stage, now)
        now = _wrapped(*after)
    return found


def _wrapped(low: int, high: int) -> Range:
    """A range that leaves int32 wraps, and may then be anything."""
    return (low, high) if low >= LEAST and high <= GREATEST else (LEAST, GREATEST)


def _after(stage: Stage, now: Range) -> Range:
    """The range after a stage, as if integers were unbounded."""
    low, high = now
    if isinstance(stage, Term):
        extents = stage.computation.extents
        products = prod(extents[name] for name in stage.computation.reductions)
        if stage.fill is not None:
            # Of an identity, one product of each output is not zero at the most.
            if stage.fill.identity:
                own = {name for row in stage.computation.in1.index for name, _ in row.terms}
                products //= prod(extents[name] for name in own & {*stage.computation.reductions})
            ends = [products * stage.fill.value * value for value in (-128, 127)]
            return low + min(0, *ends), high + max(0, *ends)
        return low - 128 * 127 * products, high + 128 * 128 * products
    if isinstance(stage, Add):
        if isinstance(stage.value, int):
            return low + stage.value, high + stage.value
        reach = 2 ** (stage.bits - 1)
        return low - (reach << stage.left), high + ((reach - 1) << stage.left)
    if isinstance(stage, Shift):
        # Rounding adds less than one; and it keeps the order, so the ends of the range are enough.
        ends = [rounded(value, by, stage) for value in now for by in stage.reach]
        return min(ends), max(ends)
    if isinstance(stage, Max):
        return max(low, stage.bound), max(high, stage.bound)
    return min(low, stage.bound), min(high, stage.bound)


def rounded(value: int, by: int, shift: Shift) -> int:
    """An unbounded integer shifted by an amount and rounded."""
    if by <= 0:
        return value << -by
    if shift.rounding == "half-up":
        return (value + (1 << (by - 1))) >> by
    if shift.rounding == "half-even":
        # The half less one, and one more where the integer below is odd: ties go to the even one.
        return (value + (1 << (by - 1)) - 1 + ((value >> by) & 1)) >> by
    return value >> by


def _check_ranges(operator: Operator, source: str) -> None:
    """Check that no rounding, and no tensor's shift to the left, leaves 32 bits on the way.

    Raises:
        InputError: one may. What adds to the accumulator is then too large, or not known to be
            small enough.
    """
    before = [(0, 0), *ranges(operator)]
    for number, (stage, now) in enumerate(zip(operator.stages, before, strict=False)):
        if not isinstance(stage, Shift):
            continue
        # A number to the left is a pass of its own, which may wrap.
        left, right = -min(stage.reach[0], 0), stage.reach[1]
        low, high = now
        if left and isinstance(stage.amount, Tensor):
            # All outputs are shifted to the left by one number, and then to the right by theirs.
            low, high = low << left, high << left
            _check_room(operator, source, number, (low, high), 0, f"<< {left}")
            right += left
        if right > 30 and stage.rounding == "half-even":
            raise InputError(source, f"stages.{number}", right, "half-even shifts at most 30")
        if right > 0 and stage.rounding != "floor":
            # Half-up adds the half; half-even adds it, and then twice as much less one: the sum
            # of its second addend.
            half = 1 << (right - 1)
            extra = half if stage.rounding == "half-up" else 3 * half - 1
            _check_room(operator, source, number, (low, high), extra, str(stage))


def _check_room(
    operator: Operator, source: str, number: int, now: Range, extra: int, what: str
) -> None:
    high = GREATEST - extra
    if now[0] >= LEAST and now[1] <= high:
        return
    known = ", ".join(map(str, operator.stages[:number]))
    tensors = [s for s in operator.stages[:number] if isinstance(s, Add) and tensor_of(s)]
    hint = "; give the bits of the tensors that are added" if tensors else ""
    allowed = f"{what} needs {LEAST} to {high} after {known}{hint}"
    raise InputError(source, f"stages.{number}", f"{now[0]} to {now[1]}", allowed)
