"""What constructors of operators share: arguments of the epilogue, and names by arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from inspect import signature
from typing import ParamSpec

from explorer.operators.axes import Rows, check_range
from explorer.operators.epilogue_steps import StepOptions, changed
from explorer.operators.stages import check_stages
from explorer.operators.validate import check_size
from isa.computation import (
    Computation,
    Dimension,
    Epilogue,
    Fill,
    Operator,
    Role,
    Step,
    Tensor,
    Term,
)
from isa.errors import InputError

_Parameters = ParamSpec("_Parameters")
Clip = bool | tuple[int, int]
"""Whether values are clipped to int8, or to which ones."""
WEIGHTS: frozenset[Role] = frozenset({"in1"})


class EpilogueOptions(StepOptions, total=False):
    """How the int32 accumulators become int8; see `StepOptions` too.

    Attributes:
        shift: arithmetic right shift, 0 to 31; 8 when not given.
        bias: whether an int32 bias is added, one for each output channel; False when not given.
        residual: whether an int8 tensor of the output's shape is added after the shift; False when
            not given.
        relu: whether negative values become zero; False when not given.
        clip: whether values are clipped to int8 (else truncated), or the least and greatest value
            that is kept; True when not given.
        relu6: the int8 value that stands for 6: values are clipped to 0 and it.
    """

    shift: int
    bias: bool
    residual: bool
    relu: bool
    clip: Clip
    relu6: int


def named(build: Callable[_Parameters, Operator]) -> Callable[_Parameters, Operator]:
    """Name what a constructor builds by the text that gives it, defaults left out."""
    defaults = {name: p.default for name, p in signature(build).parameters.items()}

    @wraps(build)
    def named(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> Operator:
        operator = build(*args, **kwargs)
        given = {k: v for k, v in kwargs.items() if k not in defaults or v != defaults[k]}
        order = [name for name in defaults if name in given] + sorted(given.keys() - defaults)
        arguments = ",".join(f"{name}={_text(given[name])}" for name in order)
        return replace(operator, name=f"{operator.kind}:{arguments}")

    return named


def _text(value: object) -> str:
    """An argument as the inline form writes it: `3`, `3x3`, and `1` for True."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def assembled(
    kind: str,
    dims: Mapping[str, int],
    in0: Tensor,
    in1: Tensor,
    out: Tensor,
    bias: Tensor,
    options: EpilogueOptions,
    constants: frozenset[Role] = WEIGHTS,
    *,
    fill: Fill | None = None,
    first: tuple[Step, ...] = (),
    places: int = 8,
) -> Operator:
    """Everything put together.

    Args:
        kind: of the operator.
        dims: extents by name.
        in0: the first factor.
        in1: the second one.
        out: what the products are added to.
        bias: what the epilogue adds if it is asked to.
        options: of the epilogue.
        constants: the inputs that are known offline.
        fill: what the second one holds, where the kind says it.
        first: steps before the epilogue.
        places: by which the epilogue shifts if nothing is said.

    Raises:
        InputError: a size or an option is out of range, says something of a tensor that is not
            added, or a step cannot be made exactly.
    """
    loops = tuple(Dimension(name, extent) for name, extent in dims.items())
    computation = Computation(kind, loops, in0, in1, out)
    check_size(computation, kind)
    shift = options.get("shift", places)
    check_range(kind, 0, 31, shift=shift)
    _check_steps(kind, options)
    epilogue = Epilogue(
        shift=shift,
        bias=bias if options.get("bias", False) else None,
        residual=options.get("residual", False),
        relu=options.get("relu", False),
        clip=_clip(kind, options),
    )
    if not options.keys() & StepOptions.__annotations__.keys() and not (fill or first):
        return Operator.of(kind, kind, computation, epilogue, constants)
    steps = changed(epilogue.steps(out), options)
    operator = Operator(kind, kind, (Term(computation, constants, fill), *first, *steps))
    check_stages(operator, kind)
    return operator


def _check_steps(kind: str, options: EpilogueOptions) -> None:
    """Check what is said of tensors that are added, and that they are."""
    bits, left = options.get("bias_bits", 32), options.get("residual_left", 0)
    check_range(kind, 1, 32, bias_bits=bits)
    check_range(kind, 0, 31, residual_left=left)
    if bits != 32 and not options.get("bias", False):
        raise InputError(kind, "bias_bits", bits, "32 where there is no bias; give bias=1")
    if not options.get("residual", False):
        allowed = "0 where there is no residual; give residual=1"
        if left:
            raise InputError(kind, "residual_left", left, allowed)
        if options.get("residual_first", False):
            raise InputError(kind, "residual_first", 1, allowed)


def _clip(kind: str, options: EpilogueOptions) -> tuple[int, int] | None:
    """The values that the epilogue keeps."""
    clip, six = options.get("clip", True), options.get("relu6")
    if six is not None:
        check_range(kind, 0, 127, relu6=six)
        if clip is not True:
            raise InputError(kind, "clip", _text(clip), "relu6 says already what is kept")
        return 0, six
    if not isinstance(clip, tuple):
        return (-128, 127) if clip else None
    low, high = clip
    if not -128 <= low <= high <= 127:
        raise InputError(kind, "clip", _text(clip), "LEASTxGREATEST, both from -128 to 127")
    return clip


def operand(name: str, letters: str, rows: Rows) -> Tensor:
    """A tensor of rows that have an extent each."""
    return Tensor(name, tuple(size for _, size in rows), tuple(row for row, _ in rows), letters)
