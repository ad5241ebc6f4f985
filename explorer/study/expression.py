"""Conditions that a user writes: arithmetic and comparisons over named numbers, and nothing else.

>>> Expression.parse("2**a + b <= 4 and a != b", "doc").value({"a": 1, "b": 2})
True
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from isa.errors import InputError

MAX_EXPONENT = 64
MAX_BITS = 64

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_GRAMMAR = "numbers, names, + - * / // % **, comparisons, and, or, not, and parentheses"


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition, checked when it is made.

    Attributes:
        text: as the user wrote it.
        names: the names it uses.
        source: where it stands, for errors.
    """

    text: str
    names: frozenset[str]
    source: str

    @classmethod
    def parse(cls, text: str, source: str) -> Expression:
        """The expression of a text.

        Raises:
            InputError: it holds anything but the grammar of this module.
        """
        text = _compared(text)
        try:
            with (
                warnings.catch_warnings()
            ):  # of what looks like a slip, which ends in an error here
                warnings.simplefilter("ignore")
                tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InputError(source, "", text, f"a condition holds {_GRAMMAR}") from None
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif not _is_allowed(node):
                raise InputError(source, "", text, f"a condition holds {_GRAMMAR}")
        return cls(text, frozenset(names), source)

    def check_names(self, known: Collection[str]) -> None:
        """Raise `InputError` if it uses a name that is not among the known ones."""
        for name in sorted(self.names - set(known)):
            allowed = f"no such name; a condition here may use {', '.join(sorted(known))}"
            raise InputError(self.source, self.text, name, allowed)

    def value(self, values: Mapping[str, float]) -> Any:
        """What it evaluates to.

        Raises:
            InputError: it divides by zero, or a number gets too large.
        """
        try:
            return _value(ast.parse(self.text.strip(), mode="eval").body, values)
        # A TypeError: the root of a negative number is complex, and nothing compares with it.
        except (ArithmeticError, ValueError, TypeError) as error:
            at = ", ".join(f"{name}={values[name]}" for name in sorted(self.names))
            raise InputError(
                self.source, self.text, at, f"it has no value there: {error}"
            ) from None

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether it is true; see `value`."""
        return bool(self.value(values))


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, ast.BinOp):
        return type(node.op) in _BINARY
    if isinstance(node, ast.UnaryOp):
        return type(node.op) in _UNARY
    if isinstance(node, ast.Compare):
        return all(type(op) in _COMPARISONS for op in node.ops)
    return isinstance(
        node, ast.BoolOp | ast.operator | ast.unaryop | ast.cmpop | ast.boolop | ast.Load
    )


def _check_power(base: float, exponent: float) -> None:
    """Raise OverflowError where a power could take more memory than a condition is worth."""
    if abs(exponent) > MAX_EXPONENT:
        raise OverflowError(f"exponents go to {MAX_EXPONENT}")
    # Powers of powers grow beyond any memory in a few characters.
    if isinstance(base, int) and base.bit_length() > MAX_BITS:
        raise OverflowError(f"what is raised to a power has at most {MAX_BITS} bits")


def _value(node: ast.expr, values: Mapping[str, float]) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return values[name]
        case ast.UnaryOp(op, operand):
            return _UNARY[type(op)](_value(operand, values))
        case ast.BinOp(left, op, right):
            one, other = _value(left, values), _value(right, values)
            if isinstance(op, ast.Pow):
                _check_power(one, other)
            return _BINARY[type(op)](one, other)
        case ast.BoolOp(ast.And(), parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(_, parts):
            return any(_value(part, values) for part in parts)
        case ast.Compare(left, ops, rights):
            one = _value(left, values)
            for compare, right in zip(ops, rights, strict=True):
                other = _value(right, values)
                if not _COMPARISONS[type(compare)](one, other):
                    return False
                one = other
            return True
    raise AssertionError(f"parse lets no {type(node).__name__} through")


def _compared(text: str) -> str:
    """A limit as `explorer optimize` takes it (``max-cycles=1000``) as the condition it is."""
    match = re.fullmatch(r"\s*(min|max)-([a-z][a-z0-9_-]*)=\s*([0-9.]+)\s*", text)
    if match is None:
        return text
    return f"{match[2].replace('-', '_')} {'>=' if match[1] == 'min' else '<='} {match[3]}"
